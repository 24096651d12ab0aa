#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog beside a real Postfix, under a real systemd: real losses, real deliveries. Prints "ok"/"not ok" lines and
# "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/postfix.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=integration-$$
GREYLISTED='450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/mixed.test.html'

# config MODE SLACK LOG: one instance, all that recovers
config() {
	wd_config "$M" <<-END
		version: 1
		mode: $1
		instances:
		  - {name: outbound, type: postfix, log: $3, service: postfix@-.service, slack: $2}
		rules:
		  - name: resend what was lost
		    when: {verdict: [vanished, false_ndr]}
		    do: [recover, {alert: journal}]
	END
}

# silent ID: the watchdog has no word about this message
silent() {
	! wd_says "$M" "message $1" >/dev/null
}

# wait_kept ID: the copy is in the vault
wait_kept() {
	lab_wait 10 "a copy of $1" lab_exec "$M" test -e "/var/lib/mailq-watchdog/vault/outbound/$1"
}

# --- the cases -----------------------------------------------------------------------------------------------------------

test_start() {
	check "runs as a user of its own" equal "$(lab_exec "$M" ps -o user:32= -p "$(wd_pid "$M")")" mailq-watchdog
	check "has one capability" equal \
		"$(lab_exec "$M" grep CapEff "/proc/$(wd_pid "$M")/status" | cut -f 2)" 0000000000000004
	check "answers status" lab_exec "$M" mailq-watchdog status
	check "stays silent at the start" not wd_says "$M" 'vanished|false_ndr|overdue'
}

# Greylisted for real by postgrey, then accepted.
test_greylisted() {
	local message id
	message=$(pf_send "$M" patient@grey.test)
	id=$(pf_wait_deferred "$M" "$message")
	check "greylisted: pending" lab_wait 10 "pending" wd_has_verdict "$M" "$id" patient@grey.test pending
	check "greylisted: delivered" pf_wait_delivered "$M" "$message" patient@grey.test 40
	check "greylisted: nothing said" silent "$id"
	check "greylisted: its copy is wiped once it is settled" lab_wait 90 "no copy" \
		lab_exec "$M" test ! -e "/var/lib/mailq-watchdog/vault/outbound/$id"
}

# Three recipients of which one is lost; it alone is mailed again.
test_vanished() {
	local message id begin
	message=$(pf_send "$M" ok3@mixed.test soft3@mixed.test hard3@mixed.test)
	id=$(pf_wait_deferred "$M" soft3@mixed.test)
	wait_kept "$id"
	pf_answer "$M" '^soft3@' OK
	begin=$(date +%s)
	pf_vanish "$M" "$id"
	check "vanished: said" wd_wait_says "$M" "vanished \(certain\): message $id .*<soft3@mixed.test>" 20
	check "vanished: within 15 s" test $(($(date +%s) - begin)) -le 15
	check "vanished: recovered" pf_wait_delivered "$M" "$message" soft3@mixed.test 30
	sleep 3
	check "vanished: each recipient was mailed right often" equal \
		"$(pf_deliveries "$M" "$message" ok3@mixed.test) $(pf_deliveries "$M" "$message" soft3@mixed.test)" "1 1"
	check "vanished: the rightful failure report came once" equal "$(pf_ndrs "$M" "$message" app@example.com)" 1
	check "vanished: it is relocated now" wd_has_verdict "$M" "$id" soft3@mixed.test relocated
	check "vanished: nothing in trouble any more" lab_exec "$M" mailq-watchdog list
}

