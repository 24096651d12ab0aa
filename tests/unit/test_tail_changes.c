/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to a log under a reader, and while it is away: each once, with its right end. Random
 * orders of the same are in test_tail_schedule.c.
 */
#define _GNU_SOURCE /* asprintf */
#include "tail_fixture.h"

/* In the middle of a rotated file, in any compression: on at the same byte of the text. */
static void test_compressed_before_its_end(void **state)
{
	static const char *const rows[] = {
		"gzip mail.log.1", "xz mail.log.1", "zstd -q --rm mail.log.1", "bzip2 mail.log.1"};
	struct got g;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *position;
		size_t at;

		append("mail.log", 0, 9999);
		open_tail(&g, path, NULL, false);
		for (int turn = 0; turn < 20 && g.lines < 1500; turn++)
			assert_true(sd_event_run(g.loop, 100000) >= 0);
		at = g.lines;
		assert_in_range(at, 1, 9000);
		position = close_tail(&g);
		sh("mv mail.log mail.log.1");
		sh(rows[i]);
		append("mail.log", 10000, 10009);
		come_back(&position, at, 10009, 0, NULL);
		clean(position);
	}
}

static void test_oldest_deleted_while_away(void **state)
{
	char *position = read_and_leave();

	(void)state;
	append("mail.log", 50, 59);
	sh("mv mail.log mail.log.1");
	append("mail.log", 60, 69);
	sh("mv mail.log.1 mail.log.2 && mv mail.log mail.log.1 && gzip mail.log.1");
	sh("rm mail.log.2");
	append("mail.log", 70, 79);
	come_back(&position, 60, 79, 1, GONE);
	clean(position);
}

/* Two looks apart, the one in between is there and not passed over: no gap. */
static void test_oldest_deleted_while_running(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	spin(&g, 50);
	append("mail.log", 50, 59);
	sh("mv mail.log mail.log.1");
	append("mail.log", 60, 69);
	sh("rm mail.log.1 && mv mail.log mail.log.1");
	append("mail.log", 70, 79);
	run_until(&g, 80);
	assert_int_equal(g.gaps, 0);
	free(close_tail(&g));
}

/* Rotated to another folder, which is not looked into: all was read, nothing is missing. */
static void test_moved_to_other_folder(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	spin(&g, 50);
	append("mail.log", 50, 59);
	sh("mkdir old && mv mail.log old/");
	append("mail.log", 60, 69);
	run_until(&g, 70);
	assert_int_equal(g.gaps, 0);
	free(close_tail(&g));
}

static void cut_to(long size)
{
	assert_int_equal(truncate(path, size), 0);
}

/* A network file system tells an older size for a while; the bytes are what they were. */
static void test_older_size(void **state)
{
	char *position, *content;
	struct stat st;
	struct got g;
	int fd;

	(void)state;
	position = read_and_leave();
	assert_int_equal(stat(path, &st), 0);
	fd = open(path, O_RDWR);
	content = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, content, (size_t)st.st_size, 0), st.st_size);
	open_tail(&g, path, position, false);
	g.next = 50;
	spin(&g, 50);
	cut_to(400);
	spin(&g, 100);
	assert_int_equal(pwrite(fd, content, (size_t)st.st_size, 0), st.st_size);
	append("mail.log", 50, 54);
	run_until(&g, 5);
	assert_int_equal(g.gaps, 0);
	free(position);
	position = close_tail(&g);
	/* And while it is so, the reader comes. */
	free(content);
	assert_int_equal(stat(path, &st), 0);
	content = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, content, (size_t)st.st_size, 0), st.st_size);
	cut_to(400);
	open_tail(&g, path, position, false);
	g.next = 55;
	spin(&g, 100);
	assert_int_equal(pwrite(fd, content, (size_t)st.st_size, 0), st.st_size);
	append("mail.log", 55, 59);
	run_until(&g, 5);
	assert_int_equal(g.gaps, 0);
	/* It stays: what was cut off is gone, and what is left was read. */
	cut_to(400);
	run_until_gaps(&g, 1);
	g.next = ANY;
	put("mail.log", "a", "the rest of a line\nline 60 of the log\n");
	run_until(&g, 6);
	assert_string_equal(g.last, "line 60 of the log");
	free(content);
	close(fd);
	free(position);
	free(close_tail(&g));
}

