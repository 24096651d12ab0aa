/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a probe makes of one line: how many events, their kinds, and the last of them with its texts. */
#ifndef MQW_TESTS_UNIT_LOG_FIXTURE_H
#define MQW_TESTS_UNIT_LOG_FIXTURE_H

#include "probes/probe.h"

struct got {
	int count;
	struct mqw_event e;
	enum mqw_event_kind kinds[8];
	char texts[8][256]; /* recipient, reply, relay, other_id, queue_id, sender, id, status */
};

static inline void keep(struct got *g, int i, struct mqw_slice s)
{
	size_t n = s.len < 255 ? s.len : 255;

	if (n)
		memcpy(g->texts[i], s.ptr, n);
	g->texts[i][n] = '\0';
}

static inline int emit(void *ctx, const struct mqw_event *e)
{
	struct got *g = ctx;

	if (g->count < 8)
		g->kinds[g->count] = e->kind;
	g->count++;
	g->e = *e;
	keep(g, 0, e->recipient);
	keep(g, 1, e->reply);
	keep(g, 2, e->relay);
	keep(g, 3, e->other_id);
	keep(g, 4, e->queue_id);
	keep(g, 5, e->sender);
	keep(g, 6, e->message_id);
	keep(g, 7, e->status);
	return 0;
}

#endif
