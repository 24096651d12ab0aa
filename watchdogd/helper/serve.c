/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* struct ucred */
#include "watchdogd/helper/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
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

static int level_of(enum mqw_helper_status status)
{
	return status == MQW_HELPER_REFUSED      ? LOG_WARNING
		: status == MQW_HELPER_FAILED    ? LOG_ERR
		: status == MQW_HELPER_UNHEALTHY ? LOG_NOTICE
						 : LOG_INFO;
}

struct said {
	const struct ucred *peer;
	enum mqw_helper_status status;
	const char *op, *text;
	struct mqw_buffer instance, queue_id; /* as far as they are sound; printable */
	unsigned long done, refused;
};

/* systemd sets it where the standard error is the journal: then with fields. */
static void put_line(const struct said *s, const char *line)
{
	int level = level_of(s->status);
	char *unit = NULL;

	if (!getenv("JOURNAL_STREAM")) {
		fprintf(stderr, "<%d>%s\n", level, line);
		return;
	}
	/* journald may look when this process is gone; by this field `journalctl -u` finds it. */
	(void)sd_pid_get_unit(0, &unit);
	sd_journal_send("MESSAGE=%s", line, "PRIORITY=%d", level, "MESSAGE_ID=%s",
		s->status == MQW_HELPER_REFUSED ? MQW_HELPER_MESSAGE_REFUSED
						: MQW_HELPER_MESSAGE_DONE,
		"SYSLOG_IDENTIFIER=mailq-watchdog-helper", "ACTION=%s", s->op, "STATUS=%s",
		mqw_helper_status_name(s->status), "INSTANCE=%s", mqw_buffer_str(&s->instance),
		"QUEUE_ID=%s", mqw_buffer_str(&s->queue_id), "PEER_UID=%ju",
		(uintmax_t)s->peer->uid, "PEER_PID=%jd", (intmax_t)s->peer->pid, "CAUSE=%s",
		s->text, "COUNT_DONE=%lu", s->done, "COUNT_REFUSED=%lu", s->refused,
		unit ? "OBJECT_SYSTEMD_UNIT=%s" : NULL, unit, NULL);
	free(unit);
}

/* One line for each request. What a refused one held is shown as far as it is sound. */
static void report(const struct mqw_helper *h, const struct ucred *peer,
	const struct mqw_helper_request *q, enum mqw_helper_status status, const char *shown)
{
	struct mqw_slice instance = MQW_SLICE_NULL, queue_id = MQW_SLICE_NULL;
	struct mqw_buffer line = {0};
	struct said s = {
		.peer = peer, .status = status, .op = mqw_helper_op_name(q->op), .text = shown};

	mqw_helper_field_get(q->instance, sizeof(q->instance), &instance);
	mqw_helper_field_get(q->queue_id, sizeof(q->queue_id), &queue_id);
	mqw_buffer_add_printable(&s.instance, instance);
	mqw_buffer_add_printable(&s.queue_id, queue_id);
	mqw_buffer_printf(&line, "%s %s", s.op, mqw_helper_status_name(status));
	if (instance.len)
		mqw_buffer_printf(&line, ", instance %s", mqw_buffer_str(&s.instance));
	if (queue_id.len)
		mqw_buffer_printf(&line, ", queue id %s", mqw_buffer_str(&s.queue_id));
	mqw_buffer_printf(&line, ", for uid %ju pid %jd: %s", (uintmax_t)peer->uid,
		(intmax_t)peer->pid, shown);
	if (h->counts) {
		s.done = atomic_load(&h->counts->done);
		s.refused = atomic_load(&h->counts->refused);
		mqw_buffer_printf(&line, " (%lu done, %lu refused so far)", s.done, s.refused);
	}
	put_line(&s, mqw_buffer_str(&line));
	mqw_buffer_done(&line);
	mqw_buffer_done(&s.instance);
	mqw_buffer_done(&s.queue_id);
}

static bool is_allowed(const struct mqw_helper *h, const struct ucred *peer)
{
	return peer->uid == 0 || (h->allowed_user != (uid_t)-1 && peer->uid == h->allowed_user);
}

/* Before a byte of the peer's is looked at. */
static void confine(const struct mqw_helper *h)
{
	int r = mqw_syscalls_confine(
		MQW_MAY_READ | MQW_MAY_WRITE | MQW_MAY_CONNECT | MQW_MAY_CHOWN | MQW_MAY_RUN,
		h->policy.filter);

	if (r < 0)
		fprintf(stderr, SD_WARNING "system calls could not be given up: %s\n",
			strerror(-r));
}

int mqw_helper_serve(const struct mqw_helper *h, int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	struct mqw_buffer text = {0}, shown = {0};
	enum mqw_helper_status status = MQW_HELPER_REFUSED;
	union frame frame = {0};

	confine(h);
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
	report(h, &peer, &frame.request, status, mqw_buffer_str(&shown));
	mqw_buffer_done(&text);
	mqw_buffer_done(&shown);
	return status == MQW_HELPER_REFUSED;
}

struct mqw_helper_counts *mqw_helper_counts_open(const char *directory)
{
	struct mqw_helper_counts *counts = MAP_FAILED;
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

	if (dir >= 0)
		fd = openat(dir, "counts", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Where it is as long as that already, nothing changes. */
	if (fd >= 0 && ftruncate(fd, sizeof(*counts)) == 0)
		counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return counts == MAP_FAILED ? NULL : counts;
}
