#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Recoveries by hand with real Postfix, Exim and Sendmail, each in a machine of its own: what is lost is brought back to
# those who did not get it, exactly once and unchanged. Usage: recover.sh [MTA...]. Prints "ok"/"not ok" lines and "N passed,
# N failed"; exit status 1 when one failed, 77 when the lab cannot run here.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SINK=$HERE/../lab/dsn_sink.py
MTAS=${*:-postfix exim sendmail}

# --- what differs between the MTAs ----------------------------------------------------------------------------------------

mta_up() {
	case $MTA in
	postfix)
		pf_up "$M"
		pf_retry "$M" 1h 1h 1h
		lab_exec "$M" systemctl stop postfix@postfix-in.service
		;;
	exim)
		ex_up "$M"
		# Tried once, then not for an hour; and DSN for everybody.
		printf '* * F,4d,1h\n' >"$(lab_root "$M")/etc/exim4/retry"
		lab_prepend "$M" /etc/exim4/exim4.conf 'dsn_advertise_hosts = *'
		lab_exec "$M" systemctl stop exim-in.service
		lab_exec "$M" systemctl restart exim4.service
		;;
	sendmail)
		sm_up "$M"
		sm_option "$M" MinQueueAge 1h
		# The load is the host's, of which this machine is not the cause.
		sm_option "$M" QueueLA 1000
		sm_option "$M" RefuseLA 1000
		lab_exec "$M" systemctl stop lab-sink.service
		lab_exec "$M" systemctl restart sendmail.service
		;;
	esac
	lab_wait 20 "the sender listens" lab_listens "$M" 127.0.0.1
}

mta_log() {
	case $MTA in
	exim) echo /var/log/exim4/mainlog ;;
	*) echo /var/log/mail.log ;;
	esac
}

# queue_ids MESSAGE-ID: the ids under which it was accepted.
queue_ids() {
	local log
	log=$(lab_root "$M")$(mta_log)
	case $MTA in
	postfix) sed -nE "s/.*cleanup\[[0-9]+\]: ([^:]+): message-id=<$1>.*/\1/p" "$log" ;;
	exim) sed -nE "s/.* ([^ ]+) <= .* id=$1( .*)?$/\1/p" "$log" ;;
	sendmail) sed -nE "s/.*sm-mta\[[0-9]+\]: ([^:]+): from=.*msgid=<$1>.*/\1/p" "$log" ;;
	esac | grep .
}

vanish() {
	case $MTA in
	postfix) pf_vanish "$M" "$1" ;;
	exim) ex_vanish "$M" "$1" ;;
	sendmail) sm_vanish "$M" "$1" ;;
	esac
}

# --- both ends of the line -------------------------------------------------------------------------------------------------

# In the machine's network, with this host's programs.
in_net() {
	nsenter -t "$(lab_init "$M")" -n -- "$@"
}

# What runs beside the tests, which the machine's end does not end.
BESIDE=()

finish() {
	local pid
	for pid in "${BESIDE[@]}"; do
		pkill -TERM -P "$pid" 2>/dev/null || :
		kill "$pid" 2>/dev/null || :
	done
	lab_down_owned
	rm -rf "$MAILS"
}

sink_up() {
	in_net python3 "$SINK" serve "$MAILS" 127.0.0.2 </dev/null >"$MAILS/log" 2>&1 &
	BESIDE+=("$!")
	lab_wait 20 "the receiver listens" lab_listens "$M" 127.0.0.2
}

# Other mail on its way, as everywhere: of a log that stands still the watchdog believes no silence.
traffic() {
	local n=0
	while :; do
		in_net python3 "$SINK" send 127.0.0.1 app@example.com "traffic$((n += 1)).$RANDOM@client.example.com" "$MAILS/body" \
			ok9@mixed.test >/dev/null 2>&1 || :
		sleep 5
	done
}

count() {
	python3 "$SINK" count "$MAILS" "$1" "$2"
}

counts() {
	local id=$1 r
	shift
	for r in "$@"; do
		printf '%s ' "$(count "$id" "$r")"
	done
}

