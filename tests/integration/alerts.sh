#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Alerts that reach a person, from the daemon under a real systemd beside a real Postfix: sinks that are away for a
# minute, a relay with TLS, a relay that is the watched server itself, thousands of findings at once, tests by hand.
# Prints "ok"/"not ok" lines and "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/postfix.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=alerts-$$
UNIT=mailq-watchdogd.service
STATE=/var/lib/mailq-watchdog
AWAY=60      # seconds that the sinks are away
MANY=10000   # findings of one cause
WORK=        # what the sinks keep, on the host
PIDS=()      # of the sinks that run

# --- the configuration -------------------------------------------------------------------------------------------------

# One rule a cause, named like the local part of the recipients in it. rule NAME CHANNEL...
rule() {
	local channel name=$1 domain=never
	shift
	[ "$name" != many ] || domain=mixed
	printf '  - name: %s\n    when: {verdict: [vanished, false_ndr], recipient: "%s*@%s.test"}\n    do:\n' \
		"$name" "$name" "$domain"
	for channel in "$@"; do
		printf '      - {alert: %s}\n' "$channel"
	done
}

# config CA-FILE: what the channel "strange" believes besides; "" nothing
config() {
	{
		cat <<-END
			version: 1
			mode: observe
			instances:
			  - {name: outbound, type: postfix, log: /var/log/mail.log, service: postfix@-.service}
			alerts:
			  mail: {email: ops@example.com, via: "smtp://127.0.0.1:2525"}
			  hook: {webhook: "http://127.0.0.1:8080/hook"}
			  starttls: {email: starttls@example.com, via: "smtp://receiver.test:25", ca_file: /etc/relay-ca.pem}
			  smtps: {email: smtps@example.com, via: "smtps://receiver.test:465", ca_file: /etc/relay-ca.pem}
			  strange: {email: strange@example.com, via: "smtp://receiver.test:25", tls: required$1}
			  patient: {email: ops.patient@never.test, via: "smtp://127.0.0.1:25"}
			  filtered: {email: many.ops@mixed.test, via: "smtp://127.0.0.1:25"}
			  sms: {command: [/usr/local/bin/sms, --to, "+4912345", "\$(id)"]}
			rules:
		END
		rule up mail hook
		rule first mail hook
		rule second mail hook
		rule starttls starttls
		rule smtps smtps
		rule strange strange
		rule patient patient
		rule ops patient # nothing must be found of these: they are alerts
		rule sms sms
		rule many mail hook
	} | wd_config "$M"
}

# A program for the channel "sms": keeps its arguments and what it gets.
install_sms() {
	cat >"$(lab_root "$M")/usr/local/bin/sms" <<-END
		#!/bin/sh
		{ echo "\$*"; cat; } >$STATE/sms.\$\$
		echo "the modem took it"
	END
	chmod 755 "$(lab_root "$M")/usr/local/bin/sms"
}

# --- the sinks -----------------------------------------------------------------------------------------------------------

# sink KIND PORT: starts one inside of the machine's network
sink() {
	local dir pid
	dir=$(mktemp -d "$WORK/$1.XXXXXX")
	nsenter -t "$(lab_init "$M")" -n python3 "$HERE/../sink.py" "$1" "$dir" --port "$2" >"$dir/port" &
	pid=$!
	PIDS+=("$pid")
	lab_wait 10 "the $1 sink" test -s "$dir/port"
}

sinks_up() {
	sink smtp 2525
	sink http 8080
}

sinks_down() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	PIDS=()
}

# mails RULE, hooks RULE: the files of the sinks that tell of it
mails() {
	grep -rlE "^   rule +$1"$'\r?$' "$WORK"/smtp.* || :
}

hooks() {
	grep -rlF "\"rule\":\"$1\"" "$WORK"/http.* || :
}

# arrived RULE MAILS HOOKS: how many of each there are
arrived() {
	equal "$(mails "$1" | wc -l) $(hooks "$1" | wc -l)" "$2 $3" 2>/dev/null
}

