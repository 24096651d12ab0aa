/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an event changes in the message that it is about. */
#include <errno.h>

#include "watchdogd/track/tracker_internal.h"

#define REPLY_MAX 512
#define ID_MAX 64
#define USUAL_DELAY (5 * MQW_MINUTE) /* of greylisting, where a product's own is not known */
#define LOST_UNSAID "the MTA counted the message as done without a word on this recipient"

/* Outcomes that are no try: what the last try had said stays, code and reply. */
static bool is_no_try(enum mqw_outcome outcome)
{
	return outcome == MQW_OUTCOME_SKIPPED || outcome == MQW_OUTCOME_UNDER_WAY ||
		outcome == MQW_OUTCOME_EXPIRED || outcome == MQW_OUTCOME_WITHDRAWN;
}

/* In the queue all the same. */
static bool is_waiting(enum mqw_outcome outcome)
{
	return outcome == MQW_OUTCOME_SKIPPED || outcome == MQW_OUTCOME_UNDER_WAY;
}

static void apply_no_try(struct mqw_message *m, struct mqw_recipient *r, const struct mqw_event *e)
{
	if (r->last_attempt != MQW_TIME_NONE && e->time < r->last_attempt)
		return;
	if (r->first_attempt == MQW_TIME_NONE) {
		r->first_attempt = e->time;
		r->first_seen_at = e->evidence;
	}
	r->state = (uint8_t)mqw_recipient_step(
		(enum mqw_recipient_state)r->state, e->outcome, e->code);
	/* Of what was not tried the last try stays the last; of what ended, this is its end. */
	if (!is_waiting(e->outcome) || r->last_attempt == MQW_TIME_NONE) {
		r->last_attempt = e->time;
		r->last_seen_at = e->evidence;
	}
	if (!r->reply && e->reply.len)
		mqw_string_set(&r->reply, e->reply, REPLY_MAX);
	/* What is on its way for the first time has not failed yet. */
	if (r->state == MQW_RECIPIENT_DEFERRED && e->outcome != MQW_OUTCOME_UNDER_WAY &&
		m->deferred_at == MQW_TIME_NONE)
		m->deferred_at = e->time;
}

/*
 * An operator may have marked what an address expands to, and recipients are known by the address
 * that they came with: which of them it was cannot be told, so that none is claimed to be lost.
 */
static void withdraw_unknown(struct mqw_message *m)
{
	for (struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->state == MQW_RECIPIENT_DEFERRED)
			r->state = MQW_RECIPIENT_WITHDRAWN;
}

/* No report was made of these failures: the program that handed the message in was told. */
static void drop_unreported(struct mqw_message *m)
{
	for (struct mqw_recipient *r = m->recipients; r && !m->ndr_id; r = r->next)
		if (r->state == MQW_RECIPIENT_MISBOUNCED)
			r->state = MQW_RECIPIENT_BOUNCED;
}

/*
 * Whether the MTA left a recipient without a last word. Where it was started since his last line it may
 * have died before that word: what it has delivered to and not logged it counts as done when it goes on.
 */
static bool left_unsaid(const struct mqw_message *m, int64_t started)
{
	bool unsaid = false;

	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->state == MQW_RECIPIENT_DEFERRED) {
			if (started != MQW_TIME_NONE && started >= r->last_attempt)
				return false;
			unsaid = true;
		}
	return unsaid;
}

/*
 * A receiver may word its answers differently from try to try, and most products do not tell their
 * delay: then it is what most of them have.
 */
static bool is_hasty(const struct mqw_recipient *r, const struct mqw_event *e)
{
	struct mqw_slice reply = e->reply;
	const struct mqw_greylist *g = mqw_greylist_find(reply);
	int64_t delay = r->hasty ? USUAL_DELAY : 0;

	if (!g && r->reply) {
		reply = mqw_slice_of(r->reply);
		g = mqw_greylist_find(reply);
	}
	if (g)
		delay = mqw_greylist_delay(g, reply);
	if (g && !delay)
		delay = USUAL_DELAY;
	return e->time - r->first_attempt < delay;
}