got() {
	[ "$(count "$1" "$2")" -gt 0 ]
}

# Dots, "From ", bytes beyond ASCII, a long line, blanks at ends.
make_body() {
	printf '.\n..\n.dot\nFrom here\n\303\244\351\377 8 bit\ntrailing  \n\n' >"$MAILS/body"
	head -c 900 /dev/zero | tr '\0' 'x' >>"$MAILS/body"
	printf '\nthe end\n' >>"$MAILS/body"
}

# --- the watchdog ------------------------------------------------------------------------------------------------------------

configure() {
	wd_config "$M" <<-END
		version: 1
		mode: ${1:-act}
		instances:
		  - {name: outbound, type: $MTA, log: $(mta_log), lifetime: 5d, min_lifetime: 4h, tell_sender: true}
		vault: {keep: deferred, fsync: each}
	END
}

# open_recipients ID: who is still to do by the copy, in order
open_recipients() {
	lab_exec "$M" mailq-watchdog vault show --format json "$1" 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    print(*sorted(r["address"] for r in json.loads(line)["recipients"] if not r["done"]))'
}

kept_for() {
	[ "$(open_recipients "$1")" = "$2" ]
}

status_of() {
	local status=0
	"$@" >"$MAILS/out" 2>&1 || status=$?
	echo "$status"
}

# --- the cases -----------------------------------------------------------------------------------------------------------------

test_five() {
	local name=five.$RANDOM message id
	message=$name@client.example.com
	in_net python3 "$SINK" send 127.0.0.1 app@example.com "$message" "$MAILS/body" \
		ok1@mixed.test ok2@mixed.test hard1@mixed.test soft1@mixed.test soft2@mixed.test
	id=$(lab_wait 20 "a queue id" queue_ids "$message" | head -1)
	check "$MTA: the copy knows who is done" lab_wait 40 "a copy" kept_for "$id" "soft1@mixed.test soft2@mixed.test"
	check "$MTA: two got it, one was refused, two wait" equal \
		"$(counts "$message" ok1@mixed.test ok2@mixed.test hard1@mixed.test soft1@mixed.test soft2@mixed.test)" "1 1 0 0 0 "
	check "$MTA: nothing to recover yet" equal "$(status_of lab_exec "$M" mailq-watchdog recover "$id")" 1
	vanish "$id"
	check "$MTA: vanished" lab_wait 150 "vanished" wd_has_verdict "$M" "$id" soft2@mixed.test vanished
	: >"$MAILS/open"
	check "$MTA: a dry run" equal "$(status_of lab_exec "$M" mailq-watchdog recover --dry-run "$id")" 0
	check "$MTA: a dry run tells to whom" equal "$(sed -n 's/^  to *//p' "$MAILS/out" | sort | xargs)" \
		"soft1@mixed.test soft2@mixed.test"
	check "$MTA: a dry run tells what is lost" grep -q '^  loses  .' "$MAILS/out"
	check "$MTA: export" lab_exec "$M" mailq-watchdog vault export --output "/root/$id.eml" "$id"
	check "$MTA: export has the body" cmp "$MAILS/body" \
		<(sed '1,/^$/d' "$(lab_root "$M")/root/$id.eml")
	check "$MTA: export has the sender" equal "$(head -1 "$(lab_root "$M")/root/$id.eml")" "Return-Path: <app@example.com>"
	check "$MTA: export has the Message-ID" grep -qaix "Message-ID: <$message>" "$(lab_root "$M")/root/$id.eml"
	check "$MTA: nothing was mailed by all this" equal "$(counts "$message" soft1@mixed.test soft2@mixed.test)" "0 0 "
	check "$MTA: recovered" equal "$(status_of lab_exec "$M" mailq-watchdog recover "$id")" 0
	check "$MTA: delivered" lab_wait 60 "delivery" got "$message" soft1@mixed.test
	check "$MTA: delivered to both" lab_wait 60 "delivery" got "$message" soft2@mixed.test
	sleep 5
	check "$MTA: each exactly once" equal \
		"$(counts "$message" ok1@mixed.test ok2@mixed.test hard1@mixed.test soft1@mixed.test soft2@mixed.test)" "1 1 0 1 1 "
	for r in ok1 soft1 soft2; do
		check "$MTA: the body of $r, byte for byte" cmp "$MAILS/body" \
			<(python3 "$SINK" body "$MAILS" "$message" "$r@mixed.test")
	done
	python3 "$SINK" lines "$MAILS" "$message" soft1@mixed.test >"$MAILS/lines"
	check "$MTA: envelope sender" grep -qi '^MAIL FROM:<app@example.com>' "$MAILS/lines"
	check "$MTA: ENVID and RET" grep -qE "^MAIL.* (RET=HDRS.* ENVID=env-$name|ENVID=env-$name.* RET=HDRS)" "$MAILS/lines"
	check "$MTA: NOTIFY" grep -qiE "^RCPT.* NOTIFY=(FAILURE,DELAY|DELAY,FAILURE)" \
		"$MAILS/lines"
	check "$MTA: ORCPT" grep -qiE "^RCPT.* ORCPT=rfc822;first-soft1@mixed.test" \
		"$MAILS/lines"
	check "$MTA: one rightful report, and no other" equal \
		"$(python3 "$SINK" to "$MAILS" app@example.com | grep -ciE '^Final-Recipient: .*@')" 1
	check "$MTA: not a second time" equal "$(status_of lab_exec "$M" mailq-watchdog recover "$id")" 1
	check "$MTA: says why" grep -qE 'recovered already|put back once already|no recipient of this message is lost|no message of this queue id' "$MAILS/out"
	rm "$MAILS/open"
}

