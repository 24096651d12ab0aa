/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a message says of itself and what is said to it; all of it follows from its number. */
#include "tests/bench/generate/life.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t seed;

/* The finaliser of splitmix64 over both and the seed. */
uint64_t drawn(uint64_t a, uint64_t b)
{
	uint64_t z = seed + a * 0x9e3779b97f4a7c15u + b * 0xd1342543de82ef95u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static const char *local_sender(uint64_t number)
{
	static char text[64];

	snprintf(text, sizeof(text), "user%u@example.net", (unsigned int)(drawn(number, 30) % 900));
	return text;
}

const char *sender_of(const struct life *l)
{
	return l->is_report ? "" : local_sender(l->number);
}

/* Of all domains some get most of the mail. */
static unsigned int domain_of(const struct life *l, unsigned int r)
{
	const uint64_t n = drawn(l->number, 100 + r);

	return (unsigned int)(n >> 32) % (n % 4 ? 20 : 5000);
}

const char *recipient_of(const struct life *l, unsigned int r)
{
	static char text[64];

	if (l->is_report)
		return local_sender(l->subject);
	/* With its index in front: no message has one twice. */
	snprintf(text, sizeof(text), "%c%" PRIu64 "@dest%u.example", 'a' + (int)r,
		drawn(l->number, 200 + r) % 1000000, domain_of(l, r));
	return text;
}

const char *host_of(const struct life *l, unsigned int r)
{
	static char text[64];

	if (l->is_report)
		return "mail.example.net";
	snprintf(text, sizeof(text), "mx%u.dest%u.example",
		(unsigned int)(drawn(l->number, 300 + r) % 3), domain_of(l, r));
	return text;
}

const char *address_of(const struct life *l, unsigned int r)
{
	static char text[64];

	snprintf(text, sizeof(text), "192.0.2.%u", l->is_report ? 1 : domain_of(l, r) % 250);
	return text;
}

const char *reply_of(const struct life *l, unsigned int r, enum answer a)
{
	static char text[256];
	const uint64_t n = drawn(l->number, 400 + r);

	switch (a) {
	case ANSWER_SENT:
		snprintf(text, sizeof(text), "250 2.0.0 Ok: queued as %" PRIX64, n >> 20);
		break;
	case ANSWER_BOUNCED:
		snprintf(text, sizeof(text),
			"550 5.1.1 <%s>: Recipient address rejected: User unknown",
			recipient_of(l, r));
		break;
	case ANSWER_MISBOUNCED:
		snprintf(text, sizeof(text),
			"450 4.2.0 <%s>: Recipient address rejected: Greylisted",
			recipient_of(l, r));
		break;
	case ANSWER_DEFERRED:
		if (n % 3)
			snprintf(text, sizeof(text),
				"450 4.2.0 <%s>: Recipient address rejected: Greylisted, see "
				"http://postgrey.schweikert.ch/help/dest%u.example.html",
				recipient_of(l, r), domain_of(l, r));
		else
			snprintf(text, sizeof(text),
				"451 4.7.1 Greylisting in action, please come back in 00:05:00");
		break;
	}
	return text;
}
