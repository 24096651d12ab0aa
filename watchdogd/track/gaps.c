/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

#define WHY_MAX 300

void mqw_gaps_done(struct mqw_gaps *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->list[i].why);
	free(g->list);
	*g = (struct mqw_gaps){0};
}

int mqw_gaps_add(struct mqw_gaps *g, int64_t from, int64_t to, struct mqw_slice why)
{
	struct mqw_gap gap = {.from = from, .to = to};
	struct mqw_gap *list;
	size_t i;

	if (g->count == MQW_GAPS_MAX) {
		struct mqw_gap *last = &g->list[g->count - 1];

		last->from = from < last->from ? from : last->from;
		last->to = to > last->to ? to : last->to;
		return 0;
	}
	gap.why = mqw_slice_dup(mqw_slice_head(why, WHY_MAX));
	if (!gap.why)
		return -ENOMEM;
	list = realloc(g->list, (g->count + 1) * sizeof(*list));
	if (!list) {
		free(gap.why);
		return -ENOMEM;
	}
	g->list = list;
	for (i = g->count++; i > 0 && g->list[i - 1].to > to; i--)
		g->list[i] = g->list[i - 1];
	g->list[i] = gap;
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
