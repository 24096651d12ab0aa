/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fields of an entry of the journal say. The entries themselves: test_journal.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probes/source/journal.h"
#include "probes/source/lines.h"

static void add(struct mqw_journal_fields *f, const char *field)
{
	mqw_journal_fields_add(f, mqw_slice_of(field));
}

static void test_fields(void **state)
{
	struct mqw_journal_fields f = {0};
	struct mqw_journal_entry e;

	(void)state;
	mqw_journal_fields_clear(&f);
	add(&f, "_UID=106");
	add(&f, "MESSAGE=ID: to=<a@x>, status=sent");
	add(&f, "MESSAGE=a second one");
	add(&f, "UID=0");
	add(&f, "no equals sign");
	add(&f, "_SYSTEMD_UNIT=postfix@-.service");
	add(&f, "_EXE=/usr/lib/postfix/sbin/smtp");
	add(&f, "_COMM=smtp");
	add(&f, "_HOSTNAME=mx1");
	add(&f, "SYSLOG_IDENTIFIER=postfix/smtp");
	add(&f, "_PID=17");
	add(&f, "_SOURCE_REALTIME_TIMESTAMP=1795590714624357");
	assert_true(mqw_journal_fields_entry(&f, 5, &e));
	assert_true(e.time == 1795590714624357);
	assert_int_equal(e.pid, 17);
	assert_false(e.cut);
	assert_true(mqw_slice_eq(e.message, MQW_LIT("ID: to=<a@x>, status=sent")));
	assert_true(mqw_slice_eq(e.unit, MQW_LIT("postfix@-.service")));
	assert_true(mqw_slice_eq(e.uid, MQW_LIT("106")));
	assert_true(mqw_slice_eq(e.exe, MQW_LIT("/usr/lib/postfix/sbin/smtp")));
	assert_true(mqw_slice_eq(e.comm, MQW_LIT("smtp")));
	assert_true(mqw_slice_eq(e.host, MQW_LIT("mx1")));
	assert_true(mqw_slice_eq(e.identifier, MQW_LIT("postfix/smtp")));

	/* Nothing of the entry before is left; what the sender calls his pid goes first. */
	mqw_journal_fields_clear(&f);
	add(&f, "_PID=17");
	assert_true(mqw_journal_fields_entry(&f, 5, &e));
	assert_true(e.no_message);
	add(&f, "SYSLOG_PID=18");
	add(&f, "_SOURCE_REALTIME_TIMESTAMP=12x");
	mqw_journal_fields_add(&f, MQW_LIT("MESSAGE=a\0b\nc"));
	assert_true(mqw_journal_fields_entry(&f, 5, &e));
	assert_true(e.time == 5);
	assert_int_equal(e.pid, 18);
	assert_true(mqw_slice_eq(e.message, MQW_LIT("a\0b\nc")));
	assert_int_equal(e.unit.len + e.uid.len + e.exe.len + e.host.len + e.identifier.len, 0);
	mqw_journal_fields_clear(&f);
	add(&f, "MESSAGE=");
	add(&f, "SYSLOG_PID=99999999999");
	assert_true(mqw_journal_fields_entry(&f, 5, &e));
	assert_int_equal(e.message.len, 0);
	assert_false(e.no_message);
	assert_int_equal(e.pid, 0);
	mqw_buffer_done(&f.text);
}

static void test_long_field(void **state)
{
	size_t len = sizeof("MESSAGE=") - 1 + MQW_LINE_MAX;
	char *text = malloc(len + 1);
	struct mqw_journal_fields f = {0};
	struct mqw_journal_entry e;

	(void)state;
	memset(text, 'x', len + 1);
	memcpy(text, "MESSAGE=", sizeof("MESSAGE=") - 1);
	for (size_t more = 0; more < 2; more++) {
		mqw_journal_fields_clear(&f);
		mqw_journal_fields_add(&f, mqw_slice(text, len + more));
		assert_true(mqw_journal_fields_entry(&f, 5, &e));
		assert_int_equal(e.message.len, MQW_LINE_MAX);
		assert_int_equal(e.cut, more);
	}
	mqw_buffer_done(&f.text);
	free(text);
}

static void test_position_time(void **state)
{
	(void)state;
	assert_true(
		mqw_journal_position_time(MQW_LIT("s=53d2;i=169;b=f0bb;m=22e2196a1;"
						  "t=661148ab50a1d;x=d308")) == 0x661148ab50a1d);
	assert_true(mqw_journal_position_time(MQW_LIT("s=1;t=")) == MQW_TIME_NONE);
	assert_true(mqw_journal_position_time(MQW_LIT("rubbish")) == MQW_TIME_NONE);
	assert_true(mqw_journal_position_time(MQW_LIT(";t=ffffffffffffffffffffff")) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_long_field),
		cmocka_unit_test(test_position_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
