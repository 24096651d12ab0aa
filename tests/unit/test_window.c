/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rules/window.h"
#include "watchdogd/base/clock.h"

#define KEY MQW_LIT("k")

static void it_is_full_at_the_exact_boundary(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(3, 10 * MQW_MINUTE, 1);

	assert_false(mqw_windows_add(w, KEY, 1, 0));
	assert_false(mqw_windows_add(w, KEY, 2, MQW_MINUTE));
	assert_true(mqw_windows_add(w, KEY, 3, 10 * MQW_MINUTE));
	/* Then it starts anew. */
	assert_int_equal(mqw_windows_keys(w), 0);
	assert_false(mqw_windows_add(w, KEY, 4, 10 * MQW_MINUTE));
	assert_false(mqw_windows_add(w, KEY, 5, 10 * MQW_MINUTE));
	/* One microsecond more than the span, and the first two are out. */
	assert_false(mqw_windows_add(w, KEY, 6, 20 * MQW_MINUTE + 1));
	assert_false(mqw_windows_add(w, KEY, 7, 20 * MQW_MINUTE + 1));
	assert_true(mqw_windows_add(w, KEY, 8, 30 * MQW_MINUTE + 1));
	mqw_windows_free(w);
}

static void a_count_of_one_is_always_full(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(1, MQW_SECOND, 1);

	assert_true(mqw_windows_add(w, KEY, 1, 5));
	assert_true(mqw_windows_add(w, KEY, 1, 5));
	assert_int_equal(mqw_windows_keys(w), 0);
	mqw_windows_free(w);
}

static void the_same_id_counts_once_at_its_latest_time(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(2, 10, 1);

	assert_false(mqw_windows_add(w, KEY, 1, 0));
	assert_false(mqw_windows_add(w, KEY, 1, 0));
	assert_false(mqw_windows_add(w, KEY, 1, 9));
	/* An earlier sighting that comes late does not pull it back. */
	assert_false(mqw_windows_add(w, KEY, 1, 3));
	assert_true(mqw_windows_add(w, KEY, 2, 19));
	mqw_windows_free(w);
}

static void times_may_come_out_of_order(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(3, 10, 1);

	assert_false(mqw_windows_add(w, KEY, 1, 20));
	assert_false(mqw_windows_add(w, KEY, 2, 12));
	/* Too old for the newest one. */
	assert_false(mqw_windows_add(w, KEY, 3, 9));
	assert_true(mqw_windows_add(w, KEY, 4, 10));
	assert_false(mqw_windows_add(w, KEY, 1, INT64_MIN + 1));
	assert_false(mqw_windows_add(w, KEY, 2, INT64_MAX));
	assert_false(mqw_windows_add(w, KEY, 3, INT64_MIN + 1));
	assert_false(mqw_windows_add(w, KEY, 4, INT64_MAX));
	assert_true(mqw_windows_add(w, KEY, 5, INT64_MAX - 10));
	mqw_windows_free(w);
}

static void keys_are_counted_apart(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(2, 10, 1);

	assert_false(mqw_windows_add(w, MQW_LIT("a"), 1, 0));
	assert_false(mqw_windows_add(w, MQW_LIT("b"), 2, 0));
	assert_false(mqw_windows_add(w, MQW_SLICE_NULL, 3, 0));
	assert_int_equal(mqw_windows_keys(w), 3);
	assert_true(mqw_windows_add(w, MQW_LIT("A"), 4, 0));
	assert_int_equal(mqw_windows_keys(w), 2);
	assert_true(mqw_windows_add(w, MQW_LIT(""), 5, 0));
	mqw_windows_free(w);
}

static struct mqw_slice numbered(char *buf, size_t size, int i)
{
	snprintf(buf, size, "key%d", i);
	return mqw_slice_of(buf);
}

static void keys_are_capped_and_the_oldest_goes(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(3, MQW_DAY, 1);
	char buf[32];

	for (int i = 0; i < MQW_WINDOW_KEYS_MAX; i++)
		assert_false(mqw_windows_add(w, numbered(buf, sizeof(buf), i), 1, i));
	/* key0 is used again; key1 is now the one that waits longest. */
	assert_false(mqw_windows_add(w, MQW_LIT("key0"), 2, 5000));
	assert_false(mqw_windows_add(w, MQW_LIT("new"), 1, 5000));
	assert_int_equal(mqw_windows_keys(w), MQW_WINDOW_KEYS_MAX);
	assert_true(mqw_windows_add(w, MQW_LIT("key0"), 3, 5000));
	assert_false(mqw_windows_add(w, MQW_LIT("key1"), 2, 5000));
	assert_false(mqw_windows_add(w, MQW_LIT("key1"), 3, 5000));
	mqw_windows_free(w);
}

static void entries_are_capped_over_all_keys(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(MQW_WINDOW_COUNT_MAX, MQW_DAY, 1);
	char buf[32];

	for (int i = 0; i < 100; i++)
		for (uint64_t id = 0; id < MQW_WINDOW_COUNT_MAX - 1; id++)
			assert_false(mqw_windows_add(w, numbered(buf, sizeof(buf), i), id, 1));
	/* 65 keys of 999 entries fit. */
	assert_int_equal(mqw_windows_keys(w), 65);
	assert_false(mqw_windows_add(w, MQW_LIT("key0"), 5000, 1));
	assert_true(mqw_windows_add(w, MQW_LIT("key99"), 5000, 1));
	mqw_windows_free(w);
}

static void long_keys_are_cut(void **state)
{
	(void)state;
	struct mqw_windows *w = mqw_windows_create(2, 10, 1);
	char key[300];

	memset(key, 'x', sizeof(key));
	assert_false(mqw_windows_add(w, mqw_slice(key, 255), 1, 0));
	assert_true(mqw_windows_add(w, mqw_slice(key, 300), 2, 0));
	assert_null(mqw_windows_free(NULL));
	mqw_windows_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_full_at_the_exact_boundary),
		cmocka_unit_test(a_count_of_one_is_always_full),
		cmocka_unit_test(the_same_id_counts_once_at_its_latest_time),
		cmocka_unit_test(times_may_come_out_of_order),
		cmocka_unit_test(keys_are_counted_apart),
		cmocka_unit_test(keys_are_capped_and_the_oldest_goes),
		cmocka_unit_test(entries_are_capped_over_all_keys),
		cmocka_unit_test(long_keys_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
