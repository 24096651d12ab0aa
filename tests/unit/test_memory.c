/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a tracker knows of its log beside the messages: kept, given back, forgotten in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tracker_fixture.h"
#include "watchdogd/ledger/memory.h"

/* Of the defaults: lifetime, retry and slack. */
#define QUEUE_LIFE (5 * MQW_DAY + 4000 * MQW_SECOND + 2 * MQW_HOUR)

static void test_touched_by_a_message(void **state)
{
	(void)state;
	accepted("A1", T0);
	deferred("A1", T0);
	in_queue("A1", MQW_PLACE_HELD, MQW_TIME_NONE, T0 + 1);
	gap(T0 + MQW_MINUTE, T0 + MQW_HOUR);
	/* For as long as it lies there the truth may have been in those lines. */
	mqw_tracker_tick(t, T0 + 90 * MQW_DAY);
	assert_true(mqw_tracker_has_gap(t, T0 + MQW_HOUR, T0 + MQW_HOUR));
	deferred("A1", T0 + 90 * MQW_DAY);
	mqw_tracker_tick(t, T0 + 90 * MQW_DAY + 2 * MQW_HOUR);
	assert_false(mqw_tracker_has_gap(t, INT64_MIN, INT64_MAX));
}

/* Many are at rest, packed: it is one of them that it touches. */
static void test_touched_by_a_packed_message(void **state)
{
	char id[16];

	(void)state;
	options.loose_messages = 1;
	begin(true);
	for (int i = 0; i < 500; i++) {
		snprintf(id, sizeof(id), "A%d", i);
		accepted(id, T0 + i);
		deferred(id, T0 + i);
		in_queue(id, MQW_PLACE_HELD, MQW_TIME_NONE, T0 + i);
		mqw_tracker_take_dirty(t);
	}
	gap(T0 + MQW_MINUTE, T0 + MQW_HOUR);
	assert_true(t->oldest->packed);
	for (int i = 0; i < 499; i++) {
		snprintf(id, sizeof(id), "A%d", i);
		deferred(id, T0 + 10 * MQW_DAY + i);
	}
	mqw_tracker_tick(t, T0 + 11 * MQW_DAY);
	assert_true(mqw_tracker_has_gap(t, T0 + MQW_HOUR, T0 + MQW_HOUR));
	deferred("A499", T0 + 11 * MQW_DAY);
	mqw_tracker_tick(t, T0 + 11 * MQW_DAY + 2 * MQW_HOUR);
	assert_false(mqw_tracker_has_gap(t, INT64_MIN, INT64_MAX));
}

/* Nobody is followed: what is found in the queue later may still be of that time. */
static void test_outlives_the_queue(void **state)
{
	(void)state;
	mqw_tracker_tick(t, T0);
	gap(T0 - MQW_MINUTE, T0);
	mqw_tracker_tick(t, T0 + QUEUE_LIFE - MQW_HOUR);
	assert_true(mqw_tracker_has_gap(t, T0, T0));
	mqw_tracker_tick(t, T0 + QUEUE_LIFE + 2 * MQW_HOUR);
	assert_false(mqw_tracker_has_gap(t, INT64_MIN, INT64_MAX));
	/* The same for the hours, and somebody is to be told. */
	accepted("A1", T0 + QUEUE_LIFE + 2 * MQW_HOUR);
	deferred("A1", T0 + QUEUE_LIFE + 2 * MQW_HOUR);
	mqw_tracker_memory_kept(t);
	deferred("A1", T0 + 2 * QUEUE_LIFE + 9 * MQW_HOUR);
	mqw_tracker_tick(t, T0 + 2 * QUEUE_LIFE + 11 * MQW_HOUR);
	assert_int_equal(t->silence.count, 1);
	assert_int_equal(mqw_tracker_memory_change(t).hours_from, t->silence.hours[0].count.hour);
}

