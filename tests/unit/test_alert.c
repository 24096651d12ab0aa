/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When an alert counts as said, with a journal that takes what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "watchdogd/act/alert.h"

static int journal_says;
static int journal_asked;

int sd_journal_sendv_with_location(
	const char *file, const char *line, const char *func, const struct iovec *iov, int n);

/* In the place of libsystemd's. */
int sd_journal_sendv_with_location(
	const char *file, const char *line, const char *func, const struct iovec *iov, int n)
{
	(void)file, (void)line, (void)func;
	journal_asked++;
	assert_true(n > 0 && iov[0].iov_len > sizeof("MESSAGE="));
	return journal_says;
}

/* Sends one with standard error at this file: whether it counts as said. */
static bool send_to(const char *path)
{
	const struct mqw_alert a = {.kind = MQW_ALERT_FINDING,
		.priority = LOG_WARNING,
		.text = "lost",
		.instance = "out"};
	int before = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool said;

	assert_true(before >= 0 && fd >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	said = mqw_alert_send(&a);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	close(fd);
	return said;
}

static void test_said(void **state)
{
	static const struct {
		int journal;
		bool is_stream; /* standard error is the journal */
		const char *error_output; /* NULL: a file that takes it */
		bool said;
		const char *printed;
	} rows[] = {
		{0, true, NULL, true, ""},
		{0, false, NULL, true, "[out] lost\n"},
		{0, false, "/dev/full", true, ""},
		{-ECONNREFUSED, true, NULL, true, "[out] lost\n"},
		{-ENOBUFS, false, NULL, true, "[out] lost\n"},
		{-ECONNREFUSED, true, "/dev/full", false, ""},
		{-ECONNREFUSED, false, "/dev/full", false, ""},
	};
	char path[] = "/tmp/mqw-alert-XXXXXX", text[64];

	(void)state;
	close(mkstemp(path));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *f;
		size_t n;

		journal_says = rows[i].journal;
		journal_asked = 0;
		if (rows[i].is_stream)
			setenv("JOURNAL_STREAM", "8:1", 1);
		else
			unsetenv("JOURNAL_STREAM");
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(
			send_to(rows[i].error_output ? rows[i].error_output : path), rows[i].said);
		assert_int_equal(journal_asked, 1);
		f = fopen(path, "r");
		assert_non_null(f);
		n = fread(text, 1, sizeof(text) - 1, f);
		text[n] = '\0';
		fclose(f);
		assert_string_equal(text, rows[i].printed);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
