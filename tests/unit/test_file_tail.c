/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real files, a real event loop. Lines are numbered, so that one too many or too few shows. Where a
 * reader goes on is in test_tail_resume.c.
 */
#define _GNU_SOURCE /* asprintf */
#include "tail_fixture.h"

/* Appearing late, growing, half lines, CRLF, NUL; and the numbers of lines. */
static void test_grow(void **state)
{
	struct got g;
	int fd;

	(void)state;
	open_tail(&g, path, NULL, false);
	spin(&g, 50);
	assert_int_equal(g.says, 1);
	assert_non_null(strstr(g.said, "mail.log is missing"));
	spin(&g, 1200);
	assert_int_equal(g.says, 1);
	append("mail.log", 0, 9);
	run_until(&g, 10);
	assert_int_equal(g.last_line, 10);
	assert_int_equal(g.says, 2);
	assert_true(g.caught_up >= 1);
	put("mail.log", "a", "line 10 of t");
	spin(&g, 100);
	assert_int_equal(g.lines, 10);
	put("mail.log", "a", "he log\r\nline 11 of the log\nline 12 of");
	run_until(&g, 12);
	assert_int_equal(g.last_line, 12);
	put("mail.log", "a", " the log\n");
	run_until(&g, 13);
	g.next = ANY;
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "\0\0\n", 3), 3);
	close(fd);
	run_until(&g, 14);
	/* Zeros are bytes that were lost: they are waited for, and then told of. */
	assert_int_equal(g.gaps, 1);
	assert_int_equal(g.source_count, 1);
	free(close_tail(&g));
}

static void test_from_end(void **state)
{
	struct got g;
	char *position;

	(void)state;
	append("mail.log", 0, 4);
	put("mail.log", "a", "line 5 of");
	open_tail(&g, path, NULL, true);
	g.next = 6;
	spin(&g, 50);
	assert_int_equal(g.lines, 0);
	assert_int_equal(g.caught_up, 1);
	put("mail.log", "a", " the log\n");
	append("mail.log", 6, 6);
	run_until(&g, 1);
	assert_int_equal(g.last_line, 0); /* not known */
	position = close_tail(&g);
	append("mail.log", 7, 8);
	open_tail(&g, path, position, false);
	g.next = 7;
	run_until(&g, 2);
	assert_int_equal(g.last_line, 0);
	free(position);
	free(close_tail(&g));
}

/* Rotation while the old file is still written to, as by a syslog daemon that was not told yet. */
static void test_rename(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 99);
	open_tail(&g, path, NULL, false);
	run_until(&g, 100);
	sh("mv mail.log mail.log.1 && : > mail.log");
	append("mail.log.1", 100, 109);
	run_until(&g, 110);
	spin(&g, 200); /* the new one is empty: still with the old one */
	append("mail.log.1", 110, 119);
	run_until(&g, 120);
	append("mail.log", 120, 129);
	spin(&g, 20);
	run_until(&g, 130);
	assert_int_equal(g.last_line, 10);
	/* Twice while lines come, the second one compressed at once. */
	sh("mv mail.log.1 mail.log.2 && mv mail.log mail.log.1");
	append("mail.log", 130, 130);
	run_until(&g, 131);
	sh("gzip mail.log.2 && mv mail.log.2.gz mail.log.3.gz && mv mail.log.1 mail.log.2 && "
	   "mv mail.log mail.log.1 && gzip mail.log.1");
	append("mail.log", 131, 140);
	run_until(&g, 141);
	assert_int_equal(g.gaps, 0);
	assert_int_equal(g.says, 0);
	free(close_tail(&g));
}

/* Two rotations between two looks: the one in the middle must not be passed over. */
static void test_double_rotation_live(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 9);
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	append("mail.log", 10, 10);
	sh("mv mail.log mail.log.1");
	append("mail.log", 11, 20);
	sh("gzip mail.log.1; mv mail.log.1.gz mail.log.2.gz; mv mail.log mail.log.1");
	append("mail.log", 21, 30);
	run_until(&g, 31);
	assert_int_equal(g.gaps, 0);
	free(close_tail(&g));
}

/*
 * Rotated twice before it was left, and nothing is in the newest file, for hours perhaps: what the
 * one in between holds does not wait for that.
 */
static void test_rotated_twice_then_silence(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 9);
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	sh("mv mail.log mail.log.1 && : > mail.log");
	spin(&g, 60);
	append("mail.log.1", 10, 10);
	append("mail.log", 11, 19);
	spin(&g, 20);
	sh("mv mail.log.1 mail.log.2 && mv mail.log mail.log.1 && : > mail.log");
	run_until(&g, 20);
	/* And with nothing in any of them it stays with the file that may still be written to. */
	sh("mv mail.log.2 mail.log.3 && mv mail.log.1 mail.log.2 && mv mail.log mail.log.1 && "
	   ": > mail.log");
	spin(&g, 200);
	append("mail.log.2", 20, 20);
	run_until(&g, 21);
	append("mail.log", 21, 21);
	run_until(&g, 22);
	assert_int_equal(g.gaps, 0);
	free(close_tail(&g));
}

