/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/daemon/totals.h"

#include <string.h>

#include "watchdogd/ledger/ledger.h"

/* The names stand in the ledger: verdicts by their words, which are the interface. */
static const char *name_of(size_t at)
{
	static const char *const names[] = {[MQW_TOTAL_SINCE] = "since",
		[MQW_TOTAL_LINES] = "lines",
		[MQW_TOTAL_UNPARSED] = "unparsed",
		[MQW_TOTAL_MESSAGES] = "messages",
		[MQW_TOTAL_ADOPTED] = "adopted",
		[MQW_TOTAL_OPEN] = "open"};

	return at < MQW_TOTAL_VERDICTS
		? names[at]
		: mqw_verdict_name((enum mqw_verdict)(at - MQW_TOTAL_VERDICTS + 1));
}

int mqw_totals_load(struct mqw_totals *s, struct mqw_ledger *l, const char *instance, int64_t now,
	struct mqw_tracker *t)
{
	struct mqw_tracker_totals totals = {0};
	int r = 0;

	*s = (struct mqw_totals){0};
	for (size_t i = 0; r >= 0 && i < MQW_TOTAL_COUNT; i++)
		r = mqw_ledger_get_total(l, instance, name_of(i), &s->kept[i]);
	if (r < 0)
		return r;
	memcpy(s->now, s->kept, sizeof(s->now));
	if (s->now[MQW_TOTAL_SINCE] == 0)
		s->now[MQW_TOTAL_SINCE] = now;
	totals.messages = (uint64_t)s->now[MQW_TOTAL_MESSAGES];
	for (size_t v = 1; v < MQW_VERDICT_COUNT; v++)
		totals.verdicts[v] = (uint64_t)s->now[MQW_TOTAL_VERDICTS + v - 1];
	mqw_tracker_restore_totals(t, &totals);
	mqw_tracker_expect(t, s->kept[MQW_TOTAL_OPEN] > 0 ? (uint64_t)s->kept[MQW_TOTAL_OPEN] : 0);
	return 0;
}

void mqw_totals_restart(struct mqw_totals *s, int64_t now, struct mqw_tracker *t)
{
	const struct mqw_tracker_totals none = {0};

	memset(s->now, 0, sizeof(s->now));
	s->now[MQW_TOTAL_SINCE] = now;
	mqw_tracker_restore_totals(t, &none);
}

static void update(struct mqw_totals *s, const struct mqw_tracker *t)
{
	const struct mqw_tracker_totals *totals = mqw_tracker_totals(t);

	s->now[MQW_TOTAL_MESSAGES] = (int64_t)totals->messages;
	s->now[MQW_TOTAL_OPEN] = (int64_t)mqw_tracker_counts(t)->open;
	for (size_t v = 1; v < MQW_VERDICT_COUNT; v++)
		s->now[MQW_TOTAL_VERDICTS + v - 1] = (int64_t)totals->verdicts[v];
}

int mqw_totals_put(struct mqw_totals *s, struct mqw_ledger *l, const char *instance,
	const struct mqw_tracker *t)
{
	int r = 0;

	update(s, t);
	for (size_t i = 0; r == 0 && i < MQW_TOTAL_COUNT; i++)
		if (s->now[i] != s->kept[i])
			r = mqw_ledger_put_total(l, instance, name_of(i), s->now[i]);
	return r;
}

void mqw_totals_committed(struct mqw_totals *s)
{
	memcpy(s->kept, s->now, sizeof(s->kept));
}
