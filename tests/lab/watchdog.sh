# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The watchdog in a machine of the lab: to be sourced after postfix.sh. M is a machine's name.

WD_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# wd_install M: the programs and units as `make install` puts them, not started yet. In the lab a system call that the
# filters do not know ends the process, so that wd_refused sees it.
wd_install() {
	make -s -C "$WD_TOP" install DESTDIR="$(lab_root "$1")"
	wd_filter "$1" strict
	lab_exec "$1" systemd-sysusers 2>/dev/null
	lab_exec "$1" journalctl --update-catalog
	lab_exec "$1" systemctl daemon-reload
}

# wd_filter M on|off|strict: of daemon and helper; takes effect with the next start of each.
wd_filter() {
	local unit dir program
	for unit in mailq-watchdogd.service mailq-watchdog-helper@.service; do
		dir=$(lab_root "$1")/etc/systemd/system/$unit.d
		program=$(sed -n 's/^ExecStart=//p' "$(lab_root "$1")/usr/lib/systemd/system/$unit")
		mkdir -p "$dir"
		printf '[Service]\nExecStart=\nExecStart=%s --syscall-filter %s\n' "$program" "$2" >"$dir/filter.conf"
	done
}

# wd_refused M: processes of ours that ended on a system call which they had given up (SIGSYS, 31), in the journal's
# words; fails if there is none.
wd_refused() {
	lab_exec "$1" journalctl -q -o cat --no-pager | grep -E 'status=31/SYS|ended with status 159'
}

# wd_config M <<CONFIGURATION: replaces it; takes effect with wd_start or wd_reload.
wd_config() {
	local file
	file=$(lab_root "$1")/etc/mailq-watchdog/watchdog.yaml
	cat >"$file"
	chmod 644 "$file"
}

wd_start() {
	lab_exec "$1" systemctl start mailq-watchdog-helper.socket mailq-watchdogd.service || {
		lab_exec "$1" journalctl -q -o cat -u mailq-watchdogd --no-pager | tail -5
		return 1
	}
}

wd_stop() {
	lab_exec "$1" systemctl stop mailq-watchdogd.service
}

wd_restart() {
	wd_stop "$1"
	wd_start "$1"
}

# wd_pid M: the daemon's process id inside the machine.
wd_pid() {
	lab_exec "$1" systemctl show -P MainPID mailq-watchdogd.service
}

# wd_ask M COMMAND [ARGUMENT...]: the command line, its exit status not looked at.
wd_ask() {
	local m=$1
	shift
	lab_exec "$m" mailq-watchdog "$@" || :
}

# wd_says M PATTERN: lines of the daemon in the journal that match; fails if none does.
wd_says() {
	lab_exec "$1" journalctl -q -o cat SYSLOG_IDENTIFIER=mailq-watchdogd --no-pager | grep -E -- "$2"
}

# wd_wait_says M PATTERN [SECONDS]: waits for such a line and prints all that match.
wd_wait_says() {
	lab_wait "${3:-20}" "the watchdog says: $2" wd_says "$1" "$2"
}

# wd_verdict M QUEUE-ID RECIPIENT: the word, or nothing.
wd_verdict() {
	wd_ask "$1" show --json "$2" 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    for m in json.loads(line)["messages"]:
        if m["recipient"] == sys.argv[1]:
            print(m["verdict"])
            break' "$3"
}

# wd_has_verdict M QUEUE-ID RECIPIENT WORD
wd_has_verdict() {
	[ "$(wd_verdict "$1" "$2" "$3" | head -1)" = "$4" ]
}

# wd_slow_helper M SECONDS|off: the helper takes its time, so that something can happen between an intent and its result.
wd_slow_helper() {
	local dir
	dir=$(lab_root "$1")/etc/systemd/system/mailq-watchdog-helper@.service.d
	if [ "$2" = off ]; then
		rm -rf "$dir"
	else
		mkdir -p "$dir"
		printf '[Service]\nExecStartPre=/bin/sleep %s\n' "$2" >"$dir/slow.conf"
	fi
	lab_exec "$1" systemctl daemon-reload
}
