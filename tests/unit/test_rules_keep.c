/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rules have counted, kept in a ledger over a restart, and handed over at a reload. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "rules/rules.h"
#include "watchdogd/ledger/windows.h"

#define START (1000 * MQW_DAY)
#define THREE                                                                                      \
	"  - {name: three, when: {verdict: vanished, count: 3, within: 10m, per: relay}, do: "     \
	"flush}\n"

struct run {
	struct mqw_config *config;
	struct mqw_rules *rules;
	struct mqw_ledger *ledger;
	unsigned int fired;
};

static char path[] = "/tmp/mqw-rules-keep-XXXXXX/ledger.db";

static void load(struct run *t, const char *rules)
{
	struct mqw_buffer text = {0};
	struct mqw_diag d = {0};

	mqw_buffer_printf(
		&text, "version: 1\ninstances: [{name: out, type: postfix}]\nrules:\n%s", rules);
	assert_int_equal(mqw_config_parse(mqw_buffer_slice(&text), "f", &t->config, &d), 0);
	assert_int_equal(mqw_rules_load(t->config, &t->rules, &d), 0);
	mqw_buffer_done(&text);
	mqw_diag_done(&d);
}

static int forget(void *ctx, const char *rule)
{
	return mqw_ledger_forget_windows(ctx, rule);
}

static int keep(void *ctx, const struct mqw_window_record *w)
{
	return mqw_ledger_put_window(ctx, w);
}

static int save(struct run *t)
{
	const struct mqw_window_store store = {.forget = forget, .keep = keep, .ctx = t->ledger};
	int r = mqw_rules_save(t->rules, &store);

	if (r >= 0)
		mqw_rules_saved(t->rules);
	return r;
}

struct restoring {
	struct run *run;
	int64_t now;
};

static int restore_one(void *ctx, const struct mqw_window_record *w)
{
	const struct restoring *r = ctx;

	return mqw_rules_restore(r->run->rules, w, r->now);
}

/* A run of the daemon: what it needs of the ledger at its start. */
static void begin(struct run *t, const char *rules, int64_t now)
{
	struct restoring r = {.run = t, .now = now};

	*t = (struct run){0};
	load(t, rules);
	assert_int_equal(mqw_ledger_open(path, &t->ledger, NULL), 0);
	assert_true(mqw_ledger_each_window(t->ledger, restore_one, &r) >= 0);
}

static void end(struct run *t)
{
	mqw_rules_free(t->rules);
	mqw_config_free(t->config);
	mqw_ledger_close(t->ledger);
}

static void on_fire(void *ctx, const struct mqw_rule *rule, const struct mqw_finding *f)
{
	struct run *t = ctx;

	(void)rule;
	(void)f;
	t->fired++;
}

/* One message more that vanished at a relay; whether that made the rule fire. */
static bool lose(struct run *t, const char *queue_id, const char *relay, int64_t time)
{
	struct mqw_message m = {.realm = "mx", .queue_id = queue_id, .first_seen = START};
	struct mqw_recipient r = {
		.address = (char *)(uintptr_t) "b@example.net", .relay = (char *)(uintptr_t)relay};
	struct mqw_judgement j = {
		.verdict = MQW_VERDICT_VANISHED, .confidence = MQW_CONFIDENCE_CERTAIN};
	const struct mqw_finding f = {.instance = "out",
		.mta = "postfix",
		.message = &m,
		.recipient = &r,
		.judgement = &j,
		.time = time};
	unsigned int before = t->fired;

	mqw_rules_match(t->rules, &f, on_fire, t);
	return t->fired > before;
}

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/mqw-rules-keep-XXXXXX");
	if (!mkdtemp(path))
		return -1;
	strcat(path, "/ledger.db");
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	*strrchr(path, '/') = '\0';
	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	return system(command);
}

static void a_restart_does_not_make_a_rule_forget(void **state)
{
	(void)state;
	struct run t;

	begin(&t, THREE, START);
	assert_true(mqw_rules_unsaved(t.rules));
	assert_int_equal(save(&t), 1);
	assert_false(mqw_rules_unsaved(t.rules));
	assert_int_equal(save(&t), 0);
	assert_false(lose(&t, "A", "mx.example.net", START));
	assert_false(lose(&t, "X", "other.example.net", START));
	assert_int_equal(save(&t), 1);
	assert_false(lose(&t, "B", "mx.example.net", START + MQW_MINUTE));
	assert_int_equal(save(&t), 1);
	end(&t);

	begin(&t, THREE, START + 2 * MQW_MINUTE);
	/* Found again, since the end came before it was kept as reported: it counts once. */
	assert_false(lose(&t, "B", "mx.example.net", START + 2 * MQW_MINUTE));
	assert_false(lose(&t, "Y", "other.example.net", START + 3 * MQW_MINUTE));
	assert_true(lose(&t, "C", "mx.example.net", START + 3 * MQW_MINUTE));
	end(&t);
}

