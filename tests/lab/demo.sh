#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The story of the project, for real: a Postfix in a root of its own sends to a receiver that greylists; a message is
# lost from its queue; the watchdog finds it, brings it back, and it is delivered once. Exit status 0 only if all of that
# was seen. Nothing of the host's own mail is touched.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
M=demo-$$
BEGIN=$SECONDS
SEEN=()
MISSED=()

say() { printf '\n%s\n' "$*"; }
show() { sed 's/^/    | /' | cut -c 1-200; }

# saw WHAT COMMAND...: something that the story needs; the summary counts what was seen.
saw() {
	local what=$1
	shift
	if "$@" >/dev/null; then
		SEEN+=("$what")
		echo "  seen: $what"
	else
		MISSED+=("$what")
		echo "  NOT SEEN: $what"
	fi
}

equal() { [ "$1" = "$2" ]; }

prepare() {
	say "1. Building the watchdog, and a Debian root with Postfix and postgrey (once; kept in a cache)."
	[ "$(id -u)" = 0 ] || { echo "The demo needs root: it boots a machine of its own." >&2; exit 77; }
	make -s -C "$HERE/../.." deps-test
	make -s -C "$HERE/../.." -j"$(nproc)" all
	. "$HERE/postfix.sh"
	. "$HERE/watchdog.sh"
	lab_trap
	"$HERE/root.sh" >/dev/null
	say "2. Booting it: systemd, a sending Postfix, a receiving Postfix that greylists through postgrey."
	pf_up "$M"
	pf_retry "$M" 5s 1h 1h
}

start_watchdog() {
	wd_install "$M"
	wd_config "$M" <<-'END'
		version: 1
		mode: act
		instances:
		  - {name: outbound, type: postfix, log: journal, service: postfix@-.service}
		rules:
		  - name: resend what vanished
		    when: {verdict: vanished, code: 4xx}
		    do: [recover, {alert: journal}]
	END
	say "3. The watchdog starts, as its own user, with this configuration:"
	show <"$(lab_root "$M")/etc/mailq-watchdog/watchdog.yaml"
	wd_start "$M"
	lab_wait 10 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
	lab_exec "$M" mailq-watchdog status | show
}

lose_a_message() {
	say "4. A message goes out. The receiver does not know the sender yet and answers with a 4xx."
	ID=$(pf_send "$M" -f boss@example.com -s "The contract" customer@grey.test)
	QUEUE_ID=$(pf_wait_deferred "$M" "$ID")
	pf_log "$M" "$QUEUE_ID: to=" | show
	saw "the receiver greylisted message $QUEUE_ID" pf_log "$M" "$QUEUE_ID.*status=deferred.*450.*Greylisted"
	lab_wait 10 "a copy in the vault" \
		lab_exec "$M" test -e "/var/lib/mailq-watchdog/vault/outbound/$QUEUE_ID"
	say "5. Disaster: the file disappears from the queue. Postfix writes no line about it, the sender learns nothing."
	sleep 6 # postgrey's delay: the next try would be welcome, if there were one
	pf_vanish "$M" "$QUEUE_ID"
	LOST_AT=$SECONDS
	saw "the queue file is gone" not_in_queue
	saw "nothing was delivered" equal "$(pf_deliveries "$M" "$ID" customer@grey.test)" 0
}

not_in_queue() { ! pf_queue_file "$M" "$QUEUE_ID" >/dev/null; }

bring_it_back() {
	say "6. The watchdog notices, proves that it is in no queue, and says:"
	saw "the watchdog found it" wd_wait_says "$M" "vanished \(certain\): message $QUEUE_ID" 30
	wd_says "$M" "vanished \(certain\): message $QUEUE_ID" | head -1 | fold -s -w 110 | show
	echo "  $((SECONDS - LOST_AT)) s after the loss."
	say "7. It puts the copy back before Postfix, for the lost recipient only. Postfix gives it a new id and sends it:"
	saw "the message was put back" wd_wait_says "$M" "recover done, message $QUEUE_ID" 20
	saw "it was delivered" pf_wait_delivered "$M" "$ID" customer@grey.test 60
	sleep 3
	saw "exactly once" equal "$(pf_deliveries "$M" "$ID" customer@grey.test)" 1
	pf_log "$M" "orig_id=$QUEUE_ID|to=<customer@grey.test>.*status=sent" | show
}

tell_the_story() {
	say "8. Its life, as \`mailq-watchdog trace\` tells it from the log:"
	lab_exec "$M" mailq-watchdog trace --no-progress "$QUEUE_ID" /var/log/mail.log | head -14 | show
	saw "nothing is in trouble any more" lab_exec "$M" mailq-watchdog list
}

prepare
start_watchdog
lose_a_message
bring_it_back
tell_the_story
say "Summary: message $QUEUE_ID was lost after a 4xx and brought back; ${#SEEN[@]} things seen, ${#MISSED[@]} not seen," \
	"$((SECONDS - BEGIN)) s."
for what in "${MISSED[@]}"; do echo "  not seen: $what"; done
[ "${#MISSED[@]}" = 0 ]
