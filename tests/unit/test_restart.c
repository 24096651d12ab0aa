/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an instance says after it was killed and started again is what it would have said anyway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "instance_fixture.h"

#define HOUR 3600

/* Says the same before and after, with so many of these words in it. */
static void assert_survives(const char *words, int count)
{
	char *before, *after, *at;
	int n = 0;

	run();
	before = verdicts();
	stop();
	run();
	after = verdicts();
	assert_string_equal(after, before);
	for (at = after; (at = strstr(at, words)); at++)
		n++;
	if (n != count)
		fail_msg("%d of \"%s\", not %d:\n%s", n, words, count, after);
	free(before);
	free(after);
	stop();
}

/* A rate limit confessed after a deferral: silence proves nothing, also after a restart. */
static void test_gap(void **state)
{
	(void)state;
	was_accepted(6 * HOUR, "4F3AB1001");
	was_deferred(6 * HOUR, "4F3AB1001");
	logged(5 * HOUR, "rsyslogd",
		"imuxsock[pid 9]: 312 messages lost due to rate-limiting (200 allowed)");
	was_accepted(4 * HOUR, "4F3AB1002");
	was_deferred(4 * HOUR, "4F3AB1002");
	logged(60, "postfix/anvil", "statistics: max connection count 1");
	assert_survives("4F3AB1001 unknown", 1);
	assert_survives("4F3AB1002 overdue", 1);
	/* The log is gone through again and again: what was known of it stays one. */
	start();
	assert_non_null(mqw_tracker_gap(instance->act.tracker, 0));
	assert_null(mqw_tracker_gap(instance->act.tracker, 1));
}

/* Most of what was deferred in an hour fell silent together: that is the log, not the mail. */
static void test_broken_hour(void **state)
{
	char id[16];

	(void)state;
	for (int i = 0; i < 30; i++) {
		snprintf(id, sizeof(id), "4F3AB1%03X", i);
		was_accepted(6 * HOUR, id);
		was_deferred(6 * HOUR, id);
	}
	/* Were they counted anew from those that are open still, all of the hour would be silent. */
	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof(id), "4F3AB1%03X", i);
		was_delivered(5 * HOUR, id);
	}
	logged(60, "postfix/anvil", "statistics: max connection count 1");
	assert_survives(" unknown unproven: most of the messages", 18);
	for (int i = 12; i < 18; i++) {
		snprintf(id, sizeof(id), "4F3AB1%03X", i);
		was_delivered(50, id);
	}
	assert_survives(" overdue probable", 12);
}

/* Dropping was said to begin before the restart and to have ended after it. */
static void test_dropping_across(void **state)
{
	const struct mqw_gap *gap;
	char *said;

	(void)state;
	was_accepted(6 * HOUR, "4F3AB1001");
	was_deferred(6 * HOUR, "4F3AB1001");
	logged(5 * HOUR, "rsyslogd",
		"imuxsock[pid 9]: begin to drop messages due to rate-limiting");
	was_accepted(4 * HOUR, "4F3AB1002");
	was_deferred(4 * HOUR, "4F3AB1002");
	run();
	assert_null(mqw_tracker_gap(instance->act.tracker, 0));
	stop();
	logged(HOUR, "rsyslogd", "imuxsock[pid 9]: 312 messages lost due to rate-limiting");
	run();
	gap = mqw_tracker_gap(instance->act.tracker, 0);
	assert_non_null(gap);
	/* Stamps are whole seconds, of a clock that went on. */
	assert_in_range(gap->to - gap->from, 4 * MQW_HOUR - MQW_MINUTE, 4 * MQW_HOUR + MQW_MINUTE);
	said = verdicts();
	assert_non_null(strstr(said, "4F3AB1001 unknown"));
	assert_non_null(strstr(said, "4F3AB1002 unknown"));
	free(said);
	stop();
	start();
	assert_int_equal(instance->loss.dropping_since, MQW_TIME_NONE);
}

/* The batch that has the gap failed: it goes with the next one. */
static void test_gap_while_the_ledger_is_away(void **state)
{
	(void)state;
	was_accepted(6 * HOUR, "4F3AB1001");
	was_deferred(6 * HOUR, "4F3AB1001");
	run();
	logged(5 * HOUR, "rsyslogd", "imuxsock[pid 9]: 312 messages lost due to rate-limiting");
	logged(60, "postfix/anvil", "statistics: max connection count 1");
	catch_up();
	assert_int_equal(mqw_ledger_begin(ledger), 0);
	assert_int_equal(mqw_instance_keep(instance), -EINPROGRESS);
	assert_int_equal(mqw_ledger_rollback(ledger), 0);
	assert_int_equal(mqw_instance_keep(instance), 0);
	stop();
	start();
	assert_non_null(mqw_tracker_gap(instance->act.tracker, 0));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, instance_setup, instance_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_gap),
		TEST(test_broken_hour),
		TEST(test_dropping_across),
		TEST(test_gap_while_the_ledger_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
