/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/outlet_fixture.h"

static struct mqw_batch *batch;

static int make(void **state)
{
	(void)state;
	batch = malloc(sizeof(*batch));
	return batch ? 0 : -1;
}

static int unmake(void **state)
{
	(void)state;
	free(batch);
	return 0;
}

static void assert_text(struct mqw_slice got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.ptr, want, got.len);
}

/* A line stays as it was when the reader's buffer holds others. */
static void test_keeps_line(void **state)
{
	static const char own[] = "exim"; /* a probe knows it by its address */
	char bytes[] = "Nov 30 10:00:00 mx1 postfix/smtp[12]: ABC: to=<a@b>";
	struct mqw_input_line l = {.text = mqw_slice(bytes, sizeof(bytes) - 1), .before = 7};
	const struct mqw_line *kept = &batch->lines[0].line;

	(void)state;
	l.line = (struct mqw_line){.time = 9, .pid = 12, .evidence = {3, 4}};
	l.line.host = mqw_slice(bytes + 16, 3);
	l.line.tag = mqw_slice(bytes + 20, 12);
	l.line.text = mqw_slice(bytes + 38, 13);
	mqw_batch_empty(batch);
	assert_true(mqw_batch_add_line(batch, &l));
	l.line.host = MQW_SLICE_NULL;
	l.line.tag = mqw_slice(own, 4);
	assert_true(mqw_batch_add_line(batch, &l));
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(batch->line_count, 2);
	assert_text(batch->lines[0].text, "Nov 30 10:00:00 mx1 postfix/smtp[12]: ABC: to=<a@b>");
	assert_text(kept->host, "mx1");
	assert_text(kept->tag, "postfix/smtp");
	assert_text(kept->text, "ABC: to=<a@b>");
	assert_int_equal(kept->time, 9);
	assert_int_equal(kept->pid, 12);
	assert_int_equal(kept->evidence.source, 3);
	assert_int_equal(kept->evidence.line, 4);
	assert_int_equal(batch->lines[0].before, 7);
	assert_null(batch->lines[1].line.host.ptr);
	assert_ptr_equal(batch->lines[1].line.tag.ptr, own);
}

/* An entry of the journal has its fields in several places. */
static void test_keeps_entry(void **state)
{
	char host[] = "mx1", tag[] = "postfix/qmgr", message[] = "ABC: removed";
	struct mqw_input_line l = {
		.is_scattered = true, .text = mqw_slice(message, sizeof(message) - 1)};

	(void)state;
	l.line = (struct mqw_line){
		.host = mqw_slice(host, 3), .tag = mqw_slice(tag, 12), .text = l.text};
	mqw_batch_empty(batch);
	assert_true(mqw_batch_add_line(batch, &l));
	memset(host, 'x', sizeof(host));
	memset(tag, 'x', sizeof(tag));
	memset(message, 'x', sizeof(message));
	assert_text(batch->lines[0].line.host, "mx1");
	assert_text(batch->lines[0].line.tag, "postfix/qmgr");
	assert_text(batch->lines[0].line.text, "ABC: removed");
}

/* Lines further on may say that columns are others. */
static void test_keeps_columns(void **state)
{
	struct mqw_columns columns;
	struct mqw_input_line l = {.text = MQW_LIT("odd"), .line.columns = &columns};

	(void)state;
	memset(&columns, 0, sizeof(columns));
	mqw_batch_empty(batch);
	for (uint8_t i = 0; i < 9; i++) {
		columns.count = i;
		columns.at[i] = MQW_COLUMN_TIME;
		assert_true(mqw_batch_add_line(batch, &l));
		columns.at[i] = MQW_COLUMN_DATE;
	}
	for (uint8_t i = 0; i < 9; i++) {
		assert_int_equal(batch->lines[i].line.columns->count, i);
		assert_int_equal(batch->lines[i].line.columns->at[i], MQW_COLUMN_TIME);
		assert_text(batch->lines[i].text, "odd");
	}
}

