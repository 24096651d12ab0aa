/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a packed message: numbers in seven bits a byte, the lower first, times as distances
 * from the opening, texts that many have in common as numbers of the pool.
 */
#include <stddef.h>

#include "watchdogd/track/tracker_internal.h"

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(struct mqw_message) == 272 && sizeof(struct mqw_recipient) == 120,
	"a field that is new has to be packed and unpacked too");
#endif

static const size_t flags[] = {offsetof(struct mqw_message, opening_seen),
	offsetof(struct mqw_message, age_known), offsetof(struct mqw_message, queued),
	offsetof(struct mqw_message, held), offsetof(struct mqw_message, removed),
	offsetof(struct mqw_message, admin_removed), offsetof(struct mqw_message, admin_requeued),
	offsetof(struct mqw_message, discarded), offsetof(struct mqw_message, refused),
	offsetof(struct mqw_message, probe), offsetof(struct mqw_message, gave_up),
	offsetof(struct mqw_message, gave_up_forced), offsetof(struct mqw_message, file_lost),
	offsetof(struct mqw_message, queue_gone), offsetof(struct mqw_message, taken_on),
	offsetof(struct mqw_message, kept)};
#define KEPT ((uint64_t)1 << 15) /* the last of them */

/* All but opened_at, from which they are measured. */
static const size_t times[] = {offsetof(struct mqw_message, first_seen),
	offsetof(struct mqw_message, last_seen), offsetof(struct mqw_message, deferred_at),
	offsetof(struct mqw_message, gave_up_at), offsetof(struct mqw_message, requeued_at),
	offsetof(struct mqw_message, gone_at), offsetof(struct mqw_message, closed_at),
	offsetof(struct mqw_message, retry_at)};

