/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* struct ucred, setgroups */
/* Over a real socket, byte by byte: what a client gets, and what a hostile one cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

/* Nobody waits ten seconds for a unit test. */
#define IDLE_SECONDS 1u
#include "watchdogd/api/api.c"

#include <grp.h>
#include <inttypes.h>
#include <poll.h>

#include "api_fixture.h"

static json_t *fake_status(void *ctx)
{
	return json_pack("{s:s}", "version", (const char *)ctx);
}

/* Says what was asked. */
static json_t *fake_list(void *ctx, const struct mqw_api_query *q)
{
	(void)ctx;
	if (mqw_slice_eq(q->instance, MQW_LIT("nobody")))
		return NULL;
	return json_pack("{s:[],s:i,s:o,s:I}", "messages", "verdict", (int)q->verdict, "instance",
		mqw_json_text(q->instance), "limit", (json_int_t)q->limit);
}

static json_t *fake_show(void *ctx, struct mqw_slice queue_id)
{
	(void)ctx;
	if (mqw_slice_eq(queue_id, MQW_LIT("GONE")))
		return NULL;
	return json_pack("{s:o}", "asked", mqw_json_text(queue_id));
}

#define LARGE 4000000

static json_t *fake_large(void *ctx)
{
	json_t *ret;
	char *text = malloc(LARGE + 1);

	(void)ctx;
	if (!text)
		return NULL;
	memset(text, 'x', LARGE);
	text[LARGE] = '\0';
	ret = json_pack("{s:s}", "large", text);
	free(text);
	return ret;
}

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

static json_t *fake_action(void *ctx, int64_t id)
{
	(void)ctx;
	return id == 7 ? json_pack("{s:I}", "id", (json_int_t)id) : NULL;
}

/* Says what was asked. */
static json_t *fake_act(void *ctx, const struct mqw_api_act *q, const char **ret_fault)
{
	(void)ctx;
	*ret_fault = mqw_slice_eq(q->queue_id, MQW_LIT("GONE")) ? "it is gone" : NULL;
	if (*ret_fault)
		return NULL;
	return json_pack("{s:o,s:o,s:o,s:b}", "what", mqw_json_text(q->what), "id",
		mqw_json_text(q->queue_id), "instance", mqw_json_text(q->instance), "dry",
		q->dry_run);
}

static char version[] = "1.2.3";
static struct mqw_api_ops ops = {.status = fake_status,
	.list = fake_list,
	.show = fake_show,
	.action = fake_action,
	.act = fake_act,
	.operators = MQW_API_NO_GROUP,
	.ctx = version};

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Sends as far as the other side takes it: it may hang up in the middle of a request. */
static void send_all(int fd, struct mqw_slice s)
{
	while (s.len) {
		ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		s = mqw_slice_from(s, (size_t)n);
	}
}

/* Whether there is something to read, or an end, within so many milliseconds. */
static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* All until the other side closes; fails the test when that takes too long. */
static void receive_all(int fd, struct mqw_buffer *ret)
{
	char chunk[4096];
	ssize_t n;

	for (;;) {
		assert_true(readable(fd, 10000));
		n = recv(fd, chunk, sizeof(chunk), 0);
		if (n <= 0)
			return;
		mqw_buffer_add(ret, mqw_slice(chunk, (size_t)n));
	}
}

/* The status; the whole answer stays in a buffer for the caller. 0: hung up without an answer. */
static int ask(const char *socket, const char *method, const char *target, struct mqw_buffer *ret)
{
	struct mqw_buffer request = {0};
	int fd = dial(socket), status = 0;

	mqw_buffer_printf(&request,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, target);
	send_all(fd, mqw_buffer_slice(&request));
	mqw_buffer_done(&request);
	mqw_buffer_clear(ret);
	receive_all(fd, ret);
	close(fd);
	(void)sscanf(mqw_buffer_str(ret), "HTTP/1.1 %d", &status);
	return status;
}

static bool contains(const struct mqw_buffer *b, const char *what)
{
	return strstr(mqw_buffer_str(b), what) != NULL;
}

