/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real deliveries: to servers of tests/sink.py and to programs, out of a real event loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
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

static const char *const one[] = {"postmaster@example.com", NULL};
static const char *const two[] = {"bad@example.com", "postmaster@example.com", NULL};

static void on_done(void *ctx, int64_t id, const struct mqw_delivery *d)
{
	(void)ctx;
	answers++;
	last = *d;
	last_id = id;
}

/* Starts a sink with more arguments; url is where it listens. */
static void start(const char *kind, const char *a, const char *b)
{
	const char *const argv[] = {"python3", "tests/sink.py", kind, dir, a, b, NULL};
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

static void stop(void)
{
	if (sink_pid > 0) {
		kill(sink_pid, SIGKILL);
		waitpid(sink_pid, NULL, 0);
	}
	sink_pid = 0;
}

static int setup(void **state)
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

static int teardown(void **state)
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
static void deliver(const struct mqw_alert_config *c)
{
	int before = answers;

	assert_int_equal(mqw_sender_send(sender, 42, c, notice), 0);
	for (int i = 0; i < 300 && answers == before; i++)
		assert_true(sd_event_run(event, 100000) >= 0);
	assert_int_equal(answers, before + 1);
	assert_int_equal(last_id, 42);
}

static struct mqw_alert_config mail(const char *const *recipients, size_t count)
{
	return (struct mqw_alert_config){.name = "ops",
		.channel = MQW_CHANNEL_EMAIL,
		.email = recipients,
		.email_count = count,
		.via = url,
		.tls = MQW_TLS_IF_OFFERED,
		.timeout = 10 * MQW_SECOND};
}

static struct mqw_alert_config hook(void)
{
	return (struct mqw_alert_config){.name = "hook",
		.channel = MQW_CHANNEL_WEBHOOK,
		.webhook = url,
		.timeout = 10 * MQW_SECOND};
}

static void write_file(const char *name, const char *text, char *ret_path, size_t size)
{
	FILE *f;

	snprintf(ret_path, size, "%s/%s", dir, name);
	f = fopen(ret_path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* What the sink kept as number n; "" nothing. */
static const char *kept(int n)
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

static void a_mail_arrives(void **state)
{
	struct mqw_alert_config c;

	(void)state;
	start("smtp", NULL, NULL);
	c = mail(one, 1);
	deliver(&c);
	assert_string_equal(last.text, "250 2.0.0 answer of the sink");
	assert_true(last.accepted);
	assert_holds(kept(1), "\nFROM <>\nTO <postmaster@example.com>\n\nDate: ");
	assert_holds(kept(1), "\r\nMessage-ID: <mqw." TOKEN "@mx1>\r\n");
	assert_holds(kept(1), "journalctl -t mailq-watchdogd\r\n");
	c.from = "watch@example.com";
	deliver(&c);
	assert_true(last.accepted);
	assert_holds(kept(2), "\nFROM <watch@example.com>");
	assert_string_equal(kept(3), "");
}

static void one_wrong_address_does_not_stop_the_others(void **state)
{
	struct mqw_alert_config c;

	(void)state;
	start("smtp", "--refuse", "bad@example.com");
	c = mail(two, 2);
	deliver(&c);
	assert_true(last.accepted);
	assert_holds(last.text, "250 2.0.0 answer of the sink; <bad@example.com> was refused: 550");
	assert_holds(kept(1), "\nTO <postmaster@example.com>\n");
	c = mail(two, 1);
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "550 5.1.1 <bad@example.com>: no such user");
	assert_string_equal(kept(2), "");
}

static void a_relay_may_say_no_or_nothing(void **state)
{
	struct mqw_alert_config c;

	(void)state;
	start("smtp", "--status", "451");
	c = mail(one, 1);
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "451 2.0.0 answer of the sink");
	c.tls = MQW_TLS_REQUIRED;
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "see tls:");
	stop();
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "Failed to connect");
}

static void a_login_is_done(void **state)
{
	char path[96];
	struct mqw_alert_config c;

	(void)state;
	start("smtp", "--login", "watch:pass word");
	write_file("secret", "pass word\nmore\n", path, sizeof(path));
	c = mail(one, 1);
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "530 5.7.0 who are you");
	c.user = "watch";
	c.password_file = path;
	deliver(&c);
	assert_true(last.accepted);
	c.user = "other";
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "535 5.7.8 not you");
	assert_null(strstr(last.text, "pass word"));
	c.password_file = "/nonexistent/secret";
	deliver(&c);
	assert_false(last.accepted);
	assert_string_equal(last.text,
		"the secret in /nonexistent/secret cannot be read: No such file or directory");
	/* As systemd gives it. */
	c.password_file = NULL;
	c.user = "watch";
	c.credential = "secret";
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	deliver(&c);
	assert_true(last.accepted);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_request_arrives(void **state)
{
	char path[96];
	struct mqw_alert_config c = hook();

	(void)state;
	start("http", NULL, NULL);
	deliver(&c);
	assert_string_equal(last.text, "status 200: answer of the sink");
	assert_true(last.accepted);
	assert_holds(kept(1), "Content-Type: application/json\n");
	assert_holds(kept(1), "Idempotency-Key: " TOKEN "\n");
	assert_holds(kept(1), "{\"type\":\"alert\",\"id\":\"" TOKEN "\",\"test\":true,");
	assert_null(strstr(kept(1), "Authorization"));
	write_file("bearer", "abc.def\n", path, sizeof(path));
	c.bearer_file = path;
	c.format = MQW_WEBHOOK_ALERTMANAGER;
	deliver(&c);
	assert_true(last.accepted);
	assert_holds(kept(2), "Authorization: Bearer abc.def\n");
	assert_holds(kept(2), "{\"version\":\"4\",");
	/* A secret with a line break in it would be two headers. */
	write_file("bearer", "abc\rX: y\n", path, sizeof(path));
	deliver(&c);
	assert_false(last.accepted);
	assert_holds(last.text, "cannot be read");
}

