/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recoveries: whom they are for, and when they are not made. Intents without a result are in
 * test_act_intent.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "recover_fixture.h"
#include "watchdogd/daemon/instance_internal.h"

static void test_recover(void **state)
{
	struct mqw_queue_file f;

	(void)state;
	start_helper();
	lose("A1", T0);
	found("A1", B, NOW);
	assert_actions("recover A1 intent\n");
	assert_true(has_file("A1.recover"));
	run(50);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_string_equal(helper->queue_id, "A1");
	/* For those who are lost and nobody else. */
	assert_int_equal(instance.probe->queue_file(mqw_slice(helper->file, helper->size), &f), 0);
	assert_int_equal(f.recipient_count, 2);
	assert_string_equal(f.recipients[0].address, B);
	assert_false(f.recipients[0].done);
	assert_string_equal(f.recipients[1].address, C);
	assert_true(f.recipients[1].done);
	mqw_queue_file_done(&f);
	assert_false(has_file("A1.recover"));
	/* The same is never done twice, also not after a restart. */
	found("A1", B, NOW + MQW_MINUTE);
	restart_act();
	found("A1", B, NOW + 2 * MQW_MINUTE);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR);
	run(2);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_false(mqw_act_waiting(act));
}

static void test_observe(void **state)
{
	(void)state;
	start_helper();
	mqw_act_set_mode(act, MQW_MODE_OBSERVE);
	lose("A1", T0);
	found("A1", B, NOW);
	found("A1", B, NOW);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR);
	run(2);
	assert_actions("recover A1 observed\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	assert_false(has_file("A1.recover"));
}

static void test_no_copy(void **state)
{
	(void)state;
	start_helper();
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2);
	found("A1", B, NOW);
	found("A1", B, NOW + MQW_MINUTE);
	/* A copy of whoever had the id before is none of this message. */
	accepted("A2", T0);
	keep_copy("A2", T0 - MQW_HOUR);
	deferred("A2", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + 2);
	found("A2", B, NOW);
	/* Nor is there one where none are kept, also not for an intent of another time. */
	instance.vault = NULL;
	lose("A3", T0);
	found("A3", B, NOW);
	assert_actions("recover A3 refused\nrecover A2 refused\nrecover A1 refused\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	assert_false(mqw_act_waiting(act));
}

/* The MTA's own account in the copy has him as done: the line of that is missing, not the mail. */
static void test_done_in_the_copy(void **state)
{
	(void)state;
	start_helper();
	lose("A1", T0);
	keep_copy_as("A1", T0, "D");
	found("A1", B, NOW);
	assert_actions("recover A1 refused\n");
	/* Taken out by a milter, and put in again. */
	lose("A2", T0);
	keep_copy_as("A2", T0, "DR");
	found("A2", B, NOW);
	run(50);
	assert_actions("recover A2 done\nrecover A1 refused\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

static void test_budget(void **state)
{
	(void)state;
	load_rules("  - {name: back, when: {verdict: vanished},"
		   " do: [recover: {at_most: 1 per 1h, cooldown: 10m}]}\n");
	start_helper();
	lose("A1", T0);
	lose("A2", T0);
	found("A1", B, NOW);
	found("A2", B, NOW + 1);
	run(50);
	assert_actions("recover A2 refused\nrecover A1 done\n");
	/* It is not given up for that. One word a window is enough. */
	assert_true(mqw_act_waiting(act));
	assert_int_equal(message("A1")->waiting, 0);
	assert_int_equal(message("A2")->waiting, 1);
	mqw_act_settle(act, NOW + 10 * MQW_MINUTE);
	restart_act();
	found("A2", B, NOW + 20 * MQW_MINUTE);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	mqw_act_settle(act, NOW + MQW_HOUR);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	while (mqw_tracker_take_dirty(t))
		;
	mqw_act_settle(act, NOW + MQW_HOUR + 2 * MQW_MINUTE);
	/* Now it may be kept as reported. */
	assert_ptr_equal(mqw_tracker_take_dirty(t), message("A2"));
	assert_int_equal(message("A2")->waiting, 0);
	run(50);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 2);
	assert_string_equal(helper->queue_id, "A2");
	assert_false(mqw_act_waiting(act));
}

/* More than the helper takes at a time: the rest is decided, and waits for its turn. */
static void test_many(void **state)
{
	char id[8], name[24];
	int files = 0;

	(void)state;
	start_helper();
	helper->mute = true;
	for (int i = 0; i < MQW_HELPER_CALLS_MAX + 3; i++) {
		snprintf(id, sizeof(id), "A%d", i);
		snprintf(name, sizeof(name), "%s.recover", id);
		lose(id, T0);
		found(id, B, NOW);
		files += has_file(name);
	}
	assert_int_equal(files, MQW_HELPER_CALLS_MAX);
	assert_false(mqw_act_waiting(act));
	restart_act();
	helper->mute = false;
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(50);
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_MINUTE);
	run(50);
	mqw_act_resolve(act, &instance, NOW + 3 * MQW_MINUTE);
	run(1);
	files = 0;
	mqw_ledger_each_action(ledger, true, 100, count_open, &files);
	assert_int_equal(files, 0);
}

