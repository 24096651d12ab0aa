/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface over a real socket: requests byte by byte, then through the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watchdogd/api/api.h"
#include "watchdogd/base/buffer.h"
#include "watchdogd/cli/commands.h"

/* What the daemon was asked for last. */
struct asked {
	int status, list, show;
	struct mqw_api_query query;
	char instance[64], id[64];
};

static char dir[64], path[96], output[96];
static struct asked asked;
static sd_event *event;
static struct mqw_api *api;

static json_t *give_status(void *ctx)
{
	((struct asked *)ctx)->status++;
	return json_pack("{s:s, s:s, s:s, s:[], s:[]}", "version", "9.9", "mode", "observe",
		"started", "2026-10-03T04:00:00Z", "instances", "actions");
}

static json_t *a_message(const char *verdict)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "verdict", verdict, "confidence",
		"certain", "queue_id", "4F3aBcDeFgHz1k", "recipient", "b@example.net", "reason",
		"gone \033[31mred", "reply", "451 later", "attempts", 3);
}

static json_t *give_list(void *ctx, const struct mqw_api_query *q)
{
	struct asked *a = ctx;

	a->list++;
	a->query = *q;
	snprintf(a->instance, sizeof(a->instance), "%.*s", (int)q->instance.len,
		q->instance.len ? q->instance.ptr : "");
	if (q->verdict == MQW_VERDICT_HELD)
		return json_pack("{s:[]}", "messages");
	return json_pack("{s:[o]}", "messages",
		a_message(q->verdict == MQW_VERDICT_NONE ? "pending" : "vanished"));
}

static json_t *give_message(void *ctx, struct mqw_slice id)
{
	struct asked *a = ctx;

	a->show++;
	snprintf(a->id, sizeof(a->id), "%.*s", (int)id.len, id.ptr);
	if (!mqw_slice_eq(id, MQW_LIT("4F3aBcDeFgHz1k")) && !mqw_slice_eq(id, MQW_LIT("<a/b c>")))
		return NULL;
	return json_pack("{s:[o], s:[]}", "messages", a_message("vanished"), "actions");
}

static const struct mqw_api_ops ops = {give_status, give_list, give_message, &asked};

