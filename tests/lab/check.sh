# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How tests in the lab check and count: to be sourced.

PASSED=0
FAILED=0

# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@" >/dev/null; then
		PASSED=$((PASSED + 1))
		echo "ok - $name"
	else
		FAILED=$((FAILED + 1))
		echo "not ok - $name"
	fi
}

not() {
	! "$@"
}

equal() {
	[ "$1" = "$2" ] || { lab_say "got \"$1\", expected \"$2\""; return 1; }
}

# equal_to COMMAND WORD: what the command prints now
equal_to() {
	[ "$($1)" = "$2" ]
}
