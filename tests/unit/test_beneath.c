/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Included, so that both ways are tried on one kernel. */
#include "watchdogd/base/beneath.c"

static char directory[] = "/tmp/mqw-beneath-XXXXXX";

typedef int open_fn(int root, const char *path, int flags);

/* 0: opened; else one of two errors. */
static void expect(open_fn *open_it, const char *path, int a, int b)
{
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	assert_true(dir >= 0);
	fd = open_it(dir, path, O_RDONLY);
	if (a == 0 ? fd < 0 : fd != a && fd != b)
		fail_msg("%s: %d", path, fd);
	if (fd >= 0) {
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
	}
	assert_int_equal(close(dir), 0);
}

static void expect_all(open_fn *open_it)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	close(before);
	expect(open_it, "a/b/file", 0, 0);
	expect(open_it, "a/b", 0, 0);
	expect(open_it, "a/none", -ENOENT, -ENOENT);
	expect(open_it, "a/b/file/x", -ENOTDIR, -ENOTDIR);
	expect(open_it, "link", -ELOOP, -ELOOP);
	expect(open_it, "a/b/link", -ELOOP, -ELOOP);
	expect(open_it, "way/b/file", -ELOOP, -ENOTDIR);
	/* Nobody writes there: it must not wait for one. */
	expect(open_it, "fifo", 0, 0);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	close(after);
}

static int by_steps(int root, const char *path, int flags)
{
	return open_steps(root, mqw_slice_of(path), flags);
}

static void test_openat2(void **state)
{
	(void)state;
	expect_all(mqw_open_beneath);
}

static void test_steps(void **state)
{
	(void)state;
	expect_all(by_steps);
}

static void test_not_plain(void **state)
{
	static const char *const paths[] = {"", ".", "..", "../etc/passwd", "a/../../tmp", "a/..",
		"/etc/passwd", "a//b", "a/b/", "a/./b"};
	char longer[300];

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		expect(mqw_open_beneath, paths[i], -EINVAL, -EINVAL);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	expect(mqw_open_beneath, longer, -EINVAL, -EINVAL);
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(mkdir("a", 0700), 0);
	assert_int_equal(mkdir("a/b", 0700), 0);
	assert_int_equal(close(open("a/b/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	assert_int_equal(symlink("a/b/file", "link"), 0);
	assert_int_equal(symlink("file", "a/b/link"), 0);
	assert_int_equal(symlink("a", "way"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	return chdir("/");
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openat2),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_not_plain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
