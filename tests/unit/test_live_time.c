/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time as an instance meets it: lines are read as they are written while the clock is stepped, the
 * year turns and summer time comes and goes; and logs that lose lines. The clock is this file's own,
 * so that hours pass at once. What counts is what is said of a message.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "bare_instance_fixture.h"
#include "probes/source/lines.h"

#define ID "4F3AB1234"

static int64_t clock_at; /* microseconds; 0: the real one */

/* Stands before the C library's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_REALTIME || !clock_at)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = clock_at / MQW_SECOND;
	ts->tv_nsec = clock_at % MQW_SECOND * 1000;
	return 0;
}

static void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx, (void)previous;
	/* No span is negative, whatever the clock does. */
	assert_null(strstr(j->reason, " -"));
	assert_true(!r->attempts || r->first_attempt <= r->last_attempt);
	assert_true(m->opened_at <= m->last_seen);
	mqw_buffer_printf(
		&said, "%s(%s) ", mqw_verdict_name(j->verdict), mqw_confidence_name(j->confidence));
}

static void on_gap(void *ctx, const struct mqw_event *gap)
{
	(void)ctx;
	assert_true(gap->from <= gap->to);
	mqw_buffer_add_str(&said, "gap ");
}

static void begin(const char *zone)
{
	struct mqw_tracker_options options = mqw_tracker_defaults();

	setenv("TZ", zone, 1);
	tzset();
	options.lifetime = 5 * MQW_DAY;
	options.retry_max = 4000 * MQW_SECOND;
	make_instance(&options, (struct mqw_tracker_ops){.verdict = on_verdict, .gap = on_gap});
}

static void end(void)
{
	mqw_tracker_free(instance.act.tracker);
	instance.act.probe->free(instance.probe);
	for (uint32_t n = 0; n < instance.name_count; n++)
		free(instance.names[n]), free(instance.readers[n]);
	mqw_buffer_done(&said);
	said = (struct mqw_buffer){0};
	clock_at = 0;
}

/* The clock shows that time (UTC), and a second's work is done by it. */
static void now(const char *text)
{
	assert_true(mqw_time_parse(mqw_slice_of(text), 0, &clock_at));
	mqw_tracker_tick(instance.act.tracker, clock_at);
}

static void line(const char *stamp, const char *program, const char *text)
{
	struct mqw_raw_line raw = {0};
	char all[512];

	snprintf(all, sizeof(all), "%s mx postfix/%s[1]: " ID ": %s", stamp, program, text);
	raw.text = mqw_slice_of(all);
	mqw_instance_source_ops.line(&instance.logs[0], &raw, (struct mqw_evidence){0});
}

static void opened(const char *stamp)
{
	line(stamp, "smtpd", "client=localhost[127.0.0.1]");
	line(stamp, "qmgr", "from=<a@example.com>, size=373, nrcpt=1 (queue active)");
}

static void deferred(const char *stamp)
{
	line(stamp, "smtp",
		"to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.7.1, "
		"status=deferred (host mx[192.0.2.1] said: 451 4.7.1 later (in reply to RCPT TO "
		"command))");
}

static void sent(const char *stamp)
{
	line(stamp, "smtp",
		"to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, "
		"status=sent (250 2.0.0 Ok)");
}

static int64_t at(const char *text)
{
	int64_t t = 0;

	assert_true(mqw_time_parse(mqw_slice_of(text), 0, &t));
	return t;
}

static void test_new_year(void **state)
{
	(void)state;
	begin("Europe/Berlin");
	now("2026-12-31T22:40:00Z");
	opened("Dec 31 23:39:59");
	deferred("Dec 31 23:40:00");
	assert_said("pending(probable) ");
	now("2026-12-31T22:59:59Z");
	/* Of a host whose clock is two seconds ahead. */
	deferred("Jan  1 00:00:01");
	assert_int_equal(instance.covered, at("2026-12-31T22:59:59Z"));
	now("2026-12-31T23:30:00Z");
	deferred("Jan  1 00:30:00");
	assert_int_equal(instance.last_line, at("2026-12-31T23:30:00Z"));
	assert_said("");
	now("2027-01-01T00:30:00Z");
	sent("Jan  1 01:30:00");
	assert_said("delivered(certain) ");
	end();
}

/* Silence is told of as soon as it is one: neither an hour sooner nor an hour later. */
static void assert_overdue_after(const char *before, const char *after)
{
	now(before);
	assert_said("");
	now(after);
	assert_said("overdue(probable) ");
}

