/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an outlet is told, in words: so that what two ways of reading tell can be compared. */
#ifndef MQW_TESTS_UNIT_OUTLET_FIXTURE_H
#define MQW_TESTS_UNIT_OUTLET_FIXTURE_H

#include <errno.h>

#include "probes/probe.h"
#include "watchdogd/cli/outlet.h"

struct record {
	struct mqw_buffer told;
	uint64_t events;
	uint64_t fail_at; /* the event that is not taken; 0: none */
	/* What the MTA is by then; NULL: that is not looked at. */
	const struct mqw_probe_ops *const *mta;
	uint64_t of_nobody; /* events that came before it was known */
};

static inline void tell_text(struct mqw_buffer *b, struct mqw_slice s)
{
	mqw_buffer_printf(b, "%s%zu:", s.ptr ? "" : "none", s.len);
	mqw_buffer_add(b, s);
}

static inline int record_event(void *ctx, const struct mqw_event *e)
{
	struct record *r = ctx;

	if (++r->events == r->fail_at)
		return -EIO;
	r->of_nobody += r->mta && !*r->mta;
	mqw_buffer_printf(&r->told, "[%d %d %d %lld %lld %lld %lld %u:%llu ", (int)e->kind,
		(int)e->outcome, e->code, (long long)e->time, (long long)e->delay,
		(long long)e->from, (long long)e->to, e->evidence.source,
		(unsigned long long)e->evidence.line);
	tell_text(&r->told, e->realm);
	tell_text(&r->told, e->instance);
	tell_text(&r->told, e->queue_id);
	tell_text(&r->told, e->other_id);
	tell_text(&r->told, e->sender);
	tell_text(&r->told, e->recipient);
	tell_text(&r->told, e->message_id);
	tell_text(&r->told, e->relay);
	tell_text(&r->told, e->status);
	tell_text(&r->told, e->reply);
	mqw_buffer_add_str(&r->told, "]\n");
	return 0;
}

static inline void record_time(void *ctx, int64_t now)
{
	struct record *r = ctx;

	mqw_buffer_printf(&r->told, "%lld\n", (long long)now);
}

static inline void record_recognised(void *ctx, const struct mqw_probe_ops *mta)
{
	struct record *r = ctx;

	mqw_buffer_printf(&r->told, "it is %s\n", mta->name);
}

static inline struct mqw_outlet outlet_of(struct record *r)
{
	return (struct mqw_outlet){.sink = {.emit = record_event, .ctx = r},
		.time = record_time,
		.time_ctx = r,
		.recognised = record_recognised,
		.recognised_ctx = r};
}

#endif
