/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "watchdogd/ledger/outbox.h"

#define T INT64_C(1795572000000000)
#define S MQW_SECOND

static char dir[64], path[96];
static struct mqw_ledger *l;

static void reopen(void)
{
	char *error = NULL;

	l = mqw_ledger_close(l);
	if (mqw_ledger_open(path, &l, &error) < 0)
		fail_msg("%s", error);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-outbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	reopen();
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	l = mqw_ledger_close(l);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int64_t add(const char *channel, const char *token, int64_t due)
{
	const struct mqw_outbox_record r = {.channel = channel,
		.rule = "rule \"\xc3\xbc\"",
		.instance = "out",
		.token = token,
		.detail = NULL,
		.stage = 3,
		.opened_at = T,
		.latest_at = T + 1,
		.sealed_at = MQW_TIME_NONE,
		.ended_at = MQW_TIME_NONE,
		.due_at = due};
	int64_t id = 0;

	assert_int_equal(mqw_ledger_outbox_add(l, &r, &id), 0);
	assert_true(id > 0);
	return id;
}

static int list_one(void *ctx, const struct mqw_outbox_record *r)
{
	mqw_buffer_printf(ctx, "%s %s %llu due %+lld tries %u \"%s\"\n", r->token,
		mqw_outbox_state_name(r->state), (unsigned long long)r->findings,
		(long long)((r->due_at - T) / S), r->attempts, r->detail);
	return 0;
}

#define assert_due(now, far, limit, want)                                                          \
	do {                                                                                       \
		struct mqw_buffer got = {0};                                                       \
		assert_int_equal(                                                                  \
			mqw_ledger_outbox_each_due(l, now, far, limit, list_one, &got), 0);        \
		assert_string_equal(mqw_buffer_str(&got), want);                                   \
		mqw_buffer_done(&got);                                                             \
	} while (0)

static int join(void *ctx, const char *content)
{
	mqw_buffer_printf(ctx, "%s;", content);
	return 0;
}

static int join_count(void *ctx, const char *verdict, uint64_t count)
{
	mqw_buffer_printf(ctx, "%s %llu;", verdict, (unsigned long long)count);
	return 0;
}

static void goes_through_its_states(void **state)
{
	struct mqw_outbox_record r;
	int64_t id = add("ops", "a", T + 2 * S);

	(void)state;
	assert_due(T, MQW_DAY, 10, "");
	assert_due(T + 2 * S, MQW_DAY, 10, "a gathering 0 due +2 tries 0 \"\"\n");
	assert_int_equal(mqw_ledger_outbox_end(l, id, MQW_OUTBOX_SENT, T, ""), -ENOENT);
	assert_int_equal(mqw_ledger_outbox_postpone(l, id, T, ""), -ENOENT);
	assert_int_equal(mqw_ledger_outbox_seal(l, id, T + 3 * S), 0);
	assert_int_equal(mqw_ledger_outbox_seal(l, id, T + 4 * S), -ENOENT);
	reopen();
	assert_due(T + 3 * S, MQW_DAY, 10, "a waiting 0 due +3 tries 0 \"\"\n");
	assert_int_equal(mqw_ledger_outbox_postpone(l, id, T + 33 * S, "no \"answer\""), 0);
	assert_due(T + 32 * S, MQW_DAY, 10, "");
	assert_due(T + 33 * S, MQW_DAY, 10, "a waiting 0 due +33 tries 1 \"no \"answer\"\"\n");
	assert_int_equal(mqw_ledger_outbox_newest(l, "ops", "rule \"\xc3\xbc\"", "out", &r), 1);
	assert_int_equal(r.id, id);
	assert_int_equal(r.stage, 3);
	assert_int_equal(r.sealed_at, T + 3 * S);
	assert_int_equal(r.ended_at, MQW_TIME_NONE);
	assert_null(r.token);
	assert_int_equal(mqw_ledger_outbox_end(l, id, MQW_OUTBOX_SENT, T + 40 * S, "250 ok"), 0);
	assert_int_equal(
		mqw_ledger_outbox_end(l, id, MQW_OUTBOX_GIVEN_UP, T + 40 * S, ""), -ENOENT);
	assert_due(INT64_MAX, 0, 10, "");
	assert_int_equal(mqw_ledger_outbox_newest(l, "ops", "rule \"\xc3\xbc\"", "out", &r), 1);
	assert_int_equal(r.state, MQW_OUTBOX_SENT);
	assert_int_equal(r.ended_at, T + 40 * S);
	assert_int_equal(mqw_ledger_outbox_newest(l, "ops", "other", "out", &r), 0);
}

static void findings_are_counted_once(void **state)
{
	int64_t a = add("ops", "a", T), b = add("ops", "b", T);
	struct mqw_buffer text = {0};

	(void)state;
	assert_int_equal(mqw_ledger_outbox_add_finding(l, a, "k1", T + 5 * S, "vanished", "1"), 1);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, a, "k1", T, "vanished", "x"), 0);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, b, "k1", T, "vanished", "x"), 0);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, a, "k2", T, "overdue", "2"), 1);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, a, "k3", T, "vanished", NULL), 1);
	assert_int_equal(mqw_ledger_outbox_each_finding(l, a, join, &text), 0);
	assert_int_equal(mqw_ledger_outbox_each_verdict(l, a, join_count, &text), 0);
	assert_string_equal(mqw_buffer_str(&text), "1;2;vanished 2;overdue 1;");
	mqw_buffer_done(&text);
	assert_due(T, MQW_DAY, 10,
		"a gathering 3 due +0 tries 0 \"\"\nb gathering 0 due +0 tries 0 \"\"\n");
	assert_due(T, MQW_DAY, 1, "a gathering 3 due +0 tries 0 \"\"\n");
}

