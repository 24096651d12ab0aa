#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes the lab's root of one MTA, a Debian with systemd, or finds the one made before, and prints its path.
#
#   root.sh           print the path of the root, after making it where it is missing
#   root.sh path      print where it is or would be; makes nothing
#   root.sh prune     remove roots of older recipes that no machine uses
#
# MQW_LAB_MTA names the MTA (postfix): MTA-setup.sh configures it inside, and lists its packages in a line "# packages:".
# A line "# suite:" in it names another Debian than 12.
# The root is a folder under $MQW_LAB_CACHE (/var/cache/mailq-watchdog-lab), read-only by convention: each machine
# gets an overlay of it. Its name holds a hash of the recipe (this file and MTA-setup.sh), so that a changed recipe
# makes a new root. The MTA is configured here, not at each boot: postmulti(1) sleeps for seconds after each change.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MTA=${MQW_LAB_MTA:-postfix}
SUITE=$(sed -n 's/^# suite: //p' "$LAB_DIR/$MTA-setup.sh")
SUITE=${SUITE:-bookworm}
# For debootstrap, which cannot resolve virtual packages.
BASE_PACKAGES="systemd systemd-sysv dbus rsyslog logrotate iproute2 procps ca-certificates"
# For apt inside the root, with the MTA's own: what the daemon is linked with.
MORE_PACKAGES="libinotifytools0 libsystemd0 libyaml-0-2 libsqlite3-0 libpcre2-8-0 libmicrohttpd12 libcurl3-gnutls libjansson4
	libxxhash0 zlib1g liblzma5 libzstd1 libbz2-1.0"

root_path() {
	local hash
	hash=$(cat "${BASH_SOURCE[0]}" "$LAB_DIR/$MTA-setup.sh" | sha256sum | cut -c 1-12)
	printf '%s/%s-%s-%s-%s\n' "$LAB_CACHE" "$SUITE" "$(uname -m)" "$MTA" "$hash"
}

# --- which Debian to ask ---------------------------------------------------------------------------------------------

# Prints "URI SUITE" for each of the host's apt entries that is Debian's own of this suite. Other vendors' entries stay
# out: the root has neither their keys nor a use for them.
host_sources() {
	{
		find /etc/apt -name '*.list' -exec cat {} + 2>/dev/null |
			sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?//p'
		find /etc/apt/sources.list.d -name '*.sources' -exec awk '
			function flush(   i, j, nu, ns, u, s) {
				nu = split(uris, u, " "); ns = split(suites, s, " ")
				if (types ~ /(^| )deb( |$)/ && enabled != "no")
					for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j], components
				types = uris = suites = components = enabled = ""
			}
			FNR == 1 || /^[[:space:]]*$/ { flush() }
			{ key = tolower($1); value = $0; sub(/^[^:]*:[[:space:]]*/, "", value) }
			key == "types:" { types = value }
			key == "uris:" { uris = value }
			key == "suites:" { suites = value }
			key == "components:" { components = value }
			key == "enabled:" { enabled = tolower(value) }
			END { flush() }' {} + 2>/dev/null
	} | awk -v suite="$SUITE" '
		$1 ~ /\/debian(-security)?\/?$/ && / main( |$)/ &&
		($2 == suite || $2 == suite "-updates" || $2 == suite "-security") && !seen[$1 $2]++ { print $1, $2 }'
}

# Sets SOURCES ("URI SUITE" lines) and MIRROR (the one for debootstrap).
choose_sources() {
	SOURCES=$(host_sources || :)
	MIRROR=$(awk -v suite="$SUITE" '$2 == suite { print $1; exit }' <<<"$SOURCES")
	if [ -z "$MIRROR" ]; then
		MIRROR=http://deb.debian.org/debian
		SOURCES="$MIRROR $SUITE
$MIRROR $SUITE-updates
http://deb.debian.org/debian-security $SUITE-security"
	fi
}

# The host's proxy, retries and validity settings, as apt.conf lines. Hooks stay out: they name programs of the host.
host_apt_settings() {
	command -v apt-config >/dev/null || return 0
	apt-config dump | grep -E '^Acquire::(https?::(Proxy|Timeout|Verify)|Retries|Check-|ForceIPv|Max-ValidTime)' |
		grep -v 'Proxy-Auto-Detect' || :
}

