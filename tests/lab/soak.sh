#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog under load beside a real Postfix: traffic at the highest rate that Postfix holds, a receiver that refuses a
# share of it in every way, the log rotated in three ways in turn, the daemon killed with SIGKILL again and again, and mail
# lost for real. At the end all that the daemon has counted is compared with the MTA's own log and with what the receiver
# took. Prints "ok"/"not ok" lines, figures, and "N passed, N failed"; exit status 1 when one failed, 77 when the lab cannot
# run here.
#
#   soak.sh [file|journal [act|observe]]
#
# SOAK_SECONDS=120, KILL_EVERY=8, ROTATE_EVERY=15: seconds. SOAK_KEEP=DIR: logs and counts are left there.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/postfix.sh"
. "$HERE/watchdog.sh"
. "$HERE/check.sh"

SOURCE=${1:-file}
MODE=${2:-act}
SPAN=${SOAK_SECONDS:-120}
KILL_EVERY=${KILL_EVERY:-8}
ROTATE_EVERY=${ROTATE_EVERY:-15}
M=soak-$SOURCE-$$
UNIT=mailq-watchdogd.service
LOG=/var/log/mail.log
QUEUE=/var/spool/postfix
BUSY=300  # queue files under way at which the senders wait: more would only make the queue longer
GRACE=13  # a removed file is found gone by then, and what follows of it is kept
ROTATIONS=(create compress copytruncate)
RANDOM=1

# --- before the load -----------------------------------------------------------------------------------------------------

# Straight from Postfix to rsyslog: journald on the way drops lines under load, and the file would lack them. All goes into
# a second file, which is never touched: the MTA's own account.
log_to_file() {
	cat >"$(lab_root "$M")/etc/rsyslog.d/01-load.conf" <<-END
		input(type="imuxsock" Socket="/run/load-log")
		if \$syslogfacility-text == "mail" then {
			action(type="omfile" file="/var/log/account.log" fileOwner="root" fileGroup="adm" fileCreateMode="0640")
			action(type="omfile" file="$LOG" fileOwner="root" fileGroup="adm" fileCreateMode="0640")
			stop
		}
	END
	lab_exec "$M" systemctl restart rsyslog
	lab_wait 60 "the log's socket" lab_exec "$M" test -S /run/load-log
	lab_exec "$M" ln -sfn /run/load-log /dev/log
}

# No limit, and room for all: the journal itself is the account then.
log_to_journal() {
	mkdir -p "$(lab_root "$M")/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\nForwardToSyslog=no\nSystemMaxUse=8G\nSystemMaxFiles=1000\n' \
		>"$(lab_root "$M")/etc/systemd/journald.conf.d/load.conf"
	lab_exec "$M" mkdir -p /var/log/journal
	lab_exec "$M" systemctl restart systemd-journald
}

prepare() {
	local domain
	lab_need_command python3 python3
	pf_up "$M"
	WORK=$(mktemp -d)
	chmod 755 "$WORK"
	: >"$WORK/lost"
	ROOT=/proc/$(lab_init "$M")/root
	"log_to_$SOURCE"
	lab_exec "$M" systemctl stop postfix@postfix-in.service postgrey.service
	for domain in load.test example.com; do
		sed -i "/^$domain /d" "$(lab_root "$M")/etc/postfix/transport"
		lab_prepend "$M" /etc/postfix/transport "$domain smtp:[127.0.0.5]:25"
	done
	pf_retry "$M" 5s 10s 60s
	lab_exec "$M" systemctl restart postfix@-.service
	lab_wait 60 "the sender listens" lab_listens "$M" 127.0.0.1
	nsenter -t "$(lab_init "$M")" -n python3 "$HERE/receiver.py" 127.0.0.5 "$WORK" </dev/null >"$WORK/receiver.log" 2>&1 &
	RECEIVER=$!
	lab_wait 60 "the receiver listens" lab_listens "$M" 127.0.0.5
	wd_install "$M"
	wd_config "$M" <<-END
		version: 1
		mode: $MODE
		instances:
		  - {name: outbound, type: postfix, log: $([ "$SOURCE" = file ] && echo "$LOG" || echo journal),
		     service: postfix@-.service}
		rules:
		  - name: resend what was lost
		    when: {verdict: [vanished, false_ndr]}
		    do: [{recover: {at_most: 10000 per 1h}}]
	END
	# What was logged until now is not of the load.
	if [ "$SOURCE" = file ]; then
		lab_exec "$M" sh -c ": >/var/log/account.log; : >$LOG"
	fi
	wd_start "$M"
	lab_wait 60 "the daemon answers" answers
}

answers() {
	lab_exec "$M" mailq-watchdog status >/dev/null 2>&1
}

has_caught_up() {
	wd_ask "$M" status --json 2>/dev/null | grep -q '"caught_up": *true'
}

