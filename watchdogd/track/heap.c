/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* reallocarray */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

#define NOT_IN UINT32_MAX

void mqw_heap_done(struct mqw_heap *h)
{
	free(h->entries);
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

void mqw_heap_remove(struct mqw_heap *h, struct mqw_link *l)
{
	size_t i = l->heap_index;

	if (i == NOT_IN)
		return;
	l->heap_index = NOT_IN;
	h->count--;
	if (i < h->count) {
		/* Copied: its place is not in the heap any more. */
		struct mqw_heap_entry last = h->entries[h->count];

		settle(h, i, &last);
	}
}

int mqw_heap_set(struct mqw_heap *h, struct mqw_link *l)
{
	struct mqw_heap_entry e = {.due = l->due_at, .link = l};

	if (l->due_at == INT64_MAX) {
		mqw_heap_remove(h, l);
		return 0;
	}
	e.sequence = h->sequence++;
	if (l->heap_index != NOT_IN) {
		settle(h, l->heap_index, &e);
		return 0;
	}
	if (h->count == NOT_IN)
		return -ENOMEM;
	if (h->count == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 256;
		void *p = reallocarray(h->entries, cap, sizeof(*h->entries));

		if (!p)
			return -ENOMEM;
		h->entries = p;
		h->cap = cap;
	}
	sift_up(h, h->count++, &e);
	return 0;
}

void mqw_heap_replace(struct mqw_heap *h, struct mqw_link *l)
{
	if (l->heap_index != NOT_IN)
		h->entries[l->heap_index].link = l;
}

struct mqw_link *mqw_heap_first(const struct mqw_heap *h)
{
	return h->count ? h->entries[0].link : NULL;
}