/* The size is there before the bytes are. */
static void test_zeros_filled_later(void **state)
{
	static const char late[] = "line 50 of the log\nline 51 of the log\n";
	char *position = read_and_leave();
	struct stat st;
	struct got g;
	int fd;

	(void)state;
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	/* In the middle of a line, and the second page before the first. */
	assert_int_equal(pwrite(fd, late, 7, st.st_size), 7);
	assert_int_equal(ftruncate(fd, st.st_size + (off_t)strlen(late)), 0);
	open_tail(&g, path, position, false);
	g.next = 50;
	spin(&g, 100);
	assert_int_equal(g.lines, 0);
	assert_true(pwrite(fd, late, strlen(late), st.st_size) > 0);
	run_until(&g, 2);
	assert_int_equal(g.gaps, 0);
	/* They never come, but others do. */
	assert_int_equal(ftruncate(fd, st.st_size + 9000), 0);
	spin(&g, 100);
	assert_int_equal(g.gaps, 0);
	append("mail.log", 52, 53);
	run_until(&g, 4);
	assert_int_equal(g.gaps, 1);
	assert_string_equal(g.why, "there are zeros in the log where lines should be");
	close(fd);
	free(position);
	free(close_tail(&g));
}

static void test_half_line_at_rotation(void **state)
{
	char *position;
	struct got g;

	(void)state;
	append("mail.log", 0, 9);
	put("mail.log", "a", "line 10 of");
	open_tail(&g, path, NULL, false);
	run_until(&g, 10);
	/* The rest comes after the rename, and the first of the new log right then. */
	sh("mv mail.log mail.log.1");
	append("mail.log", 11, 11);
	spin(&g, 10);
	put("mail.log.1", "a", " the log\n");
	run_until(&g, 12);
	/* It never comes: what there is of it is given before the next file. */
	put("mail.log", "a", "line 12 of the log");
	sh("mv mail.log.1 mail.log.2 && mv mail.log mail.log.1");
	append("mail.log", 13, 13);
	run_until(&g, 14);
	assert_int_equal(g.gaps, 0);
	/* While the reader is away. */
	put("mail.log", "a", "line 14 of");
	spin(&g, 50);
	position = close_tail(&g);
	put("mail.log", "a", " the log");
	sh("mv mail.log mail.log.3 && gzip mail.log.3 && mv mail.log.3.gz mail.log.1.gz; rm "
	   "mail.log.1");
	append("mail.log", 15, 15);
	come_back(&position, 14, 15, 0, NULL);
	free(position);
}

/* The folder goes and comes back, as a file system that was not mounted for a while. */
static void test_folder_away(void **state)
{
	char *position = read_and_leave(), log[160], pattern[160];
	struct got g;

	(void)state;
	for (int i = 0; i < 2; i++) {
		sh("rm -rf d && mkdir d && cp mail.log d/mail.log");
		snprintf(log, sizeof(log), "%s/d/mail.log", dir);
		snprintf(pattern, sizeof(pattern), "%s/d/*.log", dir);
		open_tail(&g, i ? pattern : log, NULL, false);
		run_until(&g, 50);
		spin(&g, 50);
		sh("mv d e");
		/* By then a log of a pattern is not followed any more. */
		spin(&g, 20 * LINGER / 1000 + 2500);
		append("e/mail.log", 50, 50);
		sh("mv e d");
		run_until(&g, 51);
		append("d/mail.log", 51, 51);
		run_until(&g, 52);
		/* And away while the reader ends: its place is kept. */
		sh("mv d e");
		spin(&g, 20 * LINGER / 1000 + 2500);
		free(position);
		position = close_tail(&g);
		open_tail(&g, i ? pattern : log, position, false);
		g.next = 52;
		spin(&g, 50);
		free(position);
		position = close_tail(&g);
		append("e/mail.log", 52, 52);
		sh("mv e d");
		open_tail(&g, i ? pattern : log, position, false);
		g.next = 52;
		run_until(&g, 1);
		assert_int_equal(g.gaps, 0);
		free(close_tail(&g));
	}
	free(position);
}

