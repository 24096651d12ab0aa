#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Booted machines over the lab's root: a library to source, and a command.
#
#   machine.sh up NAME [NSPAWN-OPTION...]   make and boot a machine with the Postfix lab in it; it stays until "down"
#   machine.sh exec NAME [COMMAND...]       run a command in it (default: a shell)
#   machine.sh down NAME|--all              kill it and remove what it wrote
#   machine.sh list                         names, roots and the process id of each init
#
# As a library (set -euo pipefail, as root): lab_trap once, then lab_up (here) or pf_up (postfix.sh), lab_exec, lab_reboot,
# lab_down.
# A machine is an overlay over the root of root.sh, booted by systemd-nspawn with a network of its own (loopback only).
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# On a real file system: overlayfs wants xattrs in its upper folder, and queues want the space.
LAB_RUN=${MQW_LAB_RUN:-/var/tmp/mailq-watchdog-lab}
LAB_CPUS=$(nproc)
# What this shell must take down when it ends.
LAB_OWNED=()

# --- where things are ------------------------------------------------------------------------------------------------

# lab_root NAME: the machine's root as the host sees it, for copying files in and out (not /run, /tmp, /dev of the inside).
lab_root() {
	printf '%s/%s/root\n' "$LAB_RUN" "$1"
}

# One control group a machine, in each hierarchy that systemd uses. Without it all machines would share the group that
# nspawn makes under the caller's, and one machine's systemd would see and kill the other's services.
lab_cgroups() {
	local top
	for top in $(findmnt -rn -t cgroup2 -o TARGET) $(findmnt -rn -t cgroup -O name=systemd -o TARGET); do
		printf '%s/mailq-watchdog-lab-%s\n' "$top" "$1"
	done
}

# lab_pids NAME: all processes of the machine, nspawn itself too.
lab_pids() {
	local group
	for group in $(lab_cgroups "$1"); do
		[ ! -d "$group" ] || find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null
	done | sort -nu
}

# lab_init NAME: the process id of the machine's init, as the host counts; fails when there is none (yet).
lab_init() {
	local pid known=$LAB_RUN/$1/init
	# The one that it was last time, looked at without a process: this is asked for each command in the machine.
	if { read -r pid <"$known"; } 2>/dev/null && lab_is_init "$1" "$pid"; then
		echo "$pid"
		return 0
	fi
	for pid in $(lab_pids "$1"); do
		if lab_is_init "$1" "$pid"; then
			echo "$pid" >"$known"
			echo "$pid"
			return 0
		fi
	done
	return 1
}

# lab_is_init NAME PID: systemd, of that machine, and process 1 of the innermost namespace: nspawn itself is that for a
# moment before systemd runs.
lab_is_init() {
	local comm group ids
	{ read -r comm <"/proc/$2/comm" && group=$(<"/proc/$2/cgroup") && ids=$(<"/proc/$2/status"); } 2>/dev/null || return 1
	[ "$comm" = systemd ] && [[ $group$'\n' == *"/mailq-watchdog-lab-$1"[/$'\n']* ]] && [[ $ids =~ NSpid:[^$'\n']+$'\t1\n' ]]
}

# --- up ----------------------------------------------------------------------------------------------------------------

lab_check_host() {
	lab_need_root
	lab_need_command systemd-nspawn systemd-container
	lab_need_command nsenter util-linux
	lab_need_command findmnt util-linux
	unshare --mount --pid --net --ipc --uts --fork true 2>/dev/null || lab_skip "this host lets root make no namespaces"
	[ -n "$(lab_cgroups x)" ] || lab_skip "no control group hierarchy is mounted"
}

