/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines as Postfix 3.7 writes them through rsyslog, with those of the programs beside it. */
#include "tests/bench/generate/life.h"

#include <inttypes.h>
#include <stdio.h>

#define HOST "mx1"

/* Microseconds and inode. Those of a young file system only rise, so that no id comes twice. */
static void id(const struct life *l, char ret[24])
{
	snprintf(ret, 24, "%05X%" PRIX64, (unsigned int)(drawn(l->number, 1) % 1000000),
		0x4c000 + l->number * 3);
}

static unsigned int pid(const struct life *l, unsigned int program)
{
	return 20000 + (unsigned int)(drawn(l->number, 2 + program) % 40 + program * 100);
}

static int64_t pause_after(unsigned int tries)
{
	int64_t pause = 300;

	for (unsigned int i = 1; i < tries && pause < 4000; i++)
		pause *= 2;
	return (pause < 4000 ? pause : 4000) * MQW_SECOND;
}

static void queue_active(const struct life *l, const char *text)
{
	out(HOST " postfix/qmgr[1539]: %s: from=<%s>, size=%u, nrcpt=%u (queue active)", text,
		sender_of(l), 900 + (unsigned int)(drawn(l->number, 10) % 60000), l->recipients);
}

static void arrived(const struct life *l)
{
	const unsigned int client = (unsigned int)(drawn(l->number, 11) % 250);
	char text[24];

	id(l, text);
	out(HOST " postfix/smtpd[%u]: connect from client%u.example.net[198.51.100.%u]", pid(l, 0),
		client, client);
	out(HOST " postfix/smtpd[%u]: %s: client=client%u.example.net[198.51.100.%u]", pid(l, 0),
		text, client, client);
	out(HOST " postfix/cleanup[%u]: %s: message-id=<%" PRIx64 ".%" PRIu64 "@example.net>",
		pid(l, 1), text, drawn(l->number, 12), l->number);
	queue_active(l, text);
	out(HOST " postfix/smtpd[%u]: disconnect from client%u.example.net[198.51.100.%u] ehlo=2 "
		 "starttls=1 mail=1 rcpt=%u data=1 quit=1 commands=%u",
		pid(l, 0), client, client, l->recipients, 6 + l->recipients);
}

static void tried(const struct life *l)
{
	char text[24];

	/* What is new has been taken up when it arrived. */
	if (l->tries == 0)
		return;
	id(l, text);
	queue_active(l, text);
}

static void answer(const struct life *l, unsigned int r, enum answer a)
{
	static const char *const words[] = {"sent", "deferred", "bounced", "bounced"};
	static const char *const codes[] = {"2.0.0", "4.2.0", "5.1.1", "5.2.0"};
	const double age = (double)(now() - l->born) / (double)MQW_SECOND;
	char text[24];

	id(l, text);
	if (a == ANSWER_SENT)
		out(HOST " postfix/smtp[%u]: %s: to=<%s>, relay=%s[%s]:25, delay=%.2g, "
			 "delays=0.05/0.01/0.3/%.2g, dsn=%s, status=sent (%s)",
			pid(l, 2), text, recipient_of(l, r), host_of(l, r), address_of(l, r), age,
			age / 2, codes[a], reply_of(l, r, a));
	else
		out(HOST " postfix/smtp[%u]: %s: to=<%s>, relay=%s[%s]:25, delay=%.2g, "
			 "delays=0.05/0.01/0.3/%.2g, dsn=%s, status=%s (host %s[%s] said: %s (in "
			 "reply "
			 "to RCPT TO command))",
			pid(l, 2), text, recipient_of(l, r), host_of(l, r), address_of(l, r), age,
			age / 2, codes[a], words[a], host_of(l, r), address_of(l, r),
			reply_of(l, r, a));
}

static void gave_up(const struct life *l)
{
	char text[24];

	id(l, text);
	out(HOST " postfix/qmgr[1539]: %s: from=<%s>, status=expired, returned to sender", text,
		sender_of(l));
}

static void reported(const struct life *l, const struct life *report)
{
	char text[24], other[24];

	id(l, text);
	id(report, other);
	out(HOST " postfix/cleanup[%u]: %s: message-id=<2026.%s@mx1.example.net>", pid(report, 1),
		other, other);
	out(HOST " postfix/bounce[%u]: %s: sender non-delivery notification: %s", pid(l, 3), text,
		other);
	queue_active(report, other);
}

static void completed(const struct life *l)
{
	char text[24];

	id(l, text);
	out(HOST " postfix/qmgr[1539]: %s: removed", text);
}

static void removed(const struct life *l)
{
	char text[24];

	id(l, text);
	out(HOST " postfix/postsuper[%u]: %s: removed", pid(l, 4), text);
}

static void noise(uint64_t n)
{
	const unsigned int host = (unsigned int)(drawn(n, 20) % 250);

	switch (drawn(n, 21) % 5) {
	case 0:
		out(HOST " dovecot: imap-login: Login: user=<user%u@example.net>, method=PLAIN, "
			 "rip=203.0.113.%u, lip=192.0.2.1, mpid=%u, TLS, session=<%" PRIx64 ">",
			host, host, 3000 + host, drawn(n, 22));
		break;
	case 1:
		out(HOST
			" postfix/smtpd[%u]: NOQUEUE: reject: RCPT from unknown[203.0.113.%u]: "
			"554 5.7.1 <a%u@example.org>: Relay access denied; from=<spam@example.org> "
			"to=<a%u@example.org> proto=ESMTP helo=<[203.0.113.%u]>",
			20000 + host, host, host, host, host);
		break;
	case 2:
		out(HOST " opendkim[811]: %" PRIX64 ": DKIM-Signature field added (s=mail, "
			 "d=example.net)",
			drawn(n, 23));
		break;
	case 3:
		out(HOST " postfix/anvil[%u]: statistics: max connection rate 4/60s for "
			 "(smtp:203.0.113.%u) at Oct  3 04:00:00",
			20300 + host, host);
		break;
	default:
		out(HOST " postfix/smtp[%u]: Trusted TLS connection established to "
			 "mx.dest%u.example[192.0.2.%u]:25: TLSv1.3 with cipher "
			 "TLS_AES_256_GCM_SHA384 (256/256 bits)",
			20200 + host, host, host);
	}
}

const struct form postfix_form = {
	.name = "postfix",
	.lifetime = 5 * 86400 * MQW_SECOND,
	.retry_max = 4000 * MQW_SECOND,
	.pause = pause_after,
	.id = id,
	.arrived = arrived,
	.tried = tried,
	.answer = answer,
	.gave_up = gave_up,
	.reported = reported,
	.completed = completed,
	.removed = removed,
	.noise = noise,
};
