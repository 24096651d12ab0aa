#!/usr/bin/env bash
# Checks the layers of the house over the #include lines: nothing includes upward, no MTA's folder
# includes another's, and each library is used only in its one home. And that no file is too long:
# one that grows past the limit is two subjects.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
say() { echo "layers: $*" >&2; bad=1; }

# In one process: a fork for each of some thousand lines took longer than the build.
while IFS= read -r complaint; do
	say "$complaint"
done < <(grep -rnE '^#include "' watchdogd probes rules --include='*.[ch]' | awk '
	# A higher number may include a lower or equal one.
	function rank(file) {
		if (file ~ "^watchdogd/base/") return 0
		if (file ~ "^watchdogd/(config|track)/") return 1
		if (file ~ "^(probes|rules|watchdogd/ledger|watchdogd/vault)/") return 2
		if (file ~ "^watchdogd/(act|helper)/") return 3
		if (file ~ "^watchdogd/(api|fleet|daemon|cli|share)/") return 4
		return -1
	}
	# The folder of one MTA, or nothing.
	function mta(file,  part) {
		if (file ~ "^probes/(source|syslog|windows)/" || split(file, part, "/") < 3 || part[1] != "probes") return ""
		return part[2]
	}
	function is_there(file,  line, r) {
		if (!(file in known)) {
			r = (getline line < file)
			close(file)
			known[file] = r >= 0
		}
		return known[file]
	}
	{
		file = substr($0, 1, index($0, ":") - 1)
		split($0, quoted, "\"")
		target = quoted[2]
		from = rank(file); to = rank(target)
		if (!is_there(target)) print file " includes \"" target "\": no such file (paths start at the top)"
		else if (from < 0 || to < 0) print file " or " target " is in no layer"
		else if (from < to) print file " includes upward: " target
		a = mta(file); b = mta(target)
		if (a != "" && b != "" && a != b) print file " includes another MTA: " target
		if ((file ~ "^watchdogd/config/" && target ~ "^watchdogd/track/") ||
			(file ~ "^watchdogd/track/" && target ~ "^watchdogd/config/"))
			print file " and " target " are side by side: config and track do not know each other"
	}')

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
only 'libsmbclient\.h' watchdogd/share/smb.c
only 'microhttpd\.h' watchdogd/api/

while read -r lines f; do
	[ "$f" = total ] || [ "$lines" -le 500 ] || say "$f has $lines lines, more than 500"
done < <(find watchdogd probes rules tests packaging -name '*.[ch]' -o -name '*.sh' | sort | xargs wc -l)
[ "$bad" = 0 ] && echo "layers: good"
exit "$bad"
