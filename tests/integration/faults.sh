#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon with a disk that is full, that fills in the middle of a batch, that becomes read-only, and with a ledger that
# another process has locked: it stays up, says so once, goes on watching, and catches up after; nothing is lost and
# nothing told twice, also when it is killed then. A real daemon, a written log and a queue directory, each fault in a
# file system of its own. Prints "ok"/"not ok" lines and "N passed, N failed"; 77 when it cannot run here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$(id -u)" = 0 ] || { echo "needs root: it mounts small file systems"; exit 77; }
if [ "${1:-}" != inside ]; then
	unshare --mount true 2>/dev/null || { echo "this host lets root make no mount namespace"; exit 77; }
	make -s -j"$(nproc)" all || exit 1
	WORK=$(mktemp -d /tmp/mqw-faults-XXXXXX)
	chmod 755 "$WORK"
	unshare --mount --propagation private bash "$0" inside "$WORK"
	status=$?
	rm -rf "$WORK"
	exit $status
fi
WORK=$2
FIRST=20 SECOND=300 DELIVERED=100

FAILED=
check() {
	local name=$1
	shift
	if "$@" >>"$D/trace" 2>&1; then echo "ok - $FAULT: $name"; else echo "not ok - $FAULT: $name"; FAILED=1; fi
}
# within SECONDS COMMAND...: a generous limit, as the machine may be busy; a short one when all is lost already
within() {
	local end=$((SECONDS + ${FAILED:-$1}))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || { echo "not within time: $*"; return 1; }
		sleep 0.3
	done
}

start() {
	build/mailq-watchdogd --config "$D/watchdog.yaml" --user nobody >>"$D/out" 2>&1 </dev/null &
	PID=$!
}
alive() { kill -0 "$PID" 2>/dev/null; }
said() { [ "$(grep -cF -- "$1" "$D/out")" = "$2" ]; }
list() { build/mailq-watchdog list --verdict any --limit 10000 --json --socket "$D/run/control.sock" 2>>"$D/trace"; }
# "ID VERDICT" of what is not settled
state() {
	list | python3 -c '
import json, sys
for m in json.load(sys.stdin)["messages"]:
    if m["verdict"] != "delivered": print(m["queue_id"], m["recipient"], m["verdict"], m["attempts"], m["sender"])' | sort
}
followed() { [ "$(state 2>>"$D/trace" | grep -c "$1")" = "$2" ]; }
# in_ledger NUMBER: so many wait, and it is known that they are, or were, in the queue
in_ledger() {
	[ "$(python3 -c '
import sqlite3, sys
print(sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True).execute("SELECT count(*) FROM message WHERE to_state = 1 AND (place > 0 OR flags & 8192)").fetchone()[0])' \
		"$D/state/ledger.db" 2>>"$D/trace")" = "$1" ]
}

