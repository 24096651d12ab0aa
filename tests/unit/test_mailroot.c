/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folders of IIS's SMTP service: names, and what a file says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probes/windows/mailroot.h"
#include "watchdogd/base/buffer.h"

static void test_names(void **state)
{
	static const struct {
		const char *path, *id;
		enum mqw_place place;
	} rows[] = {
		{"Queue/NTFS_0a1b.EML", "NTFS_0a1b.EML", MQW_PLACE_WAITING},
		{"Queue/ntfs_0a1b.eml", "ntfs_0a1b.eml", MQW_PLACE_WAITING},
		{"Pickup/anything", "anything", MQW_PLACE_ARRIVING},
		{"Badmail/x.BAD", "x.BAD", MQW_PLACE_HELD},
		{"BadMail/x.bad", "x.bad", MQW_PLACE_HELD},
	};
	static const char *const none[] = {"Queue/x.EML", "Queue/NTFS_0a1b.LTR", "Queue/NTFS_",
		"Badmail/x.BDP", "Badmail/x.BDR", "Queue/a/NTFS_1.EML", "Queue/.hidden",
		"NTFS_1.EML", "Queue/", ""};
	struct mqw_queue_name name;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(mqw_mailroot_name(mqw_slice_of(rows[i].path), &name));
		assert_true(mqw_slice_eq(name.queue_id, mqw_slice_of(rows[i].id)));
		assert_int_equal(name.place, rows[i].place);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (mqw_mailroot_name(mqw_slice_of(none[i]), &name))
			fail_msg("%s is taken for a message", none[i]);
}

/* "SENDER|ID|RECIPIENT RECIPIENT" */
static void assert_file(const char *content, const char *want)
{
	struct mqw_queue_file f;
	struct mqw_buffer b = {0};

	assert_int_equal(mqw_mailroot_file(mqw_slice_of(content), &f), 0);
	mqw_buffer_printf(
		&b, "%s|%s|", f.sender ? f.sender : "-", f.message_id ? f.message_id : "-");
	for (size_t i = 0; i < f.recipient_count; i++)
		mqw_buffer_printf(&b, "%s%s", i ? " " : "", f.recipients[i].address);
	assert_string_equal(mqw_buffer_str(&b), want);
	assert_int_equal(f.arrived_at, MQW_TIME_NONE);
	mqw_buffer_done(&b);
	mqw_queue_file_done(&f);
}

static void test_files(void **state)
{
	(void)state;
	assert_file("From: Info <info@a.test>\r\nTo: ann@b.test\r\nMessage-ID: <1@a.test>\r\n\r\n"
		    "Cc: not@b.test\r\n",
		"info@a.test|1@a.test|ann@b.test");
	/* Names with commas, comments, a list over several lines, a group. */
	assert_file("From: undisclosed\nto: \"Ann, B\" <ann@b.test>,\r\n\tben@b.test (Ben, of "
		    "b),\n cat@b.test\n"
		    "CC: friends: dan@b.test;\nbcc: \"x, y\"@b.test\nFrom: a@a.test, b@a.test\n\nx",
		"a@a.test|-|ann@b.test ben@b.test cat@b.test dan@b.test \"x, y\"@b.test");
	assert_file("x-sender: a@a.test\r\nx-receiver: ann@b.test\r\n", "-|-|ann@b.test");
	/* Nothing that tells, and what is no mail. */
	assert_file("", "-|-|");
	assert_file("Subject: x", "-|-|");
	assert_file("To: undisclosed-recipients:;\nMessage-ID: none\n", "-|-|");
	assert_file("no header at all\nTo: ann@b.test\n", "-|-|");
	assert_file("\r\nTo: ann@b.test\r\n", "-|-|");
	assert_file("To: \"unclosed <ann@b.test>, (x\nFrom: (\\", "-|-|ann@b.test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
