/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a restart has set free, as the rule's channels are told of it: once, whatever dies in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "act_fixture.h"
#include "told_fixture.h"
#include "watchdogd/act/internal.h"
#include "watchdogd/ledger/aftermath.h"

#define NOW (T0 + MQW_HOUR)

static char out[96];
static const char *const services[] = {"SMTPSVC", NULL};
static const char *const command[] = {"/bin/true", NULL};
static struct mqw_remote remote = {.host = "exch1", .services = services, .command = command};

static void take_rules(const char *actions)
{
	char text[400];

	snprintf(text, sizeof(text),
		"  - {name: shake, when: {verdict: vanished}, do: [%s]}\n"
		"alerts:\n"
		"  sms: {command: [/usr/bin/tee, -a, %s]}\n"
		"  ops: {journal: true}\n",
		actions, out);
	load_rules(text);
	mqw_act_set_alerts(act, config);
	mqw_act_set_rules(act, rules);
}

static int setup_aftermath(void **state)
{
	sigset_t child;
	int r = act_setup(state);

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	snprintf(out, sizeof(out), "%s/out", dir);
	instance.remote = &remote;
	instance.probe = mqw_probe_find(MQW_LIT("exchange"));
	take_rules("restart, {alert: sms}, {alert: ops}");
	return r;
}

static int teardown_aftermath(void **state)
{
	mqw_buffer_done(&told);
	return act_teardown(state);
}

/* As after a death of the daemon. */
static void die(void)
{
	restart_act();
	mqw_act_set_alerts(act, config);
	mqw_act_set_rules(act, rules);
}

static void lose(const char *id, int64_t time)
{
	accepted(id, time);
	deferred(id, time + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, time + 2 * MQW_SECOND);
	assert_judged(id, B, VANISHED, CERTAIN);
}

static void restart(void)
{
	found("A1", B, NOW);
	run(50);
}

/* Has sent what is due right after a look, and waits until it is. */
static void look(int64_t at)
{
	mqw_act_resolve(act, &instance, at);
	/* What was gathered goes into the outbox by the first call, and may be due then. */
	mqw_act_send_alerts(act, at);
	send_all(at);
}

/*
 * The n-th alert of a restart that the channel got, counted from 0; NULL when there are not so many.
 * The other ones are those of the rule's own findings.
 */
static json_t *got(int n)
{
	FILE *f = fopen(out, "re");
	json_t *j = NULL;

	while (f && (j = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
		const json_t *finding = json_array_get(json_object_get(j, "findings"), 0);
		const char *type = json_string_value(json_object_get(finding, "type"));

		if (type && strcmp(type, "restart") == 0 && n-- == 0)
			break;
		json_decref(j);
	}
	if (f)
		fclose(f);
	return j;
}

static void assert_list(const json_t *notice, const char *key, const char *want)
{
	const json_t *list =
		json_object_get(json_array_get(json_object_get(notice, "findings"), 0), key);
	struct mqw_buffer ids = {0};

	assert_true(json_is_array(list));
	for (size_t i = 0; i < json_array_size(list); i++)
		mqw_buffer_printf(
			&ids, "%s%s", i ? " " : "", json_string_value(json_array_get(list, i)));
	assert_string_equal(mqw_buffer_str(&ids), want);
	mqw_buffer_done(&ids);
}

static void released(const char *id)
{
	tried(id, B, MQW_OUTCOME_SENT, 250, NOW);
}

static void the_channel_is_told(void **state)
{
	json_t *j, *f;

	(void)state;
	lose("A1", T0);
	lose("A2", T0);
	lose("A3", T0);
	restart();
	released("A1");
	tried("A2", B, MQW_OUTCOME_BOUNCED, 550, NOW);
	look(mqw_clock_now() + MQW_MINUTE);
	assert_null(got(0)); /* one may still move */
	look(mqw_clock_now() + 6 * MQW_MINUTE);
	j = got(0);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "rule")), "shake");
	assert_string_equal(json_string_value(json_object_get(j, "summary")),
		"after the restart of out: 1 went out, 1 returned to the sender late, 1 did not "
		"move");
	assert_int_equal(json_integer_value(json_object_get(j, "count")), 1);
	assert_true(json_is_false(json_object_get(j, "digest")));
	assert_list(j, "went_out", "A1");
	assert_list(j, "returned_late", "A2");
	assert_list(j, "did_not_move", "A3");
	assert_list(j, "settled_otherwise", "");
	f = json_array_get(json_object_get(j, "findings"), 0);
	assert_int_equal(json_integer_value(json_object_get(f, "stuck")), 3);
	assert_non_null(strstr(json_string_value(json_object_get(f, "remedy")), "MSExchangeIS"));
	json_decref(j);
	look(mqw_clock_now() + MQW_DAY);
	assert_null(got(1));
	assert_told("after the restart of out, of 3 messages");
}

