/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Servers of tests/sink.py and a sender in a real event loop, for the tests of deliveries. */
#ifndef MQW_TESTS_UNIT_SENDER_FIXTURE_H
#define MQW_TESTS_UNIT_SENDER_FIXTURE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watchdogd/act/alerts/sender.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static char dir[64], url[64];
static pid_t sink_pid;
static sd_event *event;
static struct mqw_sender *sender;
static int answers;
static struct mqw_delivery last;
static int64_t last_id;
static json_t *notice;

__attribute__((unused)) static const char *const one[] = {"postmaster@example.com", NULL};

static inline void on_done(void *ctx, int64_t id, const struct mqw_delivery *d)
{
	(void)ctx;
	answers++;
	last = *d;
	last_id = id;
}

/* Starts a sink with more arguments; url is where it listens. */
static inline void start_sink(const char *kind, const char *a, const char *b, const char *c)
{
	const char *const argv[] = {"python3", "tests/sink.py", kind, dir, a, b, c, NULL};
	int fds[2], port = 0;
	char text[16] = "";

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	sink_pid = fork();
	if (sink_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	port = atoi(text);
	assert_in_range(port, 1, 65535);
	snprintf(url, sizeof(url), "%s://127.0.0.1:%d", strcmp(kind, "smtp") ? "http" : "smtp",
		port);
}

static inline void start(const char *kind, const char *a, const char *b)
{
	start_sink(kind, a, b, NULL);
}

static inline void stop(void)
{
	if (sink_pid > 0) {
		kill(sink_pid, SIGKILL);
		waitpid(sink_pid, NULL, 0);
	}
	sink_pid = 0;
}

static inline int setup(void **state)
{
	sigset_t mask;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	snprintf(dir, sizeof(dir), "/tmp/mqw-sender-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(sd_event_new(&event), 0);
	sender = mqw_sender_create(event, on_done, NULL);
	assert_non_null(sender);
	notice = mqw_notice_test_json(TOKEN, "mx1", "ops", INT64_C(1795572000000000));
	assert_non_null(notice);
	answers = 0;
	return 0;
}

static inline int teardown(void **state)
{
	char command[96];

	(void)state;
	stop();
	sender = mqw_sender_free(sender);
	event = sd_event_unref(event);
	json_decref(notice);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* Sends one and waits for its end. */
static inline void deliver(const struct mqw_alert_config *c)
{
	int before = answers;

	assert_int_equal(mqw_sender_send(sender, 42, c, notice), 0);
	for (int i = 0; i < 300 && answers == before; i++)
		assert_true(sd_event_run(event, 100000) >= 0);
	assert_int_equal(answers, before + 1);
	assert_int_equal(last_id, 42);
}

static inline struct mqw_alert_config mail(const char *const *recipients, size_t count)
{
	return (struct mqw_alert_config){.name = "ops",
		.channel = MQW_CHANNEL_EMAIL,
		.email = recipients,
		.email_count = count,
		.via = url,
		.tls = MQW_TLS_IF_OFFERED,
		.timeout = 10 * MQW_SECOND};
}

static inline struct mqw_alert_config hook(void)
{
	return (struct mqw_alert_config){.name = "hook",
		.channel = MQW_CHANNEL_WEBHOOK,
		.webhook = url,
		.timeout = 10 * MQW_SECOND};
}

static inline void write_file(const char *name, const char *text, char *ret_path, size_t size)
{
	FILE *f;

	snprintf(ret_path, size, "%s/%s", dir, name);
	f = fopen(ret_path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* What the sink kept as number n; "" nothing. */
static inline const char *kept(int n)
{
	static char text[20000];
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d", dir, n);
	text[0] = '\0';
	f = fopen(path, "re");
	if (!f)
		return text;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

#define assert_holds(text, part)                                                                   \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("\"%s\" is not in: %s", part, text);                              \
	} while (0)

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
