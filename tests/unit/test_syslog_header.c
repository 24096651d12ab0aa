/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "probes/syslog/header.h"
#include "probes/syslog/loss.h"

static int64_t at(const char *text)
{
	int64_t t = 0;

	assert_true(mqw_time_parse(mqw_slice_of(text), 0, &t));
	return t;
}

static struct mqw_line parse(struct mqw_syslog_reader *r, const char *raw)
{
	struct mqw_line line = {0};

	assert_true(mqw_syslog_parse(r, mqw_slice_of(raw), &line));
	return line;
}

static void assert_slice(struct mqw_slice s, const char *want)
{
	assert_int_equal(s.len, strlen(want));
	assert_memory_equal(s.ptr ? s.ptr : "", want, s.len);
}

static void test_forms(void **state)
{
	static const struct {
		const char *raw, *time;
		int64_t us;
		const char *host, *tag;
		uint32_t pid;
		const char *text;
	} rows[] = {
		{"2026-11-25T03:41:21.152859+00:00 mx postfix/smtp[12]: A: b",
			"2026-11-25T03:41:21Z", 152859, "mx", "postfix/smtp", 12, "A: b"},
		{"2026-11-25T03:41:21+02:00 mx postfix/qmgr[7]: x", "2026-11-25T01:41:21Z", 0, "mx",
			"postfix/qmgr", 7, "x"},
		{"2026-11-25T03:41:21-0530 mx p/q[7]: x", "2026-11-25T09:11:21Z", 0, "mx", "p/q", 7,
			"x"},
		{"2026-11-25 03:41:21,5Z mx rsyslogd: imuxsock[pid 8]: y", "2026-11-25T03:41:21Z",
			500000, "mx", "rsyslogd", 0, "imuxsock[pid 8]: y"},
		{"Nov  5 03:41:21 mx postfix/smtp[12]: z", "2026-11-05T03:41:21Z", 0, "mx",
			"postfix/smtp", 12, "z"},
		{"2013 Jun 10 06:38:17.123 mx postfix/qmgr[6]: z", "2013-06-10T06:38:17Z", 123000,
			"mx", "postfix/qmgr", 6, "z"},
		{"<22>Nov 25 03:41:21 mx postfix/smtp[12]: z", "2026-11-25T03:41:21Z", 0, "mx",
			"postfix/smtp", 12, "z"},
		{"<22>1 2026-11-25T03:41:21Z mx postfix/smtp 12 - [a b=\"]\\\"\"] text",
			"2026-11-25T03:41:21Z", 0, "mx", "postfix/smtp", 12, "text"},
		{"Nov 25 03:41:21 mx postfix/smtp[1]: message repeated 2 times: [ A: to=<b>]",
			"2026-11-25T03:41:21Z", 0, "mx", "postfix/smtp", 1, "A: to=<b>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_syslog_reader r;
		struct mqw_line line;

		mqw_syslog_reader_init(&r, 2026, MQW_TIME_NONE);
		line = parse(&r, rows[i].raw);
		assert_int_equal(line.time, at(rows[i].time) + rows[i].us);
		assert_slice(line.host, rows[i].host);
		assert_slice(line.tag, rows[i].tag);
		assert_int_equal(line.pid, rows[i].pid);
		assert_slice(line.text, rows[i].text);
	}
}

static void test_no_stamp(void **state)
{
	static const char *const rows[] = {"", "x", "Nox 25 03:41:21 mx p/q[1]: x",
		"2026-13-25T03:41:21Z mx p/q[1]: x", "2026-11-25T24:41:21Z mx p/q[1]: x",
		"<999>Nov 25 03:41:21 mx p/q[1]: x", "Nov 25 03:61:21 mx p/q[1]: x",
		"-Queue ID-  --Size-- ----Arrival Time----"};
	struct mqw_syslog_reader r;
	struct mqw_line line;

	(void)state;
	mqw_syslog_reader_init(&r, 2026, MQW_TIME_NONE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_false(mqw_syslog_parse(&r, mqw_slice_of(rows[i]), &line));
}

static void test_year_turns(void **state)
{
	struct mqw_syslog_reader r;

	(void)state;
	mqw_syslog_reader_init(&r, 2026, MQW_TIME_NONE);
	assert_int_equal(
		parse(&r, "Dec 31 23:59:59 mx p/q[1]: x").time, at("2026-12-31T23:59:59Z"));
	assert_int_equal(
		parse(&r, "Jan  1 00:00:01 mx p/q[1]: x").time, at("2027-01-01T00:00:01Z"));
	/* A line that comes late belongs to the old year, and moves nothing. */
	assert_int_equal(
		parse(&r, "Dec 31 23:59:58 mx p/q[1]: x").time, at("2026-12-31T23:59:58Z"));
	assert_int_equal(
		parse(&r, "Jan  1 00:00:02 mx p/q[1]: x").time, at("2027-01-01T00:00:02Z"));
}

static void test_year_from_reference(void **state)
{
	struct mqw_syslog_reader r;

	(void)state;
	mqw_syslog_reader_init(&r, 0, at("2027-01-02T00:00:00Z"));
	assert_int_equal(
		parse(&r, "Dec 30 10:00:00 mx p/q[1]: x").time, at("2026-12-30T10:00:00Z"));
	assert_int_equal(
		parse(&r, "Jan  1 10:00:00 mx p/q[1]: x").time, at("2027-01-01T10:00:00Z"));
}

static void test_losses(void **state)
{
	struct mqw_syslog_reader r;
	struct mqw_loss_reader loss;
	struct mqw_line line;
	struct mqw_event e;

	(void)state;
	mqw_syslog_reader_init(&r, 2026, MQW_TIME_NONE);
	mqw_loss_reader_init(&loss);
	line = parse(&r,
		"Nov 25 03:00:00 mx rsyslogd: imuxsock[pid 8]: begin to drop messages due "
		"to rate-limiting");
	assert_false(mqw_loss_read(&loss, &line, "postfix", &e));
	line = parse(&r,
		"Nov 25 03:05:00 mx rsyslogd: imuxsock[pid 8]: 40 messages lost due to "
		"rate-limiting");
	assert_true(mqw_loss_read(&loss, &line, "postfix", &e));
	assert_int_equal(e.from, at("2026-11-25T03:00:00Z"));
	assert_int_equal(e.to, at("2026-11-25T03:05:00Z"));
	line = parse(&r,
		"Nov 25 03:06:00 mx systemd-journald[3]: Suppressed 9 messages from "
		"postfix@-.service");
	assert_true(mqw_loss_read(&loss, &line, "postfix", &e));
	assert_int_equal(e.from, at("2026-11-25T03:05:30Z"));
	line = parse(&r,
		"Nov 25 03:06:00 mx systemd-journald[3]: Suppressed 9 messages from "
		"ssh.service");
	assert_false(mqw_loss_read(&loss, &line, "postfix", &e));
	/* Another program that says the same words confesses nothing. */
	line = parse(&r, "Nov 25 03:06:00 mx evil[3]: 40 messages lost due to rate-limiting");
	assert_false(mqw_loss_read(&loss, &line, "postfix", &e));
	assert_false(mqw_loss_finish(&loss, line.time, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_no_stamp),
		cmocka_unit_test(test_year_turns),
		cmocka_unit_test(test_year_from_reference),
		cmocka_unit_test(test_losses),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
