/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/memory.h"

#include "watchdogd/track/tracker_internal.h"

#define FORGET_EVERY MQW_HOUR

struct mqw_memory_change mqw_tracker_memory_change(const struct mqw_tracker *t)
{
	return (struct mqw_memory_change){.gaps = t->gaps.changed,
		.hours = t->silence.changed,
		.hours_from = !t->silence.forgotten ? INT64_MIN
			: t->silence.count          ? t->silence.hours[0].count.hour
						    : INT64_MAX};
}

void mqw_tracker_memory_kept(struct mqw_tracker *t)
{
	t->gaps.changed = t->silence.forgotten = false;
	for (size_t i = 0; t->silence.changed && i < t->silence.count; i++)
		t->silence.hours[i].changed = false;
	t->silence.changed = false;
}

const struct mqw_gap *mqw_tracker_gap(const struct mqw_tracker *t, size_t number)
{
	return number < t->gaps.count ? &t->gaps.list[number] : NULL;
}

const struct mqw_hour *mqw_tracker_changed_hour(const struct mqw_tracker *t, size_t *cursor)
{
	while (*cursor < t->silence.count) {
		const struct mqw_silence_hour *h = &t->silence.hours[(*cursor)++];

		if (h->changed)
			return &h->count;
	}
	return NULL;
}

int mqw_tracker_restore_gap(struct mqw_tracker *t, const struct mqw_gap *gap)
{
	bool changed = t->gaps.changed;
	int r = mqw_gaps_add(&t->gaps, gap->from, gap->to, mqw_slice_of(gap->why));

	t->gaps.changed = changed;
	return r;
}

int mqw_tracker_restore_hour(struct mqw_tracker *t, const struct mqw_hour *hour)
{
	return mqw_silence_restore(&t->silence, hour);
}

/* The earliest last line of all that are followed; no further than limit is looked for. */
static int64_t earliest_last_seen(const struct mqw_tracker *t, int64_t limit)
{
	int64_t earliest = INT64_MAX;

	for (const struct mqw_link *l = t->oldest; l && earliest > limit; l = l->newer) {
		int64_t seen = mqw_packed_last_seen(l);

		earliest = seen < earliest ? seen : earliest;
	}
	return earliest;
}

/* How long a message may be in the queue without a line, and more: the age of what is found there. */
static int64_t queue_life(const struct mqw_tracker *t)
{
	const struct mqw_tracker_options *o = &t->options;
	int64_t life = o->lifetime > o->default_lifetime ? o->lifetime : o->default_lifetime;

	return life + o->retry_max + o->slack;
}

void mqw_memory_forget(struct mqw_tracker *t)
{
	int64_t before = t->now - queue_life(t), seen, oldest = INT64_MAX;

	t->forget_at = t->now + FORGET_EVERY;
	if (t->gaps.count)
		oldest = t->gaps.list[0].to;
	if (t->silence.count && (t->silence.hours[0].count.hour + 1) * MQW_HOUR < oldest)
		oldest = (t->silence.hours[0].count.hour + 1) * MQW_HOUR;
	/* Most often there is nothing old enough, and the messages need not be gone through. */
	if (oldest >= before)
		return;
	seen = earliest_last_seen(t, oldest);
	before = seen < before ? seen : before;
	mqw_gaps_forget(&t->gaps, before);
	mqw_silence_forget(&t->silence, before);
}
