/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/helper/client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct call {
	struct call *next;
	struct mqw_helper_client *client;
	sd_event_source *io, *timer;
	int fd;
	uint32_t op;
	mqw_helper_done *done;
	void *ctx;
};

struct mqw_helper_client {
	sd_event *event;
	struct sockaddr_un address;
	struct call *calls;
	size_t count;
	struct mqw_helper_tally tally;
};

static struct call *call_free(struct call *call)
{
	if (!call)
		return NULL;
	sd_event_source_disable_unref(call->io);
	sd_event_source_disable_unref(call->timer);
	if (call->fd >= 0)
		close(call->fd);
	free(call);
	return NULL;
}

/* The call is out of the list before the callback is called: that may free the client. */
static void call_end(struct call *call, int error, const struct mqw_helper_answer *a)
{
	struct mqw_helper_client *c = call->client;
	struct call **at = &c->calls;
	mqw_helper_done *done = call->done;
	void *ctx = call->ctx;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	c->count--;
	call_free(call);
	done(ctx, error, a);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct call *call = ctx;
	struct {
		struct mqw_helper_answer a;
		char beyond; /* to see that a frame was longer */
	} frame;
	ssize_t n = recv(fd, &frame, sizeof(frame), MSG_DONTWAIT);
	int r;

	(void)source;
	/* Linux says so first where the helper left our request unread; its answer may follow. */
	if (n < 0 && errno == ECONNRESET)
		n = recv(fd, &frame, sizeof(frame), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR) && !(events & (EPOLLHUP | EPOLLERR)))
		return 0;
	if (n <= 0)
		r = n < 0 ? -errno : -ECONNRESET;
	else
		r = mqw_helper_answer_check(&frame.a, (size_t)n, call->op);
	if (r == 0 && frame.a.status == MQW_HELPER_REFUSED)
		call->client->tally.refused++;
	call_end(call, r, r == 0 ? &frame.a : NULL);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *ctx)
{
	(void)source;
	(void)usec;
	call_end(ctx, -ETIMEDOUT, NULL);
	return 0;
}

struct mqw_helper_client *mqw_helper_client_create(sd_event *event, const char *path)
{
	struct mqw_helper_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->address.sun_family = AF_UNIX;
	/* A path that does not fit is no socket: each call says so. */
	if (strlen(path) < sizeof(c->address.sun_path))
		memcpy(c->address.sun_path, path, strlen(path) + 1);
	c->event = sd_event_ref(event);
	return c;
}

struct mqw_helper_client *mqw_helper_client_free(struct mqw_helper_client *c)
{
	if (!c)
		return NULL;
	while (c->calls) {
		struct call *next = c->calls->next;

		call_free(c->calls);
		c->calls = next;
	}
	sd_event_unref(c->event);
	free(c);
	return NULL;
}

size_t mqw_helper_client_pending(const struct mqw_helper_client *c)
{
	return c->count;
}

struct mqw_helper_tally mqw_helper_client_tally(const struct mqw_helper_client *c)
{
	return c->tally;
}

static int call_connect(struct call *call)
{
	const struct sockaddr_un *address = &call->client->address;

	if (!address->sun_path[0])
		return -ENOENT;
	call->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (call->fd < 0 ||
		connect(call->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	return 0;
}

/*
 * On a Unix socket neither connecting nor sending one small frame waits: they do it or fail. The
 * sending comes last, as it cannot be taken back.
 */
static int call_start(struct call *call, const struct mqw_helper_request *q, int64_t timeout)
{
	sd_event *event = call->client->event;
	int r = call_connect(call);

	if (r >= 0)
		r = sd_event_add_io(event, &call->io, call->fd, EPOLLIN, on_answer, call);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &call->timer, CLOCK_MONOTONIC,
			(uint64_t)(timeout > 0 ? timeout : 0), 0, on_deadline, call);
	if (r >= 0 && send(call->fd, q, sizeof(*q), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		r = -errno;
	return r < 0 ? r : 0;
}

int mqw_helper_call(struct mqw_helper_client *c, enum mqw_helper_op op, const char *instance,
	const char *queue_id, int64_t timeout, mqw_helper_done *done, void *ctx)
{
	struct mqw_helper_request q = {
		.magic = MQW_HELPER_MAGIC, .version = MQW_HELPER_VERSION, .op = op};
	struct call *call;
	int r;

	if (!mqw_helper_field_put(q.instance, sizeof(q.instance), mqw_slice_of(instance)) ||
		!mqw_helper_field_put(q.queue_id, sizeof(q.queue_id), mqw_slice_of(queue_id)))
		return -EINVAL;
	if (c->count >= MQW_HELPER_CALLS_MAX)
		return -EBUSY;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct call){
		.client = c, .fd = -1, .op = op, .done = done, .ctx = ctx, .next = c->calls};
	r = call_start(call, &q, timeout);
	if (r < 0) {
		call_free(call);
		return r;
	}
	c->calls = call;
	c->count++;
	c->tally.asked++;
	return 0;
}
