/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logs are made up here: what is told of them in one thread has to be told in two, byte for byte. */
#define _GNU_SOURCE /* asprintf */
#include "watchdogd/cli/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/outlet_fixture.h"
#include "watchdogd/cli/batch.h"

#define LINES 6000

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	snprintf(dir, sizeof(dir), "/tmp/test_reading.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static FILE *create(const char *name)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

static void stamp(FILE *f, int second)
{
	fprintf(f, "2026-10-01T%02d:%02d:%02d.%06d+00:00 mx%d ", second / 3600, second / 60 % 60,
		second % 60, second % 7, second % 3);
}

static void letters(FILE *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fputc('a' + (int)(i % 26), f);
}

/* Also lines of others, without a stamp, of no known form, and some that are longer than is kept. */
static void put_postfix(FILE *f, int n, int second)
{
	switch (n % 11) {
	case 0:
		fputs("no stamp at all\n", f);
		break;
	case 1:
		stamp(f, second);
		fprintf(f, "sshd[%d]: Accepted publickey for root\n", n);
		break;
	case 2:
		stamp(f, second);
		fprintf(f, "postfix/qmgr[12]: A%08X: an odd thing\n", (unsigned int)n);
		break;
	case 3:
		stamp(f, second);
		fprintf(f, "postfix/qmgr[12]: A%08X: removed\n", (unsigned int)n);
		break;
	case 4:
		stamp(f, second);
		fprintf(f, "postfix/smtp[34]: A%08X: to=<", (unsigned int)n);
		letters(f, n % 400 == 4 ? 100 * 1024 : n % 90 == 4 ? 60 * 1024 : 30);
		fputs("@b.example>, relay=none, delay=1, dsn=4.0.0, status=deferred (x)\n", f);
		break;
	default:
		stamp(f, second);
		fprintf(f,
			"postfix/smtp[56]: A%08X: to=<u%d@b.example>, "
			"relay=mx.b.example[192.0.2.1]:25, "
			"delay=3, delays=1/0/1/1, dsn=4.7.1, status=deferred (host said: 451 4.7.1 "
			"%d)\n",
			(unsigned int)n / 11, n, n);
	}
}

struct outcome {
	struct record record;
	struct mqw_reading reading;
	int result;
};

static void read_logs(struct outcome *o, const struct mqw_fileset *files, bool threads,
	int64_t until, uint64_t fail_at)
{
	const struct mqw_outlet to = outlet_of(&o->record);

	o->record.fail_at = fail_at;
	o->record.mta = &o->reading.mta;
	o->reading.until = until;
	o->reading.threads = threads;
	o->result = mqw_reading_run(&o->reading, files, &to);
}

static void done(struct outcome *o)
{
	mqw_buffer_done(&o->record.told);
	mqw_reading_done(&o->reading);
}

static void assert_same(struct outcome *one, struct outcome *two)
{
	const struct mqw_reading *a = &one->reading, *b = &two->reading;

	assert_int_equal(one->result, two->result);
	assert_int_equal(one->record.events, two->record.events);
	assert_int_equal(one->record.told.len, two->record.told.len);
	if (one->record.told.len)
		assert_memory_equal(
			one->record.told.ptr, two->record.told.ptr, one->record.told.len);
	if (one->result < 0)
		return; /* how far the lines had been read then is nobody's business */
	assert_ptr_equal(a->mta, b->mta);
	assert_int_equal(a->lines, b->lines);
	assert_int_equal(a->unparsed, b->unparsed);
	assert_int_equal(a->used, b->used);
	assert_true(a->end == b->end);
	assert_int_equal(a->sample_count, b->sample_count);
	for (size_t i = 0; i < a->sample_count; i++) {
		assert_string_equal(a->samples[i].text, b->samples[i].text);
		assert_int_equal(a->samples[i].source, b->samples[i].source);
		assert_int_equal(a->samples[i].line, b->samples[i].line);
	}
	assert_int_equal(a->errors.len, b->errors.len);
	if (a->errors.len)
		assert_memory_equal(a->errors.ptr, b->errors.ptr, a->errors.len);
}

/*
 * Reads the files of dir, named with blanks between them, in one thread and in two. Returns the events,
 * of_nobody those that were told before the MTA was known.
 */
static uint64_t compare(const char *names, const struct mqw_probe_ops *mta, int64_t until,
	uint64_t fail_at, uint64_t *of_nobody)
{
	char *args[4], *copy = strdup(names), *rest = copy, *name;
	struct mqw_fileset files;
	struct outcome one = {.reading.mta = mta}, two = one;
	size_t count = 0;
	uint64_t events;

	while ((name = strsep(&rest, " ")))
		assert_true(asprintf(&args[count++], "%s/%s", dir, name) > 0);
	assert_int_equal(mqw_fileset_build(args, count, &files), 0);
	read_logs(&one, &files, false, until, fail_at);
	read_logs(&two, &files, true, until, fail_at);
	assert_same(&one, &two);
	assert_int_equal(one.record.of_nobody, two.record.of_nobody);
	events = one.record.events;
	*of_nobody = one.record.of_nobody;
	done(&one);
	done(&two);
	mqw_fileset_done(&files);
	while (count > 0)
		free(args[--count]);
	free(copy);
	return events;
}

static void compare_postfix(const char *names, int64_t until, uint64_t fail_at, uint64_t want)
{
	uint64_t of_nobody;

	assert_int_equal(compare(names, NULL, until, fail_at, &of_nobody), want);
	assert_int_equal(of_nobody, 0);
}

/* Of 11 lines one is a removal and seven are tries; the cut ones, of 400, are none any more. */
static uint64_t events_of(int lines)
{
	uint64_t events = 0;

	for (int n = 0; n < lines; n++)
		events += n % 11 >= 3 && !(n % 11 == 4 && n % 400 == 4);
	return events;
}

static void test_one_log(void **state)
{
	static const int lengths[] = {0, 1, 2, 3, 4, MQW_BATCH_LINES - 1, MQW_BATCH_LINES,
		MQW_BATCH_LINES + 1, 2 * MQW_BATCH_LINES, LINES};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		FILE *f = create("mail.log");

		for (int n = 0; n < lengths[i]; n++)
			put_postfix(f, n, n);
		fclose(f);
		compare_postfix("mail.log", MQW_TIME_NONE, 0, events_of(lengths[i]));
	}
}

