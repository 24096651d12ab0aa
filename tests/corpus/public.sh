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

# Exim's own test-suite has messages that are given up at once, as its configurations have no retry rules: reported
# falsely, each of them. An alarm has to show that: a report about the message, and the words of giving up.
while IFS= read -r f; do
	out=$(timeout 60 "$program" scan --mta exim --format json --no-progress "$f" 2>&1)
	status=$?
	bad=$(grep -E '"verdict":"(vanished|overdue|lost_downstream)"' <<<"$out")
	while IFS= read -r id; do
		if ! grep -qE " $id \\*\\* .*(retry timeout exceeded|failing for a long time)" "$f" ||
			! grep -qF "<= <> R=$id " "$f"; then
			bad="$bad $id"
		fi
	done < <(grep '"verdict":"false_ndr"' <<<"$out" | sed -E 's/.*"queue_id":"([^"]*)".*/\1/')
	if [ "$status" -gt 2 ] || [ -n "$bad" ]; then
		echo "FAILED ${f##*/}: exit status $status, without good reason: $bad"
		failed=$((failed + 1))
	else
		passed=$((passed + 1))
	fi
done < <(find "$corpus/exim" -type f)
echo "public: $passed passed, $failed failed"
[ "$failed" = 0 ]
