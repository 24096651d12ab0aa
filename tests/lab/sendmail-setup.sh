#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# packages: sendmail-bin sensible-mda python3
# Configures the Sendmail lab. root.sh runs it inside the new root, never on a host: it overwrites /etc/mail.
#
# sendmail.service   the sender: Debian's daemon, SMTP on 127.0.0.1, log /var/log/mail.log at level 9, where no line tells of
#                    a message that leaves the queue; a queue run every 3 s. Its queue is in two directories, one of them
#                    with directories of its own for envelopes, bodies and transcripts
# lab-sink.service   the receiver on 127.0.0.2. What it says is in /etc/lab/answers, by address or domain: ok (default),
#                    soft (450, a greylister's words), hard (550), grey (450 for the first 5 seconds after the first try).
#                    It stores in the Maildir /var/mail-in a file for each message, the envelope in X-Envelope-To: lines
set -euo pipefail

if [ "$(cat /etc/hostname)" != lab ]; then
	echo "sendmail-setup.sh: this is not the lab's root; refusing to overwrite /etc/mail" >&2
	exit 1
fi

cat >/etc/mail/sendmail.mc <<-'END'
	divert(-1)dnl
	divert(0)dnl
	define(`_USE_ETC_MAIL_')dnl
	include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
	VERSIONID(`the lab')
	OSTYPE(`debian')dnl
	DOMAIN(`debian-mta')dnl
	define(`QUEUE_DIR', `/var/spool/mqueue/q*')dnl
	undefine(`confHOST_STATUS_DIRECTORY')dnl
	define(`confDOMAIN_NAME', `sender.example.com')dnl
	define(`confLOG_LEVEL', `9')dnl
	define(`confDELIVERY_MODE', `background')dnl
	define(`confTO_IDENT', `0')dnl
	define(`confQUEUE_LA', `1000')dnl
	define(`confREFUSE_LA', `1000')dnl
	define(`confDELAY_LA', `1000')dnl
	define(`confTO_HOSTSTATUS', `0')dnl
	define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')dnl
	define(`SMART_HOST', `esmtp:[127.0.0.2]')dnl
	FEATURE(`no_default_msa')dnl
	DAEMON_OPTIONS(`Family=inet, Name=MTA-v4, Port=smtp, Addr=127.0.0.1')dnl
	FEATURE(`accept_unresolvable_domains')dnl
	FEATURE(`accept_unqualified_senders')dnl
	FEATURE(`promiscuous_relay')dnl
	MAILER_DEFINITIONS
	MAILER(`local')dnl
	MAILER(`smtp')dnl
END
# No DNS: a machine has no network, and a resolver that does not answer costs seconds. The load is the host's, and no reason
# to wait or to refuse.
printf 'hosts\tfiles\naliases\tfiles\n' >/etc/mail/service.switch
cd /etc/mail
m4 sendmail.mc >sendmail.cf
grep -q '^O ServiceSwitchFile' sendmail.cf ||
	sed -i 's,^#O ServiceSwitchFile=.*,O ServiceSwitchFile=/etc/mail/service.switch,' sendmail.cf
install -d -o smmta -g smmsp -m 2750 /var/spool/mqueue/{q1,q1/qf,q1/df,q1/xf,q2}
echo sender.example.com >local-host-names
printf 'postmaster: root\nroot: root\n' >/etc/mail/aliases
newaliases || :
sed -i 's/^#* *O QueueLA=.*/O QueueLA=1000/; s/^#* *O RefuseLA=.*/O RefuseLA=1000/' submit.cf
sed -i 's/^QUEUE_INTERVAL=.*/QUEUE_INTERVAL="3s"/; s/^MSP_MODE=.*/MSP_MODE="None"/' sendmail.conf

mkdir -p /etc/lab /var/mail-in/tmp /var/mail-in/new
cat >/etc/lab/answers <<-'END'
	grey.test: grey
	never.test: soft
	soft3@mixed.test: soft
	hard3@mixed.test: hard
END

cat >/usr/local/bin/lab-sink <<-'END'
	#!/usr/bin/python3
	"""A receiver that says to each recipient what /etc/lab/answers has for it, and stores what it takes."""
	import os, socketserver, time

	SOFT = "450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/lab.html"
	first = {}

	def answer_of(address):
	    known = dict(line.strip().split(": ", 1) for line in reversed(list(open("/etc/lab/answers"))) if ": " in line)
	    word = known.get(address, known.get(address.rpartition("@")[2], "ok"))
	    if word == "grey":
	        word = "ok" if time.time() - first.setdefault(address, time.time()) >= 5 else "soft"
	    return {"soft": SOFT, "hard": "550 5.1.1 User unknown"}.get(word, "250 2.1.5 Ok")

	class Session(socketserver.StreamRequestHandler):
	    def say(self, text):
	        self.wfile.write(text.encode() + b"\r\n")

	    def store(self, sender, to):
	        name = "%d.%s" % (time.time_ns(), os.urandom(4).hex())
	        with open("/var/mail-in/tmp/" + name, "wb") as f:
	            f.write(b"X-Envelope-From: %s\n" % sender.encode())
	            f.writelines(b"X-Envelope-To: %s\n" % r.encode() for r in to)
	            while (line := self.rfile.readline()) and line != b".\r\n":
	                f.write(line[line.startswith(b"."):].replace(b"\r\n", b"\n"))
	        os.rename("/var/mail-in/tmp/" + name, "/var/mail-in/new/" + name)

	    def handle(self):
	        sender, to = "", []
	        self.say("220 receiver.test ESMTP")
	        while line := self.rfile.readline().decode(errors="replace").strip():
	            verb, address = line[:4].upper(), line.partition("<")[2].partition(">")[0]
	            if verb == "EHLO":
	                self.say("250-receiver.test")
	                self.say("250 ENHANCEDSTATUSCODES")
	            elif verb == "MAIL":
	                sender, to = address, []
	                self.say("250 2.1.0 Ok")
	            elif verb == "RCPT":
	                answer = answer_of(address)
	                to += [address] if answer[0] == "2" else []
	                self.say(answer)
	            elif verb == "DATA" and to:
	                self.say("354 Go on")
	                self.store(sender, to)
	                self.say("250 2.0.0 Ok: queued as LAB")
	            elif verb == "DATA":
	                self.say("554 5.5.1 No valid recipients")
	            elif verb == "QUIT":
	                self.say("221 2.0.0 Bye")
	                return
	            else:
	                self.say("250 2.0.0 Ok")

	class Server(socketserver.ThreadingTCPServer):
	    allow_reuse_address = daemon_threads = True

	Server(("127.0.0.2", 25), Session).serve_forever()
END
chmod 755 /usr/local/bin/lab-sink

cat >/etc/systemd/system/lab-sink.service <<-'END'
	[Unit]
	Description=The receiver of the lab
	After=lab-addresses.service
	[Service]
	ExecStart=/usr/local/bin/lab-sink
	[Install]
	WantedBy=multi-user.target
END
systemctl enable --quiet lab-sink.service
