#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Proves the lab by itself, without the watchdog: what its tests take for granted of Postfix is seen here to be so.
# Prints "ok"/"not ok" lines and "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/postfix.sh"
. "$(dirname "${BASH_SOURCE[0]}")/check.sh"

M=selftest-$$

# lines_with COUNT PATTERN: in the sender's log
lines_with() {
	equal "$(pf_log "$M" "$2" | wc -l)" "$1"
}

# --- the cases; each with recipients of its own -------------------------------------------------------------------------

test_boot() {
	check "systemd runs" lab_exec "$M" sh -c 'systemctl is-system-running | grep -qx running'
	check "D-Bus answers" lab_exec "$M" busctl --quiet status org.freedesktop.systemd1
	check "the journal has the sender's lines under its unit" \
		lab_exec "$M" sh -c 'journalctl -q _SYSTEMD_UNIT=postfix@-.service | grep -q "daemon started"'
	check "mail.log has none of the receiver's lines" not pf_log "$M" 'postfix-in/|postgrey'
	check "loopback is the only interface that is up" equal "$(lab_exec "$M" ip -br link show up | cut -d ' ' -f 1)" lo
}

# Sent at once so that the waits of all cases overlap.
send_all() {
	ID_OK=$(pf_send "$M" plain@ok.test)
	ID_GREY=$(pf_send "$M" patient@grey.test)
	ID_NEVER=$(pf_send "$M" waiting@never.test)
	ID_HARD=$(pf_send "$M" -f strict@example.com gone@hard.test)
	ID_MIXED=$(pf_send "$M" -f mixed@example.com ok1@mixed.test soft1@mixed.test hard1@mixed.test)
}

test_answers() {
	check "ok.test: delivered" pf_wait_delivered "$M" "$ID_OK" plain@ok.test
	check "ok.test: exactly once" equal "$(pf_deliveries "$M" "$ID_OK" plain@ok.test)" 1
	check "hard.test: bounced with 550" pf_wait_log "$M" 'to=<gone@hard.test>.*status=bounced .* said: 550 '
	check "hard.test: a report for the sender" lab_wait 15 "an NDR" has_ndr "$ID_HARD" strict@example.com
	check "mixed.test: one sent" pf_wait_log "$M" 'to=<ok1@mixed.test>.*status=sent'
	check "mixed.test: one deferred" pf_wait_log "$M" 'to=<soft1@mixed.test>.*status=deferred .* said: 450 '
	check "mixed.test: one bounced" pf_wait_log "$M" 'to=<hard1@mixed.test>.*status=bounced .* said: 550 '
	check "mixed.test: stored for the one only" \
		equal "$(stored "$ID_MIXED" ok1@mixed.test soft1@mixed.test hard1@mixed.test)" "1 0 0"
	check "mixed.test: the file lists only whom it still waits for" \
		equal "$(pf_deferred "$M" soft1@mixed.test) $(pf_deferred "$M" ok1@mixed.test)" "$(pf_queue_id "$M" "$ID_MIXED") "
}

has_ndr() {
	[ "$(pf_ndrs "$M" "$1" "$2")" -gt 0 ]
}

# stored MESSAGE-ID RECIPIENT...: the counts in one line
stored() {
	local id=$1 recipient counts=()
	shift
	for recipient in "$@"; do
		counts+=("$(pf_deliveries "$M" "$id" "$recipient")")
	done
	echo "${counts[*]}"
}

test_greylisting() {
	check "grey.test: first a 450" pf_wait_log "$M" 'to=<patient@grey.test>.*status=deferred .* said: 450 .*Greylisted'
	check "grey.test: then accepted" pf_wait_log "$M" 'to=<patient@grey.test>.*status=sent' 40
	check "grey.test: delivered" pf_wait_delivered "$M" "$ID_GREY" patient@grey.test
	check "grey.test: exactly once" equal "$(pf_deliveries "$M" "$ID_GREY" patient@grey.test)" 1
	check "never.test: more than one attempt" lab_wait 20 "a second attempt" attempts waiting@never.test 2
	check "never.test: rests in deferred/" pf_wait_deferred "$M" "$ID_NEVER"
	check "never.test: found by recipient too" \
		equal "$(pf_deferred "$M" waiting@never.test)" "$(pf_queue_id "$M" "$ID_NEVER")"
	check "never.test: stored never" equal "$(pf_deliveries "$M" "$ID_NEVER" waiting@never.test)" 0
	pf_answer "$M" '^waiting@never\.test$' OK
	check "never.test: delivered once the receiver is told to" pf_wait_delivered "$M" "$ID_NEVER" waiting@never.test
}

attempts() {
	[ "$(pf_log "$M" "to=<$1>.*status=deferred" | wc -l)" -ge "$2" ]
}

