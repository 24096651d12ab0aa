/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which findings become one alert, and when it is sent. What delays it: test_outbox_delays.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "outbox_fixture.h"

static void one_is_sent_after_a_moment(void **state)
{
	const json_t *n;

	(void)state;
	found(7);
	pass(S);
	assert_sent(0);
	pass(2 * S);
	assert_sent(1);
	n = far_side.got[0];
	assert_true(mqw_slice_eq(mqw_notice_text(n, "host"), MQW_LIT("mx1")));
	assert_true(mqw_slice_eq(mqw_notice_text(n, "channel"), MQW_LIT("ops")));
	assert_true(mqw_slice_eq(mqw_notice_text(n, "summary"), MQW_LIT("1 vanished (out)")));
	assert_int_equal(mqw_notice_text(n, "id").len, MQW_NOTICE_TOKEN_LEN);
	assert_true(json_is_false(json_object_get(n, "digest")));
	assert_int_equal(json_array_size(json_object_get(n, "findings")), 1);
	pass(MQW_DAY);
	assert_sent(1);
	assert_int_equal(far_side.tries, 1);
}

/* The issue's figure: each is counted, and three mails are all there is. */
static void ten_thousand_make_three(void **state)
{
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		found(i);
		if (i % 10 == 9)
			pass(S); /* over 1,000 seconds */
	}
	pass(2 * MQW_DAY);
	assert_sent(3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *n = far_side.got[i];
		size_t shown = json_array_size(json_object_get(n, "findings"));

		assert_int_equal(shown, 20);
		assert_int_equal(mqw_notice_number(n, "more"), count_of(i) - 20);
		assert_int_equal(json_is_true(json_object_get(n, "digest")), i > 0);
		sum += count_of(i);
	}
	assert_int_equal(sum, 10000);
	/* 2 s, 5 min after the first, 1 h after the second. */
	assert_in_range(count_of(0), 20, 40);
	assert_in_range(count_of(1), 2980, 3020);
	assert_true(mqw_slice_eq(mqw_notice_text(far_side.got[1], "summary"),
			    MQW_LIT("more: 2,970 vanished, 30 overdue (out)")) ||
		count_of(1) != 3000);
}

static void all_at_once_make_one(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		found(i);
	pass(MQW_DAY);
	assert_sent(1);
	assert_int_equal(count_of(0), 10000);
	assert_true(mqw_slice_eq(mqw_notice_text(far_side.got[0], "summary"),
		MQW_LIT("9,900 vanished, 100 overdue (out)")));
}

static void digests_come_seldomer(void **state)
{
	static const int64_t at[] = {3, 303, 3903, 25503, 111903, 198303};
	size_t seen = 0;
	int number = 0;

	(void)state;
	for (int64_t second = 0; second < 200000; second++) {
		if (second % 50 == 0)
			found(number++);
		pass(S);
		if (far_side.accepted > seen) {
			assert_true(seen < sizeof(at) / sizeof(at[0]));
			assert_in_range(second + 1, at[seen] - 1, at[seen] + 2);
			seen++;
		}
	}
	assert_int_equal(seen, 6);
}

static void after_quiet_it_is_at_once_again(void **state)
{
	(void)state;
	found(1);
	pass(3 * S);
	found(2); /* into the digest of 5 min */
	pass(200 * S);
	assert_sent(1);
	pass(200 * S);
	assert_sent(2);
	pass(MQW_HOUR);
	found(3);
	pass(3 * S);
	assert_sent(3);
	assert_true(json_is_false(json_object_get(far_side.got[2], "digest")));
}

static void causes_are_apart(void **state)
{
	(void)state;
	found(1);
	assert_int_equal(put_as("ops", "other", 1), 1);
	assert_int_equal(put_as("hook", "r", 1), 1);
	pass(10 * S);
	assert_sent(3);
}

static void the_same_is_told_once(void **state)
{
	(void)state;
	found(1);
	assert_int_equal(put_as("ops", "r", 1), 0);
	restart();
	assert_int_equal(put_as("ops", "r", 1), 0);
	pass(10 * S);
	assert_int_equal(put_as("ops", "r", 1), 0);
	pass(MQW_DAY);
	assert_sent(1);
	assert_int_equal(count_of(0), 1);
}

static void own_mail_is_known(void **state)
{
	char id[80], token[MQW_NOTICE_TOKEN_LEN + 1];
	struct mqw_slice got;

	(void)state;
	assert_true(mqw_notice_token(token));
	snprintf(id, sizeof(id), "mqw.%s@mx1", token);
	assert_false(mqw_outbox_is_own(l, mqw_slice_of(id)));
	assert_int_equal(mqw_outbox_note_test(l, "ops", token, now), 0);
	assert_true(mqw_outbox_is_own(l, mqw_slice_of(id)));
	id[10] = id[10] == '0' ? '1' : '0';
	assert_false(mqw_outbox_is_own(l, mqw_slice_of(id)));
	/* What a stranger may write for a Message-ID. */
	assert_false(mqw_notice_token_of(MQW_LIT("mqw.@mx1"), &got));
	assert_false(mqw_notice_token_of(MQW_LIT("mqw."), &got));
	assert_false(
		mqw_notice_token_of(MQW_LIT("mqw.0123456789abcdef0123456789abcde%@mx1"), &got));
	assert_false(
		mqw_notice_token_of(MQW_LIT("mqw.0123456789abcdef0123456789abcde\0@mx1"), &got));
	assert_true(mqw_notice_token_of(MQW_LIT("mqw.0123456789abcdef0123456789abcdef@"), &got));
	/* A test is not sent by the daemon. */
	pass(MQW_MINUTE);
	assert_int_equal(far_side.tries, 0);
	/* Known for a week. */
	found(1);
	pass(10 * S);
	snprintf(id, sizeof(id), "mqw.%s@mx1",
		json_string_value(json_object_get(far_side.got[0], "id")));
	assert_true(mqw_outbox_is_own(l, mqw_slice_of(id)));
	now += 8 * MQW_DAY;
	found(2);
	pass(10 * S);
	assert_false(mqw_outbox_is_own(l, mqw_slice_of(id)));
}

/* It waits for no digest, and is none of those that make the next one wait. */
static void an_alert_apart_waits_for_nothing(void **state)
{
	const struct mqw_outbox_finding f = {"ops", "r", "out", "apart", "restart", NULL, true};
	(void)state;
	found(1);
	pass(3 * S);
	found(2);
	assert_true(mqw_outbox_put(o, &f, now) == 1);
	pass(5 * MQW_MINUTE - 10 * S);
	assert_sent(2);
	pass(10 * S);
	assert_sent(3);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_is_sent_after_a_moment),
		TEST(ten_thousand_make_three),
		TEST(all_at_once_make_one),
		TEST(digests_come_seldomer),
		TEST(after_quiet_it_is_at_once_again),
		TEST(causes_are_apart),
		TEST(the_same_is_told_once),
		TEST(own_mail_is_known),
		TEST(an_alert_apart_waits_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
