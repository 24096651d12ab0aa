/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/fileset.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "watchdogd/base/clock.h"

static char dir[64];

static void put(const char *name, const char *bytes, size_t len)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void touch(const char *const *names)
{
	for (; *names; names++)
		put(*names, "x\n", 2);
}

/*
 * All sets as one string: files separated by blanks, "|" between sets, "!" before a file in front
 * of which one is missing; behind that the errors.
 */
static bool (*is_log)(struct mqw_slice name);

static void assert_sets(const char *const *args, const char *want, const char *errors)
{
	struct mqw_fileset f;
	struct mqw_buffer b = {0};
	char *copy[32];
	size_t n = 0;

	for (; args[n]; n++)
		copy[n] = strdup(args[n]);
	assert_int_equal(mqw_fileset_find(copy, n, is_log, &f), 0);
	for (size_t i = 0; i < f.set_count; i++)
		for (size_t k = 0; k < f.sets[i].count; k++)
			mqw_buffer_printf(&b, "%s%s%s",
				k           ? " "
					: i ? "|"
					    : "",
				f.sets[i].files[k].hole_before ? "!" : "", f.sets[i].files[k].path);
	assert_string_equal(mqw_buffer_str(&b), want);
	assert_string_equal(mqw_buffer_str(&f.errors), errors);
	assert_int_equal(f.error_count == 0, errors[0] == '\0');
	mqw_buffer_done(&b);
	mqw_fileset_done(&f);
	assert_int_equal(f.set_count, 0);
	while (n--)
		free(copy[n]);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_orders(void **state)
{
	/* Given in this order; wanted in that. */
	static const struct {
		const char *given[12], *want;
	} cases[] = {
		{{"mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.3.gz"},
			"mail.log.3.gz mail.log.2.gz mail.log.1 mail.log"},
		{{"mail.log.10.gz", "mail.log.9.gz", "mail.log.11.gz"},
			"mail.log.11.gz mail.log.10.gz mail.log.9.gz"},
		{{"mail.log", "mail.log-20260517", "mail.log-20260516.gz"},
			"mail.log-20260516.gz mail.log-20260517 mail.log"},
		{{"x.log", "x.log.20260516-020203", "x.log.20260516-010203.xz",
			 "x.log.20260515-230000"},
			"x.log.20260515-230000 x.log.20260516-010203.xz x.log.20260516-020203 "
			"x.log"},
		{{"m-2026051602", "m-2026051601", "m-2026-05-15", "m"},
			"m-2026-05-15 m-2026051601 m-2026051602 m"},
		/* The host changed from numbers to dates. */
		{{"m-20260516", "m", "m.1", "m.2.gz"}, "m.2.gz m.1 m-20260516 m"},
		{{"m.0", "m.1.gz", "m"}, "m.1.gz m.0 m"},
		/* Holes. */
		{{"mail.log.3.gz", "mail.log.1", "mail.log"}, "mail.log.3.gz !mail.log.1 mail.log"},
		{{"mail.log.2.gz", "mail.log"}, "mail.log.2.gz !mail.log"},
		{{"mail.log.7.gz", "mail.log.4"}, "mail.log.7.gz !mail.log.4"},
		/* Sets of their own, by the first argument of each. */
		{{"mail.log.1", "info", "mail.log", "a"}, "mail.log.1 mail.log|info|a"},
		{{"mail.log", "mail.err", "mail.log2", "mail.err.1"},
			"mail.log|mail.err.1 mail.err|mail.log2"},
		{{"m-20261301", "m-20260532", "m-20260500", "m"},
			"m-20261301|m-20260532|m-20260500|m"},
		{{"m.123456", "m.a1", "m"}, "m.123456|m.a1|m"},
		/* Logs named by the host's address. */
		{{"10.0.0.1", "10.0.0.2", "h-10.0.0.3", "h-10.0.0.4"},
			"10.0.0.1|10.0.0.2|h-10.0.0.3|h-10.0.0.4"},
		{{"10.0.0.1", "10.0.0.1.1", "10.0.0.1.2.gz", "10.0.0.2.1"},
			"10.0.0.1.2.gz 10.0.0.1.1 10.0.0.1|10.0.0.2.1"},
		/* As Windows servers name them: a file for each day, hour or size. */
		{{"20260518.log", "ex260517.log", "20260516.log", "20260517.log", "ex260516.log"},
			"20260516.log 20260517.log 20260518.log|ex260516.log ex260517.log"},
		{{"20260516.log", "20260518.log.gz"}, "20260516.log !20260518.log.gz"},
		{{"20260228.log", "20260301.log"}, "20260228.log 20260301.log"},
		/* A day without mail has no file of these; digits of the year are two. */
		{{"u_ex26051702.log", "u_ex26051623.log"}, "u_ex26051623.log u_ex26051702.log"},
		{{"ex20100112.log", "ex10100113.log"}, "ex10100113.log ex20100112.log"},
		{{"extend9.log", "extend10.log", "extend12.log"},
			"extend9.log extend10.log !extend12.log"},
		{{"MSGTRK2026051617-2.LOG", "MSGTRK2026051617-1.LOG", "MSGTRK2026051619-1.LOG",
			 "MSGTRKMD2026051617-1.LOG"},
			"MSGTRK2026051617-1.LOG MSGTRK2026051617-2.LOG MSGTRK2026051619-1.LOG|"
			"MSGTRKMD2026051617-1.LOG"},
		{{"MSGTRK20260516-1.LOG", "MSGTRK20260516-3.LOG", "MSGTRK20260517-2.LOG"},
			"MSGTRK20260516-1.LOG !MSGTRK20260516-3.LOG !MSGTRK20260517-2.LOG"},
		{{"h260516.log", "h20261301.log"}, "h260516.log|h20261301.log"},
		/* A name of one part is no piece of anything. */
		{{"20260516", "1"}, "20260516|1"},
		{{".1", "-20260516"}, ".1|-20260516"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		touch(cases[i].given);
		assert_sets(cases[i].given, cases[i].want, "");
		for (size_t k = 0; cases[i].given[k]; k++)
			unlink(cases[i].given[k]);
	}
}

static void test_folders_differ(void **state)
{
	(void)state;
	mkdir("a", 0755);
	mkdir("b", 0755);
	touch(ARGS("a/mail.log", "a/mail.log.1", "b/mail.log.1", "b/mail.log"));
	assert_sets(ARGS("a/mail.log", "b/mail.log", "a/mail.log.1", "b/mail.log.1"),
		"a/mail.log.1 a/mail.log|b/mail.log.1 b/mail.log", "");
	assert_sets(ARGS("b/", "a"), "b/mail.log.1 b/mail.log|a/mail.log.1 a/mail.log", "");
	/* A dot in a folder's name is no rotation. */
	mkdir("c.1", 0755);
	touch(ARGS("c.1/m", "c.1/m.1"));
	assert_sets(ARGS("c.1/m", "c.1/m.1"), "c.1/m.1 c.1/m", "");
}

static void test_directory(void **state)
{
	(void)state;
	mkdir("d", 0755);
	mkdir("d/sub", 0755);
	mkdir("e", 0755);
	touch(ARGS("d/mail.log", "d/sub/mail.log", "d/.hidden"));
	put("d/mail.log.1", "", 0);
	put("d/mail.log.2.gz", "\x1f\x8b\x08\0\0\0\0\0", 8);
	put("d/wtmp", "\7\0\0\0pts", 7);
	put("e/wtmp", "\7\0\0\0pts", 7);
	assert_int_equal(mkfifo("d/fifo", 0644), 0);
	assert_int_equal(symlink("nowhere", "d/dangling"), 0);
	assert_sets(ARGS("d"), "d/mail.log.2.gz d/mail.log.1 d/mail.log", "");
	assert_sets(ARGS("e"), "", "e: no log files in this directory\n");
	/* Named outright, a file is taken whatever is in it. */
	assert_sets(ARGS("e/wtmp"), "e/wtmp", "");
}

static bool is_tracking(struct mqw_slice name)
{
	return mqw_slice_starts(name, MQW_LIT("MSGTRK"));
}

/* Logs with names of their own are found below a folder as well, and nothing else is taken. */
static void test_below(void **state)
{
	(void)state;
	mkdir("w", 0755);
	mkdir("w/Logs", 0755);
	mkdir("w/Logs/MessageTracking", 0755);
	mkdir("w/Other", 0755);
	touch(ARGS("w/Logs/MessageTracking/MSGTRK20260516-1.LOG", "w/MSGTRK20260515-1.LOG",
		"w/Other/RECV20260516-1.LOG", "w/Logs/readme"));
	assert_int_equal(symlink("..", "w/Logs/up"), 0);
	is_log = is_tracking;
	assert_sets(ARGS("w"), "w/Logs/MessageTracking/MSGTRK20260516-1.LOG|w/MSGTRK20260515-1.LOG",
		"");
	assert_sets(ARGS("w/Other"), "", "w/Other: no log files in this directory\n");
	assert_sets(ARGS("w/Logs/readme"), "w/Logs/readme", "");
	is_log = NULL;
}

static void test_twice(void **state)
{
	(void)state;
	touch(ARGS("log", "other"));
	unlink("same");
	unlink("soft");
	assert_int_equal(link("log", "same"), 0);
	assert_int_equal(symlink("log", "soft"), 0);
	assert_sets(ARGS("log", "./log", "same", "soft", "lo[g]", "other"), "log|other", "");
	assert_sets(ARGS("-", "log", "-"), "-|log", "");
}

static void test_patterns(void **state)
{
	(void)state;
	touch(ARGS("p.log", "p.log.1", "p.log.2", "q[1].log"));
	assert_sets(ARGS("p.log*"), "p.log.2 p.log.1 p.log", "");
	assert_sets(ARGS("q[1].log"), "q[1].log", "");
	assert_sets(ARGS("zz*"), "", "zz*: no file matches this pattern\n");
}

static void test_faults(void **state)
{
	(void)state;
	touch(ARGS("good", "secret"));
	assert_sets(ARGS("miss\ning", "good", "good/x"), "good",
		"miss\\x0aing: No such file or directory\ngood/x: Not a directory\n");
	chmod("secret", 0);
	if (geteuid() != 0)
		assert_sets(ARGS("secret"), "", "secret: Permission denied\n");
	assert_sets((const char *const[]){NULL}, "", "");
}

static void test_stat(void **state)
{
	struct timespec times[2] = {{0, UTIME_NOW}, {1778922000, 250000000}};
	char name[] = "stat.log", dash[] = "-", *args[] = {name, dash};
	struct mqw_fileset f;

	(void)state;
	put(name, "12345\n", 6);
	assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
	assert_int_equal(mqw_fileset_build(args, 2, &f), 0);
	assert_int_equal(f.set_count, 2);
	assert_int_equal(f.sets[0].files[0].size, 6);
	assert_true(f.sets[0].files[0].mtime == 1778922000250000);
	assert_int_equal(f.sets[1].files[0].size, 0);
	assert_true(f.sets[1].files[0].mtime == MQW_TIME_NONE);
	mqw_fileset_done(&f);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s", "/tmp/mqw-fileset-XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_folders_differ),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_stat),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
