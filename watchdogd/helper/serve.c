/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* struct ucred */
#include "watchdogd/helper/serve.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "watchdogd/base/clock.h"

/* The frame that came, with room to see that it was longer. */
union frame {
	struct mqw_helper_request request;
	char bytes[sizeof(struct mqw_helper_request) + 1];
};

static int set_timeouts(int fd, int64_t timeout)
{
	struct timeval tv = {timeout / MQW_SECOND, timeout % MQW_SECOND};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	return 0;
}

static enum mqw_helper_status refuse(struct mqw_buffer *text, const char *why)
{
	mqw_buffer_add_str(text, why);
	return MQW_HELPER_REFUSED;
}

/* Receives the request. False, with the reason, when there is none that could be looked at. */
static bool receive(int fd, union frame *f, struct mqw_buffer *text)
{
	ssize_t n;

	do
		n = recv(fd, f->bytes, sizeof(f->bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		mqw_buffer_printf(text, "no request came: %s",
			errno == EAGAIN ? "the peer was too slow" : strerror(errno));
	else if (n == 0)
		mqw_buffer_add_str(text, "no request came: the peer is gone");
	else if ((size_t)n != sizeof(f->request) || f->request.magic != MQW_HELPER_MAGIC)
		mqw_buffer_add_str(text, "that is no request");
	else
		return true;
	memset(f, 0, sizeof(*f));
	return false;
}

/* The text as an answer carries it: printable, cut between two characters. */
static void put_text(struct mqw_helper_answer *a, struct mqw_slice shown)
{
	size_t len = 0, n;

	while ((n = mqw_utf8_sequence(mqw_slice_from(shown, len))) > 0 && len + n < sizeof(a->text))
		len += n;
	mqw_helper_field_put(a->text, sizeof(a->text), mqw_slice_head(shown, len));
}

static void answer(int fd, uint32_t op, enum mqw_helper_status status, struct mqw_slice shown)
{
	struct mqw_helper_answer a = {.magic = MQW_HELPER_MAGIC,
		.version = MQW_HELPER_VERSION,
		.op = op,
		.status = status};
	ssize_t n;

	put_text(&a, shown);
	do
		n = send(fd, &a, sizeof(a), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(a))
		fprintf(stderr, SD_NOTICE "the answer could not be sent: %s\n",
			n < 0 ? strerror(errno) : "cut");
}

/* One line for each request. What a refused one held is shown as far as it is sound. */
static void report(const struct mqw_helper *h, const struct ucred *peer,
	const struct mqw_helper_request *q, enum mqw_helper_status status, struct mqw_slice shown)
{
	struct mqw_slice instance = MQW_SLICE_NULL, queue_id = MQW_SLICE_NULL;
	struct mqw_buffer line = {0};
	const char *level = status == MQW_HELPER_REFUSED ? SD_WARNING
		: status == MQW_HELPER_FAILED            ? SD_ERR
		: status == MQW_HELPER_UNHEALTHY         ? SD_NOTICE
							 : SD_INFO;

	mqw_helper_field_get(q->instance, sizeof(q->instance), &instance);
	mqw_helper_field_get(q->queue_id, sizeof(q->queue_id), &queue_id);
	mqw_buffer_printf(
		&line, "%s%s %s", level, mqw_helper_op_name(q->op), mqw_helper_status_name(status));
	if (instance.len) {
		mqw_buffer_add_str(&line, ", instance ");
		mqw_buffer_add_printable(&line, instance);
	}
	if (queue_id.len) {
		mqw_buffer_add_str(&line, ", queue id ");
		mqw_buffer_add_printable(&line, queue_id);
	}
	mqw_buffer_printf(
		&line, ", for uid %ju pid %jd: ", (uintmax_t)peer->uid, (intmax_t)peer->pid);
	mqw_buffer_add(&line, shown);
	if (h->counts)
		mqw_buffer_printf(&line, " (%lu done, %lu refused so far)",
			atomic_load(&h->counts->done), atomic_load(&h->counts->refused));
	fprintf(stderr, "%s\n", mqw_buffer_str(&line));
	mqw_buffer_done(&line);
}

static bool is_allowed(const struct mqw_helper *h, const struct ucred *peer)
{
	return peer->uid == 0 || (h->allowed_user != (uid_t)-1 && peer->uid == h->allowed_user);
}

int mqw_helper_serve(const struct mqw_helper *h, int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	struct mqw_buffer text = {0}, shown = {0};
	enum mqw_helper_status status = MQW_HELPER_REFUSED;
	union frame frame = {0};

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
		set_timeouts(fd, h->receive_timeout) < 0)
		refuse(&text, "that is no connection of a Unix socket");
	else if (!is_allowed(h, &peer))
		refuse(&text, "this user may not ask for anything");
	else if (!receive(fd, &frame, &text))
		;
	else if (frame.request.version != MQW_HELPER_VERSION)
		refuse(&text, "this is another version of the protocol");
	else
		status = mqw_helper_perform(&h->policy, &frame.request, &text);
	mqw_buffer_add_printable(&shown, mqw_buffer_slice(&text));
	if (h->counts)
		atomic_fetch_add(
			status == MQW_HELPER_REFUSED ? &h->counts->refused : &h->counts->done, 1);
	answer(fd, frame.request.op, status, mqw_buffer_slice(&shown));
	report(h, &peer, &frame.request, status, mqw_buffer_slice(&shown));
	mqw_buffer_done(&text);
	mqw_buffer_done(&shown);
	return status == MQW_HELPER_REFUSED;
}
