#!/usr/bin/env bash
# The command line as its users meet it: bad input, streams, compression, rotated sets, a queue.
# Usage: cli.sh PROGRAM
set -uo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

# expect NAME STATUS [PATTERN] -- COMMAND...: exit status, and a pattern in what it printed.
expect() {
	local name=$1 want=$2 pattern="" out status
	shift 2
	if [ "$1" != -- ]; then pattern=$1; shift; fi
	shift
	out=$("$@" 2>&1)
	status=$?
	if [ "$status" = "$want" ] && grep -qE -- "${pattern:-}" <<<"$out"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $name: exit status $status, want $want; pattern '$pattern' in:"
		head -c 600 <<<"$out"
	fi
}

lost=$here/cases/postfix/silent-past-retry/mail.log
bounced=$here/cases/postfix/bounced-on-4xx/mail.log
cp "$lost" lost.log
for tool in gzip xz zstd bzip2; do $tool -q -c lost.log >"lost.$tool"; done
split -l 60 --numeric-suffixes=0 lost.log piece.
cp piece.02 mail.log; gzip -c piece.01 >mail.log.1.gz; cp piece.00 mail.log.2
: >empty.log
printf '\000\001\002\377' >binary.log
head -c 3000000 /dev/zero | tr '\0' 'a' >long.log
{ cat "$bounced"; printf 'May 16 17:55:00 relay postfix/smtp[1]: \000\000 odd\n'; } >nul.log
sed 's/$/\r/' lost.log >crlf.log
mkdir none logs
cp lost.log logs/mail.log

mkdir -p mailroot/Queue mailroot/Pickup mailroot/Badmail
printf 'From: info@a.test\r\nTo: ann@b.test\r\n\r\nx\r\n' >mailroot/Queue/NTFS_0001.EML
cp mailroot/Queue/NTFS_0001.EML mailroot/Queue/NTFS_0002.EML
cp mailroot/Queue/NTFS_0001.EML mailroot/Pickup/new.eml
cp mailroot/Queue/NTFS_0001.EML mailroot/Badmail/b1.BAD
mkdir -p exchange/EXCH1.log exchange/LogFiles/SMTPSVC1 exchange/Other
cp "$here"/cases/exchange/2003-two-messages-one-recipient/2*.log exchange/EXCH1.log
cp "$here"/cases/exchange/2003-two-messages-one-recipient/ex*.log exchange/LogFiles/SMTPSVC1
cp lost.log exchange/Other/mail.log
touch -d '-3 days' mailroot/Queue/NTFS_0001.EML
touch -d '-3 hours' mailroot/Pickup/new.eml

expect "no arguments" 2 "no log named" -- "$program" scan
expect "unknown option" 2 "unrecognized option" -- "$program" scan --nope lost.log
expect "bad value names option and value" 2 "--slack 'soon'" -- "$program" scan --slack soon lost.log
expect "unknown command" 2 "no command 'scna'" -- "$program" scna
# The commands of the other program, beside this one or, without it, installed.
while read -r command _; do
	expect "$command as listed" 2 "^usage: mailq-watchdog $command " -- "$program" "$command" a b c
done < <("$program" --help | grep -E '^  (status|list|show|recover|requeue|restart|ack|vault|alert|config) ')
expect "list with no daemon" 2 "the daemon is not running .no socket at absent.sock" -- "$program" list --socket absent.sock
ln -s "$program" link
expect "by a link" 2 "absent.sock" -- ./link status --socket absent.sock
expect "arguments as they are" 2 "usage: mailq-watchdog config check" -- "$program" config "check " ""
if [ ! -e /usr/libexec/mailq-watchdog/mailq-watchdog-manage ]; then
	cp "$program" alone
	expect "a program that is missing" 2 "'ack' is done by .*mailq-watchdog-manage, which cannot be run: No such file" -- \
		./alone ack X
	expect "which a scan does not need" 1 "overdue" -- ./alone scan lost.log
fi
expect "missing file" 2 "absent.log: No such file" -- "$program" scan absent.log
expect "missing file does not hide the rest" 2 "overdue" -- "$program" scan absent.log lost.log
if [ "$(id -u)" = 0 ]; then
	install -m 600 lost.log secret.log
	chmod 755 .
	cp "$program" program # where that user can get at it
	expect "unreadable file" 2 "secret.log: Permission denied" -- \
		setpriv --reuid=65534 --regid=65534 --clear-groups ./program scan secret.log
fi
expect "journal that is not there" 2 "journal:none: no file of the journal" -- "$program" scan journal:none
expect "journal in no directory" 2 "journal:absent: No such file" -- "$program" scan journal:absent
cp lost.log journal
expect "file that is called journal" 1 "overdue" -- "$program" scan ./journal
rm journal
gateway=$here/cases/iis_smtp/glitch-retry-then-nothing
expect "a file of mailroot that outlives its lifetime" 1 "still in the queue after 3 d" -- \
	"$program" scan --mta iis-smtp --queue mailroot "$gateway"
