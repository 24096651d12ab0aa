#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The service in a booted system: installed by `make install`, enabled, and then whatever happens to services: killed,
# stuck, misconfigured, rebooted, without D-Bus, without journald, its log rotated under it. Prints "ok"/"not ok" lines
# and "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot run here.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/postfix.sh"
. "$HERE/../lab/watchdog.sh"
. "$HERE/../lab/check.sh"

M=boot-$$
UNIT=mailq-watchdogd.service
MTA=postfix@-.service
LOG=/var/log/mail.log

# config MODE LOG [RULE-NAME [SERVICE]]: one instance, one rule
config() {
	wd_config "$M" <<-END
		version: 1
		mode: $1
		instances:
		  - {name: outbound, type: postfix, log: $2, service: ${4:-$MTA}}
		rules:
		  - name: ${3:-tell}
		    when: {verdict: [vanished, false_ndr, overdue]}
		    do: [{alert: journal}]
	END
}

# Each of these is a message to a receiver that never takes it. lose NAME: it is deferred, then its file is removed, and
# the watchdog has to say so. Sets ID.
defer() {
	local message
	message=$(pf_send "$M" "$1@never.test")
	ID=$(pf_wait_deferred "$M" "$message")
	lab_wait 10 "$1 is followed" wd_has_verdict "$M" "$ID" "$1@never.test" pending
}

lose() {
	defer "$1"
	pf_vanish "$M" "$ID"
	found "$ID" "$1"
}

# found ID NAME
found() {
	wd_wait_says "$M" "vanished \(certain\): message $1 .*<$2@never.test>" 30
}

# said_of ID: how often the watchdog called it lost
said_of() {
	wd_says "$M" "vanished \(certain\): message $1" | wc -l
}

# findings: what is in trouble, a line each
findings() {
	wd_ask "$M" list --json | python3 -c '
import json, sys
for m in json.loads(sys.stdin.readline() or "{\"messages\": []}")["messages"]:
    print(m["queue_id"], m["recipient"], m["verdict"], m["confidence"])' | sort
}

# All that the watchdog has to know still: the lost message, the one that waits, and nothing more said than was.
remember() {
	FINDINGS=$(findings)
	SAID=$(wd_says "$M" 'vanished|false_ndr|overdue|unknown' | wc -l)
}

is_remembered() {
	equal "$(findings)" "$FINDINGS" &&
		wd_has_verdict "$M" "$WAITING" waiting@never.test pending &&
		equal "$(wd_says "$M" 'vanished|false_ndr|overdue|unknown' | wc -l)" "$SAID"
}

answers() {
	lab_exec "$M" mailq-watchdog status >/dev/null 2>&1
}

# comes_back OLD-PID: another process than before answers
comes_back() {
	local pid
	pid=$(wd_pid "$M")
	[ "$pid" != 0 ] && [ "$pid" != "$1" ] && answers
}

show() {
	lab_exec "$M" systemctl show -P "$1" "${2:-$UNIT}"
}

reload() {
	lab_exec "$M" systemctl reload "$UNIT"
}

# helper OPERATION: what the root helper answers, asked as root
helper() {
	local -A operations=([restart]=4 [health]=5) # of watchdogd/helper/wire.h
	python3 "$HERE/../lab/attack_helper.py" "/proc/$(lab_init "$M")/root/run/mailq-watchdog" 0 0 \
		ask "${operations[$1]}" outbound ""
}

# helper_says OPERATION PATTERN
helper_says() {
	local answer
	answer=$(helper "$1")
	grep -qE -- "$2" <<<"$answer" || { lab_say "the helper says: $answer"; return 1; }
}

