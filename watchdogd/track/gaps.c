/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

#define WHY_MAX 300

static void free_why(struct mqw_gap *gap)
{
	free((char *)(uintptr_t)gap->why);
}

void mqw_gaps_done(struct mqw_gaps *g)
{
	for (size_t i = 0; i < g->count; i++)
		free_why(&g->list[i]);
	free(g->list);
	*g = (struct mqw_gaps){0};
}

/* Room for one: the two that are nearest to each other become one, which hides the least more. */
static void join_two(struct mqw_gaps *g)
{
	size_t best = 0;
	int64_t least = INT64_MAX;

	for (size_t i = 0; i + 1 < g->count; i++) {
		int64_t between = g->list[i + 1].from > g->list[i].to
			? g->list[i + 1].from - g->list[i].to
			: 0;

		if (between < least) {
			least = between;
			best = i;
		}
	}
	if (g->list[best].from < g->list[best + 1].from)
		g->list[best + 1].from = g->list[best].from;
	free_why(&g->list[best]);
	g->count--;
	memmove(&g->list[best], &g->list[best + 1], (g->count - best) * sizeof(*g->list));
}

int mqw_gaps_add(struct mqw_gaps *g, int64_t from, int64_t to, struct mqw_slice why)
{
	struct mqw_gap gap = {.from = from, .to = to};
	struct mqw_gap *list;
	size_t i;

	gap.why = mqw_slice_dup(mqw_slice_head(why, WHY_MAX));
	if (!gap.why)
		return -ENOMEM;
	if (g->count == MQW_GAPS_MAX)
		join_two(g);
	list = realloc(g->list, (g->count + 1) * sizeof(*list));
	if (!list) {
		free_why(&gap);
		return -ENOMEM;
	}
	g->list = list;
	for (i = g->count++; i > 0 && g->list[i - 1].to > to; i--)
		g->list[i] = g->list[i - 1];
	g->list[i] = gap;
	g->changed = true;
	return 0;
}

const struct mqw_gap *mqw_gaps_find(const struct mqw_gaps *g, int64_t from, int64_t to)
{
	for (size_t i = g->count; i-- > 0;) {
		if (g->list[i].to < from)
			return NULL; /* in order of to: no earlier one reaches further */
		if (g->list[i].from <= to)
			return &g->list[i];
	}
	return NULL;
}

void mqw_gaps_forget(struct mqw_gaps *g, int64_t before)
{
	size_t n = 0;

	while (n < g->count && g->list[n].to < before)
		free_why(&g->list[n++]);
	if (n == 0)
		return;
	g->count -= n;
	memmove(g->list, g->list + n, g->count * sizeof(*g->list));
	g->changed = true;
}
