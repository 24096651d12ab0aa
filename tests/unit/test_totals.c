/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Totals: each recipient is counted once, wherever the process dies between two lines of the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watchdogd/daemon/instance.c"

#include "probes/source/reader.h"
#include "watchdogd/base/clock.h"

#define SENT "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
#define LATER                                                                                      \
	"dsn=4.7.1, status=deferred (host mx[192.0.2.1] said: 451 4.7.1 later (in reply to RCPT "  \
	"TO command))"
#define NEVER                                                                                      \
	"dsn=5.1.1, status=bounced (host mx[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO "   \
	"command))"
#define GONE "-" /* no line: the queue file of that id was removed by somebody */

struct step {
	const char *program, *id, *text; /* text of an attempt: its recipient */
	const char *answer; /* NULL: no attempt */
};

/* Interleaved lives, as a log has them. Half a second from one to the next. */
static const struct step life[] = {
	{"smtpd", "A1000000", "client=c[127.0.0.1]", NULL},
	{"cleanup", "A1000000", "message-id=<1@example.com>", NULL},
	{"qmgr", "A1000000", "from=<a@example.com>, size=373, nrcpt=2 (queue active)", NULL},
	{"smtpd", "B1000000", "client=c[127.0.0.1]", NULL},
	{"smtp", "A1000000", "b@example.net", SENT},
	{"cleanup", "B1000000", "message-id=<2@example.com>", NULL},
	{"qmgr", "B1000000", "from=<a@example.com>, size=373, nrcpt=3 (queue active)", NULL},
	{"smtp", "B1000000", "b@example.net", SENT},
	{"smtp", "A1000000", "c@example.net", SENT},
	{"qmgr", "A1000000", "removed", NULL},
	{"smtp", "B1000000", "hard@example.net", NEVER},
	{"smtp", "B1000000", "soft@example.net", LATER},
	{"smtpd", "C1000000", "client=c[127.0.0.1]", NULL},
	{"qmgr", "C1000000", "from=<a@example.com>, size=373, nrcpt=2 (queue active)", NULL},
	{"smtp", "C1000000", "b@example.net", SENT},
	{"smtp", "C1000000", "lost@example.net", LATER},
	/* Only refused: a report goes to its sender. */
	{"smtpd", "D1000000", "client=c[127.0.0.1]", NULL},
	{"qmgr", "D1000000", "from=<a@example.com>, size=373, nrcpt=1 (queue active)", NULL},
	{"smtp", "D1000000", "hard@example.net", NEVER},
	{"cleanup", "E1000000", "message-id=<3@example.com>", NULL},
	{"bounce", "D1000000", "sender non-delivery notification: E1000000", NULL},
	{"qmgr", "E1000000", "from=<>, size=2373, nrcpt=1 (queue active)", NULL},
	{"qmgr", "D1000000", "removed", NULL},
	{"qmgr", "B1000000", "from=<a@example.com>, size=373, nrcpt=3 (queue active)", NULL},
	{"local", "E1000000", "a@example.com", "dsn=2.0.0, status=sent (delivered to mailbox)"},
	{"qmgr", "E1000000", "removed", NULL},
	{"smtp", "B1000000", "soft@example.net", SENT},
	{"qmgr", "B1000000", "removed", NULL},
	{GONE, "C1000000", NULL, NULL},
	/* An id is used again. */
	{"smtpd", "A1000000", "client=c[127.0.0.1]", NULL},
	{"qmgr", "A1000000", "from=<a@example.com>, size=373, nrcpt=1 (queue active)", NULL},
	{"smtp", "A1000000", "d@example.net", SENT},
	{"qmgr", "A1000000", "removed", NULL},
	/* Under way to the end. */
	{"smtpd", "F1000000", "client=c[127.0.0.1]", NULL},
	{"qmgr", "F1000000", "from=<a@example.com>, size=373, nrcpt=1 (queue active)", NULL},
};
#define STEPS (sizeof(life) / sizeof(life[0]))

static const char want[] = "7 messages: 7 delivered, 2 bounced, 1 vanished";

static struct mqw_instance *instance;
static struct mqw_ledger *ledger;
static struct mqw_rules *no_rules;
static char dir[32], path[64];
static int64_t base;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-totals-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	base = mqw_clock_now() - MQW_HOUR;
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct mqw_instance_config config = {.name = (char *)"outbound",
	.type = (char *)"postfix",
	.min_lifetime = 4 * MQW_HOUR,
	.slack = 2 * MQW_HOUR,
	.lifetime = 5 * MQW_DAY,
	.queue = (char *)"/nonexistent"};

/* As the daemon starts, but for its source and its queue. */
static void start(void)
{
	assert_int_equal(mqw_ledger_open(path, &ledger, NULL), 0);
	instance = calloc(1, sizeof(*instance));
	assert_non_null(instance);
	instance->config = &config;
	instance->logs[0].instance = instance;
	instance->host.ledger = ledger;
	instance->host.rules = &no_rules;
	instance->act.name = config.name;
	instance->act.probe = mqw_probe_find(MQW_LIT("postfix"));
	instance->sink = (struct mqw_sink){.emit = mqw_instance_emit, .ctx = instance};
	instance->last_line = instance->covered = MQW_TIME_NONE;
	instance->history = true; /* nothing is acted on */
	mqw_loss_reader_init(&instance->loss);
	mqw_syslog_reader_init(&instance->syslog, 0, MQW_TIME_NONE);
	assert_int_equal(open_tracker(instance), 0);
	instance->act.caught_up = true;
}

static void die(void)
{
	instance = mqw_instance_free(instance);
	ledger = mqw_ledger_close(ledger);
}

static void keep(void)
{
	instance->moved = false; /* there is no source to ask for its position */
	assert_int_equal(mqw_instance_keep(instance), 0);
}

