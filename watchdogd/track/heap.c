/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* reallocarray */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

/* What a link's heap_index says: a place in the heap, or with this bit one in the run, or neither. */
#define NOT_IN UINT32_MAX
#define IN_RUN ((uint32_t)1 << 31)
#define MANY (((uint32_t)1 << 30) - 1) /* more do not fit; of a place in the run so much is kept */
/* What follows the run's last by more belongs to another kind of wait. */
#define RUN_STEP MQW_MINUTE
#define RUN_HOLES 64 /* besides as many as there are links in it */

void mqw_heap_done(struct mqw_heap *h)
{
	free(h->entries);
	free(h->run);
	*h = (struct mqw_heap){0};
}

static bool before(const struct mqw_heap_entry *a, const struct mqw_heap_entry *b)
{
	return a->due != b->due ? a->due < b->due : a->sequence < b->sequence;
}

static void place(struct mqw_heap *h, size_t i, const struct mqw_heap_entry *e)
{
	h->entries[i] = *e;
	e->link->heap_index = (uint32_t)i;
}

static void sift_up(struct mqw_heap *h, size_t i, const struct mqw_heap_entry *e)
{
	while (i > 0 && before(e, &h->entries[(i - 1) / 2])) {
		place(h, i, &h->entries[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(h, i, e);
}

static void sift_down(struct mqw_heap *h, size_t i, const struct mqw_heap_entry *e)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count && before(&h->entries[child + 1], &h->entries[child]))
			child++;
		if (!before(&h->entries[child], e))
			break;
		place(h, i, &h->entries[child]);
		i = child;
	}
	place(h, i, e);
}

/* Puts e, which is not in the heap, where it belongs, starting from the hole at i. */
static void settle(struct mqw_heap *h, size_t i, const struct mqw_heap_entry *e)
{
	if (i > 0 && before(e, &h->entries[(i - 1) / 2]))
		sift_up(h, i, e);
	else
		sift_down(h, i, e);
}

static struct mqw_heap_entry *run_at(const struct mqw_heap *h, uint32_t place)
{
	return &h->run[place & (h->run_cap - 1)];
}

static void remove_from_run(struct mqw_heap *h, struct mqw_link *l)
{
	run_at(h, l->heap_index)->link = NULL;
	l->heap_index = NOT_IN;
	h->run_count--;
	while (h->run_first != h->run_end && !run_at(h, h->run_first)->link)
		h->run_first++;
	while (h->run_first != h->run_end && !run_at(h, h->run_end - 1)->link)
		h->run_end--;
}

static inline bool continues_run(const struct mqw_heap *h, int64_t due)
{
	int64_t last;

	if (h->run_first == h->run_end)
		return true;
	last = run_at(h, h->run_end - 1)->due;
	return due >= last && due - last <= RUN_STEP &&
		h->run_end - h->run_first <= 2 * h->run_count + RUN_HOLES;
}

static bool grow_run(struct mqw_heap *h)
{
	uint32_t cap = h->run_cap ? h->run_cap * 2 : 256;
	struct mqw_heap_entry *run = cap < MANY ? reallocarray(NULL, cap, sizeof(*run)) : NULL;

	if (!run)
		return false;
	for (uint32_t i = h->run_first; i != h->run_end; i++)
		run[i & (cap - 1)] = *run_at(h, i);
	free(h->run);
	h->run = run;
	h->run_cap = cap;
	return true;
}

/* False: no room, and nothing has changed. */
static bool append_to_run(struct mqw_heap *h, const struct mqw_heap_entry *e)
{
	if (h->run_end - h->run_first == h->run_cap && !grow_run(h))
		return false;
	*run_at(h, h->run_end) = *e;
	e->link->heap_index = (h->run_end++ & MANY) | IN_RUN;
	h->run_count++;
	return true;
}

static void remove_from_heap(struct mqw_heap *h, struct mqw_link *l)
{
	size_t i = l->heap_index;

	l->heap_index = NOT_IN;
	h->count--;
	if (i < h->count) {
		/* Copied: its place is not in the heap any more. */
		struct mqw_heap_entry last = h->entries[h->count];

		settle(h, i, &last);
	}
}

void mqw_heap_remove(struct mqw_heap *h, struct mqw_link *l)
{
	if (l->heap_index == NOT_IN)
		return;
	if (l->heap_index & IN_RUN)
		remove_from_run(h, l);
	else
		remove_from_heap(h, l);
}

/* The heap has always room for those in the run, so that none is lost when it moves over. */
static int make_room(struct mqw_heap *h)
{
	size_t cap = h->cap ? h->cap * 2 : 256;
	void *p;

	if (h->count + h->run_count < h->cap)
		return 0;
	p = cap < MANY ? reallocarray(h->entries, cap, sizeof(*h->entries)) : NULL;
	if (!p)
		return -ENOMEM;
	h->entries = p;
	h->cap = cap;
	return 0;
}

int mqw_heap_set(struct mqw_heap *h, struct mqw_link *l)
{
	struct mqw_heap_entry e = {.due = l->due_at, .link = l};
	bool in_order;

	if (l->due_at == INT64_MAX) {
		mqw_heap_remove(h, l);
		return 0;
	}
	if (l->heap_index == NOT_IN && make_room(h) < 0)
		return -ENOMEM;
	e.sequence = h->sequence++;
	if (l->heap_index != NOT_IN && (l->heap_index & IN_RUN))
		remove_from_run(h, l);
	in_order = continues_run(h, e.due);
	if (!in_order && l->heap_index != NOT_IN) {
		settle(h, l->heap_index, &e);
		return 0;
	}
	mqw_heap_remove(h, l);
	if (!in_order || !append_to_run(h, &e))
		sift_up(h, h->count++, &e);
	return 0;
}

struct mqw_link *mqw_heap_first(const struct mqw_heap *h)
{
	const struct mqw_heap_entry *run =
		h->run_first != h->run_end ? run_at(h, h->run_first) : NULL;

	if (!h->count)
		return run ? run->link : NULL;
	return run && before(run, &h->entries[0]) ? run->link : h->entries[0].link;
}

void mqw_heap_replace(struct mqw_heap *h, struct mqw_link *l)
{
	if (l->heap_index == NOT_IN)
		return;
	if (l->heap_index & IN_RUN)
		run_at(h, l->heap_index)->link = l;
	else
		h->entries[l->heap_index].link = l;
}
