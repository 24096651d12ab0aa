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

static void yield(struct mqw_lines *l, size_t len, struct mqw_raw_line *ret)
{
	*ret = (struct mqw_raw_line){.text = mqw_slice(l->buf + l->start, len),
		.number = ++l->number,
		.offset = l->offset};
	if (len && ret->text.ptr[len - 1] == '\r')
		ret->text.len--;
	if (ret->text.len > MQW_LINE_MAX) {
		ret->text.len = MQW_LINE_MAX;
		ret->cut = true;
	}
}

bool mqw_lines_next(struct mqw_lines *l, struct mqw_raw_line *ret)
{
	const char *nl;

	if (l->start == l->end || (l->skipping && !skip(l)))
		return false;
	nl = memchr(l->buf + l->scanned, '\n', l->end - l->scanned);
	if (nl) {
		yield(l, (size_t)(nl - l->buf) - l->start, ret);
		advance(l, (size_t)(nl - l->buf) + 1);
		return true;
	}
	l->scanned = l->end;
	/* One byte more may still be a CR before the newline. */
	if (l->end - l->start <= MQW_LINE_MAX + 1)
		return false;
	yield(l, MQW_LINE_MAX, ret);
	ret->text.len = MQW_LINE_MAX;
	ret->cut = true;
	advance(l, l->end);
	l->skipping = true;
	return true;
}

bool mqw_lines_last(struct mqw_lines *l, struct mqw_raw_line *ret)
{
	if (l->start == l->end || l->skipping)
		return false;
	yield(l, l->end - l->start, ret);
	ret->unterminated = true;
	advance(l, l->end);
	return true;
}
