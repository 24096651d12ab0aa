/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names and files of Postfix's queue. Damaged ones, and a real one's, are in test_postfix_damage.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "postfix_queue_fixture.h"

static void add_pointer(struct mqw_buffer *b, size_t target)
{
	char text[32];

	snprintf(text, sizeof(text), "%15zu", target);
	add(b, 'p', text);
}

static void test_valid_id(void **state)
{
	static const char *const good[] = {"7EA36ACEA90", "99464ACEAF2", "0ADD51",
		"4jZ5G9037Zz1fPvd", "3Pt2mN2VXxznjll", "4F3zBcDfFgHz1k", "FFFFFFFFFFFFFFFFFFFFF"};
	static const char *const bad[] = {"", "7EA36", "7ea36acea90", "7EA36ACEA9G", "518659.23771",
		"FFFFFFFFFFFFFFFFFFFFFF", "../7EA36ACEA90", "7EA36ACEA90/", "4jZ5G9037Zz",
		"4jZ5G9037z1fPvd", "z1fPvd", "4jAAG9037Zz1fPvd", "4jZ5G9037Z-1fPvd",
		"4jZ5G9037Zz1fPvdbbbbbbbbb", "4jZ5G9037Z4jZ5G903z1fPvd", "7EA36ACEA90\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!mqw_postfix_valid_id(mqw_slice_of(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mqw_postfix_valid_id(mqw_slice_of(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(mqw_postfix_valid_id(mqw_slice("7EA36ACEA90\0", 12)));
	assert_false(mqw_postfix_valid_id(MQW_SLICE_NULL));
}

static void test_queue_name(void **state)
{
	static const struct {
		const char *path, *id;
		enum mqw_place place;
	} good[] = {
		{"deferred/9/99464ACEAF2", "99464ACEAF2", MQW_PLACE_WAITING},
		{"deferred/99464ACEAF2", "99464ACEAF2", MQW_PLACE_WAITING},
		{"deferred/0/1/2/3/4/5/6/7/8/9/A/B/C/D/E/F/4jZ5G9037Zz1fPvd", "4jZ5G9037Zz1fPvd",
			MQW_PLACE_WAITING},
		{"incoming/99464ACEAF2", "99464ACEAF2", MQW_PLACE_ARRIVING},
		{"maildrop/99464ACEAF2", "99464ACEAF2", MQW_PLACE_ARRIVING},
		{"active/99464ACEAF2", "99464ACEAF2", MQW_PLACE_ACTIVE},
		{"active/9/99464ACEAF2", "99464ACEAF2", MQW_PLACE_ACTIVE},
		{"hold/99464ACEAF2", "99464ACEAF2", MQW_PLACE_HELD},
		{"corrupt/99464ACEAF2", "99464ACEAF2", MQW_PLACE_DAMAGED},
	};
	static const char *const bad[] = {"", "deferred", "deferred/", "deferred/9", "deferred/9/",
		"defer/9/99464ACEAF2", "bounce/99464ACEAF2", "incoming/518659.23771",
		"deferred/99/99464ACEAF2", "deferred//99464ACEAF2", "/deferred/9/99464ACEAF2",
		"deferred/../99464ACEAF2", "deferred/0/1/2/3/4/5/6/7/8/9/A/B/C/D/E/F/0/99464ACEAF2",
		"deferredX/99464ACEAF2", "maildrop/.99464ACEAF2"};
	struct mqw_queue_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!mqw_postfix_queue_name(mqw_slice_of(good[i].path), &n))
			fail_msg("refused: %s", good[i].path);
		assert_true(mqw_slice_eq(n.queue_id, mqw_slice_of(good[i].id)));
		assert_int_equal(n.place, good[i].place);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mqw_postfix_queue_name(mqw_slice_of(bad[i]), &n))
			fail_msg("taken: %s", bad[i]);
	assert_string_equal(mqw_postfix_queue_directories[3], "deferred");
}

