/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* The slow and obvious twins of what is searched with. */
static size_t slow_find(struct mqw_slice s, struct mqw_slice needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++)
		if (needle.len == 0 || memcmp(s.ptr + i, needle.ptr, needle.len) == 0)
			return i;
	return s.len;
}

static size_t slow_find_nocase(struct mqw_slice s, struct mqw_slice needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++)
		if (mqw_slice_eq_nocase(mqw_slice(s.ptr + i, needle.len), needle))
			return i;
	return s.len;
}

static void fill(char *to, size_t len, const char *alphabet)
{
	for (size_t i = 0; i < len; i++)
		to[i] = alphabet[(size_t)rand() % strlen(alphabet)];
}

/* Out of few letters, so that most needles are there nearly, and many are there. */
static void test_find_like_the_slow_one(void **state)
{
	static const char *const alphabets[] = {"ab", "aA=", "x\" :<", "Zz9.", "eE"};
	char text[80], needle[40];

	(void)state;
	srand(1);
	for (int n = 0; n < 200000; n++) {
		const char *alphabet = alphabets[n % 5];
		/* Cut to size by malloc, for whoever watches over reads beyond the end. */
		size_t len = (size_t)rand() % sizeof(text), want = (size_t)rand() % 7;
		char *copy = malloc(len + 1);
		struct mqw_slice s = mqw_slice(copy + 1, len), what = mqw_slice(needle, want);

		assert_non_null(copy);
		if (n % 50 == 0)
			what.len = sizeof(needle);
		fill(text, sizeof(text), alphabet);
		fill(needle, sizeof(needle), alphabet);
		memcpy(copy + 1, text, len);
		if (n % 100 == 0 && len > what.len)
			memcpy(copy + 1 + (len - what.len) / 2, needle, what.len);
		assert_int_equal(mqw_slice_find(s, what), slow_find(s, what));
		assert_int_equal(mqw_slice_find_nocase(s, what), slow_find_nocase(s, what));
		free(copy);
	}
}

static void test_find(void **state)
{
	struct mqw_slice line = MQW_LIT("a => b@c R=r T=t H=mx [192.0.2.1] C=\"250 OK id=x\"");

	(void)state;
	assert_int_equal(mqw_slice_find(line, MQW_LIT(" C=\"")), 33);
	assert_int_equal(mqw_slice_find(line, MQW_LIT(" H=")), 16);
	assert_int_equal(mqw_slice_find(line, MQW_LIT("a =>")), 0);
	assert_int_equal(mqw_slice_find(line, MQW_LIT("id=x\"")), line.len - 5);
	assert_int_equal(mqw_slice_find(line, MQW_LIT("id=x\"\"")), line.len);
	assert_int_equal(mqw_slice_find(line, MQW_LIT("")), 0);
	assert_int_equal(mqw_slice_find(MQW_SLICE_NULL, MQW_LIT("x")), 0);
	assert_int_equal(mqw_slice_find_nocase(line, MQW_LIT("ok ID")), 41);
	assert_int_equal(mqw_slice_find_nocase(line, MQW_LIT("")), 0);
	assert_int_equal(mqw_slice_find_nocase(MQW_SLICE_NULL, MQW_LIT("x")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_find_like_the_slow_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
