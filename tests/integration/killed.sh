#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog is killed between an intent and its result, beside a real Exim and a real Sendmail: in the end the message
# was mailed once. Usage: killed.sh [exim|sendmail]; without an MTA both, at the same time. Prints "ok"/"not ok" lines and
# "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here. About five minutes, most of which are
# the grace for which a missing file is not yet a lost one. For Postfix the same is in postfix.sh.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Both at once: sums up, with all that each said.
both() {
	local dir mta status=0 one
	dir=$(mktemp -d)
	"$HERE/killed.sh" exim </dev/null >"$dir/exim" 2>&1 &
	"$HERE/killed.sh" sendmail </dev/null >"$dir/sendmail" 2>&1 && one=0 || one=$?
	status=$one
	wait $! && one=0 || one=$?
	[ "$one" = 0 ] || status=$one
	for mta in exim sendmail; do
		sed "s/^\(\(not \)\?ok\) - /\1 - $mta: /" "$dir/$mta"
	done | grep -vE '^[0-9]+ passed, [0-9]+ failed$'
	cat "$dir/exim" "$dir/sendmail" | awk '/^[0-9]+ passed, [0-9]+ failed$/ { p += $1; f += $3 }
		END { print p + 0 " passed, " f + 0 " failed" }'
	rm -rf "$dir"
	exit "$status"
}

MTA=${1:-}
[ -n "$MTA" ] || both
. "$HERE/../lab/$MTA.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=killed-$MTA-$$
VAULT=/var/lib/mailq-watchdog/vault/outbound
case $MTA in
exim) LAB=ex LOG=/var/log/exim4/mainlog ;;
sendmail) LAB=sm LOG=journal ;;
esac

# begin NAME: a message that is deferred, copied, and then lost; sets ID and MESSAGE.
begin() {
	ID=$("${LAB}_send" "$M" "$1@never.test")
	MESSAGE=$("${LAB}_message_id" "$M" "$ID")
	"${LAB}_wait_deferred" "$M" "$ID"
	lab_wait 20 "a copy of $1" lab_exec "$M" test -e "$VAULT/$ID"
	"${LAB}_vanish" "$M" "$ID"
	"${LAB}_answer" "$M" "$1@never.test" ok
	# A log that stands still is no witness: somebody else's mail goes on.
	sleep 2
	"${LAB}_send" "$M" other@ok.test >/dev/null
}

# end NAME WHAT: however it went, the message was mailed once, and the intent has its result.
end() {
	wd_slow_helper "$M" off
	check "killed $2: the daemon comes back" lab_wait 30 "the daemon" lab_exec "$M" mailq-watchdog status
	check "killed $2: delivered" lab_wait 120 "delivery" "${LAB}_delivered" "$M" "$MESSAGE" "$1@never.test"
	sleep 25 # an intent is looked after again within this time
	check "killed $2: exactly once" equal "$("${LAB}_deliveries" "$M" "$MESSAGE" "$1@never.test")" 1
	check "killed $2: the intent has its result" wd_wait_says "$M" "recover done, message $ID" 60
	check "killed $2: no report to the sender" equal "$("${LAB}_ndrs" "$M" "$MESSAGE" app@example.com)" 0
}

helper_starts() {
	lab_exec "$M" systemctl list-units --plain --no-legend --state=activating 'mailq-watchdog-helper@*' | grep -q .
}

kill_helper() {
	lab_exec "$M" sh -c "systemctl kill -s KILL 'mailq-watchdog-helper@*'"
}

test_before() {
	begin between
	wd_slow_helper "$M" 5
	lab_wait 120 "the helper starts" helper_starts
	lab_exec "$M" systemctl kill -s KILL mailq-watchdogd.service
	end between "alone, before the helper's work"
}

test_both() {
	begin both
	wd_slow_helper "$M" 5
	lab_wait 120 "the helper starts" helper_starts
	lab_exec "$M" systemctl kill -s KILL mailq-watchdogd.service
	kill_helper
	end both "with its helper, before its work"
}

# The id under which a message is put back: another letter where the process id, or the month, stands.
again() {
	local digits=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz before
	if [ "$MTA" = exim ]; then
		echo "${1:0:7}z${1:8}"
	else
		before=${digits%%"${1:1:1}"*}
		echo "${1:0:1}${digits:$((${#before} + 12)):1}${1:2}"
	fi
}

# As soon as a file of the message is in the queue again, or is being written: nobody has been told that it was done.
test_after() {
	begin after
	# shellcheck disable=SC2016 # for the shell inside
	lab_exec "$M" timeout 150 bash -c 'shopt -s nullglob
		until found=(/var/spool/exim4/input/*"$2"* /var/spool/mqueue/*/*"$2"* /var/spool/mqueue/*/?f/*"$2"*) && [ "$found" ]; do
			:
		done
		kill -KILL "$1"
		systemctl kill -s KILL "mailq-watchdog-helper@*"' - "$(wd_pid "$M")" "$(again "$ID")" 2>/dev/null || :
	check "killed in the middle of it: it was" lab_wait 20 "the daemon's end" died
	# The helper may have died before it had the message tried; its address is not due for long.
	[ "$MTA" != exim ] || lab_exec "$M" exim4 -qff
	end after "in the middle of the helper's work"
}

# Whether systemd has seen the daemon end three times.
died() {
	[ "$(lab_exec "$M" systemctl show -P NRestarts mailq-watchdogd.service)" -ge 3 ]
}

lab_need_root
lab_trap
"${LAB}_up" "$M"
wd_install "$M"
wd_config "$M" <<-END
	version: 1
	mode: act
	instances:
	  - {name: outbound, type: $MTA, log: $LOG}
	rules:
	  - name: resend what was lost
	    when: {verdict: [vanished, false_ndr]}
	    do: [recover, {alert: journal}]
END
wd_start "$M"
lab_wait 20 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
test_before
test_both
test_after
if [ "$FAILED" != 0 ]; then
	lab_exec "$M" journalctl -q --no-pager -o short-iso | grep -E 'mailq-watchdog' | cut -c 1-300
fi
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
