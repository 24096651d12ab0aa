/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A far side, a channel, a ledger or a clock that fails: nothing is lost by it, or sent twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>

#include "outbox_fixture.h"
#include "watchdogd/ledger/internal.h"

static void what_is_down_is_tried_again(void **state)
{
	char token[MQW_NOTICE_TOKEN_LEN + 1] = "";

	(void)state;
	far_side.how = DOWN;
	found(1);
	pass(4 * S);
	assert_int_equal(far_side.tries, 1);
	pass(25 * S);
	assert_int_equal(far_side.tries, 1);
	pass(8 * S); /* 30 s after the first */
	assert_int_equal(far_side.tries, 2);
	restart();
	pass(23 * S);
	assert_int_equal(far_side.tries, 2);
	far_side.how = UP; /* after a minute */
	pass(2 * MQW_MINUTE);
	assert_int_equal(far_side.tries, 3);
	assert_sent(1);
	snprintf(token, sizeof(token), "%s",
		json_string_value(json_object_get(far_side.got[0], "id")));
	pass(MQW_DAY);
	assert_sent(1);
	assert_true(mqw_outbox_is_own(l, MQW_SLICE_NULL) == false);
}

static void given_up_after_a_day(void **state)
{
	(void)state;
	far_side.how = DOWN;
	found(1);
	pass(MQW_DAY + MQW_HOUR);
	/* 6 tries in the first 31 min, one each 15 min after that. */
	assert_in_range(far_side.tries, 95, 110);
	far_side.how = UP;
	pass(MQW_DAY);
	assert_sent(0);
	found(2);
	pass(3 * S);
	assert_sent(1);
}

static void an_answer_under_way_is_awaited(void **state)
{
	const struct mqw_delivery d = {.accepted = true};

	(void)state;
	far_side.how = MUTE;
	found(1);
	assert_int_equal(put_as("ops", "other", 1), 1);
	assert_int_equal(put_as("hook", "r", 1), 1);
	pass(MQW_MINUTE);
	/* One a channel: the second of "ops" waits for the first. */
	assert_int_equal(far_side.tries, 2);
	mqw_outbox_answered(o, far_side.under_way, &d, now);
	mqw_outbox_answered(o, 4711, &d, now);
	pass(MQW_MINUTE);
	assert_int_equal(far_side.tries, far_side.under_way == 3 ? 2 : 3);
	/* What was under way when the daemon ended is sent again: as itself. */
	restart();
	far_side.how = UP;
	pass(3 * S);
	assert_sent(2);
}

static void a_failed_start_is_a_failed_try(void **state)
{
	(void)state;
	far_side.how = BROKEN;
	found(1);
	pass(20 * S);
	assert_int_equal(far_side.tries, 1);
	far_side.how = UP;
	pass(20 * S);
	assert_sent(1);
}

static void a_channel_may_go_and_come_back(void **state)
{
	(void)state;
	found(1);
	assert_true(mqw_outbox_takes(o, "ops"));
	assert_false(mqw_outbox_takes(o, "quiet"));
	assert_false(mqw_outbox_takes(o, "journal"));
	mqw_outbox_set_channels(o, channels + 1, 2);
	assert_false(mqw_outbox_takes(o, "ops"));
	pass(MQW_MINUTE);
	assert_int_equal(far_side.tries, 0);
	mqw_outbox_set_channels(o, channels, 3);
	pass(MQW_MINUTE);
	assert_sent(1);
}

/* Another process holds the file: nothing is lost, nothing is sent twice. */
static void a_locked_ledger_delays_only(void **state)
{
	sqlite3 *other;

	(void)state;
	found(1);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(put_as("ops", "r", 2), -EBUSY);
	now += 3 * S;
	mqw_outbox_tick(o, now);
	assert_int_equal(far_side.tries, 0);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	found(2);
	far_side.how = MUTE;
	pass(S);
	assert_int_equal(far_side.tries, 1);
	/* Accepted, and that cannot be written down for a while. */
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	mqw_outbox_answered(o, far_side.under_way, &(struct mqw_delivery){.accepted = true}, now);
	now += MQW_HOUR;
	mqw_outbox_tick(o, now);
	assert_int_equal(far_side.tries, 1);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	pass(2 * S);
	restart();
	pass(MQW_DAY);
	assert_int_equal(far_side.tries, 1);
}

static void set_pages(const char *sql)
{
	assert_int_equal(sqlite3_exec(l->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* SQLite takes a file that may not grow for a full disk. */
static void a_full_disk_delays_only(void **state)
{
	int n = 0, r = 1;

	(void)state;
	found(n++);
	set_pages("PRAGMA max_page_count = 60");
	while (r == 1 && n < 10000)
		r = put_as("ops", "r", n++);
	assert_int_equal(r, -ENOSPC);
	set_pages("PRAGMA max_page_count = 4294967294");
	found(n - 1);
	pass(MQW_MINUTE);
	assert_sent(1);
	assert_int_equal(count_of(0), n);
}

static void a_clock_set_back_holds_nothing_up(void **state)
{
	(void)state;
	far_side.how = DOWN;
	found(1);
	pass(5 * S);
	now -= 30 * MQW_DAY;
	far_side.how = UP;
	pass(2 * S);
	assert_sent(1);
	/* Its companions wait for a window, not for a month. */
	found(2);
	pass(MQW_DAY);
	assert_sent(2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_down_is_tried_again),
		TEST(given_up_after_a_day),
		TEST(an_answer_under_way_is_awaited),
		TEST(a_failed_start_is_a_failed_try),
		TEST(a_channel_may_go_and_come_back),
		TEST(a_locked_ledger_delays_only),
		TEST(a_full_disk_delays_only),
		TEST(a_clock_set_back_holds_nothing_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
