/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mailq-watchdog-smb: reads the logs on one share for the daemon, which starts it, gives it the known
 * places on standard input and takes frames from standard output (probes/source/share_frame.h); or looks
 * into a mailroot there once, and gives what it found as an object (probes/windows/mailroot_look.h). It is
 * a program of its own so that a server can hold up or break this process alone, and since
 * libsmbclient is under the GPL-3.
 */
#define _GNU_SOURCE /* pipe2, close_range */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/base/fd.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/share/mailroot.h"
#include "watchdogd/share/server_clock.h"
#include "watchdogd/share/smb.h"

#define POSITION_MAX ((size_t)1024 * 1024)
/* Between two passes, if the server tells of no change before. */
#define POLL (2 * MQW_SECOND)
#define WATCH_AGAIN (5 * MQW_MINUTE)
/* A list that takes long is asked for less often: a pass is at most so large a share of the time. */
#define PASS_SHARE 10
#define WAIT_MAX (20 * MQW_SECOND)
#define CLOCK_EVERY MQW_HOUR

struct reader {
	struct mqw_share_url url;
	const char *url_text, *credentials_path, *min_protocol;
	struct mqw_credentials credentials;
	struct mqw_smb *smb;
	struct mqw_walk *walk;
	int64_t ahead, asked_at; /* the server's clock; MQW_TIME_NONE */
	int changes; /* the end of a pipe where changes are told; -1 */
	int64_t watched_at; /* when the process that waits for them was started; MQW_TIME_NONE */
};

static int64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

static int to_daemon = STDOUT_FILENO;

static int send_frame(void *ctx, struct mqw_share_frame *f, struct mqw_slice payload)
{
	(void)ctx;
	return mqw_share_frame_send(to_daemon, f, payload);
}

