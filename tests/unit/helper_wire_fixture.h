/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests to a helper over its socket, byte by byte, and what it has to answer. */
#ifndef MQW_TESTS_UNIT_HELPER_WIRE_FIXTURE_H
#define MQW_TESTS_UNIT_HELPER_WIRE_FIXTURE_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "helper_fixture.h"
#include "watchdogd/base/clock.h"

#define SLOW (MQW_SECOND / 2)

static inline int connect_to(const struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {20, 0};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket);
	for (int i = 0; connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0; i++) {
		assert_in_range(i, 0, 100);
		usleep(10000);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static inline struct mqw_helper_request request(
	uint32_t op, const char *instance, const char *queue_id)
{
	struct mqw_helper_request q = {
		.magic = MQW_HELPER_MAGIC, .version = MQW_HELPER_VERSION, .op = op};

	assert_true(mqw_helper_field_put(q.instance, sizeof(q.instance), mqw_slice_of(instance)));
	assert_true(mqw_helper_field_put(q.queue_id, sizeof(q.queue_id), mqw_slice_of(queue_id)));
	return q;
}

/* Sends bytes and receives the answer to op; NULL bytes: sends nothing. */
static inline struct mqw_helper_answer ask_bytes(
	const struct fixture *f, const void *bytes, size_t n, uint32_t op)
{
	struct mqw_helper_answer a = {0};
	int fd = connect_to(f), r;
	ssize_t got;

	/* Whom it does not know the helper answers without listening, and may be gone by now. */
	if (bytes && send(fd, bytes, n, MSG_NOSIGNAL) < 0)
		assert_int_equal(errno, EPIPE);
	do
		got = recv(fd, &a, sizeof(a), 0);
	while (got < 0 && errno == ECONNRESET);
	assert_true(got > 0);
	close(fd);
	r = mqw_helper_answer_check(&a, (size_t)got, op);
	if (r != 0)
		fail_msg("the answer is none: %s, op %u, status %u, %s", strerror(-r), a.op,
			a.status, a.text);
	return a;
}

static inline void expect(const struct fixture *f, const struct mqw_helper_request *q,
	enum mqw_helper_status status, const char *text)
{
	struct mqw_helper_answer a = ask_bytes(f, q, sizeof(*q), q->op);

	if (a.status != status || !strstr(a.text, text))
		fail_msg("%s of %s %s: %s: %s", mqw_helper_op_name(q->op), q->instance, q->queue_id,
			mqw_helper_status_name(a.status), a.text);
}

static inline void expect_op(const struct fixture *f, uint32_t op, const char *instance,
	const char *queue_id, enum mqw_helper_status status, const char *text)
{
	struct mqw_helper_request q = request(op, instance, queue_id);

	expect(f, &q, status, text);
}

static inline void expect_serving(const struct fixture *f)
{
	expect_op(f, MQW_HELPER_PING, "", "", MQW_HELPER_OK, "mailq-watchdog-helper");
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_make(f);
	fixture_start(f, getuid(), SLOW);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

#endif
