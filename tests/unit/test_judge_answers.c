/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verdicts where a log says little: a delivery under way, answers alone, answers that may be another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tracker_fixture.h"

#define LIFETIME (2 * MQW_DAY)
#define RETRY (4 * MQW_HOUR)
#define PATIENCE (RETRY + 2 * MQW_HOUR)

static void begin_with(bool alone, int64_t lifetime)
{
	options.default_lifetime = LIFETIME;
	options.lifetime = lifetime;
	options.retry_max = RETRY;
	options.answers_alone = alone;
	begin(true);
}

static void doubtful(const char *id, int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_ATTEMPT, id, time);

	e.recipient = MQW_LIT(B);
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.code = 450;
	e.doubtful = true;
	feed(e);
}

/* That it is on its way is no failure; silence after it is. */
static void test_under_way(void **state)
{
	(void)state;
	begin_with(false, 0);
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_UNDER_WAY, 0, T0);
	assert_int_equal(message("A1")->deferred_at, MQW_TIME_NONE);
	assert_int_equal(mqw_tracker_recipient(message("A1"), mqw_slice_of(B))->attempts, 0);
	/* What is delivered at the first try is nobody's to keep. */
	assert_null(mqw_tracker_take_dirty(t));
	mqw_tracker_tick(t, T0 + PATIENCE);
	assert_judged("A1", B, PENDING, PROBABLE);
	mqw_tracker_tick(t, T0 + PATIENCE + 1);
	assert_said("A1 " B " overdue probable\n");
	mqw_tracker_tick(t, T0 + LIFETIME + PATIENCE + 1);
	assert_said("A1 " B " vanished probable was overdue\n");
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + LIFETIME + MQW_DAY);
	assert_judged("A1", B, DELIVERED, CERTAIN);
	assert_int_equal(mqw_tracker_recipient(message("A1"), mqw_slice_of(B))->attempts, 1);
}

static void test_no_answer_is_said(void **state)
{
	struct mqw_event e;

	(void)state;
	begin_with(false, 0);
	accepted("A1", T0);
	e = about(MQW_EVENT_ATTEMPT, "A1", T0);
	e.recipient = MQW_LIT(B);
	e.outcome = MQW_OUTCOME_UNDER_WAY;
	feed(e);
	mqw_tracker_tick(t, T0 + PATIENCE + 1);
	assert_reason("A1", B, "no answer to a try is logged, then silence for 6 h");
	/* An answer that comes is the last one, and another line of the try changes nothing. */
	deferred("A1", T0 + MQW_DAY);
	e.time = T0 + MQW_DAY + 1;
	feed(e);
	mqw_tracker_tick(t, T0 + MQW_DAY + 1 + PATIENCE + 1);
	assert_reason("A1", B, "last answer 450, then silence for 6 h");
}

/* Tries that went on until the lifetime was over may have ended in a report that nobody logged. */
static void test_answers_alone(void **state)
{
	(void)state;
	begin_with(true, 0);
	deferred("A1", T0);
	deferred("A1", T0 + LIFETIME - PATIENCE);
	mqw_tracker_tick(t, T0 + LIFETIME + 1);
	assert_judged("A1", B, EXPIRED, PROBABLE);
	/* Too soon for any lifetime that lets greylisting pass. */
	begin_with(true, 0);
	deferred("A1", T0);
	deferred("A1", T0 + 4 * MQW_HOUR - 1);
	mqw_tracker_tick(t, T0 + 4 * MQW_HOUR + PATIENCE);
	assert_judged("A1", B, OVERDUE, PROBABLE);
	mqw_tracker_tick(t, T0 + LIFETIME + PATIENCE + 1);
	assert_judged("A1", B, VANISHED, PROBABLE);
	/* In between it may have been configured so; where it is known it was not. */
	begin_with(true, 0);
	deferred("A1", T0);
	deferred("A1", T0 + 4 * MQW_HOUR);
	mqw_tracker_tick(t, T0 + LIFETIME + PATIENCE + 1);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	assert_reason("A1", B, "the lifetime that is configured is not known");
	begin_with(true, LIFETIME);
	deferred("A1", T0);
	deferred("A1", T0 + 4 * MQW_HOUR);
	mqw_tracker_tick(t, T0 + LIFETIME + PATIENCE + 1);
	assert_judged("A1", B, VANISHED, PROBABLE);
}