# debootstrap fetches with wget, which does not know apt's proxy.
export_proxy() {
	local http_p="" https_p=""
	command -v apt-config >/dev/null || return 0
	eval "$(apt-config shell http_p Acquire::http::Proxy https_p Acquire::https::Proxy)"
	[ -z "$http_p" ] || export http_proxy=$http_p
	[ -z "$https_p" ] || export https_proxy=$https_p
}

# --- building ------------------------------------------------------------------------------------------------------

# Documentation is a third of the files; a sync after each package is most of the time on a slow disk.
write_dpkg_settings() {
	mkdir -p "$1/etc/dpkg/dpkg.cfg.d"
	cat >"$1/etc/dpkg/dpkg.cfg.d/lab" <<-'END'
		force-unsafe-io
		path-exclude=/usr/share/man/*
		path-exclude=/usr/share/doc/*
		path-exclude=/usr/share/locale/*
		path-exclude=/usr/share/info/*
	END
}

write_apt_settings() {
	local root=$1
	rm -f "$root/etc/apt/sources.list"
	awk '{ print "deb", $1, $2, "main" }' <<<"$SOURCES" >"$root/etc/apt/sources.list"
	{
		host_apt_settings
		echo 'Acquire::Languages "none";'
		echo 'APT::Install-Recommends "false";'
	} >"$root/etc/apt/apt.conf.d/90lab"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
}

install_more() {
	local root=$1
	# Nothing may start while it is installed: the daemons would run on the host.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	# Fixed names: without them postinst scripts ask the host's resolver for its own name, for seconds.
	echo lab >"$root/etc/hostname"
	printf '127.0.0.1\tlocalhost sender.example.com lab\n127.0.0.2\treceiver.test\n' >"$root/etc/hosts"
	chroot "$root" debconf-set-selections <<-'END'
		postfix postfix/main_mailer_type select Local only
		postfix postfix/mailname string sender.example.com
	END
	phase "fetching package lists"
	chroot "$root" apt-get -q update
	phase "installing $MTA and the daemon's libraries"
	# shellcheck disable=SC2086 # a list of words
	chroot "$root" apt-get -q -y -o Dpkg::Use-Pty=0 install $MORE_PACKAGES \
		$(sed -n 's/^# packages: //p' "$LAB_DIR/$MTA-setup.sh")
	rm "$root/usr/sbin/policy-rc.d"
}

# Receivers and further senders have addresses of their own, which some MTAs want to see on an interface.
add_addresses() {
	local root=$1
	cat >"$root/etc/systemd/system/lab-addresses.service" <<-'END'
		[Unit]
		Description=Loopback addresses of the lab
		DefaultDependencies=no
		Before=network.target network-online.target postgrey.service
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=ip link set lo up
		ExecStart=ip address replace 127.0.0.2/8 dev lo
		ExecStart=ip address replace 127.0.0.3/8 dev lo
		[Install]
		WantedBy=sysinit.target
	END
	chroot "$root" systemctl enable --quiet lab-addresses.service
}

# What is left is what a freshly installed host has, less what the machine must find out by itself at boot.
clean_root() {
	local root=$1
	chroot "$root" apt-get clean
	rm -rf "${root:?}"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt "$root"/usr/share/{doc,man,locale,info}
	rm -f "$root"/etc/resolv.conf
	# Empty, not missing: each boot gets an id of its own, but is no "first boot" that resets which units are enabled.
	: >"$root/etc/machine-id"
	# The daemons' units are the test's; timers and consoles only cost boot time and blur the log.
	local unit
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
		fstrim.timer logrotate.timer systemd-tmpfiles-clean.timer cron.service console-getty.service getty@tty1.service \
		getty-static.service systemd-logind.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
		systemd-pstore.service dev-hugepages.mount; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
}

phase() {
	echo "== $*" >&2
	echo "lab: $*" >&3
}

# Runs in namespaces of its own (see build), so that whatever debootstrap mounts or starts ends with it.
build_inside() {
	local root=$1
	mount --make-rprivate /
	choose_sources
	export_proxy
	export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
	write_dpkg_settings "$root"
	phase "unpacking a minimal Debian from $MIRROR"
	debootstrap --variant=minbase --include="${BASE_PACKAGES// /,}" "$SUITE" "$root" "$MIRROR"
	mount -t proc proc "$root/proc"
	write_apt_settings "$root"
	install_more "$root"
	phase "configuring sender and receiver"
	add_addresses "$root"
	cp "$LAB_DIR/$MTA-setup.sh" "$root/root/"
	chroot "$root" bash "/root/$MTA-setup.sh"
	phase "cleaning up"
	clean_root "$root"
}

# --- showing progress, and the frame around a build ----------------------------------------------------------------------

# watch_build PID LOG: a line that is rewritten, on a terminal only.
watch_build() {
	local start=$SECONDS line columns
	columns=$(tput cols 2>/dev/null || echo 80)
	while kill -0 "$1" 2>/dev/null; do
		line="lab: $((SECONDS - start)) s  $(tail -n 1 "$2" 2>/dev/null | tr -cd '[:print:]')"
		printf '\r\033[K%s' "${line:0:columns-1}" >&2
		sleep 0.5
	done
	printf '\r\033[K' >&2
}

check_host() {
	lab_need_root
	lab_need_command debootstrap debootstrap
	lab_need_command wget wget
	lab_need_command unshare util-linux
	[ -r /usr/share/keyrings/debian-archive-keyring.gpg ] ||
		lab_skip "Debian's keys are missing; apt-get install debian-archive-keyring"
	unshare --mount --pid --fork true 2>/dev/null || lab_skip "this host lets root make no mount and process namespaces"
	choose_sources
	export_proxy
	wget -q -O /dev/null --timeout=15 --tries=2 "$MIRROR/dists/$SUITE/InRelease" ||
		lab_skip "no network: $MIRROR/dists/$SUITE/InRelease cannot be read"
}

build() {
	local root=$1 temp=$1.new log=$1.log status=0 started=$SECONDS builder
	exec 3>&2 # where the builder tells its phases
	[ ! -t 2 ] || exec 3>/dev/null # the progress line shows more
	lab_remove_tree "$temp" # of a builder that was killed: we hold the lock
	mkdir -m 755 "$temp"
	lab_say "making the lab's root, once for this recipe (about a minute); log: $log"
	# --kill-child: with the builder dies all that it started, and with its namespace go the mounts.
	unshare --mount --pid --fork --kill-child=KILL bash "${BASH_SOURCE[0]}" build-inside "$temp" \
		>"$log" 2>&1 </dev/null &
	builder=$!
	# shellcheck disable=SC2064 # expanded now: the locals are gone when it runs
	trap "kill -KILL $builder 2>/dev/null; wait $builder; lab_remove_tree '$temp'" EXIT
	[ ! -t 2 ] || watch_build "$builder" "$log"
	wait "$builder" || status=$?
	if [ "$status" -ne 0 ]; then
		tail -n 15 "$log" >&2
		lab_die "making the root failed (status $status); the whole output: $log"
	fi
	mv -T "$temp" "$root"
	trap - EXIT
	lab_say "made $root in $((SECONDS - started)) s"
}

make_root() {
	local root lock
	root=$(root_path)
	if [ ! -d "$root" ]; then
		check_host
		mkdir -p "$LAB_CACHE"
		exec {lock}>"$LAB_CACHE/lock"
		if ! flock -n "$lock"; then
			lab_say "another build is under way; waiting for it"
			flock "$lock"
		fi
		[ -d "$root" ] || build "$root"
	fi
	printf '%s\n' "$root"
}

prune() {
	local roots="" path
	lab_need_root
	for path in "$LAB_DIR"/*-setup.sh; do
		roots="$roots $(MQW_LAB_MTA=$(basename "$path" -setup.sh) "${BASH_SOURCE[0]}" path) "
	done
	for path in "$LAB_CACHE"/*-"$(uname -m)"-*; do
		if [ ! -d "$path" ] || [[ $roots == *" $path "* ]]; then
			continue
		fi
		if grep -qF "lowerdir=$path," /proc/mounts; then
			lab_say "$path is in use; left"
			continue
		fi
		lab_remove_tree "$path"
		rm -f "$path.log"
		lab_say "removed $path"
	done
}

case ${1-} in
"") make_root ;;
path) root_path ;;
prune) prune ;;
build-inside) build_inside "$2" ;;
*) lab_say "usage: root.sh [path|prune]"; exit 2 ;;
esac
