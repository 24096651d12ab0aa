/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real deliveries: to servers of tests/sink.py and to programs, out of a real event loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "sender_fixture.h"

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

static const char *const two[] = {"bad@example.com", "postmaster@example.com", NULL};

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

static void a_status_counts_whatever_becomes_of_the_rest(void **state)
{
	struct mqw_alert_config c = hook();

	(void)state;
	start("http", "--cut", NULL);
	deliver(&c);
	assert_true(last.accepted);
	assert_string_equal(last.text, "status 200: answer of the sink");
	stop();
	start_sink("http", "--cut", "--status", "500");
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
	const struct CMUnitTest tests[] = {
		TEST(a_mail_arrives),
		TEST(one_wrong_address_does_not_stop_the_others),
		TEST(a_relay_may_say_no_or_nothing),
		TEST(a_login_is_done),
		TEST(a_request_arrives),
		TEST(only_two_hundred_is_accepted),
		TEST(a_status_counts_whatever_becomes_of_the_rest),
		TEST(nobody_is_waited_for_longer_than_said),
		TEST(a_program_gets_it),
		TEST(a_program_inherits_no_descriptor),
		TEST(a_program_may_fail_or_hang),
		TEST(what_is_answered_at_the_end_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
