/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/relay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BATCHES 8 /* a power of two: their numbers may overflow */
/*
 * Who reads. The second thread shall always have something to tell: as long as so many batches are
 * read, the first may read the next. While many wait to be read the second sees to it that it comes to
 * that; else it is ahead itself, and tells at once what it reads.
 */
#define READ_AHEAD 2
#define MANY (BATCHES / 2)

struct mqw_relay {
	struct mqw_relay_steps steps;
	struct mqw_outlet to;
	struct mqw_outlet gather; /* into the batch that is being read */
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows, but for what is in the batches */
	pthread_cond_t changed;
	/* How many batches each step has been taken with; the first is ahead of the last. */
	unsigned int filled, read, told;
	bool reading; /* a thread is taking that step with the batch number `read` */
	bool second_reads; /* and it is the one that tells */
	bool ended; /* all are filled and read */
	int fault;

	struct mqw_batch batches[BATCHES];
};

static struct mqw_batch *batch(struct mqw_relay *r, unsigned int number)
{
	return &r->batches[number % BATCHES];
}

/* Called with the lock held, which is let go while the step is taken; so are those below. */
static void fill(struct mqw_relay *r, bool *ret_more)
{
	struct mqw_batch *b = batch(r, r->filled);

	pthread_mutex_unlock(&r->lock);
	mqw_batch_empty(b);
	*ret_more = r->steps.fill(r->steps.ctx, b);
	pthread_mutex_lock(&r->lock);
	r->filled++;
	pthread_cond_signal(&r->changed);
}

static void note(struct mqw_relay *r, int fault)
{
	if (fault < 0 && !r->fault)
		r->fault = fault;
	pthread_cond_signal(&r->changed);
}

static void read_lines(struct mqw_relay *r, struct mqw_outlet *to, bool second)
{
	struct mqw_batch *b = batch(r, r->read);
	int fault;

	r->reading = true;
	r->second_reads = second;
	pthread_mutex_unlock(&r->lock);
	fault = r->steps.read(r->steps.ctx, b, to);
	pthread_mutex_lock(&r->lock);
	r->reading = false;
	r->read++;
	r->told += to == &r->to;
	note(r, fault);
}

static void tell(struct mqw_relay *r)
{
	struct mqw_batch *b = batch(r, r->told);
	int fault;

	pthread_mutex_unlock(&r->lock);
	fault = mqw_batch_tell(b, &r->to);
	pthread_mutex_lock(&r->lock);
	r->told++;
	note(r, fault);
}

static bool can_read(const struct mqw_relay *r)
{
	return r->read != r->filled && !r->reading;
}

static void *work(void *relay)
{
	struct mqw_relay *r = relay;

	pthread_mutex_lock(&r->lock);
	while (!r->fault && !(r->ended && r->told == r->read)) {
		if (can_read(r) && r->filled - r->read >= MANY && r->read - r->told <= READ_AHEAD)
			read_lines(r, &r->gather, true);
		else if (r->told != r->read)
			tell(r);
		else if (can_read(r))
			read_lines(r, &r->to, true);
		else
			pthread_cond_wait(&r->changed, &r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int mqw_relay_run(struct mqw_relay *r)
{
	bool more = true;
	int fault;

	pthread_mutex_lock(&r->lock);
	while (!r->fault && (more || r->read != r->filled)) {
		if (can_read(r) && (!more || r->read - r->told >= READ_AHEAD))
			read_lines(r, &r->gather, false);
		else if (more && r->filled - r->told < BATCHES)
			fill(r, &more);
		else
			pthread_cond_wait(&r->changed, &r->lock);
	}
	r->ended = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	fault = r->fault;
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return fault;
}

/*
 * What was gathered is told by the thread that reads, so that there is room again, as soon as all before
 * it is told: by the other thread, or by this one if that is its work.
 */
static int make_room(struct mqw_relay *r)
{
	int fault;

	pthread_mutex_lock(&r->lock);
	while (!r->fault && r->told != r->read)
		if (r->second_reads)
			tell(r);
		else
			pthread_cond_wait(&r->changed, &r->lock);
	fault = r->fault;
	pthread_mutex_unlock(&r->lock);
	return fault ? fault : mqw_batch_tell(batch(r, r->read), &r->to);
}

/* That a batch is being read keeps the number `read` as it is, so that it needs no lock. */
static int on_event(void *relay, const struct mqw_event *e)
{
	struct mqw_relay *r = relay;
	int fault;

	if (mqw_batch_add_event(batch(r, r->read), e))
		return 0;
	fault = make_room(r);
	if (fault < 0 || mqw_batch_add_event(batch(r, r->read), e))
		return fault;
	/* Texts of one event may be the same bytes many times over. */
	return r->to.sink.emit(r->to.sink.ctx, e);
}

static void on_time(void *relay, int64_t now)
{
	struct mqw_relay *r = relay;

	mqw_batch_add_time(batch(r, r->read), now);
}

static void on_recognised(void *relay, const struct mqw_probe_ops *mta)
{
	struct mqw_relay *r = relay;

	mqw_batch_add_recognised(batch(r, r->read), mta);
}

int mqw_relay_start(
	const struct mqw_relay_steps *steps, const struct mqw_outlet *to, struct mqw_relay **ret)
{
	struct mqw_relay *r = malloc(sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	/* The batches are left as they are: their memory is had when it is used. */
	r->steps = *steps;
	r->to = *to;
	r->gather = (struct mqw_outlet){.sink = {.emit = on_event, .ctx = r},
		.time = to->time ? on_time : NULL,
		.time_ctx = r,
		.recognised = to->recognised ? on_recognised : NULL,
		.recognised_ctx = r};
	r->filled = r->read = r->told = 0;
	r->reading = r->ended = false;
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
