/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/relay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BATCHES 4 /* one is filled, one is worked on, and others even out */
#define EVENTS 512
#define TIMES 1024
#define TEXT ((size_t)128 * 1024)

/* Of most lines only the time goes over: with an event's room for each, most of that would be empty. */
struct batch {
	struct mqw_event events[EVENTS];
	int64_t times[TIMES];
	bool is_event[EVENTS + TIMES]; /* in the order in which they came */
	size_t count, event_count, time_count, used;
	char text[TEXT];
};

struct mqw_relay {
	struct mqw_sink to;
	void (*time)(void *ctx, int64_t now);
	void *time_ctx;
	int64_t newest; /* time that was told last */
	pthread_t thread;
	struct batch *filling; /* of batches; the reader's alone, as are those free */
	unsigned int next; /* which of them is filled */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	unsigned int first, full; /* those to be worked on */
	bool ending;
	int fault; /* what the sink said; it gets nothing more then */

	struct batch batches[BATCHES];
};

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(struct mqw_event) == 248, "a text that is new has to be copied too");
#endif

static const size_t texts[] = {offsetof(struct mqw_event, realm),
	offsetof(struct mqw_event, instance), offsetof(struct mqw_event, queue_id),
	offsetof(struct mqw_event, other_id), offsetof(struct mqw_event, sender),
	offsetof(struct mqw_event, recipient), offsetof(struct mqw_event, message_id),
	offsetof(struct mqw_event, relay), offsetof(struct mqw_event, status),
	offsetof(struct mqw_event, reply)};

static struct mqw_slice *text_of(const struct mqw_event *e, size_t i)
{
	return (struct mqw_slice *)((char *)(uintptr_t)e + texts[i]);
}

static size_t text_length(const struct mqw_event *e)
{
	size_t sum = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		sum += text_of(e, i)->len;
	return sum;
}

/* There is room for it. */
static void add(struct batch *b, const struct mqw_event *e)
{
	struct mqw_event *copy = &b->events[b->event_count++];

	b->is_event[b->count++] = true;
	*copy = *e;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct mqw_slice *s = text_of(copy, i);

		/* An empty text with an address says something else than one without. */
		if (!s->ptr)
			continue;
		memcpy(b->text + b->used, s->ptr, s->len);
		s->ptr = b->text + b->used;
		b->used += s->len;
	}
}

static int take(struct mqw_relay *r, const struct batch *b)
{
	size_t event = 0, time = 0;
	int fault = 0;

	for (size_t i = 0; fault >= 0 && i < b->count; i++) {
		if (b->is_event[i])
			fault = r->to.emit(r->to.ctx, &b->events[event++]);
		else if (r->time)
			r->time(r->time_ctx, b->times[time++]);
	}
	return fault;
}

static void empty(struct batch *b)
{
	b->count = b->event_count = b->time_count = b->used = 0;
}

static void *work(void *relay)
{
	struct mqw_relay *r = relay;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		struct batch *b = &r->batches[r->first];
		int fault = r->fault;

		if (!r->full && r->ending)
			break;
		if (!r->full) {
			pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		if (fault >= 0)
			fault = take(r, b);
		pthread_mutex_lock(&r->lock);
		r->fault = fault < 0 ? fault : 0;
		r->first = (r->first + 1) % BATCHES;
		r->full--;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Hands on what was gathered, and waits for as long as more than `most` batches are on their way. */
static int hand_on(struct mqw_relay *r, unsigned int most)
{
	int fault;

	pthread_mutex_lock(&r->lock);
	if (r->filling->count) {
		r->full++;
		r->next = (r->next + 1) % BATCHES;
		pthread_cond_broadcast(&r->changed);
	}
	while (r->full > most)
		pthread_cond_wait(&r->changed, &r->lock);
	fault = r->fault;
	pthread_mutex_unlock(&r->lock);
	r->filling = &r->batches[r->next];
	empty(r->filling);
	return fault;
}

int mqw_relay_start(const struct mqw_sink *to, void (*time)(void *ctx, int64_t now), void *time_ctx,
	struct mqw_relay **ret)
{
	struct mqw_relay *r = malloc(sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	/* Of the batches only the counts are set: their memory is had when it is used. */
	r->to = *to;
	r->time = time;
	r->time_ctx = time_ctx;
	r->newest = MQW_TIME_NONE;
	r->next = r->first = r->full = 0;
	r->filling = r->batches;
	empty(r->filling);
	r->ending = false;
	r->fault = 0;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	e = pthread_create(&r->thread, NULL, work, r);
	if (e) {
		pthread_cond_destroy(&r->changed);
		pthread_mutex_destroy(&r->lock);
		free(r);
		return -e;
	}
	*ret = r;
	return 0;
}

int mqw_relay_emit(void *relay, const struct mqw_event *e)
{
	struct mqw_relay *r = relay;
	size_t len = text_length(e);
	int fault = 0;

	if (len > TEXT) {
		/* Texts of one event may be the same bytes of a line many times over. */
		fault = hand_on(r, 0);
		return fault < 0 ? fault : r->to.emit(r->to.ctx, e);
	}
	if (r->filling->event_count == EVENTS || len > TEXT - r->filling->used)
		fault = hand_on(r, BATCHES - 1);
	add(r->filling, e);
	return fault;
}

void mqw_relay_time(void *relay, int64_t now)
{
	struct mqw_relay *r = relay;
	struct batch *b;

	/* A time that is not later says nothing. */
	if (now <= r->newest)
		return;
	r->newest = now;
	if (r->filling->time_count == TIMES)
		hand_on(r, BATCHES - 1);
	b = r->filling;
	b->is_event[b->count++] = false;
	b->times[b->time_count++] = now;
}

int mqw_relay_drain(struct mqw_relay *r)
{
	return hand_on(r, 0);
}

int mqw_relay_stop(struct mqw_relay *r)
{
	int fault;

	if (!r)
		return 0;
	fault = mqw_relay_drain(r);
	pthread_mutex_lock(&r->lock);
	r->ending = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return fault;
}
