#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What somebody can do who has got hold of the daemon, or who is an ordinary user of the host: against the real units under
# a real systemd. Prints "ok"/"not ok" lines and "N passed, N failed"; exit status 1 when one failed, 77 when the lab
# cannot run here.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/postfix.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=attacks-$$
STATE=/var/lib/mailq-watchdog
VAULT=$STATE/vault/outbound
SPOOL=/var/spool/postfix
LOST=4jZ5G9037Zz1fPvd # an id that no message has

# config LOG [ACTION]
config() {
	local action=${2:-"{alert: journal}"}
	wd_config "$M" <<-END
		version: 1
		mode: act
		instances:
		  - {name: outbound, type: postfix, log: $1, service: postfix@-.service}
		rules:
		  - name: tell
		    when: {verdict: [vanished, false_ndr]}
		    do: [$action]
	END
}

# as_daemon ATTACK [ARGUMENT...], as_other, as_member: by the daemon's user, a stranger, a stranger in the daemon's group.
attack() {
	local uid=$1 gid=$2
	shift 2
	timeout 120 python3 "$HERE/../lab/attack_helper.py" "/proc/$(lab_init "$M")/root/run/mailq-watchdog" "$uid" "$gid" "$@"
}

as_daemon() {
	attack "$UID_DAEMON" "$GID_DAEMON" "$@"
}

as_other() {
	attack 65534 65534 "$@"
}

as_member() {
	attack 65534 "$GID_DAEMON" "$@"
}

# refuses PATTERN OP INSTANCE QUEUE-ID: the helper's answer to the daemon's user, and why
refuses() {
	as_daemon ask "${@:2}" | grep -E "^refused .*$1"
}

serves() {
	as_daemon ask 1 "" "" | grep '^ok'
}

# The exposure that systemd-analyze counts is at most that.
exposed_at_most() {
	local got
	got=$(lab_exec "$M" systemd-analyze security --no-pager "$1" | sed -nE 's/.*exposure level for .*: ([0-9.]+) .*/\1/p')
	awk -v got="$got" -v most="$2" 'BEGIN { exit !(got != "" && got + 0 <= most + 0) }' ||
		{ lab_say "$1: $got, expected at most $2"; return 1; }
}

# explained UNIT FILE: what systemd-analyze still counts is named in the unit's comments, each.
explained() {
	local name names
	names=$(lab_exec "$M" systemd-analyze security --no-pager "$1" | sed -nE 's/^✗ ([^ ]+).*/\1/p' |
		sed -E 's/.*=~//; s/\(.*//; s/=.*/=/' | sort -u)
	[ -n "$names" ] || return 1
	for name in $names; do
		sed -n '/^# What `systemd-analyze security`/,/^[^#]/s/^#//p' "$HERE/../../packaging/systemd/$2" | grep -qF -- "$name" ||
			{ lab_say "$2 does not say why $name is left"; return 1; }
	done
}

# in_journal FIELD=VALUE...: there is an entry with all of them
in_journal() {
	lab_exec "$M" journalctl -q -o cat --no-pager "$@" | grep .
}

# in_vault COMMAND...: as the daemon's user, in the vault of the instance
in_vault() {
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" runuser -u mailq-watchdog -- sh -c 'cd "$0" && exec "$@"' "$VAULT" "$@"
}

# sees PID COMMAND...: in the process's view of the file system, with its user and capability.
sees() {
	lab_exec "$M" nsenter -t "$1" -m setpriv --reuid "$UID_DAEMON" --regid "$GID_DAEMON" --clear-groups \
		--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search "${@:2}"
}

# --- the walls -----------------------------------------------------------------------------------------------------------

