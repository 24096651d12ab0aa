#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog beside a real Exim, under a real systemd: real losses, real deliveries. Prints "ok"/"not ok" lines and
# "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here. What takes a minute of grace is begun
# first; what is settled the daemon forgets after a minute, so that it is asked for soon.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/exim.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=exim-$$
VAULT=/var/lib/mailq-watchdog/vault/outbound

# Lifetimes of seconds: what is given up before 28 s is reported falsely, in any case before 5 s.
configure() {
	wd_config "$M" <<-END
		version: 1
		mode: act
		instances:
		  - {name: outbound, type: exim, log: /var/log/exim4/mainlog, lifetime: 28s, min_lifetime: 5s}
		rules:
		  - name: resend what was lost
		    when: {verdict: [vanished, false_ndr]}
		    do: [recover, {alert: journal}]
		  - name: shake it
		    when: {verdict: vanished}
		    do:
		      - restart: {at_most: 1 per 1h, cooldown: 1m, healthy: {smtp: "127.0.0.1:25", within: 30s}}
	END
}

# silent ID: the watchdog has no word about this message
silent() {
	! wd_says "$M" "message $1" >/dev/null
}

# wait_verdict NAME ID RECIPIENT WORD [SECONDS]
wait_verdict() {
	check "$1" lab_wait "${5:-15}" "$4" wd_has_verdict "$M" "$2" "$3" "$4"
}

wait_kept() {
	lab_wait 15 "a copy of $1" lab_exec "$M" test -e "$VAULT/$1"
}

# copies MESSAGE-ID RECIPIENT...: how often each got it
copies() {
	local id=$1 r
	shift
	for r in "$@"; do
		printf '%s ' "$(ex_deliveries "$M" "$id" "$r")"
	done
}

# When the daemon was started last.
started() {
	lab_exec "$M" systemctl show -P ActiveEnterTimestampMonotonic exim4.service
}

send_all() {
	THREE=$(ex_send "$M" ok@mixed.test soft@mixed.test hard@mixed.test)
	ex_split "$M"
	HALF=$(ex_send "$M" half@never.test)
	FROZEN=$(ex_send "$M" frozen@never.test)
	DELETED=$(ex_send "$M" deleted@never.test)
	OLD=$(ex_send "$M" old@short.test)
}

# Two in a queue with a name, one moved into it later, one set aside as frozen, as move_frozen_messages does.
spread() {
	local dir file
	ex_named "$M"
	NAMED=$(ex_send_smtp "$M" named@never.test)
	NAMEDLOST=$(ex_send_smtp "$M" namedlost@never.test)
	MOVED=$(ex_send "$M" moved@never.test)
	ASIDE=$(ex_send "$M" aside@never.test)
	for id in "$NAMED" "$NAMEDLOST" "$MOVED" "$ASIDE"; do
		ex_wait_deferred "$M" "$id"
	done
	ex_log "$M" " $NAMED <= .* Q=slow "
	lab_exec "$M" exim4 -MG slow "$MOVED"
	ex_file "$M" H "$MOVED" | grep slow/input/
	lab_exec "$M" exim4 -Mf "$ASIDE"
	for file in "$(ex_file "$M" D "$ASIDE")" "$(ex_file "$M" H "$ASIDE")"; do
		dir=$(dirname "${file/input/Finput}")
		lab_exec "$M" sh -c "mkdir -p $dir && mv $file $dir"
	done
	wait_kept "$NAMEDLOST"
	ex_answer "$M" namedlost@never.test ok
	ex_vanish "$M" "$NAMEDLOST"
} >/dev/null

# Removed behind Exim's back: both files, or the body alone.
lose() {
	ex_wait_deferred "$M" "$THREE"
	ex_wait_deferred "$M" "$HALF"
	wait_kept "$THREE"
	wait_kept "$HALF"
	ex_answer "$M" soft@mixed.test ok
	ex_answer "$M" half@never.test ok
	ex_vanish "$M" "$THREE"
	lab_exec "$M" rm "$(ex_file "$M" D "$HALF")"
	LOST_AT=$(date +%s)
}

test_administrator() {
	ex_wait_deferred "$M" "$FROZEN"
	ex_wait_deferred "$M" "$DELETED"
	lab_exec "$M" exim4 -Mf "$FROZEN" >/dev/null
	wait_verdict "frozen: held" "$FROZEN" frozen@never.test held
	lab_exec "$M" exim4 -Mrm "$DELETED" >/dev/null
	wait_verdict "deleted: removed" "$DELETED" deleted@never.test removed
	lab_exec "$M" exim4 -Mt "$FROZEN" >/dev/null
	wait_verdict "thawed: pending" "$FROZEN" frozen@never.test pending
}

