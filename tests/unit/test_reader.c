/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* asprintf */
#include "probes/source/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "probes/source/decompress.h"
#include "watchdogd/base/clock.h"

#define LINES 50000

static char dir[64];
static char path[128];

static void put(const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void sh(const char *command)
{
	char *line;

	assert_true(asprintf(&line, "cd %s && %s", dir, command) > 0);
	assert_int_equal(system(line), 0);
	free(line);
}

static bool ahead; /* decompressed in a thread of its own: all has to be the same */

static struct mqw_reader *reader(void)
{
	struct mqw_reader *r;

	assert_int_equal(mqw_reader_open(path, &r), 0);
	if (ahead)
		mqw_reader_read_ahead(r);
	return r;
}

static void assert_line(struct mqw_reader *r, struct mqw_slice want, bool unterminated)
{
	struct mqw_raw_line l;

	assert_int_equal(mqw_reader_next(r, &l), 1);
	assert_int_equal(l.text.len, want.len);
	assert_memory_equal(l.text.ptr, want.ptr, want.len);
	assert_false(l.cut);
	assert_int_equal(l.unterminated, unterminated);
}

static void assert_end(struct mqw_reader *r, int want)
{
	struct mqw_raw_line l;

	assert_int_equal(mqw_reader_next(r, &l), want);
	assert_int_equal(mqw_reader_next(r, &l), want); /* stays so */
	mqw_reader_close(r);
}

static void test_plain(void **state)
{
	static const char text[] = "one\r\n\n\0two\0\nth\rree\r\n\r\nfour\r";
	struct mqw_reader *r;

	(void)state;
	put(text, sizeof(text) - 1);
	r = reader();
	assert_int_equal(mqw_reader_size(r), sizeof(text) - 1);
	assert_line(r, MQW_LIT("one"), false);
	assert_line(r, MQW_LIT(""), false);
	assert_line(r, MQW_LIT("\0two\0"), false);
	assert_line(r, MQW_LIT("th\rree"), false);
	assert_line(r, MQW_LIT(""), false);
	assert_line(r, MQW_LIT("four\r"), true);
	assert_int_equal(mqw_reader_consumed(r), sizeof(text) - 1);
	assert_string_equal(mqw_reader_error(r), "");
	assert_end(r, 0);
	put("", 0);
	assert_end(reader(), 0);
	put("x", 1);
	r = reader();
	assert_line(r, MQW_LIT("x"), true);
	assert_end(r, 0);
}

static void test_mtime(void **state)
{
	struct timespec times[2] = {{0, UTIME_NOW}, {1778922000, 250000000}};
	struct mqw_reader *r;

	(void)state;
	put("x\n", 2);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	r = reader();
	assert_true(mqw_reader_mtime(r) == 1778922000250000);
	mqw_reader_close(r);
	assert_int_equal(mqw_reader_open("-", &r), 0);
	assert_true(mqw_reader_mtime(r) == MQW_TIME_NONE);
	mqw_reader_close(r);
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
}

static void test_open_errors(void **state)
{
	struct mqw_reader *r;

	(void)state;
	assert_int_equal(mqw_reader_open(dir, &r), -EISDIR);
	assert_int_equal(mqw_reader_open("/nonexistent/mail.log", &r), -ENOENT);
	put("x", 1);
	chmod(path, 0);
	if (geteuid() != 0)
		assert_int_equal(mqw_reader_open(path, &r), -EACCES);
	chmod(path, 0600);
	assert_null(mqw_reader_close(NULL));
}

/* A line of every length around the limit and around the buffer, then one that must be whole. */
static void test_long_lines(void **state)
{
	static const size_t lengths[] = {MQW_READER_LINE_MAX - 1, MQW_READER_LINE_MAX,
		MQW_READER_LINE_MAX + 1, MQW_READER_LINE_MAX + 2, 70 << 10, (256 << 10) - 1,
		256 << 10, (256 << 10) + 1, 600 << 10};
	char *text = malloc(700 << 10);
	struct mqw_raw_line l;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		for (int crlf = 0; crlf < 2; crlf++) {
			size_t n = lengths[i], at = n;
			struct mqw_reader *r;

			memset(text, 'a', n);
			if (crlf)
				text[at++] = '\r';
			memcpy(text + at, "\nnext\n", 6);
			put(text, at + 6);
			r = reader();
			assert_int_equal(mqw_reader_next(r, &l), 1);
			assert_int_equal(l.cut, n > MQW_READER_LINE_MAX);
			assert_int_equal(
				l.text.len, n < MQW_READER_LINE_MAX ? n : MQW_READER_LINE_MAX);
			assert_int_equal(l.number, 1);
			assert_int_equal(mqw_reader_next(r, &l), 1);
			assert_int_equal(l.number, 2);
			assert_false(l.cut);
			assert_true(mqw_slice_eq(l.text, MQW_LIT("next")));
			assert_end(r, 0);
		}
	free(text);
}

static void test_endless_line(void **state)
{
	struct mqw_raw_line l;
	struct rusage before, after;
	struct mqw_reader *r;
	int fd;

	(void)state;
	put("", 0);
	fd = open(path, O_WRONLY);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	assert_int_equal(pwrite(fd, "\nend\n", 5, 1 << 30), 5);
	close(fd);
	getrusage(RUSAGE_SELF, &before);
	r = reader();
	assert_int_equal(mqw_reader_next(r, &l), 1);
	assert_true(l.cut);
	assert_int_equal(l.text.len, MQW_READER_LINE_MAX);
	assert_line(r, MQW_LIT("end"), false);
	assert_end(r, 0);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 4096); /* KiB */
	unlink(path);
}

