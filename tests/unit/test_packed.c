/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages at rest: what comes out of the packed form is what went in, and nobody sees a difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "tracker_fixture.h"

#define LOOSE 64 /* the fewest that are never packed */
#define OTHERS 500 /* events enough to bring any message to rest */

static void come_to_rest(int64_t time)
{
	char id[16];

	for (int i = 0; i < OTHERS; i++) {
		snprintf(id, sizeof(id), "OTHER%d", i);
		accepted(id, time);
	}
	assert_true(t->loose_count <= LOOSE + 8);
	assert_int_equal(t->counts.open, mqw_tracker_counts(t)->open);
}

static bool is_packed(const char *id)
{
	char key[64] = "host";
	struct mqw_link *l;

	memcpy(key + 5, id, strlen(id));
	l = mqw_map_get(&t->messages, mqw_slice(key, 5 + strlen(id)));
	assert_non_null(l);
	return l->packed;
}

static void assert_text(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_true(!a && !b);
}

static void assert_recipient(const struct mqw_recipient *a, const struct mqw_recipient *b)
{
	assert_text(a->address, b->address);
	assert_text(a->relay, b->relay);
	assert_text(a->reply, b->reply);
	assert_text(a->successor, b->successor);
	assert_text(a->status, b->status);
	assert_int_equal(a->successor_known, b->successor_known);
	assert_int_equal(a->code, b->code);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->hasty, b->hasty);
	assert_int_equal(a->doubtful, b->doubtful);
	assert_int_equal(a->attempts, b->attempts);
	assert_int_equal(a->reported, b->reported);
	assert_int_equal(a->counted, b->counted);
	assert_int_equal(a->sure, b->sure);
	assert_int_equal(a->first_attempt, b->first_attempt);
	assert_int_equal(a->last_attempt, b->last_attempt);
	assert_int_equal(a->first_seen_at.source, b->first_seen_at.source);
	assert_int_equal(a->first_seen_at.line, b->first_seen_at.line);
	assert_int_equal(a->last_seen_at.source, b->last_seen_at.source);
	assert_int_equal(a->last_seen_at.line, b->last_seen_at.line);
}

/* bits: each of the fields that are flags by turns, so that none is taken for another. */
static void fill(struct mqw_message *m, unsigned bits)
{
	bool *const flags[] = {&m->opening_seen, &m->age_known, &m->queued, &m->held, &m->removed,
		&m->admin_removed, &m->admin_requeued, &m->discarded, &m->refused, &m->probe,
		&m->gave_up, &m->gave_up_forced, &m->file_lost, &m->queue_gone, &m->taken_on,
		&m->kept};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		*flags[i] = bits >> i & 1;
	m->place = MQW_PLACE_HELD;
	m->reported = MQW_VERDICT_OVERDUE;
	m->counted = MQW_VERDICT_PENDING;
	m->sure = 2;
	m->announced = UINT32_MAX;
	m->opened_at = T0;
	m->first_seen = T0 - 7;
	m->last_seen = T0 + 5 * MQW_DAY;
	m->deferred_at = INT64_MAX;
	m->gave_up_at = INT64_MIN + 1;
	m->requeued_at = MQW_TIME_NONE;
	m->gone_at = 0;
	m->closed_at = T0;
	m->retry_at = -1;
	mqw_string_set(&m->sender, MQW_LIT(""), SIZE_MAX);
	mqw_string_set(&m->ndr_id, MQW_LIT("N"), SIZE_MAX);
	mqw_string_set(&m->successor, MQW_LIT("S"), SIZE_MAX);
}

static struct mqw_pieces pieces; /* of messages that no tracker has */

static const char *const replies[] = {NULL, "", "450 <" B ">: greylisted, " B " come again", B,
	"a \1 that is the server's own, " B, "450 no address"};