static void test_whole_file(void **state)
{
	struct mqw_buffer b = {0};
	struct mqw_queue_file f;

	(void)state;
	whole_file(&b);
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
	assert_int_equal(f.arrived_at, 1795578315 * MQW_SECOND + 84783);
	assert_int_equal(f.created_at, 1795578400 * MQW_SECOND);
	assert_string_equal(f.sender, "alice@example.com");
	assert_string_equal(f.message_id, "1@example.com");
	assert_int_equal(f.recipient_count, 3);
	assert_string_equal(f.recipients[0].address, "b@example.net");
	assert_false(f.recipients[0].done);
	assert_string_equal(f.recipients[1].address, "c@example.net");
	assert_true(f.recipients[1].done);
	assert_string_equal(f.recipients[2].address, "d@example.org");
	assert_false(f.recipients[2].done);
	for (size_t i = 0; i < f.recipient_count; i++)
		assert_int_equal(b.ptr[f.recipients[i].offset], f.recipients[i].done ? 'D' : 'R');
	mqw_queue_file_done(&f);
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT), 2);
	mqw_buffer_done(&b);
}

/* As cleanup(8) leaves it when a milter put a header in and appended a recipient. */
static void test_pointers(void **state)
{
	struct mqw_buffer b = {0};
	struct mqw_queue_file f;
	size_t offset, header, back, rcpt, heap, after;

	(void)state;
	add_envelope(&b);
	rcpt = b.len;
	add_pointer(&b, 0);
	after = b.len;
	add(&b, 'M', "");
	offset = b.len;
	add(&b, 'N', "From: <alice@example.com>");
	header = b.len;
	add_pointer(&b, 0);
	back = b.len;
	add(&b, 'w', "padding");
	add(&b, 'N', "");
	add(&b, 'L', "body ");
	add(&b, 'N', "goes on");
	set_size(&b, b.len - offset, offset);
	add(&b, 'X', "");
	add_pointer(&b, 0);
	add(&b, 'E', "");
	heap = b.len;
	add(&b, 'N', "Message-ID:");
	add(&b, 'N', "\t<folded@example.com>");
	add_pointer(&b, back);
	snprintf(b.ptr + header + 2, 16, "%15zu", heap);
	b.ptr[back] = 'w'; /* snprintf's NUL went there */
	heap = b.len;
	add(&b, 'R', "added@example.net");
	add_pointer(&b, after);
	snprintf(b.ptr + rcpt + 2, 16, "%15zu", heap);
	b.ptr[after] = 'M';
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
	assert_int_equal(f.recipient_count, 3);
	assert_string_equal(f.recipients[2].address, "added@example.net");
	assert_int_equal(f.recipients[2].offset, heap);
	assert_string_equal(f.message_id, "folded@example.com");
	mqw_queue_file_done(&f);
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT), 2);

	/* The same place again and again. */
	snprintf(b.ptr + rcpt + 2, 16, "%15zu", rcpt);
	b.ptr[after] = 'M';
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), -EBADMSG);
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT), -EBADMSG);
	/* Out of the file. */
	snprintf(b.ptr + rcpt + 2, 16, "%15zu", b.len);
	b.ptr[after] = 'M';
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), -EBADMSG);
	mqw_buffer_done(&b);
}

/* As sendmail(1) puts it into maildrop: no C record, the content has to be read to its end. */
static void test_without_size(void **state)
{
	struct mqw_buffer b = {0};
	struct mqw_queue_file f;

	(void)state;
	add(&b, 'T', "1795578315");
	add(&b, 'c', "1795578316");
	add(&b, 'S', "");
	record_add(&b, 'R', "b@example.net\0hidden", 20);
	add(&b, 'M', "");
	add(&b, 'N', "Subject: R");
	add(&b, 'L', "Message-ID: <");
	add(&b, 'L', "long");
	add(&b, 'N', "@example.com>");
	add(&b, 'X', "");
	add(&b, 'E', "");
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
	assert_int_equal(f.arrived_at, 1795578315 * MQW_SECOND);
	assert_int_equal(f.created_at, 1795578316 * MQW_SECOND);
	assert_string_equal(f.sender, "");
	assert_string_equal(f.message_id, "long@example.com");
	assert_int_equal(f.recipient_count, 1);
	assert_string_equal(f.recipients[0].address, "b@example.net");
	mqw_queue_file_done(&f);
	mqw_buffer_done(&b);
}