static const char *body_of(const struct mqw_buffer *b)
{
	const char *p = strstr(mqw_buffer_str(b), "\r\n\r\n");

	assert_non_null(p);
	return p + 4;
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

/* A request larger than its memory is refused, and what follows is served. */
static void oversize_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mqw_buffer big = {0}, b = {0};
	int fd, status;

	mqw_buffer_add_str(&big, "/v1/messages/");
	while (big.len < 200000)
		mqw_buffer_add_str(&big, "AAAAAAAAAAAAAAAA");
	status = ask(f->socket, "GET", mqw_buffer_str(&big), &b);
	assert_true(status == 0 || (status >= 400 && status < 500));
	assert_false(contains(&b, "asked"));

	mqw_buffer_clear(&big);
	mqw_buffer_add_str(
		&big, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
	for (int i = 0; i < 20000; i++)
		mqw_buffer_printf(&big, "X-%d: y\r\n", i);
	mqw_buffer_add_str(&big, "\r\n");
	fd = dial(f->socket);
	send_all(fd, mqw_buffer_slice(&big));
	mqw_buffer_clear(&b);
	receive_all(fd, &b);
	close(fd);
	assert_false(contains(&b, " 200 "));
	assert_int_equal(ask(f->socket, "GET", "/v1/status", &b), 200);
	mqw_buffer_done(&big);
	mqw_buffer_done(&b);
}

/* A body that never ends is not waited for. */
static void uploads_are_cut(void **state)
{
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	int fd = dial(f->socket);

	send_all(fd,
		MQW_LIT("POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
			"abc"));
	receive_all(fd, &b);
	assert_true(contains(&b, "HTTP/1.1 405 "));
	close(fd);
	mqw_buffer_done(&b);
}

static void garbage_does_no_harm(void **state)
{
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	int fd;

	fd = dial(f->socket);
	send_all(fd, mqw_slice("\0\xff\x16\x03\x01\r\n\r\n\0\0", 11));
	receive_all(fd, &b);
	assert_false(contains(&b, " 200 "));
	close(fd);
	/* Gone before its answer. */
	fd = dial(f->socket);
	send_all(fd, MQW_LIT("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
	close(fd);
	assert_int_equal(ask(f->socket, "GET", "/v1/status", &b), 200);
	mqw_buffer_done(&b);
}

/* Whoever sits on all connections is put out after the idle time, and others get in again. */
static void idle_connections_end(void **state)
{
	struct fixture *f = *state;
	int fds[CONNECTIONS_MAX], late;
	struct mqw_buffer b = {0};

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		fds[i] = dial(f->socket);
		send_all(fds[i], MQW_LIT("GET /v1/sta"));
	}
	late = dial(f->socket);
	send_all(late, MQW_LIT("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	assert_false(readable(late, 300));
	receive_all(late, &b);
	assert_true(contains(&b, "HTTP/1.1 200 "));
	close(late);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		mqw_buffer_clear(&b);
		receive_all(fds[i], &b);
		assert_false(contains(&b, " 200 "));
		close(fds[i]);
	}
	mqw_buffer_done(&b);
}

/* All connections taken, and all hung up in the same moment: the next one is still heard. */
static void a_crowd_may_leave_at_once(void **state)
{
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	int fds[CONNECTIONS_MAX];

	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
			fds[i] = dial(f->socket);
			send_all(fds[i], MQW_LIT("GET /v1/sta"));
		}
		/* Time for the server to take them all in. */
		assert_false(readable(fds[0], 100));
		kill(f->pid, SIGSTOP);
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			close(fds[i]);
		kill(f->pid, SIGCONT);
		assert_int_equal(ask(f->socket, "GET", "/v1/status", &b), 200);
	}
	mqw_buffer_done(&b);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Nothing waits for a timer's slack, which sd-event makes a quarter of a second if one lets it. */
static void answers_are_prompt(void **state)
{
	const struct mqw_api_ops large = {
		.status = fake_large, .list = fake_list, .show = fake_show};
	struct fixture f;
	struct mqw_buffer b = {0};
	int64_t began = now_ms();

	for (int i = 0; i < 100; i++)
		assert_int_equal(
			ask(((struct fixture *)*state)->socket, "GET", "/v1/status", &b), 200);
	assert_true(now_ms() - began < 5000);
	fixture_init(&f);
	fixture_start(&f, &large);
	began = now_ms();
	assert_int_equal(ask(f.socket, "GET", "/v1/status", &b), 200);
	assert_int_equal(strlen(body_of(&b)), LARGE + strlen("{'large':''}\n"));
	assert_true(now_ms() - began < 2000);
	mqw_buffer_done(&b);
	fixture_done(&f);
}

static int open_here(const char *path, struct mqw_api **ret)
{
	sd_event *event = NULL;
	int r;

	assert_true(sd_event_new(&event) >= 0);
	r = mqw_api_open(event, path, &ops, ret);
	/* Its sources hold the loop as long as they need it. */
	sd_event_unref(event);
	return r;
}

static void mode_is_for_owner_and_group(void **state)
{
	const mode_t masks[] = {0, 077, 0777};
	struct fixture f;
	struct mqw_api *api = NULL;
	struct stat st;
	mode_t saved = umask(0);

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		umask(masks[i]);
		assert_int_equal(open_here(f.socket, &api), 0);
		assert_int_equal(lstat(f.socket, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | 0660);
		assert_null(mqw_api_close(api));
		assert_int_equal(lstat(f.socket, &st), -1);
		assert_int_equal(errno, ENOENT);
	}
	umask(saved);
	assert_null(mqw_api_close(NULL));
	fixture_done(&f);
}

static void stale_socket_is_replaced(void **state)
{
	struct fixture f;
	struct mqw_buffer b = {0};
	struct stat st;

	(void)state;
	fixture_init(&f);
	fixture_start(&f, &ops);
	assert_int_equal(fixture_stop(&f, SIGKILL), SIGKILL);
	assert_int_equal(lstat(f.socket, &st), 0);
	fixture_start(&f, &ops);
	assert_int_equal(ask(f.socket, "GET", "/v1/status", &b), 200);
	mqw_buffer_done(&b);
	fixture_done(&f);
	assert_int_equal(lstat(f.socket, &st), -1);
}

static void second_daemon_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	struct mqw_api *api = NULL;

	assert_int_equal(open_here(f->socket, &api), -EADDRINUSE);
	assert_null(api);
	assert_int_equal(ask(f->socket, "GET", "/v1/status", &b), 200);
	mqw_buffer_done(&b);
}

/* Whatever lies at the path and is no socket stays, and so does what a symbolic link names. */
static void other_files_are_kept(void **state)
{
	struct fixture f;
	struct mqw_api *api = NULL;
	struct stat st;
	char target[128], longer[256];
	FILE *file;

	(void)state;
	fixture_init(&f);
	file = fopen(f.socket, "we");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(open_here(f.socket, &api), -EEXIST);
	assert_int_equal(lstat(f.socket, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	snprintf(target, sizeof(target), "%s/target", f.directory);
	assert_int_equal(rename(f.socket, target), 0);
	assert_int_equal(symlink(target, f.socket), 0);
	assert_int_equal(open_here(f.socket, &api), -EEXIST);
	assert_int_equal(lstat(target, &st), 0);
	unlink(target);
	snprintf(target, sizeof(target), "%s/none/control.sock", f.directory);
	assert_int_equal(open_here(target, &api), -ENOENT);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(open_here(longer, &api), -ENAMETOOLONG);
	assert_null(api);
	fixture_done(&f);
}

static int start_server(void **state)
{
	return fixture_setup(state, &ops);
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
		cmocka_unit_test(oversize_is_refused),
		cmocka_unit_test(uploads_are_cut),
		cmocka_unit_test(garbage_does_no_harm),
		cmocka_unit_test(idle_connections_end),
		cmocka_unit_test(a_crowd_may_leave_at_once),
		cmocka_unit_test(answers_are_prompt),
		cmocka_unit_test(mode_is_for_owner_and_group),
		cmocka_unit_test(stale_socket_is_replaced),
		cmocka_unit_test(second_daemon_is_refused),
		cmocka_unit_test(other_files_are_kept),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
