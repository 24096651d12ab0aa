/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of much that happens does not depend on the hash, nor on how many lines tell it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tracker_fixture.h"

/* What one line says of an arrival, or three say of it. */
static void arrives(struct mqw_event e, bool at_once)
{
	static const enum mqw_event_kind steps[] = {
		MQW_EVENT_OPENED, MQW_EVENT_MESSAGE_ID, MQW_EVENT_QUEUED};

	if (at_once)
		feed(e);
	for (size_t i = 0; !at_once && i < sizeof(steps) / sizeof(steps[0]); i++) {
		e.kind = steps[i];
		if (e.kind != MQW_EVENT_MESSAGE_ID || e.message_id.len)
			feed(e);
	}
}

/* Many ids, several hosts, everything that happens to messages. */
static void tell_much(uint64_t seed, bool live, bool at_once)
{
	static const enum mqw_event_kind kinds[] = {MQW_EVENT_OPENED, MQW_EVENT_QUEUED,
		MQW_EVENT_ARRIVED, MQW_EVENT_ATTEMPT, MQW_EVENT_ATTEMPT, MQW_EVENT_ATTEMPT,
		MQW_EVENT_GAVE_UP, MQW_EVENT_REMOVED, MQW_EVENT_HELD, MQW_EVENT_ADMIN_REQUEUED,
		MQW_EVENT_QUEUE_GONE, MQW_EVENT_QUEUE_PRESENT, MQW_EVENT_FILE_LOST};
	unsigned int x = 1;

	options.seed = seed;
	options.max_messages = 400;
	begin(live);
	for (int i = 0; i < 20000; i++) {
		char id[16], recipient[32];
		struct mqw_event e;

		x = x * 1103515245u + 12345u;
		snprintf(id, sizeof(id), "A%u", x >> 8 & 0x1ff);
		e = about(kinds[(x >> 17) % (sizeof(kinds) / sizeof(kinds[0]))], id,
			T0 + i * MQW_MINUTE - (x >> 20 & 3) * MQW_SECOND);
		snprintf(recipient, sizeof(recipient), "%u@example.net", x >> 22 & 3);
		e.recipient = mqw_slice_of(recipient);
		e.outcome = (enum mqw_outcome)((x >> 25) % MQW_OUTCOME_COUNT);
		e.code = e.outcome == MQW_OUTCOME_SENT ? 250 : x & 1 << 28 ? 550 : 450;
		e.place = (enum mqw_place)(1 + (x >> 26) % (MQW_PLACE_COUNT - 1));
		e.other_id = x & 1 << 29 ? MQW_LIT("A7") : MQW_SLICE_NULL;
		e.sender = x & 1 << 27 ? MQW_LIT("") : MQW_SLICE_NULL;
		e.message_id = x & 1 << 30 ? e.recipient : MQW_SLICE_NULL;
		if (e.kind == MQW_EVENT_ARRIVED)
			arrives(e, at_once);
		else
			feed(e);
		if (i % 100 == 0)
			mqw_tracker_take_dirty(t);
	}
	mqw_tracker_finish(t, T0 + 40 * MQW_DAY);
}

static void test_same_every_time(void **state)
{
	char *first;

	(void)state;
	tell_much(1, true, true);
	first = mqw_slice_dup(mqw_buffer_slice(&said));
	assert_true(said.len > 100000);
	tell_much(UINT64_C(0x9e3779b97f4a7c15), true, true);
	assert_string_equal(mqw_buffer_str(&said), first);
	assert_int_equal(mqw_tracker_counts(t)->open, 0);
	free(first);
}

static void test_arrival_at_once(void **state)
{
	char *first;

	(void)state;
	tell_much(1, false, false);
	first = mqw_slice_dup(mqw_buffer_slice(&said));
	assert_true(said.len > 100000);
	tell_much(1, false, true);
	assert_string_equal(mqw_buffer_str(&said), first);
	free(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_every_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arrival_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