# mta_drop_in LINE...: for [Unit] of the mail service; none removes it
mta_drop_in() {
	local dir
	dir=$(lab_root "$M")/etc/systemd/system/$MTA.d
	rm -rf "$dir"
	if [ $# -gt 0 ]; then
		mkdir -p "$dir"
		printf '%s\n' '[Unit]' "$@" >"$dir/test.conf"
	fi
	lab_exec "$M" systemctl daemon-reload
}

# --- installed, enabled, started -------------------------------------------------------------------------------------

test_install() {
	wd_install "$M"
	check "install: the units are sound" lab_exec "$M" systemd-analyze verify --man=no \
		"/usr/lib/systemd/system/$UNIT" /usr/lib/systemd/system/mailq-watchdog-helper.socket
	config observe journal
	check "install: enable --now" lab_exec "$M" systemctl enable --quiet --now "$UNIT"
	check "install: answers" lab_wait 10 "status" answers
	check "install: runs as a user of its own" equal \
		"$(lab_exec "$M" ps -o user:32= -p "$(wd_pid "$M")")" mailq-watchdog
	check "install: manual pages" test -e "$(lab_root "$M")/usr/share/man/man8/mailq-watchdogd.8"
	check "install: systemd looks after it" test "$(show WatchdogUSec)" != 0
}

test_catalogue() {
	defer waiting
	WAITING=$ID
	check "catalogue: a loss is found" lose first
	FIRST=$ID
	check "catalogue: journalctl -x explains it" explained "A recipient of message $FIRST is in trouble: vanished"
	check "catalogue: and says what to do" explained "mailq-watchdog show $FIRST"
	remember
	check "findings: the one that is lost" equal "$FINDINGS" "$FIRST first@never.test vanished certain"
}

explained() {
	lab_exec "$M" journalctl -q -x --no-pager MESSAGE_ID=6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a01 | grep -F -- "$1"
}

# --- killed, stuck, misconfigured, rebooted ----------------------------------------------------------------------------

test_killed() {
	local pid
	pid=$(wd_pid "$M")
	lab_exec "$M" systemctl kill -s KILL "$UNIT"
	check "SIGKILL: systemd brings it back" lab_wait 20 "another process" comes_back "$pid"
	check "SIGKILL: the same verdicts, nothing said again" lab_wait 10 "the verdicts" is_remembered
}

test_reload() {
	local file pid
	file=$(lab_root "$M")/etc/mailq-watchdog/watchdog.yaml
	pid=$(wd_pid "$M")
	sed -i 's/when: {verdict:/when: {verdit:/' "$file"
	check "faulty file: the reload fails" not reload 2>/dev/null
	check "faulty file: says where the fault is" wd_wait_says "$M" \
		'old one stays: .*watchdog.yaml:7:12: unknown key \\?"verdit' 10
	sed -i 's/name: tell/name: never in force/' "$file"
	check "faulty file: it fails again" not reload 2>/dev/null
	check "faulty file: the old rules hold" lose second
	check "faulty file: by their old name" wd_wait_says "$M" "message $ID .*rule \"tell\"" 5
	config observe journal renamed
	reload
	check "good file: read" wd_wait_says "$M" 'configuration read again' 10
	check "good file: the new rules hold" lose third
	check "good file: by their new name" wd_wait_says "$M" "message $ID .*rule \"renamed\"" 5
	check "reload: the same process all the time" equal "$(wd_pid "$M")" "$pid"
	check "reload: systemd has it as running" equal "$(show ActiveState) $(show SubState)" "active running"
	remember
}

# A shorter patience than the unit's own: it is the same mechanism.
test_stuck() {
	local pid dir
	dir=/run/systemd/system/$UNIT.d
	lab_exec "$M" sh -c "mkdir -p $dir; printf '[Service]\nWatchdogSec=4s\n' >$dir/short.conf"
	lab_exec "$M" systemctl daemon-reload
	wd_restart "$M"
	pid=$(wd_pid "$M")
	sleep 6
	check "stuck: alive, it is left alone" equal "$(wd_pid "$M")" "$pid"
	lab_exec "$M" kill -STOP "$pid"
	check "stuck: systemd ends it and starts another" lab_wait 30 "another process" comes_back "$pid"
	check "stuck: by its watchdog" lab_exec "$M" sh -c "journalctl -q -u $UNIT --no-pager | grep -i 'watchdog timeout'"
	check "stuck: the same verdicts, nothing said again" lab_wait 10 "the verdicts" is_remembered
	lab_exec "$M" rm -r "$dir"
	lab_exec "$M" systemctl daemon-reload
	wd_restart "$M"
}

test_reboot() {
	check "reboot: down and up again" lab_reboot "$M"
	check "reboot: it is there without being asked" lab_wait 20 "status" answers
	check "reboot: the same verdicts, nothing said again" lab_wait 20 "the verdicts" is_remembered
	lab_wait 20 "the sender listens" lab_listens "$M" 127.0.0.1
	lab_wait 20 "the receiver listens" lab_listens "$M" 127.0.0.2
	check "reboot: what is lost now is found" lose rebooted
	remember
}

# --- what is restarted, and what is not --------------------------------------------------------------------------------

test_restart() {
	local before
	config act journal
	reload
	lab_wait 10 "healthy" helper_says health '^ok'
	check "restart: done" helper_says restart "^ok $MTA was restarted and is active"
	check "restart: healthy after it" lab_wait 20 "healthy" helper_says health '^ok unit and queue manager'

	lab_exec "$M" systemctl stop "$MTA"
	check "stopped on purpose: stays so" helper_says restart "^refused $MTA is stopped"
	check "stopped on purpose: systemd agrees" equal "$(show ActiveState "$MTA")" inactive
	check "stopped on purpose: not healthy" helper_says health '^unhealthy'
	check "stopped on purpose: config check warns" warns "$MTA is stopped"
	lab_exec "$M" systemctl start "$MTA"

	mta_drop_in 'StartLimitIntervalSec=1h' 'StartLimitBurst=1'
	before=$(show ExecMainPID "$MTA")
	check "start limit: a restart that would be refused is not asked for" \
		helper_says restart "^refused .*limit of 1 in 60 min; .systemctl reset-failed $MTA. clears it"
	check "start limit: the service runs on" equal "$(show ActiveState "$MTA") $(show ExecMainPID "$MTA")" "active $before"
	# What we are spared: systemd stops it, and does not start it.
	lab_exec "$M" systemctl reset-failed "$MTA"
	lab_exec "$M" systemctl restart "$MTA"
	! lab_exec "$M" systemctl restart "$MTA" 2>/dev/null || :
	check "start limit: hit" equal "$(show Result "$MTA")" start-limit-hit
	check "start limit: then the command is told too" helper_says restart "^refused .*reset-failed $MTA"
	mta_drop_in
	lab_exec "$M" systemctl reset-failed "$MTA"
	lab_exec "$M" systemctl start "$MTA"
	lab_wait 20 "the sender listens" lab_listens "$M" 127.0.0.1

	config act journal tell postfix.service
	check "shell: not restarted, the real one is named" \
		helper_says restart "^refused postfix.service is only a shell .*real unit.*$MTA"
	check "shell: config check warns" warns "postfix.service is only a shell"
	config act journal tell nothing-of-the-kind.service
	check "missing: config check warns" warns "systemd says that it is not-found"
	config act journal
	check "as it should be: config check does not warn" not warns "no restart as things are"
	lab_exec "$M" runuser -u mailq-watchdog -- mailq-watchdog config check >/dev/null
}

warns() {
	lab_exec "$M" mailq-watchdog config check | grep -F "$1"
}

test_dbus() {
	local pid
	config act journal
	pid=$(wd_pid "$M")
	lab_exec "$M" systemctl stop dbus.socket dbus.service 2>/dev/null
	check "D-Bus away: no bus" not lab_exec "$M" busctl status >/dev/null 2>&1
	check "D-Bus away: a loss is found" lose nobus
	check "D-Bus away: a restart works" helper_says restart "^ok $MTA was restarted"
	lab_exec "$M" systemctl start dbus.socket
	check "D-Bus back: a restart works" helper_says restart "^ok $MTA was restarted"
	check "D-Bus: the same process all the time" equal "$(wd_pid "$M")" "$pid"
	lab_wait 20 "the sender listens" lab_listens "$M" 127.0.0.1
	remember
}

# --- the journal -------------------------------------------------------------------------------------------------------

test_journald() {
	lab_exec "$M" systemctl restart systemd-journald.service
	check "journald restarted: what is lost after it is found" lose journald
	remember
	lab_exec "$M" systemctl kill -s KILL systemd-journald.service
	check "journald killed: what is lost after it is found" lose killed
	remember
}

# While mail flows, so that files go that are still being read.
test_vacuum() {
	local lines
	check "no system call was refused until now" not wd_refused "$M"
	defer vacuumed
	lines=$(lines_of_watchdog)
	SINCE=$(lab_exec "$M" date +%s)
	: >"$(lab_root "$M")$LOG"
	rotations 3 vacuum
	check "vacuum: the journal is shorter" not lab_exec "$M" sh -c \
		"journalctl -q --no-pager | grep -q 'Started $UNIT'"
	check "vacuum: no line is missing" lab_wait 20 "lines" lines_were_read "$lines"
	SAID=0 # what was said before went with the journal
	sleep 12 # a file would count as gone after this
	check "vacuum: the same verdicts, nothing said" is_remembered
	pf_vanish "$M" "$ID"
	check "vacuum: what was deferred before it and is lost after it is found" found "$ID" vacuumed
	check "vacuum: what is lost after it is found" lose after-vacuum
	remember
	wd_restart "$M"
	check "vacuum: the same verdicts after a restart" lab_wait 20 "the verdicts" is_remembered
}

vacuum() {
	sleep 1.1 # what is to be vacuumed has to be older than a second
	lab_exec "$M" journalctl -q --rotate --vacuum-time=1s
}

# lines_were_read BEFORE: as many as the sender's file has, which syslog wrote of the same
lines_were_read() {
	equal $(($(lines_of_watchdog) - $1)) "$(pf_log "$M" | wc -l)"
}

# --- the log file ------------------------------------------------------------------------------------------------------

# traffic: from four senders until traffic_ends
traffic() {
	lab_exec "$M" rm -f /run/traffic-ends
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" sh -c '
		for sender in 1 2 3 4; do
			i=0
			until [ -e /run/traffic-ends ]; do
				i=$((i + 1))
				printf "Subject: flow\n\n%s\n" $i | sendmail -i -f app@example.com -- ok$sender.$i@mixed.test
				sleep 0.1
			done &
		done
		wait' &
	SENDER=$!
}

traffic_ends() {
	lab_exec "$M" touch /run/traffic-ends
	wait "$SENDER"
	lab_wait 60 "an empty queue of what is accepted" traffic_delivered
}

# rotate HOW: once, by logrotate, as HOW says
rotate() {
	lab_exec "$M" sh -c "cat >/root/rotate.conf" <<-END
		$LOG {
			rotate 50
			size 1
			missingok
			$1
			postrotate
				/usr/lib/rsyslog/rsyslog-rotate
			endscript
		}
	END
	lab_exec "$M" chmod 644 /root/rotate.conf
	lab_exec "$M" logrotate -f -s /root/rotate.state /root/rotate.conf
}

lines_of_watchdog() {
	wd_ask "$M" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["instances"][0]["lines"])'
}

