/* SPDX-License-Identifier: GPL-2.0-or-later */
/* States, identity and the parts. Verdicts are in test_judge.c, what is said in test_tracker_live.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tracker_fixture.h"

static void test_transitions(void **state)
{
	/* One letter a state; columns: sent, handed off, deferred, bounced, discarded,
	 * probe, skipped, expired, withdrawn. */
	static const char letters[MQW_RECIPIENT_COUNT + 1] = "WDSHBMXPGO";
	static const struct {
		enum mqw_recipient_state from;
		const char *by_5xx, *by_4xx;
	} rows[MQW_RECIPIENT_COUNT] = {
		{MQW_RECIPIENT_WAITING, "SHDBXPDGDO", "SHDMXPDGDO"},
		{MQW_RECIPIENT_DEFERRED, "SHDBXPDGDO", "SHDMXPDGDO"},
		{MQW_RECIPIENT_SENT, "SSSSSSSSSS", "SSSSSSSSSS"},
		{MQW_RECIPIENT_HANDED_OFF, "HHHHHHHHHH", "HHHHHHHHHH"},
		/* A late deferral after a failure leaves the failure as it was. */
		{MQW_RECIPIENT_BOUNCED, "SHBBXBBBBB", "SHBMXBBBBB"},
		{MQW_RECIPIENT_MISBOUNCED, "SHMBXMMMMM", "SHMMXMMMMM"},
		{MQW_RECIPIENT_DISCARDED, "XXXXXXXXXX", "XXXXXXXXXX"},
		{MQW_RECIPIENT_PROBED, "SHDBXPDGDO", "SHDMXPDGDO"},
		{MQW_RECIPIENT_GIVEN_UP, "SHGBXGGGGO", "SHGMXGGGGO"},
		{MQW_RECIPIENT_WITHDRAWN, "SHDBXODGDO", "SHDMXODGDO"},
	};

	(void)state;
	for (size_t i = 0; i < MQW_RECIPIENT_COUNT; i++)
		for (int o = 0; o < MQW_OUTCOME_COUNT; o++) {
			enum mqw_outcome outcome = (enum mqw_outcome)o;
			char got[4] = {letters[mqw_recipient_step(rows[i].from, outcome, 400)],
				letters[mqw_recipient_step(rows[i].from, outcome, 499)],
				letters[mqw_recipient_step(rows[i].from, outcome, 500)],
				letters[mqw_recipient_step(rows[i].from, outcome, 0)]};
			char want[4] = {rows[i].by_4xx[o], rows[i].by_4xx[o], rows[i].by_5xx[o],
				rows[i].by_5xx[o]};

			if (memcmp(got, want, sizeof(got)) != 0)
				fail_msg("%c by %s: %.4s, not %.4s", letters[rows[i].from],
					mqw_outcome_name(outcome), got, want);
		}
	assert_int_equal(mqw_recipient_step(MQW_RECIPIENT_DEFERRED, MQW_OUTCOME_BOUNCED, 399),
		MQW_RECIPIENT_BOUNCED);
}

/* Where no line says that a message is done, as many done recipients as were announced do. */
static void test_seems_done(void **state)
{
	(void)state;
	options.removal_unlogged = true;
	begin(false);
	queued("A1", "a@example.com", T0);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0);
	queued("A2", "a@example.com", T0);
	deferred("A2", T0);
	mqw_tracker_tick(t, T0 + 10 * MQW_MINUTE - 1);
	assert_said("");
	mqw_tracker_tick(t, T0 + 10 * MQW_MINUTE);
	assert_said("A1 " B " delivered certain\nA1 forgotten\n");
	/* An address that was deferred keeps it. */
	mqw_tracker_tick(t, T0 + MQW_DAY);
	assert_said("");
	/* Of an unknown number it waits for the rest for a day. */
	tried("A3", B, MQW_OUTCOME_SENT, 250, T0 + MQW_DAY);
	mqw_tracker_tick(t, T0 + 2 * MQW_DAY - 1);
	assert_said("");
	mqw_tracker_tick(t, T0 + 2 * MQW_DAY);
	assert_said("A3 " B " delivered certain\nA3 forgotten\n");
}

