/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real journald in a mount namespace of the test's process. That needs root and its program. */
#ifndef MQW_TESTS_UNIT_JOURNALD_FIXTURE_H
#define MQW_TESTS_UNIT_JOURNALD_FIXTURE_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "probes/source/journal.h"
#include "watchdogd/base/clock.h"

#define SOCKET "/run/systemd/journal/socket"

static pid_t journald;
static const char *skipped;

struct got {
	sd_event *loop;
	size_t entries, gaps, says, caught_up, want;
	int64_t gap_from, gap_to;
	char last[64]; /* message */
	bool in_order;
	const char *why; /* of each gap */
};

static inline void on_entry(
	void *ctx, const struct mqw_journal_entry *e, struct mqw_evidence evidence)
{
	struct got *g = ctx;
	char want[64];

	assert_int_equal(evidence.source, 7);
	assert_true(e->message.len < sizeof(g->last));
	memcpy(g->last, e->message.ptr, e->message.len);
	g->last[e->message.len] = '\0';
	snprintf(want, sizeof(want), "line %zu", g->entries++);
	g->in_order = g->in_order && strcmp(want, g->last) == 0;
}

static inline void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	struct got *g = ctx;

	assert_string_equal(why, g->why);
	g->gaps++;
	g->gap_from = from;
	g->gap_to = to;
}

static inline void on_caught_up(void *ctx)
{
	struct got *g = ctx;

	g->caught_up++;
	if (g->entries >= g->want)
		sd_event_exit(g->loop, 0);
}

static inline void on_say(void *ctx, const char *text)
{
	struct got *g = ctx;

	assert_true(strlen(text) > 10);
	g->says++;
}

static inline uint32_t number(void *ctx, const char *name)
{
	(void)ctx;
	assert_string_equal(name, "journal");
	return 7;
}

static inline struct mqw_source_ops ops(struct got *g)
{
	*g = (struct got){
		.in_order = true, .why = "the journal no longer holds what was read last"};
	return (struct mqw_source_ops){.entry = on_entry,
		.gap = on_gap,
		.caught_up = on_caught_up,
		.say = on_say,
		.number = number,
		.ctx = g};
}

static inline void need_journald(void)
{
	if (skipped) {
		print_message("skipped: %s\n", skipped);
		skip();
	}
}

static inline void sleep_ms(long ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Sends by the native protocol: libsystemd would keep its socket to another journald. */
static inline void send_field(const char *identifier, int facility, const char *message)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[256];
	int n = snprintf(text, sizeof(text),
		"SYSLOG_IDENTIFIER=%s\nSYSLOG_FACILITY=%d\nSYSLOG_PID=42\nMESSAGE=%s\n", identifier,
		facility, message);

	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, text, (size_t)n, 0, (void *)&to, sizeof(to)), n);
	close(fd);
}

/* Lines first..last of the mail system, each with another's line before it. */
static inline void send_lines(int first, int last)
{
	char text[32];

	for (int i = first; i <= last; i++) {
		snprintf(text, sizeof(text), "line %d", i);
		send_field("cron", 9, "not mail");
		send_field("postfix/smtp", 2, text);
	}
}

static inline struct mqw_journal *journal(
	struct got *g, enum mqw_journal_start start, const char *position)
{
	const struct mqw_journal_options o = {
		.position = position, .start = start, .facility = MQW_JOURNAL_MAIL};
	struct mqw_source_ops to = ops(g);
	struct mqw_journal *j;

	assert_int_equal(mqw_journal_open(&o, &to, &j), 0);
	return j;
}

/* Waits until journald has written so many mail entries in all. */
static inline void wait_entries(size_t want)
{
	for (int i = 0; i < 200; i++, sleep_ms(10)) {
		struct mqw_journal_entry e;
		struct got g;
		struct mqw_journal *j = journal(&g, MQW_JOURNAL_START_OLDEST, NULL);
		size_t n = 0;

		while (mqw_journal_next(j, &e) == 1)
			n++;
		mqw_journal_close(j);
		if (n >= want)
			return;
	}
	fail_msg("journald did not write %zu entries", want);
}

static inline void start_journald(void)
{
	journald = fork();
	assert_true(journald >= 0);
	if (journald == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl("/usr/lib/systemd/systemd-journald", "systemd-journald", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && access(SOCKET, F_OK) < 0; i++)
		sleep_ms(10);
}

static inline void stop_journald(void)
{
	if (journald <= 0)
		return;
	kill(journald, SIGTERM);
	waitpid(journald, NULL, 0);
	journald = 0;
}

static inline int setup(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skipped = "not root";
	} else if (access("/usr/lib/systemd/systemd-journald", X_OK) < 0) {
		skipped = "systemd-journald is not installed";
	} else if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
		mount("mqw-test", "/run", "tmpfs", 0, "mode=0755") || mkdir("/run/log", 0755) ||
		mkdir("/run/log/journal", 0755) || mkdir("/run/systemd", 0755) ||
		mkdir("/run/systemd/journal", 0755)) {
		skipped = "no mount namespace of its own";
	} else if (access("/var/log/journal", F_OK) == 0 &&
		mount("mqw-test", "/var/log", "tmpfs", 0, "mode=0755")) {
		skipped = "/var/log/journal cannot be hidden";
	} else {
		start_journald();
		if (access(SOCKET, F_OK) < 0)
			skipped = "systemd-journald does not start";
	}
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	stop_journald();
	return 0;
}

#endif