static void fill_recipients(struct mqw_message *m)
{
	char address[32];

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct mqw_recipient *r;

		snprintf(address, sizeof(address), "%zu@example.net", i);
		r = mqw_message_recipient(&pieces, m, i ? mqw_slice_of(address) : MQW_LIT(B), 0);
		if (replies[i])
			mqw_string_set(&r->reply, mqw_slice_of(replies[i]), SIZE_MAX);
		if (i % 2)
			mqw_string_set(&r->relay, MQW_LIT("mx[192.0.2.1]:25"), SIZE_MAX);
		r->code = (uint16_t)(i * 1000);
		r->state = (uint8_t)i;
		r->attempts = UINT32_MAX - (uint32_t)i;
		r->hasty = i == 2;
		r->doubtful = i == 1;
		r->successor_known = i == 3;
		r->reported = (uint8_t)(i + 1);
		r->counted = (uint8_t)(i + 2);
		r->sure = (uint8_t)(i % 3);
		r->first_attempt = i == 1 ? MQW_TIME_NONE : T0 + (int64_t)i;
		r->last_attempt = i == 4 ? MQW_TIME_NONE : T0 - (int64_t)i;
		r->first_seen_at = (struct mqw_evidence){UINT32_MAX, UINT64_MAX - i};
		r->last_seen_at = (struct mqw_evidence){(uint32_t)i, 1};
		memcpy(r->status, "4.7.111.222", i == 5 ? 12 : 0);
	}
	/* The answer to the first names the first. */
	mqw_string_set(&m->recipients->reply, mqw_slice_of(replies[2]), SIZE_MAX);
}

static void test_all_comes_back(void **state)
{
	(void)state;
	options.loose_messages = LOOSE;
	begin(false);
	for (unsigned bit = 0; bit < 16; bit++) {
		struct mqw_message *want = mqw_message_create(
					   &pieces, MQW_LIT("host"), MQW_LIT("A1")),
				   *m;
		const struct mqw_recipient *a, *b;

		fill(want, 1u << bit);
		fill_recipients(want);
		happens(MQW_EVENT_OPENED, "A1", T0);
		m = message("A1");
		fill(m, 1u << bit);
		fill_recipients(m);
		come_to_rest(T0);
		assert_true(is_packed("A1"));
		m = message("A1");
		assert_false(is_packed("A1"));
		assert_string_equal(m->queue_id, "A1");
		assert_string_equal(m->realm, "host");
		assert_string_equal(m->instance, "postfix");
		assert_text(m->sender, want->sender);
		assert_text(m->message_id, want->message_id);
		assert_text(m->ndr_id, want->ndr_id);
		assert_text(m->former_id, want->former_id);
		assert_text(m->successor, want->successor);
		assert_text(m->lost_how, want->lost_how);
		/* From the first flag to the last time nothing but values lies. */
		assert_memory_equal(&m->opening_seen, &want->opening_seen,
			offsetof(struct mqw_message, kept) + 1 -
				offsetof(struct mqw_message, opening_seen));
		assert_int_equal(m->reported, want->reported);
		assert_int_equal(m->counted, want->counted);
		assert_int_equal(m->sure, want->sure);
		assert_int_equal(m->announced, want->announced);
		assert_memory_equal(&m->opened_at, &want->opened_at,
			offsetof(struct mqw_message, retry_at) + sizeof(int64_t) -
				offsetof(struct mqw_message, opened_at));
		assert_int_equal(m->recipient_count, want->recipient_count);
		for (a = want->recipients, b = m->recipients; a && b; a = a->next, b = b->next)
			assert_recipient(a, b);
		assert_true(!a && !b);
		mqw_message_free(&pieces, want);
		begin(false);
	}
	mqw_pieces_done(&pieces);
}

static unsigned int dice;

static unsigned roll(unsigned sides)
{
	dice = dice * 1103515245u + 12345u;
	return (dice >> 16) % sides;
}

