/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tracker of the daemon: what it says when, what it asks to be kept, and what it takes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "tracker_fixture.h"

#define PATIENCE (4000 * MQW_SECOND + 2 * MQW_HOUR) /* of the defaults: retry and slack */

static void test_says_changes_only(void **state)
{
	(void)state;
	/* Delivered at the first try: one word at its end. */
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 1);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 2);
	assert_said("");
	mqw_tracker_tick(t, T0 + 2 + MQW_MINUTE);
	assert_said("A1 " B " delivered certain\nA1 forgotten\n");
	accepted("A2", T0 + MQW_HOUR);
	deferred("A2", T0 + MQW_HOUR);
	assert_said("A2 " B " pending probable\n");
	deferred("A2", T0 + MQW_HOUR + 1);
	in_queue("A2", MQW_PLACE_WAITING, T0 + 2 * MQW_HOUR, T0 + MQW_HOUR + 2);
	assert_said("");
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + MQW_HOUR + 3);
	assert_said("A2 " B " vanished certain was pending\n");
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + MQW_HOUR + 4);
	assert_said("");
	/* It was not lost after all. */
	tried("A2", B, MQW_OUTCOME_SENT, 250, T0 + MQW_HOUR + 5);
	assert_said("A2 " B " delivered certain was vanished\n");
	happens(MQW_EVENT_REMOVED, "A2", T0 + MQW_HOUR + 5);
	mqw_tracker_tick(t, T0 + 2 * MQW_HOUR);
	assert_said("A2 forgotten\n");
}

/* Put back under its old id, and seen there before the MTA takes it up. */
static void test_put_back_and_seen(void **state)
{
	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_GAVE_UP, "A1", T0 + 2);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 2);
	assert_said("A1 " B " pending probable\nA1 " B " false_ndr certain was pending\n");
	in_queue("A1", MQW_PLACE_ARRIVING, MQW_TIME_NONE, T0 + MQW_MINUTE);
	assert_null(message("A1")->earlier);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2 * MQW_MINUTE);
	assert_said("");
	happens_with(MQW_EVENT_OPENED, "A2", "A1", T0 + 2 * MQW_MINUTE);
	assert_said("A1 " B " relocated certain was false_ndr\n");
	/* Anywhere else it is another message that was given its id. */
	in_queue("A1", MQW_PLACE_WAITING, MQW_TIME_NONE, T0 + 2 * MQW_MINUTE + 10 * MQW_SECOND);
	assert_non_null(message("A1")->earlier);
}

static bool deaf;
static int heard;

static void on_deaf(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx, (void)m, (void)r;
	assert_int_equal(j->verdict, MQW_VERDICT_FALSE_NDR);
	assert_int_equal(previous, MQW_VERDICT_NONE);
	heard++;
	if (deaf)
		mqw_tracker_not_told(t);
}

/* Whoever had no memory to take it is given it again. */
static void test_not_told(void **state)
{
	const struct mqw_tracker_ops ops = {.verdict = on_deaf};

	(void)state;
	mqw_tracker_free(t);
	t = mqw_tracker_create(&options, &ops, true);
	deaf = true;
	heard = 0;
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_BOUNCED, 450, T0 + 1);
	assert_int_equal(heard, 1);
	assert_int_equal(message("A1")->recipients->reported, MQW_VERDICT_NONE);
	assert_int_equal(mqw_tracker_next_due(t), T0 + 1 + 5 * MQW_SECOND);
	mqw_tracker_tick(t, T0 + 6 * MQW_SECOND);
	assert_int_equal(heard, 2);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 7 * MQW_SECOND);
	deaf = false;
	heard = 0;
	mqw_tracker_tick(t, T0 + 20 * MQW_SECOND);
	assert_int_equal(heard, 1);
	assert_int_equal(message("A1")->recipients->reported, MQW_VERDICT_FALSE_NDR);
	mqw_tracker_tick(t, T0 + MQW_HOUR);
	assert_int_equal(heard, 1);
}

static void test_unnamed_recipients(void **state)
{
	(void)state;
	accepted("A1", T0);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 1);
	assert_said("A1 - vanished certain\n");
	/* Its last lines were only late: the recipient takes over what was said. */
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 2);
	assert_said("A1 " B " delivered certain was vanished\n");
	assert_int_equal(message("A1")->reported, MQW_VERDICT_NONE);
}

