/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life: 200 messages of a Postfix, made from a seed, and what is to be found of them. The
 * lines are those of Postfix 3.7 (facts: global/log_adhoc.c, qmgr/qmgr_active.c).
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"

/* Messages come together, as from lists, when others are tried again: so a life is short. */
#define BURSTS 60
#define EVERY BACKOFF
#define LIFETIME (5 * MQW_HOUR)
#define SLACK (30 * MQW_MINUTE)
#define BACKOFF (300 * MQW_SECOND)
#define BACKOFF_MAX (3900 * MQW_SECOND)
/* The log is copied and truncated behind these bursts, and renamed within those. */
static const unsigned int truncations[] = {15, 31, 47}, rotations[] = {0, 8, 22, 38, 53, 64};
#define ALL 0xffff

/* How many there are of each fate. */
static const unsigned int many[FATE_COUNT] = {
	[FATE_FIRST] = 84,
	[FATE_GREY] = 28,
	[FATE_SLOW] = 10,
	[FATE_BOUNCED] = 12,
	[FATE_LATE_BOUNCE] = 6,
	[FATE_EXPIRED] = 6,
	[FATE_REMOVED] = 6,
	[FATE_HELD] = 4,
	[FATE_VANISHED] = 16,
	[FATE_SWALLOWED] = 6,
	[FATE_FALSE_NDR] = 8,
	[FATE_MISBOUNCED] = 6,
	[FATE_OVERDUE] = 4,
	[FATE_LATE] = 4,
};

static const char *const fate_names[FATE_COUNT] = {
	[FATE_FIRST] = "delivered at the first try",
	[FATE_GREY] = "greylisted",
	[FATE_SLOW] = "slow",
	[FATE_BOUNCED] = "bounced",
	[FATE_LATE_BOUNCE] = "bounced later",
	[FATE_EXPIRED] = "expired",
	[FATE_REMOVED] = "removed",
	[FATE_HELD] = "held",
	[FATE_VANISHED] = "vanished",
	[FATE_SWALLOWED] = "swallowed",
	[FATE_FALSE_NDR] = "falsely reported",
	[FATE_MISBOUNCED] = "bounced on a temporary answer",
	[FATE_OVERDUE] = "overdue",
	[FATE_LATE] = "late",
};

const char *fate_name(enum fate f)
{
	return fate_names[f];
}

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
	return random_next(state) % bound;
}

/* Five digits of a time, then of what would be the inode: here the number of the message. */
#define FIRST_INODE 0x40000

int script_message_of(const char *id, size_t len)
{
	char text[16];
	long n;

	if (len != 10)
		return -1;
	memcpy(text, id + 5, 5);
	text[5] = '\0';
	n = strtol(text, NULL, 16) - FIRST_INODE;
	return n >= 0 && n < MESSAGES ? (int)n : -1;
}

static struct step *add(struct script *s, int64_t at, enum step_kind kind, unsigned int message)
{
	struct step *step;

	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4096;
		s->steps = realloc(s->steps, s->cap * sizeof(*s->steps));
		if (!s->steps)
			abort();
	}
	step = &s->steps[s->count++];
	*step = (struct step){.at = at, .kind = kind, .message = (uint16_t)message};
	return step;
}

__attribute__((format(printf, 5, 6))) static void say(struct script *s, int64_t at,
	unsigned int message, const char *program, const char *format, ...)
{
	struct step *step = add(s, at, STEP_LOG, message);
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	step->program = strdup(program);
	if (asprintf(&step->text, "%s: %s", s->messages[message].id, text) < 0 || !step->program)
		abort();
	free(text);
}

#define MS(n) ((int64_t)(n)*1000)

static void arrive(struct script *s, unsigned int n)
{
	const struct message *m = &s->messages[n];

	say(s, m->start, n, "smtpd", "client=client.example.com[192.0.2.9]");
	say(s, m->start + MS(3), n, "cleanup", "message-id=<%u@example.com>", n);
	add(s, m->start + MS(5), STEP_ARRIVE, n);
	say(s, m->start + MS(8), n, "qmgr",
		"from=<a@example.com>, size=373, nrcpt=%u (queue active)", m->recipients);
}

