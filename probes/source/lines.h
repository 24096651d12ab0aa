/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cuts a stream of bytes into lines, through one buffer of fixed size: whoever reads puts bytes in,
 * lines come out as slices into the buffer. Shared by the reader of whole files and by the follower
 * of live ones, so that both mean the same by "a line". Nothing is allocated for a line, and a line
 * without end needs no more memory than any other.
 */
#ifndef MQW_PROBES_SOURCE_LINES_H
#define MQW_PROBES_SOURCE_LINES_H

#include "watchdogd/base/slice.h"

/* Longest line that is yielded whole; of a longer one these first bytes are, the rest is dropped. */
#define MQW_LINE_MAX ((size_t)64 * 1024)
#define MQW_LINES_BUFFER ((size_t)256 * 1024)

struct mqw_raw_line {
	struct mqw_slice text; /* without newline, and without the CR before it; any byte else */
	uint64_t number; /* from 1 */
	uint64_t offset; /* of its first byte in the (decompressed) file */
	bool cut; /* longer than MQW_LINE_MAX: text is its beginning */
	bool unterminated; /* the stream ended before its newline */
};

struct mqw_lines {
	char *buf; /* owned, MQW_LINES_BUFFER bytes */
	size_t start; /* first byte not yielded yet */
	size_t scanned; /* no newline in start..scanned */
	size_t end; /* behind the last byte */
	uint64_t number; /* of the last line yielded */
	uint64_t offset; /* of the byte at start, in the stream */
	bool skipping; /* within the rest of a line that was cut: drop up to its newline */
};

/* 0, or -ENOMEM. Lines are numbered from number + 1, offsets from offset. */
int mqw_lines_init(struct mqw_lines *l, uint64_t number, uint64_t offset);

/* Forgets what is in the buffer and starts anew as mqw_lines_init() does; keeps the memory. */
void mqw_lines_reset(struct mqw_lines *l, uint64_t number, uint64_t offset);

void mqw_lines_done(struct mqw_lines *l);

/*
 * Where the next bytes go, and how many fit: never none, provided that mqw_lines_next() was called
 * until it said false. Invalidates the last line.
 */
char *mqw_lines_room(struct mqw_lines *l, size_t *ret_len);

/* n bytes were put there. */
void mqw_lines_filled(struct mqw_lines *l, size_t n);

/*
 * The next line that is complete (or too long to wait for its end); false when more bytes are
 * needed. The line is valid until the next call of any function here.
 */
static inline bool mqw_lines_next(struct mqw_lines *l, struct mqw_raw_line *ret);

/* At the end of the stream: what is left without a newline, if anything is. */
bool mqw_lines_last(struct mqw_lines *l, struct mqw_raw_line *ret);

/* Bytes that wait for their newline. */
static inline size_t mqw_lines_pending(const struct mqw_lines *l)
{
	return l->end - l->start;
}

/* The same, of what is not a line of usual length that is there as a whole. */
bool mqw_lines_next_odd(struct mqw_lines *l, struct mqw_raw_line *ret);

static inline bool mqw_lines_next(struct mqw_lines *l, struct mqw_raw_line *ret)
{
	const char *line = l->buf + l->start, *nl;
	size_t len;

	if (l->skipping || l->scanned == l->end)
		return mqw_lines_next_odd(l, ret);
	nl = memchr(l->buf + l->scanned, '\n', l->end - l->scanned);
	if (!nl || nl == line || (size_t)(nl - line) > MQW_LINE_MAX)
		return mqw_lines_next_odd(l, ret);
	len = (size_t)(nl - line);
	ret->text = mqw_slice(line, len - (nl[-1] == '\r'));
	ret->number = ++l->number;
	ret->offset = l->offset;
	ret->cut = ret->unterminated = false;
	l->offset += len + 1;
	l->start = l->scanned = l->start + len + 1;
	return true;
}

#endif
