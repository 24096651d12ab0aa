/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heads of lines in each form of log, by what the file said of itself before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "probes/syslog/header.h"
#include "probes/windows/form.h"

#define NOON (INT64_C(1778932800) * MQW_SECOND) /* 2026-05-16 12:00 UTC */

static struct mqw_syslog_reader file;
static struct mqw_line line;

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC-2", 1); /* two hours ahead */
	tzset();
	mqw_syslog_reader_init(&file, 0, MQW_TIME_NONE);
	return 0;
}

static enum mqw_form form_of(const char *raw)
{
	return mqw_windows_form(&file, mqw_slice_of(raw), &line);
}

static void test_times(void **state)
{
	/* What a file says first, if anything; a line; the time of it. */
	static const struct {
		const char *head, *raw;
		int64_t time;
	} rows[] = {
		{NULL, "2026-5-16\t12:00:00 GMT\tx", NOON},
		{NULL, "2026-5-16\t9:05:07 GMT\tx",
			NOON - 3 * MQW_HOUR + 5 * MQW_MINUTE + 7 * MQW_SECOND},
		{NULL, "2003-8-12\t0:58:14 GMT\tx", INT64_C(1060649894) * MQW_SECOND},
		{"#Fields: date time c-ip", "2026-05-16 12:00:01 192.0.2.1", NOON + MQW_SECOND},
		/* Columns in another order; and the rest by #Date. */
		{"#Fields: c-ip time date", "192.0.2.1 12:00:01 2026-05-16", NOON + MQW_SECOND},
		{"#Fields: time c-ip", "12:00:01 192.0.2.1", NOON + MQW_SECOND},
		{"#Fields: c-ip cs-method", "192.0.2.1 MAIL", NOON - MQW_HOUR},
		{"#Log-type: Message Tracking Log", "2026-05-16T12:00:00.250Z,x",
			NOON + MQW_SECOND / 4},
		{"#Log-type: SMTP Send Protocol Log", "\"2026-05-16T12:00:00Z\",x", NOON},
		/* A zone of its own; and the host's. */
		{NULL, "h - u [16/May/2026:14:00:00 +0200] \"RCPT -?TO:<a@b> SMTP\" 0 6", NOON},
		{NULL, "h, u, 5/16/2026, 14:00:00, SMTPSVC1, X, -, 1, 2, 3, 0, 0, RCPT, -, q,",
			NOON},
		{NULL, "h, u, 16/5/26, 14:00:00, SMTPSVC1, X, -, 1, 2, 3, 0, 0, RCPT, -, q,", NOON},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mqw_syslog_reader_next_file(&file, MQW_TIME_NONE);
		if (rows[i].head) {
			assert_int_equal(form_of("#Date: 2026-05-16 11:00:00"), MQW_FORM_HEAD);
			assert_int_equal(form_of(rows[i].head), MQW_FORM_HEAD);
		}
		if (form_of(rows[i].raw) != MQW_FORM_POSSIBLE || line.time != rows[i].time)
			fail_msg("\"%s\": %lld, not %lld", rows[i].raw, (long long)line.time,
				(long long)rows[i].time);
		assert_true(mqw_slice_eq(line.text, mqw_slice_of(rows[i].raw)));
		assert_ptr_equal(line.columns, &file.columns);
	}
}

