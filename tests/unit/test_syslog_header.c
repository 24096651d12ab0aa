/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
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

static void zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

/* Reads a stamp at a time of the clock (NULL: from a file of long ago) and compares. */
static void assert_stamp(
	struct mqw_syslog_reader *r, const char *now, const char *stamp, const char *want)
{
	char raw[128];

	snprintf(raw, sizeof(raw), "%s mx p/q[1]: x", stamp);
	r->now = now ? at(now) : MQW_TIME_NONE;
	assert_int_equal(parse(r, raw).time / MQW_SECOND, at(want) / MQW_SECOND);
}

/* As it is written, so that the clock tells. */
static void test_year_live(void **state)
{
	struct mqw_syslog_reader r;

	(void)state;
	mqw_syslog_reader_init(&r, 0, MQW_TIME_NONE);
	assert_stamp(&r, "2026-12-31T23:59:59Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z");
	/* Another host's clock is ahead, by two seconds and by a zone. */
	assert_stamp(&r, "2026-12-31T23:59:59Z", "Jan  1 00:00:01", "2027-01-01T00:00:01Z");
	assert_stamp(&r, "2026-12-31T23:59:59Z", "Jan  1 05:30:01", "2027-01-01T05:30:01Z");
	assert_stamp(&r, "2027-01-01T00:00:04Z", "Dec 31 23:59:58", "2026-12-31T23:59:58Z");
	assert_stamp(&r, "2027-01-01T00:00:05Z", "Jan  1 00:00:05", "2027-01-01T00:00:05Z");
	/* Silent for longer than half a year. */
	assert_stamp(&r, "2027-08-10T10:00:00Z", "Aug 10 10:00:00", "2027-08-10T10:00:00Z");
	assert_stamp(&r, "2028-02-29T10:00:00Z", "Feb 29 10:00:00", "2028-02-29T10:00:00Z");
	/* A backlog: that day was not in the last years. */
	mqw_syslog_reader_init(&r, 0, MQW_TIME_NONE);
	assert_stamp(&r, "2031-01-10T10:00:00Z", "Feb 29 10:00:00", "2028-02-29T10:00:00Z");
	assert_stamp(&r, "2031-01-10T10:00:00Z", "Feb 28 10:00:00", "2030-02-28T10:00:00Z");
	/* The clock is set back over New Year, and forward again. */
	assert_stamp(&r, "2027-01-01T00:10:00Z", "Jan  1 00:10:00", "2027-01-01T00:10:00Z");
	assert_stamp(&r, "2026-12-31T23:10:01Z", "Dec 31 23:10:01", "2026-12-31T23:10:01Z");
	assert_stamp(&r, "2027-01-01T00:10:02Z", "Jan  1 00:10:02", "2027-01-01T00:10:02Z");
}

static void test_year_of_a_file(void **state)
{
	struct mqw_syslog_reader r;

	(void)state;
	/* Begun in December, written to last right at midnight by a clock that is behind. */
	mqw_syslog_reader_init(&r, 0, at("2026-12-31T23:59:58Z"));
	assert_stamp(&r, NULL, "Dec  1 10:00:00", "2026-12-01T10:00:00Z");
	assert_stamp(&r, NULL, "Jan  1 00:00:01", "2027-01-01T00:00:01Z");
	mqw_syslog_reader_init(&r, 0, at("2026-12-31T23:59:58Z"));
	assert_stamp(&r, NULL, "Jan  1 00:00:01", "2027-01-01T00:00:01Z");
	assert_stamp(&r, NULL, "Dec 31 23:59:57", "2026-12-31T23:59:57Z");
	/* Silent for longer than half a year. */
	mqw_syslog_reader_init(&r, 0, at("2026-08-10T11:00:00Z"));
	assert_stamp(&r, NULL, "Jan  5 10:00:00", "2026-01-05T10:00:00Z");
	assert_stamp(&r, NULL, "Aug 10 10:00:00", "2026-08-10T10:00:00Z");
	mqw_syslog_reader_init(&r, 0, at("2029-03-02T00:00:00Z"));
	assert_stamp(&r, NULL, "Feb 29 10:00:00", "2028-02-29T10:00:00Z");
	mqw_syslog_reader_init(&r, 0, at("2028-03-02T00:00:00Z"));
	assert_stamp(&r, NULL, "Dec 31 10:00:00", "2027-12-31T10:00:00Z");
	assert_stamp(&r, NULL, "Feb 29 10:00:00", "2028-02-29T10:00:00Z");
	/* The year that the caller gives stands against the file's date. */
	mqw_syslog_reader_init(&r, 2013, at("2026-03-02T00:00:00Z"));
	assert_stamp(&r, NULL, "Dec 31 23:59:59", "2013-12-31T23:59:59Z");
	assert_stamp(&r, NULL, "Jan  1 00:00:01", "2014-01-01T00:00:01Z");
	assert_stamp(&r, NULL, "Dec 31 23:59:59", "2013-12-31T23:59:59Z");
}

