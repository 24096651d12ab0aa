/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of a recipient: DESIGN section 1, as a chain of questions in order of weight. What
 * its own lines said comes first, then what was said of the whole message, then what the queue
 * shows, and silence last. A trouble verdict is a claim that people act on: when in doubt the
 * answer is unknown, with the reason.
 */
#include "watchdogd/track/tracker_internal.h"

/* The lifetime that counts for this message, 0 when the MTA did not tell it. */
static int64_t known_lifetime(const struct mqw_tracker *t, const struct mqw_message *m)
{
	bool null_sender = m->sender && m->sender[0] == '\0';

	return null_sender && t->options.bounce_lifetime ? t->options.bounce_lifetime
							 : t->options.lifetime;
}

static int64_t any_lifetime(const struct mqw_tracker *t, const struct mqw_message *m)
{
	int64_t known = known_lifetime(t, m);

	return known ? known : t->options.default_lifetime;
}

static void say(struct mqw_tracker *t, const char *text)
{
	mqw_buffer_add_str(&t->reason, text);
}

static void say_span(struct mqw_tracker *t, const char *before, int64_t span, const char *after)
{
	say(t, before);
	mqw_span_format(&t->reason, span);
	say(t, after);
}

static void say_time(struct mqw_tracker *t, const char *before, int64_t time, const char *after)
{
	say(t, before);
	mqw_time_format(&t->reason, time);
	say(t, after);
}

static void say_answer(struct mqw_tracker *t, const struct mqw_recipient *r)
{
	if (r->code)
		mqw_buffer_printf(&t->reason, "%d", r->code);
	else
		say(t, "a temporary failure");
}

static void say_last_answer(struct mqw_tracker *t, const struct mqw_recipient *r)
{
	if (!r->attempts) {
		say(t, r->reply ? "" : "no answer to a try is logged");
		mqw_buffer_add_printable(&t->reason, mqw_slice_of(r->reply));
		return;
	}
	say(t, "last answer ");
	say_answer(t, r);
}

/* Unknown instead of trouble when a gap may hide the truth; answers whether it does. */
static bool hidden_by_gap(struct mqw_tracker *t, const struct mqw_message *m, int64_t until)
{
	const struct mqw_gap *gap = mqw_gaps_find(&t->gaps, m->last_seen, until);

	if (!gap)
		return false;
	mqw_buffer_clear(&t->reason);
	say_time(t, "the log is incomplete after its last line, from ", gap->from, "");
	say_time(t, " to ", gap->to, " (");
	mqw_buffer_add_printable(&t->reason, mqw_slice_of(gap->why));
	say(t, "), so that silence proves nothing");
	return true;
}

static struct mqw_judgement verdict(enum mqw_verdict v, enum mqw_confidence c)
{
	return (struct mqw_judgement){.verdict = v, .confidence = c};
}

static struct mqw_judgement unknown(void)
{
	return verdict(MQW_VERDICT_UNKNOWN, MQW_CONFIDENCE_UNPROVEN);
}

/* Given up on a temporary failure: the age decides whether that was rightful. */
static struct mqw_judgement judge_given_up(struct mqw_tracker *t, const struct mqw_message *m,
	const struct mqw_recipient *r, int64_t at)
{
	int64_t age = at - m->opened_at, known = known_lifetime(t, m);
	/* The MTA counts in whole seconds, and an age from the log's own "delay=" is rounded. */
	int64_t tolerance = m->opening_seen ? 2 * MQW_SECOND : age / 50 + 2 * MQW_SECOND;

	if (m->gave_up_forced) {
		say(t, "an operator expired it by hand; the sender was told");
		return verdict(MQW_VERDICT_REMOVED, MQW_CONFIDENCE_CERTAIN);
	}
	if (age >= t->options.min_lifetime && (!known || age + tolerance >= known)) {
		say_span(t, "the queue lifetime ran out after ", age, "; the sender was told");
		return verdict(MQW_VERDICT_EXPIRED, MQW_CONFIDENCE_CERTAIN);
	}
	if (!m->age_known) {
		say_span(t,
			"given up, but the log begins in the middle of its life: it is at least ",
			age, " old, and how much more is not logged");
		return unknown();
	}
	say(t, "reported as failed on ");
	say_answer(t, r);
	say_span(t, ", a temporary answer, at the age of only ", age, "");
	if (known && age >= t->options.min_lifetime)
		say_span(t, ", before the lifetime of ", known, " ran out");
	else
		say_span(t, "; greylisting needs up to ", t->options.min_lifetime, "");
	return verdict(MQW_VERDICT_FALSE_NDR, MQW_CONFIDENCE_CERTAIN);
}

