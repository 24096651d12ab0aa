/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* pipe2, dup3, close_range */
#include "watchdogd/act/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/act/net_service.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/base/credentials.h"
#include "watchdogd/base/process.h"

#define COMMAND_LIMIT (180 * MQW_SECOND)
#define OUTPUT_MAX 16384
#define GRACE (15 * MQW_SECOND)

struct mqw_remote_call {
	mqw_helper_done *done;
	void *ctx;
	pid_t pid;
	int fd; /* its answer comes here */
	bool late; /* killed at its limit */
	sd_event_source *child, *timer;
};

/* What the child makes its calls of net with. */
struct net {
	const struct mqw_remote *remote;
	const char *credentials; /* path */
};

static void call_net(void *ctx, const char *verb, const char *service, struct mqw_net_answer *ret)
{
	const struct net *n = ctx;
	char option[64];
	const char *argv[] = {"net", "rpc", "service", verb, service, "-S", n->remote->host, "-A",
		n->credentials, NULL, NULL};
	struct mqw_process p = {
		.argv = argv, .timeout = MQW_NET_CALL_LIMIT, .max_output = OUTPUT_MAX};
	int r;

	if (n->remote->min_protocol) {
		snprintf(option, sizeof(option), "--option=client min protocol=%s",
			n->remote->min_protocol);
		argv[9] = option;
	}
	r = mqw_process_run(&p);
	mqw_net_answer_parse(
		mqw_buffer_slice(&p.out), mqw_buffer_slice(&p.err), r, MQW_NET_CALL_LIMIT, ret);
	mqw_process_done(&p);
}

