/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recoveries: exactly once, whatever ends between intent and result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "recover_fixture.h"

/* Asked, and ended before the answer came. */
static void ask_and_die(const char *id)
{
	helper->mute = true;
	lose(id, T0);
	found(id, B, NOW);
	for (int i = 0; i < 100 && !helper->asked[MQW_HELPER_RECOVER]; i++)
		usleep(20000);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	restart_act();
	helper->mute = false;
	/* The log may lag behind a little. */
	mqw_act_resolve(act, &instance, NOW + 15 * MQW_SECOND - 1);
	run(1);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

static void test_died_and_it_was_done(void **state)
{
	(void)state;
	start_helper();
	ask_and_die("A1");
	happens_with(MQW_EVENT_OPENED, "A2", "A1", NOW + MQW_SECOND);
	mqw_act_resolve(act, &instance, NOW + 15 * MQW_SECOND);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_false(has_file("A1.recover"));
}

static void test_died_and_it_waits(void **state)
{
	(void)state;
	start_helper();
	ask_and_die("A1");
	in_queue("A1", MQW_PLACE_ARRIVING, MQW_TIME_NONE, NOW + MQW_SECOND);
	mqw_act_resolve(act, &instance, NOW + 15 * MQW_SECOND);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

/* The log is late, but the helper left word. */
static void test_died_and_the_helper_was_done(void **state)
{
	char from[160], to[160], key[64];
	int64_t now = mqw_clock_now();
	struct mqw_action_record a = {.key = key,
		.kind = "recover",
		.rule = "back",
		.instance = "out",
		.queue_id = "A1",
		.cause = "vanished",
		.intended_at = now + MQW_MINUTE,
		.ended_at = MQW_TIME_NONE};
	int64_t id;

	(void)state;
	start_helper();
	lose("A1", T0);
	snprintf(from, sizeof(from), "%s/vault/out/A1", dir);
	snprintf(to, sizeof(to), "%s/vault/out/A1.done", dir);
	assert_int_equal(link(from, to), 0);
	/* It is of an earlier intent. */
	snprintf(key, sizeof(key), "recover/out/A1/%lld", (long long)T0);
	assert_int_equal(mqw_ledger_intend(ledger, &a, &id), 1);
	mqw_act_resolve(act, &instance, now + 2 * MQW_MINUTE);
	run(50);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_false(has_file("A1.done"));
	/* It is of this one. */
	lose("A2", T0);
	snprintf(from, sizeof(from), "%s/vault/out/A2", dir);
	snprintf(to, sizeof(to), "%s/vault/out/A2.done", dir);
	assert_int_equal(link(from, to), 0);
	snprintf(key, sizeof(key), "recover/out/A2/%lld", (long long)T0);
	a.queue_id = "A2";
	a.intended_at = now;
	assert_int_equal(mqw_ledger_intend(ledger, &a, &id), 1);
	mqw_act_resolve(act, &instance, now + MQW_MINUTE);
	run(2);
	assert_actions("recover A2 done\nrecover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_false(has_file("A2.done"));
}

static void test_died_and_it_was_not_done(void **state)
{
	(void)state;
	start_helper();
	ask_and_die("A1");
	mqw_act_resolve(act, &instance, NOW + 15 * MQW_SECOND);
	run(50);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 2);
}

static void test_died_and_nobody_knows(void **state)
{
	(void)state;
	start_helper();
	ask_and_die("A1");
	/* The line that would tell of it may be lost: it is not asked again. */
	gap(NOW + MQW_SECOND, NOW + 2 * MQW_SECOND);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(2);
	assert_actions("recover A1 unclear\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

static int64_t intend(const char *key, const char *id)
{
	const struct mqw_action_record a = {.key = key,
		.kind = "recover",
		.rule = "back",
		.instance = "out",
		.queue_id = id,
		.cause = "vanished",
		.intended_at = NOW,
		.ended_at = MQW_TIME_NONE};
	int64_t ret;

	assert_int_equal(mqw_ledger_intend(ledger, &a, &ret), 1);
	return ret;
}

static void test_found_open(void **state)
{
	char key[64];

	(void)state;
	start_helper();
	intend("recover/out/A9/1", "A9");
	instance.caught_up = false;
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A9 intent\n");
	instance.caught_up = true;
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A9 unclear\n");
	/* Ended between the intent and the file for it: it is made now. */
	lose("A1", T0);
	snprintf(key, sizeof(key), "recover/out/A1/%lld", (long long)T0);
	intend(key, "A1");
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(50);
	assert_actions("recover A1 done\nrecover A9 unclear\n");
	assert_true(helper->size > 0 && helper->size != SIZE_MAX);
	/* The id has another life by now, which is well. */
	snprintf(key, sizeof(key), "recover/out/A1/%lld", (long long)T0 + 7);
	intend(key, "A1");
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A1 unclear\nrecover A1 done\nrecover A9 unclear\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

/* Another process holds the ledger until it is killed. */
static pid_t lock_ledger(void)
{
	char path[96], byte;
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	pid = fork();
	if (pid == 0) {
		sqlite3 *db;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (sqlite3_open(path, &db) != SQLITE_OK ||
			sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
			write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

static void test_ledger_away(void **state)
{
	pid_t pid;

	(void)state;
	start_helper();
	lose("A1", T0);
	lose("A2", T0);
	/* No intent, no deed. */
	pid = lock_ledger();
	found("A1", B, NOW);
	assert_true(mqw_act_waiting(act));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	mqw_act_settle(act, NOW + 5 * MQW_SECOND);
	run(50);
	assert_actions("recover A1 done\n");
	/* Done, and the result cannot be kept: that is no reason to do it again. */
	found("A2", B, NOW);
	pid = lock_ledger();
	run(1);
	for (int i = 0; i < 20 && helper->asked[MQW_HELPER_RECOVER] < 2; i++)
		run(1);
	run(3);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(3);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_actions("recover A2 intent\nrecover A1 done\n");
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_MINUTE);
	assert_actions("recover A2 done\nrecover A1 done\n");
	run(2);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 2);
}

/* A result that cannot be kept leaves the intent as it was, with what shows how far it came. */
static void test_ledger_away_at_the_end(void **state)
{
	pid_t pid;

	(void)state;
	start_helper();
	ask_and_die("A1");
	gap(NOW + MQW_SECOND, NOW + 2 * MQW_SECOND);
	pid = lock_ledger();
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_actions("recover A1 intent\n");
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_MINUTE);
	run(2);
	assert_actions("recover A1 unclear\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, act_setup, act_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_died_and_it_was_done),
		TEST(test_died_and_it_waits),
		TEST(test_died_and_the_helper_was_done),
		TEST(test_died_and_it_was_not_done),
		TEST(test_died_and_nobody_knows),
		TEST(test_found_open),
		TEST(test_ledger_away),
		TEST(test_ledger_away_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
