/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests to the API over its socket, byte by byte, and made up answers for it to give. */
#ifndef MQW_TESTS_UNIT_API_REQUESTS_FIXTURE_H
#define MQW_TESTS_UNIT_API_REQUESTS_FIXTURE_H

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "api_fixture.h"
#include "watchdogd/base/json_text.h"

static inline json_t *fake_status(void *ctx)
{
	return json_pack("{s:s}", "version", (const char *)ctx);
}

/* Says what was asked. */
static inline json_t *fake_list(void *ctx, const struct mqw_api_query *q)
{
	(void)ctx;
	if (mqw_slice_eq(q->instance, MQW_LIT("nobody")))
		return NULL;
	return json_pack("{s:[],s:i,s:o,s:I}", "messages", "verdict", (int)q->verdict, "instance",
		mqw_json_text(q->instance), "limit", (json_int_t)q->limit);
}

static inline json_t *fake_show(void *ctx, struct mqw_slice queue_id)
{
	(void)ctx;
	if (mqw_slice_eq(queue_id, MQW_LIT("GONE")))
		return NULL;
	return json_pack("{s:o}", "asked", mqw_json_text(queue_id));
}

static inline json_t *fake_action(void *ctx, int64_t id)
{
	(void)ctx;
	return id == 7 ? json_pack("{s:I}", "id", (json_int_t)id) : NULL;
}

/* Says what was asked. */
static inline json_t *fake_act(void *ctx, const struct mqw_api_act *q, const char **ret_fault)
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

static inline int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Sends as far as the other side takes it: it may hang up in the middle of a request. */
static inline void send_all(int fd, struct mqw_slice s)
{
	while (s.len) {
		ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		s = mqw_slice_from(s, (size_t)n);
	}
}

/* Whether there is something to read, or an end, within so many milliseconds. */
static inline bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* All until the other side closes; fails the test when that takes too long. */
static inline void receive_all(int fd, struct mqw_buffer *ret)
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
static inline int ask(
	const char *socket, const char *method, const char *target, struct mqw_buffer *ret)
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

static inline bool contains(const struct mqw_buffer *b, const char *what)
{
	return strstr(mqw_buffer_str(b), what) != NULL;
}

static inline const char *body_of(const struct mqw_buffer *b)
{
	const char *p = strstr(mqw_buffer_str(b), "\r\n\r\n");

	assert_non_null(p);
	return p + 4;
}

static inline int start_server(void **state)
{
	return fixture_setup(state, &ops);
}

#endif
