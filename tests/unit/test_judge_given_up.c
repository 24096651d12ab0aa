/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Given up by the MTA: a false report, or a lifetime that ran out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tracker_fixture.h"

#define LIFETIME (5 * MQW_DAY)

static void gave_up(const char *id, int64_t time)
{
	happens(MQW_EVENT_GAVE_UP, id, time);
}

/* A message that was opened at T0 and is given up at this age. */
static void given_up_at(int64_t age)
{
	begin(true);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	gave_up("A1", T0 + age);
	assert_int_equal(message("A1")->gave_up_at - message("A1")->opened_at, age);
}

static void test_given_up(void **state)
{
	(void)state;
	/* Nobody told the lifetime: the least that lets greylisting pass decides. */
	given_up_at(4 * MQW_HOUR - 1);
	assert_judged("A1", B, FALSE_NDR, CERTAIN);
	assert_reason("A1", B, "greylisting needs up to 4 h");
	assert_reason("A1", B, "reported as failed on 450");
	given_up_at(4 * MQW_HOUR);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	/* Told: to two seconds, in which the MTA rounds. */
	options.lifetime = LIFETIME;
	given_up_at(LIFETIME - 2 * MQW_SECOND - 1);
	assert_judged("A1", B, FALSE_NDR, CERTAIN);
	assert_reason("A1", B, "before the lifetime of 5 d ran out");
	given_up_at(LIFETIME - 2 * MQW_SECOND);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	given_up_at(LIFETIME + MQW_HOUR);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	/* A lifetime that is itself too short excuses nothing. */
	options.lifetime = MQW_HOUR;
	given_up_at(2 * MQW_HOUR);
	assert_judged("A1", B, FALSE_NDR, CERTAIN);
	given_up_at(4 * MQW_HOUR);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	options.min_lifetime = MQW_HOUR;
	given_up_at(2 * MQW_HOUR);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	/* What was delivered before stays so. */
	tried("A1", C, MQW_OUTCOME_SENT, 250, T0 + 2);
	assert_judged("A1", C, DELIVERED, CERTAIN);
}

static void test_given_up_null_sender(void **state)
{
	(void)state;
	options.lifetime = LIFETIME;
	options.bounce_lifetime = MQW_DAY;
	begin(true);
	happens(MQW_EVENT_OPENED, "A1", T0);
	queued("A1", "", T0);
	deferred("A1", T0 + 1);
	gave_up("A1", T0 + MQW_DAY);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	begin(true);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	gave_up("A1", T0 + MQW_DAY);
	assert_judged("A1", B, FALSE_NDR, CERTAIN);
}

static void test_given_up_at_unknown_age(void **state)
{
	struct mqw_event e = about(MQW_EVENT_ATTEMPT, "A2", T0);

	(void)state;
	/* The log begins in the middle of its life. */
	deferred("A1", T0);
	gave_up("A1", T0 + MQW_HOUR);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	assert_reason("A1", B, "begins in the middle");
	begin(true);
	deferred("A1", T0);
	gave_up("A1", T0 + 4 * MQW_HOUR);
	assert_judged("A1", B, EXPIRED, CERTAIN);
	/* The MTA's own account of its age, rounded to two digits, does as well. */
	options.lifetime = LIFETIME;
	begin(true);
	e.recipient = mqw_slice_of(B);
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.delay = 10 * MQW_MINUTE;
	feed(e);
	gave_up("A2", T0 + 10 * MQW_MINUTE);
	assert_judged("A2", B, FALSE_NDR, CERTAIN);
	assert_reason("A2", B, "at the age of only 20 min");
	begin(true);
	e.delay = LIFETIME - LIFETIME / 60;
	feed(e);
	gave_up("A2", T0);
	assert_judged("A2", B, EXPIRED, CERTAIN);
	begin(true);
	e.delay = LIFETIME - LIFETIME / 40;
	feed(e);
	gave_up("A2", T0);
	assert_judged("A2", B, FALSE_NDR, CERTAIN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_given_up),
		TEST(test_given_up_null_sender),
		TEST(test_given_up_at_unknown_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