test_walls() {
	local pid dir
	pid=$(wd_pid "$M")
	check "exposure of the daemon" exposed_at_most mailq-watchdogd.service 1.5
	check "exposure of the helper" exposed_at_most mailq-watchdog-helper@x.service 2.5
	check "what is left of the daemon's has its reason in the unit" explained mailq-watchdogd.service \
		mailq-watchdogd.service
	check "what is left of the helper's has its reason in the unit" explained mailq-watchdog-helper@x.service \
		mailq-watchdog-helper@.service
	check "the daemon can get no new privileges" lab_exec "$M" grep -E '^NoNewPrivs:[[:space:]]1' "/proc/$pid/status"
	check "the daemon has a filter" lab_exec "$M" grep -E '^Seccomp:[[:space:]]2' "/proc/$pid/status"
	check "the daemon reads queues" sees "$pid" ls "$SPOOL/active"
	check "the daemon does not see who may log in how" equal "$(sees "$pid" cat /etc/shadow)" ""
	for dir in /root /home /etc/ssl/private /var/mail /var/spool/cron /var/backups; do
		lab_exec "$M" touch "$dir/secret"
		check "the daemon sees nothing in $dir" equal "$(sees "$pid" ls -A "$dir/")" ""
	done
	check "the daemon's programs inherit no capability" lab_exec "$M" grep -E '^CapAmb:[[:space:]]0+$' "/proc/$pid/status"
}

# --- the daemon's user asks for what it must not -------------------------------------------------------------------------

test_requests() {
	check "serves at all" serves
	check "a unit that is not listed" refuses 'no such instance' 4 ssh.service ""
	check "an instance that is not listed" refuses 'no such instance' 4 inbound ""
	check "an instance with ../" refuses 'no such instance' 4 ../outbound ""
	check "an id with ../" refuses 'no queue id' 6 outbound ../../../etc/shadow
	check "an id with /" refuses 'no queue id' 2 outbound /etc/shadow
	check "an id that is an option" refuses 'no queue id' 2 outbound -i
	check "an id that means all" refuses 'no queue id' 2 outbound ALL
	check "an id with a newline" refuses 'no queue id' 2 outbound "$LOST
x"
	check "an operation that there is not" refuses 'no such operation' 99 outbound ""
	check "wrong frames and versions" as_daemon frames
	check "still serves" serves
}

