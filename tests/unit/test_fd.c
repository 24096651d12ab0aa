/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* memfd_create */
#include "watchdogd/base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

static void test_all_of_it(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct mqw_buffer b = {0}, big = {0};

	(void)state;
	assert_int_equal(mqw_fd_read_all(fd, 0, &b), 0);
	assert_int_equal(b.len, 0);
	for (int i = 0; i < 30000; i++)
		mqw_buffer_printf(&big, "%05d ", i);
	assert_int_equal(mqw_fd_write_all(fd, mqw_buffer_slice(&big)), 0);
	/* From its first byte, though the descriptor stands at the end; behind what is there. */
	mqw_buffer_add_str(&b, "head ");
	assert_int_equal(mqw_fd_read_all(fd, 180005, &b), 0);
	assert_int_equal(b.len, 180005);
	assert_memory_equal(b.ptr, "head 00000 00001", 16);
	assert_string_equal(b.ptr + 180005 - 6, "29999 ");
	mqw_buffer_clear(&b);
	assert_int_equal(mqw_fd_read_all(fd, 179999, &b), -EFBIG);
	mqw_buffer_done(&b);
	mqw_buffer_done(&big);
	close(fd);
}

static void test_errors(void **state)
{
	int ends[2];
	struct mqw_buffer b = {0};

	(void)state;
	assert_int_equal(mqw_fd_read_all(-1, 1, &b), -EBADF);
	assert_int_equal(mqw_fd_write_all(-1, MQW_LIT("x")), -EBADF);
	assert_int_equal(mqw_fd_write_all(-1, MQW_LIT("")), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(mqw_fd_read_all(ends[0], 1, &b), -ESPIPE);
	close(ends[0]);
	close(ends[1]);
	mqw_buffer_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_it),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
