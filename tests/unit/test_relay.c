/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "watchdogd/base/buffer.h"

/* What a sink is told, in words. */
struct record {
	struct mqw_buffer told;
	uint64_t events;
	uint64_t fail_at; /* the event that it does not take; 0: none */
};

static void tell_text(struct mqw_buffer *b, struct mqw_slice s)
{
	mqw_buffer_printf(b, "%s%zu:", s.ptr ? "" : "none", s.len);
	mqw_buffer_add(b, s);
}

static int on_event(void *ctx, const struct mqw_event *e)
{
	struct record *r = ctx;

	if (++r->events == r->fail_at)
		return -EIO;
	mqw_buffer_printf(&r->told, "[%d %d %lld %lld %llu ", (int)e->kind, e->code,
		(long long)e->time, (long long)e->delay, (unsigned long long)e->evidence.line);
	tell_text(&r->told, e->realm);
	tell_text(&r->told, e->instance);
	tell_text(&r->told, e->queue_id);
	tell_text(&r->told, e->other_id);
	tell_text(&r->told, e->sender);
	tell_text(&r->told, e->recipient);
	tell_text(&r->told, e->message_id);
	tell_text(&r->told, e->relay);
	tell_text(&r->told, e->status);
	tell_text(&r->told, e->reply);
	mqw_buffer_add_str(&r->told, "]\n");
	return 0;
}

static void on_time(void *ctx, int64_t now)
{
	struct record *r = ctx;

	mqw_buffer_printf(&r->told, "%lld\n", (long long)now);
}

static char line[64 * 1024];

static struct mqw_slice some(void)
{
	size_t from = (size_t)rand() % sizeof(line), len = (size_t)rand() % 40;

	if (rand() % 3 == 0)
		return MQW_SLICE_NULL;
	if (rand() % 2000 == 0)
		return mqw_slice(line, sizeof(line));
	return mqw_slice_head(mqw_slice(line + from, sizeof(line) - from), len);
}

static struct mqw_event any_event(int n)
{
	struct mqw_event e = mqw_event((enum mqw_event_kind)(rand() % MQW_EVENT_COUNT), n / 3);

	e.code = rand() % 600;
	e.evidence.line = (uint64_t)n;
	e.realm = some(), e.instance = some(), e.queue_id = some(), e.other_id = some();
	e.sender = some(), e.recipient = some(), e.message_id = some(), e.relay = some();
	e.status = some(), e.reply = some();
	return e;
}

/* The same with the relay and without it: all of it, and in its order. */
static void test_like_without(void **state)
{
	struct record with = {0}, without = {0};
	struct mqw_sink sink = {.emit = on_event, .ctx = &with};
	struct mqw_relay *relay;

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = (char)rand();
	assert_int_equal(mqw_relay_start(&sink, on_time, &with, &relay), 0);
	for (int n = 0; n < 20000; n++) {
		struct mqw_event e = any_event(n);

		/* More than fits anywhere: the same bytes in several texts. */
		if (n % 5000 == 4999)
			e.realm = e.sender = e.reply = mqw_slice(line, sizeof(line));
		assert_int_equal(mqw_relay_emit(relay, &e), 0);
		on_event(&without, &e);
		if (n % 3 == 0) {
			mqw_relay_time(relay, n / 3);
			/* Not later than the last: it is not told. */
			mqw_relay_time(relay, n / 3);
			on_time(&without, n / 3);
		}
		if (n % 7000 == 0) {
			assert_int_equal(mqw_relay_drain(relay), 0);
			assert_int_equal(with.events, without.events);
		}
	}
	assert_int_equal(mqw_relay_stop(relay), 0);
	assert_int_equal(with.told.len, without.told.len);
	assert_memory_equal(with.told.ptr, without.told.ptr, with.told.len);
	mqw_buffer_done(&with.told);
	mqw_buffer_done(&without.told);
}

/* What the sink refuses ends it: no event more, and whoever reads is told. */
static void test_fault(void **state)
{
	struct record r = {.fail_at = 100};
	struct mqw_sink sink = {.emit = on_event, .ctx = &r};
	struct mqw_event e = mqw_event(MQW_EVENT_OPENED, 0);
	struct mqw_relay *relay;
	int fault = 0;

	(void)state;
	assert_int_equal(mqw_relay_start(&sink, NULL, NULL, &relay), 0);
	for (int n = 0; n < 100000 && fault == 0; n++)
		fault = mqw_relay_emit(relay, &e);
	assert_int_equal(fault, -EIO);
	assert_int_equal(mqw_relay_drain(relay), -EIO);
	assert_int_equal(r.events, 100);
	assert_int_equal(mqw_relay_stop(relay), -EIO);
	assert_int_equal(r.events, 100);
	mqw_buffer_done(&r.told);
	assert_int_equal(mqw_relay_stop(NULL), 0);
}

/* Nothing at all, and one event that nobody waited for. */
static void test_few(void **state)
{
	struct record r = {0};
	struct mqw_sink sink = {.emit = on_event, .ctx = &r};
	struct mqw_event e = mqw_event(MQW_EVENT_OPENED, 0);
	struct mqw_relay *relay;

	(void)state;
	assert_int_equal(mqw_relay_start(&sink, NULL, NULL, &relay), 0);
	assert_int_equal(mqw_relay_stop(relay), 0);
	assert_int_equal(mqw_relay_start(&sink, NULL, NULL, &relay), 0);
	mqw_relay_time(relay, 1);
	assert_int_equal(mqw_relay_emit(relay, &e), 0);
	assert_int_equal(mqw_relay_stop(relay), 0);
	assert_int_equal(r.events, 1);
	mqw_buffer_done(&r.told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_without),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
