/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intents whose message is let go, or in doubt, before anybody looks after them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "act_fixture.h"
#include "watchdogd/daemon/instance_internal.h"

#define NOW (T0 + 100 * MQW_SECOND)

static struct mqw_instance whole;

/* As act_setup(), but what the tracker forgets the instance hears of. */
static int resolve_setup(void **state)
{
	const struct mqw_tracker_ops ops = {
		.verdict = on_verdict, .gap = on_gap, .forget = mqw_instance_forget, .ctx = &whole};
	int r = act_setup(state);

	mqw_tracker_free(t);
	t = mqw_tracker_create(&options, &ops, true);
	assert_non_null(t);
	instance.tracker = t;
	whole = (struct mqw_instance){.act = instance, .host = {.ledger = ledger, .act = act}};
	return r;
}

static int resolve_teardown(void **state)
{
	free(whole.forgotten);
	return act_teardown(state);
}

/* Lost for B, found, and the daemon ends before it knows what became of the recovery. */
static void lose_and_die(const char *id)
{
	accepted(id, T0);
	keep_copy(id, T0);
	deferred(id, T0 + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, T0 + 2 * MQW_SECOND);
	while (mqw_tracker_take_dirty(t))
		;
	found(id, B, NOW);
	assert_actions("recover A1 intent\n");
	restart_act();
	whole.host.act = act;
}

/* It was down for longer than a settled message is followed. */
static void test_let_go_before_the_first_look(void **state)
{
	(void)state;
	lose_and_die("A1");
	happens_with(MQW_EVENT_OPENED, "A2", "A1", NOW + MQW_SECOND);
	mqw_tracker_tick(t, NOW + MQW_DAY + MQW_HOUR);
	assert_null(message("A1"));
	assert_actions("recover A1 done\n");
	mqw_act_resolve(act, &instance, NOW + MQW_DAY + MQW_HOUR);
	assert_actions("recover A1 done\n");
}

/* Let go without a word of the log on it: that is for a person. */
static void test_let_go_and_nobody_knows(void **state)
{
	(void)state;
	lose_and_die("A1");
	mqw_tracker_tick(t, NOW + 30 * MQW_DAY);
	assert_null(message("A1"));
	assert_actions("recover A1 intent\n");
	mqw_act_resolve(act, &instance, NOW + 30 * MQW_DAY);
	assert_actions("recover A1 unclear\n");
}

/* What another life of the id was put back for says nothing about this one. */
static void test_another_life(void **state)
{
	(void)state;
	lose_and_die("A1");
	accepted("A1", NOW + MQW_HOUR);
	deferred("A1", NOW + MQW_HOUR);
	while (mqw_tracker_take_dirty(t))
		;
	happens_with(MQW_EVENT_OPENED, "A2", "A1", NOW + MQW_HOUR + MQW_SECOND);
	mqw_tracker_tick(t, NOW + 2 * MQW_HOUR);
	assert_actions("recover A1 intent\n");
}

/* It was not known as gone when the process ended, and now a gap lies before that. */
static void test_in_doubt_by_a_gap(void **state)
{
	(void)state;
	lose_and_die("A1");
	start_helper();
	mqw_vault_remove_recover(vault, MQW_LIT("A1"));
	gap(T0 + MQW_SECOND + 1, NOW + MQW_MINUTE);
	happens(MQW_EVENT_QUEUE_GONE, "A1", NOW + 2 * MQW_MINUTE);
	assert_judged("A1", B, UNKNOWN, UNPROVEN);
	mqw_act_resolve(act, &instance, NOW + 3 * MQW_MINUTE);
	run(2);
	assert_actions("recover A1 unclear\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, resolve_setup, resolve_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_let_go_before_the_first_look),
		TEST(test_let_go_and_nobody_knows),
		TEST(test_another_life),
		TEST(test_in_doubt_by_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
