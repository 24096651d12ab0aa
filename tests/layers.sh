#!/usr/bin/env bash
# Checks the layers of the house over the #include lines: nothing includes upward, no MTA's folder
# includes another's, and each library is used only in its one home.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
say() { echo "layers: $*" >&2; bad=1; }

# A higher number may include a lower or equal one.
rank() {
	case $1 in
	watchdogd/base/*) echo 0 ;;
	watchdogd/config/* | watchdogd/track/*) echo 1 ;;
	probes/* | rules/* | watchdogd/ledger/* | watchdogd/vault/*) echo 2 ;;
	watchdogd/act/* | watchdogd/helper/*) echo 3 ;;
	watchdogd/api/* | watchdogd/fleet/* | watchdogd/daemon/* | watchdogd/cli/*) echo 4 ;;
	*) echo "" ;;
	esac
}

# The folder of one MTA, or nothing.
mta() {
	case $1 in
	probes/source/* | probes/syslog/* | probes/*.[ch]) ;;
	probes/*/*) echo "$1" | cut -d/ -f2 ;;
	esac
}

while IFS=: read -r file _ include; do
	target=$(sed -E 's/.*"([^"]+)".*/\1/' <<<"$include")
	from=$(rank "$file") to=$(rank "$target")
	[ -e "$target" ] || { say "$file includes \"$target\": no such file (paths start at the top)"; continue; }
	[ -n "$from" ] && [ -n "$to" ] || { say "$file or $target is in no layer"; continue; }
	[ "$from" -ge "$to" ] || say "$file includes upward: $target"
	a=$(mta "$file") b=$(mta "$target")
	[ -z "$a" ] || [ -z "$b" ] || [ "$a" = "$b" ] || say "$file includes another MTA: $target"
	case $file:$target in
	watchdogd/config/*:watchdogd/track/* | watchdogd/track/*:watchdogd/config/*)
		say "$file and $target are side by side: config and track do not know each other" ;;
	esac
done < <(grep -rnE '^#include "' watchdogd probes rules --include='*.[ch]')

# only PATTERN FOLDERS...: a library header and where it may be included.
only() {
	local pattern=$1 f where
	shift
	while IFS= read -r f; do
		for where in "$@"; do [[ $f == $where* ]] && continue 2; done
		say "$f includes $pattern; allowed only in: $*"
	done < <(grep -rlE "^#include <($pattern)" watchdogd probes rules --include='*.[ch]')
}
only 'sqlite3\.h' watchdogd/ledger/
only 'systemd/sd-(bus|event)\.h' watchdogd/daemon/ watchdogd/act/ watchdogd/helper/ watchdogd/api/ probes/source/
only 'systemd/sd-journal\.h' probes/source/ watchdogd/act/ watchdogd/helper/
only 'seccomp\.h' watchdogd/base/syscalls.c
only 'yaml\.h' watchdogd/config/
only 'inotifytools/' probes/source/dirwatch.c
only '(zlib|lzma|zstd|bzlib)\.h' probes/source/decompress.c
only 'microhttpd\.h' watchdogd/api/
[ "$bad" = 0 ] && echo "layers: good"
exit "$bad"
