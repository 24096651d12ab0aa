/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/ledger/ledger.h"

static char dir[64], path[96];
static struct mqw_ledger *l;

static void reopen(void)
{
	l = mqw_ledger_close(l);
	assert_int_equal(mqw_ledger_open(path, &l, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-ledger-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	reopen();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	l = mqw_ledger_close(l);
	unlink(path);
	return rmdir(dir);
}

static struct mqw_action_record action(const char *key, int64_t time)
{
	return (struct mqw_action_record){.key = key,
		.kind = "recover",
		.rule = "resend what vanished",
		.instance = "out",
		.queue_id = "4F3aBcDeFgHz1k",
		.recipients = "b@example.net\n\xff@example.net",
		.cause = "vanished",
		.intended_at = time,
		.ended_at = MQW_TIME_NONE};
}

static int64_t must_intend(const char *key, int64_t time)
{
	struct mqw_action_record a = action(key, time);
	int64_t id = 0;

	assert_int_equal(mqw_ledger_intend(l, &a, &id), 1);
	assert_true(id > 0);
	return id;
}

struct list {
	struct mqw_action_record first;
	char first_key[32], first_detail[64];
	int count;
	bool conclude;
};

static int note(void *ctx, const struct mqw_action_record *a)
{
	struct list *list = ctx;

	if (list->count++ == 0) {
		list->first = *a;
		snprintf(list->first_key, sizeof(list->first_key), "%s", a->key);
		snprintf(list->first_detail, sizeof(list->first_detail), "%s", a->detail);
		assert_string_equal(a->kind, "recover");
		assert_string_equal(a->rule, "resend what vanished");
		assert_string_equal(a->instance, "out");
		assert_string_equal(a->recipients, "b@example.net\n\xff@example.net");
		assert_string_equal(a->cause, "vanished");
	}
	if (list->conclude)
		return mqw_ledger_conclude(l, a->id, MQW_ACTION_STATE_UNCLEAR, 9, NULL);
	return 0;
}

static struct list list_actions(bool open_only, uint32_t limit)
{
	struct list list = {.count = 0};

	assert_int_equal(mqw_ledger_each_action(l, open_only, limit, note, &list), 0);
	return list;
}

static void the_same_is_never_intended_twice(void **state)
{
	struct mqw_action_record a = action("k", 2);
	int64_t id = must_intend("k", 1), other = -7;

	(void)state;
	assert_int_equal(mqw_ledger_intend(l, &a, &other), 0);
	assert_int_equal(other, -7);
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_FAILED, 3, "no"), 0);
	reopen();
	assert_int_equal(mqw_ledger_intend(l, &a, &other), 0);
	assert_true(must_intend("k2", 4) > id);
	assert_int_equal(list_actions(false, 10).count, 2);
}

static void a_result_stands(void **state)
{
	int64_t id = must_intend("k", 1);
	struct list list;

	(void)state;
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_INTENT, 3, ""), -EINVAL);
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_COUNT, 3, ""), -EINVAL);
	assert_int_equal(mqw_ledger_conclude(l, id + 1, MQW_ACTION_STATE_DONE, 3, ""), -ENOENT);
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_UNCLEAR, 3, "?"), 0);
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_DONE, 4, "sent \xff"), 0);
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_FAILED, 5, ""), -ENOENT);
	list = list_actions(false, 10);
	assert_int_equal(list.first.id, id);
	assert_int_equal(list.first.state, MQW_ACTION_STATE_DONE);
	assert_int_equal(list.first.intended_at, 1);
	assert_int_equal(list.first.ended_at, 4);
	assert_string_equal(list.first_detail, "sent \xff");
	assert_int_equal(list_actions(true, 10).count, 0);
}

static void budgets_count_what_was_begun(void **state)
{
	static const enum mqw_action_state states[] = {MQW_ACTION_STATE_DONE,
		MQW_ACTION_STATE_FAILED, MQW_ACTION_STATE_UNCLEAR, MQW_ACTION_STATE_REFUSED,
		MQW_ACTION_STATE_OBSERVED};
	uint32_t count = 77;
	int64_t last = 0;

	(void)state;
	assert_int_equal(mqw_ledger_count_actions(l, "none", "recover", 0, &count, &last), 0);
	assert_int_equal(count, 0);
	assert_true(last == MQW_TIME_NONE);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		char key[] = {(char)('a' + i), '\0'};
		int64_t id = must_intend(key, 100 * (int64_t)(i + 1));

		assert_int_equal(mqw_ledger_conclude(l, id, states[i], 999, ""), 0);
	}
	must_intend("open", 50);
	static const struct {
		int64_t since;
		uint32_t count;
	} cases[] = {{0, 4}, {50, 4}, {51, 3}, {200, 2}, {300, 1}, {301, 0}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(mqw_ledger_count_actions(l, "resend what vanished", "recover",
					 cases[i].since, &count, &last),
			0);
		assert_int_equal(count, cases[i].count);
		assert_int_equal(last, 300);
	}
	assert_int_equal(
		mqw_ledger_count_actions(l, "resend what vanished", "restart", 0, &count, &last),
		0);
	assert_int_equal(count, 0);
}

