/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/reader.h"

#include <errno.h>
#include <stdlib.h>

#include "probes/source/ahead.h"
#include "watchdogd/base/clock.h"

/* What is read at once stays in the cache of the processor while its lines are read. */
#define READ_MAX ((size_t)64 * 1024)

struct mqw_reader {
	struct mqw_stream *stream;
	struct mqw_ahead *ahead; /* in front of the stream; NULL: none */
	struct mqw_lines lines;
	bool ended; /* nothing more comes out of the stream */
	int fault; /* -errno to say once the lines are used up */
};

int mqw_reader_open(const char *path, struct mqw_reader **ret)
{
	struct mqw_reader *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	e = mqw_stream_open(path, &r->stream);
	if (e == 0)
		e = mqw_lines_init(&r->lines, 0, 0);
	if (e < 0) {
		mqw_reader_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

void mqw_reader_read_ahead(struct mqw_reader *r)
{
	/* A pipe may block for ever, and with it the end of the thread. */
	if (mqw_stream_mtime(r->stream) == MQW_TIME_NONE || !mqw_stream_is_compressed(r->stream) ||
		mqw_ahead_start(r->stream, &r->ahead) < 0)
		r->ahead = NULL;
}

struct mqw_reader *mqw_reader_close(struct mqw_reader *r)
{
	if (!r)
		return NULL;
	mqw_ahead_stop(r->ahead);
	mqw_stream_close(r->stream);
	mqw_lines_done(&r->lines);
	free(r);
	return NULL;
}

int mqw_reader_next(struct mqw_reader *r, struct mqw_raw_line *ret)
{
	while (!mqw_lines_next(&r->lines, ret)) {
		size_t room;
		char *to = mqw_lines_room(&r->lines, &room);
		ssize_t n;

		if (r->ended)
			return r->fault ? r->fault : mqw_lines_last(&r->lines, ret);
		room = room < READ_MAX ? room : READ_MAX;
		n = r->ahead ? mqw_ahead_read(r->ahead, to, room)
			     : mqw_stream_read(r->stream, to, room);
		r->ended = n <= 0;
		if (n < 0)
			r->fault = (int)n;
		else
			mqw_lines_filled(&r->lines, (size_t)n);
	}
	return 1;
}

const char *mqw_reader_error(const struct mqw_reader *r)
{
	return mqw_stream_error(r->stream);
}

uint64_t mqw_reader_consumed(const struct mqw_reader *r)
{
	return r->ahead ? mqw_ahead_consumed(r->ahead) : mqw_stream_consumed(r->stream);
}

uint64_t mqw_reader_size(const struct mqw_reader *r)
{
	return mqw_stream_size(r->stream);
}

int64_t mqw_reader_mtime(const struct mqw_reader *r)
{
	return mqw_stream_mtime(r->stream);
}