static void test_due(void **state)
{
	int64_t due = T0 + 1 + PATIENCE + 1;

	(void)state;
	assert_int_equal(mqw_tracker_next_due(t), INT64_MAX);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	assert_said("A1 " B " pending probable\n");
	assert_int_equal(mqw_tracker_next_due(t), due);
	mqw_tracker_tick(t, due - 1);
	assert_said("");
	mqw_tracker_tick(t, due);
	assert_said("A1 " B " overdue probable was pending\n");
	/* A time before the last one is ignored. */
	mqw_tracker_tick(t, T0);
	assert_said("");
	due = mqw_tracker_next_due(t);
	assert_int_equal(due, T0 + 5 * MQW_DAY + PATIENCE + 1);
	mqw_tracker_tick(t, due);
	assert_said("A1 " B " vanished probable was overdue\n");
	/* Kept in sight for a week, then let go. */
	assert_int_equal(mqw_tracker_next_due(t), T0 + 1 + 7 * MQW_DAY + PATIENCE);
	mqw_tracker_tick(t, T0 + 1 + 7 * MQW_DAY + PATIENCE);
	assert_said("A1 forgotten\n");
	/* What is in the queue is not let go. */
	accepted("A2", T0 + 20 * MQW_DAY);
	deferred("A2", T0 + 20 * MQW_DAY);
	in_queue("A2", MQW_PLACE_WAITING, T0 + 20 * MQW_DAY, T0 + 20 * MQW_DAY);
	mqw_tracker_tick(t, T0 + 60 * MQW_DAY);
	assert_non_null(message("A2"));
	assert_true(mqw_tracker_next_due(t) > T0 + 60 * MQW_DAY);
}

static void test_dirty(void **state)
{
	struct mqw_message *m;

	(void)state;
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 1);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 2);
	assert_null(mqw_tracker_take_dirty(t));
	accepted("A2", T0 + 3);
	deferred("A2", T0 + 4);
	accepted("A3", T0 + 4);
	deferred("A3", T0 + 4);
	deferred("A2", T0 + 5);
	m = mqw_tracker_take_dirty(t);
	assert_string_equal(m->queue_id, "A2");
	assert_string_equal(mqw_tracker_take_dirty(t)->queue_id, "A3");
	assert_null(mqw_tracker_take_dirty(t));
	mqw_tracker_mark_dirty(t, m);
	mqw_tracker_mark_dirty(t, m);
	assert_ptr_equal(mqw_tracker_take_dirty(t), m);
	assert_null(mqw_tracker_take_dirty(t));
	/* By the clock alone, too. */
	mqw_tracker_tick(t, T0 + 4 + PATIENCE + 2);
	assert_non_null(mqw_tracker_take_dirty(t));
	assert_non_null(mqw_tracker_take_dirty(t));
	assert_null(mqw_tracker_take_dirty(t));
	/* A look at the queue is kept when it tells something new. */
	in_queue("A2", MQW_PLACE_WAITING, T0 + MQW_DAY, T0 + MQW_DAY);
	assert_string_equal(mqw_tracker_take_dirty(t)->queue_id, "A2");
	in_queue("A2", MQW_PLACE_WAITING, T0 + MQW_DAY, T0 + MQW_DAY + MQW_MINUTE);
	assert_null(mqw_tracker_take_dirty(t));
	in_queue("A2", MQW_PLACE_WAITING, T0 + 2 * MQW_DAY, T0 + MQW_DAY + 2 * MQW_MINUTE);
	assert_string_equal(mqw_tracker_take_dirty(t)->queue_id, "A2");
	in_queue("A2", MQW_PLACE_HELD, MQW_TIME_NONE, T0 + MQW_DAY + 3 * MQW_MINUTE);
	assert_string_equal(mqw_tracker_take_dirty(t)->queue_id, "A2");
	assert_null(mqw_tracker_take_dirty(t));
	/* One that is forgotten is out of the list: at its front, in it, at its end. */
	for (int gone = 0; gone < 3; gone++) {
		char id[8];

		begin(true);
		for (int i = 0; i < 3; i++) {
			snprintf(id, sizeof(id), "D%d", i);
			accepted(id, T0);
			deferred(id, T0);
		}
		snprintf(id, sizeof(id), "D%d", gone);
		tried(id, B, MQW_OUTCOME_SENT, 250, T0 + 1);
		happens(MQW_EVENT_REMOVED, id, T0 + 1);
		mqw_tracker_tick(t, T0 + 1 + MQW_MINUTE);
		assert_null(message(id));
		deferred("D9", T0 + 1 + MQW_MINUTE);
		for (int i = 0; i < 3; i++)
			assert_non_null(mqw_tracker_take_dirty(t));
		assert_null(mqw_tracker_take_dirty(t));
	}
}

