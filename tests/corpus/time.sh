#!/usr/bin/env bash
# Time as a log file shows it: years that are not written, summer time, other zones, disorder, leap
# seconds; each as a small log, and the verdict on its message. The host's zone is UTC throughout.
# Usage: time.sh PROGRAM
set -uo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export TZ=UTC
passed=0 failed=0
id=4l2kJW6Yltz91C2

# Lines of one Postfix message: STAMP KIND, KIND being opened, deferred, sent, expired or noise.
log() {
	local stamp kind
	while read -r kind stamp; do
		case $kind in
		opened)
			echo "$stamp relay postfix/smtpd[1]: $id: client=pc.example[198.51.100.8]"
			echo "$stamp relay postfix/qmgr[1]: $id: from=<a@example.com>, size=9, nrcpt=1 (queue active)" ;;
		deferred)
			echo "$stamp relay postfix/smtp[1]: $id: to=<b@example.net>, relay=mx[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=4.7.1, status=deferred (host mx[192.0.2.9] said: 451 4.7.1 later (in reply to RCPT TO command))" ;;
		sent)
			echo "$stamp relay postfix/smtp[1]: $id: to=<b@example.net>, relay=mx[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
			echo "$stamp relay postfix/qmgr[1]: $id: removed" ;;
		expired)
			echo "$stamp relay postfix/qmgr[1]: $id: from=<a@example.com>, status=expired, returned to sender" ;;
		noise)
			echo "$stamp relay postfix/anvil[1]: statistics: max connection count 1" ;;
		esac
	done
}

