/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each verdict, with its confidence, at the times at which it begins and ends. Those of what the MTA
 * gave up are in test_judge_given_up.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tracker_fixture.h"

/* What the defaults make of silence. */
#define RETRY (4000 * MQW_SECOND)
#define SLACK (2 * MQW_HOUR)
#define LIFETIME (5 * MQW_DAY)

static void test_final_words(void **state)
{
	(void)state;
	accepted("A1", T0);
	assert_judged("A1", NULL, NONE, UNPROVEN);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 1);
	tried("A1", C, MQW_OUTCOME_BOUNCED, 550, T0 + 2);
	tried("A1", "d@example.net", MQW_OUTCOME_BOUNCED, 0, T0 + 3);
	tried("A1", "e@example.net", MQW_OUTCOME_DISCARDED, 0, T0 + 4);
	tried("A1", "f@example.net", MQW_OUTCOME_BOUNCED, 450, T0 + 5);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 6);
	assert_judged("A1", B, DELIVERED, CERTAIN);
	assert_judged("A1", C, BOUNCED, CERTAIN);
	assert_judged("A1", "d@example.net", BOUNCED, CERTAIN);
	assert_judged("A1", "e@example.net", DISCARDED, CERTAIN);
	assert_judged("A1", "f@example.net", FALSE_NDR, CERTAIN);
	assert_reason("A1", "f@example.net", "answered 450");
	/* The MTA calls it done, and its last line is missing. */
	accepted("A2", T0 + 10);
	deferred("A2", T0 + 11);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 12);
	assert_judged("A2", B, UNKNOWN, UNPROVEN);
	assert_reason("A2", B, "lines are missing");
}

static void test_no_mail(void **state)
{
	(void)state;
	tried("A1", B, MQW_OUTCOME_PROBE, 450, T0);
	assert_judged("A1", B, NONE, CERTAIN);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 1);
	assert_judged("A1", B, NONE, CERTAIN);
	accepted("A2", T0);
	happens(MQW_EVENT_REFUSED, "A2", T0 + 1);
	assert_judged("A2", NULL, NONE, CERTAIN);
	assert_said("");
}

/* An MTA whose log has no line for a message that leaves the queue. */
static void test_unlogged_removal(void **state)
{
	(void)state;
	options.removal_unlogged = true;
	begin(true);
	/* A list goes on under other ids, and nothing is said of the first. */
	accepted("A1", T0);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + MQW_MINUTE);
	assert_judged("A1", NULL, NONE, UNPROVEN);
	/* What was tried and is gone is lost, whatever is usual. */
	accepted("A2", T0);
	deferred("A2", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + LIFETIME - 1);
	assert_judged("A2", B, VANISHED, CERTAIN);
	/* At the end of its lifetime it goes without a word, if the sender wants none. */
	accepted("A3", T0);
	deferred("A3", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A3", T0 + LIFETIME);
	assert_judged("A3", B, EXPIRED, PROBABLE);
	assert_reason("A3", B, "its sender wanted none");
	accepted("A4", T0);
	deferred("A4", T0 + 1);
	happens(MQW_EVENT_REMOVED, "A4", T0 + LIFETIME);
	assert_judged("A4", B, EXPIRED, PROBABLE);
	accepted("A5", T0);
	deferred("A5", T0 + 1);
	happens(MQW_EVENT_REMOVED, "A5", T0 + LIFETIME - 1);
	assert_judged("A5", B, UNKNOWN, UNPROVEN);
	/* An operator holds what is to be deleted, and nothing says that it was. */
	accepted("A7", T0);
	deferred("A7", T0 + 1);
	happens(MQW_EVENT_HELD, "A7", T0 + 2);
	assert_judged("A7", B, HELD, CERTAIN);
	happens(MQW_EVENT_QUEUE_GONE, "A7", T0 + 3);
	assert_judged("A7", B, REMOVED, PROBABLE);
	/* A lifetime that is too short for greylisting is no excuse. */
	options.lifetime = MQW_HOUR;
	begin(true);
	accepted("A6", T0);
	deferred("A6", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A6", T0 + MQW_HOUR);
	assert_judged("A6", B, VANISHED, CERTAIN);
}

static void test_operators(void **state)
{
	struct mqw_event e = about(MQW_EVENT_GAVE_UP, "A4", T0 + 6 * MQW_DAY + 2);

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_ADMIN_REMOVED, "A1", T0 + 2);
	/* Said so in the log: that the file is gone is no news. */
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 3);
	assert_judged("A1", B, REMOVED, CERTAIN);
	accepted("A2", T0);
	deferred("A2", T0 + 1);
	happens(MQW_EVENT_DISCARDED, "A2", T0 + 2);
	assert_judged("A2", B, DISCARDED, CERTAIN);
	accepted("A3", T0);
	deferred("A3", T0 + 1);
	happens(MQW_EVENT_HELD, "A3", T0 + 2);
	assert_judged("A3", B, HELD, CERTAIN);
	mqw_tracker_tick(t, T0 + 6 * MQW_DAY);
	assert_judged("A3", B, HELD, CERTAIN);
	happens(MQW_EVENT_RELEASED, "A3", T0 + 6 * MQW_DAY);
	assert_judged("A3", B, PENDING, PROBABLE);
	in_queue("A3", MQW_PLACE_HELD, MQW_TIME_NONE, T0 + 6 * MQW_DAY);
	assert_judged("A3", B, HELD, CERTAIN);
	/* Forced out by hand: neither a false report nor a lifetime that ran out. */
	accepted("A4", T0 + 6 * MQW_DAY);
	deferred("A4", T0 + 6 * MQW_DAY + 1);
	e.forced = true;
	feed(e);
	assert_judged("A4", B, REMOVED, CERTAIN);
}