static struct mqw_judgement judge_handed_off(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	const struct mqw_message *s =
		mqw_identity_find(t, mqw_slice_of(m->realm), mqw_slice_of(r->successor));

	if (!s && !r->successor_known) {
		/* The next hop's log is not this one: its 2xx is the last word that there is. */
		say(t, "accepted by the next hop");
		return verdict(MQW_VERDICT_DELIVERED, MQW_CONFIDENCE_CERTAIN);
	}
	if (s && !s->queued && !s->recipients && !mqw_message_closed(s) && !s->held &&
		t->now - s->last_seen > t->options.slack && !hidden_by_gap(t, s, t->now)) {
		say(t, "accepted by the next hop as ");
		mqw_buffer_add_printable(&t->reason, mqw_slice_of(r->successor));
		say_span(t, ", which was never queued there and is silent for ",
			t->now - s->last_seen, "");
		return verdict(MQW_VERDICT_LOST_DOWNSTREAM, MQW_CONFIDENCE_PROBABLE);
	}
	mqw_buffer_clear(&t->reason);
	say(t, "handed on as ");
	mqw_buffer_add_printable(&t->reason, mqw_slice_of(r->successor));
	say(t, "; the verdict is on that one");
	return verdict(MQW_VERDICT_HANDED_OFF, MQW_CONFIDENCE_CERTAIN);
}

/* What this recipient's own lines settle; NONE with confidence COUNT: they do not. */
static struct mqw_judgement judge_own_lines(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	switch ((enum mqw_recipient_state)r->state) {
	case MQW_RECIPIENT_SENT:
		say(t, "delivered");
		return verdict(MQW_VERDICT_DELIVERED, MQW_CONFIDENCE_CERTAIN);
	case MQW_RECIPIENT_HANDED_OFF:
		return judge_handed_off(t, m, r);
	case MQW_RECIPIENT_BOUNCED:
		say(t, "rejected for good; the failure report is rightful");
		return verdict(MQW_VERDICT_BOUNCED, MQW_CONFIDENCE_CERTAIN);
	case MQW_RECIPIENT_MISBOUNCED:
		mqw_buffer_printf(&t->reason,
			"the server answered %d, a temporary answer, and the message was bounced",
			r->code);
		return verdict(MQW_VERDICT_FALSE_NDR, MQW_CONFIDENCE_CERTAIN);
	case MQW_RECIPIENT_DISCARDED:
		say(t, "dropped by policy");
		return verdict(MQW_VERDICT_DISCARDED, MQW_CONFIDENCE_CERTAIN);
	case MQW_RECIPIENT_PROBED:
		return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_CERTAIN);
	case MQW_RECIPIENT_WITHDRAWN:
		say(t, "marked as done by an operator");
		return verdict(MQW_VERDICT_REMOVED, MQW_CONFIDENCE_CERTAIN);
	case MQW_RECIPIENT_GIVEN_UP:
		/* Nobody takes a report's report: the MTA keeps such a message on hold. */
		if (!m->held)
			return judge_given_up(t, m, r, r->last_attempt);
		break;
	case MQW_RECIPIENT_WAITING:
	case MQW_RECIPIENT_DEFERRED:
	case MQW_RECIPIENT_COUNT:
		break;
	}
	return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_COUNT);
}

static struct mqw_judgement judge_requeued(struct mqw_tracker *t, const struct mqw_message *m)
{
	if (t->now - m->requeued_at <= t->options.slack) {
		say(t, "requeued by an operator; its new id is not logged yet");
		return verdict(MQW_VERDICT_RELOCATED, MQW_CONFIDENCE_PROBABLE);
	}
	if (hidden_by_gap(t, m, t->now))
		return unknown();
	say_span(t, "requeued by an operator ", t->now - m->requeued_at,
		" ago and not taken up again since");
	return verdict(MQW_VERDICT_OVERDUE, MQW_CONFIDENCE_PROBABLE);
}

/*
 * An MTA that reports in the log only what it reports to the sender: silence at the end of the
 * lifetime is what a sender gets who wants no report (NOTIFY=NEVER, RFC 3461).
 */
static bool ended_unreported(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	int64_t end = m->removed ? m->closed_at : m->queue_gone ? m->gone_at : MQW_TIME_NONE;
	int64_t lifetime = any_lifetime(t, m);

	if (!t->options.removal_unlogged || end == MQW_TIME_NONE ||
		r->state != MQW_RECIPIENT_DEFERRED || end - m->opened_at < lifetime ||
		lifetime < t->options.min_lifetime)
		return false;
	say_span(t, "the queue lifetime of ", lifetime,
		" ran out; the log has no report, so that its sender wanted none");
	return true;
}