# mail FROM TO [DELIVERED]: messages of these numbers are deferred and wait; the first so many are delivered then.
mail() {
	python3 - "$D" "$@" <<'END'
import os, sys, time
d, first, last, delivered = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int((sys.argv[4:] or [0])[0])
now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
lines = []
def log(program, text): lines.append(f"{now} mx postfix/{program}[7]: {text}\n")
for n in range(first, last):
    i = f"4F3A{n:05X}"
    log("smtpd", f"{i}: client=localhost[127.0.0.1]")
    log("cleanup", f"{i}: message-id=<{n}@example.com>")
    log("qmgr", f"{i}: from=<a@example.com>, size=373, nrcpt=1 (queue active)")
    log("smtp", f"{i}: to=<user{n}@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.7.1, "
        "status=deferred (host mx[192.0.2.1] said: 451 4.7.1 " + "try again later " * 12 + "(in reply to RCPT TO command))")
    if n - first < delivered:
        log("smtp", f"{i}: to=<user{n}@example.net>, relay=mx[192.0.2.1]:25, delay=2, delays=0/0/0/2, dsn=2.0.0, status=sent (250 2.0.0 Ok)")
        log("qmgr", f"{i}: removed")
    else:
        path = f"{d}/queue/deferred/4/{i}"
        with open(path, "w"): pass
        os.chmod(path, 0o700)
        os.utime(path, (time.time() + 3600,) * 2)
open(f"{d}/mail.log", "a").writelines(lines)
END
}
lose() { # NUMBER...
	local n
	for n in "$@"; do rm "$D/queue/deferred/4/$(printf '4F3A%05X' "$n")"; done
}
# The rule told of each of them, and of none twice.
told_once() {
	local n
	for n in "$@"; do
		[ "$(grep -F '(rule "tell")' "$D/out" | grep -c "$(printf '4F3A%05X' "$n")")" = 1 ] ||
			{ echo "not told once of $n"; return 1; }
	done
	[ "$(grep -cF '(rule "tell")' "$D/out")" = $# ]
}

# Faults: begin and end.
full_on() { dd if=/dev/zero of="$D/state/filler" bs=64k 2>/dev/null; dd if=/dev/zero of="$D/state/filler2" bs=512 2>/dev/null; true; }
full_off() { rm -f "$D"/state/filler*; }
# Room for a part of the next batch, not for all of it.
partly_full_on() { full_on; truncate -s -40960 "$D/state/filler"; }
partly_full_off() { full_off; }
locked_on() {
	python3 -c '
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
c.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(600)' "$D/state/ledger.db" >"$D/locker" 2>&1 </dev/null &
	LOCKER=$!
	within 60 grep -q locked "$D/locker"
}
locked_off() { kill "$LOCKER"; wait "$LOCKER" 2>/dev/null; }
# As after an error of the disk: the file system turns read-only under open files (ext4's own test of that).
read_only_on() { mount -o remount,abort "$D/state"; }

mount_state() {
	mkdir -p "$D/state"
	if [ "$FAULT" = read_only ]; then
		[ -e "$D/image" ] || { truncate -s 64M "$D/image" && mkfs.ext4 -q "$D/image"; } || return 1
		mount -o loop "$D/image" "$D/state"
	else
		mount -t tmpfs -o size=6m tmpfs "$D/state"
	fi && chown nobody "$D/state"
}

prepare() {
	mkdir -p "$D/queue/deferred/4" "$D/queue/active" "$D/queue/incoming" "$D/run"
	: >"$D/mail.log"
	chown nobody "$D/run"
	cat >"$D/watchdog.yaml" <<-END
		version: 1
		instances:
		  - {name: outbound, type: postfix, log: $D/mail.log, queue: $D/queue, lifetime: 5d}
		vault: {keep: none}
		state_directory: $D/state
		control_socket: $D/run/control.sock
		helper_socket: $D/run/helper.sock
		rules:
		  - name: tell
		    when: {verdict: vanished}
		    do: [{alert: journal}]
	END
	mount_state
}

# What was wrong is over: what came meanwhile is kept and told, and a kill changes nothing.
catches_up() {
	local before
	check "what came meanwhile is in the ledger" within 60 in_ledger $KEPT
	check "each loss is told once" within 60 told_once $LOST
	state >"$D/before"
	kill -KILL "$PID"
	wait "$PID" 2>/dev/null
	start
	check "after a kill it starts again" within 60 followed vanished $(wc -w <<<"$LOST")
	state >"$D/after"
	check "with the same verdicts" diff "$D/before" "$D/after"
	mail $((FIRST + SECOND)) $((FIRST + SECOND + 1))
	check "and goes on" within 60 followed pending $((FIRST + SECOND - DELIVERED - $(wc -w <<<"$LOST") + 1))
	check "without telling anything again" told_once $LOST
}

scenario() {
	FAULT=$1 D=$WORK/$1
	mkdir -p "$D"
	exec 2>>"$D/trace"
	check "a small file system" prepare
	mail 0 $FIRST
	start
	check "it watches" within 60 in_ledger $FIRST
	sync -f "$D/state" # an abort takes what the kernel had not written yet, half a minute's at most
	"${FAULT}_on"
	mail $FIRST $((FIRST + SECOND)) $DELIVERED
	check "it sees what comes" within 60 followed pending $((FIRST + SECOND - DELIVERED))
	LOST="1 2 3 $((FIRST + DELIVERED + 1)) $((FIRST + DELIVERED + 2))"
	KEPT=$((FIRST + SECOND - DELIVERED))
	lose $LOST
	check "it finds what is lost" within 60 followed vanished 5
	check "it says that the ledger cannot be written" within 30 said "the ledger cannot be written" 1
	sleep 4
	check "once" said "the ledger cannot be written" 1
	check "it stays up" alive
	if [ "$FAULT" = read_only ]; then
		# Such a file system comes back only with a new mount: the daemon is started while it is still away.
		kill -KILL "$PID"
		wait "$PID"
		# Of the others the ledger had not come to know that they were in the queue.
		LOST="1 2 3" KEPT=$((KEPT - 2))
		start
		check "started now, it waits and says so" within 30 said "the ledger cannot be opened" 1
		sleep 7
		check "once" said "the ledger cannot be opened" 1
		check "and stays up" alive
		# Without a look at what is under the mount.
		kill -STOP "$PID"
		umount "$D/state"
		fsck.ext4 -p "$D/image" >>"$D/trace" 2>&1
		check "the disk is back" mount_state
		kill -CONT "$PID"
		check "it begins" within 60 said "the ledger can be opened now" 1
	else
		"${FAULT}_off"
		check "it says that this is over" within 60 said "the ledger can be written again" 1
	fi
	catches_up
	kill -TERM "$PID"
	wait "$PID"
	check "it ends when asked to" [ $? = 0 ]
	umount -l "$D/state"
}

for fault in full partly_full locked read_only; do
	(scenario "$fault" >"$WORK/$fault.result") </dev/null &
done
wait
cat "$WORK"/*.result
failed=$(cat "$WORK"/*.result | grep -c '^not ok')
for fault in full partly_full locked read_only; do
	grep -q '^not ok' "$WORK/$fault.result" && { echo "--- $fault"; tail -30 "$WORK/$fault/out" "$WORK/$fault/trace"; }
done
echo "$(cat "$WORK"/*.result | grep -c '^ok') passed, $failed failed"
[ "$failed" = 0 ]
