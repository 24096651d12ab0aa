# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Exchange lab, for tests: to be sourced. Two machines: M, a Linux host with the watchdog, and S, which plays a Windows
# host with Exchange 2003 (exchange-server-setup.sh): its message tracking log on a share, written by a replayer line by
# line, and its SMTP service, to be restarted over the network. They see each other as 10.99.0.1 and 10.99.0.2 (exch2003).

export MQW_LAB_MTA=exchange
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

# exch_up M S: both, connected.
exch_up() {
	lab_up "$1"
	MQW_LAB_MTA=exchange-server lab_up "$2"
	exch_connect "$1" "$2"
	lab_wait 20 "smbd listens" exch_listens "$2"
}

exch_connect() {
	local a=mqw$$a b=mqw$$b
	ip link add "$a" type veth peer name "$b"
	ip link set "$a" netns "$(lab_init "$1")"
	ip link set "$b" netns "$(lab_init "$2")"
	lab_exec "$1" ip link set "$a" name exch0
	lab_exec "$2" ip link set "$b" name exch0
	lab_exec "$1" ip address add 10.99.0.1/24 dev exch0
	lab_exec "$2" ip address add 10.99.0.2/24 dev exch0
	lab_exec "$1" ip link set exch0 up
	lab_exec "$2" ip link set exch0 up
}

exch_listens() {
	[ -n "$(lab_exec "$1" ss -Hltn "sport = :445")" ]
}

# exch_share S: the server's files as this host sees them.
exch_share() {
	echo "$(lab_root "$1")/srv/exch"
}

# exch_credentials M NAME USER PASSWORD: a file /etc/mailq-watchdog/NAME for the watchdog.
exch_credentials() {
	local file=/etc/mailq-watchdog/$2
	lab_exec "$1" install -m 640 -o root -g mailq-watchdog /dev/null "$file"
	printf 'username = %s\npassword = %s\ndomain = LAB\n' "$3" "$4" >"$(lab_root "$1")$file"
}

# exch_calls S: what the services were told, without the questions for their state: "SMTPSVC stop" and the like.
exch_calls() {
	local log
	log=$(lab_root "$1")/var/lib/exch-svc/calls.log
	[ ! -e "$log" ] || awk '$3 != "status" { print $2, $3 }' "$log"
}

# exch_service S stubborn|slow|broken on|off: how SMTPSVC behaves from now on.
exch_service() {
	local file
	file=$(lab_root "$1")/var/lib/exch-svc/SMTPSVC.$2
	if [ "$3" = on ]; then : >"$file"; else rm -f "$file"; fi
}

# --- the replayer ------------------------------------------------------------------------------------------------------

# exch_track S EVENT MSGID RECIPIENT [SECONDS-AGO]: one line of the message tracking log, as Exchange 2003 writes it.
exch_track() {
	local file at=$(($(date +%s) - ${5:-0})) when
	file=$(exch_share "$1")/tracking/$(date -u -d "@$at" +%Y%m%d).log
	when=$(date -u -d "@$at" '+%Y-%-m-%-d	%-H:%-M:%-S GMT')
	[ -e "$file" ] || {
		printf '# Message Tracking Log File\r\n# Exchange System Attendant Version 6.5.7638.1\r\n# '
		printf '%s\t' Date Time client-ip Client-hostname Partner-Name Server-hostname server-IP Recipient-Address \
			Event-ID MSGID Priority Recipient-Report-Status total-bytes Number-Recipients Origination-Time Encryption \
			service-Version Linked-MSGID Message-Subject
		printf 'Sender-Address\r\n'
	} >"$file"
	printf '%s\t-\t-\tSMTP\tEXCH2003\t192.0.2.2\t%s\t%s\t%s\t0\t0\t1722\t1\t%s\t0\tVersion: 6.0.3790.4675\t-\tlab\ta@example.com\t-\r\n' \
		"$when" "$4" "$2" "$3" "${when/	/ }" >>"$file"
}

# exch_answer S RECIPIENT SECONDS-AGO ANSWER: what the SMTP service writes of one delivery, in W3C form; blanks of the answer
# as "+".
exch_answer() {
	local file at=$(($(date +%s) - $3)) when row
	file=$(exch_share "$1")/smtplogs/ex$(date -u -d "@$at" +%y%m%d).log
	when=$(date -u -d "@$at" '+%Y-%m-%d %H:%M:%S')
	row="$when 192.0.2.9 %s SMTPSVC1 EXCH2003 - 25 %s - %s 0 0 60 0 30 SMTP - - - -\\r\\n"
	{
		[ -s "$file" ] || printf '#Software: Microsoft Internet Information Services 6.0\r\n#Version: 1.0\r\n#Date: %s\r\n%s\r\n' \
			"$when" "#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem \
cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)"
		# shellcheck disable=SC2059 # the form of a row
		printf "$row" OutboundConnectionCommand MAIL "FROM:<a@example.com>" \
			OutboundConnectionResponse - 250+Ok \
			OutboundConnectionCommand RCPT "TO:<$2>" \
			OutboundConnectionResponse - "$4"
	} >>"$file"
}

# exch_glitch S MSGID RECIPIENT SECONDS-AGO: a message that is tried, tried again after a minute, and then never.
exch_glitch() {
	local event
	for event in 1027 1019 1025 1024 1033 1034; do
		exch_track "$1" "$event" "$2" "$3" "$4"
	done
	exch_track "$1" 1020 "$2" "$3" "$4"
	exch_answer "$1" "$3" "$4" "450+4.2.0+<$3>:+Recipient+address+rejected:+Greylisted"
	exch_track "$1" 1020 "$2" "$3" "$(($4 - 61))"
	exch_answer "$1" "$3" "$(($4 - 61))" "450+4.2.0+<$3>:+Recipient+address+rejected:+Greylisted"
}

# exch_release S MSGID RECIPIENT: what a restart of the service does for it.
exch_release() {
	exch_track "$1" 1020 "$2" "$3"
	exch_track "$1" 1031 "$2" "$3"
}