enum answer { YES, LATER, NO, NO_ON_LATER };

/* The line of one recipient. */
static void answered(struct script *s, int64_t at, unsigned int n, unsigned int r, enum answer a)
{
	static const struct {
		const char *dsn, *status, *text;
	} how[] = {
		[YES] = {"2.0.0", "sent", "250 2.0.0 Ok: taken"},
		[LATER] = {"4.7.1", "deferred",
			"host mx.example.net[192.0.2.1] said: 450 4.7.1 Greylisted, try again "
			"(in reply to RCPT TO command)"},
		[NO] = {"5.1.1", "bounced",
			"host mx.example.net[192.0.2.1] said: 550 5.1.1 No such user "
			"(in reply to RCPT TO command)"},
		[NO_ON_LATER] = {"5.7.1", "bounced",
			"host mx.example.net[192.0.2.1] said: 450 4.7.1 Greylisted "
			"(in reply to RCPT TO command)"},
	};
	double delay = (double)(at - s->messages[n].start) / MQW_SECOND;

	say(s, at, n, "smtp",
		"to=<r%u.m%u@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=%.2g, "
		"delays=0.1/0/0.1/0.1, dsn=%s, status=%s (%s)",
		r, n, delay, how[a].dsn, how[a].status, how[a].text);
}

/* One try for those in who. Those that are not done stay in the file. */
static void try(struct script *s, int64_t at, unsigned int n, unsigned int who, enum answer a)
{
	for (unsigned int r = 0; r < s->messages[n].recipients; r++)
		if (who & 1u << r)
			answered(s, at + MS(11 * (r + 1)), n, r, a);
	if (a != LATER)
		add(s, at + MS(50), STEP_DONE, n)->who = (uint16_t)who;
}

static void retry(struct script *s, int64_t at, unsigned int n)
{
	add(s, at - MS(40), STEP_TRY, n);
	say(s, at - MS(30), n, "qmgr", "from=<a@example.com>, size=373, nrcpt=%u (queue active)",
		s->messages[n].recipients);
}

static void defer(struct script *s, int64_t at, unsigned int n, int64_t until)
{
	add(s, at + MS(60), STEP_DEFER, n)->until = until;
}

/* The queue manager is done with it. */
static void end(struct script *s, int64_t at, unsigned int n)
{
	add(s, at + MS(70), STEP_DELETE, n);
	say(s, at + MS(72), n, "qmgr", "removed");
}

static void report(struct script *s, int64_t at, unsigned int n)
{
	say(s, at + MS(64), n, "bounce", "sender non-delivery notification: %05X%05X", 0xB0000 + n,
		0x80000 + n);
}

static void expect(struct script *s, unsigned int n, unsigned int who, enum mqw_verdict trouble,
	enum mqw_verdict last)
{
	for (unsigned int r = 0; r < RECIPIENTS; r++)
		if (who & 1u << r) {
			s->messages[n].trouble[r] = trouble;
			s->messages[n].last[r] = last;
		}
}

/* What is put back goes on under another id: the verdict is on that one. */
static void expect_lost(struct script *s, unsigned int n, unsigned int who,
	enum mqw_verdict trouble, enum mqw_verdict last)
{
	expect(s, n, who, trouble, last);
	s->messages[n].lost = (uint16_t)who;
}

/* Deferred at the first try, and so many times more, each time for longer. The time of the last. */
static int64_t defer_often(struct script *s, unsigned int n, unsigned int who, unsigned int more)
{
	int64_t at = s->messages[n].start + MS(200), pause = BACKOFF;

	try(s, at, n, who, LATER);
	defer(s, at, n, at + pause);
	while (more--) {
		at += pause + MS(90);
		retry(s, at, n);
		try(s, at, n, who, LATER);
		pause = pause * 2 > BACKOFF_MAX ? BACKOFF_MAX : pause * 2;
		defer(s, at, n, at + pause);
	}
	return at;
}

