/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BLOCKS 4
#define BLOCK_SIZE ((size_t)256 * 1024)

struct block {
	size_t len;
	uint64_t consumed; /* of the stream, behind this block */
	char bytes[BLOCK_SIZE];
};

struct mqw_ahead {
	struct mqw_stream *stream; /* the thread's alone */
	pthread_t thread;
	size_t taken; /* bytes of the first full block that were given; the reader's alone */
	uint64_t consumed; /* likewise */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	unsigned int first, full; /* blocks to be given */
	bool ended; /* no block comes any more */
	bool stopping;
	ssize_t last; /* what the stream said when it ended: 0 or -errno */

	struct block blocks[BLOCKS];
};

/* Fills a block as far as the stream goes. What it said last: 0 at the end, -errno, else more comes. */
static ssize_t fill(struct mqw_ahead *a, struct block *b)
{
	ssize_t n = 1;

	b->len = 0;
	while (b->len < BLOCK_SIZE && n > 0) {
		n = mqw_stream_read(a->stream, b->bytes + b->len, BLOCK_SIZE - b->len);
		b->len += n > 0 ? (size_t)n : 0;
	}
	b->consumed = mqw_stream_consumed(a->stream);
	return n;
}

static void *work(void *ahead)
{
	struct mqw_ahead *a = ahead;
	ssize_t n = 1;

	pthread_mutex_lock(&a->lock);
	while (n > 0 && !a->stopping) {
		struct block *b = &a->blocks[(a->first + a->full) % BLOCKS];

		if (a->full == BLOCKS) {
			pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		pthread_mutex_unlock(&a->lock);
		n = fill(a, b);
		pthread_mutex_lock(&a->lock);
		a->full += b->len > 0;
		a->ended = n <= 0;
		a->last = n <= 0 ? n : 0;
		pthread_cond_broadcast(&a->changed);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

int mqw_ahead_start(struct mqw_stream *s, struct mqw_ahead **ret)
{
	/* Not cleared: the blocks' memory is had when it is used. */
	struct mqw_ahead *a = malloc(sizeof(*a));
	int e;

	if (!a)
		return -ENOMEM;
	a->stream = s;
	a->taken = 0;
	a->consumed = mqw_stream_consumed(s);
	a->first = a->full = 0;
	a->ended = a->stopping = false;
	a->last = 0;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	e = pthread_create(&a->thread, NULL, work, a);
	if (e) {
		pthread_cond_destroy(&a->changed);
		pthread_mutex_destroy(&a->lock);
		free(a);
		return -e;
	}
	*ret = a;
	return 0;
}

struct mqw_ahead *mqw_ahead_stop(struct mqw_ahead *a)
{
	if (!a)
		return NULL;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

ssize_t mqw_ahead_read(struct mqw_ahead *a, char *buf, size_t len)
{
	struct block *b;
	bool none;
	ssize_t last;

	pthread_mutex_lock(&a->lock);
	while (!a->full && !a->ended)
		pthread_cond_wait(&a->changed, &a->lock);
	b = &a->blocks[a->first];
	none = !a->full;
	last = a->last;
	pthread_mutex_unlock(&a->lock);
	if (none)
		return last;
	len = len < b->len - a->taken ? len : b->len - a->taken;
	memcpy(buf, b->bytes + a->taken, len);
	a->taken += len;
	if (a->taken < b->len)
		return (ssize_t)len;
	a->taken = 0;
	a->consumed = b->consumed;
	pthread_mutex_lock(&a->lock);
	a->first = (a->first + 1) % BLOCKS;
	a->full--;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	return (ssize_t)len;
}

uint64_t mqw_ahead_consumed(struct mqw_ahead *a)
{
	return a->consumed;
}