static void test_no_message_id(void **state)
{
	struct mqw_buffer b = {0};
	struct mqw_queue_file f;

	(void)state;
	add(&b, 'S', "a@example.com");
	add(&b, 'M', "");
	add(&b, 'N', "X-Message-ID: <no@example.com>");
	add(&b, 'N', "Message-ID: ");
	add(&b, 'N', "");
	add(&b, 'N', "Message-ID: <body@example.com>");
	add(&b, 'X', "");
	add(&b, 'E', "");
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
	assert_null(f.message_id);
	assert_int_equal(f.arrived_at, MQW_TIME_NONE);
	assert_int_equal(f.created_at, MQW_TIME_NONE);
	assert_int_equal(f.recipient_count, 0);
	mqw_queue_file_done(&f);
	mqw_buffer_done(&b);
}

/* A row of records, and whether each of the two readers takes it. */
static void test_order(void **state)
{
	static const struct {
		const char *types; /* each with fitting data */
		bool loose, strict;
	} rows[] = {
		{"TSRMNXE", true, true},
		{"SRMXE", true, true},
		{"TRMNXE", false, false}, /* no sender */
		{"TRMNXSE", true, false}, /* sender too late for pickup(8) */
		{"TSPRMNXE", true, false}, /* P only where it was extracted */
		{"TSRMNXPE", true, true},
		{"TSRMN", false, false},
		{"TSRMNX", false, false},
		{"TSRE", false, false},
		{"TSRXE", false, false},
		{"TSRMNMXE", false, false},
		{"TSRMNXME", false, false},
		{"TSRMRXE", false, false},
		{"TSRNMXE", false, false},
		{"TSR?MNXE", false, false},
		{"TSKwRMNwXwE", true, true},
		{"", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_buffer b = {0};
		struct mqw_queue_file f;
		int r, s;

		for (const char *t = rows[i].types; *t; t++)
			add(&b, *t,
				*t == 'T'                   ? "1795578315 1"
					: strchr("MXE", *t) ? ""
							    : "x@y.test");
		r = mqw_postfix_queue_file(mqw_buffer_slice(&b), &f);
		s = mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT);
		if (r != (rows[i].loose ? 0 : -EBADMSG) || s != (rows[i].strict ? 1 : -EBADMSG))
			fail_msg("row \"%s\": %d, %d", rows[i].types, r, s);
		mqw_queue_file_done(&f);
		mqw_buffer_done(&b);
	}
}

static void test_bad_records(void **state)
{
	static const struct {
		char type;
		const char *data;
		bool bad;
	} rows[] = {
		{'A', "no equals sign", true},
		{'A', "create_time=tomorrow", false},
		{'C', "              0             100", true},
		{'C', "             10        99999999", true},
		{'C', "99999999999999999999999       1", false}, /* no number: as if not there */
		{'C', "   100000000000              20", true},
		{'p', "x", true},
		{'p', "12 ", true},
		{'p', "-1", true},
		{'p', "              0", false},
		{'T', "soon", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_buffer b = {0};
		struct mqw_queue_file f;
		int r;

		add(&b, rows[i].type, rows[i].data);
		add(&b, 'S', "a@example.com");
		add(&b, 'M', "");
		add(&b, 'N', "text");
		add(&b, 'X', "");
		add(&b, 'E', "");
		r = mqw_postfix_queue_file(mqw_buffer_slice(&b), &f);
		if (r != (rows[i].bad ? -EBADMSG : 0))
			fail_msg("row %zu: %d", i, r);
		mqw_queue_file_done(&f);
		mqw_buffer_done(&b);
	}
}

/* pickup(8) deletes a file with a record beyond line_length_limit. */
static void test_check_record_length(void **state)
{
	struct mqw_buffer b = {0};
	char line[LINE_LIMIT + 1];

	(void)state;
	memset(line, 'x', sizeof(line));
	add(&b, 'S', "a@example.com");
	add(&b, 'R', "b@example.com");
	add(&b, 'M', "");
	record_add(&b, 'N', line, LINE_LIMIT);
	add(&b, 'X', "");
	add(&b, 'E', "");
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT), 1);
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT - 1), -EBADMSG);
	mqw_buffer_done(&b);
}

