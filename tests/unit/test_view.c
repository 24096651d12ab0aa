/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `list` and `show` get to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "watchdogd/daemon/view.c"

#include "tracker_fixture.h"
#include "watchdogd/daemon/instance_internal.h"

static struct mqw_instance instance;
static struct mqw_instance *instances[] = {&instance};
static struct mqw_engine engine = {.instances = instances, .instance_count = 1};

static char dir[64];

static int view_setup(void **state)
{
	char path[96];

	setup(state);
	snprintf(dir, sizeof(dir), "/tmp/mqw-view-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(mqw_ledger_open(path, &engine.ledger, NULL), 0);
	assert_int_equal(sd_event_new(&engine.event), 0);
	engine.act = mqw_act_create(engine.event, engine.ledger, "/nonexistent/helper.sock");
	assert_non_null(engine.act);
	realm = MQW_SLICE_NULL;
	instance.act.name = "outbound";
	instance.act.probe = mqw_probe_find(MQW_LIT("postfix"));
	instance.act.tracker = t;
	instance.act.caught_up = true;
	return 0;
}

static int view_teardown(void **state)
{
	char command[96];

	mqw_act_free(engine.act);
	sd_event_unref(engine.event);
	mqw_ledger_close(engine.ledger);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	return teardown(state);
}

/* "RECIPIENT VERDICT " of each message of an answer, which it takes. */
static void assert_lists(json_t *answer, const char *want)
{
	struct mqw_buffer seen = {0};
	const json_t *list = json_object_get(answer, "messages");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *m = json_array_get(list, i);
		const char *recipient = json_string_value(json_object_get(m, "recipient"));

		mqw_buffer_printf(&seen, "%s %s ", recipient ? recipient : "-",
			json_string_value(json_object_get(m, "verdict")));
	}
	assert_string_equal(mqw_buffer_str(&seen), want);
	mqw_buffer_done(&seen);
	json_decref(answer);
}

static void test_list(void **state)
{
	struct mqw_api_query q = {.verdict = MQW_VERDICT_COUNT, .limit = 10};

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	assert_lists(on_list(&engine, &q), "");
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2);
	/* Nobody was named, and it is lost all the same. */
	accepted("A2", T0 + 3);
	happens(MQW_EVENT_QUEUE_GONE, "A2", T0 + 4);
	accepted("A3", T0 + 5);
	assert_lists(on_list(&engine, &q), B " vanished - vanished ");
	q.limit = 1;
	assert_lists(on_list(&engine, &q), B " vanished ");
	q = (struct mqw_api_query){.verdict = MQW_VERDICT_NONE, .limit = 10};
	assert_lists(on_list(&engine, &q), B " vanished - vanished ");
	q.verdict = MQW_VERDICT_PENDING;
	assert_lists(on_list(&engine, &q), "");
	q.instance = MQW_LIT("another");
	assert_null(on_list(&engine, &q));
}

static void assert_act(const char *what, const char *id, const char *want)
{
	const struct mqw_api_act q = {.what = mqw_slice_of(what), .queue_id = mqw_slice_of(id)};
	const char *fault = NULL;
	json_t *answer = on_act(&engine, &q, &fault);

	assert_string_equal(
		answer ? json_string_value(json_object_get(answer, "result")) : fault, want);
	json_decref(answer);
}

/* What a person took note of is shown when it is asked for, and otherwise not. */
static void test_ack(void **state)
{
	struct mqw_api_query q = {.verdict = MQW_VERDICT_COUNT, .limit = 10};

	(void)state;
	accepted("A1", T0);
	deferred("A1", T0 + 1);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2);
	assert_lists(on_list(&engine, &q), B " vanished ");
	assert_act("ack", "A1", "done");
	assert_lists(on_list(&engine, &q), "");
	assert_lists(on_show(&engine, MQW_LIT("A1")), B " vanished ");
	q.verdict = MQW_VERDICT_VANISHED;
	assert_lists(on_list(&engine, &q), B " vanished ");
	assert_act("ack", "A9", "refused");
	assert_act("explode", "A1", "there is no such action");
	assert_act("restart", "A1", "there is no such action");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, view_setup, view_teardown),
		cmocka_unit_test_setup_teardown(test_ack, view_setup, view_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
