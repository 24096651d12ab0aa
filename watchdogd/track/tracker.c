/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/tracker.h"

#include <errno.h>
#include <stdlib.h>

#include "watchdogd/track/tracker_internal.h"

#define UNQUEUED_LIFE MQW_DAY /* an id that was never queued is a session that came to nothing */
#define UNSETTLED_LIFE MQW_DAY /* all recipients final, but no line says that the file is gone */
#define SEEMS_DONE_LIFE (10 * MQW_MINUTE) /* an alias has more recipients than were announced */
#define TROUBLE_LIFE (7 * MQW_DAY) /* live: how long a lost message is kept in sight */
#define CLOSED_TROUBLE_LIFE MQW_DAY /* live: a false report is acted on after it was sent */
#define LOG_HOLE MQW_DAY /* a log that says nothing at all for so long may lack lines */
#define TELL_AGAIN (5 * MQW_SECOND)
#define BULK_BEFORE (10 * MQW_SECOND)

struct mqw_tracker_options mqw_tracker_defaults(void)
{
	return (struct mqw_tracker_options){
		.default_lifetime = 5 * MQW_DAY,
		.retry_max = 4000 * MQW_SECOND,
		.min_lifetime = 4 * MQW_HOUR,
		.slack = 2 * MQW_HOUR,
		.reorder = 5 * MQW_SECOND,
		.keep_settled = MQW_MINUTE,
		.max_recipients = 100000,
		.loose_messages = 16384,
	};
}

struct mqw_tracker *mqw_tracker_create(
	const struct mqw_tracker_options *options, const struct mqw_tracker_ops *ops, bool live)
{
	struct mqw_tracker *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->options = *options;
	t->ops = *ops;
	t->live = live;
	t->now = t->released_at = MQW_TIME_NONE;
	mqw_map_init(&t->messages, options->seed);
	mqw_map_init(&t->names, options->seed);
	mqw_pool_init(&t->pool, options->seed);
	return t;
}

void mqw_tracker_set_options(struct mqw_tracker *t, const struct mqw_tracker_options *options)
{
	uint64_t seed = t->options.seed;

	t->options = *options;
	t->options.seed = seed;
}

struct mqw_tracker *mqw_tracker_free(struct mqw_tracker *t)
{
	const struct mqw_map_slot *slot;
	size_t cursor = 0;

	if (!t)
		return NULL;
	while (t->oldest) {
		struct mqw_link *next = t->oldest->newer;

		mqw_packed_free(t, t->oldest);
		t->oldest = next;
	}
	while ((slot = mqw_map_next(&t->names, &cursor)))
		free(slot->value);
	mqw_map_done(&t->names);
	mqw_map_done(&t->messages);
	mqw_heap_done(&t->heap);
	mqw_gaps_done(&t->gaps);
	mqw_silence_done(&t->silence);
	mqw_buffer_done(&t->reason);
	mqw_buffer_done(&t->remedy);
	mqw_buffer_done(&t->key);
	mqw_buffer_done(&t->packing);
	mqw_buffer_done(&t->text);
	mqw_pool_done(&t->pool);
	mqw_pieces_done(&t->pieces);
	free(t->loose);
	free(t);
	return NULL;
}

static bool has_open_recipient(const struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->state == MQW_RECIPIENT_WAITING || r->state == MQW_RECIPIENT_DEFERRED)
			return true;
	return m->recipients == NULL;
}

static bool in_trouble(const struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (mqw_verdict_is_trouble((enum mqw_verdict)r->reported))
			return true;
	return mqw_verdict_is_trouble((enum mqw_verdict)m->reported);
}

/* What was reported late shall be in sight as long as anything. */
static int64_t trouble_since(const struct mqw_tracker *t, const struct mqw_message *m)
{
	return t->released_at > m->last_seen ? t->released_at : m->last_seen;
}

/* Where no line says that a message is done: as many recipients as were announced are. */
static bool seems_done(const struct mqw_tracker *t, const struct mqw_message *m)
{
	return t->options.removal_unlogged &&
		(m->queue_gone || (m->announced && m->recipient_count >= m->announced));
}

int64_t mqw_tracker_next_look(const struct mqw_tracker *t, const struct mqw_message *m)
{
	int64_t due, patience = t->options.retry_max + t->options.slack;

	if (m->untold)
		return t->now + TELL_AGAIN;
	if (mqw_message_closed(m))
		return t->live && in_trouble(m) ? trouble_since(t, m) + CLOSED_TROUBLE_LIFE
						: m->last_seen + t->options.keep_settled;
	if (!m->queued && !m->held && !m->recipients)
		return m->last_seen + UNQUEUED_LIFE;
	if (!has_open_recipient(m))
		return m->last_seen + (seems_done(t, m) ? SEEMS_DONE_LIFE : UNSETTLED_LIFE);
	if (!t->live)
		return INT64_MAX;
	due = m->place == MQW_PLACE_WAITING && m->retry_at != MQW_TIME_NONE
		? m->retry_at + t->options.slack
		: m->last_seen + patience;
	if (due >= t->now)
		return due + 1;
	due = m->opened_at +
		(t->options.lifetime ? t->options.lifetime : t->options.default_lifetime) +
		patience;
	return due >= t->now ? due + 1 : trouble_since(t, m) + TROUBLE_LIFE + patience;
}

