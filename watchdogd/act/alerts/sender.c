/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* pipe2, dup3, close_range */
#include "watchdogd/act/alerts/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child keeps its own time; this is for what holds it up before or besides, as the resolver. */
#define GRACE (10 * MQW_SECOND)
#define LAST_WAIT_MS 3000

struct job {
	struct job *next;
	struct mqw_sender *sender;
	int64_t id;
	pid_t pid;
	int fd; /* its delivery comes here */
	bool late; /* killed at its limit */
	sd_event_source *child, *timer;
};

struct mqw_sender {
	sd_event *event;
	void (*done)(void *ctx, int64_t id, const struct mqw_delivery *d);
	void *ctx;
	struct job *jobs;
};

struct mqw_sender *mqw_sender_create(sd_event *event,
	void (*done)(void *ctx, int64_t id, const struct mqw_delivery *d), void *ctx)
{
	struct mqw_sender *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct mqw_sender){.event = event, .done = done, .ctx = ctx};
	return s;
}

/* Nothing of the daemon's goes with it: no descriptor, no life after its death. */
static void run_child(const struct mqw_alert_config *c, const json_t *notice, int fd)
{
	struct mqw_delivery d;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd != 3) {
		if (dup3(fd, 3, O_CLOEXEC) < 0)
			_exit(1);
		fd = 3;
	}
	close_range(4, ~0U, 0);
	mqw_deliver(c, notice, &d);
	/* Less than PIPE_BUF: it goes through whole or not at all. */
	n = write(fd, &d, sizeof(d));
	_exit(n == (ssize_t)sizeof(d) ? 0 : 1);
}

static void free_job(struct job *j)
{
	struct job **p = &j->sender->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	sd_event_source_unref(j->child);
	sd_event_source_unref(j->timer);
	close(j->fd);
	free(j);
}

static bool read_delivery(const struct job *j, struct mqw_delivery *ret)
{
	if (read(j->fd, ret, sizeof(*ret)) != (ssize_t)sizeof(*ret)) {
		*ret = (struct mqw_delivery){0};
		return false;
	}
	ret->text[sizeof(ret->text) - 1] = '\0';
	return true;
}

/* The child has ended: hands on what it said, or how it ended without a word. */
static void finish(struct job *j, bool killed, int status)
{
	struct mqw_delivery d = {0};
	struct mqw_sender *s = j->sender;
	int64_t id = j->id;
	char text[80];

	if (!read_delivery(j, &d)) {
		if (j->late)
			snprintf(text, sizeof(text), "no answer within the time limit");
		else
			snprintf(text, sizeof(text), "the sending process ended by %s %d",
				killed ? "signal" : "status", status);
		mqw_delivery_say(&d, mqw_slice_of(text));
	}
	free_job(j);
	s->done(s->ctx, id, &d);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	(void)source;
	finish(userdata, info->si_code != CLD_EXITED, info->si_status);
	return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct job *j = userdata;

	(void)source;
	(void)usec;
	j->late = true;
	kill(j->pid, SIGKILL);
	return 0;
}

static int attend(struct job *j, int64_t limit)
{
	int r = sd_event_add_time_relative(
		j->sender->event, &j->timer, CLOCK_MONOTONIC, (uint64_t)limit, 0, on_limit, j);

	if (r >= 0)
		r = sd_event_add_child(j->sender->event, &j->child, j->pid, WEXITED, on_child, j);
	return r;
}

int mqw_sender_send(
	struct mqw_sender *s, int64_t id, const struct mqw_alert_config *c, const json_t *notice)
{
	struct job *j = calloc(1, sizeof(*j));
	int fds[2], r;

	if (!j)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = -errno;
		free(j);
		return r;
	}
	/* The answer is read when the child has ended: nothing is waited for. */
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*j = (struct job){.next = s->jobs, .sender = s, .id = id, .fd = fds[0]};
	fflush(NULL);
	j->pid = fork();
	if (j->pid == 0)
		run_child(c, notice, fds[1]);
	r = j->pid < 0 ? -errno : 0;
	close(fds[1]);
	s->jobs = j;
	if (r == 0) {
		r = attend(j, c->timeout + GRACE);
		if (r < 0) {
			kill(j->pid, SIGKILL);
			waitpid(j->pid, NULL, 0);
		}
	}
	if (r < 0)
		free_job(j);
	return r < 0 ? r : 0;
}

struct mqw_sender *mqw_sender_free(struct mqw_sender *s)
{
	int left = LAST_WAIT_MS;
	struct job *next;

	if (!s)
		return NULL;
	for (struct job *j = s->jobs; j; j = next) {
		struct pollfd fd = {.fd = j->fd, .events = POLLIN};
		struct mqw_delivery d;
		int64_t id = j->id;
		bool said;

		next = j->next;
		for (; left > 0 && poll(&fd, 1, 100) == 0; left -= 100)
			;
		j->child = sd_event_source_unref(j->child);
		kill(j->pid, SIGKILL);
		waitpid(j->pid, NULL, 0);
		said = read_delivery(j, &d);
		free_job(j);
		/* What has not been answered is sent again after the next start. */
		if (said)
			s->done(s->ctx, id, &d);
	}
	free(s);
	return NULL;
}