static void feed(size_t n)
{
	const struct step *s = &life[n];
	int64_t time = base + (int64_t)n * MQW_SECOND / 2;
	struct mqw_buffer line = {0};
	struct mqw_raw_line raw = {0};

	if (!strcmp(s->program, GONE)) {
		mqw_tracker_tick(instance->act.tracker, time);
		assert_true(mqw_instance_gone(
			instance, mqw_slice_of(s->id), MQW_PLACE_WAITING, time - MQW_SECOND));
		return;
	}
	mqw_time_format(&line, time);
	mqw_buffer_printf(&line, " mx postfix/%s[1]: %s: ", s->program, s->id);
	if (s->answer)
		mqw_buffer_printf(&line,
			"to=<%s>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, %s", s->text,
			s->answer);
	else
		mqw_buffer_add_str(&line, s->text);
	raw.text = mqw_buffer_slice(&line);
	mqw_instance_source_ops.line(&instance->logs[0], &raw, (struct mqw_evidence){0});
	mqw_buffer_done(&line);
}

static void assert_totals(const char *expected, const char *where, size_t at)
{
	const struct mqw_tracker_totals *totals = mqw_tracker_totals(instance->act.tracker);
	struct mqw_buffer b = {0};
	const char *separator = ": ";

	mqw_buffer_printf(&b, "%llu messages", (unsigned long long)totals->messages);
	for (int v = 1; v < MQW_VERDICT_COUNT; v++)
		if (totals->verdicts[v]) {
			mqw_buffer_printf(&b, "%s%llu %s", separator,
				(unsigned long long)totals->verdicts[v],
				mqw_verdict_name((enum mqw_verdict)v));
			separator = ", ";
		}
	assert_int_equal(totals->verdicts[MQW_VERDICT_NONE], 0);
	if (strcmp(mqw_buffer_str(&b), expected) != 0)
		fail_msg("%s %zu: %s", where, at, mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

/* Feeds all, keeping after every so many steps; dies after that step, and goes on from what was kept. */
static void live(size_t dies_after, size_t every, bool held)
{
	size_t kept = 0;

	unlink(path);
	start();
	mqw_tracker_hold(instance->act.tracker, held);
	for (size_t i = 0; i < STEPS; i++) {
		feed(i);
		if ((i + 1) % every == 0) {
			keep();
			kept = i + 1;
		}
		if (i == dies_after) {
			die();
			start();
			mqw_tracker_hold(instance->act.tracker, held);
			i = kept - 1;
			dies_after = STEPS;
		}
	}
	mqw_tracker_hold(instance->act.tracker, false);
}

static void test_uninterrupted(void **state)
{
	(void)state;
	live(STEPS, STEPS, false);
	assert_totals(want, "whole", 0);
	assert_int_equal(instance->totals.now[MQW_TOTAL_LINES], STEPS - 1);
	/* What is settled is let go, and stays counted. */
	mqw_tracker_tick(instance->act.tracker, base + MQW_HOUR / 2);
	assert_totals(want, "let go", 0);
	keep();
	die();
	start();
	assert_totals(want, "started again", 0);
	assert_int_equal(instance->totals.now[MQW_TOTAL_LINES], STEPS - 1);
	assert_true(instance->totals.now[MQW_TOTAL_SINCE] >= base);
	die();
}

static void test_killed_anywhere(void **state)
{
	static const struct {
		size_t every;
		bool held;
	} ways[] = {{1, false}, {3, false}, {STEPS + 1, false}, {3, true}};

	(void)state;
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
		for (size_t i = 0; i < STEPS; i++) {
			live(i, ways[w].every, ways[w].held);
			assert_totals(want, "killed after step", i);
			assert_int_equal(instance->totals.now[MQW_TOTAL_LINES], STEPS - 1);
			die();
		}
}

/* What was not committed is in the next batch, once. */
static void test_ledger_away(void **state)
{
	sqlite3 *other;

	(void)state;
	unlink(path);
	start();
	mqw_tracker_hold(instance->act.tracker, false);
	for (size_t i = 0; i < STEPS / 2; i++)
		feed(i);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	instance->moved = false;
	assert_int_equal(mqw_instance_keep(instance), -EBUSY);
	for (size_t i = STEPS / 2; i < STEPS; i++)
		feed(i);
	instance->moved = false;
	assert_int_equal(mqw_instance_keep(instance), -EBUSY);
	sqlite3_close(other);
	keep();
	die();
	start();
	assert_totals(want, "after a lock", 0);
	die();
}

/* Of another log what is in it may have been counted by the former one. */
static void test_another_log(void **state)
{
	char log[80];
	const char *const logs[] = {log, NULL};

	(void)state;
	start();
	mqw_tracker_hold(instance->act.tracker, false);
	for (size_t i = 0; i < STEPS; i++)
		feed(i);
	keep();
	snprintf(log, sizeof(log), "%s/mail.log", dir);
	config.logs = logs;
	assert_true(sd_event_new(&instance->host.event) >= 0);
	instance->history = false;
	assert_int_equal(mqw_instance_logs_open(instance), 0);
	assert_true(instance->history);
	assert_totals("0 messages", "another log", 0);
	assert_int_equal(instance->totals.now[MQW_TOTAL_LINES], 0);
	/* What waited still waits, and is counted with what becomes of it. */
	instance->moved = true;
	assert_int_equal(mqw_instance_keep(instance), 0);
	sd_event_unref(instance->host.event);
	config.logs = NULL;
	die();
	start();
	assert_totals("0 messages", "kept", 0);
	die();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_uninterrupted),
		TEST(test_killed_anywhere),
		TEST(test_ledger_away),
		TEST(test_another_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
