/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client gets for each path and query. Hostile clients: test_api_hostile.c. */
#define _GNU_SOURCE /* setgroups */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <grp.h>

#include "api_requests_fixture.h"

static json_t *no_memory(void *ctx)
{
	(void)ctx;
	return NULL;
}

static json_t *no_memory_list(void *ctx, const struct mqw_api_query *q)
{
	(void)ctx;
	(void)q;
	return NULL;
}

static void each_path_is_answered(void **state)
{
	static const struct {
		const char *method, *target;
		int status;
		const char *body;
	} rows[] = {
		{"GET", "/v1/status", 200, "{\"version\":\"1.2.3\"}\n"},
		{"GET", "/v1/messages/4F3aBcDeFgHz1k", 200, "{\"asked\":\"4F3aBcDeFgHz1k\"}\n"},
		{"GET", "/v1/messages/%3Ca%2Fb%40example.com%3E", 200,
			"{\"asked\":\"<a/b@example.com>\"}\n"},
		{"GET", "/v1/messages/%FF", 200, "{\"asked\":\"\\uFFFD\"}\n"},
		{"GET", "/v1/messages/GONE", 404,
			"{\"error\":\"no message of this queue id is followed\"}\n"},
		{"GET", "/v1/messages/", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/v1/messagesX", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/v1/statusX", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/v1/status/", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/../v1/status", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/v2/status", 404, "{\"error\":\"no such path\"}\n"},
		{"GET", "/v1/actions/7", 200, "{\"id\":7}\n"},
		{"GET", "/v1/actions/8", 404, "{\"error\":\"there is no such action\"}\n"},
		{"GET", "/v1/actions/7x", 404, "{\"error\":\"there is no such action\"}\n"},
		{"GET", "/v1/actions/99999999999999999999", 404,
			"{\"error\":\"there is no such action\"}\n"},
		{"GET", "/v1/instances/out/restart", 404, "{\"error\":\"no such path\"}\n"},
		{"POST", "/v1/messages/x", 405, "{\"error\":\"only GET is known here\"}\n"},
		{"POST", "/v1/messages//ack", 405, "{\"error\":\"only GET is known here\"}\n"},
		{"POST", "/v1/status", 405, "{\"error\":\"only GET is known here\"}\n"},
		{"DELETE", "/v1/messages/4F3aBcDeFgHz1k", 405,
			"{\"error\":\"only GET is known here\"}\n"},
	};
	struct fixture *f = *state;
	struct mqw_buffer b = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
			ask(f->socket, rows[i].method, rows[i].target, &b), rows[i].status);
		assert_string_equal(body_of(&b), rows[i].body);
		assert_true(contains(&b, "Content-Type: application/json\r\n"));
		assert_int_equal(contains(&b, "Allow: GET\r\n"), rows[i].status == 405);
	}
	mqw_buffer_done(&b);
}

/* Root may act; the rows need that it is root who runs the tests. */
static void acts_are_understood(void **state)
{
	static const struct {
		const char *target;
		int status;
		const char *body;
	} rows[] = {
		{"/v1/messages/A1/recover", 200,
			"{\"what\":\"recover\",\"id\":\"A1\",\"instance\":\"\",\"dry\":false}\n"},
		{"/v1/messages/%3Ca%2Fb%3E/ack?dry_run=1&instance=out", 200,
			"{\"what\":\"ack\",\"id\":\"<a/b>\",\"instance\":\"out\",\"dry\":true}\n"},
		{"/v1/instances/out/restart", 200,
			"{\"what\":\"restart\",\"id\":\"\",\"instance\":\"out\",\"dry\":false}\n"},
		{"/v1/messages/GONE/recover", 404, "{\"error\":\"it is gone\"}\n"},
		{"/v1/messages/A1/recover?dry_run=yes", 400, "{\"error\":\"dry_run: not 1\"}\n"},
		{"/v1/messages/A1/recover?dryrun=1", 400,
			"{\"error\":\"no such parameter; there are dry_run and instance\"}\n"},
		{"/v1/messages/A1/recover?dry_run=1&dry_run=1", 400,
			"{\"error\":\"a parameter occurs twice\"}\n"},
		{"/v1/instances/out/restart?instance=in", 400,
			"{\"error\":\"a parameter occurs twice\"}\n"},
	};
	struct fixture *f = *state;
	struct mqw_buffer b = {0};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(ask(f->socket, "POST", rows[i].target, &b), rows[i].status);
		assert_string_equal(body_of(&b), rows[i].body);
	}
	mqw_buffer_done(&b);
}

#define SOMEBODY 65534

/* The status that a user with these groups gets. */
static int ask_as(const char *socket, const char *method, const char *target, gid_t gid, gid_t more)
{
	struct mqw_buffer b = {0};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(1, &more) < 0 || setgid(gid) < 0 || setuid(SOMEBODY) < 0)
			_exit(0);
		_exit(ask(socket, method, target, &b) - 200);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status) + 200;
}

