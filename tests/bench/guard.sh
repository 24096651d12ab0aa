#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Counts the instructions of a scan for each line, with callgrind, on a generated log of either MTA, and compares them with
# those kept in instructions.tsv: more than 10 % above fails. A count does not depend on what else the machine does. It is
# the difference between two lengths of one log, so that the start of the program is not in it.
# The kept numbers are of one compiler, C library and processor family; elsewhere there is nothing to compare with, which is
# said (exit status 77). Usage: guard.sh PROGRAM GENERATE [--keep]   (--keep writes the numbers as they are now)
set -euo pipefail
program=$1 generate=$2 keep=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
kept=$here/instructions.tsv
short=10000 long=40000
command -v valgrind >/dev/null || { echo "valgrind is not here (make deps-test)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
where="$(${CC:-gcc} -dumpfullversion), glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2), $(uname -m)"

# instructions FORM LOG
instructions() {
	local status=0
	TZ=UTC valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" scan --mta "$1" --jobs 1 --no-progress \
		"$2" >"$work/out" 2>"$work/err" </dev/null || status=$?
	[ "$status" -le 1 ] || { cat "$work/err" >&2; return 1; }
	sed -nE 's/.*Collected *: *([0-9]+)$/\1/p' "$work/err"
}

# a_line FORM: of a line between the two lengths.
a_line() {
	local few many
	"$generate" "$1" "$long" "$work/long.log" "$work/truth" 1 24
	head -n "$short" "$work/long.log" >"$work/short.log"
	few=$(instructions "$1" "$work/short.log")
	many=$(instructions "$1" "$work/long.log")
	echo $(((many - few) / ($(wc -l <"$work/long.log") - short)))
}

if [ "$keep" = --keep ]; then
	{
		echo "# Instructions a line of \`scan --jobs 1\`, by guard.sh --keep. Compiler, C library, processor, MTA, number."
		grep -v '^#' "$kept" 2>/dev/null | grep -vF "$where	" || :
		for form in postfix exim; do
			printf '%s\t%s\t%s\n' "$where" "$form" "$(a_line "$form")"
		done
	} >"$work/new"
	cp "$work/new" "$kept"
	cat "$kept"
	exit
fi
status=0 compared=0
for form in postfix exim; do
	wanted=$(awk -F'\t' -v where="$where" -v form="$form" '$1 == where && $2 == form { print $3 }' "$kept")
	[ -n "$wanted" ] || continue
	compared=$((compared + 1))
	counted=$(a_line "$form")
	echo "$form: $counted instructions a line, kept are $wanted"
	if [ $((counted * 100)) -gt $((wanted * 110)) ]; then
		echo "$form: more than 10 % above what is kept in tests/bench/instructions.tsv: find out what costs it (callgrind_annotate)," \
			"or say in the commit why it is worth it and run guard.sh --keep"
		status=1
	fi
done
[ "$compared" -gt 0 ] || { echo "no numbers are kept for gcc $where"; exit 77; }
exit "$status"