static void test_summer_time_ends(void **state)
{
	(void)state;
	begin("Europe/Berlin");
	now("2026-10-25T00:30:00Z");
	opened("Oct 25 02:29:59");
	deferred("Oct 25 02:30:00");
	assert_said("pending(probable) ");
	/* 40 minutes later, by the clock on the wall 20 minutes earlier. */
	now("2026-10-25T01:10:00Z");
	deferred("Oct 25 02:10:00");
	assert_int_equal(instance.last_line, at("2026-10-25T01:10:00Z"));
	/* 4000 s until the next try, and 2 h of slack. */
	assert_overdue_after("2026-10-25T04:16:39Z", "2026-10-25T04:16:41Z");
	sent("Oct 25 05:16:41");
	assert_said("delivered(certain) ");
	end();
	/* It has the lifetime of 5 days when it is given up, whichever the hour is. */
	begin("Europe/Berlin");
	now("2026-10-20T01:05:00Z");
	opened("Oct 20 03:05:00");
	deferred("Oct 20 03:05:00");
	now("2026-10-25T01:05:10Z");
	mqw_buffer_clear(&said);
	line("Oct 25 02:05:10", "qmgr", "from=<a@example.com>, status=expired, returned to sender");
	assert_said("expired(certain) ");
	end();
}

static void test_summer_time_begins(void **state)
{
	(void)state;
	begin("Europe/Berlin");
	now("2027-03-28T00:59:50Z");
	opened("Mar 28 01:59:49");
	deferred("Mar 28 01:59:50");
	assert_said("pending(probable) ");
	now("2027-03-28T01:04:50Z");
	deferred("Mar 28 03:04:50");
	assert_int_equal(instance.last_line, at("2027-03-28T01:04:50Z"));
	assert_overdue_after("2027-03-28T04:11:29Z", "2027-03-28T04:11:31Z");
	sent("Mar 28 06:11:31");
	assert_said("delivered(certain) ");
	end();
}

static void test_clock_set_back(void **state)
{
	(void)state;
	begin("UTC");
	now("2026-11-25T12:00:00Z");
	opened("2026-11-25T11:59:59Z");
	deferred("2026-11-25T12:00:00Z");
	assert_said("pending(probable) ");
	now("2026-11-25T11:00:01Z");
	deferred("2026-11-25T11:10:00Z");
	assert_said("");
	now("2026-11-25T12:30:00Z");
	deferred("2026-11-25T12:30:00Z");
	now("2026-11-25T13:30:00Z");
	assert_said("");
	sent("2026-11-25T13:30:00Z");
	assert_said("delivered(certain) ");
	end();
	/* And what is sent while the clock shows the hour once more. */
	begin("UTC");
	now("2026-11-25T12:00:00Z");
	opened("2026-11-25T11:59:59Z");
	deferred("2026-11-25T12:00:00Z");
	now("2026-11-25T11:05:00Z");
	mqw_buffer_clear(&said);
	sent("2026-11-25T11:05:00Z");
	line("2026-11-25T11:05:00Z", "qmgr", "removed");
	assert_said("delivered(certain) ");
	end();
}

static void test_clock_set_forward(void **state)
{
	(void)state;
	begin("UTC");
	now("2026-11-25T12:00:00Z");
	opened("2026-11-25T11:59:59Z");
	deferred("2026-11-25T12:00:00Z");
	assert_said("pending(probable) ");
	/* One hour and its retry of at most 4000 s: within the slack. */
	now("2026-11-25T13:00:01Z");
	now("2026-11-25T14:06:40Z");
	assert_said("");
	deferred("2026-11-25T14:06:40Z");
	/* Back again: it had been wrong. */
	now("2026-11-25T13:06:41Z");
	deferred("2026-11-25T14:00:00Z");
	now("2026-11-25T15:00:00Z");
	sent("2026-11-25T15:00:00Z");
	assert_said("delivered(certain) ");
	end();
}

/* Several processes write: their lines come 5 s out of order, by a log daemon's delay even more. */
static void test_out_of_order(void **state)
{
	(void)state;
	begin("UTC");
	now("2026-11-25T12:00:10Z");
	deferred("2026-11-25T12:00:05Z");
	opened("2026-11-25T12:00:00Z");
	mqw_buffer_clear(&said);
	now("2026-11-25T12:10:10Z");
	line("2026-11-25T12:10:05Z", "qmgr", "removed");
	sent("2026-11-25T12:10:00Z");
	mqw_tracker_tick(instance.act.tracker, clock_at);
	assert_true(mqw_slice_ends(mqw_buffer_slice(&said), MQW_LIT("delivered(certain) ")));
	assert_null(strstr(mqw_buffer_str(&said), "vanished"));
	mqw_buffer_clear(&said);
	now("2026-11-26T12:10:10Z");
	assert_said("");
	end();
}

static void test_leap_second(void **state)
{
	(void)state;
	begin("UTC");
	now("2017-01-01T00:00:00Z");
	opened("2016-12-31T23:59:59Z");
	deferred("2016-12-31T23:59:60Z");
	assert_said("pending(probable) ");
	now("2017-01-01T00:05:00Z");
	sent("2017-01-01T00:05:00Z");
	assert_said("delivered(certain) ");
	end();
}

