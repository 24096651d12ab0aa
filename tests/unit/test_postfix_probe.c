/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probes/postfix/postfix.h"

#define SMTP "/usr/lib/postfix/sbin/smtp"

/* What journald vouches for, of entries that a user can have made and of such that none can. */
static void test_genuine(void **state)
{
	static const struct {
		const char *service, *unit, *uid, *exe;
		bool genuine;
	} rows[] = {
		{NULL, "postfix@-.service", "0", "/usr/lib/postfix/sbin/master", true},
		{NULL, "postfix.service", "0", "/usr/libexec/postfix/master", true},
		{"postfix@-.service", "postfix@-.service", "0", SMTP, true},
		/* mail_owner of another name, or one that ended before it was looked at as root */
		{NULL, "postfix@-.service", "4711", SMTP, true},
		{NULL, "postfix@-.service", "0", "", true},
		/* another instance */
		{NULL, "postfix@two.service", "0", SMTP, false},
		{"postfix@two.service", "postfix@-.service", "0", SMTP, false},
		{"postfix@two.service", "postfix@two.service", "0", SMTP, true},
		{NULL, "postfixadmin.service", "0", "/usr/bin/php", false},
		/* an operator's postsuper, and postfix-script's postlog */
		{NULL, "session-4.scope", "0", "/usr/sbin/postsuper", true},
		{NULL, "", "0", "", true},
		/* logger and postlog, by anyone */
		{NULL, "session-4.scope", "1000", "/usr/bin/logger", false},
		{NULL, "session-4.scope", "1000", "", false},
		{NULL, "session-4.scope", "1000", "/usr/sbin/postlog", false},
		{NULL, "session-4.scope", "1000", "/usr/sbin/postdrop", false},
		{NULL, "user@1000.service", "1000", SMTP, false},
		{NULL, "session-4.scope", "", "", false},
		/* the same, out of a ~/.forward */
		{NULL, "postfix@-.service", "1000", "/usr/bin/logger", false},
		{NULL, "postfix@-.service", "1000", "/usr/sbin/postlog", false},
		{NULL, "postfix@-.service", "1000", "", false},
		{NULL, "postfix@-.service", "", "", false},
		{"postfix@-.service", "postfix@-.service", "1000", "/home/u/postfix/smtp", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mqw_probe_postfix.is_genuine(rows[i].service, mqw_slice_of(rows[i].unit),
			    mqw_slice_of(rows[i].uid),
			    mqw_slice_of(rows[i].exe)) != rows[i].genuine)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_genuine)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
