/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A message that the instance forgets is deleted from the ledger, whatever is away at that time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>

#include "intake_fixture.h"
#include "memory_fixture.h"

static int count_kept(void *ctx, const struct mqw_message *m)
{
	(void)m;
	++*(int *)ctx;
	return 0;
}

static int kept(void)
{
	int count = 0;

	assert_int_equal(
		mqw_ledger_each_message(instance.host.ledger, "outbound", count_kept, &count), 0);
	return count;
}

static int keep(void)
{
	instance.moved = false; /* there is no source to ask for its position */
	return mqw_instance_keep(&instance);
}

static void test_forgotten_while_the_ledger_is_away(void **state)
{
	char dir[] = "/tmp/mqw-intake-XXXXXX", path[64], command[64];
	sqlite3 *other;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(mqw_ledger_open(path, &instance.host.ledger, NULL), 0);
	deferred(3600);
	assert_int_equal(keep(), 0);
	assert_int_equal(kept(), 1);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	logged(1800, "smtp",
		ID ": to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		   "dsn=2.0.0, status=sent (250 2.0.0 Ok)");
	logged(1800, "qmgr", ID ": removed");
	assert_int_equal(keep(), -EBUSY);
	mqw_tracker_tick(instance.act.tracker, mqw_clock_now());
	assert_null(mqw_tracker_find(instance.act.tracker, MQW_SLICE_NULL, MQW_LIT(ID)));
	assert_int_equal(keep(), -EBUSY);
	sqlite3_close(other);
	assert_int_equal(kept(), 1);
	/* A restart would now find it open. */
	assert_int_equal(keep(), 0);
	assert_int_equal(kept(), 0);
	free(instance.forgotten);
	mqw_ledger_close(instance.host.ledger);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

/* What there was no memory to note is found by looking at both. */
static void test_forgotten_without_memory(void **state)
{
	char dir[] = "/tmp/mqw-intake-XXXXXX", path[64], command[64];

	(void)state;
	if (!MEMORY_CAN_BE_OUT)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(mqw_ledger_open(path, &instance.host.ledger, NULL), 0);
	deferred(3600);
	assert_int_equal(keep(), 0);
	logged(1800, "smtp",
		ID ": to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		   "dsn=2.0.0, status=sent (250 2.0.0 Ok)");
	logged(1800, "qmgr", ID ": removed");
	assert_int_equal(keep(), 0);
	assert_int_equal(kept(), 1);
	memory_left = 0;
	mqw_tracker_tick(instance.act.tracker, mqw_clock_now());
	memory_left = -1;
	assert_null(mqw_tracker_find(instance.act.tracker, MQW_SLICE_NULL, MQW_LIT(ID)));
	assert_true(instance.forgotten_missed);
	assert_int_equal(keep(), 0);
	assert_int_equal(kept(), 0);
	assert_false(instance.forgotten_missed);
	free(instance.forgotten);
	mqw_ledger_close(instance.host.ledger);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_forgotten_while_the_ledger_is_away),
		TEST(test_forgotten_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