test_postsuper() {
	local message id new
	message=$(pf_send "$M" admin@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	lab_exec "$M" postsuper -h "$id" 2>/dev/null
	check "hold: held" lab_wait 10 "held" wd_has_verdict "$M" "$id" admin@never.test held
	lab_exec "$M" postsuper -H "$id" 2>/dev/null
	check "release: pending" lab_wait 10 "pending" wd_has_verdict "$M" "$id" admin@never.test pending
	lab_exec "$M" postsuper -r "$id" 2>/dev/null
	lab_exec "$M" postqueue -f
	check "requeue: relocated" lab_wait 10 "relocated" wd_has_verdict "$M" "$id" admin@never.test relocated
	new=$(pf_wait_deferred "$M" "$message")
	lab_exec "$M" postsuper -d "$new" 2>/dev/null
	check "delete: removed" lab_wait 10 "removed" wd_has_verdict "$M" "$new" admin@never.test removed
	sleep 12 # the grace after which a file counts as gone
	check "postsuper: nothing said of either id" silent "($id|$new)"
	check "postsuper: nothing mailed" equal "$(pf_deliveries "$M" "$message" admin@never.test)" 0
}

# Deletes without naming an id: the summary alone makes silence prove nothing.
test_delete_all() {
	local message id
	message=$(pf_send "$M" everything@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	wait_kept "$id"
	lab_exec "$M" postsuper -d ALL deferred 2>/dev/null
	check "delete ALL: unknown, no alarm" lab_wait 20 "unknown" wd_has_verdict "$M" "$id" everything@never.test unknown
	check "delete ALL: nothing mailed" equal "$(pf_deliveries "$M" "$message" everything@never.test)" 0
}

# First a true deferral, then a filter that makes a 450 into a 550: a false failure report.
test_false_ndr() {
	local message id
	message=$(pf_send "$M" -f misled@example.com filtered@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	wait_kept "$id"
	wd_slow_helper "$M" 8 # so that what is mailed again does not meet the filter that is the cause
	pf_reply_filter "$M" on
	lab_exec "$M" postqueue -i "$id"
	check "false NDR: said" wd_wait_says "$M" "false_ndr \(certain\): message $id .*<filtered@never.test>" 20
	check "false NDR: names the code on the wire" wd_says "$M" "$id.*answered 450"
	check "false NDR: the sender had got one" lab_wait 15 "an NDR" has_ndr "$message" misled@example.com
	pf_reply_filter "$M" off
	pf_answer "$M" '^filtered@' OK
	wd_slow_helper "$M" off
	check "false NDR: mailed again" pf_wait_delivered "$M" "$message" filtered@never.test 40
	sleep 3
	check "false NDR: once" equal "$(pf_deliveries "$M" "$message" filtered@never.test)" 1
}

has_ndr() {
	[ "$(pf_ndrs "$M" "$1" "$2")" -gt 0 ]
}

# killed NAME WHOM: the daemon (and the helper) die after the intent; in the end the message is delivered once.
killed() {
	local name=$1 whom=$2 message id
	message=$(pf_send "$M" "$name@never.test")
	id=$(pf_wait_deferred "$M" "$message")
	wait_kept "$id"
	pf_answer "$M" "^$name@" OK
	wd_slow_helper "$M" 5
	pf_vanish "$M" "$id"
	lab_wait 25 "the helper starts" helper_starts
	lab_exec "$M" systemctl kill -s KILL mailq-watchdogd.service
	[ "$whom" = daemon ] || lab_exec "$M" sh -c "systemctl kill -s KILL 'mailq-watchdog-helper@*'"
	wd_slow_helper "$M" off
	check "killed ($whom): the daemon comes back" lab_wait 20 "the daemon" lab_exec "$M" mailq-watchdog status
	check "killed ($whom): delivered" pf_wait_delivered "$M" "$message" "$name@never.test" 60
	sleep 20 # an intent is looked after again within this time
	check "killed ($whom): exactly once" equal "$(pf_deliveries "$M" "$message" "$name@never.test")" 1
	check "killed ($whom): the intent has its result" wd_wait_says "$M" "recover done, message $id" 30
}

helper_starts() {
	lab_exec "$M" systemctl list-units --plain --no-legend --state=activating 'mailq-watchdog-helper@*' | grep -q .
}

test_killed() {
	killed between daemon
	killed both "daemon and helper"
}

# --- observe, and a log file in place of the journal -------------------------------------------------------------------

test_observe() {
	local message id
	config observe 2h /var/log/mail.log
	wd_restart "$M"
	message=$(pf_send "$M" watched@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	wait_kept "$id"
	pf_answer "$M" '^watched@' OK
	pf_vanish "$M" "$id"
	check "observe: says what it would do" wd_wait_says "$M" "recover would be done, message $id" 20
	check "observe: by the log file" wd_says "$M" "vanished \(certain\): message $id"
	sleep 3
	check "observe: does nothing" equal "$(pf_deliveries "$M" "$message" watched@never.test)" 0
	check "observe: trouble in the list, exit status 1" equal "$(lab_exec "$M" mailq-watchdog list >/dev/null; echo $?)" 1
	wd_restart "$M"
	check "after a restart it is still known" lab_wait 10 "vanished" wd_has_verdict "$M" "$id" watched@never.test vanished
	check "after a restart it is not said again" equal "$(wd_says "$M" "vanished \(certain\): message $id" | wc -l)" 1
}

# --- two services stuck: one restart within the budget, then none -------------------------------------------------------

restarts() {
	wd_says "$M" 'restart done' | wc -l
}

test_restart_budget() {
	local first second
	pf_second_up "$M"
	STARTED=$(unit_starts)
	wd_config "$M" <<-END
		version: 1
		mode: act
		instances:
		  - {name: outbound, type: postfix, log: journal, service: postfix@-.service, slack: 3s}
		  - {name: second, type: postfix, log: journal, config_dir: /etc/postfix-two, slack: 3s,
		     service: postfix@postfix-two.service}
		rules:
		  - name: stuck
		    when: {verdict: overdue}
		    do:
		      - restart: {at_most: 1 per 1h, cooldown: 1m, healthy: {smtp: "127.0.0.1:25", within: 30s}}
	END
	wd_restart "$M"
	first=$(pf_send "$M" stuck1@never.test)
	second=$(pf_send "$M" -i postfix-two stuck2@never.test)
	pf_wait_deferred "$M" "$first" >/dev/null
	pf_wait_deferred "$M" "$second" 15 postfix-two >/dev/null
	lab_exec "$M" pkill -STOP -x qmgr -P "$(master postfix)"
	lab_exec "$M" pkill -STOP -x qmgr -P "$(master postfix-two)"
	check "stuck: one restart" wd_wait_says "$M" "restart done.*SMTP answers" 90
	check "stuck: then the budget forbids it" wd_wait_says "$M" "restart not done.*budget of 1 in" 60
	sleep 15
	check "stuck: one in all" equal "$(restarts)" 1
	check "stuck: systemd saw one" equal "$(units_restarted)" 1
}

# master INSTANCE: the process id of its master(8)
master() {
	lab_exec "$M" sh -c "tr -d ' ' </var/spool/$1/pid/master.pid"
}

# When each of the two services was started last.
unit_starts() {
	lab_exec "$M" systemctl show -P ActiveEnterTimestampMonotonic postfix@-.service postfix@postfix-two.service
}

# How many of the two were started anew since STARTED was taken.
units_restarted() {
	diff <(echo "$STARTED") <(unit_starts) | grep -c '^>' || :
}

# scanned ID RECIPIENT: what scan makes of the journal, offline
scanned() {
	lab_exec "$M" sh -c 'mailq-watchdog scan --all --format json journal || :' | python3 -c '
import json, sys
for v in map(json.loads, sys.stdin):
    if v.get("queue_id") == sys.argv[1] and v.get("recipient") == sys.argv[2]:
        print(v["verdict"])' "$1" "$2"
}

# The same journal, without the daemon; what a stranger writes there under the MTA's name is no line of it.
test_scan_journal() {
	local message id
	message=$(pf_send "$M" forged@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	lab_exec "$M" runuser -u nobody -- logger -p mail.info -t postfix/qmgr "$id: removed"
	check "scan journal: a forged line changes nothing" equal "$(scanned "$id" forged@never.test)" pending
	sleep 2 # the daemon has read it by then
	check "live: a forged line changes nothing" lab_wait 10 "pending" wd_has_verdict "$M" "$id" forged@never.test pending
	lab_exec "$M" postsuper -d "$id" 2>/dev/null
	check "scan journal: a true one does" lab_wait 10 "removed" \
		equal_to "scanned $id forged@never.test" removed
	check "scan journal: finds the false NDR" lab_exec "$M" sh -c \
		'mailq-watchdog scan journal >/tmp/scan; [ $? = 1 ] && grep -q "^false_ndr.*<filtered@never.test>" /tmp/scan'
}

lab_need_root
lab_trap
pf_up "$M"
pf_retry "$M" 5s 10s 10s
pf_answer "$M" '^soft' "$GREYLISTED"
wd_install "$M"
config act 2h journal
wd_start "$M"
lab_wait 10 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
test_start
test_greylisted
pf_retry "$M" 1h 1h 1h
test_vanished
test_postsuper
test_delete_all
test_false_ndr
test_scan_journal
test_killed
test_observe
pf_retry "$M" 5s 10s 10s
test_restart_budget
check "no system call was missing" not wd_refused "$M"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