/* A life of many messages, at random but the same each time. */
static void live_through(void)
{
	static const enum mqw_outcome outcomes[] = {MQW_OUTCOME_DEFERRED, MQW_OUTCOME_DEFERRED,
		MQW_OUTCOME_SENT, MQW_OUTCOME_BOUNCED, MQW_OUTCOME_HANDED_OFF};
	char id[16], other[16];
	int64_t now = T0;

	for (int i = 0; i < 20000; i++) {
		enum mqw_outcome outcome = outcomes[roll(5)];

		snprintf(id, sizeof(id), "A%u", roll(3000));
		snprintf(other, sizeof(other), "A%u", roll(3000));
		now += roll(20) * MQW_SECOND;
		switch (roll(14)) {
		case 0:
			happens(MQW_EVENT_REMOVED, id, now);
			break;
		case 1:
			happens_with(MQW_EVENT_OPENED, id, other, now);
			break;
		case 2:
			happens(MQW_EVENT_QUEUE_GONE, id, now);
			break;
		case 3:
			in_queue(id, MQW_PLACE_WAITING, now + MQW_HOUR, now);
			break;
		case 4:
			happens(roll(2) ? MQW_EVENT_HELD : MQW_EVENT_RELEASED, id, now);
			break;
		case 5:
			mqw_tracker_tick(t, now);
			while (t->live && mqw_tracker_take_dirty(t))
				;
			break;
		case 6:
		case 7:
		case 8:
		case 9:
			accepted(id, now);
			break;
		default:
			tried(id, roll(2) ? B : C, outcome, roll(2) ? 450 : 550, now);
		}
	}
	mqw_tracker_finish(t, now + 20 * MQW_DAY);
}

static void test_no_difference(void **state)
{
	struct mqw_buffer loose = {0};

	(void)state;
	for (int live = 0; live < 2; live++) {
		for (unsigned seed = 1; seed <= 5; seed++) {
			options.loose_messages = UINT32_MAX;
			begin(live);
			dice = seed;
			live_through();
			mqw_buffer_clear(&loose);
			mqw_buffer_add(&loose, mqw_buffer_slice(&said));
			assert_true(loose.len > 10000);
			options.loose_messages = 0;
			begin(live);
			dice = seed;
			live_through();
			assert_string_equal(mqw_buffer_str(&said), mqw_buffer_str(&loose));
			/* All was given back. */
			assert_int_equal(t->pool.numbers.count, 0);
			assert_int_equal(t->loose_count, 0);
		}
	}
	mqw_buffer_done(&loose);
}

static void test_restored_at_rest(void **state)
{
	struct mqw_tracker *old;

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	old = t;
	t = NULL;
	begin(true);
	assert_int_equal(mqw_tracker_restore(t, mqw_tracker_next(old, NULL)), 0);
	assert_true(is_packed("A1"));
	/* What silence means is judged without anybody asking for it. */
	mqw_tracker_tick(t, T0 + 3 * MQW_DAY);
	assert_said("A1 " B " overdue probable was pending\n");
	mqw_tracker_next(old, NULL)->recipients->state = MQW_RECIPIENT_COUNT;
	assert_int_equal(mqw_tracker_restore(t, mqw_tracker_next(old, NULL)), -EINVAL);
	mqw_tracker_free(old);
}

static void test_pool(void **state)
{
	struct mqw_pool p;
	uint32_t a, b, c;
	char text[16];

	(void)state;
	mqw_pool_init(&p, 1);
	assert_true(mqw_pool_take(&p, MQW_LIT("one"), &a));
	assert_true(mqw_pool_take(&p, MQW_LIT("two"), &b));
	assert_true(mqw_pool_take(&p, MQW_LIT("one"), &c));
	assert_int_equal(a, c);
	assert_int_not_equal(a, b);
	mqw_pool_drop(&p, a);
	assert_true(mqw_slice_eq(mqw_pool_text(&p, a), MQW_LIT("one")));
	mqw_pool_drop(&p, a);
	assert_true(mqw_pool_take(&p, MQW_LIT(""), &c));
	assert_int_equal(c, a); /* the number is free again */
	assert_int_equal(mqw_pool_text(&p, c).len, 0);
	/* Full: who comes keeps his text himself. */
	for (int i = 2; i < 65536; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_true(mqw_pool_take(&p, mqw_slice_of(text), &a));
	}
	assert_false(mqw_pool_take(&p, MQW_LIT("one more"), &a));
	assert_true(mqw_pool_take(&p, MQW_LIT("two"), &a));
	mqw_pool_done(&p);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all_comes_back),
		TEST(test_no_difference),
		TEST(test_restored_at_rest),
		TEST(test_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
