/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the reader of a share reads of one that is made of memory, and what the daemon gets of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/share/walk.h"

#define FILES 600
#define DAY0 (20000 * MQW_DAY)

static struct file {
	char name[40];
	struct mqw_buffer bytes;
	uint64_t listed_size; /* UINT64_MAX: as it is */
	int64_t written;
	int error; /* of open */
} files[FILES];

static struct mqw_walk *walk;
static struct mqw_buffer got; /* what was sent, in words */
static int list_error, opens;
static int64_t now, server_now;

static struct file *file_of(const char *name)
{
	for (size_t i = 0; i < FILES; i++)
		if (strcmp(files[i].name, name) == 0)
			return &files[i];
	return NULL;
}

static void put(const char *name, const char *text, int64_t written)
{
	struct file *f = file_of(name) ? file_of(name) : file_of("");

	assert_non_null(f);
	if (!f)
		return;
	snprintf(f->name, sizeof(f->name), "%s", name);
	mqw_buffer_add_str(&f->bytes, text);
	f->listed_size = UINT64_MAX;
	f->written = written;
}

static void take_away(const char *name)
{
	struct file *f = file_of(name);

	assert_non_null(f);
	mqw_buffer_done(&f->bytes);
	f->name[0] = '\0';
}

static int list(void *ctx, mqw_share_each *each, void *w)
{
	(void)ctx;
	for (size_t i = 0; i < FILES; i++)
		if (files[i].name[0])
			each(w,
				&(struct mqw_share_entry){.name = mqw_slice_of(files[i].name),
					.size = files[i].listed_size == UINT64_MAX
						? files[i].bytes.len
						: files[i].listed_size,
					.written = files[i].written});
	return list_error;
}

static int open_file(void *ctx, const char *name, struct mqw_share_entry *ret)
{
	struct file *f = file_of(name);

	(void)ctx;
	opens++;
	if (!f || f->error)
		return f ? f->error : -ENOENT;
	ret->size = f->bytes.len;
	ret->written = f->written;
	return (int)(f - files);
}

static ssize_t read_file(void *ctx, int handle, uint64_t offset, char *buf, size_t size)
{
	struct mqw_slice s = mqw_slice_head(
		mqw_slice_from(mqw_buffer_slice(&files[handle].bytes), offset), size);

	(void)ctx;
	if (s.len)
		memcpy(buf, s.ptr, s.len);
	return (ssize_t)s.len;
}

static void close_file(void *ctx, int handle)
{
	(void)ctx;
	(void)handle;
}

static int send_frame(void *ctx, struct mqw_share_frame *f, struct mqw_slice payload)
{
	static const char *const names[MQW_SHARE_KIND_END] = {[MQW_SHARE_FILE] = "file",
		[MQW_SHARE_LINES] = "lines",
		[MQW_SHARE_CUT] = "cut",
		[MQW_SHARE_SKIP] = "skip",
		[MQW_SHARE_HEAD] = "head",
		[MQW_SHARE_FORGET] = "forget",
		[MQW_SHARE_GAP] = "gap",
		[MQW_SHARE_PASS] = "pass",
		[MQW_SHARE_ALIVE] = "alive",
		[MQW_SHARE_SAY] = "say",
		[MQW_SHARE_FAIL] = "fail"};
	struct mqw_slice shown = mqw_slice_head(payload, 80);

	(void)ctx;
	f->magic = MQW_SHARE_MAGIC;
	f->length = (uint32_t)payload.len;
	assert_int_equal(mqw_share_frame_check(f, payload, sizeof(*f) + payload.len), 0);
	mqw_buffer_printf(&got, "%s", names[f->kind]);
	if (f->kind == MQW_SHARE_LINES || f->kind == MQW_SHARE_CUT || f->kind == MQW_SHARE_SKIP)
		mqw_buffer_printf(&got, " %u@%llu", f->number, (unsigned long long)f->place.offset);
	if (f->kind == MQW_SHARE_SKIP)
		mqw_buffer_printf(&got, " %llu/%u", (unsigned long long)f->skip, f->place.skipping);
	if (f->kind == MQW_SHARE_FILE || f->kind == MQW_SHARE_FORGET)
		mqw_buffer_printf(&got, " %u", f->number);
	if (payload.len)
		mqw_buffer_printf(&got, " %.*s", (int)shown.len, shown.ptr);
	if (!payload.len || payload.ptr[payload.len - 1] != '\n')
		mqw_buffer_add_str(&got, "\n");
	return 0;
}