static void test_id_used_again(void **state)
{
	struct mqw_message *first;

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + MQW_SECOND);
	mqw_buffer_clear(&said);
	/* Within the time by which lines come out of order it is one opening; later it is two. */
	happens(MQW_EVENT_OPENED, "A1", T0 + 5 * MQW_SECOND);
	assert_null(message("A1")->earlier);
	accepted("A1", T0 + MQW_MINUTE);
	first = message("A1")->earlier;
	assert_non_null(first);
	assert_null(first->earlier);
	assert_int_equal(message("A1")->first_seen, T0 + MQW_MINUTE);
	assert_int_equal(first->first_seen, T0);
	assert_true(first->file_lost);
	assert_int_equal(
		mqw_tracker_judge(t, first, first->recipients).verdict, MQW_VERDICT_VANISHED);
	/* What comes now is the second life's. */
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + MQW_MINUTE + 1);
	happens(MQW_EVENT_REMOVED, "A1", T0 + MQW_MINUTE + 2);
	assert_int_equal(first->recipients->state, MQW_RECIPIENT_DEFERRED);
	/* A life that was ended in the log is no loss, whatever is opened after it. */
	accepted("A1", T0 + 2 * MQW_MINUTE);
	assert_false(message("A1")->earlier->file_lost);
	assert_ptr_equal(message("A1")->earlier->earlier, first);
	mqw_buffer_clear(&said);
	mqw_tracker_finish(t, T0 + 3 * MQW_MINUTE);
	assert_int_equal(mqw_tracker_counts(t)->messages, 3);
	assert_int_equal(mqw_tracker_counts(t)->verdicts[MQW_VERDICT_VANISHED], 1);
	assert_int_equal(mqw_tracker_counts(t)->verdicts[MQW_VERDICT_DELIVERED], 1);
}

static void test_other_beginnings(void **state)
{
	(void)state;
	/* What the MTA makes itself has no line before its header's. */
	named("A1", "1@example.com", T0);
	queued("A1", "", T0 + 1);
	named("A1", "1@example.com", T0 + MQW_MINUTE);
	assert_null(message("A1")->earlier);
	named("A1", "2@example.com", T0 + MQW_MINUTE + 1);
	assert_non_null(message("A1")->earlier);
	/* After its end: a queue manager's line is soon another life, an attempt only late. */
	accepted("A2", T0);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 1);
	queued("A2", "a@example.com", T0 + 1 + 5 * MQW_SECOND);
	tried("A2", B, MQW_OUTCOME_SENT, 250, T0 + 1 + 6 * MQW_SECOND);
	assert_null(message("A2")->earlier);
	queued("A2", "a@example.com", T0 + 2 + 5 * MQW_SECOND + 6 * MQW_SECOND);
	assert_non_null(message("A2")->earlier);
	/* These make no message. */
	happens(MQW_EVENT_REMOVED, "A9", T0);
	happens(MQW_EVENT_RELEASED, "A9", T0);
	happens(MQW_EVENT_FILE_LOST, "A9", T0);
	happens_with(MQW_EVENT_NDR, "A9", "A8", T0);
	assert_null(message("A9"));
	assert_null(message("A8"));
}

static void tell_story(int64_t shift)
{
	accepted("A1", T0 + shift);
	deferred("A1", T0 + 1 + shift);
	tried("A1", C, MQW_OUTCOME_SENT, 250, T0 + 2 + shift);
	accepted("A2", T0 + 3 + shift);
	tried("A2", B, MQW_OUTCOME_BOUNCED, 450, T0 + 4 + shift);
	happens_with(MQW_EVENT_NDR, "A2", "A3", T0 + 5 + shift);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 6 + shift);
	accepted("A4", T0 + 7 + shift);
	deferred("A4", T0 + 8 + shift);
	happens(MQW_EVENT_GAVE_UP, "A4", T0 + 9 + shift);
	happens(MQW_EVENT_REMOVED, "A4", T0 + 10 + shift);
}

static void test_read_twice(void **state)
{
	struct mqw_tracker_counts once;
	char *want;

	(void)state;
	begin(false);
	tell_story(0);
	mqw_tracker_finish(t, T0 + MQW_DAY);
	once = *mqw_tracker_counts(t);
	want = mqw_slice_dup(mqw_buffer_slice(&said));
	begin(false);
	tell_story(0);
	tell_story(0);
	assert_int_equal(mqw_tracker_recipient(message("A1"), mqw_slice_of(B))->attempts, 1);
	mqw_tracker_finish(t, T0 + MQW_DAY);
	assert_string_equal(mqw_buffer_str(&said), want);
	assert_memory_equal(mqw_tracker_counts(t), &once, sizeof(once));
	assert_int_equal(once.messages, 3);
	assert_int_equal(once.recipients, 4);
	assert_int_equal(once.verdicts[MQW_VERDICT_FALSE_NDR], 2);
	free(want);
}

