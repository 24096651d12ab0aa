/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A reader that goes on from its position: nothing comes twice, nothing is missing without a word. */
#define _GNU_SOURCE /* asprintf */
#include "tail_fixture.h"

static void test_position_text(void **state)
{
	struct mqw_tail_position p = {.dev = 1,
		.ino = 2,
		.offset = 3,
		.line = 4,
		.numbered = true,
		.skipping = true,
		.print = mqw_tail_print_of(MQW_LIT("abc")),
		.time = 1795590714624357,
		.path = MQW_LIT("/var/log/mail log")};
	struct mqw_tail_position q;
	struct mqw_buffer b = {0};
	struct mqw_slice s;

	(void)state;
	mqw_buffer_add_str(&b, "3 a later version\n\n1 2 3\n");
	mqw_tail_position_add(&b, &p);
	s = mqw_buffer_slice(&b);
	assert_true(mqw_tail_position_take(&s, &q));
	assert_true(q.dev == 1 && q.ino == 2 && q.offset == 3 && q.line == 4 && q.numbered);
	assert_true(q.skipping && q.print.len == 3 && q.print.hash == p.print.hash);
	assert_true(q.time == p.time && mqw_slice_eq(q.path, p.path));
	assert_false(mqw_tail_position_take(&s, &q));
	s = MQW_LIT("1 1 1 1 1 0 0 257 1 1 /too/long/a/print\n1 1 1 1 1 0 0 1 1 1 /no/newline");
	assert_false(mqw_tail_position_take(&s, &q));
	assert_int_equal(mqw_tail_print_of(MQW_SLICE_NULL).len, 0);
	mqw_buffer_done(&b);
}

/* Stops at a line, changes the directory, goes on: nothing twice, nothing missing. */
static void resume(const char *meanwhile, size_t gaps)
{
	struct got g;
	char *position;

	append("mail.log", 0, 49);
	put("mail.log", "a", "line 50 of");
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	position = close_tail(&g);
	put("mail.log", "a", " the log\n");
	append("mail.log", 51, 59);
	sh(meanwhile);
	append("mail.log", 60, 69);
	open_tail(&g, path, position, false);
	g.next = 50;
	run_until(&g, 20);
	assert_int_equal(g.gaps, gaps);
	/* And once more from there, where nothing has happened. */
	free(position);
	position = close_tail(&g);
	append("mail.log", 70, 70);
	open_tail(&g, path, position, true);
	g.next = 70;
	run_until(&g, 1);
	assert_int_equal(g.gaps, 0);
	free(position);
	free(close_tail(&g));
	sh("rm -f ./*");
}

static void test_resume(void **state)
{
	(void)state;
	resume("true", 0);
	resume("mv mail.log mail.log.1", 0);
	resume("mv mail.log mail.log.1 && gzip mail.log.1", 0);
	resume("mv mail.log mail.log-20260516 && xz mail.log-20260516", 0);
	resume("mv mail.log mail.log.20260516-010203", 0);
	/* What may have been written between the copy and the cut is a gap. */
	resume("cp mail.log mail.log.1 && : > mail.log", 1);
	/* A piece that is being compressed. */
	resume("mv mail.log mail.log.1 && gzip -c mail.log.1 | head -c 60 > mail.log.1.gz", 0);
	/* The same file under another inode, as after a backup was put back. */
	resume("cp mail.log x && mv x mail.log", 0);
	/* Others' logs beside it. */
	resume("cp mail.log mail.err && cp mail.log mail.log.bak && mv mail.log mail.log.1", 0);
}

static void test_resume_two_rotations(void **state)
{
	struct got g;
	char *position;

	(void)state;
	append("mail.log", 0, 4999);
	open_tail(&g, path, NULL, false);
	run_until(&g, 5000);
	position = close_tail(&g);
	append("mail.log", 5000, 5999);
	sh("mv mail.log mail.log.1 && gzip mail.log.1");
	append("mail.log", 6000, 6999);
	sh("mv mail.log.1.gz mail.log.3.gz && mv mail.log mail.log.1 && zstd -q --rm mail.log.1 && "
	   "mv mail.log.1.zst mail.log.2.zst");
	append("mail.log.1", 7000, 7999);
	append("mail.log", 8000, 8999);
	open_tail(&g, path, position, false);
	g.next = 5000;
	run_until(&g, 4000);
	assert_int_equal(g.gaps, 0);
	assert_int_equal(g.source_count, 4);
	assert_non_null(strstr(g.sources[0], "/mail.log.3.gz"));
	assert_string_equal(g.sources[3], path);
	assert_int_equal(g.last_line, 1000);
	free(position);
	free(close_tail(&g));
}

