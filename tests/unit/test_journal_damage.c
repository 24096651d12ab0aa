/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries of the journal that cannot be read: each is told, none is passed over in silence. */
#define _GNU_SOURCE /* unshare */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>

#include "journald_fixture.h"
#include "memory_fixture.h"
#include "watchdogd/base/fd.h"

/* The header of a field's object, "DataObject" of systemd's JOURNAL_FILE_FORMAT.md; compact is larger. */
#define TYPE_DATA 1
static const size_t header_sizes[] = {64, 72};

/* Takes away what this field is, in the file that journald writes. */
static void damage(const char *field)
{
	struct mqw_buffer b = {0};
	struct mqw_slice rest;
	glob_t files;
	int fd, done = 0;

	assert_int_equal(glob("/run/log/journal/*/system.journal", 0, NULL, &files), 0);
	fd = open(files.gl_pathv[0], O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(mqw_fd_read_all(fd, 64 * 1024 * 1024, &b), 0);
	for (size_t i = 0; i < 2; i++) {
		size_t at;

		rest = mqw_buffer_slice(&b);
		at = mqw_slice_find(rest, mqw_slice_of(field));
		assert_true(at < rest.len);
		if (rest.ptr[at - header_sizes[i]] == TYPE_DATA && !done++)
			assert_int_equal(pwrite(fd, "\0", 1, (off_t)(at - header_sizes[i])), 1);
	}
	assert_int_equal(done, 1);
	close(fd);
	globfree(&files);
	mqw_buffer_done(&b);
}

/* Reads all: which messages there are, "!" for one that has none. */
static const char *all(struct got *g)
{
	struct mqw_journal *j = journal(g, MQW_JOURNAL_START_OLDEST, NULL);
	static char text[256];
	struct mqw_journal_entry e;
	size_t n = 0;

	text[0] = '\0';
	while (mqw_journal_next(j, &e) == 1)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s;",
			e.no_message ? 1 : (int)e.message.len, e.no_message ? "!" : e.message.ptr);
	mqw_journal_close(j);
	return text;
}

static void test_lost_message(void **state)
{
	struct got g;

	(void)state;
	need_journald();
	send_lines(0, 3);
	wait_entries(4);
	damage("MESSAGE=line 2");
	assert_string_equal(all(&g), "line 0;line 1;!;line 3;");
}

/* What memory did not suffice for is a gap each, at its time; and when it is back reading goes on. */
static void test_no_memory(void **state)
{
	struct mqw_journal_entry e;
	struct mqw_journal *j;
	struct got g;
	int r;

	(void)state;
	need_journald();
	if (!MEMORY_CAN_BE_OUT)
		skip();
	j = journal(&g, MQW_JOURNAL_START_OLDEST, NULL);
	g.why = "an entry of the journal could not be read";
	memory_left = 0;
	r = mqw_journal_next(j, &e);
	memory_left = -1;
	assert_int_equal(r, 0);
	assert_int_equal(g.gaps, 4);
	assert_true(g.gap_from == g.gap_to && mqw_clock_now() - g.gap_to < MQW_MINUTE);
	send_lines(4, 4);
	wait_entries(5);
	assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_true(mqw_slice_eq(e.message, MQW_LIT("line 4")));
	mqw_journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_message),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
