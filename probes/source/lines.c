/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/lines.h"

#include <errno.h>
#include <stdlib.h>

int mqw_lines_init(struct mqw_lines *l, uint64_t number, uint64_t offset)
{
	*l = (struct mqw_lines){.buf = malloc(MQW_LINES_BUFFER)};
	if (!l->buf)
		return -ENOMEM;
	mqw_lines_reset(l, number, offset);
	return 0;
}

void mqw_lines_reset(struct mqw_lines *l, uint64_t number, uint64_t offset)
{
	*l = (struct mqw_lines){.buf = l->buf, .number = number, .offset = offset};
}

void mqw_lines_done(struct mqw_lines *l)
{
	free(l->buf);
	*l = (struct mqw_lines){0};
}

char *mqw_lines_room(struct mqw_lines *l, size_t *ret_len)
{
	/* At most a line's worth is left over (else it would have been cut), so this moves little. */
	if (l->start) {
		memmove(l->buf, l->buf + l->start, l->end - l->start);
		l->end -= l->start;
		l->scanned -= l->start;
		l->start = 0;
	}
	*ret_len = MQW_LINES_BUFFER - l->end;
	return l->buf + l->end;
}

void mqw_lines_filled(struct mqw_lines *l, size_t n)
{
	l->end += n;
}

static void advance(struct mqw_lines *l, size_t to)
{
	l->offset += to - l->start;
	l->start = to;
	if (l->scanned < to)
		l->scanned = to;
}

/* Drops the rest of a line that was cut; true when its newline was found. */
static bool skip(struct mqw_lines *l)
{
	const char *nl = memchr(l->buf + l->start, '\n', l->end - l->start);

	advance(l, nl ? (size_t)(nl - l->buf) + 1 : l->end);
	l->skipping = !nl;
	return nl;
}

/* Gives the len bytes at start, and moves on to byte `to` of the buffer. */
static void yield(struct mqw_lines *l, size_t len, size_t to, struct mqw_raw_line *ret)
{
	*ret = (struct mqw_raw_line){
		.text = mqw_slice(l->buf + l->start, len < MQW_LINE_MAX ? len : MQW_LINE_MAX),
		.number = ++l->number,
		.offset = l->offset,
		.cut = len > MQW_LINE_MAX,
	};
	advance(l, to);
}

bool mqw_lines_next_odd(struct mqw_lines *l, struct mqw_raw_line *ret)
{
	const char *nl;
	size_t end;

	if (l->start == l->end || (l->skipping && !skip(l)))
		return false;
	nl = memchr(l->buf + l->scanned, '\n', l->end - l->scanned);
	if (nl) {
		end = (size_t)(nl - l->buf);
		yield(l, end - l->start - (end > l->start && nl[-1] == '\r'), end + 1, ret);
		return true;
	}
	l->scanned = l->end;
	/* One byte more may still be a CR before the newline. */
	if (l->end - l->start <= MQW_LINE_MAX + 1)
		return false;
	yield(l, l->end - l->start, l->end, ret);
	l->skipping = true;
	return true;
}

bool mqw_lines_last(struct mqw_lines *l, struct mqw_raw_line *ret)
{
	if (l->start == l->end || l->skipping)
		return false;
	/* Nothing says that a CR at the very end belongs to a newline that never came. */
	yield(l, l->end - l->start, l->end, ret);
	ret->unterminated = true;
	return true;
}
