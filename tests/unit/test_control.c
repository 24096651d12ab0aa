/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char path[64];
static int dir;

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/mqw-control.XXXXXX");
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	return dir < 0;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	close(dir);
	snprintf(command, sizeof(command), "rm -r %s", path);
	return system(command);
}

static void test_file(void **state)
{
	char first[MQW_TEMPORARY_SIZE], second[MQW_TEMPORARY_SIZE];
	struct stat st;
	int a = mqw_control_create_temporary(dir, first);
	int b = mqw_control_create_temporary(dir, second);

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(strncmp(first, ".mqw.", 5), 0);
	assert_string_not_equal(first, second);
	assert_int_equal(fstat(a, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(mqw_control_rename_new(dir, first, "A1"), 0);
	assert_int_equal(mqw_control_rename_new(dir, second, "A1"), -EEXIST);
	assert_int_equal(mqw_control_rename_new(dir, first, "A2"), -ENOENT);
	assert_int_equal(faccessat(dir, "A1", F_OK, 0), 0);
	assert_int_equal(faccessat(dir, second, F_OK, 0), 0);
	close(a);
	close(b);
	assert_int_equal(mqw_control_create_temporary(-1, first), -EBADF);
}

static void test_words(void **state)
{
	struct mqw_process p = {0};
	char text[64];

	(void)state;
	assert_int_equal(mqw_control_fail(-ENOENT, text, sizeof(text), "the queue"), -ENOENT);
	assert_string_equal(text, "the queue: No such file or directory");
	text[0] = '\0';
	assert_int_equal(mqw_control_conclude("postqueue", 0, &p, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(
		mqw_control_conclude("postqueue", -EACCES, &p, text, sizeof(text)), -EACCES);
	assert_string_equal(text, "postqueue could not be run: Permission denied");
	p.status = 69;
	mqw_buffer_add_str(&p.err, "mail system is down\n");
	assert_int_equal(mqw_control_conclude("postqueue", 0, &p, text, sizeof(text)), -EIO);
	assert_string_equal(text, "postqueue ended with status 69: mail system is down");
	mqw_process_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
