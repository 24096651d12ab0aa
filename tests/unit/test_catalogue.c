/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MESSAGE_IDs stand in the code, in journald's catalogue and in the manual: the same in each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <ctype.h>
#include <fts.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/base/buffer.h"
#include "watchdogd/helper/serve.h"

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

struct ids {
	char id[64][ID_LENGTH + 1];
	size_t count;
};

static void add_id(struct ids *ids, struct mqw_slice id)
{
	assert_true(ids->count < sizeof(ids->id) / sizeof(ids->id[0]));
	memcpy(ids->id[ids->count++], id.ptr, ID_LENGTH);
}

/* Ids of the lines of a file that are a prefix and an id, in their order. */
static void ids_of(const char *path, const char *prefix, struct ids *ret)
{
	struct mqw_buffer text = {0};
	struct mqw_slice rest, line;

	read_file(path, &text);
	rest = mqw_buffer_slice(&text);
	while (mqw_slice_take_until(&rest, '\n', &line))
		if (mqw_slice_skip(&line, mqw_slice_of(prefix)) && is_id(line))
			add_id(ret, line);
	mqw_buffer_done(&text);
}

/* Whatever stands as an id between quotes anywhere in a source. */
static void ids_in_source(const char *path, struct ids *ret)
{
	struct mqw_buffer text = {0};
	struct mqw_slice rest, part;

	read_file(path, &text);
	rest = mqw_buffer_slice(&text);
	while (mqw_slice_take_until(&rest, '"', &part))
		if (is_id(part))
			add_id(ret, part);
	mqw_buffer_done(&text);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* All of daemon, helper, tools, probes and rules. */
static void ids_in_sources(struct ids *ret)
{
	char *const tops[] = {(char[]){"watchdogd"}, (char[]){"probes"}, (char[]){"rules"}, NULL};
	FTS *walk = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	size_t files = 0;

	assert_non_null(walk);
	for (FTSENT *e; (e = fts_read(walk));)
		if (e->fts_info == FTS_F &&
			(mqw_slice_ends(mqw_slice_of(e->fts_name), MQW_LIT(".c")) ||
				mqw_slice_ends(mqw_slice_of(e->fts_name), MQW_LIT(".h")))) {
			ids_in_source(e->fts_accpath, ret);
			files++;
		}
	fts_close(walk);
	if (files == 0)
		skip(); /* not run from the top of the tree */
	qsort(ret->id, ret->count, sizeof(ret->id[0]), by_text);
}

static void assert_same(const struct ids *a, const struct ids *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		assert_string_equal(a->id[i], b->id[i]);
	assert_int_equal(a->count, b->count);
}

static bool has(const struct ids *ids, const char *id)
{
	for (size_t i = 0; i < ids->count; i++)
		if (!strcmp(ids->id[i], id))
			return true;
	return false;
}

static void code_catalogue_and_manual_agree(void **state)
{
	(void)state;
	struct ids code = {0}, catalogue = {0}, manual = {0};

	ids_in_sources(&code);
	ids_of("packaging/mailq-watchdog.catalog", "-- ", &catalogue);
	ids_of("packaging/man/mailq-watchdogd.8", ".It ", &manual);
	assert_same(&code, &catalogue);
	assert_same(&code, &manual);
	for (size_t i = 1; i < code.count; i++)
		assert_string_not_equal(code.id[i], code.id[i - 1]);
}

static void every_kind_of_message_has_an_id(void **state)
{
	(void)state;
	struct ids code = {0};

	ids_in_sources(&code);
	for (int kind = 0; kind < MQW_ALERT_COUNT; kind++)
		assert_true(has(&code, mqw_alert_message_id((enum mqw_alert_kind)kind)));
	assert_true(has(&code, MQW_HELPER_MESSAGE_REFUSED));
	assert_true(has(&code, MQW_HELPER_MESSAGE_DONE));
	assert_int_equal(code.count, MQW_ALERT_COUNT + 2);
}

/* journald takes an entry without a subject, and shows nothing of use. */
static void each_entry_has_a_subject_and_a_text(void **state)
{
	(void)state;
	struct mqw_buffer text = {0};
	struct ids code = {0};
	struct mqw_slice rest, line;
	size_t entries = 0, subjects = 0;
	int body = 0;

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
	ids_in_sources(&code);
	assert_int_equal(entries, code.count);
	assert_int_equal(subjects, code.count);
	mqw_buffer_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_catalogue_and_manual_agree),
		cmocka_unit_test(every_kind_of_message_has_an_id),
		cmocka_unit_test(each_entry_has_a_subject_and_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