static void far_ones_are_due_too(void **state)
{
	(void)state;
	add("ops", "a", T + 3600 * S);
	assert_due(T, MQW_DAY, 10, "");
	/* The clock was set back by two days. */
	assert_due(T - 2 * MQW_DAY, MQW_DAY, 10, "a gathering 0 due +3600 tries 0 \"\"\n");
}

static void tokens_are_known_until_forgotten(void **state)
{
	int64_t id = add("ops", "0123", T);

	(void)state;
	assert_int_equal(mqw_ledger_outbox_knows(l, MQW_LIT("0123")), 1);
	assert_int_equal(mqw_ledger_outbox_knows(l, MQW_LIT("012")), 0);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, id, "k", T, "vanished", "1"), 1);
	assert_int_equal(mqw_ledger_outbox_expire(l, INT64_MAX), 0);
	assert_int_equal(mqw_ledger_outbox_knows(l, MQW_LIT("0123")), 1);
	assert_int_equal(mqw_ledger_outbox_seal(l, id, T), 0);
	assert_int_equal(mqw_ledger_outbox_end(l, id, MQW_OUTBOX_GIVEN_UP, T + S, ""), 0);
	assert_int_equal(mqw_ledger_outbox_expire(l, T + S), 0);
	assert_int_equal(mqw_ledger_outbox_knows(l, MQW_LIT("0123")), 1);
	assert_int_equal(mqw_ledger_outbox_expire(l, T + 2 * S), 0);
	assert_int_equal(mqw_ledger_outbox_knows(l, MQW_LIT("0123")), 0);
	/* Its findings went with it. */
	id = add("ops", "4567", T);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, id, "k", T, "vanished", "1"), 1);
}

static void goes_back_with_its_batch(void **state)
{
	int64_t id;

	(void)state;
	assert_int_equal(mqw_ledger_begin(l), 0);
	id = add("ops", "a", T);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, id, "k", T, "vanished", "1"), 1);
	assert_int_equal(mqw_ledger_rollback(l), 0);
	assert_due(INT64_MAX, 0, 10, "");
	id = add("ops", "a", T);
	assert_int_equal(mqw_ledger_outbox_add_finding(l, id, "k", T, "vanished", "1"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_through_its_states, setup, teardown),
		cmocka_unit_test_setup_teardown(findings_are_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(far_ones_are_due_too, setup, teardown),
		cmocka_unit_test_setup_teardown(tokens_are_known_until_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_back_with_its_batch, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