static void apply_attempt(struct mqw_tracker *t, struct mqw_message *m, struct mqw_recipient *r,
	const struct mqw_event *e)
{
	enum mqw_recipient_state to =
		mqw_recipient_step((enum mqw_recipient_state)r->state, e->outcome, e->code);
	bool hasty;

	if (is_no_try(e->outcome)) {
		apply_no_try(m, r, e);
		return;
	}
	if (e->outcome == MQW_OUTCOME_PROBE) {
		mqw_totals_take_out(t, m);
		m->probe = true;
	}
	if (!r->attempts || e->time < r->first_attempt) {
		r->first_attempt = e->time;
		r->first_seen_at = e->evidence;
		r->attempts++;
	} else if (e->time > r->last_attempt) {
		r->attempts++; /* otherwise it is late, or read a second time */
	}
	/* A late line does not overwrite what a newer one said, nor does a line that comes twice. */
	if (r->last_attempt != MQW_TIME_NONE && to == r->state &&
		(e->time < r->last_attempt || (e->time == r->last_attempt && e->code == r->code)))
		return;
	/* One that came late enough is enough: no answer to a further one is read for its delay. */
	hasty = r->attempts > 1 && (r->attempts == 2 || r->hasty) &&
		e->outcome == MQW_OUTCOME_DEFERRED &&
		e->time - r->first_attempt < MQW_GREYLIST_DELAY_MAX && is_hasty(r, e);
	r->last_attempt = e->time;
	r->last_seen_at = e->evidence;
	r->state = (uint8_t)to;
	r->code = (uint16_t)e->code;
	r->doubtful = e->doubtful;
	r->status[0] = '\0';
	if (e->status.len && e->status.len < sizeof(r->status)) {
		memcpy(r->status, e->status.ptr, e->status.len);
		r->status[e->status.len] = '\0';
	}
	if (e->relay.len && !mqw_slice_eq(e->relay, MQW_LIT("none")))
		mqw_recipient_set_relay(r, e->relay, REPLY_MAX);
	if (e->reply.len)
		mqw_string_set(&r->reply, e->reply, REPLY_MAX);
	if (e->outcome == MQW_OUTCOME_HANDED_OFF && e->other_id.len) {
		mqw_string_set(&r->successor, e->other_id, ID_MAX);
		r->successor_known = mqw_identity_find(t, e->realm, e->other_id) != NULL;
	}
	if (e->outcome == MQW_OUTCOME_DEFERRED) {
		mqw_silence_deferred(&t->silence, m->deferred_at, e->time);
		m->deferred_at = e->time;
		r->hasty = hasty;
	}
}

/* What it continues, which the tracker may still know. */
static int continue_former(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	struct mqw_message *former = mqw_identity_find(t, e->realm, e->other_id);

	/* Its own link comes last: when memory is out the line comes again, and does the rest. */
	if (!former || former == m)
		return mqw_string_set(&m->former_id, e->other_id, ID_MAX) ? 0 : -ENOMEM;
	if (!mqw_string_set(&former->successor, e->queue_id, ID_MAX))
		return -ENOMEM;
	if (!m->sender && former->sender &&
		!mqw_message_set_sender(m, mqw_slice_of(former->sender), REPLY_MAX))
		return -ENOMEM;
	if (!m->message_id && former->message_id &&
		!mqw_message_set_message_id(m, mqw_slice_of(former->message_id), REPLY_MAX))
		return -ENOMEM;
	if (!mqw_string_set(&m->former_id, e->other_id, ID_MAX))
		return -ENOMEM;
	former->closed_at = e->time;
	former->last_seen = e->time;
	mqw_silence_followed(&t->silence, former->deferred_at);
	if (t->live)
		mqw_tracker_review(t, former, false);
	mqw_tracker_mark_dirty(t, former);
	return mqw_tracker_schedule(t, former);
}

static int begin_life(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	m->opening_seen = m->age_known = true;
	if (e->time < m->opened_at)
		m->opened_at = e->time;
	return e->other_id.len ? continue_former(t, m, e) : 0;
}

/* Where nothing but the id tells what it continues, each of its lines may say so. */
static bool is_said_again(const struct mqw_message *m, const struct mqw_event *e)
{
	return e->other_id.len && m->former_id &&
		mqw_slice_eq(mqw_slice_of(m->former_id), e->other_id);
}

static int apply_opened(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	if (is_said_again(m, e))
		return 0;
	if (e->sender.ptr)
		mqw_message_set_sender(m, e->sender, REPLY_MAX);
	return begin_life(t, m, e);
}

static int apply_message_id(struct mqw_message *m, const struct mqw_event *e)
{
	/* What the MTA makes itself (reports, forwards) has no line before this one. */
	if (!m->queued && !m->recipients)
		m->opening_seen = m->age_known = true;
	m->probe = m->probe || e->own;
	return mqw_message_set_message_id(m, e->message_id, REPLY_MAX) ? 0 : -ENOMEM;
}

static void take_on(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	/* Where a try has been seen its first such line was before all that is known. */
	if (!m->taken_on)
		mqw_totals_add_message(t, m);
	m->taken_on = true;
	m->queued = true;
	m->announced = e->count > UINT32_MAX ? UINT32_MAX : (uint32_t)e->count;
	m->held = false;
}

static int apply_arrived(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	int r;

	if (e->sender.ptr && !mqw_message_set_sender(m, e->sender, REPLY_MAX))
		return -ENOMEM;
	r = is_said_again(m, e) ? 0 : begin_life(t, m, e);
	if (r == 0 && e->message_id.len)
		r = apply_message_id(m, e);
	if (r == 0)
		take_on(t, m, e);
	return r;
}