/* Summer time ends: 02:00 to 03:00 comes twice, as 00:00Z and as 01:00Z. */
static void test_hour_that_comes_twice(void **state)
{
	static const char *const days[] = {"Oct 25", "2026 Oct 25", "2026-10-25"};
	static const struct {
		const char *stamp, *want;
	} rows[] = {
		{"01:59:59", "2026-10-24T23:59:59Z"},
		{"02:00:00", "2026-10-25T00:00:00Z"},
		{"02:59:58", "2026-10-25T00:59:58Z"},
		{"02:00:01", "2026-10-25T01:00:01Z"},
		/* Two that come late, from before and after. */
		{"02:59:59", "2026-10-25T00:59:59Z"},
		{"02:00:03", "2026-10-25T01:00:03Z"},
		{"02:30:00", "2026-10-25T01:30:00Z"},
		{"02:59:59", "2026-10-25T01:59:59Z"},
		{"03:00:00", "2026-10-25T02:00:00Z"},
	};
	struct mqw_syslog_reader r;
	char stamp[64];

	(void)state;
	zone("Europe/Berlin");
	for (size_t f = 0; f < sizeof(days) / sizeof(days[0]); f++) {
		mqw_syslog_reader_init(&r, 0, at("2026-10-26T00:00:00Z"));
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			snprintf(stamp, sizeof(stamp), "%s %s", days[f], rows[i].stamp);
			assert_stamp(&r, NULL, stamp, rows[i].want);
		}
	}
	/* Few lines, read as they come: the clock tells what the order does not. */
	mqw_syslog_reader_init(&r, 0, MQW_TIME_NONE);
	assert_stamp(&r, "2026-10-25T00:10:01Z", "Oct 25 02:10:00", "2026-10-25T00:10:00Z");
	assert_stamp(&r, "2026-10-25T01:15:01Z", "Oct 25 02:15:00", "2026-10-25T01:15:00Z");
	/* And hours later, from a backlog, by the order alone. */
	mqw_syslog_reader_init(&r, 0, MQW_TIME_NONE);
	assert_stamp(&r, "2026-10-25T09:00:00Z", "Oct 25 02:40:00", "2026-10-25T00:40:00Z");
	assert_stamp(&r, "2026-10-25T09:00:00Z", "Oct 25 02:15:00", "2026-10-25T01:15:00Z");
	zone("UTC");
}

/* It begins: there is no 02:00 to 03:00. One that is written so nevertheless is not far off. */
static void test_hour_that_is_missing(void **state)
{
	struct mqw_syslog_reader r;

	(void)state;
	zone("Europe/Berlin");
	mqw_syslog_reader_init(&r, 0, at("2027-03-29T00:00:00Z"));
	assert_stamp(&r, NULL, "Mar 28 01:59:59", "2027-03-28T00:59:59Z");
	assert_stamp(&r, NULL, "Mar 28 03:00:00", "2027-03-28T01:00:00Z");
	mqw_syslog_reader_next_file(&r, at("2027-03-29T00:00:00Z"));
	assert_in_range(parse(&r, "Mar 28 02:30:00 mx p/q[1]: x").time, at("2027-03-28T00:30:00Z"),
		at("2027-03-28T01:30:00Z"));
	zone("UTC");
}

static const char *one_of(const char *const *texts, size_t count)
{
	return texts[(size_t)rand() % count];
}