static void handed_off(const char *id, const char *next, int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_ATTEMPT, id, time);

	e.recipient = mqw_slice_of(B);
	e.outcome = MQW_OUTCOME_HANDED_OFF;
	e.code = 250;
	e.other_id = mqw_slice_of(next);
	feed(e);
}

static void test_handed_off(void **state)
{
	(void)state;
	accepted("A1", T0);
	handed_off("A1", "B1", T0 + 1);
	/* No log of that next hop: its 2xx is the last word. */
	assert_judged("A1", B, DELIVERED, CERTAIN);
	/* Its lines may come after the hand-off's, or before. */
	happens(MQW_EVENT_OPENED, "B1", T0 + 2);
	assert_judged("A1", B, HANDED_OFF, CERTAIN);
	assert_reason("A1", B, "handed on as B1");
	happens(MQW_EVENT_OPENED, "B2", T0 + 3);
	accepted("A2", T0 + 3);
	handed_off("A2", "B2", T0 + 4);
	assert_judged("A2", B, HANDED_OFF, CERTAIN);
	/* Known to have been there, also when it is settled and forgotten by now. */
	queued("B2", "a@example.com", T0 + 5);
	tried("B2", B, MQW_OUTCOME_SENT, 250, T0 + 6);
	happens(MQW_EVENT_REMOVED, "B2", T0 + 7);
	mqw_tracker_tick(t, T0 + 10 * MQW_MINUTE);
	assert_null(message("B2"));
	assert_judged("A2", B, HANDED_OFF, CERTAIN);
}

static void test_lost_downstream(void **state)
{
	(void)state;
	happens(MQW_EVENT_OPENED, "B1", T0);
	accepted("A1", T0);
	handed_off("A1", "B1", T0 + 1);
	mqw_tracker_tick(t, T0 + SLACK);
	assert_judged("A1", B, HANDED_OFF, CERTAIN);
	mqw_tracker_tick(t, T0 + SLACK + 1);
	assert_judged("A1", B, LOST_DOWNSTREAM, PROBABLE);
	assert_reason("A1", B, "never queued there and is silent for 2 h");
	gap(T0 + SLACK, T0 + SLACK);
	assert_judged("A1", B, HANDED_OFF, CERTAIN);
	queued("B1", "a@example.com", T0 + SLACK + 2);
	mqw_tracker_tick(t, T0 + 3 * SLACK);
	assert_judged("A1", B, HANDED_OFF, CERTAIN);
}

static void test_silence(void **state)
{
	(void)state;
	begin(false);
	accepted("A1", T0);
	deferred("A1", T0 + MQW_HOUR);
	assert_judged("A1", B, PENDING, PROBABLE);
	mqw_tracker_tick(t, T0 + MQW_HOUR + RETRY + SLACK);
	assert_judged("A1", B, PENDING, PROBABLE);
	mqw_tracker_tick(t, T0 + MQW_HOUR + RETRY + SLACK + 1);
	assert_judged("A1", B, OVERDUE, PROBABLE);
	/* The lifetime runs from the opening. Where it is not told, the MTA's own default counts. */
	mqw_tracker_tick(t, T0 + LIFETIME + RETRY + SLACK);
	assert_judged("A1", B, OVERDUE, PROBABLE);
	mqw_tracker_tick(t, T0 + LIFETIME + RETRY + SLACK + 1);
	assert_judged("A1", B, VANISHED, PROBABLE);
	assert_reason("A1", B, "longer than its lifetime of 5 d");
	options.lifetime = MQW_DAY;
	begin(false);
	accepted("A1", T0);
	deferred("A1", T0 + MQW_HOUR);
	mqw_tracker_finish(t, T0 + MQW_DAY + RETRY + SLACK + 1);
	assert_said("A1 " B " vanished probable\nA1 forgotten\n");
}

