/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A log that nobody writes keeps its instance from judging anything: people are told so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "instance_fixture.h"
#include "told_fixture.h"

static char other_path[96];
static const char *const both[] = {log_path, other_path, NULL};

static int setup_two_logs(void **state)
{
	int r = instance_setup(state);

	snprintf(other_path, sizeof(other_path), "%s/other.log", dir);
	config.logs = both;
	config.log_count = 2;
	return r;
}

static int teardown_told(void **state)
{
	mqw_buffer_done(&told);
	return instance_teardown(state);
}

/* All that is there is read; then it is so much later, to the second. */
static void pass(int64_t later)
{
	for (int turn = 0; turn < 20; turn++)
		assert_true(sd_event_run(event, 50000) >= 0);
	mqw_buffer_clear(&told);
	mqw_instance_tick(instance, mqw_clock_now() + later);
}

static void a_log_that_is_not_there(void **state)
{
	(void)state;
	was_accepted(60, "4F3aBc1");
	was_deferred(59, "4F3aBc1");
	start();
	pass(9 * MQW_MINUTE);
	assert_false(mqw_instance_parts(instance)->caught_up);
	assert_string_equal(mqw_buffer_str(&told), "");
	pass(12 * MQW_MINUTE);
	assert_told("no message of this instance is judged: ");
	assert_told("/other.log, one of its logs, has given nothing for 1");
	assert_not_told("/mail.log, one");
	/* Once. */
	pass(30 * MQW_MINUTE);
	assert_string_equal(mqw_buffer_str(&told), "");
}

static void a_log_that_is_empty(void **state)
{
	FILE *f = fopen(other_path, "w");

	(void)state;
	assert_non_null(f);
	fclose(f);
	was_accepted(60, "4F3aBc1");
	was_deferred(59, "4F3aBc1");
	start();
	catch_up();
	pass(30 * MQW_MINUTE);
	assert_not_told("is judged");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_log_that_is_not_there, setup_two_logs, teardown_told),
		cmocka_unit_test_setup_teardown(a_log_that_is_empty, setup_two_logs, teardown_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