static void test_false_report_at_the_first_try(void **state)
{
	(void)state;
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_BOUNCED, 450, T0 + 1);
	assert_said("A1 " B " false_ndr certain\n");
	happens(MQW_EVENT_REMOVED, "A1", T0 + 2);
	assert_false(message("A1")->kept);
	assert_ptr_equal(mqw_tracker_take_dirty(t), message("A1"));
	assert_true(message("A1")->kept);
	/* It stays for a day, in which it can be brought back. */
	mqw_tracker_tick(t, T0 + 2 + MQW_DAY - 1);
	assert_non_null(message("A1"));
	mqw_tracker_tick(t, T0 + 2 + MQW_DAY);
	assert_said("A1 forgotten\n");
	accepted("A2", T0 + 2 * MQW_DAY);
	tried("A2", B, MQW_OUTCOME_BOUNCED, 550, T0 + 2 * MQW_DAY);
	assert_said("");
	assert_null(mqw_tracker_take_dirty(t));
}

static void test_restore(void **state)
{
	struct mqw_tracker *old;

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	tried("A1", C, MQW_OUTCOME_BOUNCED, 450, T0 + 2);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 3);
	old = t;
	t = NULL;
	begin(true);
	assert_int_equal(mqw_tracker_restore(t, mqw_tracker_next(old, NULL)), 0);
	assert_int_equal(mqw_tracker_restore(t, mqw_tracker_next(old, NULL)), -EEXIST);
	mqw_tracker_free(old);
	assert_judged("A1", B, VANISHED, CERTAIN);
	assert_judged("A1", C, FALSE_NDR, CERTAIN);
	assert_string_equal(message("A1")->sender, "a@example.com");
	assert_true(message("A1")->kept);
	assert_string_equal(message("A1")->recipients->reply, "as the server said");
	assert_null(mqw_tracker_take_dirty(t));
	/* No second report, and what follows is told from what was reported. */
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 4);
	assert_said("");
	deferred("A1", T0 + 4);
	in_queue("A1", MQW_PLACE_WAITING, T0 + MQW_HOUR, T0 + 5);
	assert_said("A1 " B " pending certain was vanished\n");
	mqw_tracker_tick(t, T0 + MQW_HOUR + 2 * MQW_HOUR + 1);
	assert_said("A1 " B " overdue certain was pending\n");
}

static void test_lost_by_id_is_said_soon(void **state)
{
	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + MQW_SECOND);
	assert_said("A1 " B " pending probable\n");
	accepted("A1", T0 + MQW_MINUTE);
	mqw_tracker_tick(t, T0 + MQW_MINUTE + MQW_SECOND);
	assert_said("A1 " B " vanished probable was pending\n");
}

/* What was found before anybody could be told is told later, whatever the process went through. */
static void test_held(void **state)
{
	(void)state;
	mqw_tracker_hold(t, true);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2);
	accepted("A2", T0 + 3);
	tried("A2", B, MQW_OUTCOME_BOUNCED, 450, T0 + 4);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 5);
	accepted("A3", T0 + 6);
	deferred("A3", T0 + 7);
	happens(MQW_EVENT_QUEUE_GONE, "A3", T0 + 8);
	accepted("A4", T0 + 9);
	happens(MQW_EVENT_QUEUE_GONE, "A4", T0 + 10);
	assert_said("");
	/* It is given out to be kept, but not as reported. */
	assert_ptr_equal(mqw_tracker_take_dirty(t), message("A1"));
	assert_int_equal(message("A1")->recipients->reported, MQW_VERDICT_NONE);
	/* Trouble outlasts even ten days of log; what its end sets right is never said. */
	tried("A3", B, MQW_OUTCOME_SENT, 250, T0 + 3 * MQW_HOUR);
	happens(MQW_EVENT_REMOVED, "A3", T0 + 3 * MQW_HOUR);
	mqw_tracker_tick(t, T0 + 10 * MQW_DAY);
	assert_said("A3 " B " delivered certain\nA3 forgotten\n");
	mqw_tracker_hold(t, false);
	assert_said(
		"A1 " B " vanished certain\nA2 " B " false_ndr certain\nA4 - vanished certain\n");
	mqw_tracker_hold(t, false);
	mqw_tracker_tick(t, T0 + 10 * MQW_DAY + MQW_DAY - 1);
	assert_said("");
	mqw_tracker_tick(t, T0 + 10 * MQW_DAY + MQW_DAY);
	assert_said("A2 forgotten\n");
	mqw_tracker_tick(t, T0 + 17 * MQW_DAY + PATIENCE);
	assert_said("A1 forgotten\nA4 forgotten\n");
}

/* Probable, then certain: told twice, so that who waits for certainty hears of it. */
static void test_becomes_surer(void **state)
{
	struct mqw_event e;

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	assert_said("A1 " B " pending probable\n");
	e = about(MQW_EVENT_FILE_LOST, "A1", T0 + 2);
	e.reply = MQW_LIT("open active A1: No such file or directory");
	feed(e);
	assert_said("A1 " B " vanished probable was pending\n");
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 3);
	assert_said("A1 " B " vanished certain was vanished\n");
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 4);
	feed(e);
	assert_said("");
	/* Of no trouble is nothing said twice. */
	accepted("A2", T0 + 5);
	deferred("A2", T0 + 5);
	assert_said("A2 " B " pending probable\n");
	in_queue("A2", MQW_PLACE_WAITING, T0 + MQW_HOUR, T0 + 6);
	assert_said("");
}

