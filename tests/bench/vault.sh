#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the vault costs, as root. First the throughput of the lab's Postfix with daemon and vault (`keep: deferred`, of ten
# messages one is deferred) against without, in turns, in one run: the median of the pairs' ratios, wanted are 97 %. Then
# what copies take on btrfs and XFS, on loop devices: wanted is nothing but metadata. Exit status 1 when one is missed.
# Usage: vault.sh [PAIRS [MESSAGES]]   (7 pairs of 1500 messages)
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../lab/postfix.sh"
. "$HERE/../lab/watchdog.sh"
pairs=${1:-7} messages=${2:-1500}
M=bench-vault-$$
MISSED=0

# --- throughput ------------------------------------------------------------------------------------------------------------

# Two receivers out of Postfix's own tools: one takes everything, one says 4xx to each recipient.
prepare() {
	lab_exec "$M" systemctl stop postfix@postfix-in.service rsyslog.service
	lab_exec "$M" systemctl start rsyslog.service
	lab_exec "$M" postconf -e "transport_maps=inline:{fast.test=smtp:[127.0.0.6]:2525, soft.test=smtp:[127.0.0.7]:2526}" \
		smtp_destination_concurrency_limit=50 default_process_limit=100 initial_destination_concurrency=20
	pf_retry "$M" 1h 1h 1h
	lab_exec "$M" sh -c 'smtp-sink -u nobody 127.0.0.6:2525 1000 </dev/null >/dev/null 2>&1 &
		smtp-sink -u nobody -r RCPT 127.0.0.7:2526 1000 </dev/null >/dev/null 2>&1 &'
	lab_exec "$M" postconf -e "transport_maps=inline:{fast.test=smtp:[127.0.0.6]:2525, soft.test=smtp:[127.0.0.7]:2526}"
	lab_exec "$M" systemctl restart postfix@-.service
	lab_wait 20 "the sender listens" lab_listens "$M" 127.0.0.1
	wd_config "$M" <<-END
		version: 1
		mode: act
		instances:
		  - {name: outbound, type: postfix, log: /var/log/mail.log, lifetime: 5d}
		vault: {keep: deferred}
		rules:
		  - {name: back, when: {verdict: vanished}, do: [recover]}
	END
}

# From the first message offered to an empty incoming and active queue, in seconds.
round() {
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" bash -c '
		begin=$EPOCHREALTIME
		smtp-source -s 10 -l 4000 -m $(($1 / 10)) -f a@fast.test -t b@soft.test 127.0.0.1:25 &
		smtp-source -s 10 -l 4000 -m $(($1 - $1 / 10)) -f a@fast.test -t b@fast.test 127.0.0.1:25
		wait
		while find /var/spool/postfix/incoming /var/spool/postfix/active /var/spool/postfix/maildrop -type f | grep -q .; do
			sleep 0.02
		done
		echo "$begin $EPOCHREALTIME" | awk "{ printf \"%.2f\n\", \$2 - \$1 }"' - "$messages"
}

# cpu_seconds WHOM: of the daemon, or of all else that lives in the machine but the receivers, with what it has waited for.
cpu_seconds() {
	# shellcheck disable=SC2016 # expanded inside
	lab_exec "$M" sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | awk -v hz="$(getconf CLK_TCK)" -v whom="$1" '
		{ name = $2; sub(/.*\) /, "") }
		name ~ /smtp-s/ || (name ~ /mailq-watchdog/) != (whom == "daemon") { next }
		{ sum += $12 + $13 + $14 + $15 }
		END { printf "%.2f\n", sum / hz }'
}

clean() {
	# Named one by one, so that the log tells of each.
	lab_exec "$M" sh -c 'find /var/spool/postfix/deferred -type f -printf "%f\n" | postsuper -d -' 2>/dev/null
	sleep 1
}

kept() {
	lab_exec "$M" sh -c 'ls /var/lib/mailq-watchdog/vault/outbound | wc -l'
}

throughput() {
	local i with without mine all ratios=() daemon_cpu=() rest_cpu=()
	clean
	round >/dev/null # warm
	clean
	for i in $(seq "$pairs"); do
		# Each comes first in every other pair.
		if [ $((i % 2)) = 0 ]; then
			without=$(round)
			clean
		fi
		wd_start "$M"
		lab_wait 30 "the daemon answers" lab_exec "$M" mailq-watchdog status >/dev/null
		mine=$(cpu_seconds daemon) all=$(cpu_seconds all)
		with=$(round)
		sleep 1 # the last lines and files
		mine=$(awk "BEGIN { print $(cpu_seconds daemon) - $mine }") all=$(awk "BEGIN { print $(cpu_seconds all) - $all }")
		echo "  $(kept) copies of $((messages / 10)) deferred messages; processor time: daemon $mine s, Postfix and logging $all s"
		daemon_cpu+=("$mine") rest_cpu+=("$all")
		wd_stop "$M"
		lab_exec "$M" sh -c 'rm -rf /var/lib/mailq-watchdog/*'
		clean
		if [ $((i % 2)) = 1 ]; then
			without=$(round)
			clean
		fi
		ratios+=("$(awk "BEGIN { printf \"%.1f\", 100 * $without / $with }")")
		echo "pair $i: without $without s, with $with s: ${ratios[-1]} % of the throughput"
	done
	# What a busy host does not blur: the share of the processor that is left to all else.
	{
		printf 'daemon %s\n' "${daemon_cpu[@]}"
		printf 'all %s\n' "${rest_cpu[@]}"
	} | awk '{ sum[$1] += $2 } END { d = sum["daemon"]; a = sum["all"]
		printf "processor time: the daemon took %.2f s beside %.2f s, %.1f %% are left\n", d, a, 100 * a / (a + d) }'
	printf '%s\n' "${ratios[@]}" | sort -n | awk -v want=97 '{ r[NR] = $1 }
		END { m = NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2
		      printf "throughput with daemon and vault: %.1f %% of without (median of %d pairs; wanted %d %%)\n", m, NR, want
		      exit m < want }' || MISSED=1
}