static void test_file_lost(void **state)
{
	struct mqw_event e = about(MQW_EVENT_FILE_LOST, "A1", T0 + 2);

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	e.reply = MQW_LIT("saved as corrupt");
	feed(e);
	assert_judged("A1", B, VANISHED, PROBABLE);
	assert_reason("A1", B, "saved as corrupt; neither delivered nor reported");
	in_queue("A1", MQW_PLACE_DAMAGED, MQW_TIME_NONE, T0 + 3);
	assert_judged("A1", B, VANISHED, PROBABLE);
	accepted("A2", T0 + 3);
	in_queue("A2", MQW_PLACE_DAMAGED, MQW_TIME_NONE, T0 + 4);
	assert_judged("A2", NULL, VANISHED, CERTAIN);
}

static void test_queue_gone(void **state)
{
	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	in_queue("A1", MQW_PLACE_WAITING, T0 + RETRY, T0 + 2);
	assert_judged("A1", B, PENDING, CERTAIN);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 3);
	assert_judged("A1", B, VANISHED, CERTAIN);
	assert_reason("A1", B, "last answer 450 at 2026-11-25T02:00:00Z, then its file left");
	/* One that nobody has named the recipients of. */
	accepted("A2", T0 + 4);
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + 5);
	assert_judged("A2", NULL, VANISHED, CERTAIN);
	/* It was only looked for in the wrong moment. */
	in_queue("A1", MQW_PLACE_ACTIVE, MQW_TIME_NONE, T0 + 6);
	assert_judged("A1", B, PENDING, CERTAIN);
	/* Nothing is known of an id that only the queue lost. */
	happens(MQW_EVENT_QUEUE_GONE, "A3", T0 + 7);
	assert_null(message("A3"));
}

static void test_overdue_in_queue(void **state)
{
	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	in_queue("A1", MQW_PLACE_WAITING, T0 + MQW_HOUR, T0 + 2);
	mqw_tracker_tick(t, T0 + MQW_HOUR + SLACK);
	assert_judged("A1", B, PENDING, CERTAIN);
	mqw_tracker_tick(t, T0 + MQW_HOUR + SLACK + 1);
	assert_judged("A1", B, OVERDUE, CERTAIN);
	assert_reason("A1", B, "still in the queue; a try was due at 2026-11-25T03:00:00Z");
	/* Being tried: nothing in the queue says since when. */
	in_queue("A1", MQW_PLACE_ACTIVE, MQW_TIME_NONE, T0 + MQW_HOUR + SLACK + 2);
	mqw_tracker_tick(t, T0 + 1 + RETRY + SLACK);
	assert_judged("A1", B, PENDING, CERTAIN);
	mqw_tracker_tick(t, T0 + 1 + RETRY + SLACK + 1);
	assert_judged("A1", B, OVERDUE, CERTAIN);
}

static void test_relocated(void **state)
{
	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_ADMIN_REQUEUED, "A1", T0 + 2);
	assert_judged("A1", B, RELOCATED, PROBABLE);
	mqw_tracker_tick(t, T0 + 2 + SLACK);
	assert_judged("A1", B, RELOCATED, PROBABLE);
	mqw_tracker_tick(t, T0 + 2 + SLACK + 1);
	assert_judged("A1", B, OVERDUE, PROBABLE);
	assert_reason("A1", B, "not taken up again since");
	gap(T0 + MQW_HOUR, T0 + MQW_HOUR + 1);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	happens_with(MQW_EVENT_OPENED, "A2", "A1", T0 + 2 * SLACK);
	assert_judged("A1", B, RELOCATED, CERTAIN);
	assert_string_equal(message("A1")->successor, "A2");
	assert_string_equal(message("A2")->former_id, "A1");
	/* Its file is gone, as it should be. */
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2 * SLACK + 1);
	assert_judged("A1", B, RELOCATED, CERTAIN);
}

static void gone_with_gap(int64_t from, int64_t to)
{
	begin(true);
	accepted("A1", T0);
	deferred("A1", T0 + 10 * MQW_SECOND);
	gap(from, to);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 60 * MQW_SECOND);
}