static void only_two_hundred_is_accepted(void **state)
{
	static const char *const codes[] = {"302", "404", "500"};
	struct mqw_alert_config c = hook();

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		start("http", "--status", codes[i]);
		deliver(&c);
		assert_false(last.accepted);
		assert_holds(last.text, codes[i]);
		stop();
	}
	start("http", "--drop", NULL);
	deliver(&c);
	assert_false(last.accepted);
}

static void nobody_is_waited_for_longer_than_said(void **state)
{
	struct mqw_alert_config c = hook();
	struct timespec before, after;

	(void)state;
	start("http", "--hang", "20");
	c.timeout = MQW_SECOND;
	clock_gettime(CLOCK_MONOTONIC, &before);
	deliver(&c);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_false(last.accepted);
	assert_in_range(after.tv_sec - before.tv_sec, 1, 4);
}

static struct mqw_alert_config program(const char *const *argv)
{
	return (struct mqw_alert_config){.name = "sms",
		.channel = MQW_CHANNEL_COMMAND,
		.command = argv,
		.timeout = 10 * MQW_SECOND};
}

static void a_program_gets_it(void **state)
{
	char path[96], out[96];
	const char *argv[] = {path, "$(id) `x`; *", out, NULL};
	struct mqw_alert_config c = program(argv);

	(void)state;
	write_file("sms", "#!/bin/sh\ncat > \"$2\"; echo \"<$1>\"\n", path, sizeof(path));
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(out, sizeof(out), "%s/1", dir);
	deliver(&c);
	assert_true(last.accepted);
	assert_holds(last.text, "ended with status 0: <$(id) `x`; *>");
	assert_holds(kept(1), "{\"type\":\"alert\",");
	assert_holds(kept(1), "\"test\":true");
}

static void a_program_inherits_no_descriptor(void **state)
{
	static const char *const ls[] = {"/bin/ls", "/proc/self/fd", NULL};
	struct mqw_alert_config c = program(ls);
	int leak = open("/dev/null", O_RDONLY);

	(void)state;
	deliver(&c);
	close(leak);
	/* Three of its own, and the directory that it reads. */
	assert_string_equal(last.text, "/bin/ls ended with status 0: 3");
}

static void a_program_may_fail_or_hang(void **state)
{
	static const char *const bad[] = {"/bin/sh", "-c", "echo no modem >&2; exit 3", NULL};
	static const char *const hung[] = {"/bin/sh", "-c", "sleep 30 & sleep 30", NULL};
	static const char *const none[] = {"/nonexistent/sms", NULL};
	struct mqw_alert_config c = program(bad);

	(void)state;
	deliver(&c);
	assert_false(last.accepted);
	assert_string_equal(last.text, "/bin/sh ended with status 3: no modem");
	c = program(none);
	deliver(&c);
	assert_false(last.accepted);
	assert_string_equal(last.text, "/nonexistent/sms: No such file or directory");
	c = program(hung);
	c.timeout = MQW_SECOND;
	deliver(&c);
	assert_false(last.accepted);
	assert_string_equal(last.text, "/bin/sh: Connection timed out");
}

/* The daemon ends while two are under way: one answer comes in time, the other does not. */
static void what_is_answered_at_the_end_counts(void **state)
{
	struct mqw_alert_config slow = hook(), never = hook();
	static const char *const hung[] = {"/bin/sh", "-c", "sleep 6", NULL};

	(void)state;
	start("http", "--hang", "0.5");
	never = program(hung);
	assert_int_equal(mqw_sender_send(sender, 1, &slow, notice), 0);
	assert_int_equal(mqw_sender_send(sender, 2, &never, notice), 0);
	sender = mqw_sender_free(sender);
	assert_int_equal(answers, 1);
	assert_int_equal(last_id, 1);
	assert_true(last.accepted);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_mail_arrives),
		TEST(one_wrong_address_does_not_stop_the_others),
		TEST(a_relay_may_say_no_or_nothing),
		TEST(a_login_is_done),
		TEST(a_request_arrives),
		TEST(only_two_hundred_is_accepted),
		TEST(nobody_is_waited_for_longer_than_said),
		TEST(a_program_gets_it),
		TEST(a_program_inherits_no_descriptor),
		TEST(a_program_may_fail_or_hang),
		TEST(what_is_answered_at_the_end_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
