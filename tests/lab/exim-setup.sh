#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# packages: exim4-daemon-light
# Configures the Exim lab. root.sh runs it inside the new root, never on a host: it overwrites /etc/exim4.
#
# exim4.service    the sender: Debian's daemon, SMTP on 127.0.0.1, log /var/log/exim4/mainlog, a queue run every 3 s
# exim-in.service  the receiver on 127.0.0.2, log /var/log/exim-in/mainlog. What it says is in /etc/exim4/answers, by
#                  address or domain: ok (default), soft (450, a greylister's words), hard (550), grey (450 for the first
#                  5 seconds after the first contact)
# The receiver stores everything in the Maildir /var/mail-in, a file for each recipient.
# Retry rules of the sender: /etc/exim4/retry.
set -euo pipefail

if [ "$(cat /etc/hostname)" != lab ]; then
	echo "exim-setup.sh: this is not the lab's root; refusing to overwrite /etc/exim4" >&2
	exit 1
fi

cat >/etc/exim4/retry <<-'END'
	grey.test     *  F,4d,3s
	never.test    *  F,4d,1h
	mixed.test    *  F,4d,1h
	short.test    *  F,10s,3s
	expire.test   *  F,30s,3s
	ok.test       *  F,4d,3s
	example.com   *  F,4d,3s
END

cat >/etc/exim4/exim4.conf <<-'END'
	primary_hostname = sender.example.com
	log_file_path = /var/log/exim4/%slog
	log_selector = +smtp_protocol_error +smtp_syntax_error +tls_certificate_verified +tls_peerdn
	local_interfaces = 127.0.0.1
	domainlist local_domains = sender.example.com
	acl_smtp_rcpt = accept
	trusted_users = nobody
	never_users = root
	keep_environment =
	tls_advertise_hosts =
	begin routers
	receiver:
	  driver = manualroute
	  route_list = * 127.0.0.2 byname
	  self = send
	  transport = remote_smtp
	begin transports
	remote_smtp:
	  driver = smtp
	  hosts_avoid_tls = *
	  hosts_try_prdr = :
	begin retry
	.include /etc/exim4/retry
END

cat >/etc/exim4/answers <<-'END'
	grey.test: grey
	never.test: soft
	norule.test: soft
	short.test: soft
	expire.test: soft
	soft@mixed.test: soft
	hard@mixed.test: hard
END
cp /etc/exim4/answers /etc/exim4/answers.default

# The conditions are expanded one after the other: the file is touched only for what is greylisted.
cat >/etc/exim4/receiver.conf <<-'END'
	primary_hostname = receiver.test
	spool_directory = /var/spool/exim-in
	log_file_path = /var/log/exim-in/%slog
	pid_file_path = /run/exim4/exim-in.pid
	local_interfaces = 127.0.0.2
	deliver_drop_privilege = true
	acl_smtp_rcpt = rcpt
	acl_not_smtp = accept
	keep_environment =
	tls_advertise_hosts =
	begin acl
	rcpt:
	  warn set acl_m_answer = ${lookup{$local_part@$domain}lsearch{/etc/exim4/answers}\
	       {$value}{${lookup{$domain}lsearch{/etc/exim4/answers}{$value}{ok}}}}
	  deny message = 550 5.1.1 User unknown
	       condition = ${if eq{$acl_m_answer}{hard}}
	  defer message = 450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/$domain.html
	       condition = ${if eq{$acl_m_answer}{soft}}
	  defer message = 450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/$domain.html
	       condition = ${if eq{$acl_m_answer}{grey}}
	       condition = ${if exists{/var/spool/exim-in/grey}\
	         {${if >{${eval:${extract{mtime}{${stat:/var/spool/exim-in/grey}}}+5}}{$tod_epoch}}}\
	         {${run{/usr/bin/touch /var/spool/exim-in/grey}{true}{true}}}}
	  accept
	begin routers
	all:
	  driver = accept
	  transport = store
	begin transports
	store:
	  driver = appendfile
	  maildir_format
	  directory = /var/mail-in
	  create_directory
	  batch_max = 1
	  envelope_to_add
	  user = Debian-exim
	begin retry
	*  *  F,1d,5s
END

cat >/etc/default/exim4 <<-'END'
	QUEUERUNNER='combined'
	QUEUEINTERVAL='3s'
	COMMONOPTIONS=''
END

install -d -o Debian-exim -g Debian-exim -m 755 /var/mail-in /var/spool/exim-in /var/log/exim-in

cat >/etc/systemd/system/exim-in.service <<-'END'
	[Unit]
	Description=The receiver of the lab
	After=lab-addresses.service
	[Service]
	RuntimeDirectory=exim4
	RuntimeDirectoryPreserve=yes
	ExecStart=/usr/sbin/exim4 -C /etc/exim4/receiver.conf -bdf -q10s
	[Install]
	WantedBy=multi-user.target
END
systemctl enable --quiet exim-in.service
ln -sf /dev/null /etc/systemd/system/exim4-base.timer