static void intents_survive_a_kill(void **state)
{
	int64_t id = must_intend("done", 1);
	struct list list;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(mqw_ledger_conclude(l, id, MQW_ACTION_STATE_DONE, 2, ""), 0);
	l = mqw_ledger_close(l);
	pid = fork();
	if (pid == 0) {
		struct mqw_action_record a = action("killed", 3);

		if (mqw_ledger_open(path, &l, NULL) == 0 && mqw_ledger_intend(l, &a, &id) == 1 &&
			mqw_ledger_begin(l) == 0 &&
			mqw_ledger_put_position(l, "out", "log", MQW_LIT("lost")) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	reopen();
	list = list_actions(true, 10);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.first_key, "killed");
	assert_int_equal(list.first.state, MQW_ACTION_STATE_INTENT);
	assert_true(list.first.ended_at == MQW_TIME_NONE);
	struct mqw_action_record a = action("killed", 4);
	assert_int_equal(mqw_ledger_intend(l, &a, &id), 0);
	struct mqw_buffer b = {0};
	assert_int_equal(mqw_ledger_get_position(l, "out", "log", &b), 0);
	mqw_buffer_done(&b);
}

static void not_within_a_batch(void **state)
{
	struct mqw_action_record a = action("k", 1);
	int64_t id = 0;

	(void)state;
	assert_int_equal(mqw_ledger_begin(l), 0);
	assert_int_equal(mqw_ledger_intend(l, &a, &id), -EINPROGRESS);
	assert_int_equal(mqw_ledger_conclude(l, 1, MQW_ACTION_STATE_DONE, 1, NULL), -EINPROGRESS);
	assert_int_equal(mqw_ledger_commit(l), 0);
	a.cause = NULL;
	assert_int_equal(mqw_ledger_intend(l, &a, &id), -EINVAL);
	a = action("k", MQW_TIME_NONE);
	assert_int_equal(mqw_ledger_intend(l, &a, &id), -EINVAL);
	a = action("k", 1);
	a.recipients = "b@example.net\n\xff@example.net";
	a.queue_id = NULL;
	assert_int_equal(mqw_ledger_intend(l, &a, &id), 1);
}

static void a_walk_may_conclude(void **state)
{
	struct list list = {.conclude = true};

	(void)state;
	for (int i = 0; i < 5; i++) {
		char key[] = {(char)('a' + i), '\0'};

		must_intend(key, i);
	}
	assert_int_equal(list_actions(true, 3).count, 3);
	assert_string_equal(list_actions(true, 3).first_key, "e");
	assert_int_equal(mqw_ledger_each_action(l, true, 10, note, &list), 0);
	assert_int_equal(list.count, 5);
	assert_int_equal(list_actions(true, 10).count, 0);
	assert_int_equal(list_actions(false, 10).count, 5);
}

static void states_have_names(void **state)
{
	(void)state;
	assert_string_equal(mqw_action_state_name(MQW_ACTION_STATE_INTENT), "intent");
	assert_string_equal(mqw_action_state_name(MQW_ACTION_STATE_UNCLEAR), "unclear");
	assert_null(mqw_action_state_name(MQW_ACTION_STATE_COUNT));
}

/* Ended ones go after their time, a few at a time; an intent stays until it has a result. */
static void old_ones_are_forgotten(void **state)
{
	int64_t old = 5 * MQW_DAY, now = old + MQW_LEDGER_ACTIONS_KEPT + 1;
	char key[16];

	(void)state;
	must_intend("waits", old);
	for (int i = 0; i < 700; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(mqw_ledger_conclude(l, must_intend(key, old),
					 MQW_ACTION_STATE_DONE, i < 600 ? old : old + 9, ""),
			0);
	}
	assert_int_equal(mqw_ledger_tidy(l, now - 1), 0);
	assert_int_equal(list_actions(false, 1000).count, 701);
	assert_int_equal(mqw_ledger_tidy(l, now), 0);
	assert_int_equal(list_actions(false, 1000).count, 701 - 499);
	for (int i = 0; i < 5; i++)
		assert_int_equal(mqw_ledger_tidy(l, now), 0);
	assert_int_equal(list_actions(false, 1000).count, 101);
	assert_string_equal(list_actions(true, 1000).first_key, "waits");
}

static void put_many(int count, bool put)
{
	struct mqw_message m = {.realm = "", .queue_id = "4F3aBcDeFgHz1k", .instance = "out"};
	char text[300];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	m.sender = text;
	assert_int_equal(mqw_ledger_begin(l), 0);
	for (int i = 1; i <= count; i++) {
		m.number = (uint64_t)i;
		assert_int_equal(put ? mqw_ledger_put_message(l, "out", &m)
				     : mqw_ledger_delete_message(l, "out", m.number),
			0);
	}
	assert_int_equal(mqw_ledger_commit(l), 0);
}

static int64_t size_of_file(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* Room that is not used any more goes back to the disk, little by little. */
static void the_file_shrinks(void **state)
{
	int64_t full;
	clock_t before, worst = 0;

	(void)state;
	put_many(40000, true);
	reopen();
	full = size_of_file();
	assert_true(full > 12 * 1024 * 1024);
	put_many(40000, false);
	for (int i = 0; i < 60; i++) {
		before = clock();
		assert_int_equal(mqw_ledger_tidy(l, 0), 0);
		worst = clock() - before > worst ? clock() - before : worst;
	}
	/* The loop waits for one of them: 100 ms is far more than it takes. */
	assert_true(worst < CLOCKS_PER_SEC / 10);
	reopen();
	assert_true(size_of_file() < full / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_is_never_intended_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(a_result_stands, setup, teardown),
		cmocka_unit_test_setup_teardown(budgets_count_what_was_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(intents_survive_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(not_within_a_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_may_conclude, setup, teardown),
		cmocka_unit_test(states_have_names),
		cmocka_unit_test_setup_teardown(old_ones_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_shrinks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