# verdict NAME FILE WANT OPTIONS...: WANT is "VERDICT FIRST_SEEN LAST_SEEN" of the only recipient.
verdict() {
	local name=$1 file=$2 want=$3 got
	shift 3
	got=$("$program" scan --format json --all "$@" "$file" | python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    if o["type"] == "verdict":
        print(o["verdict"], o["first_seen"], o["last_seen"])')
	if [ "$got" = "$want" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $name: '$got', want '$want'"
	fi
}

log >year.log <<-END
	opened Dec 31 23:59:58
	deferred Dec 31 23:59:59
	sent Jan  1 00:10:00
END
touch -d '2027-01-02 03:00' year.log
verdict "begun in December, read in January" year.log \
	"delivered 2026-12-31T23:59:58Z 2027-01-01T00:10:00Z"
touch -d '2026-12-31 23:59:59' year.log
verdict "written to by a clock that is behind" year.log \
	"delivered 2026-12-31T23:59:58Z 2027-01-01T00:10:00Z"
verdict "the year is given" year.log \
	"delivered 2012-12-31T23:59:58Z 2013-01-01T00:10:00Z" --year 2012

log >late.log <<-END
	opened Dec 31 23:59:57
	noise Jan  1 00:00:01
	deferred Dec 31 23:59:59
	sent Jan  1 00:10:00
END
touch -d '2027-01-02 03:00' late.log
verdict "a straggler of the old year" late.log \
	"delivered 2026-12-31T23:59:57Z 2027-01-01T00:10:00Z"

log >leap.log <<-END
	opened Feb 29 12:00:00
	deferred Feb 29 12:00:01
	sent Mar  1 12:00:01
END
touch -d '2029-02-01' leap.log
verdict "a leap day, a year later" leap.log "delivered 2028-02-29T12:00:00Z 2028-03-01T12:00:01Z"

log >quiet.log <<-END
	noise Jan  5 10:00:00
	opened Aug 10 10:00:00
	sent Aug 10 10:00:01
END
touch -d '2026-08-11' quiet.log
verdict "silent for half a year" quiet.log "delivered 2026-08-10T10:00:00Z 2026-08-10T10:00:01Z"

# Given up after the lifetime of 5 days, in the hour that comes twice.
log >autumn.log <<-END
	opened 2026-10-20 03:05:00
	deferred 2026-10-20 03:05:00
	noise 2026-10-25 02:59:59
	noise 2026-10-25 02:00:01
	expired 2026-10-25 02:05:10
END
verdict "expired as summer time ends" autumn.log \
	"expired 2026-10-20T01:05:00Z 2026-10-25T01:05:10Z" --timezone Europe/Berlin --lifetime 5d

log >spring.log <<-END
	opened Mar 28 01:59:00
	deferred Mar 28 01:59:59
	deferred Mar 28 03:10:00
	noise Mar 28 05:20:00
END
touch -d '2027-03-28 06:00' spring.log
verdict "waiting as summer time begins" spring.log \
	"pending 2027-03-28T00:59:00Z 2027-03-28T01:10:00Z" --timezone Europe/Berlin

# The same log, as that of another zone and with the zone in its stamps.
log >zone.log <<-END
	opened Nov 25 03:00:00
	sent Nov 25 03:00:01
END
touch -d '2026-11-26' zone.log
verdict "the host's zone" zone.log "delivered 2026-11-25T03:00:00Z 2026-11-25T03:00:01Z"
verdict "another zone" zone.log "delivered 2026-11-24T18:00:00Z 2026-11-24T18:00:01Z" \
	--timezone Asia/Tokyo
log >offset.log <<-END
	opened 2026-11-25T03:00:00+09:00
	sent 2026-11-25T03:00:01+09:00
END
verdict "a zone in the stamps" offset.log "delivered 2026-11-24T18:00:00Z 2026-11-24T18:00:01Z" \
	--timezone America/New_York

log >leapsecond.log <<-END
	opened 2016-12-31T23:59:59Z
	deferred 2016-12-31T23:59:60Z
	sent 2017-01-01T00:00:01Z
END
verdict "a leap second" leapsecond.log "delivered 2016-12-31T23:59:59Z 2017-01-01T00:00:01Z"

# Set back by an hour in the middle, then forward again.
log >steps.log <<-END
	opened 2026-11-25T12:00:00Z
	deferred 2026-11-25T12:00:01Z
	deferred 2026-11-25T11:10:00Z
	noise 2026-11-25T11:30:00Z
	deferred 2026-11-25T13:40:00Z
	noise 2026-11-25T14:40:00Z
END
verdict "a clock that was set back" steps.log "pending 2026-11-25T12:00:00Z 2026-11-25T13:40:00Z"

# Lines that come up to 5 s out of order, by a seed: no verdict changes.
disorder=$(python3 - "$program" "$here"/cases/postfix/*/ <<'END'
import json, os, random, re, subprocess, sys

def verdicts(log, args):
    out = subprocess.run([sys.argv[1], "scan", "--format", "json", "--all", *args, log],
                         stdin=subprocess.DEVNULL, capture_output=True).stdout
    return sorted((o["queue_id"], o["recipient"], o["verdict"]) for o in map(json.loads, out.splitlines())
                  if o["type"] == "verdict")

rnd = random.Random(1)
for case in sys.argv[2:]:
    keyed, when, turns = [], 0, 0
    for line in open(case + "mail.log", "rb"):
        m = re.match(rb"(?:\d{4}-(\d\d)-|(\w{3}) )([ \d]\d)[T ](\d\d):(\d\d):(\d\d)", line)
        if m:
            month = int(m[1]) if m[1] else b"JanFebMarAprMayJunJulAugSepOctNovDec".index(m[2]) // 3
            before, when = when, (((month * 31 + int(m[3])) * 24 + int(m[4])) * 60 + int(m[5])) * 60 + int(m[6])
            turns += when < before - 10**7
        keyed.append((turns, when + rnd.uniform(0, 5), len(keyed), line))
    with open("shuffled.log", "wb") as f:
        f.writelines(k[3] for k in sorted(keyed))
    os.utime("shuffled.log", (os.stat(case + "mail.log").st_mtime,) * 2)
    args = open(case + "args").read().split() if os.path.exists(case + "args") else []
    want, got = verdicts(case + "mail.log", args), verdicts("shuffled.log", args)
    print("good" if want and want == got else
          f"FAILED 5 s out of order, {case}: {sorted(set(want) ^ set(got))[:4]}")
END
)
passed=$((passed + $(grep -c ^good <<<"$disorder")))
failed=$((failed + $(grep -c ^FAILED <<<"$disorder")))
grep ^FAILED <<<"$disorder"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