test_raw_rm() {
	local id message
	message=$(pf_send "$M" lost@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	pf_vanish "$M" "$id"
	check "raw rm: the file is gone" not pf_queue_file "$M" "$id"
	check "raw rm: its defer file stays behind" lab_exec "$M" sh -c "find /var/spool/postfix/defer -name $id | grep -q ."
	lab_exec "$M" postqueue -f
	sleep 1
	check "raw rm: no line tells of it" not pf_log "$M" "$id: (removed|to=.*status=(sent|bounced))|$id.*returned to sender"
}

# postsuper -d, -h, -H, -r as administrators use them: each leaves its line.
test_postsuper() {
	local id message new
	message=$(pf_send "$M" -f admin@example.com managed@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	lab_exec "$M" postsuper -h "$id" 2>/dev/null
	check "postsuper -h: in hold/" lab_exec "$M" test -e "/var/spool/postfix/hold/$id"
	check "postsuper -h: logged" pf_wait_log "$M" "postsuper.*: $id: placed on hold"
	lab_exec "$M" postsuper -H "$id" 2>/dev/null
	check "postsuper -H: logged" pf_wait_log "$M" "postsuper.*: $id: released from hold"
	check "postsuper -H: back in deferred/" pf_wait_deferred "$M" "$message"
	lab_exec "$M" postsuper -r "$id" 2>/dev/null
	lab_exec "$M" postqueue -f
	check "postsuper -r: logged" pf_wait_log "$M" "postsuper.*: $id: requeued"
	check "postsuper -r: pickup tells the new id" pf_wait_log "$M" "pickup.* orig_id=$id"
	new=$(pf_wait_deferred "$M" "$message")
	check "postsuper -r: another id" not equal "$new" "$id" 2>/dev/null
	check "postsuper -r: the old id is never removed" not pf_log "$M" ": $id: removed"
	lab_exec "$M" postsuper -d "$new" 2>/dev/null
	check "postsuper -d: logged" pf_wait_log "$M" "postsuper.*: $new: removed"
	check "postsuper -d: gone" not pf_queue_file "$M" "$new"
	check "postsuper -d: no report to the sender" equal "$(pf_ndrs "$M" "$message" admin@example.com)" 0
}

test_postsuper_all() {
	local id message
	message=$(pf_send "$M" everyone@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	lab_exec "$M" postsuper -d ALL deferred 2>/dev/null
	check "postsuper -d ALL: a summary" pf_wait_log "$M" 'postsuper.*: Deleted: [0-9]+ message'
	check "postsuper -d ALL: no line for the message" not pf_log "$M" "$id: removed"
}

test_filters() {
	local message
	pf_reply_filter "$M" on
	message=$(pf_send "$M" -f filtered@example.com reply@never.test)
	check "reply filter: says what it replaced" pf_wait_log "$M" 'replacing server reply "450 .*" with "550 '
	check "reply filter: bounced" pf_wait_log "$M" 'to=<reply@never.test>.*status=bounced .* said: 550 '
	check "reply filter: a false report for the sender" lab_wait 15 "an NDR" has_ndr "$message" filtered@example.com
	pf_reply_filter "$M" off
	pf_status_filter "$M" on
	message=$(pf_send "$M" -f filtered@example.com status@never.test)
	check "status filter: bounced by a 450" \
		pf_wait_log "$M" 'to=<status@never.test>.*dsn=5\.[0-9.]+, status=bounced .* said: 450 '
	check "status filter: a false report for the sender" lab_wait 15 "an NDR" has_ndr "$message" filtered@example.com
	pf_status_filter "$M" off
	pf_send "$M" after@never.test >/dev/null
	check "filters off: deferred as ever" pf_wait_log "$M" 'to=<after@never.test>.*status=deferred'
}

test_long_backoff() {
	local message
	pf_retry "$M" 1s 1h 1h
	message=$(pf_send "$M" resting@never.test)
	pf_wait_deferred "$M" "$message" >/dev/null
	sleep 4
	check "pf_retry 1h: one attempt only" lines_with 1 'to=<resting@never.test>.*status=deferred'
	pf_retry "$M" 1s 1s 1s 1s
	lab_exec "$M" postqueue -f
	check "pf_retry lifetime 1s: expired" pf_wait_log "$M" 'status=expired, returned to sender'
	pf_retry "$M" 5s 10s 10s
}

master_pid() {
	tr -d ' ' <"$(lab_root "$M")/var/spool/postfix/pid/master.pid"
}

test_restart() {
	local before
	before=$(master_pid)
	check "systemctl restart postfix@-.service" lab_exec "$M" systemctl restart postfix@-.service
	check "restart: another master" not equal "$(master_pid)" "$before" 2>/dev/null
	check "restart: the unit is active" lab_exec "$M" systemctl is-active --quiet postfix@-.service
	ID_OK=$(pf_send "$M" again@ok.test)
	check "restart: it delivers" pf_wait_delivered "$M" "$ID_OK" again@ok.test
}

test_second_sender() {
	check "postfix-two: starts" pf_second_up "$M"
	ID_OK=$(pf_send "$M" -i postfix-two second@ok.test)
	check "postfix-two: delivers" pf_wait_delivered "$M" "$ID_OK" second@ok.test
	check "postfix-two: logs under its own name" pf_wait_log "$M" 'postfix-two/smtp.*to=<second@ok.test>.*status=sent'
	pf_send "$M" -i postfix-two second@never.test >/dev/null
	check "postfix-two: its own queue" pf_wait_deferred "$M" second@never.test 15 postfix-two
	check "postfix-two: nothing of it in the first's" not pf_deferred "$M" second@never.test
}

# Two at once: neither sees the other, and taking one down leaves the other alone.
test_two_machines() {
	check "a second machine boots" pf_up "$M-b"
	check "second machine: its queue is its own" pf_queue_empty "$M-b"
	lab_exec "$M-b" systemctl stop postfix@-.service
	check "stopping Postfix there does not stop it here" lab_exec "$M" systemctl is-active --quiet postfix@-.service
	lab_down "$M-b"
	check "down: nothing of it is left" not sh -c "ls -d '$LAB_RUN/$M-b' $(lab_cgroups "$M-b" | tr '\n' ' ') 2>/dev/null"
	check "the first machine still runs" lab_exec "$M" true
}

lab_trap
started=$SECONDS
pf_up "$M"
echo "# booted in $((SECONDS - started)) s"
test_boot
send_all
test_answers
test_greylisting
test_raw_rm
test_postsuper
test_postsuper_all
test_filters
test_long_backoff
test_restart
test_second_sender
test_two_machines
lab_down "$M"
echo "# in $((SECONDS - started)) s"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