static int64_t now(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

static void sleep_for(void *ctx, int64_t span)
{
	const struct timespec ts = {span / MQW_SECOND, (span % MQW_SECOND) * 1000};

	(void)ctx;
	nanosleep(&ts, NULL);
}

/* Looked at here so that a person is told what is wrong with the file; net reads it for itself. */
static bool check_credentials(const char *path, struct mqw_buffer *text)
{
	struct mqw_credentials c;
	struct mqw_buffer why = {0};
	int r = mqw_credentials_read(path, &c, &why);

	mqw_credentials_done(&c);
	if (r < 0)
		mqw_buffer_printf(text,
			"user name and password cannot be taken from %s: %s; nothing was "
			"restarted",
			path, mqw_buffer_str(&why));
	mqw_buffer_done(&why);
	return r == 0;
}

static enum mqw_helper_status run_net(
	const struct mqw_remote *remote, enum mqw_remote_what what, struct mqw_buffer *text)
{
	const struct mqw_net_target target = {remote->host, remote->services};
	struct mqw_buffer path = {0};
	struct net net = {.remote = remote};
	const struct mqw_net_ops ops = {
		.call = call_net, .now = now, .sleep = sleep_for, .ctx = &net};
	enum mqw_helper_status status = MQW_HELPER_FAILED;

	if (mqw_credentials_path(remote->credentials, &path)) {
		net.credentials = mqw_buffer_str(&path);
		if (check_credentials(net.credentials, text))
			status = what == MQW_REMOTE_RESTART ? mqw_net_restart(&target, &ops, text)
							    : mqw_net_finish(&target, &ops, text);
	}
	mqw_buffer_done(&path);
	return status;
}

static enum mqw_helper_status run_command(
	const struct mqw_remote *remote, enum mqw_remote_what what, struct mqw_buffer *text)
{
	struct mqw_process p = {
		.argv = remote->command, .timeout = COMMAND_LIMIT, .max_output = OUTPUT_MAX};
	enum mqw_helper_status status = MQW_HELPER_FAILED;
	int r;

	if (what == MQW_REMOTE_FINISH) {
		mqw_buffer_printf(text,
			"%s was running when the watchdog ended: look at the service on %s",
			remote->command[0], remote->host);
		return MQW_HELPER_ALREADY;
	}
	r = mqw_process_run(&p);
	if (r < 0) {
		mqw_buffer_printf(text, "%s could not be run to its end: %s", remote->command[0],
			strerror(-r));
	} else if (p.status != 0) {
		mqw_buffer_printf(text, "%s ended with status %d: ", remote->command[0], p.status);
		mqw_buffer_add(text, mqw_process_complaint(&p));
	} else {
		mqw_buffer_printf(text, "%s was run", remote->command[0]);
		status = MQW_HELPER_OK;
	}
	mqw_process_done(&p);
	return status;
}

static void make_answer(
	const struct mqw_buffer *text, enum mqw_helper_status status, struct mqw_helper_answer *ret)
{
	struct mqw_buffer shown = {0};

	*ret = (struct mqw_helper_answer){.magic = MQW_HELPER_MAGIC,
		.version = MQW_HELPER_VERSION,
		.op = MQW_HELPER_RESTART,
		.status = status};
	mqw_buffer_add_printable(&shown, mqw_buffer_slice(text));
	snprintf(ret->text, sizeof(ret->text), "%s", mqw_buffer_str(&shown));
	mqw_buffer_done(&shown);
}

/*
 * Nothing of the daemon's goes with it but its right to run programs. Its death is not the daemon's,
 * and the SIGTERM by which systemd ends what is left of a unit is not obeyed: between stop and start
 * no mail leaves that host.
 */
static void run_child(const struct mqw_remote *remote, enum mqw_remote_what what, int fd)
{
	struct mqw_buffer text = {0};
	struct mqw_helper_answer answer;
	enum mqw_helper_status status;
	ssize_t n;

	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (fd != 3) {
		if (dup3(fd, 3, O_CLOEXEC) < 0)
			_exit(1);
		fd = 3;
	}
	close_range(4, ~0U, 0);
	status = remote->command ? run_command(remote, what, &text) : run_net(remote, what, &text);
	make_answer(&text, status, &answer);
	/* Less than PIPE_BUF: it goes through whole or not at all. */
	n = write(fd, &answer, sizeof(answer));
	_exit(n == (ssize_t)sizeof(answer) ? 0 : 1);
}

struct mqw_remote_call *mqw_remote_cancel(struct mqw_remote_call *c)
{
	if (!c)
		return NULL;
	/* The child becomes init's when the daemon ends. */
	sd_event_source_disable_unref(c->child);
	sd_event_source_disable_unref(c->timer);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
	return NULL;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct mqw_remote_call *c = userdata;
	struct mqw_helper_answer a = {0};
	ssize_t n = read(c->fd, &a, sizeof(a));
	int error = c->late ? -ETIMEDOUT : -ECONNRESET;
	mqw_helper_done *done = c->done;
	void *ctx = c->ctx;

	(void)source;
	(void)info;
	if (n == (ssize_t)sizeof(a))
		error = mqw_helper_answer_check(&a, (size_t)n, MQW_HELPER_RESTART);
	mqw_remote_cancel(c);
	done(ctx, error, error == 0 ? &a : NULL);
	return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqw_remote_call *c = userdata;

	(void)source;
	(void)usec;
	c->late = true;
	kill(c->pid, SIGKILL);
	return 0;
}

static int attend(sd_event *event, struct mqw_remote_call *c)
{
	int r = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC,
		(uint64_t)(MQW_NET_LIMIT + GRACE), 0, on_limit, c);

	if (r >= 0)
		r = sd_event_add_child(event, &c->child, c->pid, WEXITED, on_child, c);
	return r;
}

int mqw_remote_begin(sd_event *event, const struct mqw_remote *remote, enum mqw_remote_what what,
	mqw_helper_done *done, void *ctx, struct mqw_remote_call **ret)
{
	struct mqw_remote_call *c = calloc(1, sizeof(*c));
	int fds[2], r = 0;

	if (!c)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = -errno;
		free(c);
		return r;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*c = (struct mqw_remote_call){.done = done, .ctx = ctx, .fd = fds[0]};
	fflush(NULL);
	c->pid = fork();
	if (c->pid == 0)
		run_child(remote, what, fds[1]);
	r = c->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (r == 0) {
		r = attend(event, c);
		if (r < 0) {
			kill(c->pid, SIGKILL);
			waitpid(c->pid, NULL, 0);
		}
	}
	if (r < 0)
		mqw_remote_cancel(c);
	else
		*ret = c;
	return r < 0 ? r : 0;
}