/* Reads "line N of the log" from `from` on; how many came, and what ended them. */
static size_t count_lines(struct mqw_reader *r, size_t from, int *ret_end)
{
	struct mqw_raw_line l;
	size_t n = 0;

	while ((*ret_end = mqw_reader_next(r, &l)) == 1) {
		char want[64];
		int len = snprintf(want, sizeof(want), "line %zu of the log", (from + n) % LINES);

		assert_int_equal(l.text.len, len);
		assert_memory_equal(l.text.ptr, want, (size_t)len);
		assert_int_equal(l.number, ++n);
	}
	return n;
}

static void make_lines(void)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (size_t i = 0; i < LINES; i++)
		fprintf(f, "line %zu of the log\n", i);
	assert_int_equal(fclose(f), 0);
}

static const struct {
	const char *command;
	enum mqw_compression compression;
} tools[] = {
	{"gzip", MQW_COMPRESSION_GZIP},
	{"xz -1", MQW_COMPRESSION_XZ},
	{"zstd -q", MQW_COMPRESSION_ZSTD},
	{"bzip2", MQW_COMPRESSION_BZIP2},
};

/* Makes file "log" hold count times the compressed lines; returns its bytes, to be freed. */
static char *compressed(const char *command, int count, size_t *ret_len)
{
	char *line, *bytes;
	FILE *f;

	make_lines();
	assert_true(asprintf(&line, "%s -c log > z && : > log", command) > 0);
	sh(line);
	free(line);
	while (count-- > 0)
		sh("cat z >> log");
	f = fopen(path, "r");
	bytes = malloc(8 << 20);
	assert_non_null(f);
	*ret_len = fread(bytes, 1, 8 << 20, f);
	fclose(f);
	return bytes;
}

static void test_compressed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		size_t len;
		char *bytes = compressed(tools[i].command, 1, &len);
		struct mqw_reader *r = reader();
		int end;

		assert_int_equal(mqw_compression_of(mqw_slice(bytes, len)), tools[i].compression);
		assert_int_equal(count_lines(r, 0, &end), LINES);
		assert_int_equal(end, 0);
		assert_int_equal(mqw_reader_consumed(r), len);
		mqw_reader_close(r);
		free(bytes);

		bytes = compressed(tools[i].command, 3, &len);
		sh("head -c 512 /dev/zero >> log");
		r = reader();
		assert_int_equal(count_lines(r, 0, &end), 3 * LINES);
		assert_int_equal(end, 0);
		mqw_reader_close(r);
		free(bytes);
	}
}