static void close_message(struct mqw_tracker *t, struct mqw_message *m, bool *flag, int64_t time)
{
	*flag = true;
	if (m->closed_at == MQW_TIME_NONE || time > m->closed_at)
		m->closed_at = time;
	mqw_silence_followed(&t->silence, m->deferred_at);
}

int mqw_tracker_apply(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e)
{
	struct mqw_message *report;
	struct mqw_recipient *r;

	switch (e->kind) {
	case MQW_EVENT_OPENED:
		return apply_opened(t, m, e);
	case MQW_EVENT_MESSAGE_ID:
		return apply_message_id(m, e);
	case MQW_EVENT_QUEUED:
		take_on(t, m, e);
		return !e->sender.ptr || mqw_message_set_sender(m, e->sender, REPLY_MAX) ? 0
											 : -ENOMEM;
	case MQW_EVENT_ARRIVED:
		return apply_arrived(t, m, e);
	case MQW_EVENT_ATTEMPT:
		m->queued = m->taken_on = true;
		if (e->outcome == MQW_OUTCOME_WITHDRAWN &&
			!mqw_message_find_recipient(m, e->recipient))
			withdraw_unknown(m);
		r = mqw_message_recipient(&t->pieces, m, e->recipient, t->options.max_recipients);
		t->tried = r;
		if (!r) {
			if (!t->options.max_recipients ||
				m->recipient_count < t->options.max_recipients)
				return -ENOMEM;
			t->counts.ignored++;
			return 0;
		}
		if (!m->opening_seen && e->delay != MQW_TIME_NONE) {
			m->age_known = true;
			if (e->time - e->delay < m->opened_at)
				m->opened_at = e->time - e->delay;
		}
		if (m->reported && m->recipients == m->last_recipient) {
			/* What was said of recipients without a name was said of this one. */
			if (!r->reported) {
				r->reported = m->reported;
				r->sure = m->sure;
			}
			m->reported = MQW_VERDICT_NONE;
		}
		/* As above: the recipient has its place in the totals then. */
		mqw_totals_move(t, &m->counted, MQW_VERDICT_NONE);
		apply_attempt(t, m, r, e);
		return 0;
	case MQW_EVENT_GAVE_UP:
		m->gave_up = true;
		m->gave_up_forced = e->forced;
		m->gave_up_at = e->time;
		return 0;
	case MQW_EVENT_NDR:
		/* A report about what is not judged is not judged either: it would go round. */
		report = m->probe ? mqw_identity_find(t, e->realm, e->other_id) : NULL;
		if (report) {
			mqw_totals_take_out(t, report);
			report->probe = true;
		}
		return mqw_string_set(&m->ndr_id, e->other_id, ID_MAX) ? 0 : -ENOMEM;
	case MQW_EVENT_REMOVED:
		close_message(t, m, &m->removed, e->time);
		if (e->whole_log)
			drop_unreported(m);
		if (e->whole_log && m->opening_seen && left_unsaid(m, e->from)) {
			m->file_lost = true;
			return mqw_string_set(&m->lost_how, MQW_LIT(LOST_UNSAID), REPLY_MAX)
				? 0
				: -ENOMEM;
		}
		return 0;
	case MQW_EVENT_ADMIN_REMOVED:
		close_message(t, m, &m->admin_removed, e->time);
		return 0;
	case MQW_EVENT_DISCARDED:
		close_message(t, m, &m->discarded, e->time);
		return 0;
	case MQW_EVENT_REFUSED:
		close_message(t, m, &m->refused, e->time);
		return 0;
	case MQW_EVENT_HELD:
	case MQW_EVENT_RELEASED:
		m->held = e->kind == MQW_EVENT_HELD;
		return 0;
	case MQW_EVENT_ADMIN_REQUEUED:
		m->admin_requeued = true;
		m->requeued_at = e->time;
		mqw_silence_followed(&t->silence, m->deferred_at);
		return 0;
	case MQW_EVENT_FILE_LOST:
		/* Somebody asks for it by name, and of course its file is gone. */
		if (m->removed)
			return 0;
		m->file_lost = true;
		return mqw_string_set(&m->lost_how, e->reply, REPLY_MAX) ? 0 : -ENOMEM;
	case MQW_EVENT_QUEUE_PRESENT:
		m->queued = m->queued || e->place != MQW_PLACE_ARRIVING;
		m->place = (uint8_t)e->place;
		m->retry_at = e->retry_at;
		m->queue_gone = false;
		m->gone_at = MQW_TIME_NONE;
		if (e->place != MQW_PLACE_QUEUED)
			m->held = e->place == MQW_PLACE_HELD;
		return 0;
	case MQW_EVENT_QUEUE_GONE:
		m->place = MQW_PLACE_NONE;
		m->queue_gone = true;
		m->gone_at = e->time;
		return 0;
	case MQW_EVENT_NOTIFIED:
	case MQW_EVENT_SPLIT:
	case MQW_EVENT_BULK:
	case MQW_EVENT_GAP:
	case MQW_EVENT_COUNT:
		break;
	}
	return 0;
}