/* At the cap those that are nearest become one; no span that was unsure becomes sure. */
static void test_cap_of_gaps(void **state)
{
	(void)state;
	for (int64_t i = 0; i < MQW_GAPS_MAX; i++)
		gap(T0 + i * MQW_MINUTE, T0 + i * MQW_MINUTE + MQW_SECOND);
	gap(T0 + 500 * MQW_MINUTE + 2 * MQW_SECOND, T0 + 500 * MQW_MINUTE + 3 * MQW_SECOND);
	assert_int_equal(t->gaps.count, MQW_GAPS_MAX);
	gap(T0 + 900 * MQW_MINUTE + 2 * MQW_SECOND, T0 + 900 * MQW_MINUTE + 3 * MQW_SECOND);
	assert_int_equal(t->gaps.count, MQW_GAPS_MAX);
	for (int64_t i = 2; i < MQW_GAPS_MAX; i++) {
		assert_true(mqw_tracker_has_gap(t, T0 + i * MQW_MINUTE, T0 + i * MQW_MINUTE));
		if (i != 500)
			assert_false(mqw_tracker_has_gap(t, T0 + i * MQW_MINUTE + 5 * MQW_SECOND,
				T0 + i * MQW_MINUTE + 50 * MQW_SECOND));
	}
}

static struct mqw_ledger *ledger;
static char dir[64], path[96];

static int ledger_setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/mqw-memory-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(mqw_ledger_open(path, &ledger, NULL), 0);
	return setup(state);
}

static int ledger_teardown(void **state)
{
	char command[128];

	ledger = mqw_ledger_close(ledger);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return teardown(state) | system(command);
}

static void keep(const char *instance)
{
	assert_int_equal(mqw_ledger_begin(ledger), 0);
	assert_int_equal(mqw_ledger_put_memory(ledger, instance, t), 0);
	assert_int_equal(mqw_ledger_commit(ledger), 0);
	mqw_tracker_memory_kept(t);
}

static void test_kept_and_given_back(void **state)
{
	char id[16];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "A%d", i);
		accepted(id, T0 + i);
		deferred(id, T0 + i);
	}
	gap(0, T0 + MQW_HOUR); /* from the beginning */
	gap(T0 + 2 * MQW_HOUR, T0 + 3 * MQW_HOUR);
	keep("out");
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + MQW_HOUR);
	happens(MQW_EVENT_REMOVED, "A1", T0 + MQW_HOUR);
	deferred("A2", T0 + MQW_HOUR);
	keep("out");
	begin(true);
	gap(T0, T0 + 1);
	keep("in");
	begin(true);
	assert_int_equal(mqw_ledger_restore_memory(ledger, "out", t), 0);
	assert_said("");
	assert_int_equal(t->gaps.count, 2);
	assert_int_equal(t->gaps.list[0].from, 0);
	assert_int_equal(t->gaps.list[0].to, T0 + MQW_HOUR);
	assert_int_equal(t->gaps.list[1].from, T0 + 2 * MQW_HOUR);
	assert_string_equal(t->gaps.list[1].why, "lines were dropped");
	assert_int_equal(t->silence.count, 2);
	assert_int_equal(t->silence.hours[0].count.hour, T0 / MQW_HOUR);
	assert_int_equal(t->silence.hours[0].count.deferred, 20);
	assert_int_equal(t->silence.hours[0].count.followed, 2);
	assert_int_equal(t->silence.hours[1].count.deferred, 1);
	assert_false(mqw_tracker_memory_change(t).gaps);
	assert_false(mqw_tracker_memory_change(t).hours);
	/* What the tracker forgets the ledger forgets. */
	mqw_tracker_tick(t, T0 + QUEUE_LIFE + 90 * MQW_MINUTE);
	keep("out");
	begin(true);
	assert_int_equal(mqw_ledger_restore_memory(ledger, "out", t), 0);
	assert_int_equal(t->gaps.count, 1);
	assert_int_equal(t->silence.count, 1);
	begin(true);
	assert_int_equal(mqw_ledger_restore_memory(ledger, "in", t), 0);
	assert_int_equal(t->gaps.count, 1);
	assert_int_equal(t->silence.count, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_touched_by_a_message),
		TEST(test_touched_by_a_packed_message),
		TEST(test_outlives_the_queue),
		TEST(test_cap_of_gaps),
		cmocka_unit_test_setup_teardown(
			test_kept_and_given_back, ledger_setup, ledger_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
