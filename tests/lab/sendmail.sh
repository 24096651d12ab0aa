# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Sendmail lab, for tests: to be sourced. What the receiver answers to whom is told in sendmail-setup.sh. M is a
# machine's name.

export MQW_LAB_MTA=sendmail
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

# sm_up M [NSPAWN-OPTION...]: a machine with sender and receiver running.
sm_up() {
	lab_up "$@"
	lab_wait 20 "the sender listens" lab_listens "$1" 127.0.0.1
	lab_wait 20 "the receiver listens" lab_listens "$1" 127.0.0.2
}

# sm_answer M KEY ANSWER: from now on the receiver gives ANSWER (ok, soft, hard, grey) to this address or domain.
sm_answer() {
	lab_prepend "$1" /etc/lab/answers "$2: $3"
}

# sm_lifetime M VALUE: Timeout.queuereturn from now on, with a restart; "" as Sendmail has it by default.
sm_lifetime() {
	sm_option "$1" Timeout.queuereturn "$2"
	lab_exec "$1" systemctl restart sendmail.service
	lab_wait 20 "the sender listens" lab_listens "$1" 127.0.0.1
}

# sm_option M NAME VALUE: sets it in sendmail.cf, or takes it out of it.
sm_option() {
	local file
	file=$(lab_root "$1")/etc/mail/sendmail.cf
	sed -i "/^O $2=/d" "$file"
	[ -z "$3" ] || sed -i "0,/^#* *O /s//O $2=$3\n&/" "$file"
}

# sm_send M [-f SENDER] RECIPIENT...: by SMTP, as an application does. Prints the queue id. Default sender:
# app@example.com, whose NDRs are stored like other mail. The Message-ID is that of sm_message_id.
sm_send() {
	local m=$1 sender=app@example.com number
	shift
	if [ "$1" = -f ]; then
		sender=$2
		shift 2
	fi
	number=$(date +%s%N)
	# shellcheck disable=SC2016 # for Python
	lab_exec "$m" python3 -c '
import smtplib, sys
sender, number, to = sys.argv[1], sys.argv[2], sys.argv[3:]
smtplib.SMTP("127.0.0.1").sendmail(sender, to, "From: <%s>\nTo: undisclosed:;\nSubject: lab\nMessage-ID: <%s@lab.test>\n\nBody\n"
    % (sender, number))' "$sender" "$number" "$@"
	lab_wait 10 "a queue id for $number" sm_log "$m" "msgid=<$number@lab.test>" >/dev/null
	sm_log "$m" "msgid=<$number@lab.test>" | head -1 | sed -nE 's/.*sm-mta\[[0-9]+\]: ([^:]+): from=.*/\1/p'
}

# sm_message_id M QUEUE-ID
sm_message_id() {
	sm_log "$1" " $2: from=" | head -1 | sed -nE 's/.* msgid=<([^>]+)>.*/\1/p'
}

# sm_log M PATTERN: the sender's lines that match the extended regular expression; fails if none does.
sm_log() {
	grep -E -- "$2" "$(lab_root "$1")/var/log/mail.log"
}

# sm_wait_log M PATTERN [SECONDS]
sm_wait_log() {
	lab_wait "${3:-15}" "a line like $2 in the sender's log" sm_log "$1" "$2" >/dev/null
}

# sm_wait_deferred M QUEUE-ID
sm_wait_deferred() {
	sm_wait_log "$1" " $2: to=.*stat=Deferred"
}

# sm_file M LETTER QUEUE-ID: path inside the machine of the message's file with that letter; fails if there is none.
sm_file() {
	lab_exec "$1" find /var/spool/mqueue -name "$2f$3" | grep .
}

# sm_vanish M QUEUE-ID: what nobody should do: removes its files behind Sendmail's back, between two queue runs.
sm_vanish() {
	local envelope
	envelope=$(sm_file "$1" q "$2")
	# Whoever works on the message has its envelope locked, and would write it anew.
	lab_exec "$1" flock "$envelope" rm "$envelope" "$(sm_file "$1" d "$2")"
}

# sm_deliveries M MESSAGE-ID RECIPIENT: how often the receiver stored that message for that recipient.
sm_deliveries() {
	sm_count "$1" "$3" header "$2"
}

# sm_ndrs M MESSAGE-ID SENDER: how many failure reports about that message the sender has got.
sm_ndrs() {
	sm_count "$1" "$3" report "$2"
}

# In a delivery the Message-ID stands in the header; in a report it is below, in the part that quotes the original.
sm_count() {
	find "$(lab_root "$1")/var/mail-in/new" -type f -exec awk -v to="$2" -v part="$3" -v id="<$4>" '
		FNR == 1 { header = 1 }
		header && /^$/ { header = 0 }
		header && $1 == "X-Envelope-To:" && tolower($2) == tolower(to) { own[FILENAME] = 1 }
		tolower($1) == "message-id:" && $2 == id && header == (part == "header") { seen[FILENAME] = 1 }
		END { for (f in seen) n += (f in own); print n + 0 }' {} + | awk '{ sum += $1 } END { print sum + 0 }'
}

# sm_body M MESSAGE-ID: what follows the header, in the first copy that the receiver stored.
sm_body() {
	awk '/^$/ { body = 1; next } body' "$(grep -lirF "message-id: <$2>" "$(lab_root "$1")/var/mail-in/new" | head -1)"
}

# sm_delivered M MESSAGE-ID RECIPIENT
sm_delivered() {
	[ "$(sm_deliveries "$1" "$2" "$3")" -gt 0 ]
}
