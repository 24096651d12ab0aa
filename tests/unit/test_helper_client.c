/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "helper_fixture.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/helper/client.h"

/* What a call ended in. */
struct outcome {
	int calls, error;
	uint32_t op, status;
	char text[240];
	struct mqw_helper_client **free_this;
};

static void done(void *ctx, int error, const struct mqw_helper_answer *a)
{
	struct outcome *o = ctx;

	o->calls++;
	o->error = error;
	assert_true((a != NULL) == (error == 0));
	if (a) {
		o->op = a->op;
		o->status = a->status;
		memcpy(o->text, a->text, sizeof(o->text));
	}
	if (o->free_this)
		*o->free_this = mqw_helper_client_free(*o->free_this);
}

/* Runs the loop until the call has ended, for 20 s at most. */
static void run_until(sd_event *event, const struct outcome *o)
{
	for (int i = 0; i < 200 && !o->calls; i++)
		assert_true(sd_event_run(event, 100000) >= 0);
	assert_int_equal(o->calls, 1);
}

/* A helper that takes one connection and says these bytes. */
static pid_t start_liar(const char *path, const void *bytes, size_t n)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), c;
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	if (pid == 0) {
		struct mqw_helper_request q;

		c = accept(fd, NULL, NULL);
		if (recv(c, &q, sizeof(q), 0) != sizeof(q))
			_exit(1);
		if (!bytes)
			pause();
		if (n)
			send(c, bytes, n, MSG_NOSIGNAL);
		_exit(0);
	}
	close(fd);
	return pid;
}

static void test_answers(void **state)
{
	struct outcome ping = {0}, refused = {0}, failed = {0};
	struct mqw_helper_client *c;
	struct fixture f;
	sd_event *event;

	(void)state;
	fixture_make(&f);
	fixture_start(&f, getuid(), MQW_SECOND);
	assert_int_equal(sd_event_new(&event), 0);
	c = mqw_helper_client_create(event, f.socket);
	assert_non_null(c);
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_PING, "", "", 20 * MQW_SECOND, done, &ping), 0);
	assert_int_equal(mqw_helper_call(c, MQW_HELPER_FLUSH, "inbound", "", 20 * MQW_SECOND, done,
				 &refused),
		0);
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_RESTART, "bad", "", 20 * MQW_SECOND, done, &failed),
		0);
	assert_int_equal(mqw_helper_client_pending(c), 3);
	assert_int_equal(ping.calls + refused.calls + failed.calls, 0);
	run_until(event, &ping);
	run_until(event, &refused);
	run_until(event, &failed);
	assert_int_equal(mqw_helper_client_pending(c), 0);
	assert_int_equal(mqw_helper_client_tally(c).asked, 3);
	assert_int_equal(mqw_helper_client_tally(c).refused, 1);
	assert_int_equal(ping.error, 0);
	assert_int_equal(ping.op, MQW_HELPER_PING);
	assert_int_equal(ping.status, MQW_HELPER_OK);
	assert_int_equal(refused.status, MQW_HELPER_REFUSED);
	assert_string_equal(refused.text, "the configuration has no such instance");
	assert_int_equal(failed.status, MQW_HELPER_FAILED);
	assert_string_equal(failed.text, "/bin/sh ended with status 3: no");
	mqw_helper_client_free(c);
	sd_event_unref(event);
	fixture_remove(&f);
}

static void test_no_helper(void **state)
{
	struct mqw_helper_client *c;
	struct outcome o = {0};
	char text[64], path[200];
	sd_event *event;

	(void)state;
	assert_int_equal(sd_event_new(&event), 0);
	c = mqw_helper_client_create(event, "/nonexistent/helper.sock");
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_PING, "", "", MQW_SECOND, done, &o), -ENOENT);
	memset(text, 'x', sizeof(text));
	text[63] = '\0';
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_FLUSH, text, "", MQW_SECOND, done, &o), -ENOENT);
	text[62] = '\0';
	memmove(path, text, 62);
	snprintf(path, sizeof(path), "%sxx", text);
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_FLUSH, path, "", MQW_SECOND, done, &o), -EINVAL);
	assert_int_equal(mqw_helper_client_pending(c), 0);
	mqw_helper_client_free(c);
	memset(path, '/', sizeof(path));
	path[199] = '\0';
	c = mqw_helper_client_create(event, path);
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_PING, "", "", MQW_SECOND, done, &o), -ENOENT);
	mqw_helper_client_free(c);
	assert_null(mqw_helper_client_free(NULL));
	assert_int_equal(o.calls, 0);
	sd_event_unref(event);
}