# each_once RULE...: one mail and one request of each, and says what there is instead
each_once() {
	local name
	for name in "$@"; do
		equal "$name: $(mails "$name" | wc -l) $(hooks "$name" | wc -l)" "$name: 1 1" || return 1
	done
}

# Message-IDs and keys: that many different ones, none twice.
all_different() {
	local all
	all=$({ grep -rhoE '^Message-ID: <mqw\.[0-9a-f]{32}@' "$WORK"/smtp.*
		grep -rhoE '^Idempotency-Key: [0-9a-f]{32}' "$WORK"/http.*; } | sort)
	[ -n "$all" ] && equal "$(uniq -d <<<"$all")" ""
}

# --- the outbox ------------------------------------------------------------------------------------------------------------

# waiting RULE CHANNEL: findings of it that are still to be told; -1 when the daemon has no time to say
waiting() {
	wd_ask "$M" status --json 2>/dev/null | python3 -c '
import json, sys
alerts = (json.loads(sys.stdin.read() or "null") or {}).get("alerts")
print(-1 if alerts is None else sum(a["findings"] for a in alerts if [a["rule"], a["channel"]] == sys.argv[1:]))' "$1" "$2"
}

# waits RULE CHANNEL [NUMBER]
waits() {
	[ "$(waiting "$1" "$2")" = "${3:-1}" ]
}

# --- messages ----------------------------------------------------------------------------------------------------------------

# defer NAME...: a message to each, which waits then. Their ids: IDS.
declare -A IDS
defer() {
	local name
	for name in "$@"; do
		pf_send "$M" "$name@never.test" >/dev/null
	done
	for name in "$@"; do
		IDS[$name]=$(pf_wait_deferred "$M" "$name@never.test")
		lab_wait 10 "$name is followed" wd_has_verdict "$M" "${IDS[$name]}" "$name@never.test" pending
	done
}

# lose NAME...: takes them away
lose() {
	local name
	for name in "$@"; do
		pf_vanish "$M" "${IDS[$name]}"
	done
}

# found NAME...: all of them were
found() {
	local name
	for name in "$@"; do
		wd_wait_says "$M" "vanished \(certain\): message ${IDS[$name]} " 30 >/dev/null
	done
}

answers() {
	lab_exec "$M" mailq-watchdog status >/dev/null 2>&1
}

# killed: SIGKILL, and systemd has brought it back
killed() {
	local pid
	pid=$(wd_pid "$M")
	lab_exec "$M" systemctl kill -s KILL "$UNIT"
	lab_wait 30 "another process" comes_back "$pid"
}

comes_back() {
	local pid
	pid=$(wd_pid "$M")
	[ "$pid" != 0 ] && [ "$pid" != "$1" ] && answers
}

# try NAME: `alert test`: what it says, and its exit status behind
try() {
	local status=0
	lab_exec "$M" mailq-watchdog alert test "$@" 2>&1 || status=$?
	echo "exit status $status"
}

# tries NAME PATTERN...: all of these stand in what `alert test NAME` says
tries() {
	local said name=$1 pattern
	shift
	said=$(try "$name")
	for pattern in "$@"; do
		grep -qE -- "$pattern" <<<"$said" || { lab_say "alert test $name: $said"; return 1; }
	done
}

# --- a relay with a certificate ----------------------------------------------------------------------------------------------

