#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog on a Linux host, beside a stand-in for Exchange 2003: a real smbd that shares the message tracking log and has
# the SMTP service. Lines are written on the share as Exchange would write them; what is restarted is restarted by net.
# Prints "ok"/"not ok" lines and "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/exchange.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=exch-$$
S=exchsrv-$$
ETC=/etc/mailq-watchdog
URL=smb://exch2003/tracking/
ALERTS=/var/lib/mailq-watchdog/alerts

# configure BUDGET: one instance that works, with so many restarts an hour, and three that read the same log and cannot restart
# anything.
configure() {
	wd_config "$M" <<-END
		version: 1
		mode: act
		instances:
		  - {name: exchange, type: exchange, log: ["$URL*.log", "smb://exch2003/smtplogs/ex*.log"], credentials: $ETC/read,
		     restart_credentials: $ETC/restart, service: SMTPSVC, slack: 10s}
		  - {name: stranger, type: exchange, log: "$URL*.log", credentials: $ETC/restart, service: NoSuchService, slack: 10s}
		  - {name: forgot, type: exchange, log: "$URL*.log", credentials: $ETC/read, restart_credentials: $ETC/wrong,
		     service: SMTPSVC, slack: 10s}
		  - {name: folders, type: iis-smtp, log: "smb://exch2003/smtplogs/ex*.log", queue: "smb://exch2003/mailroot/",
		     credentials: $ETC/read}
		  - {name: reader, type: exchange, log: "$URL*.log", credentials: $ETC/read, service: SMTPSVC, slack: 10s}
		rules:
		  - name: shake
		    when: {verdict: [overdue, vanished], instance: exchange}
		    do: [{restart: {at_most: $1 per 1h, cooldown: 1s}}, {alert: file}]
		  - name: bad mail
		    when: {verdict: held, instance: folders}
		    do: [{alert: file}]
		  - name: stubborn
		    when: {verdict: [overdue, vanished], instance: exchange, recipient: "stubborn@*"}
		    do: [{restart: {at_most: 1 per 1h, cooldown: 1m}}]
		  - name: hopeless
		    when: {verdict: [overdue, vanished], instance: [stranger, forgot, reader], recipient: "second@*"}
		    do: [{restart: {at_most: 10 per 1h, cooldown: 0s}}]
		alerts:
		  file: {command: [/usr/bin/tee, -a, $ALERTS]}
	END
}

# Exchange's own retries end after 4 hours at most, and slack is 10 s: glitch N RECIPIENT: a message that is overdue in N s.
glitch() {
	exch_glitch "$S" "$2@EXCH2003" "$2@example.net" $((14400 + 10 + 61 - $1))
}

# A server whose log stands still proves nothing.
heartbeat() {
	local n=0
	while sleep 2; do
		n=$((n + 1))
		exch_track "$S" 1027 "beat$n@EXCH2003" beat@example.net
		exch_release "$S" "beat$n@EXCH2003" beat@example.net
	done
}

starts() {
	exch_calls "$S" | grep -c start || :
}

service_runs() {
	[ -e "$(lab_root "$S")/var/lib/exch-svc/SMTPSVC.running" ]
}

# silent PATTERN
silent() {
	! wd_says "$M" "$1" >/dev/null
}

count() {
	wd_says "$M" "$1" | wc -l
}

test_wrong_password() {
	exch_credentials "$M" read reader wrong
	wd_start "$M"
	check "wrong password: said, and for whom" wd_wait_says "$M" \
		"exch2003/tracking/.* cannot be read: .*user name or password are wrong.*\"reader\" of $ETC/read" 30
	exch_credentials "$M" read reader Lab-pass-1
	check "right password: read, without a restart" wd_wait_says "$M" "exch2003/tracking/.* is read again, after" 60
	check "wrong password: nowhere in the journal" silent "Lab-pass|wrong\$"
}