static int setup(void **state)
{
	(void)state;
	asked = (struct asked){0};
	snprintf(dir, sizeof(dir), "/tmp/mqw-api-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	snprintf(output, sizeof(output), "%s/output", dir);
	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(mqw_api_open(event, path, &ops, &api), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	api = mqw_api_close(api);
	event = sd_event_unref(event);
	unlink(output);
	return rmdir(dir); /* fails where the socket was left behind */
}

static int connect_to(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", where);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends the bytes and reads to the end of the connection, in ret, the loop running meanwhile. */
static void exchange(struct mqw_slice request, struct mqw_buffer *ret)
{
	int fd = connect_to(path);
	char bytes[4096];
	ssize_t n = -1;

	assert_int_equal(send(fd, request.ptr, request.len, MSG_NOSIGNAL), request.len);
	for (int i = 0; i < 500 && n != 0; i++) {
		assert_true(sd_event_run(event, 20000) >= 0);
		while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
			mqw_buffer_add(ret, mqw_slice(bytes, (size_t)n));
		if (n < 0 && errno != EAGAIN)
			n = 0; /* reset: the other side read less than was sent */
	}
	assert_int_equal(n, 0);
	close(fd);
}

/* The status of a request and its body as JSON, for the caller to drop. */
static int ask(const char *method, const char *target, json_t **ret)
{
	struct mqw_buffer request = {0}, b = {0};
	size_t body;
	int status = 0;

	mqw_buffer_printf(&request,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, target);
	exchange(mqw_buffer_slice(&request), &b);
	assert_int_equal(sscanf(mqw_buffer_str(&b), "HTTP/1.1 %d", &status), 1);
	assert_true(mqw_slice_find_nocase(mqw_buffer_slice(&b),
			    MQW_LIT("content-type: application/json\r\n")) < b.len);
	body = mqw_slice_find(mqw_buffer_slice(&b), MQW_LIT("\r\n\r\n"));
	assert_true(body < b.len);
	*ret = json_loads(b.ptr + body + 4, 0, NULL);
	assert_non_null(*ret);
	mqw_buffer_done(&request);
	mqw_buffer_done(&b);
	return status;
}

static int ask_status(const char *method, const char *target)
{
	json_t *body;
	int status = ask(method, target, &body);

	assert_int_equal(json_is_string(json_object_get(body, "error")), status != 200);
	json_decref(body);
	return status;
}

static void answers_each_path(void **state)
{
	json_t *body;

	(void)state;
	assert_int_equal(ask("GET", "/v1/status", &body), 200);
	assert_string_equal(json_string_value(json_object_get(body, "version")), "9.9");
	json_decref(body);
	assert_int_equal(ask("GET", "/v1/messages", &body), 200);
	assert_int_equal(json_array_size(json_object_get(body, "messages")), 1);
	json_decref(body);
	assert_int_equal(asked.query.verdict, MQW_VERDICT_COUNT);
	assert_int_equal(asked.query.limit, MQW_API_LIMIT);
	assert_string_equal(asked.instance, "");
	assert_int_equal(ask_status("GET", "/v1/messages/4F3aBcDeFgHz1k"), 200);
	assert_string_equal(asked.id, "4F3aBcDeFgHz1k");
	assert_int_equal(ask_status("GET", "/v1/messages/%3Ca%2Fb%20c%3E"), 200);
	assert_string_equal(asked.id, "<a/b c>");
	assert_int_equal(asked.status, 1);
	assert_int_equal(asked.list, 1);
	assert_int_equal(asked.show, 2);
}

static void reads_the_query(void **state)
{
	static const char *const bad[] = {"verdict=gone", "verdict=none", "verdict=", "limit=0",
		"limit=-1", "limit=", "limit=1x", "limit=100001", "limit=99999999999999999999"};
	char target[96];

	(void)state;
	assert_int_equal(
		ask_status("GET", "/v1/messages?verdict=false_ndr&instance=postfix%2Dout&limit=7"),
		200);
	assert_int_equal(asked.query.verdict, MQW_VERDICT_FALSE_NDR);
	assert_int_equal(asked.query.limit, 7);
	assert_string_equal(asked.instance, "postfix-out");
	assert_int_equal(ask_status("GET", "/v1/messages?verdict=any&limit=100000"), 200);
	assert_int_equal(asked.query.verdict, MQW_VERDICT_NONE);
	assert_int_equal(asked.query.limit, 100000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(target, sizeof(target), "/v1/messages?%s", bad[i]);
		assert_int_equal(ask_status("GET", target), 400);
	}
	assert_int_equal(asked.list, 2);
}

static void refuses_the_rest(void **state)
{
	static const char *const none[] = {"/", "/v1", "/v1/", "/v1/statusx", "/v1/status/",
		"/v1/messagesx", "/v1/messages/", "/v2/status", "/../v1/status"};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(ask_status("GET", none[i]), 404);
	assert_int_equal(asked.status + asked.list + asked.show, 0);
	assert_int_equal(ask_status("GET", "/v1/messages/NONE"), 404);
	assert_int_equal(ask_status("POST", "/v1/status"), 405);
	assert_int_equal(ask_status("DELETE", "/v1/messages/4F3aBcDeFgHz1k"), 405);
	assert_int_equal(asked.status, 0);
	assert_int_equal(asked.show, 1);
}

static void bears_nonsense(void **state)
{
	struct mqw_buffer b = {0}, request = {0};
	int silent[4];

	(void)state;
	/* Clients that say nothing, or half a request, keep nobody else waiting. */
	for (size_t i = 0; i < 4; i++) {
		silent[i] = connect_to(path);
		if (i & 1)
			assert_int_equal(send(silent[i], "GET /v1/st", 10, MSG_NOSIGNAL), 10);
	}
	assert_int_equal(ask_status("GET", "/v1/status"), 200);
	exchange(MQW_LIT("\xff\xfe\0nonsense\r\n\r\n"), &b);
	assert_true(mqw_slice_find(mqw_buffer_slice(&b), MQW_LIT(" 200 ")) == b.len);
	mqw_buffer_clear(&b);
	mqw_buffer_add_str(&request, "GET /v1/messages/");
	for (int i = 0; i < 65536; i++)
		mqw_buffer_add_str(&request, "a");
	mqw_buffer_add_str(&request, " HTTP/1.1\r\nHost: x\r\n\r\n");
	exchange(mqw_buffer_slice(&request), &b);
	assert_true(mqw_slice_find(mqw_buffer_slice(&b), MQW_LIT(" 200 ")) == b.len);
	assert_int_equal(asked.show, 0);
	assert_int_equal(ask_status("GET", "/v1/status"), 200);
	for (size_t i = 0; i < 4; i++)
		close(silent[i]);
	mqw_buffer_done(&b);
	mqw_buffer_done(&request);
}

static void takes_its_place(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct mqw_api *other = NULL;
	struct stat st;
	char name[160];
	int fd;

	(void)state;
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(mqw_api_open(event, path, &ops, &other), -EADDRINUSE);
	assert_int_equal(lstat(path, &st), 0); /* the living one's socket stays */
	assert_int_equal(ask_status("GET", "/v1/status"), 200);
	api = mqw_api_close(api);
	assert_int_equal(lstat(path, &st), -1);

	/* A dead one's is replaced; what is no socket is left alone. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(mqw_api_open(event, path, &ops, &api), 0);
	assert_int_equal(ask_status("GET", "/v1/status"), 200);
	close(open(output, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(mqw_api_open(event, output, &ops, &other), -EEXIST);
	assert_int_equal(access(output, F_OK), 0);
	snprintf(name, sizeof(name), "%s/none/control.sock", dir);
	assert_int_equal(mqw_api_open(event, name, &ops, &other), -ENOENT);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mqw_api_open(event, name, &ops, &other), -ENAMETOOLONG);
	assert_null(other);
}

/* Runs a command in a child, both outputs in b, and gives its exit status. */
static int run_command(
	int (*command)(int, char **), const char *const *words, uid_t uid, struct mqw_buffer *ret)
{
	char bytes[4096], *argv[8] = {NULL};
	int argc = 0, status = 0, fd;
	pid_t pid, ended = 0;
	ssize_t n;

	while (words[argc]) {
		argv[argc] = (char *)(uintptr_t)words[argc];
		argc++;
	}
	fd = open(output, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(99);
		/* The same number for the group: its own, not ours. */
		if (uid && (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0))
			_exit(99);
		status = command(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	assert_true(pid > 0);
	for (int i = 0; i < 1000 && ended == 0; i++) {
		assert_true(sd_event_run(event, 20000) >= 0);
		ended = waitpid(pid, &status, WNOHANG);
	}
	assert_int_equal(ended, pid);
	assert_true(WIFEXITED(status));
	mqw_buffer_clear(ret);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		mqw_buffer_add(ret, mqw_slice(bytes, (size_t)n));
	close(fd);
	return WEXITSTATUS(status);
}

static void assert_says(const struct mqw_buffer *b, const char *what)
{
	if (!strstr(mqw_buffer_str(b), what))
		fail_msg("no \"%s\" in: %s", what, mqw_buffer_str(b));
}

static void the_command_line_asks(void **state)
{
	const char *const status[] = {"status", "--socket", path, NULL};
	const char *const list[] = {"list", "--socket", path, "--instance", "a&b=c", NULL};
	const char *const any[] = {"list", "--socket", path, "--verdict", "any", NULL};
	const char *const held[] = {"list", "--socket", path, "--verdict", "held", NULL};
	const char *const wrong[] = {"list", "--socket", path, "--verdict", "gone", NULL};
	const char *const show[] = {"show", "--json", "--socket", path, "<a/b c>", NULL};
	const char *const none[] = {"show", "--socket", path, "NONE", NULL};
	struct mqw_buffer b = {0};
	json_t *j;

	(void)state;
	assert_int_equal(run_command(mqw_cli_status, status, 0, &b), 0);
	assert_says(&b, "9.9, mode observe, since 2026-10-03T04:00:00Z");
	assert_int_equal(run_command(mqw_cli_list, list, 0, &b), 1);
	assert_string_equal(asked.instance, "a&b=c");
	assert_says(&b, "vanished (certain)  <b@example.net>");
	assert_says(&b, "gone \\x1b[31mred");
	assert_null(strchr(b.ptr, '\033'));
	assert_int_equal(run_command(mqw_cli_list, any, 0, &b), 0);
	assert_says(&b, "pending");
	assert_int_equal(run_command(mqw_cli_list, held, 0, &b), 0);
	assert_string_equal(mqw_buffer_str(&b), "nothing\n");
	assert_int_equal(run_command(mqw_cli_list, wrong, 0, &b), 2);
	assert_says(&b, "verdict: not one of the words");
	assert_int_equal(run_command(mqw_cli_show, show, 0, &b), 0);
	assert_string_equal(asked.id, "<a/b c>");
	j = json_loads(mqw_buffer_str(&b), 0, NULL);
	assert_int_equal(json_array_size(json_object_get(j, "messages")), 1);
	json_decref(j);
	assert_int_equal(run_command(mqw_cli_show, none, 0, &b), 2);
	assert_says(&b, "no message of this queue id");
	mqw_buffer_done(&b);
}

static void the_command_line_says_what_is_wrong(void **state)
{
	const char *const status[] = {"status", "--socket", path, NULL};
	const char *const extra[] = {"status", "extra", NULL};
	const char *const missing[] = {"show", NULL};
	struct mqw_buffer b = {0};

	(void)state;
	assert_int_equal(run_command(mqw_cli_status, extra, 0, &b), 2);
	assert_says(&b, "usage:");
	assert_int_equal(run_command(mqw_cli_show, missing, 0, &b), 2);
	assert_says(&b, "usage:");
	if (geteuid() == 0) {
		assert_int_equal(chmod(dir, 0711), 0);
		assert_int_equal(run_command(mqw_cli_status, status, 65534, &b), 2);
		assert_says(&b, "permission denied");
	}
	api = mqw_api_close(api);
	assert_int_equal(run_command(mqw_cli_status, status, 0, &b), 2);
	assert_says(&b, "the daemon is not running");
	assert_says(&b, path);
	mqw_buffer_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_each_path, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_the_query, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(bears_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(the_command_line_asks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_command_line_says_what_is_wrong, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