# A domain that no retry rule covers: failed for good at the first 450.
test_no_rule() {
	local id
	id=$(ex_send "$M" -f unruly@example.com none@norule.test)
	check "no retry rule: a false report" wd_wait_says "$M" "false_ndr \(certain\): message $id .*<none@norule.test>"
	check "no retry rule: names the answer" wd_says "$M" "$id.*450"
	check "no retry rule: the sender had got one" lab_wait 20 "an NDR" \
		has_ndr "$(ex_message_id "$M" "$id")" unruly@example.com
}

# One, or another about the message that was put back and failed again.
has_ndr() {
	[ "$(ex_ndrs "$M" "$1" "$2")" -gt 0 ]
}

# The retry rule ends at 10 s, and the message is to live for 28 s.
test_short_rule() {
	local message YOUNG
	YOUNG=$(ex_send "$M" -f misled@example.com young@short.test)
	message=$(ex_message_id "$M" "$YOUNG")
	ex_wait_log "$M" " $YOUNG \*\* young@short.test" 30
	ex_answer "$M" young@short.test ok
	check "short rule: a false report" wd_wait_says "$M" "false_ndr \(certain\): message $YOUNG .*<young@short.test>"
	check "short rule: mailed again" lab_wait 30 "delivery" ex_delivered "$M" "$message" young@short.test
	wd_slow_helper "$M" off
	check "short rule: the sender had got one report" equal "$(ex_ndrs "$M" "$message" misled@example.com)" 1
}

# The address has failed for longer than its rule allows: the next message to it is not even retried once. What is put back
# fails in the same way, and is not put back again.
test_retry_record() {
	local id again
	ex_wait_log "$M" " $OLD \*\* old@short.test" 30
	check "retry record: the first is reported falsely" wd_wait_says "$M" "false_ndr \(certain\): message $OLD "
	id=$(ex_send "$M" old@short.test)
	check "retry record: so is the next, at once" wd_wait_says "$M" "false_ndr \(certain\): message $id "
	again=${OLD:0:7}z${OLD:8}
	check "retry record: what was put back fails again" wd_wait_says "$M" "false_ndr \(certain\): message $again " 30
	check "retry record: and stays where it is" wd_wait_says "$M" "recover refused by the helper, message $again .*once already" 30
}

test_greylisted() {
	local GREY
	GREY=$(ex_send "$M" patient@grey.test)
	check "greylisted: delivered" lab_wait 40 "delivery" \
		ex_delivered "$M" "$(ex_message_id "$M" "$GREY")" patient@grey.test
	wait_verdict "greylisted: delivered, says the watchdog" "$GREY" patient@grey.test delivered
	check "greylisted: nothing said" silent "$GREY"
}

test_expired() {
	local EXPIRED
	EXPIRED=$(ex_send "$M" late@expire.test)
	ex_wait_log "$M" " $EXPIRED \*\* late@expire.test" 60
	wait_verdict "expired: rightful" "$EXPIRED" late@expire.test expired
	check "expired: nothing said" silent "$EXPIRED"
}

test_vanished() {
	local message half
	message=$(ex_message_id "$M" "$THREE")
	half=$(ex_message_id "$M" "$HALF")
	check "vanished: said" wd_wait_says "$M" "vanished \(certain\): message $THREE .*<soft@mixed.test>" 100
	check "vanished: within 75 s" test $(($(said_at "vanished \(certain\): message $THREE") - LOST_AT)) -le 75
	check "vanished: mailed again" lab_wait 30 "delivery" ex_delivered "$M" "$message" soft@mixed.test
	check "body gone: said" wd_wait_says "$M" "vanished \(certain\): message $HALF .*<half@never.test>" 100
	check "body gone: mailed again" lab_wait 30 "delivery" ex_delivered "$M" "$half" half@never.test
	sleep 3
	check "vanished: each recipient was mailed right often" equal \
		"$(copies "$message" ok@mixed.test soft@mixed.test hard@mixed.test)" "1 1 0 "
	check "vanished: the rightful report came once" equal "$(ex_ndrs "$M" "$message" app@example.com)" 1
	check "body gone: once" equal "$(copies "$half" half@never.test)" "1 "
	check "vanished: goes on under an id of its own" wd_says "$M" \
		"no longer vanished, now relocated: message $THREE .*queue id ${THREE:0:7}z${THREE:8}"
	check "the daemon ran all the time" equal "$(lab_exec "$M" systemctl show -P NRestarts mailq-watchdogd.service)" 0
}

# helper_does OPERATION QUEUE-ID: asked as the daemon asks.
helper_does() {
	python3 "$HERE/../lab/attack_helper.py" "/proc/$(lab_init "$M")/root/run/mailq-watchdog" \
		"$(lab_exec "$M" id -u mailq-watchdog)" "$(lab_exec "$M" id -g mailq-watchdog)" ask "$1" outbound "$2" | grep '^ok'
}

