# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the lab's scripts; to be sourced.
# shellcheck disable=SC2034 # used by those who source it

# Exit status of every lab script when this host cannot run the lab at all. It is what test drivers (automake, meson)
# take for "skipped", so that a host without root or a network is no failed build.
LAB_SKIP=77

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_CACHE=${MQW_LAB_CACHE:-/var/cache/mailq-watchdog-lab}

lab_say() {
	printf 'lab: %s\n' "$*" >&2
}

lab_die() {
	lab_say "$*"
	exit 1
}

lab_skip() {
	lab_say "cannot run here: $*"
	exit "$LAB_SKIP"
}

lab_need_root() {
	[ "$(id -u)" -eq 0 ] || lab_skip "root is needed (mounts, namespaces, chroot); run it with sudo"
}

# lab_need_command COMMAND PACKAGE
lab_need_command() {
	command -v "$1" >/dev/null || lab_skip "the command $1 is missing; on Debian: apt-get install $2"
}

# lab_remove_tree DIR: never descends into a mount that is still there, so that a half undone
# machine or build cannot take the host's /proc, /sys or build tree with it.
lab_remove_tree() {
	rm -rf --one-file-system -- "$1"
}