static void test_double_line_is_no_retry(void **state)
{
	struct mqw_event e = about(MQW_EVENT_ATTEMPT, "A1", T0);

	(void)state;
	e.recipient = mqw_slice_of(B);
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.code = 450;
	e.reply = MQW_LIT("450 greylisted, see postgrey.schweikert.ch");
	accepted("A1", T0);
	feed(e);
	feed(e);
	assert_int_equal(message("A1")->recipients->attempts, 1);
	assert_false(message("A1")->recipients->hasty);
}

static void test_late_lines(void **state)
{
	(void)state;
	begin(false);
	accepted("A1", T0);
	deferred("A1", T0 + 30 * MQW_SECOND);
	/* The removal came before the last attempt's line. */
	happens(MQW_EVENT_REMOVED, "A1", T0 + 40 * MQW_SECOND);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 39 * MQW_SECOND);
	/* An older line than the last changes nothing. */
	tried("A1", B, MQW_OUTCOME_DEFERRED, 451, T0 + 20 * MQW_SECOND);
	assert_int_equal(message("A1")->recipients->code, 250);
	assert_said("");
	mqw_tracker_tick(t, T0 + 40 * MQW_SECOND + MQW_MINUTE - 1);
	assert_said("");
	tried("A1", C, MQW_OUTCOME_SENT, 250, T0 + 40 * MQW_SECOND - 1);
	mqw_tracker_tick(t, T0 + 40 * MQW_SECOND + MQW_MINUTE);
	assert_said("A1 " B " delivered certain\nA1 " C " delivered certain\nA1 forgotten\n");
	assert_int_equal(mqw_tracker_counts(t)->open, 0);
}

/* The earliest of all, by going through them. */
static struct mqw_link *slow_first(struct mqw_link *links, const int *order, size_t n)
{
	struct mqw_link *first = NULL;

	for (size_t i = 0; i < n; i++)
		if (links[i].due_at != INT64_MAX &&
			(!first || links[i].due_at < first->due_at ||
				(links[i].due_at == first->due_at &&
					order[i] < order[first - links])))
			first = &links[i];
	return first;
}

/* Most are due in the order in which they are put in; some much later, some at any time. */
static void test_heap_in_order(void **state)
{
	struct mqw_link links[700];
	int order[700] = {0};
	struct mqw_heap h = {0};
	int64_t now = 0;

	(void)state;
	srand(1);
	for (size_t i = 0; i < 700; i++)
		links[i] = (struct mqw_link){.due_at = INT64_MAX, .heap_index = UINT32_MAX};
	for (int step = 0; step < 60000; step++) {
		size_t i = (size_t)rand() % 700;
		struct mqw_link *l = &links[i], *first;
		int what = rand() % 16;

		now += rand() % 3 * MQW_SECOND;
		l->due_at = what < 9 ? now + MQW_MINUTE
			: what < 12  ? now + MQW_DAY
			: what < 14  ? now + rand() % 1000 * MQW_SECOND
				     : INT64_MAX;
		order[i] = step;
		assert_int_equal(mqw_heap_set(&h, l), 0);
		if (step % 1000 > 900)
			now += 10 * MQW_MINUTE;
		while ((first = mqw_heap_first(&h)) && first->due_at <= now) {
			assert_ptr_equal(first, slow_first(links, order, 700));
			mqw_heap_remove(&h, first);
			first->due_at = INT64_MAX;
		}
		assert_ptr_equal(first, slow_first(links, order, 700));
	}
	assert_true(h.run_cap <= 4096 && h.cap <= 1024);
	mqw_heap_done(&h);
}

