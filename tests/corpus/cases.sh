#!/usr/bin/env bash
# Runs the scan over labelled logs: the project's own under tests/corpus/cases and, where it is
# there, the shared collection beside the checkout. Usage: cases.sh PROGRAM
set -uo pipefail
program=$1
here=$(cd "$(dirname "$0")" && pwd)
out=$("$here/check_cases.py" "$program" "$here/cases")
status=$?
echo "$out"
shared=$here/../../../shared/cases
if [ -d "$shared/postfix" ]; then
	# With its own program: a log there may tell of more messages than it has labels for.
	more=$("$shared/check.py" "$program" "$shared" postfix sendmail exchange iis_smtp) || status=1
	echo "$more"
	out="$out
$more"
	# Its Exim logs hold lost messages of neighbouring cases, which their labels pass over: its own rules allow that.
	more=$("$shared/check.py" "$program" "$shared" exim) || status=1
	echo "$more"
	out="$out
$more"
else
	echo "the shared collection of cases is not beside this checkout: left out"
fi
awk '/ passed, / {p += $2; f += $4} END {print "cases: " p " passed, " f " failed"}' <<<"$out"
exit "$status"
