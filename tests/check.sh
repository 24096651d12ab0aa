#!/usr/bin/env bash
# The whole test run, as `make check` and CI call it. Last line: "N passed, N failed" (", N skipped").
# What cannot run here (no root, no network, a folder that is not there) is counted as skipped,
# with the reason.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
jobs=$(nproc)
export CI=${CI:-true}

# What failed is said once more at the end, where it is found.
failures=()

ok() { passed=$((passed + 1)); echo "ok      $1"; }
not_ok() {
	failed=$((failed + 1))
	failures+=("$1")
	echo "FAILED  $1"
}
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

# count NAME LOG STATUS: what a runner has said, whose output has a line "... N passed, N failed". Shown when it failed.
count() {
	local name=$1 log=$2 status=$3 line p f
	line=$(grep -E '[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
	if [ "$status" = 77 ]; then
		skip "$name" "$(tail -1 "$log")"
	elif [ -z "$line" ]; then
		cat "$log"
		not_ok "$name ended without a summary, with: $(tail -1 "$log")"
	else
		p=$(grep -oE '[0-9]+ passed' <<<"$line") p=${p% passed}
		f=$(grep -oE '[0-9]+ failed' <<<"$line") f=${f% failed}
		[ "$f" != 0 ] || [ "$status" = 0 ] || f=1
		passed=$((passed + p)) failed=$((failed + f))
		if [ "$f" != 0 ]; then
			cat "$log"
			while IFS= read -r line; do
				failures+=("$name: $line")
			done < <(grep -E '^(not ok|FAIL|\[  FAILED)' "$log" || echo "status $status")
		fi
		echo "$name: $p passed, $f failed"
	fi
}

# counted NAME COMMAND...
counted() {
	local name=$1 log
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1
	count "$name" "$log" $?
	rm -f "$log"
}

# The checks that mostly wait, for an MTA or for time to pass, run side by side: beside NAME COMMAND... begins one,
# together waits for all of them and counts.
at_once=3
declare -A running=()
finished=()
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap '[ "${#running[@]}" = 0 ] || kill "${!running[@]}"; wait; exit 130' INT TERM

one_ends() {
	local pid status
	wait -n -p pid
	status=$?
	finished+=("${running[$pid]}")
	echo "$status" >"$logs/${running[$pid]}.status"
	echo "        ended: ${running[$pid]}"
	unset "running[$pid]"
}

beside() {
	local name=$1
	shift
	[ "${#running[@]}" -lt "$at_once" ] || one_ends
	"$@" >"$logs/$name.log" 2>&1 </dev/null &
	running[$!]=$name
}

together() {
	local name
	while [ "${#running[@]}" != 0 ]; do
		one_ends
	done
	for name in "${finished[@]}"; do
		count "$name" "$logs/$name.log" "$(cat "$logs/$name.status")"
	done
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
	if step "log generator builds" make -s build/tests/bench/generate/generate; then
		step "instructions a line" tests/bench/guard.sh build/mailq-watchdog build/tests/bench/generate/generate
	fi
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
	# The longest first; the first of each MTA makes its root.
	beside "the watchdog killed beside Exim and Sendmail" tests/integration/killed.sh
	beside "recoveries by hand with three MTAs" tests/integration/recover.sh
	beside "alerts over real relays, sinks away for a minute" tests/integration/alerts.sh
	beside "the watchdog beside an Exchange host" tests/integration/exchange.sh
	beside "the watchdog beside a real Exim" tests/integration/exim.sh
	beside "the watchdog beside a real Sendmail" tests/integration/sendmail.sh
	beside "the watchdog beside a real Postfix" tests/integration/postfix.sh
	beside "the service in a booted system" tests/integration/boot.sh
	beside "attacks on the service" tests/integration/attacks.sh
	beside "under load, killed, its log rotated, mail lost" tests/lab/soak.sh
	beside "a ledger that cannot be written" tests/integration/faults.sh
	beside "the lab's real Postfix" tests/lab/selftest.sh
	together
	step "the demo" tests/lab/demo.sh
fi
[ "${#failures[@]}" = 0 ] || printf 'FAILED  %s\n' "${failures[@]}"
if [ "$skipped" = 0 ]; then
	echo "$passed passed, $failed failed"
else
	echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ]
