/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a death of the daemon, or of its helper, between two steps leaves of what a rule asked for;
 * and what is not there only for a while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>

#include "act_fixture.h"
#include "memory_fixture.h"

#define NOW (T0 + MQW_HOUR)

/* Deferred for B and C, then gone. */
static void lose(const char *id)
{
	accepted(id, T0);
	keep_copy(id, T0);
	deferred(id, T0 + MQW_SECOND);
	tried(id, C, MQW_OUTCOME_DEFERRED, 450, T0 + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, NOW - MQW_SECOND);
}

/* The rules are told, and nothing is begun yet. */
static void match(const char *id, const char *recipient)
{
	struct mqw_act_context context = {act, &instance};
	const struct mqw_message *m = message(id);
	struct mqw_judgement j = judge(id, recipient);
	const struct mqw_finding f = {.instance = "out",
		.mta = "postfix",
		.message = m,
		.recipient = mqw_tracker_recipient(m, mqw_slice_of(recipient)),
		.judgement = &j,
		.time = NOW};

	mqw_rules_match(rules, &f, mqw_act_fire, &context);
}

/* Once it is put back it is not lost any more: who was not told by then never would be. */
static void test_alerts_come_first(void **state)
{
	(void)state;
	start_helper();
	load_rules(
		"  - {name: back, when: {verdict: vanished}, do: [recover, {alert: journal}]}\n");
	lose("A1");
	match("A1", B);
	match("A1", C);
	mqw_act_settle(act, NOW);
	assert_actions("recover A1 intent\nalert A1 done\nalert A1 done\n");
	run(50);
	assert_actions("recover A1 done\nalert A1 done\nalert A1 done\n");
}

/* While it is set the ledger takes no intent of that kind. */
static void refuse_intents(const char *kind)
{
	char path[96], sql[200];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	snprintf(sql, sizeof(sql),
		kind ? "CREATE TRIGGER no BEFORE INSERT ON action WHEN NEW.kind = '%s'"
		       " BEGIN SELECT RAISE(FAIL, 'no'); END"
		     : "DROP TRIGGER no",
		kind);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A death after the first intent of two: the second is made at the next start, and then both are done. */
static void test_dies_between_two_intents(void **state)
{
	(void)state;
	start_helper();
	load_rules("  - {name: both, when: {verdict: vanished}, do: [recover, restart]}\n");
	lose("A1");
	mqw_tracker_tick(t, NOW);
	refuse_intents("restart");
	match("A1", B);
	mqw_act_settle(act, NOW);
	run(3);
	assert_actions("recover A1 intent\n");
	/* What is put back would not be found again. */
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	refuse_intents(NULL);
	restart_act();
	/* The log has been read again, the queue not yet: nobody was told of it yet. */
	begin(true);
	mqw_tracker_hold(t, true);
	instance.tracker = t;
	lose("A1");
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(3);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	mqw_tracker_hold(t, false);
	match("A1", B);
	mqw_act_settle(act, NOW + MQW_MINUTE);
	run(50);
	assert_int_equal(helper->asked[MQW_HELPER_RESTART], 1);
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_MINUTE);
	run(50);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_actions("restart - done\nrecover A1 done\n");
}

/* A helper that answers too late, or for the second time, is not asked what the log has said. */
static void test_log_is_faster(void **state)
{
	(void)state;
	helper->mute = true;
	start_helper();
	lose("A1");
	found("A1", B, NOW);
	for (int i = 0; i < 50 && !helper->asked[MQW_HELPER_RECOVER]; i++)
		run(1);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A1 intent\n");
	happens_with(MQW_EVENT_OPENED, "A2", "A1", NOW + MQW_MINUTE);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A1 done\n");
	assert_false(has_file("A1.recover"));
	/* What comes of it now is no result. */
	stop_helper();
	run(3);
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_MINUTE);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

/* The second of two recipients could not be told of yet: he is, before the mail is put back. */
static void test_untold(void **state)
{
	(void)state;
	start_helper();
	lose("A1");
	message("A1")->untold = true;
	found("A1", B, NOW);
	assert_actions("");
	assert_true(mqw_act_waiting(act));
	message("A1")->untold = false;
	mqw_act_settle(act, NOW + MQW_SECOND);
	run(50);
	assert_actions("recover A1 done\n");
}

/* A disk that is not there at the start, or not now, is no reason to give a message up. */
static void test_vault_comes_later(void **state)
{
	struct mqw_vault *opened = vault;

	(void)state;
	start_helper();
	lose("A1");
	instance.vault = NULL;
	instance.vault_missing = true;
	found("A1", B, NOW);
	assert_actions("");
	assert_true(mqw_act_waiting(act));
	instance.vault = opened;
	instance.vault_missing = false;
	mqw_act_settle(act, NOW + 2 * MQW_MINUTE);
	run(50);
	assert_actions("recover A1 done\n");
}

static void test_copy_is_not_read(void **state)
{
	char path[160], away[170];

	(void)state;
	start_helper();
	lose("A1");
	snprintf(path, sizeof(path), "%s/vault/out/A1", dir);
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	found("A1", B, NOW);
	assert_actions("");
	assert_true(mqw_act_waiting(act));
	rmdir(path);
	assert_int_equal(rename(away, path), 0);
	mqw_act_settle(act, NOW + 2 * MQW_MINUTE);
	run(50);
	assert_actions("recover A1 done\n");
}

/* All that a rule asks for is noted, or nothing of it: then it can be told once more. */
static void test_without_memory(void **state)
{
	struct mqw_wish **begun;
	bool whole = false;
	int failed = 0;

	(void)state;
	if (!MEMORY_CAN_BE_OUT)
		skip();
	start_helper();
	load_rules(
		"  - {name: back, when: {verdict: vanished}, do: [recover, {alert: journal}]}\n");
	lose("A1");
	while (!whole && failed < 100) {
		begun = mqw_act_begin(act);
		memory_left = failed;
		match("A1", B);
		memory_left = -1;
		whole = mqw_act_end(act, begun);
		failed += !whole;
		assert_int_equal(mqw_act_waiting(act), whole);
	}
	assert_in_range(failed, 2, 99);
	mqw_act_settle(act, NOW);
	run(50);
	assert_actions("recover A1 done\nalert A1 done\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, act_setup, act_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_alerts_come_first),
		TEST(test_dies_between_two_intents),
		TEST(test_log_is_faster),
		TEST(test_untold),
		TEST(test_vault_comes_later),
		TEST(test_copy_is_not_read),
		TEST(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