/* libsmbclient has things to say on standard output, whatever its level of debugging is. */
static void keep_output(void)
{
	int copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	if (copy >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		to_daemon = copy;
}

static int fail(const char *text)
{
	struct mqw_share_frame f = {.kind = MQW_SHARE_FAIL};

	send_frame(NULL, &f, mqw_slice_head(mqw_slice_of(text), 500));
	return 1;
}

/* What an error of libsmbclient means to a person. */
static const char *meaning_of(int error)
{
	static const struct {
		int error;
		const char *means;
	} known[] = {
		{EACCES,
			"the server refuses: user name or password are wrong, or this user may not "
			"read the folder"},
		{EPERM,
			"the server refuses: user name or password are wrong, or this user may not "
			"read the folder"},
		{ENOENT, "the server has no such share or folder"},
		{ENODEV, "the server has no such share"},
		{ENOTDIR, "it is no folder"},
		{ETIMEDOUT, "the server does not answer"},
		{ECONNREFUSED, "the server refuses the connection: nothing listens on port 445"},
		{ECONNRESET, "the server has ended the connection"},
		{ENOTCONN, "the connection to the server is lost"},
		{EHOSTUNREACH, "the server cannot be reached"},
		{ENETUNREACH, "the server cannot be reached: there is no way to its network"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].error == error)
			return known[i].means;
	return strerror(error);
}

static int fail_of_share(const struct reader *r, int error)
{
	char text[400];

	snprintf(text, sizeof(text), "%s (%s, as user \"%.100s\" of %.100s)", meaning_of(error),
		strerror(error), r->credentials.user, r->credentials_path);
	return fail(text);
}

static int load_places(struct reader *r)
{
	struct mqw_buffer position = {0};
	int e = mqw_fd_read_all(STDIN_FILENO, POSITION_MAX, &position);

	if (e == 0)
		e = mqw_walk_load(r->walk, mqw_buffer_slice(&position));
	mqw_buffer_done(&position);
	return e;
}

/* How far the server's clock is ahead: asked at the start, and now and then, since clocks are set. */
static void ask_clock(struct reader *r)
{
	char host[256];
	int64_t now = monotonic();

	if (r->asked_at != MQW_TIME_NONE && now - r->asked_at < CLOCK_EVERY)
		return;
	r->asked_at = now;
	snprintf(host, sizeof(host), "%.*s", (int)r->url.host.len, r->url.host.ptr);
	mqw_server_clock(host, r->min_protocol, &r->ahead);
}

static void tell_change(void *ctx)
{
	if (write(*(const int *)ctx, "x", 1) < 0 && errno != EAGAIN)
		_exit(0);
}

/*
 * Waits for changes, in a process of its own since libsmbclient waits for nothing else meanwhile. What
 * it says is a hint to look at once: servers tell of new files, of more in a file they often do not.
 */
static void run_watch(const struct reader *r, int fd)
{
	struct mqw_smb *s;

	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(1);
	fd = 3;
	close_range(4, ~0U, 0);
	s = mqw_smb_create(&r->url, &r->credentials, r->min_protocol);
	if (s)
		mqw_smb_watch(s, tell_change, &fd);
	_exit(0);
}

static void start_watch(struct reader *r)
{
	int fds[2];
	pid_t pid;

	if (r->watched_at != MQW_TIME_NONE && monotonic() - r->watched_at < WATCH_AGAIN)
		return;
	r->watched_at = monotonic();
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	pid = fork();
	if (pid == 0)
		run_watch(r, fds[1]);
	close(fds[1]);
	if (pid > 0)
		r->changes = fds[0];
	else
		close(fds[0]);
}

static void end_watch(struct reader *r)
{
	close(r->changes);
	r->changes = -1;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void pause_between(struct reader *r, int64_t took)
{
	int64_t wait = took * PASS_SHARE;
	struct pollfd changes;
	char bytes[256];

	if (wait > POLL) {
		usleep((useconds_t)(wait < WAIT_MAX ? wait : WAIT_MAX));
		return;
	}
	if (r->changes < 0)
		start_watch(r);
	changes = (struct pollfd){.fd = r->changes, .events = POLLIN};
	if (poll(&changes, 1, (int)(POLL / 1000)) > 0 &&
		read(r->changes, bytes, sizeof(bytes)) == 0)
		end_watch(r);
}

static int run(struct reader *r)
{
	int e = load_places(r);

	while (e == 0) {
		int64_t began = monotonic(), ahead;

		ask_clock(r);
		ahead = r->ahead == MQW_TIME_NONE ? 0 : r->ahead;
		e = mqw_walk_pass(r->walk, began, mqw_clock_now() + ahead, r->ahead);
		if (e == 0)
			pause_between(r, monotonic() - began);
	}
	return fail_of_share(r, -e);
}

static int read_credentials(struct reader *r)
{
	struct mqw_buffer why = {0};
	char text[500];
	int e = mqw_credentials_read(r->credentials_path, &r->credentials, &why);

	if (e < 0) {
		snprintf(text, sizeof(text),
			"user name and password cannot be taken from %.200s: %s",
			r->credentials_path, mqw_buffer_str(&why));
		fail(text);
	}
	mqw_buffer_done(&why);
	return e;
}

static int give(const json_t *j)
{
	struct mqw_buffer text = {0};
	int e;

	mqw_json_add(&text, j);
	e = text.failed ? -ENOMEM : mqw_fd_write_all(to_daemon, mqw_buffer_slice(&text));
	mqw_buffer_done(&text);
	return e < 0 ? 1 : 0;
}

/* One look into a mailroot: queued_before is so many seconds before the server's now. */
static int look(struct reader *r, const char *age, const char *bad_since)
{
	struct mqw_mailroot_wish wish = {.bad_since = strtoll(bad_since, NULL, 10)};
	struct mqw_buffer why = {0};
	json_t *j = NULL;
	int e = mqw_credentials_read(r->credentials_path, &r->credentials, &why);

	if (e == 0) {
		ask_clock(r);
		wish.now = mqw_clock_now() + (r->ahead == MQW_TIME_NONE ? 0 : r->ahead);
		wish.queued_before = wish.now - strtoll(age, NULL, 10) * MQW_SECOND;
		e = mqw_share_mailroot(&r->url, &r->credentials, r->min_protocol, &wish, &j);
		if (e == -ENOTDIR)
			mqw_buffer_add_str(
				&why, "it is no mailroot: neither Queue nor Pickup is in it");
		else if (e < 0)
			mqw_buffer_printf(&why, "%s (%s)", meaning_of(-e), strerror(-e));
	}
	if (e < 0)
		j = json_pack("{s:o}", "error", mqw_json_text(mqw_buffer_slice(&why)));
	e = give(j);
	json_decref(j);
	mqw_buffer_done(&why);
	mqw_credentials_done(&r->credentials);
	return e;
}

int main(int argc, char **argv)
{
	struct reader r = {.ahead = MQW_TIME_NONE,
		.asked_at = MQW_TIME_NONE,
		.watched_at = MQW_TIME_NONE,
		.changes = -1};
	struct mqw_share_ops ops = {.send = send_frame};
	int status = 1;

	if (argc != 4 && argc != 6) {
		fputs("usage: mailq-watchdog-smb CREDENTIALS MIN-PROTOCOL|\"\" "
		      "smb://HOST/SHARE/... [AGE BAD-SINCE]\n"
		      "Started by mailq-watchdogd; see mailq-watchdogd.yaml(5).\n",
			stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
	/* Nothing of the password in a dump. */
	prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
	keep_output();
	r.credentials_path = argv[1];
	r.min_protocol = argv[2][0] ? argv[2] : NULL;
	r.url_text = argv[3];
	if (mqw_share_url_parse(mqw_slice_of(r.url_text), &r.url))
		return fail("its address makes no sense");
	if (argc == 6)
		return look(&r, argv[4], argv[5]);
	if (read_credentials(&r) < 0)
		return 1;
	r.smb = mqw_smb_create(&r.url, &r.credentials, r.min_protocol);
	if (r.smb) {
		mqw_smb_ops(r.smb, &ops);
		r.walk = mqw_walk_create(r.url.name, &ops);
	}
	if (r.walk)
		status = run(&r);
	else
		fail("libsmbclient cannot be set up, or does not know the protocol that is "
		     "configured");
	mqw_walk_free(r.walk);
	mqw_smb_free(r.smb);
	mqw_credentials_done(&r.credentials);
	return status;
}
