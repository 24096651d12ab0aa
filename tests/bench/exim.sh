#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Times a scan of an Exim log of 500,000 lines against exigrep(8) over the same file, in turns, and says the ratios of the
# best of five; wanted are 20. exigrep collects the lines of each message whatever it looks for; what it finds it prints
# besides, so that the pattern matters: an address, a domain, deferrals, and everything. Time on the clock, and of all
# processors (user and system). Usage: exim.sh PROGRAM [EXIGREP]
# EXIGREP: the script out of Debian's exim4-base (unpack it with dpkg-deb -x, it need not be installed).
set -euo pipefail
program=$1
exigrep=${2:-exigrep}
command -v "$exigrep" >/dev/null || { echo "exigrep is not here: name it as second argument"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of each ten messages one is deferred five times; some bounce, one in a thousand is lost.
python3 - "$work/mainlog" 500000 <<'END'
import random, sys, time
random.seed(1)
digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
def base62(n, width):
    text = ""
    for _ in range(width):
        n, d = divmod(n, 62)
        text = digits[d] + text
    return text
at, written, wanted, later = 1778954077, 0, int(sys.argv[2]), []
with open(sys.argv[1], "w") as log:
    def write(t, text):
        global written
        log.write(time.strftime("%Y-%m-%d %H:%M:%S ", time.gmtime(t)) + text + "\n")
        written += 1
    while written < wanted:
        at += random.choice((0, 1, 1, 2))
        while later and later[0][0] <= at:
            write(*later.pop(0))
        i = base62(at, 6) + "-" + base62(random.randrange(4194304), 6) + "-" + base62(random.randrange(2000), 2)
        r = f"user{random.randrange(10**6)}@dest{random.randrange(5000)}.example"
        by = f"R=dnslookup T=remote_smtp"
        host = f"H=mx{random.randrange(9)}.dest.example [192.0.2.{random.randrange(250)}]"
        write(at, f"{i} <= sender{random.randrange(900)}@uni.example H=pc.uni.example [198.51.100.9] P=esmtps "
              f"X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no S={random.randrange(99999)} id={written}@uni.example")
        kind = random.random()
        sent = f'{i} => {r} {by} {host} X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes C="250 2.0.0 Ok: queued as {written:X}"'
        if kind < 0.1:
            error = f"SMTP error from remote mail server after RCPT TO:<{r}>: 450 4.2.0 <{r}>: Recipient address rejected: Greylisted"
            write(at, f"{i} == {r} {by} defer (-44) {host}: {error}")
            for n in range(1, 5):
                later.append((at + 900 * n, f"{i} == {r} routing defer (-52): retry time not reached"))
            if kind < 0.0999:
                later += [(at + 3700, sent), (at + 3700, f"{i} Completed")]
            later.sort()
        elif kind < 0.12:
            error = f"SMTP error from remote mail server after RCPT TO:<{r}>: 550 5.1.1 <{r}>: User unknown"
            write(at, f"{i} ** {r} {by} {host}: {error}")
            write(at, f"{i} Completed")
        else:
            write(at, sent)
            write(at, f"{i} Completed")
END

# seconds NAME COMMAND...: adds a line "NAME ELAPSED CPU" to the times.
seconds() {
	local name=$1
	shift
	TZ=UTC NAME=$name perl -MTime::HiRes=time -e '
		my $begin = time;
		my $pid = fork // die; if (!$pid) { open STDOUT, ">", "/dev/null"; open STDERR, ">", "/dev/null"; exec @ARGV; die }
		waitpid $pid, 0;
		my $elapsed = time - $begin;
		my (undef, undef, $user, $system) = times;
		printf "%s %.4f %.4f\n", $ENV{NAME}, $elapsed, $user + $system' "$@" >>"$work/times"
}

exigrep=$(command -v "$exigrep")
for _ in 1 2 3 4 5; do
	seconds scan "$program" scan --mta exim --no-progress "$work/mainlog"
	seconds scan-jobs-1 "$program" scan --mta exim --jobs 1 --no-progress "$work/mainlog"
	seconds address perl "$exigrep" 'user123456@dest42\.example' "$work/mainlog"
	seconds domain perl "$exigrep" 'dest42\.example' "$work/mainlog"
	seconds deferred perl "$exigrep" ' == ' "$work/mainlog"
	seconds everything perl "$exigrep" . "$work/mainlog"
done
TZ=UTC "$program" scan --mta exim --no-progress "$work/mainlog" | tail -n 1 || :
awk '
	!($1 in best) || $2 < best[$1] { best[$1] = $2 }
	!($1 in cpu) || $3 < cpu[$1] { cpu[$1] = $3 }
	END {
		printf "scan %.3f s (%.3f s of processors), with --jobs 1 %.3f s (%.3f s)\n",
			best["scan"], cpu["scan"], best["scan-jobs-1"], cpu["scan-jobs-1"]
		n = split("address domain deferred everything", patterns, " ")
		for (i = 1; i <= n; i++) {
			p = patterns[i]
			printf "exigrep, %s: %.3f s (%.3f s): scan is %.1f times as fast, with --jobs 1 %.1f times\n",
				p, best[p], cpu[p], best[p] / best["scan"], cpu[p] / cpu["scan-jobs-1"]
		}
	}' "$work/times"