static void test_compressed_empty(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		char *line;

		assert_true(asprintf(&line, "%s -c < /dev/null > log", tools[i].command) > 0);
		sh(line);
		free(line);
		assert_end(reader(), 0);
	}
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		size_t len, n;
		char *bytes = compressed(tools[i].command, 1, &len);
		struct mqw_reader *r;
		int end;

		put(bytes, len * 9 / 10);
		r = reader();
		n = count_lines(r, 0, &end);
		assert_int_equal(end, -ENODATA);
		assert_true(n < LINES);
		if (tools[i].compression == MQW_COMPRESSION_GZIP) {
			assert_true(n > LINES * 8 / 10);
			assert_string_equal(mqw_reader_error(r), "the gzip data end early");
		}
		assert_end(r, -ENODATA);
		/* Only the trailer is missing: all lines, and still an error. */
		put(bytes, len - 1);
		r = reader();
		count_lines(r, 0, &end);
		assert_int_equal(end, -ENODATA);
		mqw_reader_close(r);
		/* A header and nothing else. */
		put(bytes, 10);
		assert_end(reader(), -ENODATA);
		free(bytes);
	}
}

static void test_damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		size_t len;
		char *bytes = compressed(tools[i].command, 2, &len);
		struct mqw_raw_line l;
		struct mqw_reader *r;
		size_t n = 0;
		int end;

		/* In the second member: the first comes whole. */
		memset(bytes + len * 3 / 4, 0x5a, 64);
		put(bytes, len);
		r = reader();
		while ((end = mqw_reader_next(r, &l)) == 1)
			n++;
		assert_int_equal(end, -EBADMSG);
		assert_true(n >= LINES);
		assert_non_null(strstr(mqw_reader_error(r), "data are damaged"));
		assert_end(r, -EBADMSG);
		/* Something else behind the first. */
		memcpy(bytes + len / 2, "this is no compressed data at all", 33);
		put(bytes, len / 2 + 33);
		r = reader();
		assert_int_equal(count_lines(r, 0, &end), LINES);
		assert_int_equal(end, -EBADMSG);
		mqw_reader_close(r);
		free(bytes);
	}
}

static void test_stdin_slow(void **state)
{
	int saved = dup(STDIN_FILENO), fds[2], end;
	size_t len;
	char *bytes = compressed("gzip", 1, &len);
	struct mqw_reader *r;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* Bytes one by one first: the magic comes in pieces. */
		for (size_t i = 0; i < len; i += i < 32 ? 1 : len - i)
			if (write(fds[1], bytes + i, i < 32 ? 1 : len - i) < 0)
				_exit(1);
		_exit(0);
	}
	close(fds[1]);
	dup2(fds[0], STDIN_FILENO);
	assert_int_equal(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(mqw_reader_open("-", &r), 0);
	assert_int_equal(mqw_reader_size(r), 0);
	assert_int_equal(count_lines(r, 0, &end), LINES);
	assert_int_equal(end, 0);
	mqw_reader_close(r);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(fds[0]);
	free(bytes);
}

static void test_magic(void **state)
{
	(void)state;
	assert_int_equal(mqw_compression_of(MQW_SLICE_NULL), MQW_COMPRESSION_NONE);
	assert_int_equal(mqw_compression_of(MQW_LIT("\x1f\x8b")), MQW_COMPRESSION_NONE);
	assert_int_equal(mqw_compression_of(MQW_LIT("BZh9 is text")), MQW_COMPRESSION_NONE);
	assert_int_equal(
		mqw_compression_of(MQW_LIT("\x50\x2a\x4d\x18\4\0\0\0")), MQW_COMPRESSION_ZSTD);
	assert_string_equal(mqw_compression_name(MQW_COMPRESSION_XZ), "xz");
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s", "/tmp/mqw-reader-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sh("rm -f log z && rmdir \"$PWD\"");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_mtime),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_compressed_empty),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_stdin_slow),
		cmocka_unit_test(test_magic),
	};
	int failed = cmocka_run_group_tests_name("in one thread", tests, setup, teardown);

	ahead = true;
	return failed + cmocka_run_group_tests_name("read ahead", tests, setup, teardown);
}
