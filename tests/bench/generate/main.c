/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes a log of invented mail and what is true of it.
 * Usage: generate postfix|exim LINES LOG TRUTH [SEED [HOURS [OPEN [BEGIN]]]]
 * The log has some lines more than LINES (no life is cut within a step) over HOURS of time (240). OPEN
 * messages come in its first tenth and are deferred to its end. BEGIN: its first second, since 1970
 * (2026-10-01); a daemon has to be given a log of today. TRUTH has a line for each recipient in
 * trouble, "trouble VERDICT ID RECIPIENT", and one for each verdict, "total VERDICT COUNT".
 */
#define _GNU_SOURCE /* reallocarray */
#include "tests/bench/generate/life.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdogd/track/verdict.h"

#define BEGIN INT64_C(1790812800) /* 2026-10-01T00:00:00Z */
#define SLACK (2 * MQW_HOUR) /* what a scan adds to what is due */
#define YOUNG (4 * MQW_HOUR)
#define BURST_GAP 40000
#define BURST 200 /* messages come close together, then there is a pause */
#define OPEN_LINES 19 /* of one that waits through three hours */
#define NOISE_EVERY 12 /* one line in so many is another program's */

enum step {
	STEP_ARRIVE,
	STEP_TRY,
	STEP_ANSWER,
	STEP_GIVE_UP,
	STEP_REMOVE,
	STEP_REPORT,
	STEP_COMPLETE,
	STEP_LOST,
	STEP_OVER
};

struct entry {
	int64_t due;
	uint64_t sequence;
	struct life *life;
};

static const struct form *form;
static struct entry *heap;
static size_t heap_count, heap_cap;
static struct life **lost;
static size_t lost_count, lost_cap;
static FILE *log_file, *truth_file;
static uint64_t lines, messages, sequence, totals[MQW_VERDICT_COUNT];
static int64_t time_now, begin = BEGIN * MQW_SECOND;

static void *must(void *p)
{
	if (!p) {
		perror("generate");
		exit(2);
	}
	return p;
}

int64_t now(void)
{
	return time_now;
}

/* "2026-10-01T00:00:00" in text; most lines are of the second of the line before. */
static const char *stamp_of(int64_t time)
{
	static char text[32];
	static int64_t last = -1;
	const int64_t second = time / MQW_SECOND, of_day = second % 86400;
	int year, month, day;

	if (second != last) {
		mqw_civil_from_days(second / 86400, &year, &month, &day);
		snprintf(text, sizeof(text), "%04d-%02d-%02d%c%02d:%02d:%02d", year, month, day,
			form == &exim_form ? ' ' : 'T', (int)(of_day / 3600),
			(int)(of_day / 60 % 60), (int)(of_day % 60));
		last = second;
	}
	return text;
}

void out(const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (form == &exim_form)
		fprintf(log_file, "%s %s\n", stamp_of(time_now), text);
	else
		fprintf(log_file, "%s.%06d+00:00 %s\n", stamp_of(time_now),
			(int)(time_now % MQW_SECOND), text);
	lines++;
}

static bool before(const struct entry *a, const struct entry *b)
{
	return a->due != b->due ? a->due < b->due : a->sequence < b->sequence;
}

