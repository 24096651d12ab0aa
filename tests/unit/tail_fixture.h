/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A followed file in an event loop: real files, and lines that are numbered. */
#ifndef MQW_TESTS_UNIT_TAIL_FIXTURE_H
#define MQW_TESTS_UNIT_TAIL_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <systemd/sd-event.h>
#include <cmocka.h>

#include "probes/source/file_tail.h"
#include "probes/source/lines.h"
#include "probes/source/tail_position.h"
#include "watchdogd/base/clock.h"

#define LINGER (40 * 1000) /* microseconds: the tests' files are quiet soon */
#define ANY SIZE_MAX

static char dir[64];
static char path[128];

struct got {
	sd_event *loop;
	struct mqw_file_tail *tail;
	size_t lines;
	size_t next; /* number that the next line has to have; ANY: not checked */
	size_t gaps, says, caught_up;
	int64_t from, to; /* of the last gap */
	uint64_t last_line;
	char last[64], why[128], said[256];
	bool unterminated;
	char sources[8][128];
	uint32_t source_count;
	uint32_t last_source;
};

static inline void on_line(void *ctx, const struct mqw_raw_line *l, struct mqw_evidence evidence)
{
	struct got *g = ctx;
	char want[64];

	snprintf(g->last, sizeof(g->last), "%.*s", (int)(l->text.len > 60 ? 60 : l->text.len),
		l->text.ptr);
	g->last_line = evidence.line;
	g->last_source = evidence.source;
	g->unterminated = l->unterminated;
	g->lines++;
	if (g->next == ANY)
		return;
	snprintf(want, sizeof(want), "line %zu of the log", g->next++);
	assert_string_equal(g->last, want);
}

static inline void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	struct got *g = ctx;

	assert_true(from == MQW_TIME_NONE || from <= to);
	g->gaps++;
	g->from = from;
	g->to = to;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static inline void on_caught_up(void *ctx)
{
	struct got *g = ctx;

	g->caught_up++;
}

static inline void on_say(void *ctx, const char *text)
{
	struct got *g = ctx;

	g->says++;
	snprintf(g->said, sizeof(g->said), "%s", text);
}

/* What the lines are stamped with, by the clock. */
static int64_t stamp = MQW_TIME_NONE;

static inline int64_t on_stamp(void *ctx, struct mqw_slice line)
{
	(void)ctx, (void)line;
	return stamp;
}

static inline uint32_t number(void *ctx, const char *name)
{
	struct got *g = ctx;

	for (uint32_t i = 0; i < g->source_count; i++)
		if (strcmp(g->sources[i], name) == 0)
			return i;
	assert_true(g->source_count < 8);
	snprintf(g->sources[g->source_count], sizeof(g->sources[0]), "%s", name);
	return g->source_count++;
}

static inline void open_tail(struct got *g, const char *name, const char *position, bool from_end)
{
	const struct mqw_source_ops ops = {.line = on_line,
		.gap = on_gap,
		.caught_up = on_caught_up,
		.say = on_say,
		.stamp = on_stamp,
		.number = number,
		.ctx = g};
	const struct mqw_file_tail_options o = {
		.path = name, .position = position, .from_end = from_end, .linger = LINGER};

	*g = (struct got){0};
	assert_true(sd_event_new(&g->loop) >= 0);
	assert_int_equal(mqw_file_tail_open(&o, &ops, g->loop, &g->tail), 0);
}

/* Closes, and returns the position, to be freed. */
static inline char *close_tail(struct got *g)
{
	struct mqw_buffer b = {0};

	assert_int_equal(mqw_file_tail_position(g->tail, &b), 0);
	mqw_file_tail_close(g->tail);
	sd_event_unref(g->loop);
	return b.ptr ? b.ptr : strdup("");
}

static inline int on_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	return sd_event_exit(userdata, 1);
}

/* Lets the loop run for a time whatever comes. */
static inline void run_for(struct got *g, uint64_t ms)
{
	sd_event_source *timer = NULL;

	assert_true(sd_event_add_time_relative(g->loop, &timer, CLOCK_MONOTONIC, ms * 1000, 1000,
			    on_timeout, g->loop) >= 0);
	sd_event_loop(g->loop);
	sd_event_source_unref(timer);
}

/* Driven by hand: a loop that has ended does not run again. */
static inline void run_until(struct got *g, size_t lines)
{
	uint64_t now, end;

	sd_event_now(g->loop, CLOCK_MONOTONIC, &now);
	for (end = now + 20000000; g->lines < lines && now < end;) {
		assert_true(sd_event_run(g->loop, 100000) >= 0);
		sd_event_now(g->loop, CLOCK_MONOTONIC, &now);
	}
	assert_int_equal(g->lines, lines);
}

static inline void spin(struct got *g, uint64_t ms)
{
	uint64_t now, end;

	sd_event_now(g->loop, CLOCK_MONOTONIC, &now);
	for (end = now + ms * 1000; now < end;) {
		assert_true(sd_event_run(g->loop, 5000) >= 0);
		sd_event_now(g->loop, CLOCK_MONOTONIC, &now);
	}
}

/* Adds lines first..last to a file in the directory. */
static inline void append(const char *name, size_t first, size_t last)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", dir, name);
	f = fopen(full, "a");
	assert_non_null(f);
	for (size_t i = first; i <= last; i++)
		fprintf(f, "line %zu of the log\n", i);
	assert_int_equal(fclose(f), 0);
}

static inline void put(const char *name, const char *mode, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", dir, name);
	f = fopen(full, mode);
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void sh(const char *command)
{
	char *line;

	assert_true(asprintf(&line, "cd %s && %s", dir, command) > 0);
	assert_int_equal(system(line), 0);
	free(line);
}

static inline int fresh_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s", "/tmp/mqw-tail-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/mail.log", dir);
	return 0;
}

static inline int remove_dir(void **state)
{
	(void)state;
	sh("rm -rf ./* && rmdir \"$PWD\"");
	return 0;
}

/* Reads 50 lines of mail.log, and goes away. The position is to be freed. */
static inline char *read_and_leave(void)
{
	struct got g;

	append("mail.log", 0, 49);
	open_tail(&g, path, NULL, false);
	run_until(&g, 50);
	spin(&g, 50); /* the end was seen */
	return close_tail(&g);
}

/* A gap is told of when it is sure, which takes its time. */
static inline void run_until_gaps(struct got *g, size_t gaps)
{
	uint64_t now, end;

	sd_event_now(g->loop, CLOCK_MONOTONIC, &now);
	for (end = now + 20000000; g->gaps < gaps && now < end;) {
		assert_true(sd_event_run(g->loop, 100000) >= 0);
		sd_event_now(g->loop, CLOCK_MONOTONIC, &now);
	}
	assert_int_equal(g->gaps, gaps);
}

/* Comes back: lines first..last come, and nothing after them; *position is renewed. */
static inline void come_back(
	char **position, size_t first, size_t last, size_t gaps, const char *why)
{
	struct got g;

	open_tail(&g, path, *position, false);
	g.next = first;
	run_until(&g, last - first + 1);
	run_until_gaps(&g, gaps);
	spin(&g, 200);
	assert_int_equal(g.lines, last - first + 1);
	assert_int_equal(g.gaps, gaps);
	if (gaps)
		assert_string_equal(g.why, why);
	free(*position);
	*position = close_tail(&g);
}

static inline void clean(char *position)
{
	sh("rm -rf ./*");
	free(position);
}

#define COPIED "the log was truncated after it was copied"
#define GONE "the file that was read last is gone"

#endif