# --- blocks ----------------------------------------------------------------------------------------------------------------

used() {
	sync -f "$1"
	df --output=used -B1024 "$1" | tail -1
}

all_copied() {
	[ "$(find "$1/state/vault/q" -type f -name 'A*[0-9A-F]' 2>/dev/null | wc -l)" = "$2" ]
}

# make_queue DIR COUNT: sound queue files of Postfix, a little more than 1 MiB of random letters in each.
make_queue() {
	python3 - "$1" "$2" <<-'END'
		import base64, os, sys
		def record(kind, data):
		    n, length = len(data), b""
		    while True:
		        length += bytes([n & 127 | (128 if n > 127 else 0)])
		        n >>= 7
		        if not n:
		            return kind + length + data
		for i in range(1, int(sys.argv[2]) + 1):
		    body = base64.b64encode(os.urandom(786432))
		    lines = b"".join(record(b"N", body[at:at + 900]) for at in range(0, len(body), 900))
		    text = record(b"N", b"Message-ID: <%d@example.com>" % i) + record(b"N", b"") + lines
		    head = record(b"T", b"1795572000 0") + record(b"S", b"a@example.com") + record(b"R", b"b@example.net")
		    offset = 2 + 16 * 2 - 1 + len(head) + 2
		    size = record(b"C", b"%15d %15d" % (len(text), offset))
		    with open("%s/A%09X" % (sys.argv[1], i), "wb") as f:
		        f.write(size + head + b"M\0" + text + b"X\0E\0")
	END
}

# blocks KIND COMMAND...: copies 64 queue files of 1 MiB on a file system of that kind.
blocks() {
	local kind=$1 work image dir before after shared pid i
	shift
	if ! command -v "$1" >/dev/null || ! grep -qw "$kind" /proc/filesystems; then
		echo "$kind: cannot be made here"
		return
	fi
	work=$(mktemp -d) image=$work/image dir=$work/mnt
	truncate -s 512M "$image"
	"$@" "$image" >/dev/null 2>&1
	mkdir "$dir"
	mount -o loop "$image" "$dir"
	mkdir -p "$dir/queue/deferred/A" "$dir/state"
	make_queue "$dir/queue/deferred/A" 64
	chmod 700 "$dir"/queue/deferred/A/*
	touch -d '+1 day' "$dir"/queue/deferred/A/*
	chown -R nobody: "$dir/state"
	chmod 755 "$work"
	: >"$work/log"
	cat >"$work/watchdog.yaml" <<-END
		version: 1
		instances: [{name: q, type: postfix, log: $work/log, queue: $dir/queue, lifetime: 5d}]
		state_directory: $dir/state
		control_socket: $dir/state/control.sock
		helper_socket: $dir/state/helper.sock
	END
	sleep 1
	before=$(used "$dir")
	"$WD_TOP/build/mailq-watchdogd" --user nobody --config "$work/watchdog.yaml" </dev/null >"$work/said" 2>&1 &
	pid=$!
	lab_wait 60 "all are copied" all_copied "$dir" 64 || cat "$work/said"
	sleep 1
	kill "$pid"
	wait "$pid" || :
	after=$(used "$dir")
	shared=$(for i in "$dir"/state/vault/q/A*; do filefrag -v "$i"; done | grep -c shared || :)
	echo "$kind: 64 copies of 1 MiB took $((after - before)) KiB; extents shared with the queue: $shared"
	# A copied file would be 1024 KiB; what is left is metadata, and the ledger.
	[ $((after - before)) -lt 4096 ] && [ "$shared" -ge 64 ] || MISSED=1
	for i in "$dir"/state/vault/q/A*; do
		cmp "$i" "$dir/queue/deferred/A/${i##*/}" || MISSED=1
	done
	umount "$dir"
	rm -rf "$work"
}

lab_need_root
blocks btrfs mkfs.btrfs -q
blocks xfs mkfs.xfs -q -m reflink=1
lab_trap
pf_up "$M"
wd_install "$M"
prepare
throughput
exit "$MISSED"