# All lines that the files hold, compressed ones too.
lines_of_log() {
	lab_exec "$M" sh -c "zcat -f $LOG*" | wc -l
}

lines_agree() {
	equal "$(lines_of_watchdog)" "$(lines_of_log)"
}

# copytruncate itself loses lines between copy and truncation: of these the watchdog may have seen some.
lines_are_between() {
	local seen
	seen=$(lines_of_watchdog)
	[ "$seen" -ge "$(lines_of_log)" ] && [ "$seen" -le "$(lines_of_journal)" ] ||
		{ lab_say "the watchdog has read $seen, the files have $(lines_of_log), the journal $(lines_of_journal)"; return 1; }
}

# All that the sender logged since SINCE, which the files had from then on.
lines_of_journal() {
	lab_exec "$M" journalctl -q --no-pager -o short --since "@$SINCE" SYSLOG_FACILITY=2 | awk '$5 ~ /^postfix\//' | wc -l
}

# rotations N COMMAND...: the command N times while mail flows
rotations() {
	local i n=$1
	shift
	traffic
	for ((i = 0; i < n; i++)); do
		sleep 1
		"$@"
	done
	sleep 1
	traffic_ends
}

traffic_delivered() {
	! lab_exec "$M" postqueue -j | grep -q '@mixed.test'
}