/* A head as any logger may write it, most of them alike, and now and then one that is damaged. */
static size_t some_head(char *buf, size_t size)
{
	static const char *const days[] = {
		"2026-11-25T", "2026-11-25 ", "Nov 25 ", "Nov  5 ", "2026 Nov 25 "};
	static const char *const fractions[] = {"", "", ".123456", ".000001", ",123456", ".5", "."};
	static const char *const zones[] = {"+00:00 ", "+00:00 ", "Z ", "+0100 ", " -0530 ", " ",
		"  ", " +", "", "+02:00", " +12 "};
	static const char *const hosts[] = {"mx", "mx", "mx1.example.com", "", "m", "mx [1]:"};
	static const char *const tags[] = {"postfix/smtp[12]: ", "postfix/qmgr[4294967296]: ",
		"a: ", "a[b[3]: ", "[7]: ", "exim ", "p/q[99999999999999999999999]: "};
	static size_t day, fraction, zone;
	int n;

	if (rand() % 8 == 0) {
		day = (size_t)rand() % (sizeof(days) / sizeof(*days));
		fraction = (size_t)rand() % (sizeof(fractions) / sizeof(*fractions));
		zone = (size_t)rand() % (sizeof(zones) / sizeof(*zones));
	}
	n = snprintf(buf, size, "%s%02d:%02d:%02d%s%s%s %sA1: text", days[day], rand() % 3,
		rand() % 62, rand() % 63, fractions[fraction], zones[zone],
		one_of(hosts, sizeof(hosts) / sizeof(*hosts)),
		one_of(tags, sizeof(tags) / sizeof(*tags)));
	if (rand() % 4 == 0)
		buf[rand() % n] = (char)(rand() % 8 ? " 0:[+.-9"[rand() % 8] : rand());
	return rand() % 16 ? (size_t)n : (size_t)(rand() % n);
}

/* What is remembered from line to line saves time and changes nothing: its twin remembers nothing. */
static void test_memory_changes_nothing(void **state)
{
	struct mqw_syslog_reader r;
	char text[256];
	size_t len = 0;
	int parsed = 0;

	(void)state;
	mqw_syslog_reader_init(&r, 2026, MQW_TIME_NONE);
	srand(1);
	for (int i = 0; i < 300000; i++) {
		struct mqw_line with = {0}, without = {0};
		struct mqw_syslog_reader fresh;
		char *exact;
		bool good;

		/* Lines come together: often with the stamp of the one before. */
		if (rand() % 3)
			len = some_head(text, sizeof(text));
		/* Of its very length, so that a look behind its end shows under a sanitizer. */
		exact = malloc(len ? len : 1);
		memcpy(exact, text, len);
		mqw_syslog_reader_init(&fresh, 2026, MQW_TIME_NONE);
		good = mqw_syslog_parse(&fresh, mqw_slice(exact, len), &without);
		assert_int_equal(mqw_syslog_parse(&r, mqw_slice(exact, len), &with), good);
		if (good) {
			assert_true(with.time == without.time);
			assert_true(with.host.ptr == without.host.ptr &&
				with.host.len == without.host.len);
			assert_true(
				with.tag.ptr == without.tag.ptr && with.tag.len == without.tag.len);
			assert_true(with.text.ptr == without.text.ptr &&
				with.text.len == without.text.len);
			assert_int_equal(with.pid, without.pid);
			parsed++;
		}
		free(exact);
	}
	assert_true(parsed > 100000);
}

static void test_leap_second(void **state)
{
	struct mqw_syslog_reader r;
	struct mqw_line line;

	(void)state;
	mqw_syslog_reader_init(&r, 2016, MQW_TIME_NONE);
	assert_stamp(&r, NULL, "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z");
	assert_stamp(&r, NULL, "Dec 31 23:59:60", "2017-01-01T00:00:00Z");
	assert_stamp(&r, NULL, "Jan  1 00:00:00", "2017-01-01T00:00:00Z");
	assert_false(mqw_syslog_parse(&r, MQW_LIT("2016-12-31T23:59:61Z mx p/q[1]: x"), &line));
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
		cmocka_unit_test(test_year_live),
		cmocka_unit_test(test_year_of_a_file),
		cmocka_unit_test(test_hour_that_comes_twice),
		cmocka_unit_test(test_hour_that_is_missing),
		cmocka_unit_test(test_memory_changes_nothing),
		cmocka_unit_test(test_leap_second),
		cmocka_unit_test(test_losses),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