static void test_bad_answers(void **state)
{
	const struct mqw_helper_answer good = {.magic = MQW_HELPER_MAGIC,
		.version = MQW_HELPER_VERSION,
		.op = MQW_HELPER_PING,
		.text = "good"};
	struct mqw_helper_answer rows[5];
	char much[sizeof(good) + 1] = {0};
	const struct {
		const void *bytes;
		size_t n;
		int error;
	} cases[] = {
		{&good, sizeof(good), 0},
		{"", 0, -ECONNRESET},
		{&good, sizeof(good) - 1, -EBADMSG},
		{much, sizeof(much), -EBADMSG},
		{&rows[0], sizeof(good), -EPROTONOSUPPORT},
		{&rows[1], sizeof(good), -EBADMSG},
		{&rows[2], sizeof(good), -EBADMSG},
		{&rows[3], sizeof(good), -EBADMSG},
		{&rows[4], sizeof(good), -EBADMSG},
		{NULL, 0, -ETIMEDOUT},
	};
	char path[64];
	sd_event *event;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		rows[i] = good;
	rows[0].version = 99;
	rows[1].op = MQW_HELPER_FLUSH;
	rows[2].status = 77;
	rows[3].text[1] = '\033';
	rows[4].text[100] = 'x';
	memcpy(much, &good, sizeof(good));
	snprintf(path, sizeof(path), "/tmp/mqw-liar-%d.sock", (int)getpid());
	assert_int_equal(sd_event_new(&event), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = start_liar(path, cases[i].bytes, cases[i].n);
		struct mqw_helper_client *c = mqw_helper_client_create(event, path);
		struct outcome o = {0};

		assert_int_equal(
			mqw_helper_call(c, MQW_HELPER_PING, "", "",
				cases[i].bytes ? 20 * MQW_SECOND : MQW_SECOND / 5, done, &o),
			0);
		run_until(event, &o);
		if (o.error != cases[i].error)
			fail_msg("case %zu: %d", i, o.error);
		mqw_helper_client_free(c);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	unlink(path);
	sd_event_unref(event);
}

/* A socket that takes connections and never says a word. */
static int listen_idle(char *ret_path, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(ret_path, size, "/tmp/mqw-idle-%d.sock", (int)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", ret_path);
	unlink(ret_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* Up to the limit; freeing gives them up without a word. */
static void test_limit(void **state)
{
	struct outcome o[MQW_HELPER_CALLS_MAX + 1] = {0};
	struct mqw_helper_client *c;
	sd_event *event;
	char path[64];
	int fd = listen_idle(path, sizeof(path));

	(void)state;
	assert_int_equal(sd_event_new(&event), 0);
	c = mqw_helper_client_create(event, path);
	for (size_t i = 0; i <= MQW_HELPER_CALLS_MAX; i++) {
		int r = mqw_helper_call(c, MQW_HELPER_PING, "", "", MQW_MINUTE, done, &o[i]);

		assert_int_equal(r, i < MQW_HELPER_CALLS_MAX ? 0 : -EBUSY);
	}
	assert_int_equal(mqw_helper_client_pending(c), MQW_HELPER_CALLS_MAX);
	mqw_helper_client_free(c);
	assert_true(sd_event_run(event, 1000) >= 0);
	for (size_t i = 0; i <= MQW_HELPER_CALLS_MAX; i++)
		assert_int_equal(o[i].calls, 0);
	sd_event_unref(event);
	unlink(path);
	close(fd);
}

/* The callback frees the client while another call is under way. */
static void test_free_inside(void **state)
{
	struct mqw_helper_client *c;
	struct outcome o = {.free_this = &c}, other = {0};
	sd_event *event;
	char path[64];
	int fd = listen_idle(path, sizeof(path));

	(void)state;
	assert_int_equal(sd_event_new(&event), 0);
	c = mqw_helper_client_create(event, path);
	assert_int_equal(mqw_helper_call(c, MQW_HELPER_PING, "", "", MQW_SECOND / 20, done, &o), 0);
	assert_int_equal(
		mqw_helper_call(c, MQW_HELPER_PING, "", "", MQW_SECOND / 10, done, &other), 0);
	run_until(event, &o);
	assert_int_equal(o.error, -ETIMEDOUT);
	assert_null(c);
	assert_true(sd_event_run(event, 200000) >= 0);
	assert_int_equal(other.calls, 0);
	sd_event_unref(event);
	unlink(path);
	close(fd);
}

/* A user whom the helper does not know is told so; its request is not even read. */
static void test_not_allowed(void **state)
{
	struct mqw_helper_client *c;
	struct outcome o = {0};
	struct fixture f;
	sd_event *event;
	int status;
	pid_t pid;

	(void)state;
	if (getuid() != 0) {
		print_message("not root: skipped\n");
		skip();
	}
	fixture_make(&f);
	fixture_start(&f, 23456, MQW_SECOND);
	assert_int_equal(chmod(f.directory, 0755), 0);
	assert_int_equal(chmod(f.socket, 0666), 0);
	pid = fork();
	if (pid == 0) {
		if (setuid(23455) < 0 || sd_event_new(&event) < 0)
			_exit(9);
		c = mqw_helper_client_create(event, f.socket);
		status = mqw_helper_call(c, MQW_HELPER_PING, "", "", 20 * MQW_SECOND, done, &o);
		/* It may have ended before the request was sent. */
		if (status < 0)
			_exit(status == -EPIPE ? 0 : 8);
		while (!o.calls)
			sd_event_run(event, 100000);
		mqw_helper_client_free(c);
		sd_event_unref(event);
		_exit(o.error ? 7 : o.status != MQW_HELPER_REFUSED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	fixture_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_no_helper),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_free_inside),
		cmocka_unit_test(test_not_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
