/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A log that is emptied, after it was copied or not, under a reader or while it is away. */
#define _GNU_SOURCE /* asprintf */
#include "tail_fixture.h"

static void test_copied_and_cut_while_away(void **state)
{
	static const char *const rows[] = {"true", "gzip mail.log.1", "xz mail.log.1",
		"zstd -q --rm mail.log.1", "bzip2 mail.log.1",
		"mv mail.log.1 mail.log-20260516 && gzip mail.log-20260516"};
	char *position;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		position = read_and_leave();
		append("mail.log", 50, 59);
		sh("cp mail.log mail.log.1 && : > mail.log");
		sh(rows[i]);
		append("mail.log", 60, 69);
		come_back(&position, 50, 69, 1, COPIED);
		/* And it is said once. */
		append("mail.log", 70, 70);
		come_back(&position, 70, 70, 0, NULL);
		clean(position);
	}
}

static void test_copied_and_cut_twice_while_away(void **state)
{
	char *position = read_and_leave();

	(void)state;
	append("mail.log", 50, 59);
	sh("cp mail.log mail.log.1 && : > mail.log");
	append("mail.log", 60, 159); /* longer than it was */
	sh("gzip mail.log.1 && mv mail.log.1.gz mail.log.2.gz");
	sh("cp mail.log mail.log.1 && : > mail.log");
	append("mail.log", 160, 169);
	come_back(&position, 50, 169, 1, COPIED);
	clean(position);
}

/* The copy has been deleted, or there never was one. */
static void test_cut_while_away(void **state)
{
	char *position = read_and_leave();

	(void)state;
	sh(": > mail.log");
	append("mail.log", 50, 54); /* shorter than what was read */
	come_back(&position, 50, 54, 1, GONE);
	clean(position);

	position = read_and_leave();
	sh(": > mail.log");
	append("mail.log", 50, 199); /* longer: only its beginning tells */
	come_back(&position, 50, 199, 1, GONE);
	clean(position);

	position = read_and_leave();
	sh(": > mail.log"); /* and nothing has been written since */
	come_back(&position, 0, (size_t)-1, 1, "the log was truncated");
	append("mail.log", 50, 50);
	come_back(&position, 50, 50, 0, NULL);
	clean(position);
}

static void test_cut_while_running(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	sh(": > mail.log");
	append("mail.log", 50, 199);
	run_until(&g, 200);
	assert_int_equal(g.gaps, 1);
	assert_string_equal(g.why, "the log was truncated");
	assert_int_equal(g.last_line, 150);
	free(close_tail(&g));
}

/* Positions of an empty log are told by its inode: one that has its number is not taken for it. */
static void test_empty_when_left(void **state)
{
	char *position;
	struct got g;

	(void)state;
	put("mail.log", "w", "");
	open_tail(&g, path, NULL, false);
	spin(&g, 50);
	position = close_tail(&g);
	append("mail.log", 0, 9);
	come_back(&position, 0, 9, 0, NULL);
	clean(position);

	put("mail.log", "w", "");
	open_tail(&g, path, NULL, false);
	spin(&g, 50);
	position = close_tail(&g);
	append("mail.log", 0, 9);
	sh("gzip -c mail.log > mail.log.1.gz; rm mail.log");
	append("mail.log", 10, 19);
	come_back(&position, 0, 19, 1, GONE);
	clean(position);

	put("mail.log", "w", "");
	open_tail(&g, path, NULL, false);
	spin(&g, 50);
	append("mail.log", 0, 9);
	sh("cp mail.log mail.log.1 && : > mail.log");
	append("mail.log", 10, 19);
	run_until(&g, 20);
	assert_int_equal(g.gaps, 1);
	free(close_tail(&g));
}

/* The gap of a cut is told of once, though the daemon ends before the log is written to again. */
static void test_left_right_after_a_cut(void **state)
{
	char *position;
	struct got g;

	(void)state;
	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	sh("cp mail.log mail.log.1 && : > mail.log");
	run_until_gaps(&g, 1);
	assert_string_equal(g.why, "the log was truncated");
	spin(&g, 300);
	position = close_tail(&g);
	append("mail.log", 50, 59);
	come_back(&position, 50, 59, 0, NULL);
	/* The next one, while nobody looks, is another. */
	sh("mv mail.log.1 mail.log.2; cp mail.log mail.log.1 && : > mail.log");
	append("mail.log", 60, 69);
	come_back(&position, 60, 69, 1, COPIED);
	clean(position);
}

/* As above, and cut once more before it is looked at again: what is between is lost or not. */
static void test_left_right_after_a_cut_and_cut_again(void **state)
{
	char *position;
	struct got g;

	(void)state;
	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	sh("cp mail.log mail.log.1 && : > mail.log");
	run_until_gaps(&g, 1);
	spin(&g, 300);
	position = close_tail(&g);
	append("mail.log", 50, 59);
	sh("mv mail.log.1 mail.log.2; cp mail.log mail.log.1 && : > mail.log");
	append("mail.log", 60, 69);
	come_back(&position, 50, 69, 1, COPIED);
	clean(position);
}

/* How long lines may have gone missing, by the first line that was written after the cut. */
static void test_how_long_lines_went_missing(void **state)
{
	static const struct {
		int64_t stamp; /* as of when it was left; MQW_TIME_NONE none */
		bool whole; /* the gap reaches until it is looked at again */
		int64_t to; /* or as of when it was left; 0: no longer than what was known */
	} rows[] = {
		{MQW_TIME_NONE, true, 0}, {150000, false, 150000},
		{-2 * MQW_SECOND, false, 0}, /* it waited in the logging until the log was cut */
		{-MQW_DAY, false, 0}, /* a clock that is slow */
		{MQW_DAY, true, 0}, /* one that is fast */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *position = read_and_leave();
		int64_t left = mqw_clock_now(), back;
		struct got g;

		append("mail.log", 50, 59);
		sh("cp mail.log mail.log.1 && : > mail.log");
		append("mail.log", 60, 69);
		usleep(300000);
		stamp = rows[i].stamp == MQW_TIME_NONE ? MQW_TIME_NONE : left + rows[i].stamp;
		back = mqw_clock_now();
		open_tail(&g, path, position, false);
		g.next = 50;
		run_until(&g, 20);
		run_until_gaps(&g, 1);
		assert_string_equal(g.why, COPIED);
		assert_true(g.from <= left);
		if (rows[i].whole)
			assert_true(g.to >= back);
		else
			assert_int_equal(g.to, rows[i].to ? left + rows[i].to : g.from);
		stamp = MQW_TIME_NONE;
		free(close_tail(&g));
		clean(position);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_copied_and_cut_while_away),
		TEST(test_copied_and_cut_twice_while_away),
		TEST(test_how_long_lines_went_missing),
		TEST(test_cut_while_away),
		TEST(test_cut_while_running),
		TEST(test_empty_when_left),
		TEST(test_left_right_after_a_cut),
		TEST(test_left_right_after_a_cut_and_cut_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