/* Killed again and again at any line, and each time one rotation further. */
static void test_resume_anywhere(void **state)
{
	char *position = strdup("");
	size_t at = 0, written = 0;
	struct got g;

	(void)state;
	for (size_t round = 0; round < 12; round++) {
		append("mail.log", written, written + 2999);
		written += 3000;
		if (round % 3 == 1)
			sh("for n in 5 4 3 2; do [ -e mail.log.$n.gz ] && mv mail.log.$n.gz "
			   "mail.log.$((n+1)).gz; done; [ -e mail.log.1 ] && gzip mail.log.1 && "
			   "mv mail.log.1.gz mail.log.2.gz; mv mail.log mail.log.1");
		if (round % 3 == 1)
			append("mail.log", written, written + 99), written += 100;
		open_tail(&g, path, position, false);
		g.next = at;
		/* One turn of the loop gives a batch at most: mostly in the middle of a file. */
		for (size_t turn = 0; turn <= round % 3; turn++)
			assert_true(sd_event_run(g.loop, 100000) >= 0);
		assert_int_equal(g.gaps, 0);
		at = g.next;
		free(position);
		position = close_tail(&g);
	}
	open_tail(&g, path, position, false);
	g.next = at;
	run_until(&g, written - at);
	assert_int_equal(g.gaps, 0);
	free(position);
	free(close_tail(&g));
}

static void test_lost(void **state)
{
	struct got g;
	char *position;

	(void)state;
	append("mail.log", 0, 9);
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	position = close_tail(&g);
	sh("rm mail.log");
	/* Older than what was read last: it is not new. */
	append("mail.log.1", 500, 510);
	sh("touch -d 2020-01-01 mail.log.1");
	append("mail.log", 10, 19);
	open_tail(&g, path, position, false);
	g.next = 10;
	run_until(&g, 10);
	assert_int_equal(g.gaps, 1);
	assert_string_equal(g.why, "the file that was read last is gone");
	assert_int_equal(g.says, 1);
	free(close_tail(&g));

	/* Damaged where the rest should be: what can be read, a gap, and on. */
	sh("rm mail.log*");
	append("mail.log", 0, 9);
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	free(position);
	position = close_tail(&g);
	append("mail.log", 10, 99999);
	sh("mv mail.log mail.log.1 && gzip mail.log.1 && truncate -s 100K mail.log.1.gz");
	append("mail.log", 100000, 100000);
	open_tail(&g, path, position, false);
	g.next = ANY;
	for (int i = 0; i < 400 && strcmp(g.last, "line 100000 of the log") != 0; i++)
		sd_event_run(g.loop, 10000);
	assert_string_equal(g.last, "line 100000 of the log");
	assert_true(g.lines > 20000);
	assert_int_equal(g.gaps, 1);
	assert_non_null(strstr(g.why, "gzip data end early"));
	free(position);
	free(close_tail(&g));
}

/* A position for a log that is not there is kept until it is. */
static void test_position_of_missing(void **state)
{
	struct got g;
	char *position, *again;

	(void)state;
	append("mail.log", 0, 9);
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	position = close_tail(&g);
	sh("mv mail.log mail.log.1");
	open_tail(&g, path, position, false);
	spin(&g, 50);
	again = close_tail(&g);
	assert_string_equal(again, position);
	append("mail.log.1", 10, 10);
	append("mail.log", 11, 11);
	open_tail(&g, path, again, false);
	g.next = 10;
	run_until(&g, 2);
	assert_int_equal(g.gaps, 0);
	free(position);
	free(again);
	free(close_tail(&g));
	assert_null(mqw_file_tail_close(NULL));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_position_text),
		TEST(test_resume),
		TEST(test_resume_two_rotations),
		TEST(test_resume_anywhere),
		TEST(test_lost),
		TEST(test_position_of_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