/* A followed file, whose lines go where the daemon's go. */
struct log {
	char dir[64], path[96];
	sd_event *loop;
	struct mqw_file_tail *tail;
	char *position;
};

static void log_put(const struct log *l, const char *mode, const char *text)
{
	FILE *f = fopen(l->path, mode);

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void log_sh(const struct log *l, const char *command)
{
	char all[256];

	snprintf(all, sizeof(all), "cd %s && %s", l->dir, command);
	assert_int_equal(system(all), 0);
}

static void log_follow(struct log *l)
{
	struct mqw_source_ops ops = mqw_instance_source_ops;
	const struct mqw_file_tail_options o = {
		.path = l->path, .position = l->position, .linger = 40 * 1000};

	ops.ctx = &instance.logs[0];
	assert_int_equal(mqw_file_tail_open(&o, &ops, l->loop, &l->tail), 0);
}

static void log_leave(struct log *l)
{
	struct mqw_buffer b = {0};

	assert_int_equal(mqw_file_tail_position(l->tail, &b), 0);
	l->tail = mqw_file_tail_close(l->tail);
	free(l->position);
	l->position = b.ptr;
}

/* Until so many lines were taken in all. */
static void log_read(struct log *l, uint64_t lines)
{
	for (int i = 0; i < 400 && instance.lines < lines; i++)
		assert_true(sd_event_run(l->loop, 50000) >= 0);
	assert_int_equal(instance.lines, lines);
	for (int i = 0; i < 10; i++)
		assert_true(sd_event_run(l->loop, 10000) >= 0);
}

#define LATER "2026-11-25T12:10:00.5Z mx postfix/anvil[1]: statistics: max connection count 1\n"

/* What happens to the log while the daemon is down, and what is said of the message long after. */
static void lose(const char *meanwhile, const char *want_at_once, const char *want_later)
{
	struct log l = {.dir = "/tmp/mqw-live-XXXXXX"};

	assert_non_null(mkdtemp(l.dir));
	snprintf(l.path, sizeof(l.path), "%s/mail.log", l.dir);
	assert_true(sd_event_new(&l.loop) >= 0);
	begin("UTC");
	now("2026-11-25T12:00:00Z");
	log_put(&l, "a",
		"2026-11-25T11:59:59Z mx postfix/smtpd[1]: " ID ": client=localhost[127.0.0.1]\n"
		"2026-11-25T11:59:59Z mx postfix/qmgr[1]: " ID
		": from=<a@example.com>, size=373, nrcpt=1 (queue active)\n"
		"2026-11-25T12:00:00Z mx postfix/smtp[1]: " ID
		": to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		"dsn=4.7.1, status=deferred (host mx[192.0.2.1] said: 451 4.7.1 later (in reply "
		"to RCPT TO command))\n");
	log_follow(&l);
	log_read(&l, 3);
	assert_said("pending(probable) ");
	log_leave(&l);
	now("2026-11-25T12:10:00Z");
	log_put(&l, "a",
		"2026-11-25T12:05:00Z mx postfix/smtp[1]: " ID
		": to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		"dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"
		"2026-11-25T12:05:00Z mx postfix/qmgr[1]: " ID ": removed\n");
	log_sh(&l, meanwhile);
	log_put(&l, "a", LATER);
	log_follow(&l);
	log_read(&l, instance.lines + (strstr(want_at_once, "delivered") ? 3 : 1));
	assert_said(want_at_once);
	now("2026-11-25T20:00:00Z");
	assert_said(want_later);
	log_leave(&l);
	free(l.position);
	sd_event_unref(l.loop);
	log_sh(&l, "rm -rf \"$PWD\"");
	end();
}

/* What cannot be read makes verdicts unknown, and what can be is found wherever it has gone. */
static void test_lost_lines_are_no_alarm(void **state)
{
	(void)state;
	lose("true", "delivered(certain) ", "");
	lose("mv mail.log mail.log.1 && gzip mail.log.1", "delivered(certain) ", "");
	lose("cp mail.log mail.log.1 && : > mail.log", "gap delivered(certain) ", "");
	lose(": > mail.log", "gap ", "unknown(unproven) ");
	lose("rm mail.log", "gap ", "unknown(unproven) ");
	/* Two rotations, the first of which has been deleted. */
	lose("rm mail.log && : > mail.log.1", "gap ", "unknown(unproven) ");
	/* And without a gap silence is what it is. */
	lose("head -n 3 mail.log > x && mv x mail.log", "", "overdue(probable) ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_year),
		cmocka_unit_test(test_summer_time_ends),
		cmocka_unit_test(test_summer_time_begins),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_clock_set_forward),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_leap_second),
		cmocka_unit_test(test_lost_lines_are_no_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
