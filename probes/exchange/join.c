/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exchange/join.h"

#include <xxhash.h>

#define ADDRESS_MAX 512
#define CLOSED_BEFORE (INT64_C(1) << 61) /* far longer than any log */

/* Addresses in two logs may differ in case. Never 0. */
static uint64_t hash_of(const struct mqw_join *j, struct mqw_slice address)
{
	char lower[ADDRESS_MAX];

	address = mqw_slice_head(address, sizeof(lower));
	for (size_t i = 0; i < address.len; i++) {
		char c = address.ptr[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	return XXH3_64bits_withSeed(lower, address.len, j->seed) | 1;
}

void mqw_join_init(struct mqw_join *j, uint64_t seed)
{
	memset(j, 0, sizeof(*j));
	j->seed = seed;
}

static bool has_id(const struct mqw_delivery *d, struct mqw_slice id)
{
	return mqw_slice_eq(mqw_slice(d->id, d->id_len), id);
}

/* Of a sender that is no address, as Exchange has them within, the other log has another name. */
static uint64_t sender_of(const struct mqw_join *j, struct mqw_slice sender)
{
	if (!sender.ptr || (sender.len && mqw_slice_chr(sender, '@') == sender.len))
		return 0;
	return hash_of(j, sender);
}

struct mqw_delivery *mqw_join_find(
	struct mqw_join *j, struct mqw_slice recipient, struct mqw_slice id)
{
	uint64_t hash = hash_of(j, recipient);
	size_t row = hash >> 32 & (MQW_JOIN_ROWS - 1);

	for (size_t i = 0; i < MQW_JOIN_WAYS; i++) {
		struct mqw_delivery *d = &j->deliveries[row][i];

		if (j->recipients[row][i] == hash && has_id(d, id))
			return d->closed == MQW_TIME_NONE ? d : NULL;
	}
	return NULL;
}

/*
 * What a place is worth, the least gives way: nothing when it is not in use or its delivery is over and
 * no answer can be to it; the same places are used again and again so, and stay in the cache.
 */
static int64_t worth(uint64_t used, int64_t age, int64_t time)
{
	return !used || (age < 0 && age + CLOSED_BEFORE + MQW_JOIN_SKEW < time) ? INT64_MIN : age;
}

static void begin(struct mqw_delivery *d, int64_t time)
{
	d->opened = d->seen = time;
	d->begun = d->answered = d->closed = MQW_TIME_NONE;
	d->code = 0;
	d->reported = false;
}

struct mqw_delivery *mqw_join_open(struct mqw_join *j, struct mqw_slice recipient,
	struct mqw_slice id, struct mqw_slice sender, int64_t time)
{
	uint64_t hash = hash_of(j, recipient), *used;
	size_t row = hash >> 32 & (MQW_JOIN_ROWS - 1), at = 0;
	struct mqw_delivery *d = j->deliveries[row];
	int64_t *ages = j->ages[row];

	if (id.len == 0 || id.len > MQW_JOIN_ID_MAX)
		return NULL;
	used = j->recipients[row];
	for (size_t i = 0; i < MQW_JOIN_WAYS; i++) {
		if (used[i] == hash && has_id(&d[i], id)) {
			if (d[i].closed != MQW_TIME_NONE)
				begin(&d[i], time);
			if (time > d[i].seen)
				d[i].seen = time;
			ages[i] = d[i].seen;
			return &d[i];
		}
		if (worth(used[i], ages[i], time) < worth(used[at], ages[at], time))
			at = i;
	}
	used[at] = hash;
	ages[at] = time;
	d += at;
	begin(d, time);
	d->sender = sender_of(j, sender);
	d->id_len = (uint16_t)id.len;
	memcpy(d->id, id.ptr, id.len);
	d->recipient_len = 0;
	if (recipient.len <= sizeof(d->recipient)) {
		d->recipient_len = (uint16_t)recipient.len;
		memcpy(d->recipient, recipient.ptr, recipient.len);
	}
	return d;
}

struct mqw_slice mqw_join_recipient(const struct mqw_delivery *d, struct mqw_slice other)
{
	return d->recipient_len ? mqw_slice(d->recipient, d->recipient_len) : other;
}

bool mqw_join_note_answer(struct mqw_delivery *d, int64_t time, int code)
{
	bool told = d->answered != MQW_TIME_NONE && d->code == code &&
		time - d->answered < MQW_JOIN_SAME_TRY && d->answered - time < MQW_JOIN_SAME_TRY;

	d->answered = time;
	d->code = code;
	return told;
}

void mqw_join_close(struct mqw_join *j, struct mqw_slice recipient, struct mqw_slice id,
	int64_t time, bool reported)
{
	struct mqw_delivery *d = mqw_join_find(j, recipient, id);

	if (!d)
		return;
	d->closed = time;
	d->reported = reported;
	/* Whatever is under way stays longer. */
	(&j->ages[0][0])[d - &j->deliveries[0][0]] = time - CLOSED_BEFORE;
}

/* Whether an answer of that time may be to it. */
static bool is_open(const struct mqw_delivery *d, int64_t time)
{
	return time >= d->opened - MQW_JOIN_SKEW &&
		(d->closed == MQW_TIME_NONE || time <= d->closed + MQW_JOIN_SKEW);
}

static bool had_just_begun(const struct mqw_delivery *d, int64_t time)
{
	return d->begun != MQW_TIME_NONE && time >= d->begun - MQW_JOIN_SKEW &&
		time <= d->begun + MQW_JOIN_SKEW;
}

/* How well an answer fits a delivery to its recipient. */
static int fitness(const struct mqw_delivery *d, uint64_t sender, int64_t time)
{
	bool fresh = had_just_begun(d, time), known = sender && d->sender;

	if (!is_open(d, time) || (known && d->sender != sender && !fresh))
		return 0;
	return 1 + (known && d->sender == sender ? 1 : 0) + (fresh ? 2 : 0);
}

struct mqw_delivery *mqw_join_answered(struct mqw_join *j, struct mqw_slice recipient,
	struct mqw_slice sender, int64_t time, bool *ret_sure)
{
	uint64_t hash = hash_of(j, recipient), from = sender_of(j, sender);
	size_t row = hash >> 32 & (MQW_JOIN_ROWS - 1);
	struct mqw_delivery *best = NULL;
	int fits = 0;

	*ret_sure = true;
	for (size_t i = 0; i < MQW_JOIN_WAYS; i++) {
		struct mqw_delivery *d = &j->deliveries[row][i];
		int fit = j->recipients[row][i] == hash ? fitness(d, from, time) : 0;

		if (fit == 0 || fit < fits)
			continue;
		if (fit == fits)
			*ret_sure = false;
		if (fit > fits)
			*ret_sure = true;
		if (fit > fits || d->begun > best->begun)
			best = d;
		fits = fit;
	}
	return best;
}

#define JOIN_SIZE ((size_t)MQW_JOIN_ROWS * MQW_JOIN_WAYS)

/* The next delivery of this sender that SMTP has begun; fresh: just before. NULL at the end. */
static struct mqw_delivery *next_of(
	struct mqw_join *j, uint64_t sender, int64_t time, bool fresh, size_t *cursor)
{
	while (*cursor < JOIN_SIZE) {
		size_t i = (*cursor)++;
		struct mqw_delivery *d = &j->deliveries[0][0] + i;

		if ((&j->recipients[0][0])[i] && d->sender == sender && d->begun != MQW_TIME_NONE &&
			time >= d->begun - MQW_JOIN_SKEW && is_open(d, time) &&
			(!fresh || had_just_begun(d, time)))
			return d;
	}
	return NULL;
}

/* How many messages these are deliveries of: 0, 1, or 2 for more. */
static int count_messages(struct mqw_join *j, uint64_t sender, int64_t time, bool fresh)
{
	size_t cursor = 0;
	const struct mqw_delivery *first = next_of(j, sender, time, fresh, &cursor), *d;

	if (!first)
		return 0;
	while ((d = next_of(j, sender, time, fresh, &cursor)))
		if (!has_id(d, mqw_slice(first->id, first->id_len)))
			return 2;
	return 1;
}

struct mqw_delivery *mqw_join_refused(
	struct mqw_join *j, struct mqw_slice sender, int64_t time, size_t *cursor)
{
	uint64_t hash = sender_of(j, sender);
	bool fresh = count_messages(j, hash, time, false) > 1;

	if (!hash || (fresh && count_messages(j, hash, time, true) != 1))
		return NULL;
	return next_of(j, hash, time, fresh, cursor);
}

static struct mqw_answer *slot_of(struct mqw_join *j, uint64_t hash)
{
	return &j->answers[hash >> 8 & (MQW_JOIN_ANSWERS - 1)];
}

static struct mqw_slice keep(struct mqw_answer *a, size_t *used, struct mqw_slice s)
{
	char *to = a->text + *used;

	s = mqw_slice_head(s, sizeof(a->text) - *used);
	if (s.len)
		memcpy(to, s.ptr, s.len);
	*used += s.len;
	return mqw_slice(to, s.len);
}

void mqw_join_wait(struct mqw_join *j, const struct mqw_event *answer)
{
	uint64_t hash = hash_of(j, answer->recipient);
	struct mqw_answer *a = slot_of(j, hash);
	size_t used = 0;

	j->answer_count += a->recipient == 0;
	a->recipient = hash;
	a->time = answer->time;
	a->outcome = answer->outcome;
	a->code = answer->code;
	a->doubtful = answer->doubtful;
	a->evidence = answer->evidence;
	a->relay = keep(a, &used, mqw_slice_head(answer->relay, MQW_JOIN_TEXT / 2));
	a->reply = keep(a, &used, answer->reply);
}

const struct mqw_answer *mqw_join_take(
	struct mqw_join *j, struct mqw_slice recipient, const struct mqw_delivery *d)
{
	uint64_t hash;
	struct mqw_answer *a;

	if (!j->answer_count)
		return NULL;
	hash = hash_of(j, recipient);
	a = slot_of(j, hash);
	if (a->recipient != hash || a->time < d->seen - MQW_JOIN_SKEW)
		return NULL;
	a->recipient = 0;
	j->answer_count--;
	return a;
}
