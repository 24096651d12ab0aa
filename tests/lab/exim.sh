# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Exim lab, for tests: to be sourced. What the receiver answers to whom is told in exim-setup.sh. M is a machine's name.

export MQW_LAB_MTA=exim
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

# ex_up M [NSPAWN-OPTION...]: a machine with sender and receiver running.
ex_up() {
	lab_up "$@"
	lab_wait 20 "the sender listens" lab_listens "$1" 127.0.0.1
	lab_wait 20 "the receiver listens" lab_listens "$1" 127.0.0.2
}

# ex_answer M KEY ANSWER: from now on the receiver gives ANSWER (ok, soft, hard) to this address or domain.
ex_answer() {
	lab_prepend "$1" /etc/exim4/answers "$2: $3"
}

# ex_send M [-f SENDER] RECIPIENT...: prints the queue id. Default sender: app@example.com, whose NDRs are stored like other
# mail. The Message-ID is ID@lab.test of ex_message_id.
ex_send() {
	local m=$1 sender=app@example.com number
	shift
	if [ "$1" = -f ]; then
		sender=$2
		shift 2
	fi
	number=$(date +%s%N)
	printf 'From: <%s>\nTo: undisclosed:;\nSubject: lab\nMessage-ID: <%s@lab.test>\n\nBody\n' "$sender" "$number" |
		lab_exec "$m" exim4 -odb -f "$sender" -i -- "$@"
	lab_wait 10 "a queue id for $number" ex_log "$m" "id=$number@lab.test" >/dev/null
	ex_log "$m" "id=$number@lab.test" | head -1 | awk '{ print $3 }'
}

# ex_message_id M QUEUE-ID
ex_message_id() {
	ex_log "$1" " $2 <= " | head -1 | sed -nE 's/.* id=([^ ]+).*/\1/p'
}

# ex_log M PATTERN: the sender's lines that match the extended regular expression; fails if none does.
ex_log() {
	grep -E -- "$2" "$(lab_root "$1")/var/log/exim4/mainlog"
}

# ex_wait_log M PATTERN [SECONDS]
ex_wait_log() {
	lab_wait "${3:-15}" "a line like $2 in the sender's log" ex_log "$1" "$2" >/dev/null
}

# ex_wait_deferred M QUEUE-ID
ex_wait_deferred() {
	ex_wait_log "$1" " $2 == "
}

# ex_file M LETTER QUEUE-ID: path inside the machine of the message's file -H or -D, in whichever queue; fails if there is
# none.
ex_file() {
	lab_exec "$1" find /var/spool/exim4 -name "$3-$2" -path '*input/*' | grep .
}

# ex_vanish M QUEUE-ID: what nobody should do: removes its files behind Exim's back.
ex_vanish() {
	lab_exec "$1" rm "$(ex_file "$1" H "$2")" "$(ex_file "$1" D "$2")"
}

# ex_named M: from now on what comes by SMTP for a local part "named..." goes into the queue "slow", which only ex_run_named
# runs.
ex_named() {
	sed -i 's/^acl_smtp_rcpt = accept/acl_smtp_rcpt = rcpt/
		/^begin routers/i begin acl\nrcpt:\n  accept local_parts = ^named\n         queue = slow\n  accept' \
		"$(lab_root "$1")/etc/exim4/exim4.conf"
}

# ex_slow M: from now on the receiver takes its time, 8 s, for a recipient whose answer is slow.
# shellcheck disable=SC2016 # for Exim
ex_slow() {
	sed -i 's/^  accept$/  warn condition = ${if eq{$acl_m_answer}{slow}}\n       delay = 8s\n  accept/' \
		"$(lab_root "$1")/etc/exim4/receiver.conf"
	lab_exec "$1" systemctl restart exim-in.service
	lab_wait 20 "the receiver listens" lab_listens "$1" 127.0.0.2
}

# ex_die_unlogged M QUEUE-ID: delivers to a slow recipient, and dies when that is noted in ID-J and not logged yet: the
# process that delivers goes on, the one that would log it is stopped, and then both are killed.
ex_die_unlogged() {
	local pid pids
	(lab_exec "$1" exim4 -M "$2" || :) >/dev/null 2>&1 &
	lab_wait 5 "a delivery" ex_delivers "$1" "$2"
	pids=$(lab_exec "$1" pgrep -f "exim4 -M $2" | sort -n)
	for pid in ${pids%$'\n'*}; do
		lab_exec "$1" kill -STOP "$pid"
	done
	lab_wait 15 "a note of the delivery" ex_noted "$1" "$2"
	sleep 2 # the daemon looks for it once a second
	for pid in $pids; do
		lab_exec "$1" kill -KILL "$pid" 2>/dev/null || : # the one that delivers has ended
	done
}

# ex_noted M QUEUE-ID: its journal names somebody.
ex_noted() {
	lab_exec "$1" find /var/spool/exim4 -name "$2-J" -size +0 | grep -q .
}

# ex_delivers M QUEUE-ID: by a process of its own.
ex_delivers() {
	[ "$(lab_exec "$1" pgrep -f "exim4 -M $2" | wc -l)" = 2 ]
}

ex_run_named() {
	lab_exec "$1" exim4 -qffGslow
}

# ex_split M: from now on new messages go into a directory by their id.
ex_split() {
	sed -i '1i split_spool_directory = true' "$(lab_root "$1")/etc/exim4/exim4.conf"
}

# ex_send_smtp M RECIPIENT: as ex_send, by SMTP.
ex_send_smtp() {
	local number
	number=$(date +%s%N)
	printf '%s\r\n' "HELO lab.test" "MAIL FROM:<app@example.com>" "RCPT TO:<$2>" DATA "From: <app@example.com>" \
		"Message-ID: <$number@lab.test>" "" Body . QUIT | lab_exec "$1" exim4 -bs >/dev/null
	lab_wait 10 "a queue id for $number" ex_log "$1" "id=$number@lab.test" >/dev/null
	ex_log "$1" "id=$number@lab.test" | head -1 | awk '{ print $3 }'
}

# ex_deliveries M MESSAGE-ID RECIPIENT: how often the receiver stored that message for that recipient.
ex_deliveries() {
	ex_count "$1" "$3" header "$2"
}

# ex_ndrs M MESSAGE-ID SENDER: how many failure reports about that message the sender has got.
ex_ndrs() {
	ex_count "$1" "$3" report "$2"
}

# In a delivery the Message-ID stands in the header; in a report it is below, in the part that quotes the original.
ex_count() {
	local dir
	dir=$(lab_root "$1")/var/mail-in/new
	[ -d "$dir" ] || { echo 0; return 0; }
	find "$dir" -type f -exec awk -v to="$2" -v part="$3" -v id="<$4>" '
		FNR == 1 { header = 1; mine = counted = 0 }
		header && /^$/ { header = 0 }
		header && tolower($1) == "envelope-to:" && $2 == to { mine = 1 }
		tolower($1) == "message-id:" && $2 == id && header == (part == "header") { seen[FILENAME] = 1 }
		mine { own[FILENAME] = 1 }
		END { for (f in seen) n += (f in own); print n + 0 }' {} + | awk '{ sum += $1 } END { print sum + 0 }'
}

# ex_delivered M MESSAGE-ID RECIPIENT
ex_delivered() {
	[ "$(ex_deliveries "$1" "$2" "$3")" -gt 0 ]
}
