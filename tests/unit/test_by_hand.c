/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person asks for: the same checks as for a rule, and never a second mail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "act_fixture.h"

#define NOW (T0 + 100 * MQW_SECOND)

/* Delivered to C, lost for B, with a copy from when both were to do. */
static void lose(const char *id)
{
	accepted(id, T0);
	keep_copy(id, T0);
	deferred(id, T0 + MQW_SECOND);
	tried(id, C, MQW_OUTCOME_SENT, 250, T0 + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, T0 + 2 * MQW_SECOND);
}

static json_t *ask_for(enum mqw_by_hand what, const char *id, bool dry, int64_t now)
{
	const struct mqw_by_hand_request q = {
		.what = what, .queue_id = id, .dry_run = dry, .uid = 1000};
	json_t *j = mqw_act_by_hand(act, &instance, &q, now);

	assert_non_null(j);
	return j;
}

/* Asks, and checks result and the beginning of the text. */
static void expect(enum mqw_by_hand what, const char *id, bool dry, int64_t now, const char *result,
	const char *text)
{
	json_t *j = ask_for(what, id, dry, now);
	const char *told = json_string_value(json_object_get(j, "text"));

	assert_string_equal(json_string_value(json_object_get(j, "result")), result);
	if (!strstr(told, text))
		fail_msg("\"%s\" is not in \"%s\"", text, told);
	json_decref(j);
}

#define RECOVER(id, dry, result, text) expect(MQW_BY_HAND_RECOVER, id, dry, NOW, result, text)

static void a_dry_run_tells_and_does_nothing(void **state)
{
	json_t *j, *to;

	(void)state;
	start_helper();
	lose("A1");
	j = ask_for(MQW_BY_HAND_RECOVER, "A1", true, NOW);
	assert_string_equal(json_string_value(json_object_get(j, "result")), "would");
	to = json_object_get(j, "recipients");
	assert_int_equal(json_array_size(to), 1);
	assert_string_equal(json_string_value(json_array_get(to, 0)), B);
	assert_non_null(strstr(json_string_value(json_object_get(j, "how")), "maildrop"));
	assert_non_null(strstr(json_string_value(json_object_get(j, "loses")), "queue id"));
	assert_true(json_is_null(json_object_get(j, "action")));
	json_decref(j);
	/* Also where the mode forbids it: that is what one wants to know then. */
	mqw_act_set_mode(act, MQW_MODE_OBSERVE);
	RECOVER("A1", true, "would", "mode is observe");
	expect(MQW_BY_HAND_REQUEUE, "A1", true, NOW, "refused", "mode is observe");
	run(2);
	assert_actions("");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 0);
	assert_false(has_file("A1.recover"));
}