/* To read is for whoever can open the socket; to act for root and one group. */
static void only_operators_act(void **state)
{
	static const char target[] = "/v1/messages/A1/recover";
	struct fixture f;

	(void)state;
	if (geteuid() != 0)
		skip();
	for (int configured = 0; configured < 2; configured++) {
		fixture_init(&f);
		ops.operators = configured ? 4711 : MQW_API_NO_GROUP;
		fixture_start(&f, &ops);
		ops.operators = MQW_API_NO_GROUP;
		assert_int_equal(chmod(f.directory, 0755), 0);
		assert_int_equal(chmod(f.socket, 0666), 0);
		assert_int_equal(ask_as(f.socket, "GET", "/v1/status", SOMEBODY, SOMEBODY), 200);
		assert_int_equal(ask_as(f.socket, "POST", target, SOMEBODY, SOMEBODY), 403);
		assert_int_equal(
			ask_as(f.socket, "POST", target, 4711, SOMEBODY), configured ? 200 : 403);
		assert_int_equal(
			ask_as(f.socket, "POST", target, SOMEBODY, 4711), configured ? 200 : 403);
		fixture_done(&f);
	}
}

static void queries_are_understood(void **state)
{
	static const struct {
		const char *query;
		enum mqw_verdict verdict;
		const char *instance;
		int limit;
	} rows[] = {
		{"", MQW_VERDICT_COUNT, "", MQW_API_LIMIT},
		{"?", MQW_VERDICT_COUNT, "", MQW_API_LIMIT},
		{"?verdict=any", MQW_VERDICT_NONE, "", MQW_API_LIMIT},
		{"?verdict=vanished", MQW_VERDICT_VANISHED, "", MQW_API_LIMIT},
		{"?verdict=false_ndr&instance=out%20bound&limit=7", MQW_VERDICT_FALSE_NDR,
			"out bound", 7},
		{"?limit=100000", MQW_VERDICT_COUNT, "", 100000},
		{"?instance=", MQW_VERDICT_COUNT, "", MQW_API_LIMIT},
	};
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	char target[128], wanted[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(target, sizeof(target), "/v1/messages%s", rows[i].query);
		snprintf(wanted, sizeof(wanted),
			"{\"messages\":[],\"verdict\":%d,\"instance\":\"%s\",\"limit\":%d}\n",
			(int)rows[i].verdict, rows[i].instance, rows[i].limit);
		assert_int_equal(ask(f->socket, "GET", target, &b), 200);
		assert_string_equal(body_of(&b), wanted);
	}
	mqw_buffer_done(&b);
}

/* A query that is misread answers "nothing in trouble" where there is: each fault is said. */
static void bad_queries_are_refused(void **state)
{
	static const struct {
		const char *query, *word;
	} rows[] = {
		{"?verdict=lost", "verdict"},
		{"?verdict=none", "verdict"},
		{"?verdict=", "verdict"},
		{"?verdict", "verdict"},
		{"?verdict=Vanished", "verdict"},
		{"?limit=0", "limit"},
		{"?limit=100001", "limit"},
		{"?limit=-1", "limit"},
		{"?limit=7x", "limit"},
		{"?limit=", "limit"},
		{"?limit", "limit"},
		{"?limit=99999999999999999999999", "limit"},
		{"?instance", "instance"},
		{"?instance=nobody", "instance"},
		{"?verdct=any", "parameter"},
		{"?verdict=any&x=1", "parameter"},
		{"?verdict=any&verdict=vanished", "twice"},
	};
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	char target[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(target, sizeof(target), "/v1/messages%s", rows[i].query);
		assert_int_equal(ask(f->socket, "GET", target, &b), 400);
		assert_int_equal(strncmp(body_of(&b), "{\"error\":\"", 10), 0);
		assert_true(contains(&b, rows[i].word));
	}
	mqw_buffer_done(&b);
}

static void no_memory_is_an_error(void **state)
{
	const struct mqw_api_ops poor = {
		.status = no_memory, .list = no_memory_list, .show = fake_show};
	struct fixture f;
	struct mqw_buffer b = {0};

	(void)state;
	fixture_init(&f);
	fixture_start(&f, &poor);
	assert_int_equal(ask(f.socket, "GET", "/v1/status", &b), 500);
	assert_true(contains(&b, "{\"error\":\""));
	assert_int_equal(ask(f.socket, "GET", "/v1/messages", &b), 500);
	mqw_buffer_done(&b);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_is_answered),
		cmocka_unit_test(acts_are_understood),
		cmocka_unit_test(only_operators_act),
		cmocka_unit_test(queries_are_understood),
		cmocka_unit_test(bad_queries_are_refused),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