static void live(struct script *s, unsigned int n, uint64_t *random)
{
	struct message *m = &s->messages[n];
	unsigned int all = (1u << m->recipients) - 1, some = all > 1 ? all & ~1u : all;
	int64_t at = m->start + MS(200);

	arrive(s, n);
	switch (m->fate) {
	case FATE_FIRST:
		try(s, at, n, all, YES);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_DELIVERED);
		break;
	case FATE_GREY:
		at = defer_often(s, n, all, 0) + BACKOFF + MS(90);
		retry(s, at, n);
		try(s, at, n, all, YES);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_DELIVERED);
		break;
	case FATE_SLOW:
		if (some != all)
			try(s, at, n, all & ~some, YES);
		at = defer_often(s, n, some, 2) + 4 * BACKOFF + MS(90);
		retry(s, at, n);
		try(s, at, n, some, YES);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_DELIVERED);
		break;
	case FATE_BOUNCED:
		try(s, at, n, all, NO);
		report(s, at, n);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_BOUNCED);
		break;
	case FATE_LATE_BOUNCE:
		at = defer_often(s, n, all, 0) + BACKOFF + MS(90);
		retry(s, at, n);
		try(s, at, n, all, NO);
		report(s, at, n);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_BOUNCED);
		break;
	case FATE_EXPIRED:
		at = defer_often(s, n, all, 5) + MS(90);
		while (at < m->start + LIFETIME) {
			at += BACKOFF_MAX;
			retry(s, at, n);
			try(s, at, n, all, LATER);
			if (at < m->start + LIFETIME)
				defer(s, at, n, at + BACKOFF_MAX);
		}
		say(s, at + MS(62), n, "qmgr",
			"from=<a@example.com>, status=expired, returned to sender");
		report(s, at, n);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_EXPIRED);
		break;
	case FATE_REMOVED:
		at = defer_often(s, n, all, 0) + BACKOFF / 2;
		add(s, at, STEP_DELETE, n);
		say(s, at + MS(1), n, "postsuper", "removed");
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_REMOVED);
		break;
	case FATE_HELD:
		at = defer_often(s, n, all, 0) + BACKOFF / 2;
		add(s, at, STEP_HOLD, n);
		say(s, at + MS(1), n, "postsuper", "placed on hold");
		expect(s, n, all, MQW_VERDICT_NONE, MQW_VERDICT_HELD);
		break;
	case FATE_VANISHED:
		if (some != all) {
			try(s, at, n, all & ~some, YES);
			expect(s, n, all & ~some, MQW_VERDICT_NONE, MQW_VERDICT_DELIVERED);
		}
		/* Later than all downtimes of a life together: what was never seen in the queue is
		 * not known to have left it. */
		at = defer_often(s, n, some, (unsigned int)random_below(random, 2)) +
			3 * BACKOFF / 4;
		add(s, at, STEP_DELETE, n);
		expect_lost(s, n, some, MQW_VERDICT_VANISHED, MQW_VERDICT_RELOCATED);
		break;
	case FATE_SWALLOWED:
		at = defer_often(s, n, all, 1) + 2 * BACKOFF + MS(90);
		retry(s, at, n);
		add(s, at + MS(20), STEP_DELETE, n);
		expect_lost(s, n, all, MQW_VERDICT_VANISHED, MQW_VERDICT_RELOCATED);
		break;
	case FATE_FALSE_NDR:
		at = defer_often(s, n, all, 1) + 2 * BACKOFF + MS(90);
		retry(s, at, n);
		try(s, at, n, all, LATER);
		say(s, at + MS(62), n, "qmgr",
			"from=<a@example.com>, status=expired, returned to sender");
		report(s, at, n);
		end(s, at, n);
		expect_lost(s, n, all, MQW_VERDICT_FALSE_NDR, MQW_VERDICT_RELOCATED);
		break;
	case FATE_MISBOUNCED:
		at = defer_often(s, n, all, 0) + BACKOFF + MS(90);
		retry(s, at, n);
		try(s, at, n, all, NO_ON_LATER);
		report(s, at, n);
		end(s, at, n);
		/* Its own lines say what was done to it, whatever became of it later. */
		expect_lost(s, n, all, MQW_VERDICT_FALSE_NDR, MQW_VERDICT_FALSE_NDR);
		break;
	case FATE_OVERDUE:
		defer_often(s, n, all, 1);
		expect(s, n, all, MQW_VERDICT_OVERDUE, MQW_VERDICT_OVERDUE);
		break;
	case FATE_LATE:
		at = defer_often(s, n, all, 1) + 2 * BACKOFF + SLACK + 2 * BACKOFF;
		retry(s, at, n);
		try(s, at, n, all, YES);
		end(s, at, n);
		expect(s, n, all, MQW_VERDICT_OVERDUE, MQW_VERDICT_DELIVERED);
		break;
	case FATE_COUNT:
		break;
	}
}