/* Two logs that are read together by time, one of them rotated, with a piece missing. */
static void test_several_logs(void **state)
{
	FILE *a = create("mail.log"), *a1 = create("mail.log.1"), *a3 = create("mail.log.3"),
	     *b = create("other.log");

	(void)state;
	for (int n = 0; n < 3 * LINES; n++) {
		put_postfix(n < LINES ? a3 : n < 2 * LINES ? a1 : a, n, n);
		if (n % 5 == 0)
			put_postfix(b, n + 1, n);
	}
	fclose(a), fclose(a1), fclose(a3), fclose(b);
	{
		uint64_t events = events_of(3 * LINES) + 1; /* the hole */

		for (int n = 0; n < 3 * LINES; n += 5)
			events += (n + 1) % 11 >= 3 && !((n + 1) % 11 == 4 && (n + 1) % 400 == 4);
		compare_postfix(
			"mail.log mail.log.1 mail.log.3 other.log", MQW_TIME_NONE, 0, events);
	}
}

static void test_until(void **state)
{
	const int64_t start = mqw_days_from_civil(2026, 10, 1) * MQW_DAY;
	FILE *f = create("mail.log");

	(void)state;
	for (int n = 0; n < LINES; n++)
		put_postfix(f, n, n);
	fclose(f);
	compare_postfix("mail.log", start + 3000 * MQW_SECOND - 1, 0, events_of(3000));
	compare_postfix("mail.log", start - 1, 0, 0);
}

/* A sink that refuses an event gets none after it. */
static void test_fault(void **state)
{
	static const uint64_t at[] = {1, 2, 400, 2000};
	FILE *f = create("mail.log");

	(void)state;
	for (int n = 0; n < LINES; n++)
		put_postfix(f, n, n);
	fclose(f);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		compare_postfix("mail.log", MQW_TIME_NONE, at[i], at[i]);
}

/*
 * The MTA is known late, after a confessed loss; another begins and never ends. Only from then on it has
 * a name.
 */
static void test_recognised_late(void **state)
{
	FILE *f = create("mail.log");
	uint64_t of_nobody;

	(void)state;
	for (int n = 0; n < LINES; n++) {
		stamp(f, n);
		if (n % 1000 == 500)
			fputs("rsyslogd: imuxsock[pid 1]: begin to drop messages due to "
			      "rate-limiting\n",
				f);
		else if (n == 700)
			fputs("rsyslogd: imuxsock[pid 1]: 312 messages lost due to rate-limiting\n",
				f);
		else if (n > 3000)
			fprintf(f, "postfix/qmgr[12]: A%08X: removed\n", (unsigned int)n);
		else
			fputs("sshd[1]: something\n", f);
	}
	fclose(f);
	/* Two gaps, and what is left of the lines above 3000. */
	assert_int_equal(compare("mail.log", NULL, MQW_TIME_NONE, 0, &of_nobody), 2 + 2999 - 3);
	assert_int_equal(of_nobody, 1);
}

/* Lines that change how those behind them are to be read, while those before are on their way. */
static void test_columns_change(void **state)
{
	FILE *f = create("ex261001.log");
	uint64_t of_nobody;
	int sessions = 0;

	(void)state;
	for (int n = 0; n < LINES; n++) {
		const char *what = n % 4 == 0 ? "MAIL"
			: n % 4 == 1          ? "-"
			: n % 4 == 2          ? "RCPT"
					      : "-";
		const char *text = n % 4 == 0 ? "FROM:<a@uni.example>+SIZE=17"
			: n % 4 == 2          ? "TO:<ann@bravo.example>"
			: n % 4 == 1          ? "250+Ok"
					      : "450+4.2.0+Greylisted";
		const char *who =
			n % 2 ? "OutboundConnectionResponse" : "OutboundConnectionCommand";

		if (n % 40 == 0)
			fprintf(f, "#Date: 2026-10-01 00:00:00\n#Fields: %s\n",
				n % 80 ? "time c-ip cs-username s-sitename cs-method cs-uri-query"
				       : "cs-uri-query cs-method s-sitename cs-username c-ip time");
		sessions += n % 4 == 3;
		if (n % 80 >= 40)
			fprintf(f, "%02d:%02d:%02d 192.0.2.9 %s SMTPSVC1 %s %s\n", n / 3600,
				n / 60 % 60, n % 60, who, what, text);
		else
			fprintf(f, "%s %s SMTPSVC1 %s 192.0.2.9 %02d:%02d:%02d\n", text, what, who,
				n / 3600, n / 60 % 60, n % 60);
	}
	fclose(f);
	assert_true(compare("ex261001.log", mqw_probe_find(MQW_LIT("iis-smtp")), MQW_TIME_NONE, 0,
			    &of_nobody) >= (uint64_t)sessions);
	assert_int_equal(of_nobody, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_log),
		cmocka_unit_test(test_several_logs),
		cmocka_unit_test(test_until),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_recognised_late),
		cmocka_unit_test(test_columns_change),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
