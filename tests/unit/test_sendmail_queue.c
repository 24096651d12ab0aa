/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names and files in Sendmail's queue: read, cut down to some recipients, made anew. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "probes/sendmail/queue_internal.h"

#define ID "6AP3muHw021087"

#define HEAD "V8\nT1795578536\nK1795578539\nN2\nP180173\nI0/38/11363202\n"
#define MORE                                                                                       \
	"MDeferred: 450 4.2.0 later\nFwbs\n$_localhost [127.0.0.1]\n${daemon_flags}\n"             \
	"S<alice@sm.example.com>\nZenv\nA<>\n"
#define R1 "rRFC822; b@remote.test\nRPFD:<b@remote.test>\n"
#define R2 "M450 4.2.0 later\nCalice:1000:1000:alice\nQrfc822;C@Remote.test\nRPFD:<C@Remote.test>\n"
#define R3 "RPN:d@remote.test\n"
#define HEADERS                                                                                    \
	"H?P?Return-Path: <\x81g>\nH??Received: from x\n\tby y\n\tfor <b@remote.test>\n"           \
	"H?M?Message-Id:\n <vault@client.example.com>\nH??Subject: R<x@y>\n"
#define FILE1 HEAD MORE R1 R2 R3 HEADERS ".\n"

static void test_names(void **state)
{
	static const struct {
		const char *path;
		enum mqw_place place; /* MQW_PLACE_NONE: no message */
		const char *companion, *other;
	} rows[] = {
		{"qf" ID, MQW_PLACE_QUEUED, "df" ID, "df/df" ID},
		{"q1/qf" ID, MQW_PLACE_QUEUED, "q1/df" ID, "q1/df/df" ID},
		{"q1/qf/qf" ID, MQW_PLACE_QUEUED, "q1/df/df" ID, "q1/df" ID},
		{"qf/hf" ID, MQW_PLACE_HELD, "df/df" ID, "df" ID},
		{"a/xqf/Qf" ID, MQW_PLACE_DAMAGED, "a/xqf/df" ID, "a/xqf/df/df" ID},
		{"df" ID, MQW_PLACE_NONE, NULL, NULL},
		{"xf" ID, MQW_PLACE_NONE, NULL, NULL},
		{"tf" ID, MQW_PLACE_NONE, NULL, NULL},
		{"qf" ID "~", MQW_PLACE_NONE, NULL, NULL},
		{"qf6AP3muHw02", MQW_PLACE_NONE, NULL, NULL},
		{".q/qf" ID, MQW_PLACE_NONE, NULL, NULL},
		{"/qf" ID, MQW_PLACE_NONE, NULL, NULL},
		{"a/b/c/d/qf" ID, MQW_PLACE_NONE, NULL, NULL},
		{"", MQW_PLACE_NONE, NULL, NULL},
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_slice s = mqw_slice_of(rows[i].path);
		struct mqw_queue_name name = {0};

		assert_int_equal(
			mqw_sendmail_queue_name(s, &name), rows[i].place != MQW_PLACE_NONE);
		assert_int_equal(name.place, rows[i].place);
		if (!rows[i].place)
			continue;
		assert_true(mqw_slice_eq(name.queue_id, MQW_LIT(ID)));
		assert_true(mqw_sendmail_companion(s, 0, path, sizeof(path)));
		assert_string_equal(path, rows[i].companion);
		assert_true(mqw_sendmail_companion(s, 1, path, sizeof(path)));
		assert_string_equal(path, rows[i].other);
		assert_false(mqw_sendmail_companion(s, 2, path, sizeof(path)));
		assert_false(mqw_sendmail_companion(s, 0, path, strlen(rows[i].companion)));
	}
}

static void test_file(void **state)
{
	struct mqw_queue_file f;

	(void)state;
	assert_int_equal(mqw_sendmail_queue_file(MQW_LIT(FILE1), &f), 0);
	assert_true(f.arrived_at == 1795578536 * MQW_SECOND);
	assert_true(f.created_at == f.arrived_at);
	assert_string_equal(f.sender, "alice@sm.example.com");
	assert_string_equal(f.message_id, "vault@client.example.com");
	assert_int_equal(f.recipient_count, 3);
	assert_string_equal(f.recipients[0].address, "b@remote.test");
	assert_string_equal(f.recipients[1].address, "C@Remote.test");
	assert_string_equal(f.recipients[2].address, "d@remote.test");
	assert_false(f.recipients[1].done);
	assert_memory_equal(FILE1 + f.recipients[2].offset, "RPN:d@", 6);
	mqw_queue_file_done(&f);
	/* The null sender, and recipients as before flags. */
	assert_int_equal(mqw_sendmail_queue_file(MQW_LIT("V2\nT5\nS<>\nR<a@b>\n.\n"), &f), 0);
	assert_string_equal(f.sender, "");
	assert_string_equal(f.recipients[0].address, "a@b");
	assert_null(f.message_id);
	mqw_queue_file_done(&f);
}

