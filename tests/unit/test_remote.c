/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restarts of another host's service, with programs in the place of net, and what is said of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "act_fixture.h"
#include "told_fixture.h"
#include "watchdogd/act/internal.h"

#define NOW (T0 + MQW_HOUR)

static const char *const services[] = {"SMTPSVC", NULL};
static struct mqw_remote remote;

static int setup_remote(void **state)
{
	sigset_t child;
	int r = act_setup(state);

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	remote = (struct mqw_remote){
		.host = "exch1", .services = services, .credentials = "/nonexistent/credentials"};
	instance.remote = &remote;
	load_rules(
		"  - {name: shake, when: {verdict: vanished}, do: [{restart: {at_most: 1 per 1h, "
		"cooldown: 0s}}]}\n");
	return r;
}

static int teardown_remote(void **state)
{
	mqw_buffer_done(&told);
	return act_teardown(state);
}

static void lose(const char *id, int64_t time)
{
	accepted(id, time);
	deferred(id, time + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, time + 2 * MQW_SECOND);
	assert_judged(id, B, VANISHED, CERTAIN);
}

static void test_command(void **state)
{
	static const char *const command[] = {"/bin/true", NULL};

	(void)state;
	remote.command = command;
	lose("A1", T0);
	lose("A2", T0);
	found("A1", B, NOW);
	assert_actions("restart - intent\n");
	run(50);
	assert_actions("restart - done\n");
	assert_told("restart done (rule \"shake\"): /bin/true was run\n");
	/* The budget holds as for any. */
	found("A2", B, NOW + MQW_SECOND);
	assert_told("restart not done (rule \"shake\"): the budget of 1 in 60 min is used up\n");
}

static void test_command_fails(void **state)
{
	static const char *const command[] = {"/bin/ls", "/nonexistent", NULL};

	(void)state;
	remote.command = command;
	lose("A1", T0);
	found("A1", B, NOW);
	run(50);
	assert_actions("restart - failed\n");
	assert_told("/bin/ls ended with status 2: ");
}

static void test_credentials(void **state)
{
	(void)state;
	lose("A1", T0);
	found("A1", B, NOW);
	run(50);
	assert_actions("restart - failed\n");
	assert_told("user name and password cannot be taken from /nonexistent/credentials: No such "
		    "file or directory; nothing was restarted\n");
}

/* The daemon ended while it was under way: nobody knows, and it is said so. */
static void test_cut_off(void **state)
{
	static const char *const command[] = {"/bin/sleep", "1", NULL};

	(void)state;
	remote.command = command;
	lose("A1", T0);
	found("A1", B, NOW);
	assert_actions("restart - intent\n");
	restart_act();
	mqw_act_resolve(act, &instance, NOW + 10 * MQW_SECOND);
	assert_actions("restart - intent\n");
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	run(50);
	assert_actions("restart - unclear\n");
	assert_told("the watchdog ended before the answer came; /bin/sleep was running when the "
		    "watchdog ended: look at the service on exch1\n");
}

static void restart(void)
{
	static const char *const command[] = {"/bin/true", NULL};

	remote.command = command;
	found("A1", B, NOW);
	run(50);
	assert_actions("restart - done\n");
}

static void test_released(void **state)
{
	(void)state;
	lose("A1", T0);
	lose("A2", T0);
	accepted("A3", T0);
	restart();
	mqw_act_resolve(act, &instance, NOW + MQW_SECOND);
	assert_not_told("after the restart");
	tried("A1", B, MQW_OUTCOME_SENT, 250, NOW);
	tried("A2", B, MQW_OUTCOME_BOUNCED, 550, NOW);
	mqw_act_resolve(act, &instance, NOW + 2 * MQW_SECOND);
	assert_told("after the restart of out, of 2 messages that were stuck: 1 went out (A1); 1 "
		    "returned to the sender late (A2)\n");
	/* Said once. */
	mqw_buffer_clear(&told);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR);
	assert_not_told("after the restart");
}

static void test_nothing_moved(void **state)
{
	(void)state;
	instance.probe = mqw_probe_find(MQW_LIT("exchange"));
	lose("A1", T0);
	lose("A2", T0);
	restart();
	mqw_act_resolve(act, &instance, mqw_clock_now() + 4 * MQW_MINUTE);
	assert_not_told("after the restart");
	mqw_act_resolve(act, &instance, mqw_clock_now() + 6 * MQW_MINUTE);
	assert_told("after the restart of out, of 2 messages that were stuck: 2 did not move (");
	assert_told(". The service was not what held them. On Exchange 2000 and 2003 the store may "
		    "hold them (KB941060): restart MSExchangeIS there by hand\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_remote, teardown_remote)
	const struct CMUnitTest tests[] = {
		TEST(test_command),
		TEST(test_command_fails),
		TEST(test_credentials),
		TEST(test_cut_off),
		TEST(test_released),
		TEST(test_nothing_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
