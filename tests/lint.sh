#!/usr/bin/env bash
# Static checks over the sources named on the command line: layout, cppcheck, clang's analyser.
# What is not installed is said and counts as a failure: `make deps-lint` brings it.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
need() { command -v "$1" >/dev/null || { echo "lint: $1 is missing (make deps-lint)" >&2; bad=1; return 1; }; }

if need clang-format; then
	make -s format-check || bad=1
fi
if need cppcheck; then
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches \
		--error-exitcode=1 -I. "$@" || bad=1
fi
if need clang; then
	flags=$(pkg-config --cflags libsystemd libmicrohttpd smbclient 2>/dev/null)
	for f in "$@"; do
		# shellcheck disable=SC2086
		clang --analyze -Xclang -analyzer-output=text -std=gnu11 -I. $flags -DMQW_VERSION='"lint"' -DMQW_LIBEXEC='"lint"' \
			-Xclang -analyzer-werror -o /dev/null "$f" || bad=1
	done
fi
[ "$bad" = 0 ] && echo "lint: good"
exit "$bad"
