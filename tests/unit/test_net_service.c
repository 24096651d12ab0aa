/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What net says, as it was seen of net 4.17 with an smbd 4.13; and a restart of a service made of words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "watchdogd/act/net_service.h"
#include "watchdogd/base/clock.h"

static struct mqw_net_answer read_answer(const char *out, const char *err)
{
	struct mqw_net_answer a;

	mqw_net_answer_parse(mqw_slice_of(out), mqw_slice_of(err), 0, 0, &a);
	return a;
}

#define DETAILS                                                                                    \
	"\nConfiguration details:\n\tControls Accepted    = 0x5\n\tService Type         = 0x10\n"

static void test_states(void **state)
{
	struct mqw_net_answer a;

	(void)state;
	a = read_answer("SMTPSVC service is running.\n" DETAILS, "");
	assert_int_equal(a.state, MQW_SERVICE_RUNNING);
	assert_string_equal(a.why, "");
	a = read_answer("SMTPSVC service is stopped.\n" DETAILS, "");
	assert_int_equal(a.state, MQW_SERVICE_STOPPED);
	a = read_answer("SMTPSVC service is stop pending.\n", "");
	assert_int_equal(a.state, MQW_SERVICE_STOP_PENDING);
	a = read_answer("SMTPSVC service is resume pending.\n", "");
	assert_int_equal(a.state, MQW_SERVICE_CONTINUE_PENDING);
	a = read_answer(".\nSMTPSVC service is stopped.\n", "");
	assert_int_equal(a.state, MQW_SERVICE_STOPPED);
	/* The stop that lies: thirty questions within half a second, and status 0. */
	a = read_answer("..............................\nSMTPSVC service is running.\n", "");
	assert_int_equal(a.state, MQW_SERVICE_RUNNING);
	a = read_answer(".\n.\nSuccessfully started service: SMTPSVC\n", "");
	assert_true(a.started);
	assert_int_equal(a.state, MQW_SERVICE_UNKNOWN);
	assert_string_equal(a.why, "");
}

