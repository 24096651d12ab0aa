/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks for the verdicts of a message, counts them, and tells those that have changed. */
#include "watchdogd/track/tracker_internal.h"

/* What was only probable may be what somebody waits for to be certain of. */
static bool is_surer(const struct mqw_recipient *r, const struct mqw_judgement *j)
{
	return j->verdict == (enum mqw_verdict)r->reported && mqw_verdict_is_trouble(j->verdict) &&
		r->sure && (unsigned)j->confidence + 1 > r->sure;
}

static const char *greylisting_of(const struct mqw_recipient *r)
{
	const struct mqw_greylist *g = r->reply ? mqw_greylist_find(mqw_slice_of(r->reply)) : NULL;

	return g ? g->name : NULL;
}

/* Nearly every recipient of all mail, at the end of a scan that does not show it. */
static bool is_plainly_delivered(
	const struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	return t->options.quiet && r->state == MQW_RECIPIENT_SENT && !m->probe && !r->reported;
}

/* The last verdicts of a message, where all are of that kind. */
static bool count_plainly_delivered(struct mqw_tracker *t, const struct mqw_message *m)
{
	const struct mqw_recipient *r = m->recipients;

	while (r && is_plainly_delivered(t, m, r))
		r = r->next;
	if (r || !m->recipients)
		return false;
	t->counts.verdicts[MQW_VERDICT_DELIVERED] += m->recipient_count;
	t->counts.recipients += m->recipient_count;
	t->counts.messages += !m->refused;
	return true;
}

static bool is_wanted(const struct mqw_tracker *t, enum mqw_verdict v)
{
	return !t->options.quiet || mqw_verdict_is_trouble(v) || v == MQW_VERDICT_UNKNOWN;
}

static bool review(struct mqw_tracker *t, struct mqw_message *m, bool final)
{
	struct mqw_recipient stand_in = {.first_attempt = MQW_TIME_NONE,
		.last_attempt = MQW_TIME_NONE,
		.first_seen_at = {0},
		.reported = m->reported,
		.sure = m->sure,
		.counted = m->counted};
	struct mqw_recipient *r = m->recipients ? m->recipients : &stand_in;
	bool accepted = m->queued || m->held || m->recipients, changed = false;
	uint8_t sure;

	/* Before the first tick no silence has a length. */
	if ((t->held || t->now == MQW_TIME_NONE) && !final)
		return false;
	m->untold = false;
	for (; r; r = r->next) {
		struct mqw_judgement j;
		enum mqw_verdict previous = (enum mqw_verdict)r->reported;

		if (final && is_plainly_delivered(t, m, r)) {
			t->counts.verdicts[MQW_VERDICT_DELIVERED]++;
			t->counts.recipients++;
			continue;
		}
		j = mqw_judge(t, m, r);
		if (r == &stand_in && !mqw_verdict_is_trouble(j.verdict) && !previous)
			j.verdict = MQW_VERDICT_NONE;
		if (final) {
			t->counts.verdicts[j.verdict]++;
			t->counts.recipients += j.verdict != MQW_VERDICT_NONE;
		}
		if (mqw_totals_move(t, &r->counted, j.verdict))
			changed = true;
		j.again = is_surer(r, &j);
		j.before = (enum mqw_confidence)(r->sure ? r->sure - 1 : 0);
		if ((j.verdict == previous && !j.again) ||
			(j.verdict == MQW_VERDICT_NONE && !t->live) || !is_wanted(t, j.verdict))
			continue;
		sure = r->sure;
		r->reported = (uint8_t)j.verdict;
		r->sure = (uint8_t)(j.confidence + 1);
		changed = true;
		j.greylisting = greylisting_of(r);
		t->not_told = false;
		t->ops.verdict(t->ops.ctx, m, r, &j, previous);
		if (t->not_told) {
			r->reported = (uint8_t)previous;
			r->sure = sure;
			m->untold = true;
		}
	}
	m->reported = stand_in.reported;
	m->sure = stand_in.sure;
	m->counted = stand_in.counted;
	if (final)
		t->counts.messages += accepted && !m->refused && !m->probe;
	return changed;
}

bool mqw_tracker_review(struct mqw_tracker *t, struct mqw_message *m, bool final)
{
	return final && count_plainly_delivered(t, m) ? false : review(t, m, final);
}

struct mqw_judgement mqw_tracker_judge(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	struct mqw_judgement j = mqw_judge(t, m, r);

	j.greylisting = greylisting_of(r);
	return j;
}
