# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Postfix lab, for tests: to be sourced. What the receiver answers to whom is told in postfix-setup.sh.
# M is a machine's name; INSTANCE is postfix (the sender, default), postfix-two or postfix-in.

. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

# --- machines and instances ------------------------------------------------------------------------------------------

# pf_up M [NSPAWN-OPTION...]: a machine with sender and receiver running.
pf_up() {
	lab_up "$@"
	lab_wait 20 "the sender listens" lab_listens "$1" 127.0.0.1
	lab_wait 20 "the receiver listens" lab_listens "$1" 127.0.0.2
}

# pf_second_up M: starts the second sender, postfix-two.
pf_second_up() {
	lab_exec "$1" rm /etc/systemd/system/postfix@postfix-two.service
	lab_exec "$1" systemctl daemon-reload
	lab_exec "$1" systemctl start postfix@postfix-two.service
	lab_wait 20 "the second sender listens" lab_listens "$1" 127.0.0.3
}

# pf_unit INSTANCE: the name of its systemd unit.
pf_unit() {
	case $1 in
	postfix) echo postfix@-.service ;;
	*) echo "postfix@$1.service" ;;
	esac
}

# pf_conf M INSTANCE NAME=VALUE...: changes main.cf and reloads the instance.
pf_conf() {
	local m=$1 instance=$2
	shift 2
	lab_exec "$m" postconf -c "/etc/$instance" -e "$@"
	pf_reload "$m" "$instance"
}

pf_reload() {
	# By its own command and not the unit: it returns when the reload has been asked for, and leaves one line in the log.
	lab_exec "$1" postfix -c "/etc/$2" reload 2>/dev/null
}

# pf_retry M RUN-DELAY MIN-BACKOFF MAX-BACKOFF [LIFETIME [INSTANCE]]: when a sender tries again, and how long. As set
# up: 5s 10s 10s 5d. With 1h as backoff a message rests in deferred/ after its first attempt.
pf_retry() {
	pf_conf "$1" "${6:-postfix}" "queue_run_delay=$2" "minimal_backoff_time=$3" "maximal_backoff_time=$4" \
		"maximal_queue_lifetime=${5:-5d}" "bounce_queue_lifetime=${5:-5d}"
}

# pf_reply_filter M on|off [INSTANCE]: the sender takes each 450 of a receiver for a 550, as if the wire had said so.
pf_reply_filter() {
	# shellcheck disable=SC2016 # for Postfix to expand
	pf_filter "$1" "${3:-postfix}" smtp_reply_filter "$2" '/^450(.*)/ 550$1'
}

# pf_status_filter M on|off [INSTANCE]: the sender makes each temporary failure a permanent one after the attempt.
pf_status_filter() {
	# shellcheck disable=SC2016 # for Postfix to expand
	pf_filter "$1" "${3:-postfix}" smtp_delivery_status_filter "$2" '/^4(\..*)/ 5$1'
}

pf_filter() {
	local m=$1 instance=$2 parameter=$3 state=$4 rule=$5 value=
	if [ "$state" = on ]; then
		value=regexp:/etc/$instance/$parameter
		printf '%s\n' "$rule" >"$(lab_root "$m")/etc/$instance/$parameter"
	fi
	pf_conf "$m" "$instance" "$parameter=$value"
}

# pf_answer M PATTERN ANSWER: from now on the receiver gives ANSWER (an access(5) action: OK, "450 4.2.0 Try later",
# "550 5.1.1 No", greylist) to recipients that match the regular expression PATTERN, before all other rules.
pf_answer() {
	lab_prepend "$1" /etc/postfix-in/answers "/$2/ $3"
	pf_reload "$1" postfix-in
}

# pf_answers_reset M: the receiver answers as set up.
pf_answers_reset() {
	lab_exec "$1" cp /etc/postfix-in/answers.default /etc/postfix-in/answers
	pf_reload "$1" postfix-in
}

# --- messages --------------------------------------------------------------------------------------------------------

# pf_send M [-i INSTANCE] [-f SENDER] [-m MESSAGE-ID] [-s SUBJECT] [-b BODY] RECIPIENT...
# By the instance's sendmail command. Default sender: app@example.com, whose NDRs are stored like other mail.
# MESSAGE-ID without angle brackets; default: a new one. Prints the Message-ID.
pf_send() {
	local m=$1 instance=postfix sender=app@example.com id="" subject="lab" body="Sent by the lab." option
	shift
	local OPTIND=1
	while getopts i:f:m:s:b: option; do
		case $option in
		i) instance=$OPTARG ;;
		f) sender=$OPTARG ;;
		m) id=$OPTARG ;;
		s) subject=$OPTARG ;;
		b) body=$OPTARG ;;
		*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	[ -n "$id" ] || id=lab.$(date +%s.%N).$RANDOM@example.com
	printf 'From: <%s>\nTo: undisclosed-recipients:;\nSubject: %s\nMessage-ID: <%s>\n\n%s\n' \
		"$sender" "$subject" "$id" "$body" |
		lab_exec "$m" sendmail -C "/etc/$instance" -i -f "$sender" -- "$@"
	printf '%s\n' "$id"
}

