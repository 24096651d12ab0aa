/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines on their way from one thread to another, with the bytes that they are made of, and then what
 * they said: events and times. One thread has a batch at a time. Large, and of fixed size: it is made
 * by whoever has room, its memory need not be cleared, and most of it is had only when it is used.
 */
#ifndef MQW_CLI_BATCH_H
#define MQW_CLI_BATCH_H

#include "watchdogd/cli/input.h"
#include "watchdogd/cli/outlet.h"

#define MQW_BATCH_LINES 1024
#define MQW_BATCH_EVENTS (2 * MQW_BATCH_LINES) /* lines give one, or some more */
/* A line of any length with its columns fits into an empty batch. */
#define MQW_BATCH_BYTES ((size_t)256 * 1024)
#define MQW_BATCH_WORDS ((size_t)64 * 1024)

struct mqw_batch {
	size_t line_count, used;
	size_t event_count, time_count, step_count, words_used;
	const struct mqw_probe_ops *mta; /* which a line told */
	struct mqw_input_line lines[MQW_BATCH_LINES];
	struct mqw_event events[MQW_BATCH_EVENTS];
	int64_t times[MQW_BATCH_LINES];
	/* Which of these comes next, in the order in which they were said. */
	unsigned char steps[MQW_BATCH_EVENTS + MQW_BATCH_LINES + 1];
	_Alignas(struct mqw_columns) char bytes[MQW_BATCH_BYTES]; /* of the lines */
	char words[MQW_BATCH_WORDS]; /* of events, where they are in no line */
};

void mqw_batch_empty(struct mqw_batch *b);

/* Copies a line and its bytes. False: there is no room for it. A line always fits into an empty one. */
bool mqw_batch_add_line(struct mqw_batch *b, const struct mqw_input_line *l);

/*
 * Adds an event that comes of its lines. Texts that are in no line of the batch are copied. False:
 * there is no room for it.
 */
bool mqw_batch_add_event(struct mqw_batch *b, const struct mqw_event *e);
/* Each at most as often as there are lines. */
void mqw_batch_add_time(struct mqw_batch *b, int64_t now);
/* At most once. */
void mqw_batch_add_recognised(struct mqw_batch *b, const struct mqw_probe_ops *mta);

/*
 * Tells all that was said, and forgets it; lines stay. 0, or the negative errno of the sink, after
 * which nothing more is told.
 */
int mqw_batch_tell(struct mqw_batch *b, struct mqw_outlet *to);

#endif
