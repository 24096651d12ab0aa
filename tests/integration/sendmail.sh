#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog beside a real Sendmail, under a real systemd. Prints "ok"/"not ok" lines and "N passed, N failed"; exit
# status 1 when one failed, 77 when the lab cannot run here. About three minutes, of which two are Sendmail's grace: its
# queue does not tell a message that waits from one that is being delivered, so that a missing file counts after 60 s.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/sendmail.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=${MQW_LAB_MACHINE:-sendmail-$$}
declare -A ID MESSAGE
PLACES=

# config SLACK MIN-LIFETIME RULES
config() {
	wd_config "$M" <<-END
		version: 1
		mode: act
		instances:
		  - {name: outbound, type: sendmail, log: journal, slack: $1, min_lifetime: $2}
		rules:
		$3
	END
}

RECOVER='  - name: resend what was lost
    when: {verdict: [vanished, false_ndr]}
    do: [recover, {alert: journal}]'

# sent NAME RECIPIENT...: remembers its ids, and waits for its first deferral.
sent() {
	local name=$1
	shift
	ID[$name]=$(sm_send "$M" "$@")
	MESSAGE[$name]=$(sm_message_id "$M" "${ID[$name]}")
	sm_wait_deferred "$M" "${ID[$name]}"
	PLACES="$PLACES $(sm_file "$M" q "${ID[$name]}" || :)"
}

# verdict NAME RECIPIENT WORD [SECONDS]
verdict() {
	lab_wait "${4:-10}" "$1: $3" wd_has_verdict "$M" "${ID[$1]}" "$2" "$3"
}

# silent NAME: the watchdog has no word about this message.
silent() {
	! wd_says "$M" "message ${ID[$1]}" >/dev/null
}

wait_kept() {
	lab_wait 10 "a copy of $1" lab_exec "$M" test -e "/var/lib/mailq-watchdog/vault/outbound/${ID[$1]}"
}

deliveries() {
	sm_deliveries "$M" "${MESSAGE[$1]}" "$2"
}

delivered() {
	lab_wait "${3:-30}" "delivery to $2" sm_delivered "$M" "${MESSAGE[$1]}" "$2"
}

# --- the cases -----------------------------------------------------------------------------------------------------------

test_start() {
	check "runs as a user of its own" equal "$(lab_exec "$M" ps -o user:32= -p "$(wd_pid "$M")")" mailq-watchdog
	check "stays silent at the start" not wd_says "$M" 'vanished|false_ndr|overdue'
	check "knows a message that was there before it" verdict before before@never.test pending
}

# Three recipients of which one is lost, and one message that has lost its body alone. Found after the grace.
begin_vanished() {
	sent vanished ok3@mixed.test soft3@mixed.test hard3@mixed.test
	sent body body@never.test
	wait_kept vanished
	wait_kept body
	sm_vanish "$M" "${ID[vanished]}"
	lab_exec "$M" rm "$(sm_file "$M" d "${ID[body]}")"
	sm_answer "$M" soft3@mixed.test ok
}

# What a user's command cannot hand to the daemon waits in another queue: that it is not in this one is no loss.
begin_client() {
	sed 's/^D{MTAHost}.*/D{MTAHost}[127.0.0.9]/' "$(lab_root "$M")/etc/mail/submit.cf" \
		>"$(lab_root "$M")/etc/mail/lab-submit.cf"
	printf 'Subject: lab\n\nBody\n' | lab_exec "$M" sendmail -C /etc/mail/lab-submit.cf -i away@ok.test || :
	sm_wait_log "$M" 'to=away@ok.test.*stat=Deferred'
	ID[client]=$(sm_log "$M" 'to=away@ok.test.*stat=Deferred' | head -1 | sed -nE 's/.*\]: ([^:]+): to=.*/\1/p')
	printf 'Subject: lab\n\nBody\n' | lab_exec "$M" sendmail -i near@ok.test
	sm_wait_log "$M" 'to=near@ok.test.*stat=Sent .*Message accepted'
	ID[near]=$(sm_log "$M" 'to=near@ok.test.*stat=Sent .*Message' | head -1 | sed -nE 's/.*\]: ([^:]+): to=.*/\1/p')
}

test_client() {
	check "client: handed off to the daemon" verdict near near@ok.test handed_off
	check "client: what waits with it is pending" verdict client away@ok.test pending
	check "client: nothing said" silent client
}

test_greylisted() {
	sent greylisted patient@grey.test
	check "greylisted: pending" verdict greylisted patient@grey.test pending
	check "greylisted: delivered" delivered greylisted patient@grey.test 20
	check "greylisted: known as delivered" verdict greylisted patient@grey.test delivered
	check "greylisted: nothing said" silent greylisted
}