static void test_length_bytes(void **state)
{
	/* Six portions, and five that say more than an int holds. */
	static const char six[] = "S\x81\x80\x80\x80\x80\x00x";
	static const char much[] = "S\xff\xff\xff\xff\x7fx";
	struct mqw_queue_file f;

	(void)state;
	assert_int_equal(mqw_postfix_queue_file(mqw_slice(six, sizeof(six) - 1), &f), -EBADMSG);
	assert_int_equal(mqw_postfix_queue_file(mqw_slice(much, sizeof(much) - 1), &f), -EBADMSG);
}

static void test_keep_recipients(void **state)
{
	static const struct {
		const char *recipients[4], *keep[3];
		const char *types; /* afterwards, as the recipients are */
	} rows[] = {
		{{"a@x.test", "b@x.test", "c@x.test"}, {"b@x.test"}, "DRD"},
		{{"a@x.test", "b@x.test", "c@x.test"}, {"c@X.TEST", "a@x.test"}, "RDR"},
		{{"a@x.test", "A@x.test"}, {"A@x.test"}, "DR"},
		{{"a@x.test"}, {NULL}, "D"},
		{{"a b@x.test", "a@b@x.test"}, {"\"a b\"@x.test"}, "RD"},
		{{"a b@x.test", "a@b@x.test"}, {"\"a@b\"@x.test"}, "DR"},
		{{"a\"b@x.test", "a\\b@x.test"}, {"\"a\\\"b\"@x.test", "\"a\\\\b\"@x.test"}, "RR"},
		{{"\"a b\"@x.test", "a@x.tes"}, {"\"a b\"@x.test"}, "RD"},
		{{"root", "root@x.test"}, {"root"}, "RD"},
		{{"root", "root@x.test"}, {"root@x.test"}, "DR"},
		{{"a@x.test", "a@x.test"}, {"a@x.test"}, "RR"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_buffer b = {0};
		struct mqw_queue_file f;
		struct mqw_slice keep[3];
		size_t n = 0;
		int left = 0, r;

		add(&b, 'S', "alice@example.com");
		for (size_t k = 0; k < 4 && rows[i].recipients[k]; k++)
			add(&b, 'R', rows[i].recipients[k]);
		add(&b, 'D', "done@x.test");
		add(&b, 'M', "");
		add(&b, 'X', "");
		add(&b, 'E', "");
		while (n < 3 && rows[i].keep[n]) {
			keep[n] = mqw_slice_of(rows[i].keep[n]);
			n++;
		}
		r = mqw_postfix_keep_recipients(b.ptr, b.len, keep, n);
		assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
		assert_int_equal(f.recipient_count, strlen(rows[i].types) + 1);
		for (size_t k = 0; k < f.recipient_count; k++) {
			bool want = k + 1 == f.recipient_count || rows[i].types[k] == 'D';

			if (f.recipients[k].done != want)
				fail_msg("row %zu, recipient %zu", i, k);
			left += !f.recipients[k].done;
		}
		assert_int_equal(r, left);
		mqw_queue_file_done(&f);
		mqw_buffer_done(&b);
	}
}

static void test_keep_in_bad_file(void **state)
{
	char bad[] = "S\1aR\1bE";
	struct mqw_slice keep = MQW_LIT("b");

	(void)state;
	assert_int_equal(mqw_postfix_keep_recipients(bad, sizeof(bad) - 1, &keep, 1), -EBADMSG);
	assert_int_equal(mqw_postfix_keep_recipients(NULL, 0, &keep, 1), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_id),
		cmocka_unit_test(test_queue_name),
		cmocka_unit_test(test_whole_file),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_without_size),
		cmocka_unit_test(test_no_message_id),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_check_record_length),
		cmocka_unit_test(test_length_bytes),
		cmocka_unit_test(test_keep_recipients),
		cmocka_unit_test(test_keep_in_bad_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