static void test_gap(void **state)
{
	struct mqw_event e = about(MQW_EVENT_BULK, "", T0 + 40 * MQW_SECOND);

	(void)state;
	gone_with_gap(T0, T0 + 10 * MQW_SECOND - 1);
	assert_judged("A1", B, VANISHED, CERTAIN);
	gone_with_gap(T0, T0 + 10 * MQW_SECOND);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	assert_reason("A1", B, "(lines were dropped), so that silence proves nothing");
	gone_with_gap(T0 + 60 * MQW_SECOND, T0 + 90 * MQW_SECOND);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	gone_with_gap(T0 + 60 * MQW_SECOND + 1, T0 + 90 * MQW_SECOND);
	assert_judged("A1", B, VANISHED, CERTAIN);
	/* An operator acted on messages without naming them: it may be any that goes then. */
	begin(true);
	accepted("A1", T0);
	deferred("A1", T0 + 10 * MQW_SECOND);
	e.count = 3;
	e.reply = MQW_LIT("Deleted: 3 messages");
	feed(e);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 60 * MQW_SECOND);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	assert_reason("A1", B, "Deleted: 3 messages");
	/* By silence alone. */
	begin(false);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	gap(T0 + MQW_HOUR, T0 + MQW_HOUR);
	mqw_tracker_tick(t, T0 + MQW_DAY);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	mqw_tracker_finish(t, T0 + MQW_DAY);
	assert_said("gap of 0 s\nA1 " B " unknown unproven\nA1 forgotten\n");
	/* A scan's log that says nothing at all for more than a day lacks a file. */
	begin(false);
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_OPENED, "A2", T0 + 1 + MQW_DAY);
	assert_int_equal(mqw_tracker_counts(t)->gaps, 0);
	assert_judged("A1", B, OVERDUE, PROBABLE);
	happens(MQW_EVENT_OPENED, "A3", T0 + 2 + 2 * MQW_DAY);
	assert_int_equal(mqw_tracker_counts(t)->gaps, 1);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
}

/* So many messages deferred in one hour, of which the first few are heard of again. */
static void deferred_together(int count, int heard_again)
{
	char id[16];

	begin(false);
	for (int i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "D%d", i);
		accepted(id, T0 + i);
		deferred(id, T0 + MQW_MINUTE + i);
	}
	for (int i = 0; i < heard_again; i++) {
		snprintf(id, sizeof(id), "D%d", i);
		deferred(id, T0 + MQW_HOUR + i);
	}
	mqw_tracker_tick(t, T0 + 12 * MQW_HOUR);
}

static void test_mass_silence(void **state)
{
	(void)state;
	deferred_together(9, 0);
	assert_judged("D8", B, OVERDUE, PROBABLE);
	deferred_together(10, 0);
	assert_judged("D9", B, UNKNOWN, UNPROVEN);
	assert_reason("D9", B, "fell silent together");
	/* Many, but not most. */
	deferred_together(20, 10);
	assert_judged("D19", B, OVERDUE, PROBABLE);
	deferred_together(21, 10);
	assert_judged("D20", B, UNKNOWN, UNPROVEN);
	/* With the queue at hand silence is not what the verdict rests on. */
	happens(MQW_EVENT_QUEUE_GONE, "D20", T0 + 12 * MQW_HOUR);
	assert_judged("D20", B, VANISHED, CERTAIN);
}

static void greylisted(int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_ATTEMPT, "A1", time);

	e.recipient = mqw_slice_of(B);
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.code = 450;
	e.status = MQW_LIT("4.2.0");
	e.reply = MQW_LIT("450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/x.html");
	feed(e);
}

static void test_hasty(void **state)
{
	const struct mqw_recipient *r;

	(void)state;
	accepted("A1", T0);
	greylisted(T0);
	r = mqw_tracker_recipient(message("A1"), mqw_slice_of(B));
	assert_string_equal(judge("A1", B).greylisting, "postgrey");
	assert_string_equal(r->status, "4.2.0");
	assert_false(r->hasty);
	greylisted(T0 + 5 * MQW_MINUTE - 1);
	assert_true(r->hasty);
	assert_int_equal(r->attempts, 2);
	greylisted(T0 + 5 * MQW_MINUTE);
	assert_false(r->hasty);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_final_words),
		TEST(test_no_mail),
		TEST(test_unlogged_removal),
		TEST(test_operators),
		TEST(test_handed_off),
		TEST(test_lost_downstream),
		TEST(test_silence),
		TEST(test_file_lost),
		TEST(test_queue_gone),
		TEST(test_overdue_in_queue),
		TEST(test_relocated),
		TEST(test_gap),
		TEST(test_mass_silence),
		TEST(test_hasty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
