#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Times a scan of a tracking log of Exchange 2003 on one thread: megabytes a second of processor time, best of three, and
# the memory; wanted are 300 and 64 MiB. Every message has its eight lines, some hundred messages at a time, one in a thousand
# is never sent. Usage: exchange.sh PROGRAM [MEGABYTES]; 2000 by default, in /var/tmp.
set -euo pipefail
program=$1
megabytes=${2:-2000}
work=$(mktemp -d /var/tmp/mailq-watchdog-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT

python3 - "$work/20260516.log" "$megabytes" <<'END'
import heapq, random, sys
random.seed(1)
wanted, size, second, number, waiting, lines = int(sys.argv[2]) * 10**6, 0, 0, 0, [], []
with open(sys.argv[1], "w", newline="") as log:
    log.write("# Message Tracking Log File\r\n# Exchange System Attendant Version 6.5.7638.1\r\n")
    while size < wanted:
        number += 1
        second += number % 100 == 0
        id = f"{random.getrandbits(48):012X}@EXCH1.relay.uni.example"
        to = f"user{random.randrange(10**5)}@dest{random.randrange(5000)}.example"
        for i, event in enumerate((1027, 1019, 1025, 1024, 1033, 1034, 1020, 1031)):
            if event != 1031 or number % 1000:
                heapq.heappush(waiting, (second + i // 3, number * 8 + i, event, id, to))
        while len(waiting) > 2000:
            at, _, event, id, to = heapq.heappop(waiting)
            line = (f"2026-5-{16 + at // 86400}\t{at // 3600 % 24}:{at // 60 % 60:02}:{at % 60:02} GMT\t198.51.100.7\tpc\t-\t"
                    f"EXCH1\t198.51.100.2\t{to}\t{event}\t{id}\t0\t0\t1200\t1\t2026-5-16 17:54:37 GMT\t0\t"
                    "Version: 6.0.3790.4675\t-\tRe: minutes of the meeting\tinfo@uni.example\t-\r\n")
            lines.append(line)
            size += len(line)
        if len(lines) > 20000:
            log.write("".join(lines))
            lines = []
    log.write("".join(lines))
END

for _ in 1 2 3; do
	TZ=UTC perl -e '
		my $pid = fork // die; if (!$pid) { open STDOUT, ">", "/dev/null"; exec @ARGV; die }
		waitpid $pid, 0;
		my (undef, undef, $user) = times;
		printf "%.3f\n", $user' \
		"$program" scan --mta exchange --jobs 1 --no-progress "$work/20260516.log" >>"$work/times"
done
seconds=$(sort -n "$work/times" | head -n 1)
bytes=$(stat -c %s "$work/20260516.log")
memory=within
status=0
(ulimit -v 65536 && exec "$program" scan --mta exchange --jobs 1 --no-progress "$work/20260516.log" >/dev/null) || status=$?
# 1 is trouble in the log, which there is.
[ "$status" -le 1 ] || memory=beyond
echo "$bytes bytes in $seconds s of processor time: $(awk "BEGIN {printf \"%.0f\", $bytes / 1e6 / $seconds}") MB/s, $memory 64 MiB of address space"