static void test_heap(void **state)
{
	struct mqw_message *m[200];
	struct mqw_pieces pieces = {0};
	struct mqw_heap h = {0};
	unsigned int x = 12345;
	size_t left = 0;

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		m[i] = mqw_message_create(&pieces, MQW_SLICE_NULL, MQW_LIT("A1"));
		x = x * 1103515245u + 12345u;
		m[i]->link.due_at = (int64_t)(x >> 16 & 31);
		assert_int_equal(mqw_heap_set(&h, &m[i]->link), 0);
	}
	for (size_t i = 0; i < 200; i += 3) {
		x = x * 1103515245u + 12345u;
		m[i]->link.due_at = i % 2 ? INT64_MAX : (int64_t)(x >> 16 & 31);
		assert_int_equal(mqw_heap_set(&h, &m[i]->link), 0);
	}
	for (size_t i = 1; i < 200; i += 3)
		mqw_heap_remove(&h, &m[i]->link);
	mqw_heap_remove(&h, &m[1]->link);
	for (size_t i = 0; i < 200; i++)
		left += m[i]->link.heap_index != UINT32_MAX;
	assert_int_equal(left, 200 - 67 - 33);
	for (int64_t last = -1; mqw_heap_first(&h); left--) {
		struct mqw_link *first = mqw_heap_first(&h);

		assert_true(first->due_at >= last);
		last = first->due_at;
		mqw_heap_remove(&h, first);
		assert_true(first->heap_index == UINT32_MAX);
	}
	assert_int_equal(left, 0);
	assert_null(mqw_heap_first(&h));
	/* Of those due together the first that was put in comes first. */
	for (size_t i = 0; i < 8; i++) {
		m[i]->link.due_at = 7;
		mqw_heap_set(&h, &m[i]->link);
	}
	for (size_t i = 0; i < 8; i++) {
		assert_ptr_equal(mqw_heap_first(&h), &m[i]->link);
		mqw_heap_remove(&h, &m[i]->link);
	}
	mqw_heap_done(&h);
	for (size_t i = 0; i < 200; i++)
		mqw_message_free(&pieces, m[i]);
	mqw_pieces_done(&pieces);
}

static void test_gaps(void **state)
{
	struct mqw_gaps g = {0};

	(void)state;
	assert_null(mqw_gaps_find(&g, INT64_MIN, INT64_MAX));
	assert_int_equal(mqw_gaps_add(&g, 50, 60, MQW_LIT("late")), 0);
	assert_int_equal(mqw_gaps_add(&g, 10, 20, MQW_LIT("early")), 0);
	assert_int_equal(mqw_gaps_add(&g, 0, 55, MQW_LIT("wide")), 0);
	assert_string_equal(mqw_gaps_find(&g, 56, 70)->why, "late");
	assert_string_equal(mqw_gaps_find(&g, 60, 60)->why, "late");
	assert_null(mqw_gaps_find(&g, 61, 70));
	assert_string_equal(mqw_gaps_find(&g, 25, 30)->why, "wide");
	assert_string_equal(mqw_gaps_find(&g, -5, 0)->why, "wide");
	assert_null(mqw_gaps_find(&g, -5, -1));
	for (int i = 0; i < 2 * MQW_GAPS_MAX; i++)
		assert_int_equal(mqw_gaps_add(&g, 1000 + 10 * i, 1001 + 10 * i, MQW_LIT("x")), 0);
	assert_int_equal(g.count, MQW_GAPS_MAX);
	/* What there was no room for is not forgotten. */
	assert_non_null(mqw_gaps_find(&g, 1000 + 20 * MQW_GAPS_MAX - 10, INT64_MAX));
	mqw_gaps_done(&g);
}

static void test_cap_of_messages(void **state)
{
	(void)state;
	options.max_messages = 3;
	begin(false);
	accepted("A1", T0);
	deferred("A1", T0);
	accepted("A2", T0 + 1);
	tried("A2", B, MQW_OUTCOME_BOUNCED, 450, T0 + 1);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 1);
	accepted("A3", T0 + 2);
	/* The settled one goes first, and its verdict is not lost. */
	accepted("A4", T0 + 3);
	assert_said("A2 " B " false_ndr certain\nA2 forgotten\n");
	assert_int_equal(mqw_tracker_counts(t)->dropped, 0);
	accepted("A5", T0 + 4);
	assert_said("A1 forgotten\n");
	assert_int_equal(mqw_tracker_counts(t)->dropped, 1);
	assert_int_equal(mqw_tracker_counts(t)->open, 3);
	assert_null(message("A1"));
	assert_non_null(message("A3"));
	mqw_tracker_finish(t, T0 + 5);
	assert_int_equal(mqw_tracker_counts(t)->verdicts[MQW_VERDICT_FALSE_NDR], 1);
}