# pf_deferred M MESSAGE-ID|RECIPIENT [INSTANCE]: ids of its queue files that are in deferred/ now; fails if there is none.
# A RECIPIENT counts only while it is not done. The files themselves are read: no line gets into the log.
pf_deferred() {
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$1" sh -c '
		status=1
		for file in $(find "/var/spool/$2/deferred" -type f -perm -u+x); do
			id=${file##*/}
			envelope=$(postcat -c "/etc/$2" -eh "$file" 2>/dev/null) || continue
			if printf "%s\n" "$envelope" | grep -qiFx -e "Message-ID: <$1>" -e "recipient: $1"; then
				echo "$id"
				status=0
			fi
		done
		exit $status' - "$2" "${3:-postfix}"
}

# pf_wait_deferred M MESSAGE-ID|RECIPIENT [SECONDS [INSTANCE]]: waits until it is in deferred/ and prints its queue id.
pf_wait_deferred() {
	lab_wait "${3:-15}" "$2 in deferred/" pf_deferred "$1" "$2" "${4:-postfix}"
}

# pf_queue_file M ID [INSTANCE]: path inside the machine of a queue file, wherever it is; fails if there is none.
pf_queue_file() {
	lab_exec "$1" find "/var/spool/${3:-postfix}"/{maildrop,incoming,active,deferred,hold,corrupt} -type f -name "$2" |
		grep .
}

# pf_vanish M ID [INSTANCE]: what nobody should do: removes the queue file behind Postfix's back.
pf_vanish() {
	local file
	file=$(pf_queue_file "$1" "$2" "${3:-postfix}") || lab_die "machine $1: no queue file $2"
	lab_exec "$1" rm "$file"
}

# pf_queue_empty M [INSTANCE]: nothing left to deliver?
pf_queue_empty() {
	[ -z "$(lab_exec "$1" postqueue -c "/etc/${2:-postfix}" -j)" ]
}

# --- what became of them ---------------------------------------------------------------------------------------------

# pf_deliveries M MESSAGE-ID RECIPIENT: how often the receiver stored that message for that recipient.
pf_deliveries() {
	pf_count_stored "$1" "$3" header "$2"
}

# pf_ndrs M MESSAGE-ID SENDER: how many failure reports about that message the sender has got (stored at example.com).
pf_ndrs() {
	pf_count_stored "$1" "$3" report "$2"
}

# In a delivery the Message-ID stands in the header; in a report it is below, in the part that quotes the original.
pf_count_stored() {
	local dir
	dir=$(lab_root "$1")/var/mail-in/${2#*@}/${2%@*}/new
	[ -d "$dir" ] || { echo 0; return 0; }
	find "$dir" -type f -exec awk -v part="$3" -v id="<$4>" '
		FNR == 1 { header = 1; counted = 0 }
		header && /^$/ { header = 0 }
		tolower($1) == "message-id:" && $2 == id && header == (part == "header") && !counted { n++; counted = 1 }
		END { print n + 0 }' {} + | awk '{ sum += $1 } END { print sum + 0 }'
}

# pf_wait_delivered M MESSAGE-ID RECIPIENT [SECONDS]
pf_wait_delivered() {
	lab_wait "${4:-30}" "delivery of $2 to $3" pf_delivered "$1" "$2" "$3"
}

pf_delivered() {
	[ "$(pf_deliveries "$1" "$2" "$3")" -gt 0 ]
}

# pf_log M [PATTERN]: the sender's log, or its lines that match the extended regular expression; fails if none does.
pf_log() {
	grep -E "${2:-}" "$(lab_root "$1")/var/log/mail.log"
}

# pf_wait_log M PATTERN [SECONDS]: waits for such a line and prints all that match.
pf_wait_log() {
	lab_wait "${3:-15}" "a line like $2 in the sender's log" pf_log "$1" "$2"
}

# pf_queue_id M MESSAGE-ID: the ids the message has had, by the sender's log, first to last.
pf_queue_id() {
	grep -F "message-id=<$2>" "$(lab_root "$1")/var/log/mail.log" | sed -nE 's/.*cleanup\[[0-9]+\]: ([^:]+): .*/\1/p' | grep .
}