test_quarantine() {
	sent held admin@never.test
	sent taken admin@never.test
	lab_exec "$M" sendmail -Am -Qodd "-qI${ID[held]}" >/dev/null
	lab_exec "$M" sendmail -Am -Qodd "-qI${ID[taken]}" >/dev/null
	check "quarantine: held" verdict held admin@never.test held
	lab_exec "$M" sendmail -Am -Q -qQ "-qI${ID[held]}" >/dev/null
	check "quarantine: released" verdict held admin@never.test pending
	lab_exec "$M" rm "$(sm_file "$M" h "${ID[taken]}")" "$(sm_file "$M" d "${ID[taken]}")"
}

end_vanished() {
	check "vanished: said" wd_wait_says "$M" "vanished \(certain\): message ${ID[vanished]} .*<soft3@mixed.test>" 90
	check "vanished: recovered" delivered vanished soft3@mixed.test
	sleep 4
	check "vanished: each recipient was mailed right often" equal \
		"$(deliveries vanished ok3@mixed.test) $(deliveries vanished soft3@mixed.test)" "1 1"
	check "vanished: the rightful failure report came once" equal \
		"$(sm_ndrs "$M" "${MESSAGE[vanished]}" app@example.com)" 1
	check "vanished: it is relocated now" verdict vanished soft3@mixed.test relocated
	check "body lost: said" wd_wait_says "$M" "vanished .*: message ${ID[body]} .*<body@never.test>" 30
	# Sendmail has made one of its own meanwhile, which is empty.
	check "body lost: put back" lab_wait 20 "a body" lab_exec "$M" grep -q Body "$(sm_file "$M" d "${ID[body]}")"
	sm_answer "$M" body@never.test ok
	check "body lost: delivered" delivered body body@never.test
	check "body lost: it is the same" equal "$(sm_body "$M" "${MESSAGE[body]}")" Body
	check "taken out of quarantine: removed" verdict taken admin@never.test removed 30
	check "taken out of quarantine: nothing said" silent taken
	check "quarantine: nothing said" silent held
}

# A lifetime of seconds, a warning before; the report is false, and what it was about is mailed again.
test_false_ndr() {
	sm_option "$M" Timeout.queuewarn 3s
	sm_lifetime "$M" 9s
	sent short -f misled@example.com short@never.test
	wait_kept short
	wd_slow_helper "$M" 9
	check "false NDR: said" wd_wait_says "$M" "false_ndr \(certain\): message ${ID[short]} .*<short@never.test>" 30
	check "false NDR: after a warning" sm_log "$M" "${ID[short]}: .*: sender notify: Cannot send message for 9 seconds"
	sm_option "$M" Timeout.queuewarn 4h
	sm_lifetime "$M" 0s
	ID[zero]=$(sm_send "$M" zero@never.test)
	check "false NDR: at once" wd_wait_says "$M" "false_ndr \(certain\): message ${ID[zero]} .*<zero@never.test>" 20
	sm_lifetime "$M" now
	ID[now]=$(sm_send "$M" now@never.test)
	check "false NDR: untried" wd_wait_says "$M" "false_ndr \(certain\): message ${ID[now]}" 20
	sm_answer "$M" short@never.test ok
	sm_lifetime "$M" ""
	wd_slow_helper "$M" off
	check "false NDR: mailed again" delivered short short@never.test 40
	check "false NDR: once" equal "$(deliveries short short@never.test)" 1
}

# The lifetime that is meant to be so runs out: rightful.
test_expired() {
	config 2h 5s "$RECOVER"
	sm_lifetime "$M" 8s
	wd_restart "$M"
	sent expired expired@never.test
	check "expired: rightful" verdict expired expired@never.test expired 30
	check "expired: nothing said" silent expired
	sm_lifetime "$M" ""
}

# A line tells of each message that leaves the queue: the same verdicts, and the loss is seen without it.
begin_level_10() {
	sm_option "$M" LogLevel 10
	lab_exec "$M" systemctl restart sendmail.service
	lab_wait 20 "the sender listens" lab_listens "$M" 127.0.0.1
	sent lost10 ok10@mixed.test lost10@never.test
	wait_kept lost10
	sm_vanish "$M" "${ID[lost10]}"
	sm_answer "$M" lost10@never.test ok
}

