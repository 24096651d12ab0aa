#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# packages: postfix postgrey
# Configures the Postfix lab. root.sh runs it inside the new root, never on a host: it overwrites /etc/postfix.
#
# postfix       the sender: Debian's default instance, unit postfix@-.service, SMTP on 127.0.0.1, log /var/log/mail.log
# postfix-two   a second sender, masked until pf_second_up; unit postfix@postfix-two.service, queue
#               /var/spool/postfix-two, SMTP on 127.0.0.3, same log as the first
# postfix-in    the receiver on 127.0.0.2, log /var/log/mail-in.log; what it says depends on the recipient's domain:
#                 ok.test, example.com   accepted
#                 grey.test              real greylisting: postgrey, 5 seconds
#                 never.test             always 450, with a greylister's words
#                 hard.test              always 550
#                 mixed.test             by local part: ok*, soft* (450), hard* (550)
#               stored in /var/mail-in/DOMAIN/USER/ (Maildir)
set -euo pipefail

LIB=/usr/local/lib/mailq-watchdog-lab
ROUTED="ok.test grey.test never.test hard.test mixed.test example.com"

# Settings that all instances share. No DNS: a machine has no network, and a resolver that does not answer costs seconds.
common_settings() {
	postconf -c "$1" -e \
		inet_protocols=ipv4 smtp_dns_support_level=disabled smtp_host_lookup=native smtpd_peername_lookup=no \
		smtp_tls_security_level=none smtpd_tls_security_level=none master_service_disable= \
		authorized_submit_users=static:anyone compatibility_level=3.6 biff=no mailbox_size_limit=0 \
		append_dot_mydomain=no smtputf8_enable=no
}

# sender_settings CONFIG-DIR NAME IP
sender_settings() {
	local dir=$1
	common_settings "$dir"
	postconf -c "$dir" -e \
		"syslog_name=$2" "inet_interfaces=$3" "smtp_bind_address=$3" \
		myhostname=sender.example.com myorigin=sender.example.com \
		mydestination=sender.example.com,localhost mynetworks=127.0.0.0/8 relayhost= \
		"transport_maps=texthash:$dir/transport" \
		"default_transport=error:5.4.4 the lab has no route to this domain" relay_transport=smtp \
		queue_run_delay=5s minimal_backoff_time=10s maximal_backoff_time=10s \
		smtp_connection_cache_on_demand=no smtp_destination_concurrency_failed_cohort_limit=0
	local domain
	for domain in $ROUTED; do
		echo "$domain smtp:[127.0.0.2]:25"
	done >"$dir/transport"
}

receiver_settings() {
	local dir=/etc/postfix-in
	common_settings "$dir"
	postconf -c "$dir" -e \
		syslog_name=postfix-in inet_interfaces=127.0.0.2 \
		myhostname=receiver.test myorigin=receiver.test mydestination= mynetworks= alias_maps= local_recipient_maps= \
		"virtual_mailbox_domains=$ROUTED" virtual_mailbox_maps=static:stored \
		virtual_transport=store store_destination_recipient_limit=1 \
		"smtpd_relay_restrictions=reject_unauth_destination" \
		"smtpd_recipient_restrictions=check_recipient_access regexp:$dir/answers" \
		smtpd_restriction_classes=greylist "greylist=check_policy_service inet:127.0.0.2:10023" \
		smtpd_client_connection_count_limit=0
	postconf -c "$dir" -M "store/unix=store unix - n n - 20 pipe flags=DORhu user=nobody null_sender= argv=$LIB/store \${domain} \${user}"
	# First match wins. Tests put lines of their own before these (pf_receiver_answer).
	cat >"$dir/answers" <<-'END'
		/@grey\.test$/        greylist
		/@never\.test$/       450 4.2.0 Greylisted, see http://postgrey.example.com/help/never.test.html
		/@hard\.test$/        550 5.1.1 User unknown
		/^soft.*@mixed\.test$/ 450 4.2.0 Greylisted, see http://postgrey.example.com/help/mixed.test.html
		/^hard.*@mixed\.test$/ 550 5.1.1 User unknown
	END
	cp "$dir/answers" "$dir/answers.default"
}

# The delivery agent of the receiver. Not Postfix's own virtual(8): it refuses a mailbox path made of the address.
write_store() {
	mkdir -p "$LIB"
	cat >"$LIB/store" <<-'END'
		#!/bin/sh
		# store DOMAIN USER <message: a Maildir for each recipient, so that tests can count deliveries.
		set -eu
		umask 022
		dir=/var/mail-in/$1/$2
		mkdir -p "$dir/tmp" "$dir/new" "$dir/cur"
		name=$(date +%s.%N).$$
		cat >"$dir/tmp/$name"
		mv "$dir/tmp/$name" "$dir/new/$name"
	END
	chmod 755 "$LIB/store"
	install -d -o nobody -m 755 /var/mail-in
}

# Off: the whitelist by client, which would let everything pass after five messages. Names are those of Debian's unit.
configure_postgrey() {
	echo 'POSTGREY_OPTS="--inet=127.0.0.2:10023 --delay=5 --auto-whitelist-clients=0"' >/etc/default/postgrey
	: >/etc/postgrey/whitelist_clients
	systemctl enable --quiet postgrey.service
}

# The receiver's lines go to a file of their own: /var/log/mail.log is what a sender's administrator has.
configure_rsyslog() {
	cat >/etc/rsyslog.d/00-receiver.conf <<-'END'
		if $programname == ["postfix-in", "postgrey"] then {
			action(type="omfile" file="/var/log/mail-in.log")
			stop
		}
	END
}

# Debian's generator makes a unit out of each of multi_instance_directories, enabled in Postfix's sense or not.
create_second_sender() {
	postmulti -I postfix-two -G mta -e create
	sender_settings /etc/postfix-two postfix-two 127.0.0.3
	postmulti -i postfix-two -e enable
	ln -s /dev/null /etc/systemd/system/postfix@postfix-two.service
}

create_receiver() {
	postmulti -I postfix-in -G mta -e create
	receiver_settings
	postmulti -i postfix-in -e enable
}

if [ "$(cat /etc/hostname)" != lab ]; then
	echo "postfix-setup.sh: this is not the lab's root; refusing to overwrite /etc/postfix" >&2
	exit 1
fi
write_store
configure_postgrey
configure_rsyslog
sender_settings /etc/postfix postfix 127.0.0.1
postmulti -e init
create_receiver
create_second_sender