static void what_fired_starts_anew_after_a_restart_too(void **state)
{
	(void)state;
	struct run t;

	begin(&t, THREE, START);
	assert_false(lose(&t, "A", "mx.example.net", START));
	assert_false(lose(&t, "B", "mx.example.net", START));
	assert_false(lose(&t, "X", "other.example.net", START));
	assert_int_equal(save(&t), 1);
	assert_true(lose(&t, "C", "mx.example.net", START));
	assert_true(mqw_rules_unsaved(t.rules));
	assert_int_equal(save(&t), 1);
	assert_false(mqw_rules_unsaved(t.rules));
	assert_int_equal(save(&t), 0);
	end(&t);

	begin(&t, THREE, START);
	assert_false(lose(&t, "D", "mx.example.net", START));
	assert_false(lose(&t, "E", "mx.example.net", START));
	/* The other relay's was not forgotten on the way. */
	assert_false(lose(&t, "Y", "other.example.net", START));
	assert_true(lose(&t, "Z", "other.example.net", START));
	end(&t);
}

static void what_is_too_old_or_of_a_wrong_clock_is_not_taken_back(void **state)
{
	(void)state;
	struct run t;

	begin(&t, THREE, START);
	assert_false(lose(&t, "A", "mx.example.net", START));
	assert_false(lose(&t, "B", "mx.example.net", START + MQW_MINUTE));
	assert_false(lose(&t, "X", "other.example.net", START + MQW_DAY));
	assert_int_equal(save(&t), 1);
	end(&t);

	begin(&t, THREE, START + 10 * MQW_MINUTE + 1);
	assert_false(lose(&t, "C", "mx.example.net", START + 10 * MQW_MINUTE + 1));
	assert_true(lose(&t, "D", "mx.example.net", START + 10 * MQW_MINUTE + 1));
	/* The one from tomorrow would have kept these out. */
	assert_false(lose(&t, "Y", "other.example.net", START + 11 * MQW_MINUTE));
	assert_false(lose(&t, "Z", "other.example.net", START + 11 * MQW_MINUTE));
	assert_true(lose(&t, "W", "other.example.net", START + 11 * MQW_MINUTE));
	end(&t);
}

static void other_conditions_count_from_none(void **state)
{
	(void)state;
	struct run t;

	begin(&t, THREE, START);
	assert_false(lose(&t, "A", "mx.example.net", START));
	assert_false(lose(&t, "B", "mx.example.net", START));
	assert_int_equal(save(&t), 1);
	end(&t);

	begin(&t,
		"  - {name: three, when: {verdict: [vanished, overdue], count: 3, within: 10m,"
		" per: relay}, do: flush}\n",
		START);
	assert_false(lose(&t, "C", "mx.example.net", START));
	assert_int_equal(save(&t), 1);
	end(&t);

	/* And what nobody asks for is not kept for ever. */
	begin(&t, THREE, START);
	assert_false(lose(&t, "C", "mx.example.net", START));
	end(&t);
}

static void a_reload_hands_over_what_was_counted(void **state)
{
	(void)state;
	struct run t, next = {0};

	begin(&t, THREE, START);
	assert_false(lose(&t, "A", "mx.example.net", START));
	assert_false(lose(&t, "B", "mx.example.net", START));
	assert_int_equal(save(&t), 1);
	load(&next,
		"  - {name: other, when: {count: 2, within: 1h}, do: restart}\n"
		"  - {name: three, when: {verdict: vanished, count: 3, within: 10m, per: relay},"
		" do: restart}\n");
	next.ledger = t.ledger;
	mqw_rules_take_over(next.rules, t.rules);
	t.ledger = NULL;
	end(&t);
	/* A death right after the reload loses nothing either. */
	assert_int_equal(save(&next), 1);
	assert_true(lose(&next, "C", "mx.example.net", START));
	end(&next);

	begin(&t, THREE, START);
	assert_true(lose(&t, "C", "mx.example.net", START));
	end(&t);
}

static void a_damaged_record_is_told(void **state)
{
	(void)state;
	struct run t;
	struct mqw_window_record w = {.rule = "three",
		.key = MQW_LIT("k"),
		.entries = MQW_LIT("0123456789abcdef0123456789abcde")};

	begin(&t, THREE, START);
	assert_int_equal(mqw_rules_restore(t.rules, &w, START), -EBADMSG);
	/* Sound, and of a rule that is not there any more. */
	w.entries = MQW_LIT("0123456789abcdef0123456789abcdef");
	assert_int_equal(mqw_rules_restore(t.rules, &w, START), 0);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_restart_does_not_make_a_rule_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_fired_starts_anew_after_a_restart_too, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_too_old_or_of_a_wrong_clock_is_not_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(other_conditions_count_from_none, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_reload_hands_over_what_was_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_record_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