end_level_10() {
	sent grey10 late10@grey.test
	check "level 10: delivered" delivered grey10 late10@grey.test 30
	check "level 10: a line tells of its end" sm_wait_log "$M" "${ID[grey10]}: done; delay="
	check "level 10: known as delivered" verdict grey10 late10@grey.test delivered
	check "level 10: nothing said" silent grey10
	check "level 10: said of what is lost" wd_wait_says "$M" "vanished \(certain\): message ${ID[lost10]} .*<lost10@never.test>" 100
	check "level 10: no line told of its end" not sm_log "$M" "${ID[lost10]}: done; delay="
	check "level 10: recovered" delivered lost10 lost10@never.test
	sleep 4
	check "level 10: each recipient was mailed right often" equal \
		"$(deliveries lost10 ok10@mixed.test) $(deliveries lost10 lost10@never.test)" "1 1"
}

# scanned NAME RECIPIENT: "VERDICT CONFIDENCE" of the offline scan with the queue at hand
scanned() {
	python3 -c '
import json, sys
for v in map(json.loads, open(sys.argv[1])):
    if v.get("queue_id") == sys.argv[2] and v.get("recipient") == sys.argv[3]:
        print(v["verdict"], v["confidence"])' "$SCAN" "${ID[$1]}" "$2"
}

# The same log and queue, without the daemon: the queue has several directories, one with directories for each kind of file.
test_scan_queue() {
	local i first="" second="" place
	wd_stop "$M"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		sent "queue$i" "queue$i@never.test"
		place=$(lab_wait 10 "its envelope" sm_file "$M" q "${ID[queue$i]}")
		case $place in
		*/mqueue/q1/qf/*) first="$first queue$i" ;;
		*) second="$second queue$i" ;;
		esac
		[ "$(wc -w <<<"$first")" -lt 2 ] || [ "$(wc -w <<<"$second")" -lt 2 ] || break
	done
	# shellcheck disable=SC2086 # two words or more of each
	set -- $first $second
	# One lost from either, and of one that stays the body alone: that Sendmail says itself, and makes an empty one.
	sm_vanish "$M" "${ID[${first##* }]}"
	sm_vanish "$M" "${ID[${second##* }]}"
	lab_exec "$M" rm "$(sm_file "$M" d "${ID[$1]}")"
	sent heldq heldq@never.test
	lab_exec "$M" sendmail -Am -Qodd "-qI${ID[heldq]}" >/dev/null
	sleep 12 # log and queue are not in step by the second
	SCAN=$(mktemp)
	lab_exec "$M" mailq-watchdog scan --all --format json --queue /var/spool/mqueue /var/log/mail.log >"$SCAN" || :
	for i in "$@"; do
		case $i in
		"${first##* }" | "${second##* }") place="vanished certain" ;;
		"$1") place="vanished probable" ;;
		*) place="pending certain" ;;
		esac
		check "scan --queue: ${place% *}, from $(grep -qw "$i" <<<"$first" && echo q1 || echo q2)" \
			equal "$(scanned "$i" "$i@never.test")" "$place"
	done
	check "scan --queue: held" equal "$(scanned heldq heldq@never.test)" "held certain"
	check "scan --queue: nothing more is missing" equal "$(grep -c '"verdict":"vanished","confidence":"certain"' "$SCAN")" 2
	rm -f "$SCAN"
	wd_start "$M"
}

# The queue is run no more: one restart, after which SMTP answers.
test_restart() {
	local started
	config 4s 4h '  - name: stuck
    when: {verdict: overdue}
    do:
      - restart: {at_most: 1 per 1h, cooldown: 1m, healthy: {smtp: "127.0.0.1:25", within: 30s}}'
	wd_restart "$M"
	sed -i 's/^QUEUE_INTERVAL=.*/QUEUE_INTERVAL="60m"/' "$(lab_root "$M")/etc/mail/sendmail.conf"
	lab_exec "$M" systemctl restart sendmail.service
	started=$(lab_exec "$M" systemctl show -P ActiveEnterTimestampMonotonic sendmail.service)
	sent stuck stuck@never.test
	check "stuck: one restart" wd_wait_says "$M" "restart done.*SMTP answers" 60
	check "stuck: systemd saw it" test \
		"$(lab_exec "$M" systemctl show -P ActiveEnterTimestampMonotonic sendmail.service)" -gt "$started"
}

lab_need_root
[ -n "${MQW_LAB_MACHINE:-}" ] || lab_trap
[ -d "$(lab_root "$M")" ] || sm_up "$M"
wd_install "$M"
config 2h 4h "$RECOVER"
sent before before@never.test
wd_start "$M"
lab_wait 10 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
test_start
begin_vanished
begin_client
test_greylisted
test_quarantine
end_vanished
test_client
test_false_ndr
test_expired
config 2h 4h "$RECOVER"
wd_restart "$M"
begin_level_10
end_level_10
test_scan_queue
test_restart
check "both directories of the queue were in use" test "${PLACES/mqueue\/q1\/qf/}" != "$PLACES" -a "${PLACES/mqueue\/q2/}" != "$PLACES"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
