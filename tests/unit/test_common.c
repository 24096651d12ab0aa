/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/common.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>

static void test_reply_code(void **state)
{
	static const struct {
		const char *text;
		int plain, exim;
	} rows[] = {
		{"450 later", 450, 450},
		{"250", 250, 250},
		{"550-5.1.1 no", 550, 550},
		{"550\\n554 no", 0, 550},
		{"450\" quoted", 0, 450},
		{"4500", 0, 0},
		{"150 x", 0, 0},
		{"650 x", 0, 0},
		{"4x0 x", 0, 0},
		{"45", 0, 0},
		{"", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_slice s = mqw_slice_of(rows[i].text);

		assert_int_equal(mqw_reply_code(s, MQW_LIT(" -")), rows[i].plain);
		assert_int_equal(mqw_reply_code(s, MQW_LIT(" -\\\"")), rows[i].exim);
	}
	assert_int_equal(mqw_reply_code(mqw_slice("450\0", 4), MQW_LIT(" -")), 0);
}

static void test_path(void **state)
{
	static const struct {
		const char *text, *address, *rest;
	} rows[] = {
		{"<a@b>, x", "a@b", ", x"},
		{"<>", "", ""},
		{"<\"a>\\\"b\"@c>d", "\"a>\\\"b\"@c", "d"},
		{"<a\"b>c", "a\"b", "c"}, /* a quote inside is none */
		{"<a@b", NULL, "<a@b"},
		{"a@b>", NULL, "a@b>"},
		{"<", NULL, "<"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_slice s = mqw_slice_of(rows[i].text), address;

		assert_int_equal(mqw_take_path(&s, &address), rows[i].address != NULL);
		if (rows[i].address)
			assert_true(mqw_slice_eq(address, mqw_slice_of(rows[i].address)));
		assert_true(mqw_slice_eq(s, mqw_slice_of(rows[i].rest)));
	}
}

static void test_next_hop(void **state)
{
	static const char *const hops[] = {"mx.example.net", "192.0.2.1"};

	(void)state;
	assert_true(mqw_is_next_hop(hops, 2, MQW_LIT("MX.example.net"), MQW_SLICE_NULL));
	assert_true(mqw_is_next_hop(hops, 2, MQW_LIT("other"), MQW_LIT("192.0.2.1")));
	assert_false(mqw_is_next_hop(hops, 2, MQW_LIT("other"), MQW_LIT("192.0.2.11")));
	assert_false(mqw_is_next_hop(NULL, 0, MQW_LIT("other"), MQW_LIT("192.0.2.1")));
}

static void test_known_user(void **state)
{
	struct mqw_known_user root = {.name = "root"}, nobody = {.name = "no such user"};

	(void)state;
	assert_true(mqw_known_user_exists(&root));
	assert_true(mqw_known_user_is(&root, MQW_LIT("0")));
	assert_true(mqw_known_user_is(&root, MQW_LIT("0")));
	assert_false(mqw_known_user_is(&root, MQW_LIT("")));
	assert_false(mqw_known_user_is(&root, MQW_LIT("00")));
	assert_false(mqw_known_user_exists(&nobody));
	assert_false(mqw_known_user_is(&nobody, MQW_LIT("")));
	assert_false(mqw_known_user_is(&nobody, MQW_LIT("0")));
}

static void test_recipients(void **state)
{
	struct mqw_queue_file f = {0};
	char address[32];

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		snprintf(address, sizeof(address), "%zu@example.net", i);
		assert_int_equal(mqw_queue_file_add(&f, mqw_slice_of(address), i % 2, i * 7), 0);
	}
	assert_int_equal(f.recipient_count, 100);
	for (size_t i = 0; i < 100; i++) {
		snprintf(address, sizeof(address), "%zu@example.net", i);
		assert_string_equal(f.recipients[i].address, address);
		assert_int_equal(f.recipients[i].done, i % 2);
		assert_int_equal(f.recipients[i].offset, i * 7);
	}
	f.recipient_count = 1000000;
	assert_int_equal(mqw_queue_file_add(&f, MQW_LIT("x"), false, 0), -EBADMSG);
	f.recipient_count = 100;
	mqw_queue_file_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_code),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_next_hop),
		cmocka_unit_test(test_known_user),
		cmocka_unit_test(test_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
