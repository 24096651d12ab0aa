/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The main log of Exim 4.96, with Debian's selectors. */
#include "tests/bench/generate/life.h"

#include <inttypes.h>
#include <stdio.h>

#define TLS "X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256"

static char *base62(char *p, uint64_t n, unsigned int width)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (unsigned int i = width; i-- > 0; n /= 62)
		p[i] = digits[n % 62];
	return p + width;
}

/* Second of arrival, pid, and where several may have the same of both a fraction. */
static void id(const struct life *l, char ret[24])
{
	char *p = base62(ret, (uint64_t)(l->born / MQW_SECOND), 6);

	*p++ = '-';
	p = base62(p, l->number % (62 * 62 * 62 * 62), 6);
	*p++ = '-';
	p = base62(p, (uint64_t)(l->born % MQW_SECOND) / 500, 2);
	*p = '\0';
}

/* F,2h,15m; G,16h,1h,1.5; F,4d,6h: the rule that Exim and Debian ship. */
static int64_t pause_after(unsigned int tries)
{
	double pause = 3600;

	if (tries <= 8)
		return 900 * MQW_SECOND;
	for (unsigned int i = 9; i < tries && pause < 21600; i++)
		pause *= 1.5;
	return (int64_t)(pause < 21600 ? pause : 21600) * MQW_SECOND;
}

static void arrived(const struct life *l)
{
	const unsigned int client = (unsigned int)(drawn(l->number, 11) % 250);
	char text[24];

	id(l, text);
	out("%s <= %s H=client%u.example.net [198.51.100.%u] P=esmtps " TLS
	    " CV=no S=%u id=%" PRIx64 ".%" PRIu64 "@example.net",
		text, sender_of(l), client, client,
		900 + (unsigned int)(drawn(l->number, 10) % 60000), drawn(l->number, 12),
		l->number);
}

static void tried(const struct life *l)
{
	(void)l;
}

static void answer(const struct life *l, unsigned int r, enum answer a)
{
	char text[24];

	id(l, text);
	if (l->is_report)
		out("%s => user%u <%s> R=local_user T=maildir_home", text,
			(unsigned int)(drawn(l->subject, 30) % 900), recipient_of(l, r));
	else if (a == ANSWER_SENT)
		out("%s => %s R=dnslookup T=remote_smtp H=%s [%s] " TLS " CV=yes C=\"%s\"", text,
			recipient_of(l, r), host_of(l, r), address_of(l, r), reply_of(l, r, a));
	else if (a == ANSWER_DEFERRED)
		out("%s == %s R=dnslookup T=remote_smtp defer (-44) H=%s [%s]: SMTP error from "
		    "remote mail server after RCPT TO:<%s>: %s",
			text, recipient_of(l, r), host_of(l, r), address_of(l, r),
			recipient_of(l, r), reply_of(l, r, a));
	else
		out("%s ** %s R=dnslookup T=remote_smtp H=%s [%s]: SMTP error from remote mail "
		    "server after RCPT TO:<%s>: %s",
			text, recipient_of(l, r), host_of(l, r), address_of(l, r),
			recipient_of(l, r), reply_of(l, r, a));
}

static void gave_up(const struct life *l)
{
	char text[24];

	id(l, text);
	for (unsigned int r = 0; r < l->recipients; r++)
		if (l->undone >> r & 1)
			out("%s ** %s: retry timeout exceeded", text, recipient_of(l, r));
}

static void reported(const struct life *l, const struct life *report)
{
	char text[24], other[24];

	id(l, text);
	id(report, other);
	out("%s <= <> R=%s U=Debian-exim P=local S=%u", other, text,
		1900 + (unsigned int)(drawn(l->number, 10) % 60000));
}

static void completed(const struct life *l)
{
	char text[24];

	id(l, text);
	out("%s Completed", text);
}

static void removed(const struct life *l)
{
	char text[24];

	id(l, text);
	out("%s removed by root", text);
	out("%s Completed", text);
}

static void noise(uint64_t n)
{
	const unsigned int host = (unsigned int)(drawn(n, 20) % 250);

	switch (drawn(n, 21) % 3) {
	case 0:
		out("Start queue run: pid=%u", 3000 + host);
		break;
	case 1:
		out("H=(example.org) [203.0.113.%u] F=<spam@example.org> rejected RCPT "
		    "<a%u@example.org>: relay not permitted",
			host, host);
		break;
	default:
		out("no host name found for IP address 203.0.113.%u", host);
	}
}

const struct form exim_form = {
	.name = "exim",
	.lifetime = 4 * 86400 * MQW_SECOND,
	.retry_max = 6 * 3600 * MQW_SECOND,
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
