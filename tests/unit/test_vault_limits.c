/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes when the vault is too large or its copies too old: a real vault, a real tracker. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watchdogd/daemon/vault_limits.h"

#define MIB ((uint64_t)1024 * 1024)

static char dir[64];
static struct mqw_act_instance instance;
static struct mqw_vault_limits limits;
static int64_t now;

static void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx, (void)m, (void)r, (void)j, (void)previous;
}

static int setup(void **state)
{
	struct mqw_tracker_options options = mqw_tracker_defaults();
	const struct mqw_tracker_ops ops = {.verdict = on_verdict};

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-limits-XXXXXX");
	assert_non_null(mkdtemp(dir));
	now = mqw_clock_now() / MQW_SECOND * MQW_SECOND;
	instance = (struct mqw_act_instance){.name = "out", .caught_up = true};
	instance.tracker = mqw_tracker_create(&options, &ops, true);
	assert_non_null(instance.tracker);
	assert_int_equal(mqw_vault_open(dir, "out", &instance.vault), 0);
	mqw_vault_limits_init(&limits, 4 * MIB, MQW_DAY);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	mqw_tracker_free(instance.tracker);
	mqw_vault_close(instance.vault);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* A copy of a message whose file changed last so long ago; its one recipient is owed it or not. */
static void put(const char *id, uint64_t size, int64_t ago, bool settled)
{
	struct mqw_event e = mqw_event(MQW_EVENT_OPENED, now - ago);
	const struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT}, {.tv_sec = (now - ago) / MQW_SECOND}};
	char path[128];
	int root = open(dir, O_RDONLY | O_DIRECTORY);

	snprintf(path, sizeof(path), "%s/%s", dir, id);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(truncate(path, (off_t)size), 0);
	assert_int_equal(
		mqw_vault_copy_in(instance.vault, root, id, mqw_slice_of(id), 0, 8 * MIB), 1);
	close(root);
	snprintf(path, sizeof(path), "%s/vault/out/%s", dir, id);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	e.queue_id = mqw_slice_of(id);
	assert_int_equal(mqw_tracker_event(instance.tracker, &e), 0);
	e.kind = MQW_EVENT_QUEUED;
	e.count = 1;
	assert_int_equal(mqw_tracker_event(instance.tracker, &e), 0);
	e.kind = MQW_EVENT_ATTEMPT;
	e.recipient = MQW_LIT("b@example.net");
	e.outcome = settled ? MQW_OUTCOME_SENT : MQW_OUTCOME_DEFERRED;
	assert_int_equal(mqw_tracker_event(instance.tracker, &e), 0);
	e.kind = MQW_EVENT_REMOVED;
	if (settled)
		assert_int_equal(mqw_tracker_event(instance.tracker, &e), 0);
}

static bool has(const char *id)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/vault/out/%s", dir, id);
	return access(path, F_OK) == 0;
}

static void keep(void)
{
	const struct mqw_act_instance *all[] = {&instance};

	mqw_vault_limits_keep(&limits, all, 1, now);
}

static void leaves_what_fits(void **state)
{
	(void)state;
	put("A1", 2 * MIB, MQW_HOUR, false);
	put("A2", 2 * MIB, 2 * MQW_HOUR, true);
	keep();
	assert_true(has("A1"));
	assert_true(has("A2"));
	assert_int_equal(limits.said_at, MQW_TIME_NONE);
}

static void settled_ones_go_first(void **state)
{
	(void)state;
	put("A1", 2 * MIB, 5 * MQW_HOUR, false); /* the oldest, and owed */
	put("A2", MIB, 2 * MQW_HOUR, true);
	put("A3", MIB, 3 * MQW_HOUR, true);
	put("A4", MIB / 2, MQW_HOUR, true);
	keep();
	assert_true(has("A1"));
	assert_true(has("A2"));
	assert_false(has("A3")); /* the oldest of those that are settled */
	assert_true(has("A4"));
	assert_int_equal(limits.said_at, MQW_TIME_NONE);
	assert_int_equal(limits.floor, MQW_TIME_NONE);
}

static void then_the_oldest_with_a_word(void **state)
{
	(void)state;
	put("A1", 2 * MIB, 5 * MQW_HOUR, false);
	put("A2", 2 * MIB, 2 * MQW_HOUR, false);
	put("A3", MIB, MQW_HOUR, false);
	keep();
	assert_false(has("A1"));
	assert_true(has("A2"));
	assert_true(has("A3"));
	assert_int_equal(limits.said_at, now);
	assert_int_equal(limits.unsaid, 0);
	/* It is in the queue as before, and would only go again. */
	assert_false(mqw_vault_limits_allow(&limits, now - 5 * MQW_HOUR, now));
	assert_true(mqw_vault_limits_allow(&limits, now - 2 * MQW_HOUR, now));
	/* Of the next ones nothing is said for an hour, but they are counted. */
	now += MQW_MINUTE;
	put("A4", 2 * MIB, 0, false);
	keep();
	assert_false(has("A2"));
	assert_int_equal(limits.unsaid, 1);
	/* With room again, all are wanted again. */
	assert_int_equal(mqw_vault_remove(instance.vault, MQW_LIT("A4")), 0);
	keep();
	assert_true(mqw_vault_limits_allow(&limits, now - 5 * MQW_HOUR, now));
}

static void old_ones_go_in_any_case(void **state)
{
	(void)state;
	put("A1", 10, 25 * MQW_HOUR, false);
	put("A2", 10, 25 * MQW_HOUR, true);
	put("A3", 10, 23 * MQW_HOUR, false);
	keep();
	assert_false(has("A1"));
	assert_false(has("A2"));
	assert_true(has("A3"));
	assert_int_equal(limits.said_at, now);
	assert_false(mqw_vault_limits_allow(&limits, now - 25 * MQW_HOUR, now));
	/* A look costs a walk: not each second. */
	now += MQW_HOUR + MQW_MINUTE;
	limits.looked_at = now - MQW_SECOND;
	keep();
	assert_true(has("A3"));
	now += 10 * MQW_MINUTE;
	keep();
	assert_false(has("A3"));
}

/* What is owed is not known before the log is read. */
static void waits_for_the_log(void **state)
{
	(void)state;
	put("A1", 5 * MIB, 25 * MQW_HOUR, true);
	instance.caught_up = false;
	keep();
	assert_true(has("A1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leaves_what_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(settled_ones_go_first, setup, teardown),
		cmocka_unit_test_setup_teardown(then_the_oldest_with_a_word, setup, teardown),
		cmocka_unit_test_setup_teardown(old_ones_go_in_any_case, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_the_log, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
