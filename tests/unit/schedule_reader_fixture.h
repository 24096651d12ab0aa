/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reader's side of a log's random life: what it was given, is told of, and keeps. */
#ifndef MQW_TESTS_UNIT_SCHEDULE_READER_FIXTURE_H
#define MQW_TESTS_UNIT_SCHEDULE_READER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/source/tail_follower.h"

#define LINGER (3 * MQW_SECOND)
#define LINES_MAX 4000
#define GAPS_MAX 200
#define FILES_MAX 64

/* No log is rotated by copies and by names in turn: it is configured. */
enum kind { KIND_RENAME, KIND_DELETE, KIND_EMPTY, KIND_COPY, KIND_COPY_EMPTY, KIND_COUNT };

/* What the reader's owner has of it: kept together with the position, and lost with it. */
struct seen {
	size_t last; /* line given last, from 1 */
	bool given[LINES_MAX];
	size_t gaps;
	struct {
		int64_t from, to;
	} gap[GAPS_MAX];
};

struct file {
	char name[64];
	size_t oldest, newest; /* lines; 0: none */
	bool packed;
};

static struct {
	char dir[64], path[128];
	uint64_t random;
	unsigned int seed;
	enum kind kind;
	bool dated, lossy, torn; /* torn: pieces of lines may come */
	unsigned int date, keep;
	int64_t now, born;
	size_t lines;
	int64_t written[LINES_MAX];
	struct file files[FILES_MAX]; /* oldest first; the last one is the live log */
	size_t count, writer; /* writer: which file is written to */
	int fd; /* of the writer */
	char half[256]; /* what is left to be written of a line */
	struct seen seen, kept;
	char *position;
	struct mqw_follower follower;
	bool open, loud;
} w;

/* Tells what happens, when one life is run alone. */
#define note(...)                                                                                  \
	do {                                                                                       \
		if (w.loud) {                                                                      \
			print_message("%lld ms: ", (long long)(w.now - w.born) / 1000);            \
			print_message(__VA_ARGS__);                                                \
		}                                                                                  \
	} while (0)

static inline unsigned int rnd(unsigned int below)
{
	w.random ^= w.random << 13;
	w.random ^= w.random >> 7;
	w.random ^= w.random << 17;
	return (unsigned int)(w.random >> 11) % below;
}

#define check(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			print_error("MQW_SEED=%u: ", w.seed);                                      \
			fail_msg(__VA_ARGS__);                                                     \
		}                                                                                  \
	} while (0)

static inline void full(const char *name, char ret[static 160])
{
	snprintf(ret, 160, "%s/%s", w.dir, name);
}

/* The number of a whole line; 0: it is none. */
static inline size_t number_of(struct mqw_slice line)
{
	char text[256];
	size_t n = 0, again = 0;

	snprintf(text, sizeof(text), "%.*s", (int)line.len, line.ptr);
	return line.len >= 4 && line.ptr[line.len - 1] == '#' &&
			sscanf(text, "%zu %*s %zu#", &n, &again) == 2 && n == again && n <= w.lines
		? n
		: 0;
}

static inline void on_line(void *ctx, const struct mqw_raw_line *l, struct mqw_evidence evidence)
{
	size_t n = number_of(l->text);

	(void)ctx, (void)evidence;
	if (n == 0) {
		check(w.torn, "no line of the log: \"%.*s\"", (int)l->text.len, l->text.ptr);
		return;
	}
	check(n > w.seen.last, "line %zu after line %zu", n, w.seen.last);
	if (n != w.seen.last + 1)
		note("line %zu comes after %zu\n", n, w.seen.last);
	w.seen.last = n;
	w.seen.given[n - 1] = true;
}

static inline void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	(void)ctx;
	note("gap from %lld to %lld ms: %s\n", (long long)(from - w.born) / 1000,
		(long long)(to - w.born) / 1000, why);
	check(w.lossy, "a gap where nothing was lost: %s", why);
	check(from == MQW_TIME_NONE || from <= to, "a gap that ends before it begins");
	check(w.seen.gaps < GAPS_MAX, "gaps without end");
	w.seen.gap[w.seen.gaps].from = from == MQW_TIME_NONE ? 0 : from;
	w.seen.gap[w.seen.gaps++].to = to;
}

static inline void on_say(void *ctx, const char *text)
{
	(void)ctx;
	note("said: %s\n", text);
}

static inline int64_t on_stamp(void *ctx, struct mqw_slice line)
{
	size_t n = number_of(line);

	(void)ctx;
	return n ? w.written[n - 1] : MQW_TIME_NONE;
}

static const struct mqw_source_ops ops = {
	.line = on_line, .gap = on_gap, .say = on_say, .stamp = on_stamp};

static inline void open_reader(void)
{
	struct mqw_slice text = mqw_slice_of(w.position);
	struct mqw_tail_position p;
	bool known = mqw_tail_position_take(&text, &p);

	note("the reader begins\n");
	assert_int_equal(mqw_follower_init(&w.follower, &ops, w.path, known ? &p : NULL, false), 0);
	w.open = true;
}

static inline void keep(void)
{
	struct mqw_buffer b = {0};

	mqw_follower_position(&w.follower, &b);
	free(w.position);
	w.position = b.ptr ? b.ptr : strdup("");
	note("kept at line %zu: %s", w.seen.last, w.position);
	w.kept = w.seen;
}

/* At any instant: what was not kept never was. Then it is away for a while. */
static inline void kill_reader(void)
{
	if (!w.open)
		return;
	if (rnd(2))
		keep();
	note("killed\n");
	mqw_follower_done(&w.follower);
	w.seen = w.kept;
	w.open = false;
}

static inline bool look(unsigned int budget)
{
	const struct mqw_follower_now now = {.clock = w.now, .monotonic = w.now, .linger = LINGER};

	return mqw_follower_step(&w.follower, &now, &budget);
}

static inline void turn(void)
{
	if (!w.open)
		open_reader();
	for (unsigned int i = rnd(3); i > 0; i--) {
		look(1 + rnd(60));
		w.now += 20000 + rnd(1500) * 1000;
	}
	if (rnd(3) == 0)
		while (look(1000))
			;
	if (rnd(4) == 0)
		keep();
}

#endif
