/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "probes/postfix/settings.c"

static void test_time(void **state)
{
	static const struct {
		const char *text;
		int64_t unit, want; /* want MQW_TIME_NONE: refused */
	} rows[] = {
		{"5d", MQW_DAY, 5 * MQW_DAY},
		{"5", MQW_DAY, 5 * MQW_DAY},
		{"4000s", MQW_SECOND, 4000 * MQW_SECOND},
		{"4000", MQW_SECOND, 4000 * MQW_SECOND},
		{" 12h ", MQW_DAY, 12 * MQW_HOUR},
		{"2w", MQW_DAY, 14 * MQW_DAY},
		{"90m", MQW_DAY, 90 * MQW_MINUTE},
		{"0", MQW_DAY, 1},
		{"0s", MQW_DAY, 1},
		{"", MQW_DAY, MQW_TIME_NONE},
		{"d", MQW_DAY, MQW_TIME_NONE},
		{"5 d", MQW_DAY, MQW_TIME_NONE},
		{"5D", MQW_DAY, MQW_TIME_NONE},
		{"5ms", MQW_DAY, MQW_TIME_NONE},
		{"1h30m", MQW_DAY, MQW_TIME_NONE},
		{"-1d", MQW_DAY, MQW_TIME_NONE},
		{"$maximal_queue_lifetime", MQW_DAY, MQW_TIME_NONE},
		{"99999999999999999999", MQW_DAY, MQW_TIME_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t got = MQW_TIME_NONE;
		bool ok = parse_time(mqw_slice_of(rows[i].text), rows[i].unit, &got);

		if (ok != (rows[i].want != MQW_TIME_NONE) || (ok && got != rows[i].want))
			fail_msg("\"%s\": %d, %lld", rows[i].text, ok, (long long)got);
	}
}

static void test_main(void **state)
{
	struct mqw_mta_settings s = {0};

	(void)state;
	assert_int_equal(
		parse_main(MQW_LIT("5d\n1\n4000s\n/var/spool/postfix\npostfix-out\n"), &s), 0);
	assert_int_equal(s.lifetime, 5 * MQW_DAY);
	assert_int_equal(s.bounce_lifetime, MQW_DAY);
	assert_int_equal(s.retry_max, 4000 * MQW_SECOND);
	assert_string_equal(s.queue_directory, "/var/spool/postfix");
	assert_string_equal(s.log_name, "postfix-out");
	mqw_mta_settings_done(&s);
	/* What is after the slash tells services of one Postfix apart. */
	assert_int_equal(parse_main(MQW_LIT("5d\n5d\n1\n/q\nmx/relay\n"), &s), 0);
	assert_string_equal(s.log_name, "mx");
	mqw_mta_settings_done(&s);
}

static void test_main_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"5d\n5d\n4000s\n",
		"5d\n5d\n4000s\n/var/spool/postfix\n",
		"5d\n5d\n4000s\n/var/spool/postfix\npostfix",
		"5d\n5d\n4000s\n/var/spool/postfix\n\n",
		"5d\n5d\n4000s\nvar/spool/postfix\npostfix\n",
		"5d\n5d\n4000s\n\npostfix\n",
		"5d\n\n4000s\n/var/spool/postfix\npostfix\n",
		"five\n5d\n4000s\n/var/spool/postfix\npostfix\n",
		"postconf: warning: x\n5d\n5d\n4000s\n/var/spool/postfix\npostfix\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_mta_settings s = {0};

		if (parse_main(mqw_slice_of(rows[i]), &s) != -EBADMSG)
			fail_msg("taken: row %zu", i);
		mqw_mta_settings_done(&s);
	}
}

static void test_overrides(void **state)
{
	struct mqw_mta_settings s = {.lifetime = 5, .bounce_lifetime = 6, .retry_max = 7};

	(void)state;
	parse_overrides(MQW_LIT(""), &s);
	parse_overrides(MQW_LIT("smtp/unix/maximal_queue_lifetime = 1d\n"
				"qmgr/unix/maximal_queue_lifetimes = 1d\n"
				"qmgr/unix/maximal_queue_lifetime = soon\n"
				"qmgr/unix/queue_directory = /tmp\n"
				"qmgr\nqmgr/unix\n"
				"qmgr/unix/maximal_queue_lifetime = 1d"),
		&s);
	assert_int_equal(s.lifetime, 5);
	assert_int_equal(s.bounce_lifetime, 6);
	assert_null(s.queue_directory);
	parse_overrides(MQW_LIT("qmgr/unix/maximal_queue_lifetime = 1d\n"
				"qmgr/unix/maximal_backoff_time = 30m\n"),
		&s);
	assert_int_equal(s.lifetime, MQW_DAY);
	assert_int_equal(s.bounce_lifetime, 6);
	assert_int_equal(s.retry_max, 30 * MQW_MINUTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_main),
		cmocka_unit_test(test_main_refused),
		cmocka_unit_test(test_overrides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
