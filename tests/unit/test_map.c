/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of the base, and the second at which those who look once in a second wake up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/base/map.h"

#define KEYS 1000

static char keys[KEYS][8];

static void fill(struct mqw_map *m)
{
	for (size_t i = 0; i < KEYS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		assert_int_equal(mqw_map_put(m, mqw_slice_of(keys[i]), keys[i]), 0);
	}
	assert_int_equal(m->count, KEYS);
	for (size_t i = 0; i < KEYS; i++)
		assert_ptr_equal(mqw_map_get(m, mqw_slice_of(keys[i])), keys[i]);
	assert_null(mqw_map_get(m, MQW_LIT("k1000")));
}

static void test_reserve(void **state)
{
	struct mqw_map m;
	size_t cap;

	(void)state;
	mqw_map_init(&m, 7);
	mqw_map_reserve(&m, KEYS);
	cap = m.cap;
	fill(&m);
	/* It was enough, and not twice as much as is needed. */
	assert_int_equal(m.cap, cap);
	assert_true(cap / 2 - cap / 8 < KEYS);
	/* One that is in use stays as it is. */
	mqw_map_reserve(&m, 100 * KEYS);
	assert_int_equal(m.cap, cap);
	assert_ptr_equal(mqw_map_take(&m, MQW_LIT("k5")), keys[5]);
	mqw_map_done(&m);
	/* Too little, or more than there is: it grows all the same. */
	mqw_map_reserve(&m, 0);
	fill(&m);
	mqw_map_done(&m);
	mqw_map_reserve(&m, SIZE_MAX);
	fill(&m);
	mqw_map_done(&m);
}

static void test_next_second(void **state)
{
	static const struct {
		uint64_t now, next;
	} rows[] = {{0, 1000000}, {499999, 1000000}, {500000, 2000000}, {5000001, 6000000},
		{5250000, 6000000}, {5999999, 7000000}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(mqw_clock_next_second(rows[i].now), rows[i].next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_next_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