static const size_t texts[] = {offsetof(struct mqw_message, message_id),
	offsetof(struct mqw_message, ndr_id), offsetof(struct mqw_message, former_id),
	offsetof(struct mqw_message, successor), offsetof(struct mqw_message, lost_how)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Bits of a recipient. */
#define SUCCESSOR_KNOWN 1u
#define HASTY 2u
#define FIRST 4u /* there is a first attempt */
#define LAST 8u
#define DOUBTFUL 32u
#define TEMPLATE 16u /* the answer has ADDRESS where the recipient's address was */
#define ADDRESS '\1'

#define NUMBER_MAX 10u /* bytes of one */

static void *at(const void *base, size_t offset)
{
	return (char *)(uintptr_t)base + offset;
}

/* Straight into the buffer: of a message forty are put, and most are one byte. */
static void put_number(struct mqw_buffer *b, uint64_t n)
{
	char *p;

	if (b->cap - b->len <= NUMBER_MAX && !mqw_buffer_reserve(b, NUMBER_MAX))
		return;
	p = b->ptr + b->len;
	for (; n >= 0x80; n >>= 7)
		*p++ = (char)(n | 0x80u);
	*p++ = (char)n;
	*p = '\0';
	b->len = (size_t)(p - b->ptr);
}

static uint64_t take_number(const char **p)
{
	uint64_t n = 0;
	unsigned shift = 0, byte;

	do {
		byte = (unsigned char)*(*p)++;
		n |= (uint64_t)(byte & 0x7fu) << shift;
		shift += 7;
	} while (byte & 0x80u);
	return n;
}

/* Small distances in either direction become small numbers. */
static void put_time(struct mqw_buffer *b, int64_t base, int64_t time)
{
	uint64_t d = (uint64_t)time - (uint64_t)base;

	put_number(b, d << 1 ^ (d >> 63 ? UINT64_MAX : 0));
}

static int64_t take_time(const char **p, int64_t base)
{
	uint64_t n = take_number(p);

	return (int64_t)((uint64_t)base + (n >> 1 ^ (n & 1 ? UINT64_MAX : 0)));
}

/* 0 for NULL, else one more than twice a length, or than twice a number of the pool and one. */
static void put_text(struct mqw_buffer *b, struct mqw_slice s)
{
	put_number(b, s.ptr ? (uint64_t)s.len * 2 + 1 : 0);
	mqw_buffer_add(b, s);
}

static void put_shared(struct mqw_tracker *t, struct mqw_buffer *b, struct mqw_slice s)
{
	uint32_t number;

	if (s.ptr && mqw_pool_take(&t->pool, s, &number))
		put_number(b, (uint64_t)number * 2 + 2);
	else
		put_text(b, s);
}

/* The text, borrowed from the packed bytes or from the pool; ptr NULL for none. */
static struct mqw_slice peek_text(const struct mqw_tracker *t, const char **p)
{
	uint64_t n = take_number(p);
	struct mqw_slice s;

	if (n == 0)
		return MQW_SLICE_NULL;
	if (n % 2 == 0)
		return mqw_pool_text(&t->pool, (uint32_t)(n / 2 - 1));
	s = mqw_slice(*p, (size_t)(n / 2));
	*p += s.len;
	return s;
}

static bool take_text(const struct mqw_tracker *t, const char **p, char **ret)
{
	struct mqw_slice s = peek_text(t, p);

	return !s.ptr || mqw_string_set(ret, s, SIZE_MAX);
}

/* What is taken back when a message is not packed any more; the same walk as take_text(). */
static void drop_text(struct mqw_tracker *t, const char **p)
{
	uint64_t n = take_number(p);

	if (n % 2)
		*p += n / 2;
	else if (n)
		mqw_pool_drop(&t->pool, (uint32_t)(n / 2 - 1));
}

/* Answers of one server differ in the address that they name. True when it was replaced. */
static bool make_template(struct mqw_buffer *b, struct mqw_slice reply, struct mqw_slice address)
{
	bool found = false;

	mqw_buffer_clear(b);
	if (!reply.ptr || !address.len || mqw_slice_chr(reply, ADDRESS) < reply.len)
		return false;
	while (reply.len) {
		size_t i = mqw_slice_find(reply, address);

		mqw_buffer_add(b, mqw_slice_head(reply, i));
		if (i == reply.len)
			break;
		mqw_buffer_add(b, mqw_slice("\1", 1));
		reply = mqw_slice_from(reply, i + address.len);
		found = true;
	}
	return found && !b->failed;
}

static bool fill_template(
	struct mqw_buffer *b, struct mqw_slice reply, struct mqw_slice address, char **ret)
{
	mqw_buffer_clear(b);
	while (reply.len) {
		size_t i = mqw_slice_chr(reply, ADDRESS);

		mqw_buffer_add(b, mqw_slice_head(reply, i));
		if (i < reply.len)
			mqw_buffer_add(b, address);
		reply = mqw_slice_from(reply, i < reply.len ? i + 1 : i);
	}
	return !b->failed && mqw_string_set(ret, mqw_buffer_slice(b), SIZE_MAX);
}

static struct mqw_slice slice_or_null(const char *s)
{
	return s ? mqw_slice_of(s) : MQW_SLICE_NULL;
}

static void pack_recipient(
	struct mqw_tracker *t, struct mqw_buffer *b, const struct mqw_recipient *r, int64_t base)
{
	struct mqw_slice address = mqw_slice_of(r->address), reply = slice_or_null(r->reply);
	bool template = make_template(&t->text, reply, address);

	put_number(b,
		(r->successor_known ? SUCCESSOR_KNOWN : 0) | (r->hasty ? HASTY : 0) |
			(r->doubtful ? DOUBTFUL : 0) |
			(r->first_attempt != MQW_TIME_NONE ? FIRST : 0) |
			(r->last_attempt != MQW_TIME_NONE ? LAST : 0) | (template ? TEMPLATE : 0));
	put_text(b, address);
	put_shared(t, b, slice_or_null(r->relay));
	put_shared(t, b, template ? mqw_buffer_slice(&t->text) : reply);
	put_text(b, slice_or_null(r->successor));
	put_text(b, mqw_slice_of(r->status));
	put_number(b, r->code);
	put_number(b, r->state);
	put_number(b, r->attempts);
	put_number(b, r->reported);
	put_number(b, r->sure);
	put_number(b, r->counted);
	if (r->first_attempt != MQW_TIME_NONE)
		put_time(b, base, r->first_attempt);
	if (r->last_attempt != MQW_TIME_NONE)
		put_time(b, base, r->last_attempt);
	put_number(b, r->first_seen_at.source);
	put_number(b, r->first_seen_at.line);
	put_number(b, r->last_seen_at.source);
	put_number(b, r->last_seen_at.line);
}

static bool unpack_recipient(
	struct mqw_tracker *t, const char **p, struct mqw_message *m, int64_t base)
{
	uint64_t bits = take_number(p);
	struct mqw_recipient *r = mqw_message_add_recipient(&t->pieces, m, peek_text(t, p));
	struct mqw_slice reply, status;
	bool good;

	if (!r)
		return false;
	good = take_text(t, p, &r->relay);
	reply = peek_text(t, p);
	if (bits & TEMPLATE)
		good = good && fill_template(&t->text, reply, mqw_slice_of(r->address), &r->reply);
	else if (reply.ptr)
		good = good && mqw_string_set(&r->reply, reply, SIZE_MAX);
	good = take_text(t, p, &r->successor) && good;
	status = mqw_slice_head(peek_text(t, p), sizeof(r->status) - 1);
	if (status.len)
		memcpy(r->status, status.ptr, status.len);
	r->code = (uint16_t)take_number(p);
	r->state = (uint8_t)take_number(p);
	r->attempts = (uint32_t)take_number(p);
	r->reported = (uint8_t)take_number(p);
	r->sure = (uint8_t)take_number(p);
	r->counted = (uint8_t)take_number(p);
	r->successor_known = bits & SUCCESSOR_KNOWN;
	r->hasty = bits & HASTY;
	r->doubtful = bits & DOUBTFUL;
	if (bits & FIRST)
		r->first_attempt = take_time(p, base);
	if (bits & LAST)
		r->last_attempt = take_time(p, base);
	r->first_seen_at.source = (uint32_t)take_number(p);
	r->first_seen_at.line = take_number(p);
	r->last_seen_at.source = (uint32_t)take_number(p);
	r->last_seen_at.line = take_number(p);
	return good;
}

static void drop_recipient(struct mqw_tracker *t, const char **p)
{
	uint64_t bits = take_number(p);

	for (int i = 0; i < 5; i++) /* address, relay, reply, successor, status */
		drop_text(t, p);
	/* code, state, attempts, reported, sure, counted, the times that are known, two places of two
	 * numbers */
	for (int i = 0; i < 6 + !!(bits & FIRST) + !!(bits & LAST) + 4; i++)
		take_number(p);
}

void mqw_pack(struct mqw_tracker *t, struct mqw_buffer *b, const struct mqw_message *m,
	const char *instance, bool kept)
{
	uint64_t bits = kept ? KEPT : 0;

	mqw_buffer_clear(b);

	mqw_buffer_add(b, mqw_slice(m->key, m->link.key_len));
	mqw_buffer_add(b, mqw_slice((const char *)&m->opened_at, sizeof(m->opened_at)));
	mqw_buffer_add(b, mqw_slice((const char *)&instance, sizeof(instance)));
	put_number(b, m->number);
	for (size_t i = 0; i < COUNT(flags); i++)
		bits |= (uint64_t) * (const bool *)at(m, flags[i]) << i;
	put_number(b, bits);
	bits = 0;
	for (size_t i = 0; i < COUNT(times); i++)
		bits |= (uint64_t)(*(const int64_t *)at(m, times[i]) != MQW_TIME_NONE) << i;
	put_number(b, bits);
	for (size_t i = 0; i < COUNT(times); i++)
		if (bits >> i & 1)
			put_time(b, m->opened_at, *(const int64_t *)at(m, times[i]));
	put_number(b, m->place);
	put_number(b, m->reported);
	put_number(b, m->sure);
	put_number(b, m->counted);
	put_number(b, m->announced);
	put_shared(t, b, slice_or_null(m->sender));
	for (size_t i = 0; i < COUNT(texts); i++)
		put_text(b, slice_or_null(*(char *const *)at(m, texts[i])));
	put_number(b, m->recipient_count);
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		pack_recipient(t, b, r, m->opened_at);
}

bool mqw_unpack(struct mqw_tracker *t, const char *p, struct mqw_message *m)
{
	uint64_t bits, count;
	bool good;

	memcpy(&m->opened_at, p, sizeof(m->opened_at));
	memcpy(&m->instance, p + sizeof(m->opened_at), sizeof(m->instance));
	p += sizeof(m->opened_at) + sizeof(m->instance);
	m->number = take_number(&p);
	bits = take_number(&p);
	for (size_t i = 0; i < COUNT(flags); i++)
		*(bool *)at(m, flags[i]) = bits >> i & 1;
	bits = take_number(&p);
	for (size_t i = 0; i < COUNT(times); i++)
		if (bits >> i & 1)
			*(int64_t *)at(m, times[i]) = take_time(&p, m->opened_at);
	m->place = (uint8_t)take_number(&p);
	m->reported = (uint8_t)take_number(&p);
	m->sure = (uint8_t)take_number(&p);
	m->counted = (uint8_t)take_number(&p);
	m->announced = (uint32_t)take_number(&p);
	good = take_text(t, &p, &m->sender);
	for (size_t i = 0; i < COUNT(texts); i++)
		good = take_text(t, &p, at(m, texts[i])) && good;
	for (count = take_number(&p); good && count; count--)
		good = unpack_recipient(t, &p, m, m->opened_at);
	return good;
}

/* Its first two times are first_seen and last_seen. */
int64_t mqw_pack_last_seen(const char *p)
{
	int64_t base, first = MQW_TIME_NONE;
	uint64_t bits;

	memcpy(&base, p, sizeof(base));
	p += sizeof(base) + sizeof(char *);
	take_number(&p); /* number, flags */
	take_number(&p);
	bits = take_number(&p);
	if (bits & 1)
		first = take_time(&p, base);
	return bits & 2 ? take_time(&p, base) : first;
}

void mqw_pack_drop(struct mqw_tracker *t, const char *p)
{
	uint64_t bits, count;

	p += sizeof(int64_t) + sizeof(char *);
	take_number(&p); /* number, flags */
	take_number(&p);
	for (bits = take_number(&p); bits; bits &= bits - 1)
		take_number(&p);
	for (int i = 0; i < 5; i++) /* place, reported, sure, counted, announced */
		take_number(&p);
	for (size_t i = 0; i < 1 + COUNT(texts); i++)
		drop_text(t, &p);
	for (count = take_number(&p); count; count--)
		drop_recipient(t, &p);
}