int mqw_tracker_schedule(struct mqw_tracker *t, struct mqw_message *m)
{
	int64_t due = mqw_tracker_next_look(t, m);

	if (due == m->link.due_at && (due == INT64_MAX || m->link.heap_index != UINT32_MAX))
		return 0;
	m->link.due_at = due;
	return mqw_heap_set(&t->heap, &m->link);
}

void mqw_tracker_mark_dirty(struct mqw_tracker *t, struct mqw_message *m)
{
	if (!t->live || m->dirty)
		return;
	m->dirty = true;
	m->next_dirty = NULL;
	m->previous_dirty = t->dirty_last;
	if (t->dirty_last)
		t->dirty_last->next_dirty = m;
	else
		t->dirty_first = m;
	t->dirty_last = m;
}

struct mqw_message *mqw_tracker_take_dirty(struct mqw_tracker *t)
{
	struct mqw_message *m = t->dirty_first;

	if (!m)
		return NULL;
	t->dirty_first = m->next_dirty;
	if (t->dirty_first)
		t->dirty_first->previous_dirty = NULL;
	else
		t->dirty_last = NULL;
	m->next_dirty = NULL;
	m->dirty = false;
	m->kept = true;
	return m;
}

void mqw_tracker_finish_message(struct mqw_tracker *t, struct mqw_message *m)
{
	mqw_tracker_review(t, m, true);
	mqw_identity_drop(t, m);
}

/* A hand-off whose next message is not queued yet is kept until that is, or is overdue. */
static bool waits_for_successor(struct mqw_tracker *t, struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		const struct mqw_message *s;

		if (r->state != MQW_RECIPIENT_HANDED_OFF)
			continue;
		s = mqw_identity_find(t, mqw_slice_of(m->realm), mqw_slice_of(r->successor));
		if (s && !s->queued && !s->recipients && !mqw_message_closed(s) && !s->held &&
			t->now - s->last_seen <= t->options.slack) {
			m->link.due_at = s->last_seen + t->options.slack + 1;
			return true;
		}
	}
	return false;
}

/* Whether it has to stay because nobody could be told yet. */
static bool waits_to_be_told(struct mqw_tracker *t, const struct mqw_message *m)
{
	static const struct mqw_recipient stand_in = {
		.first_attempt = MQW_TIME_NONE, .last_attempt = MQW_TIME_NONE};

	if (!t->held)
		return false;
	for (const struct mqw_recipient *r = m->recipients ? m->recipients : &stand_in; r;
		r = r->next)
		if (mqw_verdict_is_trouble(mqw_judge(t, m, r).verdict))
			return true;
	return false;
}

static void look(struct mqw_tracker *t, struct mqw_message *m)
{
	int64_t patience = t->options.retry_max + t->options.slack;

	/* It was looked at for this, and not because its time is over. */
	if (m->untold) {
		if (mqw_tracker_review(t, m, false))
			mqw_tracker_mark_dirty(t, m);
		m->link.due_at = mqw_tracker_next_look(t, m);
		if (m->link.due_at <= t->now)
			m->link.due_at = t->now + TELL_AGAIN;
		mqw_heap_set(&t->heap, &m->link);
		return;
	}

	if (waits_for_successor(t, m)) {
		mqw_heap_set(&t->heap, &m->link);
		return;
	}
	if (waits_to_be_told(t, m)) {
		m->link.due_at = t->now + MQW_HOUR;
		mqw_heap_set(&t->heap, &m->link);
		return;
	}
	if (mqw_message_closed(m) || (!m->queued && !m->held && !m->recipients) ||
		!has_open_recipient(m) || t->now >= trouble_since(t, m) + TROUBLE_LIFE + patience) {
		/* What is still in the queue is not let go, however old. */
		if (mqw_message_closed(m) || m->place == MQW_PLACE_NONE || !t->live) {
			mqw_tracker_finish_message(t, m);
			return;
		}
	}
	/* What was said has to be kept, or a restart says it again. */
	if (mqw_tracker_review(t, m, false))
		mqw_tracker_mark_dirty(t, m);
	m->link.due_at = mqw_tracker_next_look(t, m);
	if (m->link.due_at <= t->now)
		m->link.due_at = t->now + MQW_HOUR;
	mqw_heap_set(&t->heap, &m->link);
}

static void look_at_due(struct mqw_tracker *t)
{
	struct mqw_link *l;
	struct mqw_message *m;

	while ((l = mqw_heap_first(&t->heap)) && l->due_at <= t->now) {
		m = mqw_packed_open(t, l);
		if (!m)
			return; /* no memory now: at the next tick */
		look(t, m);
		mqw_packed_rest(t);
	}
}