/* What was said of the whole message; NONE with confidence COUNT: nothing that settles it. */
static struct mqw_judgement judge_message_lines(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	if (m->refused)
		return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_CERTAIN);
	if (m->discarded) {
		say(t, "the whole message was dropped by policy");
		return verdict(MQW_VERDICT_DISCARDED, MQW_CONFIDENCE_CERTAIN);
	}
	if (m->admin_removed) {
		say(t, "deleted from the queue by an operator");
		return verdict(MQW_VERDICT_REMOVED, MQW_CONFIDENCE_CERTAIN);
	}
	if (m->successor) {
		say(t, "goes on under the queue id ");
		mqw_buffer_add_printable(&t->reason, mqw_slice_of(m->successor));
		return verdict(MQW_VERDICT_RELOCATED, MQW_CONFIDENCE_CERTAIN);
	}
	if (m->gave_up)
		return judge_given_up(t, m, r, m->gave_up_at);
	if (ended_unreported(t, m, r))
		return verdict(MQW_VERDICT_EXPIRED, MQW_CONFIDENCE_PROBABLE);
	if (m->removed && !m->file_lost) {
		say(t,
			"the MTA counts it as done, but the log has no last line for this "
			"recipient: "
			"lines are missing");
		return unknown();
	}
	return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_COUNT);
}

static struct mqw_judgement vanished(struct mqw_tracker *t, const struct mqw_message *m,
	const struct mqw_recipient *r, int64_t until, enum mqw_confidence c, const char *how)
{
	if (hidden_by_gap(t, m, until))
		return unknown();
	if (r->attempts) {
		say(t, "last answer ");
		say_answer(t, r);
		say_time(t, " at ", r->last_attempt, ", then ");
	}
	mqw_buffer_add_printable(&t->reason, mqw_slice_of(how));
	say(t, "; neither delivered nor reported");
	return verdict(MQW_VERDICT_VANISHED, c);
}

/* A file whose tries no line tells of: all that is known is when it should be gone. */
static struct mqw_judgement judge_by_lifetime(
	struct mqw_tracker *t, const struct mqw_message *m, int64_t end)
{
	if (t->now > end + t->options.slack) {
		say_span(t, "still in the queue after ", t->now - m->opened_at,
			", though its lifetime ran out");
		return verdict(MQW_VERDICT_OVERDUE, MQW_CONFIDENCE_CERTAIN);
	}
	say_time(t, "in the queue; its lifetime ends at ", end, "");
	return verdict(MQW_VERDICT_PENDING, MQW_CONFIDENCE_CERTAIN);
}

static struct mqw_judgement judge_in_queue(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	int64_t due = m->last_seen + t->options.retry_max;

	if (m->place == MQW_PLACE_DAMAGED)
		return vanished(
			t, m, r, t->now, MQW_CONFIDENCE_CERTAIN, "set aside by the MTA as damaged");
	if (m->place == MQW_PLACE_HELD) {
		say(t, "on hold");
		return verdict(MQW_VERDICT_HELD, MQW_CONFIDENCE_CERTAIN);
	}
	/* Only what is seen lying there for longer than it should is told of with such a time. */
	if (m->place == MQW_PLACE_ARRIVING && m->retry_at != MQW_TIME_NONE &&
		t->now > m->retry_at) {
		say_time(t, "waits to be taken up since ", m->opened_at,
			", which a service that runs does within seconds");
		return verdict(MQW_VERDICT_OVERDUE, MQW_CONFIDENCE_CERTAIN);
	}
	if (m->place == MQW_PLACE_WAITING && m->retry_at != MQW_TIME_NONE)
		due = m->retry_at;
	if (!r->attempts && due - m->opened_at >= any_lifetime(t, m))
		return judge_by_lifetime(t, m, due);
	if (t->now > due + t->options.slack) {
		say_time(t, "still in the queue; a try was due at ", due, " and did not come");
		return verdict(MQW_VERDICT_OVERDUE, MQW_CONFIDENCE_CERTAIN);
	}
	say_time(t, "in the queue; the next try is due by ", due, "");
	return verdict(MQW_VERDICT_PENDING, MQW_CONFIDENCE_CERTAIN);
}

/*
 * Where no line tells of an end: whether the tries went on until one may have come. The lifetime is
 * that of the configuration, which only a caller may know.
 */
static struct mqw_judgement judge_unlogged_end(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	int64_t age = r->last_attempt - m->opened_at, known = known_lifetime(t, m);

	if (age + t->options.retry_max + t->options.slack >= any_lifetime(t, m)) {
		say_span(t, "tried for ", age, ", until its lifetime ran out");
		return verdict(MQW_VERDICT_EXPIRED, MQW_CONFIDENCE_PROBABLE);
	}
	if (!known && age >= t->options.min_lifetime) {
		say_span(t, "tried for ", age,
			", then silence; this log has no line for a message that is given up, and "
			"the lifetime that is configured is not known");
		return unknown();
	}
	return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_COUNT);
}