static void test_no_lines(void **state)
{
	static const char *const rows[] = {"", "x", "2026-13-16\t12:00:00 GMT\tx",
		"2026-5-16\t24:00:00 GMT\tx", "2026-5-16\t12:00:00 UTC\tx", "2026-5-16 12:00:00",
		"May 16 12:00:00 mx postfix/smtp[1]: x", "h - u [16/Mai/2026:14:00:00 +0200] \"",
		"h - u [16/May/2026:14:00:00 +0200] \"RCPT -?x", "h, u, 5/16/2026, 14:00:00, S, X",
		"h, u, 40/40/2026, 14:00:00, S, X, -, 1, 2, 3, 0, 0, RCPT, -, q,"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (form_of(rows[i]) != MQW_FORM_NONE)
			fail_msg("\"%s\" is taken for a line", rows[i]);
	/* Where nothing tells a date there is none. */
	form_of("#Fields: c-ip time");
	assert_int_equal(form_of("192.0.2.1 12:00:00"), MQW_FORM_NONE);
	form_of("#Fields: date time");
	assert_int_equal(form_of("2026-05-16 noon"), MQW_FORM_NONE);
	/* Logs of Exchange in which there is nothing to follow. */
	form_of("#Log-type: SMTP Receive Protocol Log");
	form_of("#Fields: date-time,connector-id,session-id,data");
	assert_int_equal(form_of("2026-05-16T12:00:00.000Z,a,b,c"), MQW_FORM_HEAD);
	/* The next file begins anew. */
	mqw_syslog_reader_next_file(&file, MQW_TIME_NONE);
	assert_int_equal(form_of("2026-5-16\t12:00:00 GMT\tx"), MQW_FORM_POSSIBLE);
}

static void split(const char *raw, struct mqw_slice row[MQW_COLUMN_COUNT])
{
	assert_int_equal(form_of(raw), MQW_FORM_POSSIBLE);
	assert_true(mqw_columns_split(line.columns, line.text, row));
}

static void assert_column(struct mqw_slice s, const char *want)
{
	if (!mqw_slice_eq(s, mqw_slice_of(want)))
		fail_msg("%.*s, not %s", (int)s.len, s.ptr, want);
}

static void test_columns(void **state)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];

	(void)state;
	form_of("\xef\xbb\xbf#Software: Microsoft Exchange Server");
	form_of("#Log-type: Message Tracking Log");
	form_of("#Fields: "
		"date-time,source,event-id,unheard-of,message-subject,message-id,reference");
	split("2026-05-16T12:00:00.000Z,SMTP,\"RECEIVE\",,\"a, \"\"b\"\", c\",\"<x,y@z>\",", row);
	assert_column(row[MQW_COLUMN_EVENT_ID], "RECEIVE");
	assert_column(row[MQW_COLUMN_MESSAGE_ID], "<x,y@z>");
	assert_column(row[MQW_COLUMN_REFERENCE], "");
	assert_null(row[MQW_COLUMN_SENDER].ptr);
	/* Other columns from here on. */
	form_of("#Fields: message-id,date-time,event-id");
	assert_int_equal(form_of("x,2026-05-16T12:00:00.000Z,FAIL"), MQW_FORM_NONE);
	form_of("#Fields: date-time,message-id,event-id");
	split("2026-05-16T12:00:00.000Z,a,\"open,FAIL", row);
	assert_column(row[MQW_COLUMN_EVENT_ID], "open,FAIL");
	/* A line that was cut, within quotes and without. */
	assert_int_equal(form_of("2026-05-16T12:00:00.000Z,\"a,FAIL"), MQW_FORM_POSSIBLE);
	assert_false(mqw_columns_split(line.columns, line.text, row));
	assert_int_equal(form_of("2026-05-16T12:00:00.000Z,a"), MQW_FORM_POSSIBLE);
	assert_false(mqw_columns_split(line.columns, line.text, row));
}

/* More columns than any log has, the same one twice, none at all. */
static void test_hostile_fields(void **state)
{
	char fields[4096] = "#Fields: date time cs-method cs-method";
	struct mqw_slice row[MQW_COLUMN_COUNT];

	(void)state;
	for (int i = 0; i < 400; i++)
		strcat(fields, " c-ip");
	assert_int_equal(form_of(fields), MQW_FORM_HEAD);
	split("2026-05-16 12:00:00 RCPT DATA a b c", row);
	assert_column(row[MQW_COLUMN_CLIENT_IP], "a");
	/* What comes behind those that are looked at is not counted. */
	strcpy(fields, "#Fields: date time");
	for (int i = 0; i < 400; i++)
		strcat(fields, " x");
	form_of(strcat(fields, " cs-method"));
	split("2026-05-16 12:00:00", row);
	assert_null(row[MQW_COLUMN_METHOD].ptr);
	form_of("#Fields: date time cs-method cs-method c-ip");
	split("2026-05-16 12:00:00 RCPT DATA 192.0.2.1", row);
	assert_column(row[MQW_COLUMN_METHOD], "RCPT");
	assert_int_equal(form_of("#Fields:"), MQW_FORM_HEAD);
	assert_int_equal(form_of("2026-05-16 12:00:00 RCPT"), MQW_FORM_NONE);
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool tracking, smtp;
	} rows[] = {{"20260516.log", true, false}, {"MSGTRK20260516-1.LOG", true, false},
		{"MSGTRKMD2026051617-1.LOG.gz", true, false}, {"SEND2026051617-1.LOG", true, false},
		{"ex260516.log", false, true}, {"u_ex26051617.log", false, true},
		{"nc260516.log", false, true}, {"in260516.log", false, true},
		{"extend12.log", false, true}, {"EX260516.LOG", false, true},
		{"RECV20260516-1.LOG", false, false}, {"CONNECTLOG20260516-1.LOG", false, false},
		{"2026051.log", false, false}, {"exim.log", false, false},
		{"extend.log", false, false}, {"index.log", false, false}, {"log", false, false},
		{"SENDER.log", false, false}, {"ex2605161.log", false, false}, {"", false, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mqw_windows_tracking_name(mqw_slice_of(rows[i].name)) != rows[i].tracking ||
			mqw_windows_smtp_name(mqw_slice_of(rows[i].name)) != rows[i].smtp)
			fail_msg("%s", rows[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_times, setup),
		cmocka_unit_test_setup(test_no_lines, setup),
		cmocka_unit_test_setup(test_columns, setup),
		cmocka_unit_test_setup(test_hostile_fields, setup),
		cmocka_unit_test_setup(test_names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
