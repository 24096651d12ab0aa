/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* memrchr */
#include "watchdogd/track/tracker_internal.h"

#include <stdlib.h>

#define NAME_MAX_LEN 4096 /* of a realm and of a queue id: far beyond any */
#define ADDRESS_MAX 1024 /* RFC 5321 4.5.3.1.3 allows 256; quoted forms are longer */

/*
 * Room behind a message for what each has, and behind a recipient for its relay, so that these need no
 * memory of their own; what is longer does. A string is in its room or owned.
 */
#define SENDER_ROOM 48
#define MESSAGE_ID_ROOM 80
#define RELAY_ROOM 72
/* Keys and addresses, with their NUL, for which a piece has always room: nearly all. */
#define KEY_ROOM 64
#define ADDRESS_ROOM 64

static size_t message_size(size_t key_len)
{
	return sizeof(struct mqw_message) + SENDER_ROOM + MESSAGE_ID_ROOM +
		(key_len < KEY_ROOM ? KEY_ROOM : key_len + 1);
}

static size_t recipient_size(size_t address_len)
{
	return sizeof(struct mqw_recipient) + RELAY_ROOM +
		(address_len < ADDRESS_ROOM ? ADDRESS_ROOM : address_len + 1);
}

static void *take(void **pieces, bool fits, size_t size)
{
	void *piece = fits ? *pieces : NULL;

	if (!piece)
		return malloc(size);
	*pieces = *(void **)piece;
	return piece;
}

static void give_back(void **pieces, bool fits, void *piece)
{
#ifdef __SANITIZE_ADDRESS__
	fits = false; /* who uses it after this shall be found */
#endif
	if (!fits) {
		free(piece);
		return;
	}
	*(void **)piece = *pieces;
	*pieces = piece;
}

static void free_all(void *pieces)
{
	while (pieces) {
		void *next = *(void **)pieces;

		free(pieces);
		pieces = next;
	}
}

void mqw_pieces_done(struct mqw_pieces *p)
{
	free_all(p->messages);
	free_all(p->recipients);
	*p = (struct mqw_pieces){0};
}

static char *sender_room(const struct mqw_message *m)
{
	return (char *)(uintptr_t)(m + 1);
}

static char *message_id_room(const struct mqw_message *m)
{
	return sender_room(m) + SENDER_ROOM;
}

static char *relay_room(const struct mqw_recipient *r)
{
	return (char *)(uintptr_t)(r + 1);
}

/* What is not known of a message or a recipient yet; copied for the reason that mqw_event() has. */
static const struct mqw_message unknown_message = {
	.link = {.heap_index = UINT32_MAX, .due_at = INT64_MAX},
	.opened_at = MQW_TIME_NONE,
	.first_seen = MQW_TIME_NONE,
	.last_seen = MQW_TIME_NONE,
	.deferred_at = MQW_TIME_NONE,
	.gave_up_at = MQW_TIME_NONE,
	.requeued_at = MQW_TIME_NONE,
	.gone_at = MQW_TIME_NONE,
	.closed_at = MQW_TIME_NONE,
	.retry_at = MQW_TIME_NONE,
};
static const struct mqw_recipient unknown_recipient = {
	.first_attempt = MQW_TIME_NONE, .last_attempt = MQW_TIME_NONE};

/* One piece, the key behind the message. Not by calloc(), whose fast path is none in glibc. */
struct mqw_message *mqw_message_create(
	struct mqw_pieces *p, struct mqw_slice realm, struct mqw_slice queue_id)
{
	struct mqw_message *m;
	size_t key_len;

	realm = mqw_slice_head(realm, NAME_MAX_LEN);
	queue_id = mqw_slice_head(queue_id, NAME_MAX_LEN);
	key_len = realm.len + 1 + queue_id.len;
	m = take(&p->messages, key_len < KEY_ROOM, message_size(key_len));
	if (!m)
		return NULL;
	*m = unknown_message;
	m->key = message_id_room(m) + MESSAGE_ID_ROOM;
	m->link.key_len = (uint16_t)key_len;
	if (realm.len)
		memcpy(m->key, realm.ptr, realm.len);
	m->key[realm.len] = '\0';
	if (queue_id.len)
		memcpy(m->key + realm.len + 1, queue_id.ptr, queue_id.len);
	m->key[key_len] = '\0';
	m->realm = m->key;
	m->queue_id = m->key + realm.len + 1;
	return m;
}

/* Most of what could be there is not: that is seen without a call. */
static inline void drop(char *s, const char *room)
{
	if (s && s != room)
		free(s);
}

static void free_recipient(struct mqw_pieces *p, struct mqw_recipient *r)
{
	drop(r->relay, relay_room(r));
	drop(r->reply, NULL);
	drop(r->successor, NULL);
	/* Where the address holds a NUL the piece is larger than it seems, which does no harm. */
	give_back(&p->recipients, strlen(r->address) < ADDRESS_ROOM, r);
}