test_story() {
	check "glitch: found" wd_wait_says "$M" "overdue .*message first@EXCH2003 .*<first@example.net>" 120
	check "glitch: what it was answered stands in the other log" wd_wait_says "$M" "first@EXCH2003 .*: last answer 450" 30
	check "glitch: the service is restarted over the network" wd_wait_says "$M" \
		"restart done \(rule \"shake\"\): SMTPSVC on exch2003 was stopped .* and started .*, and runs" 60
	check "glitch: Exchange saw stop and start" equal "$(exch_calls "$S" | tr '\n' ' ')" "SMTPSVC stop SMTPSVC start "
	exch_release "$S" first@EXCH2003 first@example.net
	check "released: it is in no trouble any more" wd_wait_says "$M" "no longer overdue, now (pending|delivered): message first@EXCH2003" 30
	check "released: the case is closed" lab_wait 20 delivered wd_has_verdict "$M" first@EXCH2003 first@example.net delivered
	check "released: said of the restart" wd_wait_says "$M" \
		"after the restart of exchange, of 1 messages that were stuck: 1 went out \(first@EXCH2003\)" 30
	check "released: the channel is told" lab_wait 20 "an alert" alerted '"type":"restart".*"went_out":\["first@EXCH2003"\]'
}

# alerted PATTERN: the channel got an alert with that.
alerted() {
	grep -E "$1" "$(lab_root "$M")$ALERTS"
}

# lies FOLDER/NAME AGE CONTENT: a file in mailroot.
lies() {
	local file
	file=$(exch_share "$S")/mailroot/$1
	mkdir -p "${file%/*}"
	printf '%b' "$3" >"$file"
	touch -d "$2 ago" "$file"
	chmod -R a+rX "$(exch_share "$S")/mailroot"
}

# Since the beginning one file lies in Queue for longer than mail lives, and one in Badmail.
test_mailroot() {
	check "mailroot: what lies in Queue for too long is found" wd_wait_says "$M" \
		"overdue \(certain\): message NTFS_01.EML from <old@example.com> to <stuck@example.net>: still in the queue" 60
	check "mailroot: shown by status" lab_exec "$M" sh -c "mailq-watchdog status | grep -A 2 '1 in Queue'"
	check "mailroot: what lay in Badmail before is no news" silent "old.BAD"
	lies Badmail/new.BAD "1 minute" 'From: postmaster@exch2003\r\nTo: forged@example.org\r\n\r\n'
	lies Badmail/new.BDP "1 minute" 'Unable to deliver this message\r\n'
}

# The same message is found by three more instances.
test_hopeless() {
	check "service unknown: said" wd_wait_says "$M" \
		"restart failed .*NoSuchService on exch2003 cannot be restarted, .*there is no such service" 60
	check "wrong password of the restart: said" wd_wait_says "$M" \
		"restart failed .*left as it is: user name or password of the credentials are wrong" 60
	check "no administrator: said" wd_wait_says "$M" "restart failed .*cannot be stopped.*may not stop and start services" 90
	check "hopeless: Exchange saw no other restart" equal "$(starts)" 1
}

test_budget() {
	glitch 5 second
	check "budget: the next one is found" wd_wait_says "$M" "overdue .*message second@EXCH2003" 60
	check "budget: no second restart" wd_wait_says "$M" "restart not done .*budget of 1 in 60 min is used up" 30
	check "budget: Exchange saw none" equal "$(starts)" 1
}

test_stubborn() {
	local before
	before=$(starts)
	exch_service "$S" stubborn on
	glitch 5 stubborn
	check "stop that does not stop: said" wd_wait_says "$M" \
		"restart failed \(rule \"stubborn\"\): SMTPSVC on exch2003 was told to stop, and did not; .*it is running" 150
	check "stop that does not stop: not started" equal "$(starts)" "$before"
	exch_service "$S" stubborn off
}

