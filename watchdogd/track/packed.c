/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages at rest. A deferred message is looked at every few minutes and waits for days: a million
 * of them as structures would take a gigabyte. So only those that were heard of lately are; the
 * others are packed, each into one piece of memory of about 200 bytes, and unpacked when somebody
 * asks for them. Texts that many have in common (sender, relay, the answer apart from the address in
 * it) are in a pool.
 *
 * A packed message is its link, which stays in lists, heap and table, and behind it what mqw_pack()
 * writes.
 */
#include <errno.h>
#include <stdlib.h>

#include "watchdogd/track/tracker_internal.h"

#define TRIES 4 /* of packing for each event: more than messages can come with one */

/* Puts one form of a message where the other was, in list, heap and table. key is the new one's. */
static void replace(struct mqw_tracker *t, const struct mqw_link *from, struct mqw_link *to,
	struct mqw_slice key)
{
	*to = *from;
	if (to->older)
		to->older->newer = to;
	else
		t->oldest = to;
	if (to->newer)
		to->newer->older = to;
	else
		t->newest = to;
	mqw_heap_replace(&t->heap, to);
	/* The key is there: this needs no memory. */
	mqw_map_put(&t->messages, key, to);
}

static void leave_row(struct mqw_tracker *t, struct mqw_message *m)
{
	struct mqw_message *last = t->loose[--t->loose_count];

	t->loose[m->loose_index] = last;
	last->loose_index = m->loose_index;
}

static int enter_row(struct mqw_tracker *t, struct mqw_message *m)
{
	if (t->loose_count == t->loose_cap) {
		size_t cap = t->loose_cap ? t->loose_cap * 2 : 1024;
		struct mqw_message **p = realloc(t->loose, cap * sizeof(struct mqw_message *));

		if (!p)
			return -ENOMEM;
		t->loose = p;
		t->loose_cap = cap;
	}
	m->loose_index = (uint32_t)t->loose_count;
	m->touched = true;
	t->loose[t->loose_count++] = m;
	return 0;
}

int mqw_packed_begin(struct mqw_tracker *t, struct mqw_message *m)
{
	return enter_row(t, m);
}

void mqw_packed_end(struct mqw_tracker *t, struct mqw_message *m)
{
	leave_row(t, m);
}

static char *bytes_of(const struct mqw_link *l)
{
	return (char *)(uintptr_t)(l + 1);
}

/* From what mqw_pack() wrote last: a link that is not set yet, and the bytes behind it. */
static struct mqw_link *make_packed(struct mqw_tracker *t, size_t key_len)
{
	const struct mqw_buffer *b = &t->packing;
	struct mqw_link *l = b->failed ? NULL : calloc(1, sizeof(*l) + b->len);

	if (l)
		memcpy(bytes_of(l), b->ptr, b->len);
	else if (!b->failed)
		mqw_pack_drop(t, b->ptr + key_len);
	return l;
}

/* Into one piece; when there is no memory for it, it stays as it is. */
static void pack(struct mqw_tracker *t, struct mqw_message *m)
{
	struct mqw_link *packed;

	mqw_pack(t, &t->packing, m, m->instance, false);
	packed = make_packed(t, m->link.key_len);
	if (!packed)
		return;
	replace(t, &m->link, packed, mqw_slice(bytes_of(packed), m->link.key_len));
	packed->packed = true;
	if (t->recent == m)
		t->recent = NULL;
	leave_row(t, m);
	mqw_message_free(&t->pieces, m);
}

struct mqw_message *mqw_packed_open(struct mqw_tracker *t, struct mqw_link *l)
{
	struct mqw_message *m = mqw_message_of(l);
	struct mqw_slice key, realm;

	if (!l->packed) {
		m->touched = true;
		return m;
	}
	key = mqw_slice(bytes_of(l), l->key_len);
	mqw_slice_take_until(&key, '\0', &realm);
	m = mqw_message_create(&t->pieces, realm, key);
	if (!m || !mqw_unpack(t, bytes_of(l) + l->key_len, m) || enter_row(t, m) < 0)
		return mqw_message_free(&t->pieces, m);
	replace(t, l, &m->link, mqw_slice(m->key, l->key_len));
	m->link.packed = false;
	mqw_pack_drop(t, bytes_of(l) + l->key_len);
	free(l);
	return m;
}

int64_t mqw_packed_last_seen(const struct mqw_link *l)
{
	return l->packed ? mqw_pack_last_seen(bytes_of(l) + l->key_len)
			 : ((const struct mqw_message *)l)->last_seen;
}

void mqw_packed_free(struct mqw_tracker *t, struct mqw_link *l)
{
	if (l->packed)
		free(l);
	else
		mqw_message_free(&t->pieces, mqw_message_of(l));
}

int mqw_packed_add(struct mqw_tracker *t, const struct mqw_message *from, const char *instance)
{
	struct mqw_link *l;

	mqw_pack(t, &t->packing, from, instance, true);
	l = make_packed(t, from->link.key_len);
	if (!l)
		return -ENOMEM;
	l->heap_index = UINT32_MAX;
	l->due_at = INT64_MAX;
	l->key_len = from->link.key_len;
	l->packed = true;
	if (mqw_map_put(&t->messages, mqw_slice(bytes_of(l), l->key_len), l) < 0) {
		mqw_pack_drop(t, bytes_of(l) + l->key_len);
		free(l);
		return -ENOMEM;
	}
	mqw_identity_link(t, l);
	l->due_at = mqw_tracker_next_look(t, from);
	return mqw_heap_set(&t->heap, l);
}

/*
 * Another life of the same id refers to it by its address, and so does the list of dirty ones; how
 * many actions wait for it is not packed.
 */
static bool may_be_packed(const struct mqw_message *m)
{
	return !m->dirty && !m->waiting && !m->untold && !m->earlier && !m->has_later;
}

void mqw_packed_some(struct mqw_tracker *t)
{
	size_t limit = t->options.loose_messages > MQW_LOOSE_MIN ? t->options.loose_messages
								 : MQW_LOOSE_MIN;

	for (int tries = TRIES; tries && t->loose_count > limit; tries--) {
		struct mqw_message *m;

		if (t->hand >= t->loose_count)
			t->hand = 0;
		m = t->loose[t->hand++];
		if (m->touched)
			m->touched = false;
		else if (may_be_packed(m))
			pack(t, m);
	}
}