# The receiver takes mail over TLS alone, on 25 after STARTTLS and on 465 from the first byte. Its certificate is of a CA
# that nobody has heard of.
relay_with_tls() {
	local dir=$WORK/ca root
	root=$(lab_root "$M")
	mkdir "$dir"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=CA of the lab" \
		-keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=receiver.test \
		-keyout "$dir/relay.key" -out "$dir/relay.csr" 2>/dev/null
	openssl x509 -req -in "$dir/relay.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
		-extfile <(echo subjectAltName=DNS:receiver.test) -out "$dir/relay.pem" 2>/dev/null
	install -m 600 "$dir/relay.key" "$root/etc/postfix-in/relay.key"
	install -m 644 "$dir/relay.pem" "$root/etc/postfix-in/relay.pem"
	install -m 644 "$dir/ca.pem" "$root/etc/relay-ca.pem"
	lab_exec "$M" postconf -c /etc/postfix-in -M "465/inet=465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes"
	pf_conf "$M" postfix smtp_tls_security_level=may # the sender shall get on with it too
	pf_conf "$M" postfix-in smtpd_tls_security_level=encrypt smtpd_tls_loglevel=1 smtpd_tls_received_header=yes \
		smtpd_tls_cert_file=/etc/postfix-in/relay.pem smtpd_tls_key_file=/etc/postfix-in/relay.key
	lab_wait 20 "the relay listens on 465" listens_465
}

listens_465() {
	[ -n "$(lab_exec "$M" ss -Hltn "src 127.0.0.2:465")" ]
}

# stored USER: the mail that the relay took for USER@example.com
stored() {
	cat "$(lab_root "$M")/var/mail-in/example.com/$1/new/"* 2>/dev/null
}

# came_over_tls USER: once, and the relay's own header says how
came_over_tls() {
	local mail
	mail=$(stored "$1") || return 1
	equal "$(grep -c '^Message-ID: <mqw\.' <<<"$mail")" 1 &&
		grep -qE 'using TLSv1\.[23] with cipher' <<<"$mail" && grep -qE 'with ESMTPS id' <<<"$mail"
}

# relay_logged PATTERN, from the relay's own log
relay_logged() {
	grep -E -- "$1" "$(lab_root "$M")/var/log/mail-in.log"
}

# --- the story -----------------------------------------------------------------------------------------------------------------

test_up() {
	lose up
	check "a loss is told by mail and by webhook" lab_wait 40 "mail and request" arrived up 1 1
}

# From here the sinks are away. What is found meanwhile has to wait.
begin_away() {
	sinks_down
	GONE=$SECONDS
	lose first starttls smtps strange patient sms
	found first starttls smtps strange patient sms
	check "sinks away: said with the reason, the mail" wd_wait_says "$M" \
		'alert [0-9]+ with 1 finding\(s\) could not be sent to mail and is tried again: .*(refused|connect)' 20
	check "sinks away: said with the reason, the webhook" wd_wait_says "$M" \
		'alert [0-9]+ with 1 finding\(s\) could not be sent to hook and is tried again: .*(refused|connect)' 10
	check "sinks away: both wait" both_wait first
	check "sinks away: the daemon is killed and comes back" killed
	check "sinks away: both wait still" both_wait first
	lose second
	found second
	check "sinks away: what is found after that waits too" lab_wait 10 "both wait" both_wait second
}

both_wait() {
	waits "$1" mail && waits "$1" hook
}

test_tls() {
	check "STARTTLS: a loss is told over it" lab_wait 20 "mail" came_over_tls starttls
	check "STARTTLS: the relay's log says so" relay_logged 'smtpd\[[0-9]+\]: Anonymous TLS connection established from'
	check "TLS from the first byte: a loss is told over it" lab_wait 20 "mail" came_over_tls smtps
	check "certificate of an unknown CA: refused, and said what to do" wd_wait_says "$M" \
		'could not be sent to strange and is tried again: .*did not prove that it is receiver.test; .* its CA in ca_file:' 20
	check "certificate of an unknown CA: nothing was sent" equal "$(stored strange)" ""
	check "certificate of an unknown CA: the alert waits" waits strange strange
	check "alert test: the same by hand" tries strange '^email smtp://receiver.test:25$' \
		'^not accepted: .*did not prove that it is receiver.test' '^exit status 1$'
	config ", ca_file: /etc/relay-ca.pem"
	lab_exec "$M" systemctl reload "$UNIT"
	TRUSTED=$SECONDS
}

