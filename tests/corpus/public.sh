#!/usr/bin/env bash
# Scans public logs, where their collection is beside the checkout: no crash, no trouble found in
# logs that hold none. Usage: public.sh PROGRAM
set -uo pipefail
program=$1
corpus=$(cd "$(dirname "$0")/../.." && pwd)/../shared/corpus
if [ ! -d "$corpus" ]; then
	echo "the collection of public logs is not beside this checkout"
	exit 77
fi
passed=0 failed=0
for f in "$corpus"/{postfix,sendmail}/*; do
	mta=$(basename "$(dirname "$f")")
	out=$(timeout 60 "$program" scan --mta "$mta" --format json --no-progress "$f" 2>&1)
	status=$?
	# 2 is the honest answer for the two files that are no log at all.
	if [ "$status" -gt 2 ] || grep -qE '"verdict":"(vanished|false_ndr)"' <<<"$out"; then
		echo "FAILED ${f##*/}: exit status $status"
		grep -E '"verdict":"(vanished|false_ndr)"' <<<"$out" | head -3
		failed=$((failed + 1))
	else
		passed=$((passed + 1))
	fi
done
echo "public: $passed passed, $failed failed"
[ "$failed" = 0 ]