# A sound queue file, so that the links alone are what is wrong.
test_links() {
	local message id
	message=$(pf_send "$M" linked@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	lab_wait 10 "a copy of $id" lab_exec "$M" test -e "$VAULT/$id"
	in_vault ln -s "$id" "$LOST.recover"
	check "a file in the vault that is a link" refuses 'symbolic links' 6 outbound "$LOST"
	in_vault ln -sf /etc/shadow "$LOST.recover"
	check "a link to a file of root's" refuses 'symbolic links' 6 outbound "$LOST"
	in_vault rm "$LOST.recover"
	check "a hard link to a file of root's cannot be made" not in_vault ln /etc/passwd "$LOST.recover"
	in_vault mkfifo "$LOST.recover"
	check "a FIFO" refuses 'vault' 6 outbound "$LOST"
	in_vault rm "$LOST.recover"
	in_vault cp "$id" "$id.recover"
	check "a message that is not lost" refuses 'not lost' 6 outbound "$id"
	in_vault mv "$id.recover" "$LOST.recover"
	in_vault mv "$VAULT" "$VAULT.aside"
	lab_exec "$M" runuser -u mailq-watchdog -- ln -s outbound.aside "$VAULT"
	check "a directory of the vault that is a link" refuses 'symbolic links|Not a directory' 6 outbound "$LOST"
	lab_exec "$M" runuser -u mailq-watchdog -- sh -c "rm $VAULT && mv $VAULT.aside $VAULT"
	# Now all is right but the queue: it leads elsewhere.
	lab_exec "$M" sh -c "mkdir /tmp/elsewhere && mv $SPOOL/maildrop $SPOOL/maildrop.aside &&
		ln -s /tmp/elsewhere $SPOOL/maildrop"
	check "a directory of the queue that is a link" grep -E '^failed maildrop: (Too many|Not a directory)' \
		<(as_daemon ask 6 outbound "$LOST")
	check "nothing is put where it leads" equal "$(lab_exec "$M" ls -A /tmp/elsewhere)" ""
	lab_exec "$M" sh -c "rm $SPOOL/maildrop && mv $SPOOL/maildrop.aside $SPOOL/maildrop"
	in_vault rm "$LOST.recover"
	check "nothing of it was mailed" equal "$(pf_deliveries "$M" "$message" linked@never.test)" 0
	check "still serves" serves
}

test_trust() {
	lab_exec "$M" chmod g+w /etc/mailq-watchdog/watchdog.yaml
	check "a configuration that its group can write" refuses 'writable for its group' 3 outbound ""
	lab_exec "$M" chmod g-w /etc/mailq-watchdog/watchdog.yaml
	lab_exec "$M" chown mailq-watchdog /etc/mailq-watchdog/watchdog.yaml
	check "a configuration that is not root's" refuses 'belongs to user' 3 outbound ""
	lab_exec "$M" chown root /etc/mailq-watchdog/watchdog.yaml
	check "taken again when it is" equal "$(as_daemon ask 3 outbound "")" "ok the whole queue is tried now"
}

test_others() {
	check "another user cannot connect" equal "$(as_other connect)" EACCES
	check "another user of the daemon's group is refused" equal "$(as_member ask 1 "" "")" \
		"refused this user may not ask for anything"
	check "still serves" serves
}

# refused: how many requests were refused so far, as the journal has it
refused() {
	lab_exec "$M" journalctl -q -o json --no-pager SYSLOG_IDENTIFIER=mailq-watchdog-helper | python3 -c '
import json, sys
entries = [json.loads(line) for line in sys.stdin]
print(max((int(e.get("COUNT_REFUSED", 0)) for e in entries), default=0))'
}

test_floods() {
	local before
	before=$(refused)
	check "more silent connections than there are places" as_daemon silent 40
	check "10,000 connections" as_daemon flood 10000
	check "still serves" serves
	check "what was refused is counted" test "$(refused)" -ge $((before + 16))
	check "and told with who, what and why" in_journal ACTION=restart STATUS=refused \
		"INSTANCE=ssh.service" "PEER_UID=$UID_DAEMON" MESSAGE_ID=6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a11
	check "journalctl -u finds it" in_journal -u 'mailq-watchdog-helper@*' STATUS=refused
	check "the socket is as it was" equal "$(lab_exec "$M" systemctl is-active mailq-watchdog-helper.socket)" active
	check "no unit of the helper has failed" equal \
		"$(lab_exec "$M" systemctl list-units --plain --no-legend --state=failed 'mailq-watchdog*')" ""
	check "no other unit was restarted" equal "$(lab_exec "$M" systemctl show -P ActiveEnterTimestampMonotonic \
		postfix@-.service)" "$MTA_STARTED"
}

# --- lines that an ordinary user forges ------------------------------------------------------------------------------------

# words_of ID RECIPIENT COMMAND: a script that says of the message that it is delivered and gone, logged by COMMAND.
# It keeps each alive for a moment, so that journald sees all there is to see of it.
words_of() {
	local command=$3
	cat <<-END
		#!/bin/sh
		(echo "$1: to=<$2>, relay=mx.never.test[192.0.2.1]:25, delay=1, delays=0.1/0/0.4/0.5, dsn=2.0.0, status=sent (250 Ok)"; sleep 0.5) |
			$command -t postfix/smtp
		(echo "$1: removed"; sleep 0.5) | $command -t postfix/qmgr
	END
}

# forge HOW ID RECIPIENT
forge() {
	local home command="/usr/bin/logger -p mail.info"
	home=$(lab_root "$M")/home/mallory
	[ "$1" != postlog ] || command=/usr/sbin/postlog
	words_of "$2" "$3" "$command" >"$home/$1"
	echo "\"|/home/mallory/$1\"" >"$home/.forward"
	lab_exec "$M" sh -c 'chmod 755 /home/mallory/* && chown -R mallory: /home/mallory'
	if [ "$1" = forward ]; then
		# It runs in the cgroup of Postfix's own unit.
		pf_send "$M" mallory@localhost
		lab_wait 15 "mallory's command in Postfix's unit" in_journal \
			_SYSTEMD_UNIT=postfix@-.service "_UID=$(lab_exec "$M" id -u mallory)" "MESSAGE=$2: removed"
	else
		lab_exec "$M" runuser -u mallory -- "/home/mallory/$1"
	fi
}

# Messages that wait are said to be delivered; then they are lost, which has to be seen still.
test_forged() {
	local name message
	local -A ids
	lab_exec "$M" useradd -m -s /bin/sh mallory
	for name in logger postlog forward; do
		message=$(pf_send "$M" "$name@never.test")
		ids[$name]=$(pf_wait_deferred "$M" "$message")
	done
	for name in logger postlog forward; do
		lab_wait 10 "pending" wd_has_verdict "$M" "${ids[$name]}" "$name@never.test" pending
		forge "$name" "${ids[$name]}" "$name@never.test"
	done >/dev/null
	sleep 2
	for name in logger postlog forward; do
		check "forged by $name: the line is in the journal" in_journal "MESSAGE=${ids[$name]}: removed"
		check "forged by $name: no verdict changes" wd_has_verdict "$M" "${ids[$name]}" "$name@never.test" pending
		pf_vanish "$M" "${ids[$name]}"
	done
	for name in logger postlog forward; do
		check "forged by $name: the loss is seen" wd_wait_says "$M" "vanished \(certain\): message ${ids[$name]} " 30
	done
}

# A plain file does not tell who wrote a line: the manual says that verdicts can be made up there, and what cannot be done
# with it all the same. A message that waits is said to be reported as failed, on a 450.
test_forged_file() {
	local message id line
	config /var/log/mail.log recover
	wd_restart "$M"
	lab_wait 10 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
	message=$(pf_send "$M" filed@never.test)
	id=$(pf_wait_deferred "$M" "$message")
	lab_wait 10 "pending" wd_has_verdict "$M" "$id" filed@never.test pending
	lab_wait 10 "a copy of $id" lab_exec "$M" test -e "$VAULT/$id"
	for line in "smtp $id: to=<filed@never.test>, relay=mx.test[192.0.2.1]:25, delay=1, dsn=4.2.0, status=bounced (host mx.test[192.0.2.1] said: 450 4.2.0 Later)" \
		"bounce $id: sender non-delivery notification: 4jZ5G9037Zz1fPvd" "qmgr $id: removed"; do
		lab_exec "$M" runuser -u mallory -- logger -i -p mail.info -t "postfix/${line%% *}" "${line#* }"
	done
	check "forged in a plain file: it is believed, as the manual says" wd_wait_says "$M" "false_ndr .*message $id " 15
	check "forged in a plain file: it is not mailed again while it waits" wd_wait_says "$M" \
		"recover .*message $id .*(refused|not done|still|in the queue)" 20
	pf_answer "$M" '^filed@' OK
	lab_exec "$M" postqueue -f
	lab_wait 30 "delivery" pf_delivered "$M" "$message" filed@never.test
	lab_wait 20 "an empty maildrop" lab_exec "$M" sh -c "[ -z \"\$(ls $SPOOL/maildrop)\" ]"
	check "forged in a plain file: it is delivered once" equal "$(pf_deliveries "$M" "$message" filed@never.test)" 1
	config journal
	wd_restart "$M"
}

# --- a faulty configuration ------------------------------------------------------------------------------------------------

test_reload() {
	check "reload" lab_exec "$M" systemctl reload mailq-watchdogd.service
	echo 'no_such_key: 1' >>"$(lab_root "$M")/etc/mailq-watchdog/watchdog.yaml"
	check "reload of a faulty file: fails" not lab_exec "$M" systemctl reload mailq-watchdogd.service 2>/dev/null
	check "reload of a faulty file: the daemon says where" wd_wait_says "$M" \
		'the old one stays: /etc/mailq-watchdog/watchdog.yaml:[0-9]+:[0-9]+: .*no_such_key' 10
	check "reload of a faulty file: the daemon goes on" equal "$(lab_exec "$M" systemctl is-active mailq-watchdogd)" active
	check "reload of a faulty file: status shows it" lab_wait 5 "the complaint" status_says 'the configuration is faulty'
	config journal
	check "reload of a good one" lab_exec "$M" systemctl reload mailq-watchdogd.service
	check "reload of a good one: status is clean again" lab_wait 5 "no complaint" not status_says 'the configuration is faulty'
}

status_says() {
	wd_ask "$M" status | grep "$1"
}

lab_need_root
lab_trap
pf_up "$M"
pf_retry "$M" 1h 1h 1h
wd_install "$M"
config journal
wd_start "$M"
lab_wait 10 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
UID_DAEMON=$(lab_exec "$M" id -u mailq-watchdog)
GID_DAEMON=$(lab_exec "$M" id -g mailq-watchdog)
MTA_STARTED=$(lab_exec "$M" systemctl show -P ActiveEnterTimestampMonotonic postfix@-.service)
for test in ${*:-walls requests links trust others floods forged forged_file reload}; do
	"test_$test"
done
check "no system call was missing" not wd_refused "$M"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