end_tls() {
	check "its CA is named: the alert that waited is sent, once" lab_wait $((70 - (SECONDS - TRUSTED))) "mail" \
		came_over_tls strange
	check "its CA is named: nothing waits" waits strange strange 0
}

test_by_hand() {
	check "alert test: the sink is away, mail" tries mail '^not accepted: .*(refused|connect)' '^exit status 1$'
	check "alert test: the sink is away, webhook" tries hook '^not accepted: .*(refused|connect)' '^exit status 1$'
	check "alert test: an unknown name, and which there are" tries nobody \
		"no alert 'nobody' in .*watchdog.yaml; it has: journal, mail, hook, .*sms" '^exit status 2$'
	check "alert test: the journal" tries journal '^said to the journal' '^exit status 0$'
	check "alert test: it is there" wd_says "$M" 'test of the alert "journal"'
	check "alert test: over a real relay" tries starttls '^accepted: 250 2.0.0 Ok: queued as' '^exit status 0$'
	check "alert test: it arrives and says what it is" lab_wait 10 "mail" stored_test
	check "alert test: a command" tries sms '^accepted: /usr/local/bin/sms ended with status 0: the modem took it$' \
		'^exit status 0$'
	check "alert test: the command got arguments and JSON, no shell between" lab_exec "$M" sh -c \
		"cat $STATE/sms.* | grep -Fx -e '--to +4912345 \$(id)' && grep -h '\"test\":true' $STATE/sms.*"
	check "a command is given a loss" lab_exec "$M" sh -c "grep -h '\"recipient\":\"sms@never.test\"' $STATE/sms.*"
}

stored_test() {
	stored starttls | grep -q '^X-Mailq-Watchdog: test; count=1'
}

# The alert about "patient" goes through the watched server itself, and is deferred there. Then it is lost, at the same
# time as an ordinary message.
test_own() {
	local id
	id=$(pf_wait_deferred "$M" ops.patient@never.test)
	check "own mail: it is deferred at the watched server" pf_log "$M" "$id: to=<ops.patient@never.test>.*status=deferred"
	check "own mail: its sender is null" pf_log "$M" "$id: from=<>"
	defer beside
	pf_vanish "$M" "$id"
	lose beside
	found beside
	check "own mail: lost, it is no finding" not wd_says "$M" "vanished.*$id"
	check "own mail: nor in the list" not lab_exec "$M" sh -c "mailq-watchdog list --json | grep ops.patient"
	check "own mail: no alert about an alert" equal "$(pf_log "$M" 'to=<ops.patient@never.test>' | wc -l)" 1
	check "own mail: none in the outbox" waits ops patient 0
}

end_away() {
	local left=$((AWAY - (SECONDS - GONE)))
	[ "$left" -le 0 ] || sleep "$left"
	check "sinks away for a minute: nothing got through meanwhile" equal "$(mails first)$(hooks first)" ""
	sinks_up
	check "alert test: the sink is back, webhook" tries hook '^accepted: status 200' '^exit status 0$'
	check "alert test: the sink is back, mail" tries mail '^accepted: 250 ' '^exit status 0$'
}

# All at once, by a server that makes a failure report out of each temporary answer.
test_many() {
	lab_exec "$M" postconf -c /etc/postfix-in -e smtpd_error_sleep_time=0 smtpd_hard_error_limit=1000000 \
		smtpd_junk_command_limit=1000000
	pf_answer "$M" '^many.*@mixed\.test$' '450 4.2.0 Greylisted, see http://postgrey.example.com/help/mixed.test.html'
	pf_filter "$M" postfix smtp_delivery_status_filter on '/^4(\..*many.*@mixed\.test.*)/ 5$1'
	lab_exec "$M" sh -c "seq -f many%g@mixed.test $MANY | xargs -n 250 sh -c '
		printf \"Subject: many\n\n.\n\" | sendmail -i -f app@example.com -- \"\$@\"' -"
	check "$MANY findings: each is counted once, in mails" lab_wait 240 "all counted" counted mail smtp
	check "$MANY findings: each is counted once, in requests" lab_wait 20 "all counted" counted hook http
	check "$MANY findings: each stands in the journal" all_found
	check "own mail: given up on a temporary answer, it is no finding" own_filtered
}

