/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "watchdogd/track/tracker_internal.h"

/* Texts that turn out to be different each time shall not fill it: they are kept by their owner. */
#define POOL_MAX 65536u

void mqw_pool_init(struct mqw_pool *p, uint64_t seed)
{
	*p = (struct mqw_pool){0};
	mqw_map_init(&p->numbers, seed);
}

void mqw_pool_done(struct mqw_pool *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		free(p->items[i]);
	free(p->items);
	free(p->unused);
	mqw_map_done(&p->numbers);
}

/* A number that no text has; false when memory is out or the pool is full. */
static bool new_number(struct mqw_pool *p, uint32_t *ret)
{
	if (p->unused_count) {
		*ret = p->unused[--p->unused_count];
		return true;
	}
	if (p->count == POOL_MAX)
		return false;
	if (p->count == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 256;
		struct mqw_pool_item **items =
			realloc(p->items, cap * sizeof(struct mqw_pool_item *));
		uint32_t *unused;

		if (!items)
			return false;
		p->items = items;
		unused = realloc(p->unused, cap * sizeof(*unused));
		if (!unused)
			return false;
		p->unused = unused;
		p->cap = cap;
	}
	p->items[p->count] = NULL;
	*ret = p->count++;
	return true;
}

bool mqw_pool_take(struct mqw_pool *p, struct mqw_slice text, uint32_t *ret)
{
	struct mqw_pool_item *i = mqw_map_get(&p->numbers, text);
	uint32_t number;

	if (i && i->users < UINT32_MAX) {
		i->users++;
		*ret = i->number;
		return true;
	}
	if (i || !new_number(p, &number))
		return false;
	i = malloc(sizeof(*i) + text.len);
	if (i) {
		i->number = number;
		i->users = 1;
		i->len = text.len;
		memcpy(i->text, text.ptr, text.len);
	}
	if (!i || mqw_map_put(&p->numbers, mqw_slice(i->text, i->len), i) < 0) {
		free(i);
		p->unused[p->unused_count++] = number;
		return false;
	}
	p->items[number] = i;
	*ret = number;
	return true;
}

struct mqw_slice mqw_pool_text(const struct mqw_pool *p, uint32_t number)
{
	return mqw_slice(p->items[number]->text, p->items[number]->len);
}

void mqw_pool_drop(struct mqw_pool *p, uint32_t number)
{
	struct mqw_pool_item *i = p->items[number];

	if (--i->users)
		return;
	mqw_map_take(&p->numbers, mqw_slice(i->text, i->len));
	free(i);
	p->items[number] = NULL;
	p->unused[p->unused_count++] = number;
}