static __attribute__((noinline)) int add_gap(
	struct mqw_tracker *t, int64_t from, int64_t to, const struct mqw_event *e)
{
	struct mqw_event gap = *e;

	gap.kind = MQW_EVENT_GAP;
	gap.from = from;
	gap.to = to;
	t->counts.gaps++;
	if (t->ops.gap)
		t->ops.gap(t->ops.ctx, &gap);
	return mqw_gaps_add(&t->gaps, from, to, e->reply);
}

static void advance(struct mqw_tracker *t, int64_t now)
{
	if (now <= t->now)
		return;
	t->now = now;
	look_at_due(t);
	if (t->live && now >= t->forget_at)
		mqw_memory_forget(t);
}

void mqw_tracker_tick(struct mqw_tracker *t, int64_t now)
{
	advance(t, now);
}

/* A log that jumps forward by more than a day may lack a rotated file. */
static bool is_behind_hole(const struct mqw_tracker *t, const struct mqw_event *e)
{
	return !t->live && t->now != MQW_TIME_NONE && e->time - t->now > LOG_HOLE;
}

static __attribute__((noinline)) int note_hole(struct mqw_tracker *t, const struct mqw_event *e)
{
	struct mqw_event hole = *e;

	hole.reply = MQW_LIT("the log says nothing at all in this time");
	return add_gap(t, t->now, e->time, &hole);
}

static bool from_queue(const struct mqw_event *e)
{
	return e->kind == MQW_EVENT_QUEUE_PRESENT || e->kind == MQW_EVENT_QUEUE_GONE;
}

static bool is_kept_in_sight(const struct mqw_message *m)
{
	return m->deferred_at != MQW_TIME_NONE || m->gave_up || m->file_lost || m->kept || m->dirty;
}

/* A message that is delivered, or rejected rightfully, at the first try is not. */
static bool is_worth_keeping(const struct mqw_message *m, const struct mqw_event *e)
{
	return is_kept_in_sight(m) || from_queue(e) ||
		(e->kind == MQW_EVENT_ATTEMPT && e->outcome == MQW_OUTCOME_BOUNCED &&
			e->code >= 400 && e->code < 500);
}

int mqw_tracker_event(void *tracker, const struct mqw_event *e)
{
	struct mqw_tracker *t = tracker;
	struct mqw_message *m, before;
	bool shown;
	int r;

	mqw_packed_rest(t);
	if (e->kind == MQW_EVENT_GAP)
		return add_gap(t, e->from, e->to, e);
	r = is_behind_hole(t, e) ? note_hole(t, e) : 0;
	if (r < 0)
		return r;
	advance(t, e->time);
	if (e->kind == MQW_EVENT_BULK)
		return add_gap(t, e->time - BULK_BEFORE, e->time, e);
	r = mqw_identity_resolve(t, e, &m);
	if (r < 0 || !m)
		return r;
	if (!from_queue(e) && e->time > m->last_seen)
		m->last_seen = e->time;
	t->tried = NULL;
	/* The whole queue is looked at again and again: what stays as it was is not kept anew. */
	shown = t->live && from_queue(e);
	if (shown)
		memcpy(&before, m, sizeof(before)); /* with its padding */
	r = mqw_tracker_apply(t, m, e);
	if (r < 0 || (shown && memcmp(&before, m, sizeof(before)) == 0))
		return r;
	if (t->live && is_worth_keeping(m, e)) {
		mqw_tracker_review(t, m, false);
		mqw_tracker_mark_dirty(t, m);
	} else {
		mqw_totals_settle(t, m, e);
	}
	return mqw_tracker_schedule(t, m);
}

void mqw_tracker_not_told(struct mqw_tracker *t)
{
	t->not_told = true;
}

void mqw_tracker_hold(struct mqw_tracker *t, bool held)
{
	bool released = t->held && !held;

	t->held = held;
	if (!released)
		return;
	t->released_at = t->now;
	for (struct mqw_message *m = mqw_tracker_next(t, NULL); m; m = mqw_tracker_next(t, m)) {
		if (is_kept_in_sight(m) && mqw_tracker_review(t, m, false))
			mqw_tracker_mark_dirty(t, m);
		/* Without memory it keeps the time that it had: a look too early does no harm. */
		mqw_tracker_schedule(t, m);
	}
}

void mqw_tracker_finish(struct mqw_tracker *t, int64_t now)
{
	struct mqw_message *m;

	if (now > t->now)
		t->now = now;
	while (t->oldest && (m = mqw_packed_open(t, t->oldest)))
		mqw_tracker_finish_message(t, m);
}

int64_t mqw_tracker_next_due(const struct mqw_tracker *t)
{
	const struct mqw_link *l = mqw_heap_first(&t->heap);

	return l ? l->due_at : INT64_MAX;
}

const struct mqw_tracker_counts *mqw_tracker_counts(const struct mqw_tracker *t)
{
	return &t->counts;
}

bool mqw_tracker_has_gap(const struct mqw_tracker *t, int64_t from, int64_t to)
{
	return mqw_gaps_find(&t->gaps, from, to) != NULL;
}
