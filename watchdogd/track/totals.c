/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many recipients had which verdict, each counted once. The number moves with the event that
 * changes the verdict and not when the message is let go: between the two the process may die, and
 * of a message that never waited nothing is kept to count it by after that.
 */
#include "watchdogd/track/tracker_internal.h"

bool mqw_totals_move(struct mqw_tracker *t, uint8_t *counted, enum mqw_verdict v)
{
	if (!t->live || *counted == v)
		return false;
	/* A ledger that somebody changed may have fewer than it takes: no number goes below zero. */
	if (*counted != MQW_VERDICT_NONE && t->totals.verdicts[*counted])
		t->totals.verdicts[*counted]--;
	if (v != MQW_VERDICT_NONE)
		t->totals.verdicts[v]++;
	*counted = (uint8_t)v;
	return true;
}

void mqw_totals_add_message(struct mqw_tracker *t, const struct mqw_message *m)
{
	t->totals.messages += t->live && !m->probe;
}

void mqw_totals_take_out(struct mqw_tracker *t, struct mqw_message *m)
{
	if (!t->live || m->probe)
		return;
	if (m->taken_on && t->totals.messages)
		t->totals.messages--;
	mqw_totals_move(t, &m->counted, MQW_VERDICT_NONE);
	for (struct mqw_recipient *r = m->recipients; r; r = r->next)
		mqw_totals_move(t, &r->counted, MQW_VERDICT_NONE);
}

/* What may still become another: not counted of a message that may be forgotten with the process. */
static bool is_open(enum mqw_verdict v)
{
	return v == MQW_VERDICT_NONE || v == MQW_VERDICT_PENDING || v == MQW_VERDICT_HELD;
}

static void settle(struct mqw_tracker *t, struct mqw_message *m, struct mqw_recipient *r)
{
	/* Nearly every recipient of all mail comes this way. */
	enum mqw_verdict v = r->state == MQW_RECIPIENT_SENT && !m->probe
		? MQW_VERDICT_DELIVERED
		: mqw_judge(t, m, r).verdict;

	if (!is_open(v))
		mqw_totals_move(t, &r->counted, v);
}

void mqw_totals_settle(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	if (!t->live)
		return;
	if (e->kind == MQW_EVENT_ATTEMPT) {
		if (t->tried)
			settle(t, m, t->tried);
		return;
	}
	if (!mqw_message_closed(m))
		return;
	for (struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->counted == MQW_VERDICT_NONE)
			settle(t, m, r);
}

void mqw_totals_give_up(struct mqw_tracker *t, struct mqw_message *m)
{
	for (struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->counted != MQW_VERDICT_NONE && is_open((enum mqw_verdict)r->counted))
			mqw_totals_move(t, &r->counted, MQW_VERDICT_UNKNOWN);
}

const struct mqw_tracker_totals *mqw_tracker_totals(const struct mqw_tracker *t)
{
	return &t->totals;
}

void mqw_tracker_restore_totals(struct mqw_tracker *t, const struct mqw_tracker_totals *totals)
{
	t->totals = *totals;
}