static int compare(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static unsigned int burst_of(unsigned int n)
{
	return n * BURSTS / MESSAGES;
}

/*
 * A log that is truncated has a gap, and what vanishes without a word across a gap is not known to
 * have vanished. So nothing is under way to that when it happens.
 */
static bool fits(unsigned int n, enum fate f)
{
	if (f != FATE_VANISHED && f != FATE_SWALLOWED)
		return true;
	for (size_t i = 0; i < sizeof(truncations) / sizeof(truncations[0]); i++)
		if (burst_of(n) + 5 >= truncations[i] && burst_of(n) <= truncations[i])
			return false;
	return true;
}

static void exchange(struct script *s, unsigned int a, unsigned int b)
{
	enum fate f = s->messages[a].fate;

	s->messages[a].fate = s->messages[b].fate;
	s->messages[b].fate = f;
}

static void shuffle_fates(struct script *s, uint64_t *random)
{
	unsigned int n = 0, k;

	for (int f = 0; f < FATE_COUNT; f++)
		for (unsigned int i = 0; i < many[f] && n < MESSAGES; i++)
			s->messages[n++].fate = (enum fate)f;
	for (n = MESSAGES - 1; n > 0; n--)
		exchange(s, n, (unsigned int)random_below(random, n + 1));
	for (n = 0; n < MESSAGES; n++)
		while (!fits(n, s->messages[n].fate)) {
			k = (unsigned int)random_below(random, MESSAGES);
			if (fits(k, s->messages[n].fate) && fits(n, s->messages[k].fate))
				exchange(s, n, k);
		}
}

static void rotate(struct script *s, uint64_t *random)
{
	int64_t first = s->begin + MQW_MINUTE;

	for (size_t i = 0; i < sizeof(truncations) / sizeof(truncations[0]); i++)
		add(s, first + truncations[i] * EVERY + 90 * MQW_SECOND, STEP_TRUNCATE, 0);
	for (size_t i = 0; i < sizeof(rotations) / sizeof(rotations[0]); i++)
		add(s, first + rotations[i] * EVERY + (int64_t)random_below(random, 500) * 1000,
			STEP_ROTATE, 0);
}

void script_make(struct script *s, uint64_t seed)
{
	uint64_t random = seed;
	int64_t last = 0;

	memset(s, 0, sizeof(*s));
	s->begin = mqw_days_from_civil(2026, 3, 2) * MQW_DAY + 5 * MQW_HOUR;
	shuffle_fates(s, &random);
	for (unsigned int n = 0; n < MESSAGES; n++) {
		struct message *m = &s->messages[n];

		snprintf(m->id, sizeof(m->id), "%05X%05X",
			0x10000 + (unsigned int)random_below(&random, 0xe0000), FIRST_INODE + n);
		m->recipients = m->fate == FATE_SLOW || m->fate == FATE_VANISHED
			? 1 + (unsigned int)random_below(&random, RECIPIENTS)
			: 1 + (random_below(&random, 5) == 0);
		m->start = s->begin + MQW_MINUTE + burst_of(n) * EVERY +
			(int64_t)random_below(&random, 300) * 1000;
		live(s, n, &random);
	}
	for (size_t i = 0; i < s->count; i++)
		if (s->steps[i].at > last)
			last = s->steps[i].at;
	rotate(s, &random);
	s->end = last + MQW_HOUR;
	add(s, s->end, STEP_END, 0);
	qsort(s->steps, s->count, sizeof(*s->steps), compare);
}

void script_free(struct script *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->steps[i].program);
		free(s->steps[i].text);
	}
	free(s->steps);
}