/* A pattern that matches the pieces too: between rename and create they are no log of their own. */
static void test_pattern_without_live_log(void **state)
{
	char pattern[160], *position;
	struct got g;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/mail.log*", dir);
	append("mail.log", 0, 9);
	append("mail.log.err", 0, 0);
	open_tail(&g, pattern, NULL, false);
	g.next = ANY;
	run_until(&g, 11);
	sh("mv mail.log mail.log.1");
	spin(&g, 2500);
	assert_int_equal(g.lines, 11);
	position = close_tail(&g);
	open_tail(&g, pattern, position, false);
	spin(&g, 100);
	assert_int_equal(g.lines, 0);
	g.next = 10;
	append("mail.log", 10, 10);
	run_until(&g, 1);
	assert_int_equal(g.gaps, 0);
	free(position);
	free(close_tail(&g));
}

/* The same file under another inode, or on another disk behind a link. */
static void test_replaced_by_itself(void **state)
{
	struct got g;

	(void)state;
	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	sh("cp mail.log x && mv x mail.log");
	append("mail.log", 50, 54);
	run_until(&g, 55);
	sh("mkdir big && cp mail.log big/mail.log && ln -sf big/mail.log mail.log");
	append("mail.log", 55, 59);
	run_until(&g, 60);
	/* A link to another file: that is a rotation. */
	sh("mv big/mail.log mail.log.1");
	append("other", 60, 64);
	sh("ln -sf other mail.log");
	run_until(&g, 65);
	assert_int_equal(g.last_line, 5);
	assert_int_equal(g.gaps, 0);
	/* And one to nothing: it is waited for. */
	sh("mv mail.log.1 mail.log.2 && ln -sf nothing mail.log && mv other mail.log.1");
	spin(&g, 200);
	append("nothing", 65, 65);
	run_until(&g, 66);
	assert_int_equal(g.gaps, 0);
	free(close_tail(&g));
}

/* The position in the form of an earlier version: without the numbers that it did not have. */
static char *in_form(const char *position, int form)
{
	struct mqw_slice rest = mqw_slice_of(position), number;
	struct mqw_buffer b = {0};

	mqw_buffer_printf(&b, "%d ", form);
	assert_true(mqw_slice_take_until(&rest, ' ', &number));
	assert_true(mqw_slice_eq(number, MQW_LIT("3")));
	for (size_t i = 0; i < 11; i++) {
		assert_true(mqw_slice_take_until(&rest, ' ', &number));
		if ((i == 2 && form < 2) || i == 10)
			continue;
		mqw_buffer_printf(&b, "%.*s ", (int)number.len, number.ptr);
	}
	mqw_buffer_add(&b, rest);
	assert_false(b.failed);
	return b.ptr;
}

/* The forms that earlier versions wrote. */
static void test_older_position(void **state)
{
	(void)state;
	for (int form = 1; form < 3; form++) {
		char *position = read_and_leave(), *text = in_form(position, form);

		append("mail.log", 50, 54);
		come_back(&text, 50, 54, 0, NULL);
		free(text);
		clean(position);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_compressed_before_its_end),
		TEST(test_oldest_deleted_while_away),
		TEST(test_oldest_deleted_while_running),
		TEST(test_moved_to_other_folder),
		TEST(test_older_size),
		TEST(test_zeros_filled_later),
		TEST(test_half_line_at_rotation),
		TEST(test_folder_away),
		TEST(test_pattern_without_live_log),
		TEST(test_replaced_by_itself),
		TEST(test_older_position),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