# Machines whose owner was killed before it could clean up.
lab_sweep() {
	local owner pid
	for owner in "$LAB_RUN"/*/owner; do
		[ -e "$owner" ] || continue
		pid=$(cat "$owner")
		[ -z "$pid" ] || kill -0 "$pid" 2>/dev/null || lab_down "$(basename "$(dirname "$owner")")"
	done
}

# lab_create NAME: the machine's file tree, not booted. Change files under $(lab_root NAME), then lab_boot.
lab_create() {
	local name=$1 base dir=$LAB_RUN/$1
	[[ $name =~ ^[a-z0-9][a-z0-9-]{0,40}$ ]] || lab_die "machine name \"$name\": use small letters, digits and hyphens"
	lab_check_host
	base=$("$LAB_DIR/root.sh") || exit $?
	mkdir -p "$LAB_RUN"
	lab_sweep
	mkdir "$dir" 2>/dev/null || lab_die "machine $name exists already (in $dir); take it down first: machine.sh down $name"
	LAB_OWNED+=("$name")
	echo "$$" >"$dir/owner"
	mkdir "$dir/root" "$dir/upper" "$dir/work"
	if ! mount -t overlay "mailq-watchdog-lab-$name" "$dir/root" \
		-o "lowerdir=$base,upperdir=$dir/upper,workdir=$dir/work" 2>"$dir/mount.log"; then
		lab_say "no overlay here ($(head -n 1 "$dir/mount.log")); copying the root"
		cp -a --reflink=auto "$base/." "$dir/root/"
	fi
}

# lab_boot NAME [NSPAWN-OPTION...]: boots it and waits until its systemd has started all units.
lab_boot() {
	local name=$1 group
	shift
	for group in $(lab_cgroups "$name"); do
		mkdir "$group" 2>/dev/null || [ -d "$group" ] || lab_skip "the control group $group cannot be made"
	done
	(
		for group in $(lab_cgroups "$name"); do
			echo "$BASHPID" >"$group/cgroup.procs"
		done
		# A session of its own: Ctrl-C is for the script, which then takes the machine down in order.
		exec setsid env -i PATH="$PATH" TERM=dumb systemd-nspawn -D "$(lab_root "$name")" --boot --private-network \
			--machine="$name" --hostname=lab --register=no --keep-unit --console=pipe "$@" \
			</dev/null >"$LAB_RUN/$name/console.log" 2>&1
	) &
	disown # or bash tells of its death when it is taken down
	lab_wait_booted "$name"
	lab_exec "$name" ip link set lo up
}

lab_wait_booted() {
	local name=$1 end=$((SECONDS + ${MQW_LAB_BOOT_TIMEOUT:-60})) state=none
	while [ "$SECONDS" -lt "$end" ]; do
		if [ -n "$(lab_pids "$name")" ] && lab_init "$name" >/dev/null; then
			state=$(lab_exec "$name" systemctl is-system-running 2>/dev/null || :)
			case $state in
			running | degraded) return 0 ;;
			esac
		elif ! kill -0 "$!" 2>/dev/null; then
			break
		fi
		sleep 0.1
	done
	tail -n 20 "$LAB_RUN/$name/console.log" >&2
	lab_die "machine $name did not boot (state: $state); the end of its console is above"
}

# lab_reboot NAME [NSPAWN-OPTION...]: an orderly reboot: services are stopped, and it is booted again with what was on its
# disk.
lab_reboot() {
	# As `systemctl reboot` without logind, which the root does not have. nspawn ends then, for its unit to start it again.
	lab_exec "$1" systemctl start --no-block --job-mode=replace-irreversibly reboot.target
	lab_wait 40 "the end of machine $1" lab_is_down "$1" || return 1
	lab_boot "$@"
}

lab_is_down() {
	[ -z "$(lab_pids "$1")" ]
}

# lab_up NAME [NSPAWN-OPTION...]: a machine as root.sh made it, its MTA not configured. For the Postfix lab: pf_up.
lab_up() {
	lab_create "$1"
	lab_boot "$@"
}

# --- in use --------------------------------------------------------------------------------------------------------------

# lab_exec NAME COMMAND...: runs it inside as root, with a plain environment; standard streams and status pass through.
lab_exec() {
	local init
	init=$(lab_init "$1") || lab_die "machine $1 is not up"
	shift
	nsenter -t "$init" -a -r -w env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
}

# lab_listens M IP: whether SMTP is there; looks without connecting, which would leave lines in the log.
lab_listens() {
	[ -n "$(lab_exec "$1" ss -Hltn "src $2:25")" ]
}

# lab_prepend M PATH LINE: puts a line on top of a file, for which the first that fits counts.
lab_prepend() {
	local file
	file=$(lab_root "$1")$2
	{ printf '%s\n' "$3"; cat "$file"; } >"$file.new"
	mv "$file.new" "$file"
}

# lab_wait SECONDS WHAT COMMAND...: until the command succeeds; else says WHAT did not happen and fails. On a host that is
# busy with other things it is given more time, by the length of its run queue.
lab_wait() {
	local what=$2 load end
	read -r load _ </proc/loadavg
	load=$((${load%.*} / LAB_CPUS))
	end=$((SECONDS + $1 * (load > 10 ? 10 : load > 1 ? load : 1)))
	shift 2
	until "$@"; do
		if [ "$SECONDS" -ge "$end" ]; then
			lab_say "did not happen in time: $what"
			return 1
		fi
		sleep 0.2
	done
}

# --- down ------------------------------------------------------------------------------------------------------------------

# lab_down NAME: kills all processes of the machine at once, unmounts and removes its files. No error if it is not there.
lab_down() {
	local name=$1 dir=$LAB_RUN/$1 group pids try
	for try in $(seq 100); do
		pids=$(lab_pids "$name")
		[ -n "$pids" ] || break
		# shellcheck disable=SC2086 # a list of numbers; those that just ended are no fault
		kill -KILL $pids 2>/dev/null || :
		sleep 0.05
	done
	[ "$try" -lt 100 ] || lab_say "machine $name: some processes do not end: $pids"
	for group in $(lab_cgroups "$name"); do
		[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} +
	done
	if mountpoint -q "$dir/root"; then
		umount "$dir/root" 2>/dev/null || umount -l "$dir/root"
	fi
	lab_remove_tree "$dir"
	lab_disown "$name"
}

# lab_disown NAME: the machine stays when this shell ends.
lab_disown() {
	local kept=() one
	for one in "${LAB_OWNED[@]}"; do
		[ "$one" = "$1" ] || kept+=("$one")
	done
	LAB_OWNED=("${kept[@]}")
	[ ! -e "$LAB_RUN/$1/owner" ] || : >"$LAB_RUN/$1/owner"
}

lab_down_owned() {
	local name
	for name in "${LAB_OWNED[@]}"; do
		lab_down "$name"
	done
}

# lab_trap: take down this shell's machines however it ends. A script with an EXIT trap of its own calls
# lab_down_owned there instead.
lab_trap() {
	trap lab_down_owned EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# --- the command -----------------------------------------------------------------------------------------------------------

lab_list() {
	local dir name
	for dir in "$LAB_RUN"/*/; do
		[ -d "$dir/root" ] || continue
		name=$(basename "$dir")
		printf '%s\t%s\tinit %s\n' "$name" "$(lab_root "$name")" "$(lab_init "$name" || echo none)"
	done
}

lab_main() {
	local command=${1-} name=${2-} dir
	[ -n "$command" ] && [ "$command" != list ] && [ -z "$name" ] && command=
	shift $(($# < 2 ? $# : 2))
	case $command in
	up)
		. "$LAB_DIR/postfix.sh"
		lab_trap
		pf_up "$name" "$@"
		lab_disown "$name"
		lab_say "machine $name is up; \"machine.sh exec $name\" for a shell, \"machine.sh down $name\" when done"
		;;
	exec)
		lab_need_root
		[ $# -gt 0 ] || set -- bash -l
		lab_exec "$name" "$@"
		;;
	down)
		lab_need_root
		if [ "$name" = --all ]; then
			for dir in "$LAB_RUN"/*/; do
				[ ! -d "$dir" ] || lab_down "$(basename "$dir")"
			done
		else
			lab_down "$name"
		fi
		;;
	list) lab_list ;;
	*)
		lab_say "usage: machine.sh up NAME [NSPAWN-OPTION...] | exec NAME [COMMAND...] | down NAME|--all | list"
		exit 2
		;;
	esac
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	lab_main "$@"
fi
