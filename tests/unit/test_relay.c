/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/outlet_fixture.h"

/* Lines that are made up; what each says follows from its number alone. */
struct source {
	uint64_t next, count;
	unsigned int batch_max; /* lines that fill() puts into one */
	uint64_t fault_at; /* the line that read() fails with; 0: none */
};

static char text[64 * 1024];

static struct mqw_slice any_text(unsigned int *seed, struct mqw_slice of_line)
{
	size_t from = (size_t)rand_r(seed) % 1000, len = (size_t)rand_r(seed) % 40;

	switch (rand_r(seed) % 4) {
	case 0:
		return MQW_SLICE_NULL;
	case 1:
		return mqw_slice_head(mqw_slice_from(of_line, from % 50), len);
	case 2: /* hardly any has so many bytes, all of them fit only sometimes */
		return mqw_slice(text, rand_r(seed) % 500 ? len : sizeof(text));
	default:
		return mqw_slice(text + from, len);
	}
}

static struct mqw_event any_event(unsigned int *seed, const struct mqw_line *line)
{
	struct mqw_event e =
		mqw_event((enum mqw_event_kind)(rand_r(seed) % MQW_EVENT_COUNT), line->time);

	e.code = rand_r(seed) % 600;
	e.evidence = line->evidence;
	e.realm = line->host;
	e.instance = any_text(seed, line->text);
	e.queue_id = any_text(seed, line->text);
	e.other_id = any_text(seed, line->text);
	e.sender = any_text(seed, line->text);
	e.recipient = any_text(seed, line->text);
	e.message_id = any_text(seed, line->text);
	e.relay = any_text(seed, line->text);
	e.status = any_text(seed, line->text);
	e.reply = rand_r(seed) % 3 ? line->text : any_text(seed, line->text);
	return e;
}

/* Mostly one event or none; now and then more than a batch holds. */
static int tell_of(const struct source *s, const struct mqw_input_line *l, struct mqw_outlet *to)
{
	const uint64_t number = l->line.evidence.line;
	unsigned int seed = (unsigned int)number;
	int count = number % 5000 == 77 ? 3000 : rand_r(&seed) % 3, result = 0;

	if (number == s->fault_at)
		return -EPROTO;
	if (number == 100)
		to->recognised(to->recognised_ctx, l->mta);
	for (int i = 0; result >= 0 && i < count; i++) {
		struct mqw_event e = any_event(&seed, &l->line);

		result = to->sink.emit(to->sink.ctx, &e);
	}
	if (result >= 0 && number % 3)
		to->time(to->time_ctx, l->line.time);
	return result;
}

static struct mqw_input_line line_of(uint64_t number, char bytes[100])
{
	struct mqw_input_line l = {.mta = mqw_probes[0]};

	for (int i = 0; i < 100; i++)
		bytes[i] = (char)('a' + (number + (uint64_t)i) % 26);
	l.text = mqw_slice(bytes, 100);
	l.line.host = mqw_slice(bytes, 3);
	l.line.tag = mqw_slice(bytes + 4, 10);
	l.line.text = mqw_slice(bytes + 15, 85);
	l.line.time = (int64_t)number;
	l.line.evidence.line = number;
	return l;
}

static bool fill(void *ctx, struct mqw_batch *b)
{
	struct source *s = ctx;
	char bytes[100];

	for (unsigned int i = 0; i < s->batch_max && s->next < s->count; i++) {
		struct mqw_input_line l = line_of(s->next + 1, bytes);

		if (!mqw_batch_add_line(b, &l))
			break;
		s->next++;
	}
	return s->next < s->count;
}

static int read_batch(void *ctx, const struct mqw_batch *b, struct mqw_outlet *to)
{
	int result = 0;

	for (size_t i = 0; result >= 0 && i < b->line_count; i++)
		result = tell_of(ctx, &b->lines[i], to);
	return result;
}

static int run_relay(struct source *s, struct record *r)
{
	const struct mqw_relay_steps steps = {.fill = fill, .read = read_batch, .ctx = s};
	const struct mqw_outlet to = outlet_of(r);
	struct mqw_relay *relay;

	assert_int_equal(mqw_relay_start(&steps, &to, &relay), 0);
	return mqw_relay_run(relay);
}

static void run_alone(const struct source *s, struct record *r)
{
	struct mqw_outlet to = outlet_of(r);
	char bytes[100];

	for (uint64_t n = 1; n <= s->count; n++) {
		struct mqw_input_line l = line_of(n, bytes);

		assert_int_equal(tell_of(s, &l, &to), 0);
	}
}

/* The same with the relay and without it, whatever is in a batch: all of it, and in its order. */
static void test_like_without(void **state)
{
	static const struct {
		uint64_t lines;
		unsigned int batch_max;
	} cases[] = {{0, 1}, {1, 1}, {2, 1}, {300, 1}, {3000, 7}, {MQW_BATCH_LINES, 1000},
		{MQW_BATCH_LINES + 1, 1000}, {30000, 1000}};

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)rand();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct source s = {.count = cases[i].lines, .batch_max = cases[i].batch_max};
		struct record with = {0}, without = {0};

		assert_int_equal(run_relay(&s, &with), 0);
		run_alone(&s, &without);
		assert_int_equal(s.next, s.count);
		assert_int_equal(with.events, without.events);
		assert_int_equal(with.told.len, without.told.len);
		if (with.told.len)
			assert_memory_equal(with.told.ptr, without.told.ptr, with.told.len);
		mqw_buffer_done(&with.told);
		mqw_buffer_done(&without.told);
	}
}

/* What the sink refuses ends it: no event more, and no line without end is read. */
static void test_sink_fault(void **state)
{
	static const uint64_t at[] = {1, 500, 4000, 20000};

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct source s = {.count = UINT64_MAX, .batch_max = 100};
		struct record r = {.fail_at = at[i]};

		assert_int_equal(run_relay(&s, &r), -EIO);
		assert_int_equal(r.events, at[i]);
		mqw_buffer_done(&r.told);
	}
}

static void test_read_fault(void **state)
{
	struct source s = {.count = UINT64_MAX, .batch_max = 100, .fault_at = 6000};
	struct record r = {0};

	(void)state;
	assert_int_equal(run_relay(&s, &r), -EPROTO);
	assert_true(s.next >= 6000 && s.next < 100000);
	mqw_buffer_done(&r.told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_without),
		cmocka_unit_test(test_sink_fault),
		cmocka_unit_test(test_read_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