static const struct mqw_share_ops ops = {.list = list,
	.open = open_file,
	.read = read_file,
	.close = close_file,
	.send = send_frame};

static int setup(void **state)
{
	(void)state;
	memset(files, 0, sizeof(files));
	list_error = opens = 0;
	now = MQW_HOUR;
	server_now = DAY0 + MQW_DAY;
	walk = mqw_walk_create(MQW_LIT("*.log"), &ops);
	return walk ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < FILES; i++)
		mqw_buffer_done(&files[i].bytes);
	mqw_buffer_done(&got);
	mqw_walk_free(walk);
	return 0;
}

static int pass(void)
{
	mqw_buffer_clear(&got);
	now += 2 * MQW_SECOND;
	server_now += 2 * MQW_SECOND;
	return mqw_walk_pass(walk, now, server_now, 0);
}

#define assert_pass(text)                                                                          \
	do {                                                                                       \
		assert_int_equal(pass(), 0);                                                       \
		assert_string_equal(mqw_buffer_str(&got), text);                                   \
	} while (0)

static void start_again(const char *position)
{
	mqw_walk_free(walk);
	walk = mqw_walk_create(MQW_LIT("*.log"), &ops);
	assert_int_equal(mqw_walk_load(walk, mqw_slice_of(position)), 0);
}

static void test_grows(void **state)
{
	(void)state;
	put("a.log", "one\r\ntwo\nhal", DAY0);
	put("other.txt", "no\n", DAY0);
	put(".hidden.log", "no\n", DAY0);
	assert_pass("file 0 a.log\nlines 0@0 one\r\ntwo\npass\n");
	assert_pass("pass\n");
	put("a.log", "f a line\n", DAY0 + MQW_SECOND);
	assert_pass("lines 0@9 half a line\npass\n");
	/* The next day's. */
	put("B.LOG", "x\n", DAY0 + MQW_HOUR);
	assert_pass("file 1 B.LOG\nlines 1@0 x\npass\n");
}

/* Size and time stand still in the list while the file is open for writing. */
static void test_list_lags(void **state)
{
	(void)state;
	put("a.log", "one\n", DAY0);
	file_of("a.log")->listed_size = 0;
	assert_pass("file 0 a.log\nlines 0@0 one\npass\n");
	put("a.log", "two\n", DAY0);
	file_of("a.log")->listed_size = 0;
	assert_pass("lines 0@4 two\npass\n");
	/* What gives nothing is looked at ever less often, but within a minute. */
	for (int i = 0; i < 100; i++)
		assert_pass("pass\n");
	assert_true(opens < 20);
	put("a.log", "three\n", DAY0);
	file_of("a.log")->listed_size = 0;
	for (int i = 0; i < 31; i++) {
		assert_int_equal(pass(), 0);
		if (strstr(mqw_buffer_str(&got), "three"))
			return;
	}
	fail_msg("not seen within a minute");
}

/* At the first start ever what is older than two days is not read; of the rest the oldest first. */
static void test_first_start(void **state)
{
	(void)state;
	put("d4.log", "d4\n", DAY0);
	put("d3.log", "d3\n", DAY0 - MQW_DAY);
	put("d1.log", "d1\n", DAY0 - 3 * MQW_DAY);
	assert_pass("file 0 d3.log\nfile 1 d4.log\nlines 0@0 d3\nlines 1@0 d4\npass\n");
}

static struct mqw_buffer position_of(const char *name, uint64_t offset, int64_t written)
{
	const struct mqw_tail_position p = {.born = written,
		.offset = offset,
		.numbered = true,
		.print = mqw_tail_print_of(mqw_slice_head(
			mqw_buffer_slice(&file_of(name)->bytes), MQW_TAIL_PRINT_MAX)),
		.path = mqw_slice_of(name)};
	struct mqw_buffer b = {0};