test_null_sender() {
	local message=null.$RANDOM@client.example.com id
	in_net python3 "$SINK" send 127.0.0.1 "" "$message" "$MAILS/body" soft3@mixed.test
	id=$(lab_wait 20 "a queue id" queue_ids "$message" | head -1)
	lab_wait 40 "a copy" kept_for "$id" soft3@mixed.test
	vanish "$id"
	lab_wait 150 "vanished" wd_has_verdict "$M" "$id" soft3@mixed.test vanished
	: >"$MAILS/open"
	check "$MTA, null sender: export" grep -qx 'Return-Path: <>' <(lab_exec "$M" mailq-watchdog vault export "$id")
	check "$MTA, null sender: recovered" equal "$(status_of lab_exec "$M" mailq-watchdog recover "$id")" 0
	check "$MTA, null sender: delivered" lab_wait 60 "delivery" got "$message" soft3@mixed.test
	check "$MTA, null sender: it is null" grep -qi '^MAIL FROM:<>' \
		<(python3 "$SINK" lines "$MAILS" "$message" soft3@mixed.test)
	check "$MTA, null sender: the copy is wiped once it is settled" lab_wait 150 "no copy" not lab_exec "$M" \
		test -e "/var/lib/mailq-watchdog/vault/outbound/$id"
	rm "$MAILS/open"
}

# notes ADDRESS: how many it got; Postfix's own reports are auto-replied, too.
notes() {
	python3 "$SINK" to "$MAILS" "$1" | grep -c '^Subject: Your mail has been sent again' || :
}

note_came() {
	[ "$(notes "$1")" -gt 0 ]
}

# A filter makes a 450 into a 550; the mail is sent again, and its sender is told.
test_tell_sender() {
	local message=told.$RANDOM@client.example.com id
	in_net python3 "$SINK" send 127.0.0.1 misled@example.com "$message" "$MAILS/body" soft4@mixed.test
	id=$(lab_wait 20 "a queue id" queue_ids "$message" | head -1)
	lab_wait 40 "a copy" kept_for "$id" soft4@mixed.test
	pf_reply_filter "$M" on
	lab_exec "$M" postqueue -i "$id"
	check "$MTA, false NDR: seen" lab_wait 40 "false_ndr" wd_has_verdict "$M" "$id" soft4@mixed.test false_ndr
	pf_reply_filter "$M" off
	: >"$MAILS/open"
	check "$MTA, false NDR: recovered" lab_wait 30 "recovery" lab_exec "$M" mailq-watchdog recover "$id"
	check "$MTA, false NDR: delivered" lab_wait 60 "delivery" got "$message" soft4@mixed.test
	check "$MTA, false NDR: the sender is told" lab_wait 60 "a note" note_came misled@example.com
	python3 "$SINK" to "$MAILS" misled@example.com >"$MAILS/told"
	check "$MTA, false NDR: in reply to the mail" grep -aqx " <$message>" <(grep -aA1 -x "In-Reply-To:" "$MAILS/told")
	check "$MTA, false NDR: from the null sender" grep -qi '^MAIL FROM:<>' "$MAILS/told"
	sleep 15
	check "$MTA, false NDR: told once" equal "$(notes misled@example.com)" 1
	check "$MTA, false NDR: delivered once" equal "$(count "$message" soft4@mixed.test)" 1
	rm "$MAILS/open"
}