static void test_errors(void **state)
{
	static const struct {
		const char *err, *means;
		bool missing;
	} rows[] = {
		{"Failed to open service.  [WERR_SERVICE_DOES_NOT_EXIST]\n",
			"there is no such service (WERR_SERVICE_DOES_NOT_EXIST)", true},
		{"Failed to open service.  [WERR_ACCESS_DENIED]\n", "has to be in Administrators",
			0},
		{"Unable to stop service.  [WERR_DEPENDENT_SERVICES_RUNNING]\n",
			"other services depend on it", 0},
		{"The username or password was not correct.\n"
		 "Could not connect to server 127.0.0.1\nConnection failed: "
		 "NT_STATUS_LOGON_FAILURE\n",
			"user name or password of the credentials are wrong", 0},
		{"Could not connect to server exch\nConnection failed: "
		 "NT_STATUS_CONNECTION_REFUSED\n",
			"refuses the connection", 0},
		{"Connection failed: NT_STATUS_NETWORK_UNREACHABLE\n", "no way to the network", 0},
		{"Connection failed: NT_STATUS_IO_TIMEOUT\n", "the host does not answer", 0},
		{"Connection failed: NT_STATUS_CONNECTION_DISCONNECTED\n", "smb_min_protocol: NT1",
			0},
		{"something new\n", "net said what is not understood: something new", 0},
		{"\x1b[2J\n", "not understood: \\x1b[2J", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_net_answer a = read_answer("", rows[i].err);

		if (!strstr(a.why, rows[i].means))
			fail_msg("\"%s\" of: %s", a.why, rows[i].err);
		assert_int_equal(a.missing, rows[i].missing);
		assert_int_equal(a.state, MQW_SERVICE_UNKNOWN);
	}
}

static void test_not_run(void **state)
{
	struct mqw_net_answer a;

	(void)state;
	mqw_net_answer_parse(MQW_LIT("SMTPSVC service is running.\n"), MQW_SLICE_NULL, -ETIMEDOUT,
		30 * MQW_SECOND, &a);
	assert_string_equal(a.why, "the host does not answer: net was killed after 30 s");
	assert_int_equal(a.state, MQW_SERVICE_UNKNOWN);
	mqw_net_answer_parse(MQW_SLICE_NULL, MQW_SLICE_NULL, -ENOENT, 0, &a);
	assert_non_null(strstr(a.why, "install samba-common-bin"));
}

/* A service whose clock is ours. */
static struct host {
	enum mqw_service_state state;
	int64_t now, stops_at; /* 0: never */
	int64_t stop_takes; /* -1: it does not stop */
	int starts_fail; /* so many times more */
	const char *status_fails; /* what net says then on its error output; NULL: it works */
	bool answer_lost; /* of the stop, which is done */
	bool stop_refused;
	const char *name;
	int stops, starts, looks;
} host;

static void call(void *ctx, const char *verb, const char *service, struct mqw_net_answer *ret)
{
	const char *err = host.status_fails;
	char out[100] = "";

	(void)ctx;
	host.now += 100000;
	if (!err && strcmp(service, host.name) != 0)
		err = "Failed to open service.  [WERR_SERVICE_DOES_NOT_EXIST]\n";
	if (!err && !strcmp(verb, "stop")) {
		host.stops++;
		if (host.stop_takes >= 0 && !host.stop_refused) {
			host.state = MQW_SERVICE_STOP_PENDING;
			host.stops_at = host.now + host.stop_takes;
		}
		if (host.stop_refused)
			err = "Failed to open service.  [WERR_ACCESS_DENIED]\n";
		else
			err = host.answer_lost ? "Connection failed: NT_STATUS_IO_TIMEOUT\n" : NULL;
	} else if (!err && !strcmp(verb, "start")) {
		host.starts++;
		if (host.starts_fail > 0) {
			host.starts_fail--;
			err = "Failed to start service.  [WERR_ACCESS_DENIED]\n";
		} else {
			host.state = MQW_SERVICE_RUNNING;
		}
	} else {
		host.looks++;
	}
	if (host.state == MQW_SERVICE_STOP_PENDING && host.now >= host.stops_at)
		host.state = MQW_SERVICE_STOPPED;
	if (!err)
		snprintf(out, sizeof(out), "%s service is %s.\n", service,
			mqw_service_state_name(host.state));
	*ret = read_answer(out, err ? err : "");
}

static int64_t now(void *ctx)
{
	(void)ctx;
	return host.now;
}

static void sleep_for(void *ctx, int64_t span)
{
	(void)ctx;
	assert_true(span > 0);
	host.now += span;
}

static const char *const services[] = {"MSExchangeTransport", "SMTPSVC", NULL};
static const struct mqw_net_target target = {"exch1", services};
static const struct mqw_net_ops ops = {.call = call, .now = now, .sleep = sleep_for};

static int setup(void **state)
{
	(void)state;
	host = (struct host){.state = MQW_SERVICE_RUNNING, .name = "SMTPSVC", .now = MQW_HOUR};
	return 0;
}

static void assert_restart(
	bool finish, enum mqw_helper_status wanted, const char *says, int stops, int starts)
{
	struct mqw_buffer text = {0};
	enum mqw_helper_status status = finish ? mqw_net_finish(&target, &ops, &text)
					       : mqw_net_restart(&target, &ops, &text);

	if (status != wanted || !strstr(mqw_buffer_str(&text), says))
		fail_msg("%d: %s", status, mqw_buffer_str(&text));
	assert_int_equal(host.stops, stops);
	if (starts >= 0)
		assert_int_equal(host.starts, starts);
	assert_true(host.now - MQW_HOUR <= MQW_NET_LIMIT);
	mqw_buffer_done(&text);
}

static void test_restart(void **state)
{
	(void)state;
	host.stop_takes = 5 * MQW_SECOND;
	assert_restart(
		false, MQW_HELPER_OK, "SMTPSVC on exch1 was stopped (5 s) and started (0 s)", 1, 1);
	assert_int_equal(host.state, MQW_SERVICE_RUNNING);
}

static void test_stop_that_does_not_stop(void **state)
{
	(void)state;
	host.stop_takes = -1;
	assert_restart(false, MQW_HELPER_FAILED,
		"was told to stop, and did not; it was not restarted: it is running", 1, 0);
}

/* Two minutes: longer than others would wait, and the service would be left down. */
static void test_slow_stop(void **state)
{
	(void)state;
	host.stop_takes = 2 * MQW_MINUTE;
	assert_restart(false, MQW_HELPER_OK, "was stopped (12", 1, 1);
}

static void test_lost_answer(void **state)
{
	(void)state;
	host.answer_lost = true;
	assert_restart(false, MQW_HELPER_OK, "and runs", 1, 1);
}

/* Nothing was done, whatever the state is then. */
static void test_stop_refused(void **state)
{
	(void)state;
	host.stop_refused = true;
	assert_restart(false, MQW_HELPER_FAILED,
		"SMTPSVC on exch1 cannot be stopped, and was left as it is: the user of the "
		"credentials may not stop",
		1, 0);
}

static void test_stopped_by_somebody(void **state)
{
	(void)state;
	host.state = MQW_SERVICE_STOPPED;
	assert_restart(false, MQW_HELPER_REFUSED, "what somebody stopped is not started", 0, 0);
}

static void test_start_again(void **state)
{
	(void)state;
	host.starts_fail = 2;
	assert_restart(false, MQW_HELPER_OK, "and runs", 1, 3);
}

static void test_start_fails(void **state)
{
	(void)state;
	host.starts_fail = 1000;
	assert_restart(false, MQW_HELPER_FAILED, "start it by hand: it is stopped", 1, -1);
	assert_true(host.starts > 1);
}

static void test_unreachable(void **state)
{
	(void)state;
	host.status_fails = "Connection failed: NT_STATUS_LOGON_FAILURE\n";
	assert_restart(false, MQW_HELPER_FAILED,
		"cannot be restarted, and was left as it is: user name or password", 0, 0);
}

static void test_no_such_service(void **state)
{
	(void)state;
	host.name = "other";
	assert_restart(false, MQW_HELPER_FAILED, "there is no such service", 0, 0);
	assert_int_equal(host.looks, 2);
}

static void test_finish(void **state)
{
	(void)state;
	assert_restart(true, MQW_HELPER_ALREADY, "SMTPSVC on exch1 runs", 0, 0);
	host.state = MQW_SERVICE_STOPPED;
	assert_restart(true, MQW_HELPER_OK, "it is started, and runs", 0, 1);
	host.state = MQW_SERVICE_STOP_PENDING;
	host.stops_at = host.now + 10 * MQW_SECOND;
	assert_restart(true, MQW_HELPER_OK, "it is started, and runs", 0, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_errors),
		TEST(test_not_run),
		TEST(test_restart),
		TEST(test_stop_that_does_not_stop),
		TEST(test_slow_stop),
		TEST(test_lost_answer),
		TEST(test_stop_refused),
		TEST(test_stopped_by_somebody),
		TEST(test_start_again),
		TEST(test_start_fails),
		TEST(test_unreachable),
		TEST(test_no_such_service),
		TEST(test_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