	mqw_tail_position_add(&b, &p);
	return b;
}

/* After a start, and after a time out of reach: goes on where it was, and nothing comes twice. */
static void test_goes_on(void **state)
{
	struct mqw_buffer b;

	(void)state;
	put("d1.log", "d1\n", DAY0 - 30 * MQW_HOUR);
	put("d2.log", "d2\nd2 again\n", DAY0);
	b = position_of("d2.log", 3, DAY0 - MQW_HOUR);
	start_again(mqw_buffer_str(&b));
	put("d3.log", "d3\n", DAY0 + MQW_HOUR);
	/* d1 had been read before d2 was begun. */
	assert_pass("file 1 d3.log\nlines 0@3 d2 again\nlines 1@0 d3\npass\n");
	mqw_buffer_done(&b);
}

/* In the middle of a log it says nowhere how its lines are to be read. */
static void test_head(void **state)
{
	struct mqw_buffer b;

	(void)state;
	put("a.log", "#Version: 1.0\r\n#Fields: x\r\n1\r\n2\r\n", DAY0);
	b = position_of("a.log", 30, DAY0);
	start_again(mqw_buffer_str(&b));
	assert_pass("head #Version: 1.0\r\n#Fields: x\r\nlines 0@30 2\r\npass\n");
	mqw_buffer_done(&b);
	assert_pass("pass\n");
}