test_logrotate() {
	config observe "$LOG"
	wd_stop "$M"
	lab_exec "$M" sh -c "rm -f $LOG.*; : >$LOG"
	sleep 1
	SINCE=$(lab_exec "$M" date +%s)
	wd_start "$M"
	lab_wait 10 "status" answers
	defer filed
	lab_wait 10 "lines" lines_agree
	remember
	rotations 5 rotate "create 640 root adm
compress
delaycompress"
	check "logrotate create, compress: pieces of both kinds" pieces
	check "logrotate create, compress: as many lines as the log has" lab_wait 20 "lines" lines_agree
	check "logrotate create, compress: nothing said" is_remembered
	check "logrotate create, compress: no gap" not wd_says "$M" "$LOG.*(gap|truncated|lines may never)"
	pf_vanish "$M" "$ID"
	check "logrotate create, compress: what was deferred before it is found lost" found "$ID" filed
	remember
	lab_exec "$M" gzip "$LOG.1" # `delaycompress` is over
	rotations 5 rotate "copytruncate
compress"
	check "logrotate copytruncate, compress: no line of the log is missing, none was read twice" \
		lab_wait 20 "lines" lines_are_between
	check "logrotate copytruncate, compress: nothing said" is_remembered
	check "logrotate copytruncate, compress: what is lost after it is found" lose truncated
	remember
	check "logrotate: still the same after a restart" restarted_the_same
}

pieces() {
	lab_exec "$M" sh -c "ls $LOG.1 $LOG.2.gz"
}

restarted_the_same() {
	wd_restart "$M"
	lab_wait 10 "status" answers && lab_wait 10 "the verdicts" is_remembered
}

lab_need_root
lab_need_command python3 python3
lab_trap
pf_up "$M"
pf_retry "$M" 1h 1h 1h
TESTS=${*:-install catalogue killed reload stuck reboot restart dbus journald vacuum logrotate}
for one in $TESTS; do
	"test_$one"
done
check "no system call was refused" not wd_refused "$M"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
