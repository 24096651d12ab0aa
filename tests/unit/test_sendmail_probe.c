/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probes/sendmail/sendmail.h"

/* What journald vouches for, of entries that a user can have made and of such that none can. */
static void test_genuine(void **state)
{
	static const struct {
		const char *service, *unit, *uid, *exe;
		bool genuine;
	} rows[] = {
		{NULL, "sendmail.service", "0", "/usr/libexec/sendmail/sendmail", true},
		{"smtp.service", "smtp.service", "0", "/usr/sbin/sendmail", true},
		/* a queue run by hand or by cron */
		{NULL, "cron.service", "0", "/usr/sbin/sendmail", true},
		{NULL, "session-4.scope", "1000", "/usr/bin/logger", false},
		{NULL, "session-4.scope", "1000", "/usr/sbin/sendmail", false},
		/* out of a ~/.forward */
		{NULL, "sendmail.service", "1000", "/usr/bin/logger", false},
		{NULL, "sendmail.service", "1000", "/usr/sbin/sendmail", false},
		{"sendmail.service", "sendmail.service", "1000", "", false},
		{NULL, "sendmail.service", "", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mqw_probe_sendmail.is_genuine(rows[i].service, mqw_slice_of(rows[i].unit),
			    mqw_slice_of(rows[i].uid),
			    mqw_slice_of(rows[i].exe)) != rows[i].genuine)
			fail_msg("row %zu", i);
}

/* Which losses, in Sendmail's words, are mended while the message is in the queue. */
static void test_completes(void **state)
{
	static const struct {
		const char *how;
		bool mended;
	} rows[] = {
		{"readqf: cannot open q1/df/df6AP3heg3032427: No such file or directory", true},
		{"readqf: cannot open ./df6AP3heg3032427: No such file or directory", true},
		{"readqf: qf6AP3heg3032427: incomplete queue file read", false},
		{"Losing ./qf6AP3heg3032427: bogus file uid/gid in mqueue", false},
		{NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_message m = {.lost_how = (char *)(uintptr_t)rows[i].how};

		if (mqw_sendmail_control.completes(&m) != rows[i].mended)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_genuine), cmocka_unit_test(test_completes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