static void assert_totals(uint64_t messages, const char *want)
{
	const struct mqw_tracker_totals *totals = mqw_tracker_totals(t);
	struct mqw_buffer b = {0};

	for (int v = 0; v < MQW_VERDICT_COUNT; v++)
		if (totals->verdicts[v])
			mqw_buffer_printf(&b, "%llu %s ", (unsigned long long)totals->verdicts[v],
				mqw_verdict_name((enum mqw_verdict)v));
	assert_string_equal(mqw_buffer_str(&b), want);
	assert_int_equal(totals->messages, messages);
	mqw_buffer_done(&b);
}

/* Where it goes from one verdict to the next it is taken out of the one before. */
static void test_totals_follow(void **state)
{
	(void)state;
	accepted("A1", T0);
	assert_totals(1, "");
	deferred("A1", T0 + 1);
	assert_totals(1, "1 pending ");
	queued("A1", "a@example.com", T0 + 2);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 3);
	assert_totals(1, "1 vanished ");
	happens_with(MQW_EVENT_OPENED, "A2", "A1", T0 + 4);
	queued("A2", "a@example.com", T0 + 4);
	assert_totals(2, "1 relocated ");
	tried("A2", B, MQW_OUTCOME_SENT, 250, T0 + 5);
	assert_totals(2, "1 delivered 1 relocated ");
	/* Of whom nobody knew the name, and then somebody did. */
	accepted("A3", T0 + 6);
	happens(MQW_EVENT_QUEUE_GONE, "A3", T0 + 7);
	assert_totals(3, "1 delivered 1 relocated 1 vanished ");
	tried("A3", B, MQW_OUTCOME_SENT, 250, T0 + 8);
	assert_totals(3, "2 delivered 1 relocated ");
	/* The same line twice, and the end. */
	tried("A2", B, MQW_OUTCOME_SENT, 250, T0 + 5);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 9);
	mqw_tracker_tick(t, T0 + MQW_DAY);
	assert_totals(3, "2 delivered 1 relocated ");
}

/* Its file may be seen before the line of the queue manager is read; later lines are of later tries. */
static void test_totals_when_the_log_is_late(void **state)
{
	(void)state;
	happens(MQW_EVENT_OPENED, "A1", T0);
	in_queue("A1", MQW_PLACE_WAITING, T0 + MQW_HOUR, T0 + 1);
	assert_totals(0, "");
	queued("A1", "a@example.com", T0 + 2);
	assert_totals(1, "");
	deferred("A1", T0 + 3);
	queued("A1", "a@example.com", T0 + MQW_HOUR);
	assert_totals(1, "1 pending ");
}

/* An address verification looks like a message until its answer is logged. */
static void test_totals_without_probes(void **state)
{
	(void)state;
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_PROBE, 450, T0 + 1);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 2);
	assert_totals(0, "");
	/* Nor its report, which is known for one only after it was sent. */
	accepted("A2", T0 + 3);
	tried("A2", B, MQW_OUTCOME_SENT, 250, T0 + 4);
	assert_totals(1, "1 delivered ");
	happens_with(MQW_EVENT_NDR, "A1", "A2", T0 + 5);
	assert_totals(0, "");
}

/* What has to make room is not open any more, as far as anybody knows. */
static void test_totals_at_the_cap(void **state)
{
	(void)state;
	options.max_messages = 2;
	begin(true);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	tried("A1", C, MQW_OUTCOME_SENT, 250, T0 + 1);
	accepted("A2", T0 + 2);
	deferred("A2", T0 + 2);
	accepted("A3", T0 + 3);
	assert_null(message("A1"));
	assert_totals(3, "1 delivered 1 pending 1 unknown ");
	options.max_messages = 0;
}

static void test_totals_in_a_scan(void **state)
{
	(void)state;
	begin(false);
	accepted("A1", T0);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 1);
	deferred("A1", T0 + 1);
	mqw_tracker_finish(t, T0 + 2);
	assert_totals(0, "");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_says_changes_only),
		TEST(test_put_back_and_seen),
		TEST(test_not_told),
		TEST(test_unnamed_recipients),
		TEST(test_due),
		TEST(test_dirty),
		TEST(test_false_report_at_the_first_try),
		TEST(test_restore),
		TEST(test_lost_by_id_is_said_soon),
		TEST(test_held),
		TEST(test_becomes_surer),
		TEST(test_totals_follow),
		TEST(test_totals_when_the_log_is_late),
		TEST(test_totals_without_probes),
		TEST(test_totals_at_the_cap),
		TEST(test_totals_in_a_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
