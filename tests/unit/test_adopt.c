/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files in the queue that no line of the log has named, and when they are taken for messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "act_fixture.h"
#include "watchdogd/daemon/instance_internal.h"

#define ID "A1000000"
#define PATH "deferred/A/" ID

static struct mqw_instance whole;
static struct mqw_dirwatch *dirwatch;
static struct stat file;

static bool matters(void *ctx, struct mqw_slice id)
{
	(void)ctx, (void)id;
	return false;
}

static bool gone(void *ctx, struct mqw_slice id, enum mqw_place place, int64_t since)
{
	(void)ctx, (void)id, (void)place, (void)since;
	return true;
}

static void scanned(void *ctx, uint32_t number)
{
	(void)ctx, (void)number;
}

/* A queue with one file that waits, for B and C, and an instance that has read its log. */
static int adopt_setup(void **state)
{
	const struct mqw_queue_watch_ops ops = {.present = mqw_instance_present,
		.matters = matters,
		.gone = gone,
		.scanned = scanned,
		.ctx = &whole};
	char command[256];
	int r = act_setup(state);

	keep_copy(ID, T0);
	snprintf(command, sizeof(command), "mkdir -p %s/deferred/A && mv %s/%s %s/%s", dir, dir, ID,
		dir, PATH);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s/%s", dir, PATH);
	assert_int_equal(stat(command, &file), 0);
	whole = (struct mqw_instance){
		.act = instance, .host = {.ledger = ledger, .act = act, .keep = MQW_KEEP_NONE}};
	assert_int_equal(mqw_dirwatch_create(event, 3600 * MQW_SECOND, &dirwatch), 0);
	assert_int_equal(
		mqw_queue_watch_create(dirwatch, dir, instance.probe, &ops, &whole.queue), 0);
	return r;
}

static int adopt_teardown(void **state)
{
	mqw_queue_watch_free(whole.queue);
	mqw_dirwatch_free(dirwatch);
	return act_teardown(state);
}

static void look(void)
{
	mqw_instance_present(&whole, MQW_LIT(ID), MQW_PLACE_WAITING, PATH, &file);
}

static void changed(int64_t ago)
{
	file.st_ctim.tv_sec = (time_t)((mqw_clock_now() - ago) / MQW_SECOND);
}

static void test_first_start_ever(void **state)
{
	(void)state;
	look();
	assert_non_null(message(ID));
	assert_int_equal(mqw_tracker_totals(t)->messages, 1);
	assert_int_equal(mqw_tracker_totals(t)->verdicts[MQW_VERDICT_PENDING], 2);
}

/*
 * Its line is on its way: it tells more, and the one by which it was taken on may have been read,
 * and counted, before the last process ended.
 */
static void test_start_that_goes_on(void **state)
{
	(void)state;
	whole.totals.now[MQW_TOTAL_ADOPTED] = 1;
	changed(MQW_MINUTE);
	look();
	assert_null(message(ID));
	deferred(ID, mqw_clock_now());
	look();
	assert_int_equal(message(ID)->place, MQW_PLACE_WAITING);
	assert_int_equal(mqw_tracker_totals(t)->messages, 0);
	assert_int_equal(mqw_tracker_totals(t)->verdicts[MQW_VERDICT_PENDING], 1);
}

static void test_no_line_came(void **state)
{
	(void)state;
	whole.totals.now[MQW_TOTAL_ADOPTED] = 1;
	changed(3 * MQW_MINUTE);
	look();
	assert_non_null(message(ID));
	assert_int_equal(mqw_tracker_totals(t)->messages, 1);
}

static int count_one(void *ctx, const struct mqw_vault_entry *entry)
{
	*(size_t *)ctx += entry->kind == MQW_VAULT_COPY;
	return 0;
}

static size_t copies(void)
{
	size_t n = 0;

	assert_int_equal(mqw_vault_each(instance.vault, count_one, &n), 0);
	return n;
}

static void sweep(int64_t since)
{
	whole.act.caught_up = whole.adopted = whole.orphans = true;
	whole.swept_at = 0;
	whole.totals.now[MQW_TOTAL_SINCE] = since;
	mqw_instance_tick(&whole, mqw_clock_now());
}

/* A copy without a message goes; but not where the ledger that knew of it is not this one. */
static void test_copies_of_none(void **state)
{
	const int64_t changed_at = (int64_t)file.st_mtim.tv_sec * MQW_SECOND;

	(void)state;
	sweep(changed_at + MQW_MINUTE);
	assert_int_equal(copies(), 1);
	sweep(changed_at - MQW_MINUTE);
	assert_int_equal(copies(), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, adopt_setup, adopt_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_first_start_ever),
		TEST(test_start_that_goes_on),
		TEST(test_no_line_came),
		TEST(test_copies_of_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