# --- the load --------------------------------------------------------------------------------------------------------------

# As many messages as the queue takes, two recipients each, no two the same.
send() {
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" sh -c '
		i=0
		until [ -e /run/load-ends ]; do
			while [ "$(find "$1/incoming" "$1/active" -type f | wc -l)" -gt "$2" ]; do sleep 0.05; done
			i=$((i + 1))
			smtp-source -d -s 8 -m 200 -l 1000 -r 2 -N -f app@example.com -t "u$i@load.test" 127.0.0.1:25
		done' - "$QUEUE" "$BUSY"
}

# rotate HOW
rotate() {
	local log rsyslog
	log=$(lab_root "$M")$LOG
	if [ "$SOURCE" = journal ]; then
		lab_exec "$M" journalctl -q --rotate
		return
	fi
	shift_pieces "$log"
	case $1 in
	create | compress)
		mv "$log" "$log.1"
		lab_exec "$M" systemctl kill -s HUP rsyslog.service
		[ "$1" = create ] || {
			lab_wait 60 "a new log" test -e "$log" && gzip "$log.1"
		}
		;;
	copytruncate)
		# Whoever writes stands still: lines written between copy and truncation would be in no file at all.
		rsyslog=$(lab_exec "$M" systemctl show -P MainPID rsyslog.service)
		lab_exec "$M" kill -STOP "$rsyslog"
		lab_wait 60 "rsyslog stands still" lab_exec "$M" grep -q '^State:.*stopped' "/proc/$rsyslog/status" || :
		cp -p "$log" "$log.1"
		: >"$log"
		TRUNCATED=$(date +%s)
		lab_exec "$M" kill -CONT "$rsyslog"
		;;
	esac
}

shift_pieces() {
	local n suffix
	rm -f "$1".5 "$1".5.gz
	for n in 4 3 2 1; do
		for suffix in "" .gz; do
			[ ! -e "$1.$n$suffix" ] || mv "$1.$n$suffix" "$1.$((n + 1))$suffix"
		done
	done
}

# lose N: so many messages that wait, chosen by chance. Not such as were deferred before a truncation of the log: of these
# silence proves nothing.
lose() {
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" sh -c '
		find "$1/deferred" -type f -perm -u+x -newerct "@$2" ! -newerct "6 seconds ago" 2>/dev/null | shuf -n "$3" |
			while read -r file; do
				# It may be on its way to its next try by now.
				! rm "$file" 2>/dev/null || echo "${file##*/} $(date +%s.%N)"
			done' - "$QUEUE" "$((TRUNCATED + 1))" "$1" >>"$WORK/lost"
}

# How many, by the ids that were written down: each has one recipient that waited, or two.
count_lost() {
	wc -l <"$WORK/lost"
}

# lose_now NOW KILL: whether mail may be lost in this life of the daemon, which ends at KILL; sets WHEN, in seconds after
# the death before it.
# As long as the log is truncated now and then, only what is found in the same life: of what is found to be missing after a
# restart nobody can tell whether a truncated line said why. In the end by turns so soon, and too late for it.
lose_now() {
	local early=$((KILL_EVERY / 4)) late=$((KILL_EVERY * 6 / 10))
	if [ "$1" -lt "$CALM" ]; then
		WHEN=$early
		[ $(($2 - $1)) -ge "$GRACE" ]
	else
		WHEN=$([ $((KILLED % 2)) = 0 ] && echo $early || echo $late)
	fi
}

# All that happens while mail flows, by the clock.
disturb() {
	local begin=$SECONDS now killed=0 lost=1 rotate=$ROTATE_EVERY turn=0 kind kill=$KILL_EVERY
	TRUNCATED=0
	CALM=$((SPAN * 2 / 3))
	while now=$((SECONDS - begin)) && [ "$now" -lt "$SPAN" ]; do
		kind=${ROTATIONS[turn % (now < CALM ? 3 : 2)]}
		if [ "$now" -ge "$kill" ]; then
			lab_exec "$M" systemctl kill -s KILL "$UNIT" 2>/dev/null || :
			KILLED=$((KILLED + 1))
			killed=$now lost=0
			# By the clock, however long the rest takes.
			kill=$((now - now % KILL_EVERY + KILL_EVERY))
		elif [ "$now" -ge "$rotate" ]; then
			rotate "$kind"
			ROTATED=$((ROTATED + 1))
			turn=$((turn + 1))
			# Every time at another moment between two deaths.
			rotate=$((turn * ROTATE_EVERY + ROTATE_EVERY + RANDOM % KILL_EVERY))
		elif [ $lost = 0 ] && lose_now "$now" "$kill" && [ $((now - killed)) -ge "$WHEN" ] && has_caught_up; then
			# They are found before the log is truncated.
			[ "$now" -ge "$CALM" ] || [ "$kind" != copytruncate ] || [ $rotate -ge $((now + GRACE)) ] ||
				rotate=$((now + GRACE))
			lose 3
			lost=1
		else
			sleep 0.2
		fi
	done
}

