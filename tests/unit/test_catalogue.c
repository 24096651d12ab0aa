/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MESSAGE_IDs stand in the code, in journald's catalogue and in the manual: the same in each. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/base/buffer.h"

#define ID_LENGTH 32

static void read_file(const char *path, struct mqw_buffer *ret)
{
	FILE *f = fopen(path, "re");
	char chunk[8192];
	size_t n;

	if (!f)
		skip(); /* not run from the top of the tree */
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		mqw_buffer_add(ret, mqw_slice(chunk, n));
	fclose(f);
	assert_false(ret->failed);
}

static bool is_id(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isxdigit((unsigned char)s.ptr[i]) || isupper((unsigned char)s.ptr[i]))
			return false;
	return s.len == ID_LENGTH;
}

/* Ids, one a line, of the lines of a file that are a prefix and an id. */
static void ids_of(const char *path, const char *prefix, struct mqw_buffer *ret)
{
	struct mqw_buffer text = {0};
	struct mqw_slice rest, line;

	read_file(path, &text);
	rest = mqw_buffer_slice(&text);
	while (mqw_slice_take_until(&rest, '\n', &line))
		if (mqw_slice_skip(&line, mqw_slice_of(prefix)) && is_id(line)) {
			mqw_buffer_add(ret, line);
			mqw_buffer_add_str(ret, "\n");
		}
	mqw_buffer_done(&text);
}

static void code_catalogue_and_manual_agree(void **state)
{
	(void)state;
	struct mqw_buffer code = {0}, catalogue = {0}, manual = {0};

	for (int kind = 0; kind < MQW_ALERT_COUNT; kind++) {
		const char *id = mqw_alert_message_id((enum mqw_alert_kind)kind);

		assert_non_null(id);
		assert_true(is_id(mqw_slice_of(id)));
		assert_int_equal(
			mqw_slice_find(mqw_buffer_slice(&code), mqw_slice_of(id)), code.len);
		mqw_buffer_printf(&code, "%s\n", id);
	}
	ids_of("packaging/mailq-watchdog.catalog", "-- ", &catalogue);
	ids_of("packaging/man/mailq-watchdogd.8", ".It ", &manual);
	assert_string_equal(mqw_buffer_str(&catalogue), mqw_buffer_str(&code));
	assert_string_equal(mqw_buffer_str(&manual), mqw_buffer_str(&code));
	mqw_buffer_done(&code);
	mqw_buffer_done(&catalogue);
	mqw_buffer_done(&manual);
}

/* journald takes an entry without a subject, and shows nothing of use. */
static void each_entry_has_a_subject_and_a_text(void **state)
{
	(void)state;
	struct mqw_buffer text = {0};
	struct mqw_slice rest, line;
	int entries = 0, subjects = 0, body = 0;

	read_file("packaging/mailq-watchdog.catalog", &text);
	rest = mqw_buffer_slice(&text);
	while (mqw_slice_take_until(&rest, '\n', &line)) {
		if (mqw_slice_skip(&line, MQW_LIT("-- "))) {
			assert_true(entries == 0 || body >= 3);
			entries++;
			body = 0;
		} else if (mqw_slice_skip(&line, MQW_LIT("Subject: "))) {
			subjects++;
			assert_true(line.len > 0);
		} else if (line.len && mqw_slice_chr(line, ':') > 20) {
			body++;
		}
		assert_true(line.len <= 100);
	}
	assert_true(body >= 3);
	assert_int_equal(entries, MQW_ALERT_COUNT);
	assert_int_equal(subjects, MQW_ALERT_COUNT);
	mqw_buffer_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_catalogue_and_manual_agree),
		cmocka_unit_test(each_entry_has_a_subject_and_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
