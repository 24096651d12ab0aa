#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Times a scan of an Exim log of 500,000 lines against exigrep(8) over the same file, in turns, and says the ratio of the
# best of three; wanted are 20. Usage: exim.sh PROGRAM [EXIGREP]
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

seconds() {
	local begin=$EPOCHREALTIME
	"$@" >"$work/out" 2>&1 || :
	awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}

for _ in 1 2 3; do
	echo "scan $(TZ=UTC seconds "$program" scan --mta exim --no-progress "$work/mainlog")"
	tail -n 3 "$work/out" | sed 's/^/# /'
	echo "exigrep $(seconds perl "$(command -v "$exigrep")" ' == ' "$work/mainlog")"
done | awk '
	/^#/ { shown = shown $0 "\n"; next }
	!($1 in best) || $2 < best[$1] { best[$1] = $2 }
	END {
		printf "scan %.2f s, exigrep %.2f s: %.1f times as fast\n", best["scan"], best["exigrep"], best["exigrep"] / best["scan"]
	}'