expect "a file that nobody picks up" 1 '"verdict":"overdue".*"queue_id":"new.eml"' -- \
	"$program" scan --mta iis-smtp --format json --queue mailroot "$gateway"
expect "a file that waits, and what is in Badmail" 1 " 1 vanished, 2 overdue" -- \
	"$program" scan --mta iis-smtp --queue mailroot "$gateway"
expect "Exchange's logs below a folder, joined" 1 "last try 2026-05-16T10:12:07Z, attempt 3 at 192.0.2.9" -- \
	"$program" scan --mta exchange exchange
expect "Exchange is recognised" 1 "vanished .*ann@bravo.example" -- "$program" scan exchange/EXCH1.log
expect "also behind the SMTP log" 1 "attempt 3 at 192.0.2.9" -- \
	"$program" scan exchange/LogFiles/SMTPSVC1 exchange/EXCH1.log
expect "so is IIS" 1 "SMTPSVC1/info@uni.example/1722" -- "$program" scan "$gateway"/*.log
expect "directory without logs" 2 "no log" -- "$program" scan none
expect "empty log" 0 "0 lines" -- "$program" scan empty.log
expect "binary file" 2 "not a mail log" -- "$program" scan binary.log
expect "line of 3 MB" 2 "not a mail log" -- "$program" scan long.log
expect "NUL bytes" 1 "false_ndr" -- "$program" scan --no-progress nul.log
expect "plain" 1 "1 overdue" -- "$program" scan lost.log
for tool in gzip xz zstd bzip2; do
	expect "compressed by $tool" 1 "1 overdue" -- "$program" scan "lost.$tool"
done
expect "CRLF" 1 "1 overdue" -- "$program" scan crlf.log
expect "standard input" 1 "1 overdue" -- bash -c "'$program' scan - <lost.log"
expect "compressed standard input" 1 "1 overdue" -- bash -c "'$program' scan - <lost.gzip"
expect "rotated set" 1 "134 lines.*1 overdue" -- "$program" scan mail.log mail.log.1.gz mail.log.2
expect "glob that the shell left alone" 1 "1 overdue" -- "$program" scan 'mail.lo*'
expect "directory" 1 "1 overdue" -- "$program" scan logs
mkdir hole && cp piece.00 hole/mail.log.3 && cp mail.log.1.gz hole/
expect "a missing piece is a gap" 0 "rotated file of the set is missing" -- "$program" scan hole
expect "slack makes it quiet" 0 "1 pending" -- "$program" scan --all --slack 2d lost.log
expect "trace by queue id" 0 "deferred at" -- "$program" trace 4l2kJW6Yltz91C2 lost.log
expect "trace by address" 0 "4l2kJW6Yltz91C2" -- "$program" trace bob38@bravo.example lost.log
expect "trace of nothing" 1 "nothing in these logs" -- "$program" trace nobody@example.test lost.log
expect "trace follows the failure report" 0 "failure report sent" -- \
	"$program" trace 4xtdrGl0XYzFV45 "$bounced"
expect "trace of standard input" 0 "deferred at" -- \
	bash -c "'$program' trace 4l2kJW6Yltz91C2 - <lost.log"

# A log up to now, with and without its file in the queue.
mkdir -p queue/deferred/4 queue/active
log_of() {
	sed -E "s/^[0-9T:.-]+\+00:00/$(date -u -d "$1" +%Y-%m-%dT%H:%M:%S).000000+00:00/" "$lost" | grep 4l2kJW6Yltz91C2
}
log_of '-1 minute' >now.log
expect "gone from the live queue" 1 "vanished \(certain\)" -- "$program" scan --queue queue now.log
touch -d '+10 minutes' queue/deferred/4/4l2kJW6Yltz91C2
expect "there in the live queue" 0 "1 pending" -- "$program" scan --queue queue now.log
touch -d '-1 day' queue/deferred/4/4l2kJW6Yltz91C2
expect "past due in the live queue" 1 "overdue \(certain\)" -- "$program" scan --queue queue now.log
rm queue/deferred/4/4l2kJW6Yltz91C2
expect "old log against a queue proves nothing" 0 "1 unknown" -- \
	"$program" scan --queue queue lost.log
log_of '-1 second' >fresh.log
expect "what was logged just now is not gone yet" 0 "1 pending" -- "$program" scan --all --queue queue fresh.log
touch -d '-1 day' queue/deferred/4/4l2kJW6Yltz91C2
expect "what was logged just now is there" 0 '"verdict":"pending","confidence":"certain"' -- \
	"$program" scan --all --format json --queue queue fresh.log
rm queue/deferred/4/4l2kJW6Yltz91C2
mkdir elsewhere
expect "directory that is no queue" 2 "no queue of postfix is there" -- "$program" scan --queue elsewhere now.log
expect "queue that is not there" 2 "queue cannot be read" -- "$program" scan --queue nowhere now.log

# A reply of a hostile server is shown and obeyed by nothing.
sed 's/Greylisting in action/\x1b[2J\x1b]0;owned\x07/' lost.log >hostile.log
expect "control bytes are printable" 1 '\\x1b\[2J' -- "$program" scan hostile.log

if [ ! -d "$here/../../../shared/queue-samples" ]; then
	echo "the queue files of real MTAs are not beside this checkout: left out"
else
	# The vault as the daemon keeps it, out of queue files of real MTAs, which are beside the checkout.
	samples=$here/../../../shared/queue-samples
	mkdir -p state/vault/postfix state/vault/exim
	cp "$samples/postfix/queuefile-3rcpt.bin" state/vault/postfix/63E93ACEA95
	cp "$samples/postfix/queuefile-partial.bin" state/vault/postfix/14D1CACEAC3
	cp "$samples/exim/1xW41t-0006Lt-2s-H" state/vault/exim/1xW41t-0006Lt-2s
	cp "$samples/exim/1xW41t-0006Lt-2s-D" state/vault/exim/1xW41t-0006Lt-2s.1
	cat >vault.yaml <<END
version: 1
state_directory: $work/state
instances: [{name: postfix, type: postfix}, {name: exim, type: exim}, {name: unused, type: sendmail}]
END
	vault() {
		local command=$1
		shift
		"$program" vault "$command" --config vault.yaml "$@"
	}
	# exported ID SENDER MAIL: its mail is, byte for byte, what the MTA shows of it, behind one header more.
	exported() {
		{ printf 'Return-Path: <%s>\n' "$2"; cat "$3"; } >want.eml
		vault export "$1" | cmp - want.eml
	}
	expect "vault list" 0 "14D1CACEAC3 .* <alice@mx.example.com>, 1 of 2 recipients to do" -- vault list
	expect "vault list: several files are one copy" 0 "^1xW41t-0006Lt-2s +exim +[0-9]+ " -- vault list --instance exim
	expect "vault list: nothing kept" 0 -- vault list --instance unused
	expect "vault list: no such instance" 2 "no such instance" -- vault list --instance nobody
	expect "vault list as JSON" 0 '"queue_id":"1xW41t-0006Lt-2s".*"address":"soft9@remote.test","done":false' -- \
		vault list --format json
	expect "vault show" 0 "done +<ok9@remote.test>" -- vault show 1xW41t-0006Lt-2s
	expect "vault show: what recover does" 0 "loses +it gets a new queue id" -- vault show 63E93ACEA95
	expect "vault show: no copy" 1 "there is no copy of 63E93ACEA96" -- vault show 63E93ACEA96
	expect "vault show: no id" 2 "usage" -- vault show
	expect "vault export: Postfix" 0 -- exported 63E93ACEA95 alice@mx.example.com "$samples/postfix/postcat-bh.txt"
	expect "vault export: Postfix, one recipient done" 0 -- exported 14D1CACEAC3 alice@mx.example.com "$here/queue/14D1CACEAC3.mail"
	expect "vault export: Exim" 0 -- exported 1xW41t-0006Lt-2s alice@exim.example.com "$here/queue/1xW41t-0006Lt-2s.mail"
	expect "vault export into a file" 0 -- vault export --output new.eml 63E93ACEA95
	expect "vault export: mode of the file" 0 "^600$" -- stat -c %a new.eml
	expect "vault export replaces nothing" 2 "new.eml: File exists" -- vault export --output new.eml 63E93ACEA95
	expect "vault export: no copy" 1 "there is no copy" -- vault export 63E93ACEA96
	expect "vault export: a path is no id" 1 "there is no copy" -- vault export ../exim/1xW41t-0006Lt-2s
	head -c 300 "$samples/postfix/queuefile-3rcpt.bin" >state/vault/postfix/63E93ACEA97
	expect "vault list: a damaged copy" 2 "the copy 63E93ACEA97 of postfix: no sound queue file" -- vault list
	expect "vault export: a damaged copy" 2 "no sound queue file" -- vault export 63E93ACEA97
	rm state/vault/exim/*.1
	expect "vault show: the body is missing" 2 "no sound queue file" -- vault show 1xW41t-0006Lt-2s
fi

# 1 GB in one line: bounded memory.
truncate -s 1G huge.log
printf '\n' >>huge.log
cat lost.log >>huge.log
expect "line of 1 GB in 64 MiB" 1 "1 overdue" -- \
	bash -c "ulimit -v 200000; '$program' scan --no-progress huge.log"
echo "cli: $passed passed, $failed failed"
[ "$failed" = 0 ]