all_found() {
	equal "$(wd_says "$M" 'false_ndr \([a-z]+\): message .* to <many[0-9]+@mixed.test>' | wc -l)" "$MANY"
}

# counted CHANNEL KIND: what was told and what is still to be told make all
counted() {
	local told
	told=$(case $2 in
	smtp) mails many | xargs -r grep -h '^X-Mailq-Watchdog: alert; count=' ;;
	http) hooks many | xargs -r grep -hoE '"count":[0-9]+' ;;
	esac | tr -d '\r' | sed 's/.*[=:]//' | awk '{ n += $1 } END { print n + 0 }')
	[ "$told" -gt 0 ] && [ $((told + $(waiting many "$1"))) = "$MANY" ]
}

own_filtered() {
	tries filtered '^accepted: 250 2.0.0 Ok: queued as' && pf_wait_log "$M" 'to=<many.ops@mixed.test>.*status=bounced.*said: 450' &&
		defer later && ! wd_says "$M" 'many.ops@mixed.test' # the log is read as far as "later" now
}

# Both of what was found before the sinks came back.
test_once() {
	check "sinks back: what waited comes" lab_wait 150 "mails and requests" all_arrived first second
	check "sinks back: it is written down" lab_wait 30 "an empty outbox" nothing_waits first second
	check "killed once more" killed
	sleep 5 # what would be sent again would be so by then: an alert that is due goes within a second
	check "each alert came once, over both channels" each_once up first second
	check "$MANY findings: at most three mails" test "$(mails many | wc -l)" -le 3
	check "$MANY findings: at most three requests" test "$(hooks many | wc -l)" -le 3
	check "no Message-ID and no key came twice" all_different
	check "the command was given each alert once" equal \
		"$(lab_exec "$M" sh -c "grep -l '\"test\":false' $STATE/sms.* | wc -l")" 1
	check "each mail over TLS came once" each_over_tls_once
}

all_arrived() {
	local name
	for name in "$@"; do
		arrived "$name" 1 1 || return 1
	done
}

nothing_waits() {
	local name
	for name in "$@"; do
		waits "$name" mail 0 && waits "$name" hook 0 || return 1
	done
}

each_over_tls_once() {
	local name
	for name in starttls smtps strange; do
		equal "$name $(stored "$name" | grep -c '^X-Mailq-Watchdog: alert')" "$name 1" || return 1
	done
}

# 10,000 lines in some seconds are more than journald and rsyslog let through by default.
no_rate_limits() {
	local dir
	dir=$(lab_root "$M")/etc/systemd/journald.conf.d
	mkdir -p "$dir"
	printf '[Journal]\nRateLimitIntervalSec=0\n' >"$dir/lab.conf"
	lab_exec "$M" systemctl restart systemd-journald.service
}

clean_up() {
	sinks_down
	lab_down_owned
	[ -z "$WORK" ] || rm -rf "$WORK"
}

lab_need_root
lab_need_command python3 python3
lab_need_command openssl openssl
lab_trap
trap clean_up EXIT
WORK=$(mktemp -d /tmp/mqw-alerts.XXXXXX)
pf_up "$M"
no_rate_limits
pf_retry "$M" 1h 1h 1h
relay_with_tls
wd_install "$M"
install_sms
config ""
wd_start "$M"
lab_wait 10 "the daemon answers" answers
sinks_up
defer up first second starttls smtps strange patient sms
test_up
begin_away
test_tls
test_by_hand
test_own
end_away
end_tls
test_many
test_once
check "no system call was refused" not wd_refused "$M"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
