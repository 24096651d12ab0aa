/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which message an event is about. Short queue ids are used again, sometimes seconds later, so an
 * id names a line of lives; the newest is the one meant, unless an event begins another.
 */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

/* "realm NUL queue_id" in t->key; ptr NULL when memory is out. */
static struct mqw_slice make_key(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id)
{
	struct mqw_buffer *b = &t->key;
	size_t len = realm.len + 1 + queue_id.len;

	b->len = 0;
	b->failed = false;
	if (b->cap < len && !mqw_buffer_reserve(b, len))
		return MQW_SLICE_NULL;
	if (realm.len)
		memcpy(b->ptr, realm.ptr, realm.len);
	b->ptr[realm.len] = '\0';
	if (queue_id.len)
		memcpy(b->ptr + realm.len + 1, queue_id.ptr, queue_id.len);
	return mqw_slice(b->ptr, len);
}

/* Lines about one message come together more often than not. */
static bool is_recent(
	const struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id)
{
	const struct mqw_message *m = t->recent;

	return m && m->link.key_len == realm.len + 1 + queue_id.len &&
		m->queue_id == m->realm + realm.len + 1 &&
		mqw_same_bytes(m->queue_id, queue_id.ptr, queue_id.len) &&
		mqw_same_bytes(m->realm, realm.ptr, realm.len);
}

int mqw_identity_look(struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id,
	struct mqw_message **ret)
{
	struct mqw_link *l;
	struct mqw_slice key;

	if (is_recent(t, realm, queue_id)) {
		t->recent->touched = true;
		*ret = t->recent;
		return 0;
	}
	*ret = NULL;
	key = make_key(t, realm, queue_id);
	if (!key.ptr)
		return -ENOMEM;
	l = mqw_map_get(&t->messages, key);
	*ret = l ? mqw_packed_open(t, l) : NULL;
	if (*ret)
		t->recent = *ret;
	return l && !*ret ? -ENOMEM : 0;
}

struct mqw_message *mqw_identity_find(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id)
{
	struct mqw_message *m;

	mqw_identity_look(t, realm, queue_id, &m);
	return m;
}