static void test_cap_of_recipients(void **state)
{
	(void)state;
	options.max_recipients = 1;
	begin(true);
	accepted("A1", T0);
	deferred("A1", T0);
	tried("A1", C, MQW_OUTCOME_DEFERRED, 450, T0 + 1);
	tried("A1", "b@EXAMPLE.net", MQW_OUTCOME_SENT, 250, T0 + 2);
	tried("A1", "B@example.net", MQW_OUTCOME_SENT, 250, T0 + 3);
	assert_int_equal(message("A1")->recipient_count, 1);
	assert_judged("A1", B, DELIVERED, CERTAIN);
	/* What is not followed is counted. */
	assert_int_equal(mqw_tracker_counts(t)->ignored, 2);
}

/* What is in no trouble is counted, and not told; texts are as long as they are. */
static void test_quiet(void **state)
{
	char long_name[600];
	struct mqw_event e;

	(void)state;
	options.quiet = true;
	begin(false);
	accepted("A1", T0);
	memset(long_name, 'l', sizeof(long_name));
	for (int n = 1; n < 600; n += 13) {
		e = about(MQW_EVENT_QUEUED, "A1", T0);
		e.sender = mqw_slice(long_name, (size_t)n % 100);
		feed(e);
		e = about(MQW_EVENT_ATTEMPT, "A1", T0 + n);
		e.recipient = MQW_LIT(B);
		e.outcome = MQW_OUTCOME_DEFERRED;
		e.relay = mqw_slice(long_name, (size_t)n);
		feed(e);
		assert_int_equal(
			strlen(mqw_tracker_find(t, realm, MQW_LIT("A1"))->sender), n % 100);
		assert_int_equal(
			strlen(mqw_tracker_find(t, realm, MQW_LIT("A1"))->recipients->relay),
			n < 512 ? n : 512);
	}
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + 1000);
	tried("A1", C, MQW_OUTCOME_BOUNCED, 550, T0 + 1000);
	tried("A1", "d@example.net", MQW_OUTCOME_BOUNCED, 450, T0 + 1000);
	happens(MQW_EVENT_REMOVED, "A1", T0 + 1001);
	accepted("A2", T0 + 1);
	deferred("A2", T0 + 2);
	happens(MQW_EVENT_REMOVED, "A2", T0 + 1001);
	mqw_tracker_finish(t, T0 + MQW_DAY);
	assert_said("A1 d@example.net false_ndr certain\nA1 forgotten\n"
		    "A2 " B " unknown unproven\nA2 forgotten\n");
	assert_int_equal(mqw_tracker_counts(t)->recipients, 4);
	assert_int_equal(mqw_tracker_counts(t)->verdicts[MQW_VERDICT_DELIVERED], 1);
	assert_int_equal(mqw_tracker_counts(t)->verdicts[MQW_VERDICT_BOUNCED], 1);
}

/* The watchdog's own mail, by its Message-ID, and the report about it, by its id. */
static void own_mail_is_not_judged(void **state)
{
	struct mqw_event e = about(MQW_EVENT_MESSAGE_ID, "A1", T0);

	(void)state;
	options.queue_at_hand = true;
	begin(true);
	happens(MQW_EVENT_OPENED, "A1", T0);
	e.own = true;
	e.message_id = MQW_LIT("mqw.x@example.com");
	feed(e);
	queued("A1", "", T0);
	deferred("A1", T0 + MQW_SECOND);
	named("A2", "2@example.com", T0 + 2 * MQW_SECOND);
	happens_with(MQW_EVENT_NDR, "A1", "A2", T0 + 2 * MQW_SECOND);
	queued("A2", "", T0 + 2 * MQW_SECOND);
	deferred("A2", T0 + 3 * MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 9 * MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + 9 * MQW_SECOND);
	assert_judged("A1", B, NONE, CERTAIN);
	assert_judged("A2", B, NONE, CERTAIN);
	mqw_tracker_tick(t, T0 + 10 * MQW_DAY);
	assert_null(strstr(mqw_buffer_str(&said), "vanished"));
	/* The same lines without the mark are a loss. */
	accepted("A3", T0 + 20 * MQW_DAY);
	deferred("A3", T0 + 20 * MQW_DAY + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A3", T0 + 20 * MQW_DAY + 2);
	assert_judged("A3", B, VANISHED, CERTAIN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_transitions),
		TEST(test_seems_done),
		TEST(test_id_used_again),
		TEST(test_other_beginnings),
		TEST(test_read_twice),
		TEST(test_double_line_is_no_retry),
		TEST(test_late_lines),
		TEST(test_heap),
		TEST(test_heap_in_order),
		TEST(test_gaps),
		TEST(test_cap_of_messages),
		TEST(test_cap_of_recipients),
		TEST(test_quiet),
		TEST(own_mail_is_not_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