# What is in another queue than the usual one is not lost, what is lost there is.
test_other_queues() {
	local message lost
	message=$(ex_message_id "$M" "$NAMED")
	lost=$(ex_message_id "$M" "$NAMEDLOST")
	check "named queue: said of what is lost from it" wd_wait_says "$M" \
		"vanished \(certain\): message $NAMEDLOST .*<namedlost@never.test>" 100
	check "named queue: mailed again" lab_wait 30 "delivery" ex_delivered "$M" "$lost" namedlost@never.test
	wait_verdict "named queue: pending" "$NAMED" named@never.test pending
	wait_verdict "moved to it: pending" "$MOVED" moved@never.test pending
	wait_verdict "set aside as frozen: held" "$ASIDE" aside@never.test held
	ex_answer "$M" moved@never.test ok
	check "moved to it: the helper requeues it" helper_does 2 "$MOVED"
	check "moved to it: delivered" ex_wait_log "$M" " $MOVED => moved@never.test Q=slow" 30
	ex_answer "$M" named@never.test ok
	ex_run_named "$M"
	check "named queue: delivered" lab_wait 30 "delivery" ex_delivered "$M" "$message" named@never.test
	wait_verdict "named queue: delivered, says the watchdog" "$NAMED" named@never.test delivered
	check "named queue: mailed once" equal "$(copies "$message" named@never.test)$(copies "$lost" namedlost@never.test)" "1 1 "
	check "other queues: nothing said" silent "($NAMED|$MOVED|$ASIDE)"
	check "split: both layouts were in use" test -n "$(ex_file "$M" H "$FROZEN" | grep -E 'input/[^/]/')"
}

test_restart() {
	check "restart: done, and SMTP answers" wd_wait_says "$M" "restart done.*SMTP answers" 60
	check "restart: systemd saw it" not equal "$(started)" "$STARTED"
	check "restart: once, then the budget forbids it" equal "$(wd_says "$M" 'restart done' | wc -l)" 1
}

# said_at PATTERN: when the watchdog said so first, in seconds since 1970.
said_at() {
	lab_exec "$M" journalctl -q -o short-unix SYSLOG_IDENTIFIER=mailq-watchdogd --no-pager | grep -E -- "$1" | head -1 | cut -d. -f 1
}

# Delivered and noted in ID-J, and killed before a line told of it: the next run counts it as done, without one.
test_killed_unlogged() {
	local id message
	ex_slow "$M"
	id=$(ex_send "$M" slow@never.test)
	message=$(ex_message_id "$M" "$id")
	ex_wait_deferred "$M" "$id"
	wait_kept "$id"
	ex_answer "$M" slow@never.test slow
	ex_die_unlogged "$M" "$id"
	wait_verdict "killed unlogged: known as delivered" "$id" slow@never.test delivered
	check "killed unlogged: done without a word" ex_wait_log "$M" " $id Completed" 30
	check "killed unlogged: no line tells of it" not ex_log "$M" " $id => "
	sleep 8
	check "killed unlogged: nothing said" silent "$id"
	check "killed unlogged: mailed once" equal "$(copies "$message" slow@never.test)" "1 "
}

# The same log, offline.
test_scan() {
	check "scan: finds what was reported falsely" lab_exec "$M" sh -c \
		'mailq-watchdog scan /var/log/exim4/mainlog >/tmp/scan; [ $? = 1 ] && grep -q "^false_ndr.*<none@norule.test>" /tmp/scan'
	check "scan --queue: nothing is missing" lab_exec "$M" sh -c \
		'mailq-watchdog scan --queue /var/spool/exim4 /var/log/exim4/mainlog | grep vanished; [ $? = 1 ]'
}

lab_need_root
lab_trap
ex_up "$M"
wd_install "$M"
configure
wd_start "$M"
lab_wait 10 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
STARTED=$(started)
wd_slow_helper "$M" 10
send_all
lose
test_short_rule
test_no_rule
test_administrator
test_retry_record
test_greylisted
test_expired
test_vanished
spread
test_other_queues
test_restart
test_scan
test_killed_unlogged
check "frozen, deleted: nothing said" silent "($FROZEN|$DELETED)"
check "nothing vanished that was not removed" equal "$(wd_says "$M" 'vanished \(certain\)' | wc -l)" 3
if [ "$FAILED" != 0 ]; then
	ex_log "$M" . | grep -v ' queue run' | cut -c 1-200
	lab_exec "$M" journalctl -q --no-pager -o short-iso | grep mailq-watchdog | cut -c 1-300
fi
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