/* The set of names in one log is small. */
const char *mqw_identity_name(struct mqw_tracker *t, struct mqw_slice name)
{
	char *copy;

	if (t->last_name.ptr && t->last_name.len == name.len &&
		mqw_same_bytes(t->last_name.ptr, name.ptr, name.len))
		return t->last_name.ptr;
	copy = mqw_map_get(&t->names, name);
	if (copy)
		t->last_name = mqw_slice_of(copy);
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

void mqw_identity_link(struct mqw_tracker *t, struct mqw_link *l)
{
	t->counts.open++;
	l->older = t->newest;
	if (t->newest)
		t->newest->newer = l;
	else
		t->oldest = l;
	t->newest = l;
}

static void unlink_from(struct mqw_tracker *t, const struct mqw_link *l)
{
	if (l->older)
		l->older->newer = l->newer;
	else
		t->oldest = l->newer;
	if (l->newer)
		l->newer->older = l->older;
	else
		t->newest = l->older;
}

/* The first to be let go is settled where there is one, else the oldest. */
bool mqw_identity_make_room(struct mqw_tracker *t)
{
	struct mqw_link *l = mqw_heap_first(&t->heap);
	struct mqw_message *m;

	if (!t->options.max_messages || t->counts.open < t->options.max_messages)
		return false;
	m = l ? mqw_packed_open(t, l) : NULL;
	if (m && mqw_message_closed(m)) {
		mqw_tracker_finish_message(t, m);
		return true;
	}
	m = mqw_packed_open(t, t->oldest);
	if (!m)
		return false;
	t->counts.dropped++;
	mqw_totals_give_up(t, m);
	mqw_identity_drop(t, m);
	return true;
}

struct mqw_message *mqw_identity_add(struct mqw_tracker *t, struct mqw_slice realm,
	struct mqw_slice queue_id, struct mqw_slice instance, struct mqw_message *earlier)
{
	struct mqw_message *m;

	if (mqw_identity_make_room(t) && mqw_identity_look(t, realm, queue_id, &earlier) < 0)
		return NULL;
	m = mqw_message_create(&t->pieces, realm, queue_id);
	if (!m)
		return NULL;
	m->instance = mqw_identity_name(t, instance);
	m->earlier = earlier;
	if (mqw_packed_begin(t, m) < 0)
		return mqw_message_free(&t->pieces, m);
	if (mqw_map_put(&t->messages, mqw_slice(m->key, m->link.key_len), &m->link) < 0) {
		mqw_packed_end(t, m);
		return mqw_message_free(&t->pieces, m);
	}
	if (earlier)
		earlier->has_later = true;
	m->number = ++t->number;
	mqw_identity_link(t, &m->link);
	t->recent = m;
	return m;
}

static void unlink_dirty(struct mqw_tracker *t, const struct mqw_message *m)
{
	if (!m->dirty)
		return;
	if (m->previous_dirty)
		m->previous_dirty->next_dirty = m->next_dirty;
	else
		t->dirty_first = m->next_dirty;
	if (m->next_dirty)
		m->next_dirty->previous_dirty = m->previous_dirty;
	else
		t->dirty_last = m->previous_dirty;
}

/* Out of the line of lives of its id. */
static void unlink_life(struct mqw_tracker *t, struct mqw_message *m)
{
	struct mqw_slice key = mqw_slice(m->key, m->link.key_len);
	struct mqw_message *later;

	if (!m->has_later) {
		/* The slot's key lives in the message that goes: take it out before putting another. */
		mqw_map_take(&t->messages, key);
		if (m->earlier) {
			m->earlier->has_later = false;
			mqw_map_put(&t->messages,
				mqw_slice(m->earlier->key, m->earlier->link.key_len),
				&m->earlier->link);
		}
		return;
	}
	/* One that has an earlier life is never packed. */
	for (later = mqw_message_of(mqw_map_get(&t->messages, key)); later && later->earlier != m;
		later = later->earlier)
		;
	if (later)
		later->earlier = m->earlier;
}

void mqw_identity_drop(struct mqw_tracker *t, struct mqw_message *m)
{
	if (t->ops.forget)
		t->ops.forget(t->ops.ctx, m);
	if (t->recent == m)
		t->recent = NULL;
	unlink_life(t, m);
	unlink_from(t, &m->link);
	unlink_dirty(t, m);
	mqw_heap_remove(&t->heap, &m->link);
	mqw_packed_end(t, m);
	t->counts.open--;
	mqw_message_free(&t->pieces, m);
}

/* What each kind of event may do to the table of messages. */
static bool makes_message(enum mqw_event_kind kind)
{
	switch (kind) {
	case MQW_EVENT_OPENED:
	case MQW_EVENT_MESSAGE_ID:
	case MQW_EVENT_QUEUED:
	case MQW_EVENT_ARRIVED:
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
	case MQW_EVENT_ARRIVED:
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
	case MQW_EVENT_QUEUE_PRESENT:
		/*
		 * What waits to be taken up is what was put back under its old id; its next line names
		 * that id. A new message with an old one's id has lines of its own that begin it.
		 */
		if (e->place == MQW_PLACE_ARRIVING)
			return false;
		__attribute__((fallthrough));
	case MQW_EVENT_QUEUED:
	case MQW_EVENT_HELD:
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
	struct mqw_message *m;
	int r = mqw_identity_look(t, e->realm, e->queue_id, &m);

	*ret = m;
	if (r < 0)
		return r;
	if ((m && !begins_another_life(t, m, e)) || !makes_message(e->kind))
		return 0;
	if (m && !mqw_message_closed(m)) {
		/* Postfix frees an id with its inode: the former message's file is gone. */
		m->file_lost = true;
		mqw_string_set(&m->lost_how,
			MQW_LIT("its queue id was given to another message, so its file is gone"),
			SIZE_MAX);
		/* No line of its own will come to judge it by. */
		m->link.due_at = t->now;
		if (t->live && mqw_heap_set(&t->heap, &m->link) < 0)
			return -ENOMEM;
	}
	m = mqw_identity_add(t, e->realm, e->queue_id, e->instance, m);
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
	struct mqw_link *l = m ? m->link.newer : t->oldest;

	mqw_packed_rest(t);
	return l ? mqw_packed_open(t, l) : NULL;
}