/* What was known before the end of the daemon, and forgotten since, is not lost with it. */
static void it_outlives_the_daemon(void **state)
{
	json_t *j;

	(void)state;
	lose("A1", T0);
	lose("A2", T0);
	restart();
	released("A1");
	/* The tracker lets go of what is settled. */
	mqw_act_farewell(act, &instance, message("A1"), NOW);
	die();
	assert_null(got(0));
	t = mqw_tracker_free(t);
	begin(true);
	instance.tracker = t;
	lose("A2", T0);
	look(mqw_clock_now() + MQW_SECOND);
	assert_null(got(0));
	released("A2");
	look(mqw_clock_now() + 2 * MQW_SECOND);
	j = got(0);
	assert_non_null(j);
	assert_list(j, "went_out", "A1 A2");
	json_decref(j);
	die();
	look(mqw_clock_now() + MQW_HOUR);
	assert_null(got(1));
}

/* Five minutes after the daemon looks again, not after a restart that was hours ago. */
static void it_waits_anew_after_a_pause(void **state)
{
	int64_t later = mqw_clock_now() + 3 * MQW_HOUR;
	json_t *j;

	(void)state;
	lose("A1", T0);
	restart();
	die();
	look(later);
	assert_null(got(0));
	released("A1");
	look(later + MQW_MINUTE);
	j = got(0);
	assert_non_null(j);
	assert_list(j, "went_out", "A1");
	json_decref(j);
}

static int64_t kept_id;

static int add_content(void *ctx, const struct mqw_action_record *r, const char *content)
{
	assert_string_equal(r->kind, "restart");
	kept_id = r->id;
	mqw_buffer_add_str(ctx, content);
	return 0;
}

/* Killed when the channels had it and the ledger had not forgotten it. */
static void it_is_told_once(void **state)
{
	struct mqw_buffer kept = {0};
	json_t *j;

	(void)state;
	lose("A1", T0);
	restart();
	assert_int_equal(mqw_ledger_each_aftermath(ledger, add_content, &kept), 0);
	assert_true(kept.len > 0);
	released("A1");
	look(mqw_clock_now() + MQW_SECOND);
	j = got(0);
	assert_non_null(j);
	json_decref(j);
	assert_int_equal(mqw_ledger_put_aftermath(ledger, kept_id, mqw_buffer_str(&kept)), 0);
	die();
	look(mqw_clock_now() + MQW_HOUR);
	assert_null(got(1));
	mqw_buffer_clear(&kept);
	assert_int_equal(mqw_ledger_each_aftermath(ledger, add_content, &kept), 0);
	assert_int_equal(kept.len, 0);
	mqw_buffer_done(&kept);
}

/* A rule that tells no channel what it finds tells none what came of it. */
static void only_who_was_told_is_told(void **state)
{
	(void)state;
	take_rules("restart, {alert: ops}");
	lose("A1", T0);
	restart();
	released("A1");
	look(mqw_clock_now() + MQW_SECOND);
	assert_null(got(0));
	assert_told("1 went out (A1)");
}

static void nothing_is_said_of_what_was_not_done(void **state)
{
	static const char *const fails[] = {"/bin/false", NULL};
	struct mqw_buffer kept = {0};

	(void)state;
	remote.command = fails;
	lose("A1", T0);
	restart();
	remote.command = command;
	assert_told("restart failed");
	assert_int_equal(mqw_ledger_each_aftermath(ledger, add_content, &kept), 0);
	assert_int_equal(kept.len, 0);
	look(mqw_clock_now() + MQW_HOUR);
	assert_null(got(0));
}

/* The service of this host, by the helper. */
static void a_restart_by_the_helper_is_no_other(void **state)
{
	json_t *j;

	(void)state;
	instance.remote = NULL;
	start_helper();
	lose("A1", T0);
	restart();
	assert_int_equal(helper->asked[MQW_HELPER_RESTART], 1);
	released("A1");
	look(mqw_clock_now() + MQW_SECOND);
	j = got(0);
	assert_non_null(j);
	assert_list(j, "went_out", "A1");
	json_decref(j);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_aftermath, teardown_aftermath)
	const struct CMUnitTest tests[] = {
		TEST(the_channel_is_told),
		TEST(it_outlives_the_daemon),
		TEST(it_waits_anew_after_a_pause),
		TEST(it_is_told_once),
		TEST(only_who_was_told_is_told),
		TEST(nothing_is_said_of_what_was_not_done),
		TEST(a_restart_by_the_helper_is_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