static void test_unsound(void **state)
{
	static const struct mqw_slice files[] = {
		MQW_LIT(""),
		MQW_LIT("T5\nV8\nS<>\nRP:<a@b>\n.\n"),
		MQW_LIT("V8\nT5\nRP:<a@b>\n.\n"), /* no sender */
		MQW_LIT("V8\nT5\nS<>\nRP:<a@b>\n"), /* being written */
		MQW_LIT("V8\nT5\nS<>\nRP:<a@b>\n."),
		MQW_LIT("V8\nT5\nS<>\nRP:<a@b>\n.\nRP:<c@d>\n"),
		MQW_LIT("V8\nT5\nS<>\nS<a@b>\n.\n"),
		MQW_LIT("V8\nT5\nS<>\nRP:<a\0@b>\n.\n"),
		MQW_LIT("V8\nT5\nS<>\nRP:<>\n.\n"),
		MQW_LIT("V8\nT5\nS<>\nRP:<a@b\n.\n"),
		MQW_LIT("V8\n\nS<>\n.\n"),
	};
	struct mqw_slice whole = MQW_LIT(FILE1);
	struct mqw_queue_file f;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		assert_int_equal(mqw_sendmail_queue_file(files[i], &f), -EBADMSG);
	/* Cut anywhere it is not whole, and in a block of its own a read beyond it is seen. */
	for (size_t n = 0; n < whole.len; n++) {
		char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, whole.ptr, n);
		assert_int_equal(mqw_sendmail_queue_file(mqw_slice(copy, n), &f), -EBADMSG);
		free(copy);
	}
}

static void test_keep(void **state)
{
	static const struct mqw_slice none = MQW_SLICE_NULL;
	static const struct mqw_slice two[] = {MQW_LIT("C@rEMOTE.test"), MQW_LIT("x@y")};
	static const struct mqw_slice one[] = {MQW_LIT("d@remote.test")};
	static const struct mqw_slice wrong[] = {MQW_LIT("c@remote.test")};
	static const struct {
		const struct mqw_slice *keep;
		size_t count;
		int left;
		const char *file;
	} rows[] = {
		{two, 2, 1, HEAD MORE R2 HEADERS ".\n"},
		/* The controlling user counts for those behind. */
		{one, 1, 1, HEAD MORE "Calice:1000:1000:alice\n" R3 HEADERS ".\n"},
		{wrong, 1, 0, HEAD MORE "Calice:1000:1000:alice\n" HEADERS ".\n"},
		{&none, 0, 0, HEAD MORE "Calice:1000:1000:alice\n" HEADERS ".\n"},
	};
	struct mqw_buffer b = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mqw_buffer_clear(&b);
		mqw_buffer_add_str(&b, FILE1);
		assert_int_equal(mqw_sendmail_keep_recipients(&b, rows[i].keep, rows[i].count),
			rows[i].left);
		assert_true(mqw_slice_eq(mqw_buffer_slice(&b), mqw_slice_of(rows[i].file)));
	}
	mqw_buffer_clear(&b);
	mqw_buffer_add_str(&b, "V8\nS<>\nRP:<a@b>\n");
	assert_int_equal(mqw_sendmail_keep_recipients(&b, two, 2), -EBADMSG);
	assert_string_equal(mqw_buffer_str(&b), "V8\nS<>\nRP:<a@b>\n");
	mqw_buffer_done(&b);
}

static void test_renew(void **state)
{
	struct mqw_buffer b = {0};

	(void)state;
	assert_int_equal(
		mqw_sendmail_renew_envelope(MQW_LIT(FILE1), 1800000000 * MQW_SECOND + 7, &b), 3);
	assert_string_equal(mqw_buffer_str(&b),
		"V8\nT1800000000\nK0\nN0\nP180173\n"
		"MDeferred: 450 4.2.0 later\nFbs\n$_localhost [127.0.0.1]\n${daemon_flags}\n"
		"S<alice@sm.example.com>\nZenv\nA<>\n" R1
		"M450 4.2.0 later\nQrfc822;C@Remote.test\nRPFD:<C@Remote.test>\n" R3 HEADERS ".\n");
	mqw_buffer_done(&b);
}

/* What a stranger could put in to have something run or written. */
static void test_refused(void **state)
{
	static const char *const lines[] = {"RPA:|/bin/sh", "RPA:\"|/bin/sh\"", "RP:<|/bin/sh@x>",
		"RP:<\"|/bin/sh\"@x>", "RP:/etc/passwd", "RP::include:/etc/passwd", "RP:\\|x",
		"R|/bin/sh", "RP", "RP:<a@b>,<c@d>", "qheld", "Xunknown", "Rp:<a@b>", "RP:a <|x>"};
	struct mqw_buffer file = {0}, b = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		mqw_buffer_clear(&file);
		mqw_buffer_printf(&file, "V8\nT5\nS<>\nRP:<a@b>\n%s\n.\n", lines[i]);
		if (mqw_sendmail_renew_envelope(mqw_buffer_slice(&file), 0, &b) != -EBADMSG)
			fail_msg("%s was taken", lines[i]);
		mqw_buffer_clear(&b);
	}
	assert_int_equal(mqw_sendmail_renew_envelope(MQW_LIT("V8\nT5\nS<>\n.\n"), 0, &b), 0);
	assert_int_equal(mqw_sendmail_renew_envelope(
				 MQW_LIT("V8\nS<>\nRP:<a@b>\n.\nCroot:0:0:root\n"), 0, &b),
		-EBADMSG);
	assert_int_equal(
		mqw_sendmail_renew_envelope(MQW_LIT("V8\nS<>\nRP:<a@b>\n.x\n"), 0, &b), -EBADMSG);
	mqw_buffer_done(&file);
	mqw_buffer_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_unsound),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
