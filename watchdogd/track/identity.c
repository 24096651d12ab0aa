/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which message an event is about. Short queue ids are used again, sometimes seconds later, so an
 * id names a line of lives; the newest is the one meant, unless an event begins another.
 */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

static struct mqw_slice make_key(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id)
{
	mqw_buffer_clear(&t->key);
	mqw_buffer_add(&t->key, realm);
	mqw_buffer_add(&t->key, mqw_slice("", 1));
	mqw_buffer_add(&t->key, queue_id);
	return mqw_buffer_slice(&t->key);
}

struct mqw_message *mqw_identity_find(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id)
{
	return mqw_map_get(&t->messages, make_key(t, realm, queue_id));
}

/* A name that lives as long as the tracker; the set of names in one log is small. */
static const char *intern(struct mqw_tracker *t, struct mqw_slice name)
{
	char *copy = mqw_map_get(&t->names, name);

	if (copy || t->names.count > 1000)
		return copy ? copy : "";
	copy = mqw_slice_dup(name);
	if (!copy)
		return "";
	if (mqw_map_put(&t->names, mqw_slice_of(copy), copy) < 0) {
		free(copy);
		return "";
	}
	return copy;
}

static void link_last(struct mqw_tracker *t, struct mqw_message *m)
{
	m->older = t->newest;
	if (t->newest)
		t->newest->newer = m;
	else
		t->oldest = m;
	t->newest = m;
}

/* Room for one more: the first to be let go is settled where there is one, else the oldest. */
static void keep_below_cap(struct mqw_tracker *t)
{
	struct mqw_message *m;

	if (!t->options.max_messages || t->counts.open < t->options.max_messages)
		return;
	m = mqw_heap_first(&t->heap);
	if (m && mqw_message_closed(m)) {
		mqw_tracker_finish_message(t, m);
		return;
	}
	t->counts.dropped++;
	mqw_identity_drop(t, t->oldest);
}

struct mqw_message *mqw_identity_add(struct mqw_tracker *t, struct mqw_slice realm,
	struct mqw_slice queue_id, struct mqw_slice instance)
{
	struct mqw_message *m;

	keep_below_cap(t);
	m = mqw_message_create(realm, queue_id);
	if (!m)
		return NULL;
	m->instance = intern(t, instance);
	m->earlier = mqw_map_get(&t->messages, mqw_slice(m->key, m->key_len));
	if (mqw_map_put(&t->messages, mqw_slice(m->key, m->key_len), m) < 0)
		return mqw_message_free(m);
	link_last(t, m);
	t->counts.open++;
	return m;
}

static void unlink_dirty(struct mqw_tracker *t, const struct mqw_message *m)
{
	struct mqw_message *prev = NULL;

	if (!m->dirty)
		return;
	for (struct mqw_message *d = t->dirty_first; d && d != m; d = d->next_dirty)
		prev = d;
	if (prev)
		prev->next_dirty = m->next_dirty;
	else
		t->dirty_first = m->next_dirty;
	if (t->dirty_last == m)
		t->dirty_last = prev;
}

void mqw_identity_drop(struct mqw_tracker *t, struct mqw_message *m)
{
	struct mqw_slice key = mqw_slice(m->key, m->key_len);
	struct mqw_message *head = mqw_map_get(&t->messages, key), *later;

	if (t->ops.forget)
		t->ops.forget(t->ops.ctx, m);
	if (head == m) {
		/* The slot's key lives in the message that goes: take it out before putting another. */
		mqw_map_take(&t->messages, key);
		if (m->earlier)
			mqw_map_put(&t->messages, mqw_slice(m->earlier->key, m->earlier->key_len),
				m->earlier);
	} else {
		for (later = head; later && later->earlier != m; later = later->earlier)
			;
		if (later)
			later->earlier = m->earlier;
	}
	if (m->older)
		m->older->newer = m->newer;
	else
		t->oldest = m->newer;
	if (m->newer)
		m->newer->older = m->older;
	else
		t->newest = m->older;
	unlink_dirty(t, m);
	mqw_heap_remove(&t->heap, m);
	t->counts.open--;
	mqw_message_free(m);
}

/* What each kind of event may do to the table of messages. */
static bool makes_message(enum mqw_event_kind kind)
{
	switch (kind) {
	case MQW_EVENT_OPENED:
	case MQW_EVENT_MESSAGE_ID:
	case MQW_EVENT_QUEUED:
	case MQW_EVENT_ATTEMPT:
	case MQW_EVENT_HELD:
	case MQW_EVENT_GAVE_UP:
	case MQW_EVENT_QUEUE_PRESENT:
		return true;
	default:
		return false;
	}
}

/* Whether this event cannot belong to m, whose id it has, and begins another life of the id. */
static bool begins_another_life(
	const struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_event *e)
{
	if (e->time <= m->last_seen)
		return false; /* a late line, or the same log read twice */
	switch (e->kind) {
	case MQW_EVENT_OPENED:
		if (e->other_id.len && m->former_id &&
			mqw_slice_eq(mqw_slice_of(m->former_id), e->other_id))
			return false;
		/* One life has one opening; a cleanup line may come a little before it. */
		return m->opening_seen && e->time > m->first_seen + t->options.reorder;
	case MQW_EVENT_MESSAGE_ID:
		if (!mqw_message_closed(m))
			return m->queued && m->message_id &&
				!mqw_slice_eq(mqw_slice_of(m->message_id), e->message_id);
		return e->time > m->closed_at + t->options.reorder;
	case MQW_EVENT_QUEUED:
	case MQW_EVENT_HELD:
	case MQW_EVENT_QUEUE_PRESENT:
		return mqw_message_closed(m) && e->time > m->closed_at + t->options.reorder;
	case MQW_EVENT_ATTEMPT:
		/* Its own last lines may trail behind the removal. */
		return mqw_message_closed(m) && e->time > m->closed_at + t->options.keep_settled;
	default:
		return false;
	}
}

int mqw_identity_resolve(struct mqw_tracker *t, const struct mqw_event *e, struct mqw_message **ret)
{
	struct mqw_message *m = mqw_identity_find(t, e->realm, e->queue_id);

	*ret = m;
	if ((m && !begins_another_life(t, m, e)) || !makes_message(e->kind))
		return 0;
	if (m && !mqw_message_closed(m)) {
		/* Postfix frees an id with its inode: the former message's file is gone. */
		m->file_lost = true;
		mqw_string_set(&m->lost_how,
			MQW_LIT("its queue id was given to another message, so its file is gone"),
			SIZE_MAX);
		/* No line of its own will come to judge it by. */
		m->due_at = t->now;
		if (t->live && mqw_heap_set(&t->heap, m) < 0)
			return -ENOMEM;
	}
	m = mqw_identity_add(t, e->realm, e->queue_id, e->instance);
	*ret = m;
	if (!m)
		return -ENOMEM;
	m->opened_at = m->first_seen = m->last_seen = e->time;
	return 0;
}

struct mqw_message *mqw_tracker_find(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id)
{
	return mqw_identity_find(t, realm, queue_id);
}

struct mqw_message *mqw_tracker_next(struct mqw_tracker *t, const struct mqw_message *m)
{
	return m ? m->newer : t->oldest;
}
