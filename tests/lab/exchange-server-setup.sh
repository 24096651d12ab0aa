#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# suite: bullseye
# packages: samba samba-common-bin
#
# A stand-in for a Windows host with Exchange: its logs on a share, and services that can be asked for and told to stop and
# start from afar. Debian 11, since the smbd of Debian 12 no longer runs what stands for a service. Inside the root.
set -euo pipefail

if [ "$(cat /etc/hostname)" != lab ]; then
	echo "exchange-server-setup.sh: this is not the lab's root; refusing to create users" >&2
	exit 1
fi

groupadd exchadmins
useradd --no-create-home --groups exchadmins watchdog # an administrator
useradd --no-create-home reader # may read the logs, and ask for the state of a service
mkdir -p /srv/exch/tracking /srv/exch/smtplogs /srv/exch/mailroot/Queue /var/lib/exch-svc
chmod -R a+rX /srv/exch

cat >/etc/samba/smb.conf <<'END'
[global]
   workgroup = LAB
   netbios name = EXCH2003
   server role = standalone server
   smb ports = 445
   disable netbios = yes
   security = user
   map to guest = never
   passdb backend = tdbsam
   log level = 1
   load printers = no
   printing = bsd
   svcctl list = SMTPSVC MSExchangeTransport

[tracking]
   path = /srv/exch/tracking
   read only = yes
   valid users = watchdog reader
[smtplogs]
   path = /srv/exch/smtplogs
   read only = yes
   valid users = watchdog reader
[mailroot]
   path = /srv/exch/mailroot
   read only = yes
   valid users = watchdog reader
[private]
   path = /srv/exch
   read only = yes
   valid users = watchdog
END
for user in watchdog reader; do
	printf 'Lab-pass-1\nLab-pass-1\n' | smbpasswd -s -a "$user" >/dev/null
done
# Without it not even root's calls are let through.
net groupmap add sid=S-1-5-32-544 unixgroup=exchadmins type=builtin ntgroup=Administrators

# A service: keeps a flag, writes down each call. /var/lib/exch-svc/NAME.stubborn: takes a stop, and stays up;
# NAME.slow: stops five seconds late; NAME.broken: does not start.
services=/usr/lib/$(uname -m)-linux-gnu/samba/svcctl
mkdir -p "$services"
for name in SMTPSVC MSExchangeTransport; do
	cat >"$services/$name" <<'END'
#!/bin/sh
# Short-Description: Simple Mail Transfer Protocol (SMTP)
# Description: Simple Mail Transfer Protocol (SMTP)
name=${0##*/}
cd /var/lib/exch-svc || exit 1
echo "$(date +%s) $name $1" >>calls.log
case $1 in
start)
	[ ! -e "$name.broken" ] || exit 1
	: >"$name.running"
	;;
stop)
	if [ -e "$name.slow" ]; then
		setsid sh -c "sleep 5; rm -f $name.running" >/dev/null 2>&1 </dev/null &
	elif [ ! -e "$name.stubborn" ]; then
		rm -f "$name.running"
	fi
	;;
status) [ -e "$name.running" ] || exit 3 ;;
*) exit 2 ;;
esac
exit 0
END
	chmod 755 "$services/$name"
	touch "/var/lib/exch-svc/$name.running"
done
systemctl disable --quiet nmbd.service
systemctl enable --quiet smbd.service