static void test_doubtful(void **state)
{
	(void)state;
	/* Where other lines say that it was not delivered, it is less sure. */
	begin_with(false, 0);
	accepted("A1", T0);
	doubtful("A1", T0);
	mqw_tracker_tick(t, T0 + PATIENCE);
	assert_judged("A1", B, PENDING, PROBABLE);
	mqw_tracker_tick(t, T0 + PATIENCE + 1);
	assert_judged("A1", B, OVERDUE, UNPROVEN);
	/* Where there is nothing else, it is no claim at all. */
	begin_with(true, 0);
	doubtful("A1", T0);
	mqw_tracker_tick(t, T0 + PATIENCE + 1);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	assert_reason("A1", B, "several sessions with that host");
	/* The next answer that is sure takes the doubt away. */
	deferred("A1", T0 + PATIENCE + 2);
	mqw_tracker_tick(t, T0 + 2 * PATIENCE + 3);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	assert_reason("A1", B, "the lifetime that is configured is not known");
}

/* A receiver words its answers differently; the one it is known by counts on. */
static void test_hasty(void **state)
{
	struct mqw_event e;

	(void)state;
	begin_with(false, 0);
	accepted("A1", T0);
	e = about(MQW_EVENT_ATTEMPT, "A1", T0);
	e.recipient = MQW_LIT(B);
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.code = 450;
	e.reply = MQW_LIT("450 4.7.1 Greylisted");
	feed(e);
	e.time = T0 + MQW_MINUTE;
	e.reply = MQW_LIT("451 please try again later");
	feed(e);
	assert_true(mqw_tracker_recipient(message("A1"), mqw_slice_of(B))->hasty);
	e.time = T0 + 2 * MQW_MINUTE;
	feed(e);
	assert_true(mqw_tracker_recipient(message("A1"), mqw_slice_of(B))->hasty);
	e.time = T0 + 5 * MQW_MINUTE;
	feed(e);
	assert_false(mqw_tracker_recipient(message("A1"), mqw_slice_of(B))->hasty);
}

static void test_delays(void **state)
{
	int64_t delay;

	(void)state;
	assert_string_equal(
		mqw_greylisting_of(MQW_LIT("450 see http://postgrey.schweikert.ch/"), &delay),
		"postgrey");
	assert_int_equal(delay, 5 * MQW_MINUTE);
	assert_string_equal(mqw_greylisting_of(MQW_LIT("450 greylisted"), &delay), "greylisting");
	assert_int_equal(delay, 0);
	/* A figure of the reply's own wins; what is none, or beyond reason, does not. */
	mqw_greylisting_of(MQW_LIT("450 4.7.1 Greylisted for 899 seconds"), &delay);
	assert_int_equal(delay, 899 * MQW_SECOND);
	mqw_greylisting_of(
		MQW_LIT("451 Greylisting in action, please come back in 00:08:01"), &delay);
	assert_int_equal(delay, 481 * MQW_SECOND);
	mqw_greylisting_of(MQW_LIT("451 greylisted for 12 minutes"), &delay);
	assert_int_equal(delay, 12 * MQW_MINUTE);
	mqw_greylisting_of(MQW_LIT("451 greylisted in this place for 2 hours."), &delay);
	assert_int_equal(delay, 2 * MQW_HOUR);
	mqw_greylisting_of(
		MQW_LIT("451 greylisted for 99999 hours for 25 hours in 1:2 in 3"), &delay);
	assert_int_equal(delay, 0);
	mqw_greylisting_of(
		MQW_LIT("451 Greylisting in action, please come back in 00:99:01"), &delay);
	assert_int_equal(delay, 30 * MQW_MINUTE);
	assert_null(mqw_greylisting_of(MQW_LIT("450 mailbox full"), &delay));
	assert_null(mqw_greylisting_of(MQW_SLICE_NULL, &delay));
	assert_int_equal(delay, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_under_way),
		TEST(test_no_answer_is_said),
		TEST(test_answers_alone),
		TEST(test_doubtful),
		TEST(test_hasty),
		TEST(test_delays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