static void it_is_done_once(void **state)
{
	(void)state;
	start_helper();
	lose("A1");
	RECOVER("A1", false, "begun", "put back now");
	RECOVER("A1", false, "refused", "under way");
	run(50);
	assert_actions("recover A1 done\n");
	RECOVER("A1", false, "refused", "recovered already");
	RECOVER("A1", true, "refused", "recovered already");
	/* Nor does a rule do it again. */
	found("A1", B, NOW + MQW_MINUTE);
	run(2);
	assert_actions("recover A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_RECOVER], 1);
}

/* What is known to have come to nothing may be tried again. */
static void after_nothing_came_of_it(void **state)
{
	(void)state;
	lose("A1");
	mqw_act_set_mode(act, MQW_MODE_OBSERVE);
	found("A1", B, NOW);
	assert_actions("recover A1 observed\n");
	RECOVER("A1", false, "refused", "mode is observe");
	mqw_act_set_mode(act, MQW_MODE_ACT);
	start_helper();
	helper->status[MQW_HELPER_RECOVER] = MQW_HELPER_REFUSED;
	RECOVER("A1", false, "begun", "");
	run(50);
	assert_actions("recover A1 refused\nrecover A1 observed\n");
	helper->status[MQW_HELPER_RECOVER] = MQW_HELPER_OK;
	RECOVER("A1", false, "begun", "");
	run(50);
	assert_actions("recover A1 done\nrecover A1 refused\nrecover A1 observed\n");
	RECOVER("A1", false, "refused", "recovered already");
}

/* The daemon ends in between: whether it was done is looked for under the same life of the id. */
static void over_a_restart(void **state)
{
	(void)state;
	lose("A1");
	mqw_act_set_mode(act, MQW_MODE_OBSERVE);
	found("A1", B, NOW);
	mqw_act_set_mode(act, MQW_MODE_ACT);
	RECOVER("A1", false, "begun", "");
	assert_actions("recover A1 intent\nrecover A1 observed\n");
	restart_act();
	RECOVER("A1", false, "refused", "under way");
	start_helper();
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(50);
	assert_actions("recover A1 done\nrecover A1 observed\n");
}

static void what_cannot_be_recovered(void **state)
{
	(void)state;
	start_helper();
	RECOVER("A9", false, "refused", "no message of this queue id");
	accepted("A1", T0);
	keep_copy("A1", T0);
	tried("A1", B, MQW_OUTCOME_SENT, 250, T0 + MQW_SECOND);
	tried("A1", C, MQW_OUTCOME_SENT, 250, T0 + MQW_SECOND);
	RECOVER("A1", false, "refused", "no recipient of this message is lost");
	lose("A2");
	assert_int_equal(mqw_vault_remove(vault, MQW_LIT("A2")), 0);
	RECOVER("A2", false, "refused", "there is no copy");
	instance.caught_up = false;
	RECOVER("A2", false, "refused", "still being read");
	assert_actions("");
}

static void within_a_budget(void **state)
{
	(void)state;
	start_helper();
	expect(MQW_BY_HAND_RESTART, "", true, NOW, "would", "restart of the service of out");
	expect(MQW_BY_HAND_RESTART, "", false, NOW, "begun", "");
	run(50);
	assert_actions("restart - done\n");
	/* restart: 2 per 1h, and 10 minutes apart. */
	expect(MQW_BY_HAND_RESTART, "", false, NOW + MQW_MINUTE, "refused", "cooldown");
	expect(MQW_BY_HAND_RESTART, "", true, NOW + MQW_MINUTE, "refused", "cooldown");
	assert_int_equal(helper->asked[MQW_HELPER_RESTART], 1);
}

static void a_requeue_each_time(void **state)
{
	(void)state;
	start_helper();
	accepted("A1", T0);
	deferred("A1", T0 + MQW_SECOND);
	expect(MQW_BY_HAND_REQUEUE, "A1", false, NOW, "begun", "");
	run(50);
	expect(MQW_BY_HAND_REQUEUE, "A1", false, NOW + 1, "begun", "");
	run(50);
	assert_actions("requeue A1 done\nrequeue A1 done\n");
	assert_int_equal(helper->asked[MQW_HELPER_REQUEUE], 2);
}

static void an_ack_holds_for_what_was_wrong(void **state)
{
	(void)state;
	lose("A1");
	expect(MQW_BY_HAND_ACK, "A1", true, NOW, "would", "vanished");
	assert_false(mqw_act_is_acked(act, &instance, message("A1"), MQW_VERDICT_VANISHED));
	assert_true(has_file("A1"));
	expect(MQW_BY_HAND_ACK, "A1", false, NOW, "done", "taken note of: vanished; its copy is");
	assert_true(mqw_act_is_acked(act, &instance, message("A1"), MQW_VERDICT_VANISHED));
	assert_false(mqw_act_is_acked(act, &instance, message("A1"), MQW_VERDICT_FALSE_NDR));
	assert_false(has_file("A1"));
	assert_actions("ack A1 done\n");
	/* Known after a restart; twice is no harm. */
	restart_act();
	assert_true(mqw_act_is_acked(act, &instance, message("A1"), MQW_VERDICT_VANISHED));
	expect(MQW_BY_HAND_ACK, "A1", false, NOW, "done", "vanished");
	assert_actions("ack A1 done\n");
	accepted("A2", T0);
	expect(MQW_BY_HAND_ACK, "A2", false, NOW, "refused", "nothing is wrong");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_dry_run_tells_and_does_nothing, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(it_is_done_once, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(after_nothing_came_of_it, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(over_a_restart, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_recovered, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(within_a_budget, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(a_requeue_each_time, act_setup, act_teardown),
		cmocka_unit_test_setup_teardown(
			an_ack_holds_for_what_was_wrong, act_setup, act_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