static void push(struct life *l)
{
	struct entry e = {.due = l->due, .sequence = sequence++, .life = l};
	size_t i;

	if (heap_count == heap_cap) {
		heap_cap = heap_cap ? heap_cap * 2 : 1024;
		heap = must(reallocarray(heap, heap_cap, sizeof(*heap)));
	}
	for (i = heap_count++; i > 0 && before(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = e;
}

static struct life *pop(void)
{
	struct life *l = heap[0].life;
	struct entry e = heap[--heap_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < heap_count) {
		if (child + 1 < heap_count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &e))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = e;
	return l;
}

static enum kind kind_of(uint64_t number)
{
	/* In ten thousand. */
	static const unsigned int shares[KIND_COUNT] = {[KIND_GREYLISTED] = 800,
		[KIND_BOUNCED] = 400,
		[KIND_EXPIRED] = 10,
		[KIND_REMOVED] = 60,
		[KIND_VANISHED] = 20,
		[KIND_GIVEN_UP] = 10,
		[KIND_MISBOUNCED] = 10};
	uint64_t n = drawn(number, 50) % 10000;

	for (int k = 0; k < KIND_COUNT; k++) {
		if (n < shares[k])
			return (enum kind)k;
		n -= shares[k];
	}
	return KIND_FINE;
}

static uint8_t recipients_of(uint64_t number)
{
	const uint64_t n = drawn(number, 51);

	if (n % 100 < 85)
		return 1;
	return (uint8_t)(n % 100 < 98 ? 2 + n / 100 % 3 : 10 + n / 100 % (RECIPIENTS_MAX - 9));
}

static struct life *new_life(enum kind kind, uint8_t recipients)
{
	struct life *l = must(calloc(1, sizeof(*l)));

	l->number = ++messages;
	l->born = time_now;
	l->kind = (uint8_t)kind;
	l->recipients = recipients;
	l->undone = (uint32_t)((UINT64_C(1) << recipients) - 1);
	l->last_try = (uint8_t)(1 + drawn(l->number, 53) % 3);
	/* The first shares the message's fate, the others some of the time. */
	for (unsigned int r = 0; r < recipients && kind != KIND_FINE; r++)
		if (r == 0 || drawn(l->number, 500 + r) % 5 == 0)
			l->unlucky |= 1u << r;
	return l;
}

static void go_on(struct life *l, enum step step, int64_t after)
{
	l->step = (uint8_t)step;
	l->due = time_now + after;
	push(l);
}

/* A time from low to high milliseconds, another one at each step. */
static int64_t delay(const struct life *l, unsigned int low, unsigned int high)
{
	const uint64_t n = drawn(l->number, 1000 + l->step + 16u * l->tries + 4096u * l->cursor);

	return (int64_t)(low + n % (high - low)) * 1000 + (int64_t)(n >> 40) % 1000;
}

static enum answer answer_of(const struct life *l, unsigned int r)
{
	if (!(l->unlucky >> r & 1))
		return ANSWER_SENT;
	switch ((enum kind)l->kind) {
	case KIND_FINE:
	case KIND_COUNT:
		return ANSWER_SENT;
	case KIND_GREYLISTED:
		return l->tries < l->last_try ? ANSWER_DEFERRED : ANSWER_SENT;
	case KIND_BOUNCED:
		return ANSWER_BOUNCED;
	case KIND_MISBOUNCED:
		return ANSWER_MISBOUNCED;
	case KIND_EXPIRED:
	case KIND_REMOVED:
	case KIND_VANISHED:
	case KIND_GIVEN_UP:
	case KIND_WAITING:
		break;
	}
	return ANSWER_DEFERRED;
}

static void say_trouble(const struct life *l, unsigned int r, enum mqw_verdict v)
{
	char text[24];

	form->id(l, text);
	fprintf(truth_file, "trouble %s %s %s\n", mqw_verdict_name(v), text, recipient_of(l, r));
	totals[v]++;
}

static void settle_undone(const struct life *l, enum mqw_verdict v)
{
	for (unsigned int r = 0; r < l->recipients; r++) {
		if (!(l->undone >> r & 1))
			continue;
		if (mqw_verdict_is_trouble(v))
			say_trouble(l, r, v);
		else
			totals[v]++;
	}
}

/* Where a round of tries leaves a message that has recipients still to do. */
static void after_round(struct life *l)
{
	const bool over = l->tries >= l->last_try;

	if (l->kind == KIND_VANISHED && over)
		go_on(l, STEP_LOST, 1);
	else if (l->kind == KIND_REMOVED && over)
		go_on(l, STEP_REMOVE, delay(l, 1000, 250000));
	else if ((l->kind == KIND_GIVEN_UP && over) ||
		(l->kind == KIND_EXPIRED && time_now - l->born > form->lifetime))
		go_on(l, STEP_GIVE_UP, delay(l, 1, 9));
	else
		go_on(l, STEP_TRY, form->pause(l->tries) + delay(l, 1, 60000));
}

static void answer(struct life *l)
{
	const unsigned int r = l->cursor;
	const enum answer a = answer_of(l, r);

	form->answer(l, r, a);
	if (a == ANSWER_DEFERRED) {
		l->deferred |= 1u << r;
	} else {
		l->undone &= ~(1u << r);
		if (a == ANSWER_MISBOUNCED)
			say_trouble(l, r, MQW_VERDICT_FALSE_NDR);
		else
			totals[a == ANSWER_SENT ? MQW_VERDICT_DELIVERED : MQW_VERDICT_BOUNCED]++;
		l->told = l->told || a != ANSWER_SENT;
	}
	do
		l->cursor++;
	while (l->cursor < l->recipients && !(l->undone >> l->cursor & 1));
	if (l->cursor < l->recipients) {
		go_on(l, STEP_ANSWER, delay(l, 1, 300));
		return;
	}
	if (l->tries < UINT8_MAX)
		l->tries++;
	if (l->undone)
		after_round(l);
	else
		go_on(l, l->told ? STEP_REPORT : STEP_COMPLETE, delay(l, 1, 9));
}

static void report(struct life *l)
{
	struct life *n = new_life(KIND_FINE, 1);

	n->is_report = true;
	n->subject = l->number;
	form->reported(l, n);
	go_on(n, STEP_TRY, delay(n, 1, 20));
	go_on(l, STEP_COMPLETE, delay(l, 1, 9));
}

static void keep_lost(struct life *l)
{
	if (lost_count == lost_cap) {
		lost_cap = lost_cap ? lost_cap * 2 : 1024;
		lost = must(reallocarray(lost, lost_cap, sizeof(*lost)));
	}
	lost[lost_count++] = l;
}

static void take_step(struct life *l)
{
	switch ((enum step)l->step) {
	case STEP_ARRIVE:
		form->arrived(l);
		go_on(l, STEP_TRY, delay(l, 20, 200));
		break;
	case STEP_TRY:
		form->tried(l);
		for (l->cursor = 0; !(l->undone >> l->cursor & 1); l->cursor++)
			;
		/* One server in fifty is slow. */
		go_on(l, STEP_ANSWER,
			drawn(l->number, 60) % 50 ? delay(l, 100, 3000) : delay(l, 3000, 30000));
		break;
	case STEP_ANSWER:
		answer(l);
		break;
	case STEP_GIVE_UP:
		form->gave_up(l);
		settle_undone(l,
			time_now - l->born < YOUNG ? MQW_VERDICT_FALSE_NDR : MQW_VERDICT_EXPIRED);
		l->undone = 0;
		go_on(l, STEP_REPORT, delay(l, 1, 9));
		break;
	case STEP_REPORT:
		report(l);
		break;
	case STEP_REMOVE:
		form->removed(l);
		settle_undone(l, MQW_VERDICT_REMOVED);
		free(l);
		break;
	case STEP_COMPLETE:
		form->completed(l);
		free(l);
		break;
	case STEP_LOST:
		keep_lost(l);
		break;
	case STEP_OVER:
		break;
	}
}

/* What silence means at the end of the log, from the log alone. */
static enum mqw_verdict lost_verdict(const struct life *l)
{
	const int64_t patience = form->retry_max + SLACK, last = l->due - 1;

	if (time_now - last <= patience)
		return MQW_VERDICT_PENDING;
	return time_now > l->born + form->lifetime + patience ? MQW_VERDICT_VANISHED
							      : MQW_VERDICT_OVERDUE;
}

static void finish(void)
{
	for (size_t i = 0; i < lost_count; i++) {
		settle_undone(lost[i], lost_verdict(lost[i]));
		free(lost[i]);
	}
	while (heap_count) {
		struct life *l = pop();

		l->undone &= l->deferred;
		settle_undone(l, l->step == STEP_LOST ? lost_verdict(l) : MQW_VERDICT_PENDING);
		free(l);
	}
	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++)
		if (totals[v])
			fprintf(truth_file, "total %s %" PRIu64 "\n",
				mqw_verdict_name((enum mqw_verdict)v), totals[v]);
	free(lost);
	free(heap);
}

/* Times at which something comes from outside, each with a pause of its own. */
struct tide {
	int64_t next;
	int64_t pause; /* mean */
	uint64_t count, limit;
};

static int64_t first_due(const struct tide *t)
{
	return t->count < t->limit ? t->next : INT64_MAX;
}

static void ebb(struct tide *t, bool bursts)
{
	t->count++;
	if (!bursts || t->pause <= BURST_GAP / 2)
		t->next += t->pause; /* so dense that there is no room for a pause */
	else if (t->count % BURST)
		t->next += 5000 + (int64_t)(drawn(t->count, 70) % BURST_GAP);
	else
		t->next += t->pause * BURST;
}

static void run(uint64_t wanted, int64_t span, uint64_t open)
{
	const uint64_t others = wanted > open * OPEN_LINES ? wanted - open * OPEN_LINES : 1;
	const uint64_t per_message = form == &exim_form ? 4 : 8;
	struct tide mail = {begin, span / (int64_t)(others / per_message + 1), 0, UINT64_MAX};
	struct tide noise = {begin, span / (int64_t)(wanted / NOISE_EVERY + 1), 0, UINT64_MAX};
	struct tide waiting = {begin, span / 10 / (int64_t)(open + 1), 0, open};

	while (lines < wanted) {
		const int64_t step = heap_count ? heap[0].due : INT64_MAX;
		const int64_t outside = first_due(&waiting) < mail.next ? waiting.next : mail.next;

		if (noise.next <= step && noise.next <= outside) {
			time_now = noise.next;
			form->noise(noise.count);
			ebb(&noise, false);
		} else if (step <= outside) {
			time_now = step;
			take_step(pop());
		} else {
			const bool waits = outside == first_due(&waiting);
			struct life *l;

			time_now = outside;
			l = waits ? new_life(KIND_WAITING, 1)
				  : new_life(kind_of(messages + 1), recipients_of(messages + 1));
			ebb(waits ? &waiting : &mail, !waits);
			go_on(l, STEP_ARRIVE, 0);
		}
	}
	finish();
}

int main(int argc, char **argv)
{
	static char buffer[1 << 20];
	const uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	const uint64_t hours = argc > 6 ? strtoull(argv[6], NULL, 10) : 240;
	const uint64_t open = argc > 7 ? strtoull(argv[7], NULL, 10) : 0;
	const uint64_t first = argc > 8 ? strtoull(argv[8], NULL, 10) : BEGIN;

	if (argc > 1)
		form = strcmp(argv[1], "exim") == 0       ? &exim_form
			: strcmp(argv[1], "postfix") == 0 ? &postfix_form
							  : NULL;
	if (argc < 5 || !form || wanted == 0 || hours == 0 || hours > 100000 || open > 100000000 ||
		first > UINT32_MAX) {
		fputs("usage: generate postfix|exim LINES LOG TRUTH [SEED [HOURS [OPEN "
		      "[BEGIN]]]]\n",
			stderr);
		return 2;
	}
	seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
	begin = (int64_t)first * MQW_SECOND;
	log_file = must(fopen(argv[3], "w"));
	setvbuf(log_file, buffer, _IOFBF, sizeof(buffer));
	truth_file = must(fopen(argv[4], "w"));
	run(wanted, (int64_t)hours * MQW_HOUR, open);
	if (fclose(log_file) != 0 || fclose(truth_file) != 0) {
		perror("generate");
		return 2;
	}
	return 0;
}