struct mqw_message *mqw_message_free(struct mqw_pieces *p, struct mqw_message *m)
{
	if (!m)
		return NULL;
	while (m->recipients) {
		struct mqw_recipient *next = m->recipients->next;

		free_recipient(p, m->recipients);
		m->recipients = next;
	}
	drop(m->sender, sender_room(m));
	drop(m->message_id, message_id_room(m));
	drop(m->ndr_id, NULL);
	drop(m->former_id, NULL);
	drop(m->successor, NULL);
	drop(m->lost_how, NULL);
	give_back(&p->messages, m->link.key_len < KEY_ROOM, m);
	return NULL;
}

/* room: what *owned may point into instead of memory of its own; NULL: nothing. */
static bool set_owned(char **owned, const char *room, struct mqw_slice s)
{
	char *copy;

	/* Several lines say the same. */
	if (*owned && mqw_slice_eq(mqw_slice_of(*owned), s))
		return true;
	copy = mqw_slice_dup(s);
	if (!copy)
		return false;
	drop(*owned, room);
	*owned = copy;
	return true;
}

/* room: of that size, where the string may be instead of memory of its own. */
static inline bool set(char **owned, char *room, size_t size, struct mqw_slice s)
{
	if (s.len >= size || (*owned && *owned != room))
		return set_owned(owned, room, s);
	if (s.len)
		memcpy(room, s.ptr, s.len);
	room[s.len] = '\0';
	*owned = room;
	return true;
}

bool mqw_string_set(char **owned, struct mqw_slice s, size_t cap)
{
	return set_owned(owned, NULL, mqw_slice_head(s, cap));
}

bool mqw_message_set_sender(struct mqw_message *m, struct mqw_slice s, size_t cap)
{
	return set(&m->sender, sender_room(m), SENDER_ROOM, mqw_slice_head(s, cap));
}

bool mqw_message_set_message_id(struct mqw_message *m, struct mqw_slice s, size_t cap)
{
	return set(&m->message_id, message_id_room(m), MESSAGE_ID_ROOM, mqw_slice_head(s, cap));
}

bool mqw_recipient_set_relay(struct mqw_recipient *r, struct mqw_slice s, size_t cap)
{
	return set(&r->relay, relay_room(r), RELAY_ROOM, mqw_slice_head(s, cap));
}

/* The domain is compared without case, the local part exactly (RFC 5321 2.4). */
static bool same_address(struct mqw_slice a, struct mqw_slice b)
{
	const char *at;
	size_t local;

	if (a.len != b.len)
		return false;
	if (mqw_same_bytes(a.ptr, b.ptr, a.len))
		return true;
	/* Of a mail to many the local parts differ, most often at once. */
	if (a.ptr[0] != b.ptr[0] && a.ptr[0] != '@')
		return false;
	at = a.len ? memrchr(a.ptr, '@', a.len) : NULL;
	local = at ? (size_t)(at - a.ptr) : a.len;
	return memcmp(a.ptr, b.ptr, local) == 0 &&
		mqw_slice_eq_nocase(mqw_slice_from(a, local), mqw_slice_from(b, local));
}

struct mqw_recipient *mqw_message_find_recipient(
	const struct mqw_message *m, struct mqw_slice address)
{
	address = mqw_slice_head(address, ADDRESS_MAX);
	for (struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (address.len && same_address(mqw_slice_of(r->address), address))
			return r;
	return NULL;
}

const struct mqw_recipient *mqw_tracker_recipient(
	const struct mqw_message *m, struct mqw_slice address)
{
	return mqw_message_find_recipient(m, address);
}

struct mqw_recipient *mqw_message_recipient(
	struct mqw_pieces *p, struct mqw_message *m, struct mqw_slice address, uint32_t cap)
{
	struct mqw_recipient *r = m->recipients ? mqw_message_find_recipient(m, address) : NULL;

	if (r || (cap && m->recipient_count >= cap))
		return r;
	return mqw_message_add_recipient(p, m, address);
}

struct mqw_recipient *mqw_message_add_recipient(
	struct mqw_pieces *p, struct mqw_message *m, struct mqw_slice address)
{
	struct mqw_recipient *r;

	address = mqw_slice_head(address, ADDRESS_MAX);
	r = take(&p->recipients, address.len < ADDRESS_ROOM, recipient_size(address.len));
	if (!r)
		return NULL;
	*r = unknown_recipient;
	r->address = relay_room(r) + RELAY_ROOM;
	if (address.len)
		memcpy(r->address, address.ptr, address.len);
	r->address[address.len] = '\0';
	if (m->last_recipient)
		m->last_recipient->next = r;
	else
		m->recipients = r;
	m->last_recipient = r;
	m->recipient_count++;
	return r;
}

bool mqw_message_closed(const struct mqw_message *m)
{
	return m->removed || m->admin_removed || m->discarded || m->refused || m->successor != NULL;
}