static void test_full(void **state)
{
	char *bytes = calloc(3, MQW_LINE_MAX);
	struct mqw_columns columns = {.count = 1};
	struct mqw_input_line l = {.is_scattered = true, .line.columns = &columns};
	size_t n = 0;

	(void)state;
	assert_non_null(bytes);
	l.text = l.line.text = mqw_slice(bytes, MQW_LINE_MAX);
	l.line.host = mqw_slice(bytes + MQW_LINE_MAX, MQW_LINE_MAX);
	l.line.tag = mqw_slice(bytes + 2 * MQW_LINE_MAX, MQW_LINE_MAX);
	mqw_batch_empty(batch);
	assert_true(mqw_batch_add_line(batch, &l));
	assert_false(mqw_batch_add_line(batch, &l));
	assert_int_equal(batch->line_count, 1);
	l = (struct mqw_input_line){.text = MQW_LIT("short")};
	mqw_batch_empty(batch);
	while (mqw_batch_add_line(batch, &l))
		n++;
	assert_int_equal(n, MQW_BATCH_LINES);
	free(bytes);
}

/* Events come out as they went in, with the texts that they had then, and once. */
static void test_tells(void **state)
{
	char words[100] = "4.7.1";
	struct mqw_input_line l = {.text = MQW_LIT("ABC: to=<a@b>"), .line.text = l.text};
	struct mqw_event e = mqw_event(MQW_EVENT_ATTEMPT, 5);
	struct record with = {0}, without = {0};
	struct mqw_outlet to = outlet_of(&with);

	(void)state;
	mqw_batch_empty(batch);
	assert_true(mqw_batch_add_line(batch, &l));
	e.queue_id = mqw_slice_head(batch->lines[0].text, 3);
	e.recipient = mqw_slice("", 0);
	e.status = mqw_slice(words, 5);
	mqw_batch_add_recognised(batch, mqw_probes[0]);
	record_recognised(&without, mqw_probes[0]);
	for (size_t i = 0; i < MQW_BATCH_EVENTS; i++) {
		assert_true(mqw_batch_add_event(batch, &e));
		record_event(&without, &e);
		if (i == 3) {
			mqw_batch_add_time(batch, 6);
			record_time(&without, 6);
		}
	}
	assert_false(mqw_batch_add_event(batch, &e));
	memset(words, 'x', sizeof(words));
	assert_int_equal(mqw_batch_tell(batch, &to), 0);
	assert_int_equal(with.told.len, without.told.len);
	assert_memory_equal(with.told.ptr, without.told.ptr, with.told.len);
	assert_int_equal(mqw_batch_tell(batch, &to), 0);
	assert_int_equal(with.told.len, without.told.len);
	mqw_buffer_done(&with.told);
	mqw_buffer_done(&without.told);
}

/* One whose words do not fit leaves no trace. */
static void test_many_words(void **state)
{
	char *words = calloc(1, MQW_BATCH_WORDS);
	struct mqw_event e = mqw_event(MQW_EVENT_ATTEMPT, 5);
	struct record r = {0};
	struct mqw_outlet to = outlet_of(&r);

	(void)state;
	assert_non_null(words);
	mqw_batch_empty(batch);
	e.sender = mqw_slice(words, 10);
	e.reply = mqw_slice(words, MQW_BATCH_WORDS);
	assert_false(mqw_batch_add_event(batch, &e));
	e.sender = MQW_SLICE_NULL;
	assert_true(mqw_batch_add_event(batch, &e));
	e.reply = mqw_slice(words, 1);
	assert_false(mqw_batch_add_event(batch, &e));
	assert_int_equal(mqw_batch_tell(batch, &to), 0);
	assert_int_equal(r.events, 1);
	assert_true(mqw_batch_add_event(batch, &e));
	free(words);
	mqw_buffer_done(&r.told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_line),
		cmocka_unit_test(test_keeps_entry),
		cmocka_unit_test(test_keeps_columns),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_tells),
		cmocka_unit_test(test_many_words),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