# The vault is on a file system without room: mail goes on, and what is lost then is lost.
test_full_disk() {
	local message=full.$RANDOM@client.example.com id
	wd_stop "$M"
	lab_exec "$M" sh -c 'mount -t tmpfs -o size=64k tmpfs /var/lib/mailq-watchdog/vault &&
		chown mailq-watchdog: /var/lib/mailq-watchdog/vault && install -d -o mailq-watchdog -m 700 \
		/var/lib/mailq-watchdog/vault/outbound && ! cat /dev/zero >/var/lib/mailq-watchdog/vault/filler 2>/dev/null'
	wd_start "$M"
	in_net python3 "$SINK" send 127.0.0.1 app@example.com "$message" "$MAILS/body" ok5@mixed.test soft5@mixed.test
	id=$(lab_wait 20 "a queue id" queue_ids "$message" | head -1)
	check "$MTA, full disk: mail goes on" lab_wait 30 "delivery" got "$message" ok5@mixed.test
	check "$MTA, full disk: said" wd_wait_says "$M" "no copy of message $id could be kept: No space left on device" 40
	vanish "$id"
	check "$MTA, full disk: vanished" lab_wait 150 "vanished" wd_has_verdict "$M" "$id" soft5@mixed.test vanished
	check "$MTA, full disk: recover fails" equal "$(status_of lab_exec "$M" mailq-watchdog recover "$id")" 1
	check "$MTA, full disk: recover says that there is no copy" grep -q 'there is no copy of this message' "$MAILS/out"
	: >"$MAILS/open"
	message=after.$RANDOM@client.example.com
	in_net python3 "$SINK" send 127.0.0.1 app@example.com "$message" "$MAILS/body" soft6@mixed.test
	check "$MTA, full disk: mail still goes" lab_wait 30 "delivery" got "$message" soft6@mixed.test
}

run_mta() {
	MTA=$1
	. "$HERE/../lab/$MTA.sh"
	. "$HERE/../lab/watchdog.sh"
	. "$HERE/../lab/check.sh"
	M=recover-$MTA-$$
	lab_need_root
	lab_trap
	MAILS=$(mktemp -d)
	trap finish EXIT
	mta_up
	sink_up
	make_body
	traffic &
	BESIDE+=("$!")
	wd_install "$M"
	configure
	wd_start "$M"
	lab_wait 20 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
	test_five
	test_null_sender
	if [ "$MTA" = postfix ]; then
		test_tell_sender
		test_full_disk
	fi
	check "$MTA: no system call was missing" not wd_refused "$M"
	echo "$MTA: $PASSED passed, $FAILED failed"
}

passed=0 failed=0
for mta in $MTAS; do
	log=$(mktemp)
	status=0
	(run_mta "$mta") 2>&1 | tee "$log" || status=$?
	if [ "$status" = 77 ]; then
		tail -1 "$log"
		exit 77
	fi
	line=$(grep -E "^$mta: [0-9]+ passed" "$log" || echo "0 passed, 1 failed")
	n=$(grep -oE '[0-9]+ passed' <<<"$line") passed=$((passed + ${n% passed}))
	n=$(grep -oE '[0-9]+ failed' <<<"$line") failed=$((failed + ${n% failed}))
	rm -f "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