# --- the end ---------------------------------------------------------------------------------------------------------------

# total NAME [VERDICT]
total() {
	wd_ask "$M" status --json 2>/dev/null | python3 -c '
import json, sys
try:
    totals = json.load(sys.stdin)["instances"][0]["totals"]
    print(totals["verdicts"][sys.argv[2]] if len(sys.argv) > 2 else totals[sys.argv[1]])
except (ValueError, LookupError):
    print(-1)' "$@"
}

# In mode act they were mailed again; else they are in the list.
lost_are_found() {
	if [ "$MODE" = act ]; then
		[ "$(total verdicts vanished)" = 0 ] && [ "$(total verdicts relocated)" -ge "$(count_lost)" ]
	else
		[ "$(total verdicts vanished)" -ge "$(count_lost)" ]
	fi
}

queue_is_empty() {
	lab_exec "$M" postqueue -f 2>/dev/null
	sleep 2
	pf_queue_empty "$M"
}

# What the daemon has read is all that there is, and does not change any more.
is_at_rest() {
	local before=$SAW
	SAW=$(total lines)
	sleep 1
	[ "$SAW" != -1 ] && [ "$SAW" = "$before" ] && [ "$(total verdicts pending)" = 0 ]
}

account() {
	if [ "$SOURCE" = file ]; then
		cp "$(lab_root "$M")/var/log/account.log" "$WORK/account"
	else
		# As rsyslog would have written it; what counts is who logged it.
		lab_exec "$M" journalctl -q --no-pager -o short-iso-precise SYSLOG_FACILITY=2 >"$WORK/account.journal"
	fi
}

finish() {
	lab_exec "$M" touch /run/load-ends
	wait "$SENDER" || :
	check "what was lost was found" lab_wait 180 "what was lost is found" lost_are_found
	touch "$WORK/release"
	check "the queue is empty in the end" lab_wait 180 "an empty queue" queue_is_empty
	SAW=
	check "all of the log was read" lab_wait 90 "the daemon at rest" is_at_rest
	touch "$WORK/stop"
	wait "$SAMPLER" || :
	account
	wd_ask "$M" status --json >"$WORK/status"
	wd_ask "$M" list --json --limit 100000 >"$WORK/list"
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" sh -c 'while read -r id rest; do mailq-watchdog show --json "$id"; done' <"$WORK/lost" >"$WORK/shown" || :
}

clean_up() {
	[ -z "${RECEIVER:-}" ] || kill "$RECEIVER" 2>/dev/null || :
	[ -z "${SAMPLER:-}" ] || kill "$SAMPLER" 2>/dev/null || :
	if [ -n "${WORK:-}" ] && [ -n "${SOAK_KEEP:-}" ]; then
		mkdir -p "$SOAK_KEEP"
		cp -r "$WORK/." "$SOAK_KEEP/"
		lab_exec "$M" journalctl -q --no-pager -o short-precise SYSLOG_IDENTIFIER=mailq-watchdogd >"$SOAK_KEEP/daemon.log" || :
		cp "$(lab_root "$M")/var/lib/mailq-watchdog/"ledger.db* "$SOAK_KEEP/" || :
	fi
	lab_down_owned
	[ -z "${WORK:-}" ] || rm -rf "$WORK"
}

lab_need_root
lab_trap
trap clean_up EXIT
KILLED=0 ROTATED=0
prepare
send </dev/null >"${WORK}/send.log" 2>&1 &
SENDER=$!
python3 "$HERE/soak_sample.py" "$ROOT" "$([ "$SOURCE" = file ] && echo "$(lab_root "$M")/var/log/account.log")" \
	"$(lab_root "$M")/var/lib/mailq-watchdog" "$WORK/stop" "$WORK/samples" </dev/null &
SAMPLER=$!
disturb
finish
ACCOUNT=$WORK/account
[ "$SOURCE" = file ] || ACCOUNT=$WORK/account.journal
python3 "$HERE/soak_count.py" "$MODE" "$ACCOUNT" "$WORK/lost" "$WORK/taken" "$WORK/refused" "$WORK/status" "$WORK/list" \
	"$WORK/shown" "$WORK/samples" >"$WORK/result" || :
cat "$WORK/result"
echo "figures: $KILLED times SIGKILL, $ROTATED rotations, $(count_lost) queue files removed"
check "no system call was refused" not wd_refused "$M"
SUMMARY=$(tail -n 1 "$WORK/result")
PASSED=$((PASSED + ${SUMMARY%% passed*}))
FAILED=$((FAILED + $(grep -oE '[0-9]+ failed' <<<"$SUMMARY" | cut -d ' ' -f 1)))
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