static void test_gone(void **state)
{
	struct mqw_buffer b;

	(void)state;
	put("d1.log", "d1\n", DAY0 - MQW_DAY);
	put("d2.log", "d2\n", DAY0);
	b = position_of("d1.log", 3, DAY0 - MQW_DAY);
	start_again(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
	assert_pass("file 1 d2.log\nlines 1@0 d2\npass\n");
	/* Old logs are deleted; there is nothing to it. */
	take_away("d1.log");
	assert_pass("forget 0\npass\n");
	/* While it was away even the newest went: others may have come and gone. */
	take_away("d2.log");
	put("d9.log", "d9\n", DAY0 + 7 * MQW_DAY);
	server_now += 7 * MQW_DAY;
	assert_pass("gap d2.log, which was written to last, is gone from the share\nforget 1\n"
		    "file 0 d9.log\nlines 0@0 d9\npass\n");
}

static void test_another_file(void **state)
{
	struct mqw_buffer b;

	(void)state;
	put("a.log", "what was there\nand more\n", DAY0);
	b = position_of("a.log", 15, DAY0);
	mqw_buffer_clear(&file_of("a.log")->bytes);
	put("a.log", "quite another\nlog, as long as that\n", DAY0);
	start_again(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
	assert_int_equal(pass(), 0);
	assert_non_null(strstr(mqw_buffer_str(&got), "gap a.log does not hold what it did"));
	assert_non_null(strstr(mqw_buffer_str(&got), "lines 0@0 quite another\nlog,"));
}

/* Shorter than it was: believed when it lasts. */
static void test_cut(void **state)
{
	(void)state;
	put("a.log", "one line that is long enough\nanother\n", DAY0);
	assert_int_equal(pass(), 0);
	mqw_buffer_clear(&file_of("a.log")->bytes);
	put("a.log", "one line that is long enough\n", DAY0);
	assert_int_equal(pass(), 0);
	/* The fingerprint was of both lines. */
	assert_non_null(strstr(mqw_buffer_str(&got), "gap a.log"));
	assert_non_null(strstr(mqw_buffer_str(&got), "lines 0@0 one line"));
}

static void test_long_line(void **state)
{
	static char text[MQW_LINE_MAX + 200];
	char want[200];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	put("a.log", text, DAY0);
	assert_int_equal(pass(), 0);
	snprintf(want, sizeof(want), "\nskip 0@%zu 199/1\npass\n", MQW_LINE_MAX);
	assert_non_null(strstr(mqw_buffer_str(&got), "file 0 a.log\ncut 0@0 xxxx"));
	assert_non_null(strstr(mqw_buffer_str(&got), want));
	put("a.log", "rest\nnext\n", DAY0 + 1);
	snprintf(want, sizeof(want), "skip 0@%zu 5/0\nlines 0@%zu next\npass\n", MQW_LINE_MAX + 199,
		MQW_LINE_MAX + 204);
	assert_pass(want);
}

/* Zeros are bytes that are not there yet; when others come behind them, they are not to be had. */
static void test_zeros(void **state)
{
	struct mqw_buffer *bytes;

	(void)state;
	put("a.log", "one\nha", DAY0);
	bytes = &file_of("a.log")->bytes;
	mqw_buffer_add(bytes, mqw_slice("\0\0\0\0", 4));
	assert_pass("file 0 a.log\nlines 0@0 one\npass\n");
	for (int i = 0; i < 20; i++)
		assert_pass("pass\n");
	mqw_buffer_add_str(bytes, "two\n");
	for (int i = 0; i < 40; i++) {
		assert_int_equal(pass(), 0);
		if (strstr(mqw_buffer_str(&got), "gap"))
			break;
	}
	assert_string_equal(mqw_buffer_str(&got),
		"gap there are zeros in a.log where lines should be\nskip 0@4 6/0\n"
		"lines 0@10 two\npass\n");
}

/* One that is locked does not hold up the others; but not all is known then. */
static void test_locked(void **state)
{
	(void)state;
	put("a.log", "a\n", DAY0);
	put("b.log", "b\n", DAY0 + 1);
	file_of("a.log")->error = -EBUSY;
	assert_pass("file 0 a.log\nfile 1 b.log\n"
		    "say has a log that cannot be read: a.log (Device or resource busy)\n"
		    "lines 1@0 b\nalive\n");
	assert_pass("alive\n");
	file_of("a.log")->error = 0;
	assert_pass("lines 0@0 a\npass\n");
}

static void test_share_fails(void **state)
{
	(void)state;
	put("a.log", "a\n", DAY0);
	list_error = -ETIMEDOUT;
	assert_int_equal(pass(), -ETIMEDOUT);
	assert_string_equal(mqw_buffer_str(&got), "");
	list_error = 0;
	file_of("a.log")->error = -ECONNRESET;
	assert_int_equal(pass(), -ECONNRESET);
	assert_null(strstr(mqw_buffer_str(&got), "pass"));
}

/* Hourly logs of a month: the places of what is long over are not kept, and nothing comes twice. */
static void test_many(void **state)
{
	char name[40];
	size_t forgotten = 0;

	(void)state;
	for (int h = 0; h < 150; h++) {
		snprintf(name, sizeof(name), "t%03d.log", h);
		server_now = DAY0 + h * MQW_HOUR;
		put(name, "x\n", server_now);
		assert_int_equal(pass(), 0);
		assert_non_null(strstr(mqw_buffer_str(&got), "lines"));
		if (strstr(mqw_buffer_str(&got), "forget"))
			forgotten++;
	}
	assert_in_range(forgotten, 50, 70);
	for (int i = 0; i < 50; i++)
		assert_pass("pass\n");
}

/* More than there is room for: said once, and never "all is read". */
static void test_too_many(void **state)
{
	char name[40];

	(void)state;
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "t%03d.log", i);
		put(name, "x\n", DAY0 + i);
	}
	assert_int_equal(pass(), 0);
	assert_non_null(strstr(mqw_buffer_str(&got), "say has more logs than can be followed: "));
	assert_null(strstr(mqw_buffer_str(&got), "pass"));
	assert_pass("alive\n");
}

/* A clock of next year on one file does not make all others look old. */
static void test_future(void **state)
{
	(void)state;
	put("a.log", "a\n", DAY0 + MQW_DAY);
	put("b.log", "b\n", DAY0 + 400 * MQW_DAY);
	assert_int_equal(pass(), 0);
	put("c.log", "c\n", server_now);
	assert_pass("file 2 c.log\nlines 2@0 c\npass\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_grows),
		TEST(test_list_lags),
		TEST(test_first_start),
		TEST(test_goes_on),
		TEST(test_head),
		TEST(test_gone),
		TEST(test_another_file),
		TEST(test_cut),
		TEST(test_long_line),
		TEST(test_zeros),
		TEST(test_locked),
		TEST(test_share_fails),
		TEST(test_many),
		TEST(test_too_many),
		TEST(test_future),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
