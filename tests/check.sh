#!/usr/bin/env bash
# The whole test run, as `make check` and CI call it. Last line: "N passed, N failed" (", N skipped").
# What cannot run here (no root, no network, a folder that is not there) is counted as skipped,
# with the reason.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
jobs=$(nproc)
export CI=${CI:-true}

ok() { passed=$((passed + 1)); echo "ok      $1"; }
not_ok() { failed=$((failed + 1)); echo "FAILED  $1"; }
skip() { skipped=$((skipped + 1)); echo "skipped $1: $2"; }

# step NAME COMMAND...: one check, its output shown only when it fails.
step() {
	local name=$1 log status
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1
	status=$?
	if [ "$status" = 0 ]; then
		ok "$name"
	elif [ "$status" = 77 ]; then
		skip "$name" "$(tail -1 "$log")"
	else
		cat "$log"
		not_ok "$name"
	fi
	rm -f "$log"
	return "$status"
}

# counted NAME COMMAND...: a runner whose output has a line "... N passed, N failed".
counted() {
	local name=$1 log status line
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1
	status=$?
	line=$(grep -E '[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
	if [ "$status" = 77 ]; then
		skip "$name" "$(tail -1 "$log")"
	elif [ -z "$line" ]; then
		cat "$log"
		not_ok "$name (no summary)"
	else
		local p f
		p=$(grep -oE '[0-9]+ passed' <<<"$line") p=${p% passed}
		f=$(grep -oE '[0-9]+ failed' <<<"$line") f=${f% failed}
		passed=$((passed + p)) failed=$((failed + f))
		[ "$f" = 0 ] && [ "$status" = 0 ] || cat "$log"
		[ "$f" != 0 ] || [ "$status" = 0 ] || failed=$((failed + 1))
		echo "$name: $p passed, $f failed"
	fi
	rm -f "$log"
}

if [ "$(id -u)" = 0 ]; then
	step "packages that build and tests need" make -s deps-test
fi
if step "build without a warning (gcc)" make -s -j"$jobs" all unit-tests; then
	counted "unit tests" make -s check-unit
	counted "labelled cases" tests/corpus/cases.sh build/mailq-watchdog
	counted "command line" tests/corpus/cli.sh build/mailq-watchdog
	counted "time in logs" tests/corpus/time.sh build/mailq-watchdog
	counted "public logs" tests/corpus/public.sh build/mailq-watchdog
	# A death at each of 2,000 places takes two minutes of two cores.
	if step "crash test builds" make -s build/tests/crash/crash; then
		counted "crash test, deaths" build/tests/crash/crash --points 2000
		counted "crash test, failing calls" build/tests/crash/crash --faults --points 200
	fi
fi
if command -v clang >/dev/null; then
	step "build without a warning (clang)" make -s -j"$jobs" CC=clang BUILD=build/clang all
else
	skip "build with clang" "no clang here"
fi
step "layers" make -s layers
if [ "$(id -u)" != 0 ]; then
	skip "the lab, real MTAs and the watchdog beside them, the demo" "needs root"
else
	counted "the lab's real Postfix" tests/lab/selftest.sh
	counted "the watchdog beside a real Postfix" tests/integration/postfix.sh
	counted "the watchdog beside a real Exim" tests/integration/exim.sh
	counted "the watchdog beside a real Sendmail" tests/integration/sendmail.sh
	counted "a ledger that cannot be written" tests/integration/faults.sh
	counted "recoveries by hand with three MTAs" tests/integration/recover.sh
	counted "the watchdog killed beside Exim and Sendmail" tests/integration/killed.sh
	counted "attacks on the service" tests/integration/attacks.sh
	counted "the service in a booted system" tests/integration/boot.sh
	counted "alerts over real relays, sinks away for a minute" tests/integration/alerts.sh
	counted "under load: killed, its log rotated, mail lost" tests/lab/soak.sh
	step "the demo" tests/lab/demo.sh
fi
if [ "$skipped" = 0 ]; then
	echo "$passed passed, $failed failed"
else
	echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ]