static int add_reported(void *ctx, const struct mqw_message *m)
{
	mqw_buffer_printf(ctx, "%s", m->queue_id);
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		mqw_buffer_printf(ctx, " %s", mqw_verdict_name((enum mqw_verdict)r->reported));
	mqw_buffer_add_str(ctx, "; ");
	return 0;
}

/* A wish is in memory alone: what it is for counts as reported only when that is over. */
static void test_kept_as_not_reported(void **state)
{
	struct mqw_instance i = {.act = instance, .host = {.ledger = ledger, .act = act}};
	struct mqw_buffer kept = {0};

	(void)state;
	load_rules("  - {name: back, when: {verdict: vanished}, do: [recover: {at_most: 1 per "
		   "1h}]}\n");
	lose("A1", T0);
	lose("A2", T0);
	for (const char *const *id = (const char *const[]){"A1", "A2", NULL}; *id; id++) {
		struct mqw_act_context context = {act, &i.act};
		struct mqw_judgement j = judge(*id, B);
		const struct mqw_finding f = {.instance = "out",
			.mta = "postfix",
			.message = message(*id),
			.recipient = message(*id)->recipients,
			.judgement = &j,
			.time = NOW};

		mqw_rules_match(rules, &f, mqw_act_fire, &context);
	}
	mqw_act_settle(act, NOW);
	assert_int_equal(mqw_instance_keep(&i), 0);
	assert_int_equal(mqw_ledger_each_message(ledger, "out", add_reported, &kept), 0);
	assert_string_equal(mqw_buffer_str(&kept), "A1 vanished delivered; A2 none none; ");
	/* In the tracker it is as it was: nothing is said twice while the daemon lives. */
	assert_int_equal(message("A2")->recipients->reported, MQW_VERDICT_VANISHED);
	mqw_buffer_done(&kept);
}

static void test_helper_away(void **state)
{
	(void)state;
	lose("A1", T0);
	found("A1", B, NOW);
	mqw_act_resolve(act, &instance, NOW + 10 * MQW_SECOND);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A1 intent\n");
	start_helper();
	helper->status[MQW_HELPER_RECOVER] = MQW_HELPER_FAILED;
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_MINUTE);
	run(3);
	assert_actions("recover A1 intent\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
	assert_false(has_file("A1.recover"));
	helper->status[MQW_HELPER_RECOVER] = MQW_HELPER_ALREADY;
	mqw_act_resolve(act, &instance, NOW + 3 * MQW_MINUTE);
	run(50);
	assert_actions("recover A1 done\n");
	/* Not for ever. */
	stop_helper();
	lose("A2", T0);
	found("A2", B, NOW);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR);
	assert_actions("recover A2 intent\nrecover A1 done\n");
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR + 1);
	assert_actions("recover A2 failed\nrecover A1 done\n");
}

static void test_helper_refuses(void **state)
{
	(void)state;
	start_helper();
	helper->status[MQW_HELPER_RECOVER] = MQW_HELPER_REFUSED;
	lose("A1", T0);
	found("A1", B, NOW);
	run(50);
	assert_actions("recover A1 refused\n");
	assert_false(has_file("A1.recover"));
}

static void test_waits_for_the_others(void **state)
{
	(void)state;
	start_helper();
	accepted("A1", T0);
	keep_copy("A1", T0);
	deferred("A1", T0 + MQW_SECOND);
	tried("A1", C, MQW_OUTCOME_BOUNCED, 450, NOW);
	in_queue("A1", MQW_PLACE_WAITING, NOW + MQW_HOUR, NOW);
	found("A1", C, NOW);
	/* Decided, which outlives us, but its name is not free. */
	assert_actions("recover A1 intent\n");
	assert_false(mqw_act_waiting(act));
	restart_act();
	in_queue("A1", MQW_PLACE_ARRIVING, NOW, NOW + MQW_MINUTE);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	assert_actions("recover A1 intent\n");
	happens(MQW_EVENT_REMOVED, "A1", NOW + MQW_HOUR);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR + MQW_SECOND);
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	/* A line that comes after the removal is the last of B. */
	tried("A1", B, MQW_OUTCOME_SENT, 250, NOW + MQW_HOUR);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR + 5 * MQW_SECOND);
	run(50);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, act_setup, act_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_recover),
		TEST(test_observe),
		TEST(test_no_copy),
		TEST(test_done_in_the_copy),
		TEST(test_budget),
		TEST(test_many),
		TEST(test_kept_as_not_reported),
		TEST(test_helper_away),
		TEST(test_helper_refuses),
		TEST(test_waits_for_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