/* A piece in the middle that was rotated a moment ago gets lines yet: whoever writes was not told. */
static void test_written_to_after_second_rotation(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 9);
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	sh("mv mail.log mail.log.1");
	append("mail.log", 10, 19);
	spin(&g, 30);
	sh("mv mail.log.1 mail.log.2 && mv mail.log mail.log.1 && : > mail.log");
	run_until(&g, 20);
	append("mail.log.1", 20, 24);
	append("mail.log", 25, 29);
	run_until(&g, 30);
	assert_int_equal(g.gaps, 0);
	assert_int_equal(g.says, 0);
	free(close_tail(&g));
}

static void test_written_while_rotating(void **state)
{
	struct got g;
	pid_t child;

	(void)state;
	append("mail.log", 0, 0);
	open_tail(&g, path, NULL, false);
	child = fork();
	if (child == 0) {
		for (size_t i = 0; i < 8; i++) {
			append("mail.log", 1 + i * 5000, 5000 + i * 5000);
			sh("for n in 8 7 6 5 4 3 2 1; do [ -e mail.log.$n ] && mv mail.log.$n "
			   "mail.log.$((n+1)); done; mv mail.log mail.log.1; : > mail.log; true");
			usleep(60000);
		}
		append("mail.log", 40001, 40001);
		_exit(0);
	}
	run_until(&g, 40002);
	waitpid(child, NULL, 0);
	assert_int_equal(g.gaps, 0);
	free(close_tail(&g));
}

static void test_copytruncate(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 99);
	open_tail(&g, path, NULL, false);
	run_until(&g, 100);
	/* Lines that only the copy has, and new ones, as many as there were: the size tells nothing. */
	append("mail.log", 100, 104);
	sh("cp mail.log mail.log.1 && : > mail.log");
	append("mail.log", 105, 250);
	run_until(&g, 251);
	assert_int_equal(g.gaps, 1);
	assert_string_equal(g.why, "the log was truncated");
	assert_int_equal(g.says, 1);
	/* Emptied, without a copy. */
	put("mail.log", "w", "");
	spin(&g, 300);
	append("mail.log", 251, 252);
	run_until(&g, 253);
	assert_int_equal(g.last_line, 2);
	assert_int_equal(g.gaps, 2);
	free(close_tail(&g));
}

static void test_glob(void **state)
{
	char pattern[160];
	struct got g;
	char *position;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/*.log*", dir);
	append("a.log", 0, 2);
	append("b.log-20260515", 0, 2);
	append("b.log-20260516", 0, 2);
	append("c.log.1", 0, 2);
	append("c.log", 0, 2);
	open_tail(&g, pattern, NULL, false);
	g.next = ANY;
	run_until(&g, 9);
	spin(&g, 50);
	assert_int_equal(g.lines, 9);
	assert_int_equal(g.source_count, 3);
	append("b.log-20260516", 3, 3);
	run_until(&g, 10);
	position = close_tail(&g);
	/* The dated one goes on under another name, while nobody looks and while somebody does. */
	append("b.log-20260516", 4, 4);
	append("b.log-20260517", 5, 5);
	open_tail(&g, pattern, position, false);
	g.next = 4;
	run_until(&g, 2);
	append("b.log-20260518", 6, 6);
	run_until(&g, 3);
	assert_int_equal(g.gaps, 0);
	assert_non_null(strstr(g.sources[g.last_source], "b.log-20260518"));
	free(position);
	free(close_tail(&g));
	open_tail(&g, "/nonexistent/*.log", NULL, false);
	spin(&g, 20);
	assert_int_equal(g.says, 1);
	free(close_tail(&g));
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	size_t *ticks = userdata;

	(void)usec;
	++*ticks;
	sd_event_source_set_time_relative(s, 1000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* A large backlog in one piece, with an endless line in it: memory and the loop stay free. */
static void test_backlog(void **state)
{
	struct rusage before, after;
	size_t ticks = 0;
	struct got g;
	int fd;

	(void)state;
	append("mail.log", 0, 199999);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(ftruncate(fd, (off_t)1 << 30), 0);
	close(fd);
	put("mail.log", "a", "\nline 200000 of the log\n");
	getrusage(RUSAGE_SELF, &before);
	open_tail(&g, path, NULL, false);
	g.next = ANY;
	assert_true(sd_event_add_time_relative(
			    g.loop, NULL, CLOCK_MONOTONIC, 1000, 1, on_tick, &ticks) >= 0);
	run_until(&g, 200002);
	assert_string_equal(g.last, "line 200000 of the log");
	assert_int_equal(g.last_line, 200002);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 8192); /* KiB */
	assert_true(ticks > 20);
	free(close_tail(&g));
}

/* Nothing happens: no more than one look a second. */
static void test_idle(void **state)
{
	struct rusage before, after;
	struct got g;

	(void)state;
	append("mail.log", 0, 0);
	open_tail(&g, path, NULL, false);
	run_until(&g, 1);
	getrusage(RUSAGE_SELF, &before);
	run_for(&g, 1500);
	getrusage(RUSAGE_SELF, &after);
	/* Right after a line: 20 ms apart, then ever farther. */
	assert_true(after.ru_nvcsw - before.ru_nvcsw < 60);
	free(close_tail(&g));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_grow),
		TEST(test_from_end),
		TEST(test_rename),
		TEST(test_double_rotation_live),
		TEST(test_rotated_twice_then_silence),
		TEST(test_written_to_after_second_rotation),
		TEST(test_written_while_rotating),
		TEST(test_copytruncate),
		TEST(test_glob),
		TEST(test_backlog),
		TEST(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