static struct mqw_judgement judge_silence(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	int64_t silent = t->now - m->last_seen;
	int64_t retry = t->options.retry_max + t->options.slack;
	int64_t end = m->opened_at + any_lifetime(t, m) + retry;
	struct mqw_judgement j;

	if (silent <= retry) {
		say(t, "waiting for its next try");
		return verdict(MQW_VERDICT_PENDING, MQW_CONFIDENCE_PROBABLE);
	}
	if (hidden_by_gap(t, m, t->now))
		return unknown();
	if (mqw_silence_is_broken(&t->silence, m->last_seen)) {
		say(t,
			"most of the messages deferred in that hour fell silent together: the log "
			"itself is broken there");
		return unknown();
	}
	if (t->options.answers_alone) {
		j = judge_unlogged_end(t, m, r);
		if (j.confidence != MQW_CONFIDENCE_COUNT)
			return j;
	}
	say_last_answer(t, r);
	say_span(t, ", then silence for ", silent, " while the log goes on");
	if (t->now > end) {
		say_span(t, ", longer than its lifetime of ", any_lifetime(t, m), "");
		return verdict(MQW_VERDICT_VANISHED, MQW_CONFIDENCE_PROBABLE);
	}
	say_span(t, "; a try was due within ", t->options.retry_max, "");
	return verdict(MQW_VERDICT_OVERDUE, MQW_CONFIDENCE_PROBABLE);
}

static struct mqw_judgement judge_queue(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	bool tried = r->state == MQW_RECIPIENT_DEFERRED;

	/* An alias or a list goes on under other names and ids, and leaves no line of its own. */
	if (m->queue_gone && t->options.removal_unlogged && !r->address)
		return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_UNPROVEN);
	/* Its operators take out by hand what they have on hold; the MTA itself never does. */
	if (m->queue_gone && t->options.removal_unlogged && m->held) {
		say(t, "put on hold, then taken out of the queue by hand");
		return verdict(MQW_VERDICT_REMOVED, MQW_CONFIDENCE_PROBABLE);
	}
	if (m->queue_gone)
		return vanished(t, m, r, m->gone_at, MQW_CONFIDENCE_CERTAIN,
			"its file left the queue without a word in the log");
	if (m->file_lost)
		return vanished(t, m, r, t->now, MQW_CONFIDENCE_PROBABLE,
			m->lost_how ? m->lost_how : "its file was lost");
	if (m->held) {
		say(t, "put on hold");
		return verdict(MQW_VERDICT_HELD, MQW_CONFIDENCE_CERTAIN);
	}
	if (m->admin_requeued)
		return judge_requeued(t, m);
	if (m->place != MQW_PLACE_NONE && (tried || m->place == MQW_PLACE_DAMAGED || r->address))
		return judge_in_queue(t, m, r);
	if (tried)
		return judge_silence(t, m, r);
	if (!r->address || !m->queued)
		return verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_UNPROVEN);
	say(t, "not tried yet");
	return verdict(MQW_VERDICT_PENDING, MQW_CONFIDENCE_PROBABLE);
}

/* The answer that the verdict rests on may have been another's. */
static struct mqw_judgement doubt(struct mqw_tracker *t, struct mqw_judgement j)
{
	if (!t->options.answers_alone) {
		/* Other lines say that it was neither delivered nor reported. */
		j.confidence = MQW_CONFIDENCE_UNPROVEN;
		return j;
	}
	mqw_buffer_clear(&t->reason);
	say(t,
		"several sessions with that host ran at the same time, and the log does not tell "
		"which of its answers was to whom");
	return unknown();
}

struct mqw_judgement mqw_judge(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r)
{
	struct mqw_judgement j;

	mqw_buffer_clear(&t->reason);
	mqw_buffer_clear(&t->remedy);
	j = m->probe ? verdict(MQW_VERDICT_NONE, MQW_CONFIDENCE_CERTAIN) : judge_own_lines(t, m, r);
	if (j.confidence == MQW_CONFIDENCE_COUNT)
		j = judge_message_lines(t, m, r);
	if (j.confidence == MQW_CONFIDENCE_COUNT)
		j = judge_queue(t, m, r);
	if (r->doubtful && mqw_verdict_is_trouble(j.verdict))
		j = doubt(t, j);
	if (t->options.remedy &&
		(mqw_verdict_is_trouble(j.verdict) || j.verdict == MQW_VERDICT_UNKNOWN))
		t->options.remedy(m, r, j.verdict, &t->remedy);
	j.reason = mqw_buffer_str(&t->reason);
	j.remedy = t->remedy.len ? mqw_buffer_str(&t->remedy) : NULL;
	return j;
}
