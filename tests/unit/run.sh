#!/usr/bin/env bash
# Runs cmocka programs and adds up their tests. Usage: run.sh PROGRAM...
# Last line: "unit: N passed, N failed".
set -uo pipefail
passed=0 failed=0
for program in "$@"; do
	out=$("$program" 2>&1)
	status=$?
	ok=$(grep -c '^\[       OK \]' <<<"$out")
	bad=$(grep -c '^\[  FAILED  \] [a-z_]' <<<"$out")
	# cmocka names each failed test twice: when it fails and in the list at the end.
	bad=$((bad / 2))
	if [ "$status" != 0 ]; then
		[ "$bad" = 0 ] && bad=1
		echo "$out" | grep -v -E '^\[ RUN  |^\[       OK' >&2
		echo "FAIL ${program##*/} (exit status $status)" >&2
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
[ "$failed" = 0 ]