# What is overdue while nobody can look is not said, and what was written meanwhile is read.
test_away() {
	lab_exec "$S" ip link set exch0 down
	glitch 10 away
	check "away: said" wd_wait_says "$M" "cannot be read: the server (does not answer|has not answered|cannot be reached)" 90
	sleep 40
	check "away: nothing is judged by silence" silent "message away@EXCH2003"
	check "away: said once of each log" equal \
		"$(count 'exch2003/(tracking|smtplogs)/.*cannot be read: the server (does not|has not|cannot)')" 6
	lab_exec "$S" ip link set exch0 up
	check "away: it is back" wd_wait_says "$M" "is read again, after .*(min|[3-9][0-9] s)" 90
	check "away: what was written meanwhile is read" wd_wait_says "$M" "overdue .*message away@EXCH2003" 60
	check "away: nothing is missing" silent "the log is incomplete"
}

test_frozen() {
	local before
	before=$(starts)
	lab_exec "$S" systemctl kill -s STOP smbd.service
	wd_ask "$M" restart exchange >/dev/null & # which waits for what comes of it
	sleep 2
	check "frozen: the watchdog answers" lab_exec "$M" timeout 5 mailq-watchdog status
	check "frozen: the restart is given up" wd_wait_says "$M" \
		"restart failed \(rule \"by hand\"\): .*cannot be restarted, .*the host does not answer" 120
	check "frozen: it is no wonder that the share is away" wd_wait_says "$M" "cannot be read: the server (has not|does not)" 90
	lab_exec "$S" systemctl kill -s CONT smbd.service
	check "frozen: nothing was restarted" equal "$(starts)" "$before"
}

# Killed between stop and start: no mail would go out there.
test_killed() {
	STOPS=$(stops)
	STARTS=$(starts)
	exch_service "$S" slow on
	configure 5
	lab_exec "$M" systemctl reload mailq-watchdogd
	glitch 8 killed
	check "killed: a restart is under way" lab_wait 60 "a stop" more_stops
	lab_exec "$M" systemctl kill -s KILL --kill-who=main mailq-watchdogd
	check "killed: the service is started nevertheless" lab_wait 90 "a start" more_starts
	check "killed: and runs" service_runs
	check "killed: its restart is not left open" wd_wait_says "$M" \
		"restart (done|may or may not have been done: look yourself) \(rule \"shake\"\): (the watchdog ended|.*cut off)" 90
	exch_service "$S" slow off
	check "mailroot: what came to Badmail is said" wd_wait_says "$M" \
		"new in Badmail .*new.BAD, a report of failure to <forged@example.org> \(Unable to deliver this message\)" 90
	check "mailroot: and told to whom a rule says so" lab_wait 30 "an alert" alerted '"verdict":"held".*"queue_id":"new.BAD"'
}

stops() {
	exch_calls "$S" | grep -c stop || :
}

more_stops() {
	[ "$(stops)" -gt "$STOPS" ]
}

more_starts() {
	[ "$(starts)" -gt "$STARTS" ]
}

lab_need_root
trap 'kill "${BEAT:-0}" 2>/dev/null; lab_down_owned' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
exch_up "$M" "$S"
wd_install "$M"
lab_exec "$M" install -D -m 644 -t /etc/systemd/system/mailq-watchdogd.service.d /usr/share/mailq-watchdog/remote-host.conf
lab_exec "$M" systemctl daemon-reload
exch_credentials "$M" restart watchdog Lab-pass-1
exch_credentials "$M" wrong watchdog no-pass-1
configure 1
heartbeat &
BEAT=$!
glitch 60 first
lies Queue/NTFS_01.EML "3 days" 'From: old@example.com\r\nTo: stuck@example.net\r\n\r\nhello\r\n'
lies Badmail/old.BAD "3 days" 'From: postmaster@exch2003\r\n\r\n'
exch_answer "$S" other@example.org 60 550+no
test_wrong_password
test_mailroot
test_story
test_budget
test_hopeless
test_stubborn
test_away
test_frozen
test_killed
check "no system call was refused" not wd_refused "$M"
if [ "$FAILED" != 0 ]; then
	exch_calls "$S"
	lab_exec "$M" journalctl -q --no-pager -o short-iso | grep mailq-watchdog | cut -c 1-300
fi
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
