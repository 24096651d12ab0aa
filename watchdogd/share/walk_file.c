/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "watchdogd/share/walk_internal.h"

/* Between two looks at a log whose size and time stand still: twice the last pause, within these. */
#define LOOK_MIN MQW_SECOND
#define LOOK_MAX MQW_MINUTE
/* A size that goes back, and zeros that others come behind, are believed when they last so long. */
#define PATIENCE (30 * MQW_SECOND)

static int send_of(struct mqw_walk *w, const struct mqw_walk_file *f, struct mqw_share_frame *frame,
	struct mqw_slice payload)
{
	uint32_t skipping = frame->place.skipping;

	frame->number = (uint32_t)(f - w->files);
	frame->place = f->place;
	frame->place.skipping = skipping;
	return w->ops.send(w->ops.ctx, frame, payload);
}

int mqw_walk_send(struct mqw_walk *w, const struct mqw_walk_file *f, enum mqw_share_kind kind,
	struct mqw_slice payload)
{
	struct mqw_share_frame frame = {.kind = kind};

	return send_of(w, f, &frame, payload);
}

static int skip(struct mqw_walk *w, struct mqw_walk_file *f, uint64_t bytes, uint32_t skipping)
{
	struct mqw_share_frame frame = {
		.kind = MQW_SHARE_SKIP, .skip = bytes, .place.skipping = skipping};
	int r = send_of(w, f, &frame, MQW_SLICE_NULL);

	f->place.offset += bytes;
	f->place.skipping = skipping;
	return r;
}

int mqw_walk_send_text(struct mqw_walk *w, enum mqw_share_kind kind, const char *format, ...)
{
	struct mqw_share_frame frame = {.kind = kind};
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return w->ops.send(w->ops.ctx, &frame, mqw_slice_of(text));
}

int mqw_walk_begin(struct mqw_walk *w, struct mqw_walk_file *f)
{
	f->place = (struct mqw_share_place){.written = f->written};
	f->verified = true;
	f->short_since = f->zeros_since = 0;
	f->got_at = MQW_TIME_NONE;
	return mqw_walk_send(w, f, MQW_SHARE_FILE, mqw_slice_of(f->name));
}

/* Whether the file begins as it did; its fingerprint grows until it is of enough bytes. */
static int verify(struct mqw_walk *w, struct mqw_walk_file *f, int handle, bool *ret_same)
{
	const struct mqw_tail_print had = f->place.print;
	struct mqw_tail_print has;
	ssize_t n;

	*ret_same = true;
	if (f->verified && had.len == MQW_TAIL_PRINT_MAX)
		return 0;
	n = w->ops.read(w->ops.ctx, handle, 0, w->buf, MQW_TAIL_PRINT_MAX);
	if (n < 0)
		return (int)n;
	has = mqw_tail_print_of(mqw_slice(w->buf, (size_t)n));
	if (had.len) {
		struct mqw_tail_print part =
			mqw_tail_print_of(mqw_slice(w->buf, had.len < has.len ? had.len : has.len));

		*ret_same = part.len == had.len && part.hash == had.hash;
	}
	if (*ret_same) {
		f->place.print = has;
		f->verified = true;
	}
	return 0;
}

/* What a file says of itself in its first lines, for one who goes on with it in the middle. */
static int send_head(struct mqw_walk *w, struct mqw_walk_file *f, int handle)
{
	ssize_t n = w->ops.read(w->ops.ctx, handle, 0, w->buf, sizeof(w->buf));
	size_t end = 0;

	if (n < 0)
		return (int)n;
	while (end < (size_t)n && w->buf[end] == '#') {
		size_t line = mqw_slice_chr(mqw_slice(w->buf + end, (size_t)n - end), '\n');

		if (end + line >= (size_t)n || end + line >= f->place.offset)
			break;
		end += line + 1;
	}
	return end ? mqw_walk_send(w, f, MQW_SHARE_HEAD, mqw_slice(w->buf, end)) : 0;
}

static bool has_lasted(int64_t *since, int64_t now)
{
	/* 0 is "not since": the clock's own 0 is no time at which anything runs. */
	if (!*since)
		*since = now ? now : 1;
	return now - *since >= PATIENCE;
}

/*
 * Zeros: bytes that the server has not got yet, or never will. They are passed over when something
 * comes behind them and they stay. 1 when they were, 0 when they are waited for.
 */
static int pass_zeros(struct mqw_walk *w, struct mqw_walk_file *f, int handle)
{
	uint64_t at = f->place.offset;
	size_t i = 0;
	ssize_t n;
	int r;

	if (!has_lasted(&f->zeros_since, w->now))
		return 0;
	/* The half line before them is lost too. */
	for (bool zeros = false;; at += (size_t)n) {
		n = w->ops.read(w->ops.ctx, handle, at, w->buf, sizeof(w->buf));
		if (n <= 0) {
			f->zeros_since = w->now; /* nothing behind them: looked at again later */
			return (int)n;
		}
		for (i = 0; i < (size_t)n && (w->buf[i] == '\0' || !zeros); i++)
			zeros = zeros || w->buf[i] == '\0';
		if (i < (size_t)n)
			break;
	}
	r = mqw_walk_send_text(
		w, MQW_SHARE_GAP, "there are zeros in %s where lines should be", f->name);
	if (r == 0)
		r = skip(w, f, at + i - f->place.offset, 0);
	f->zeros_since = 0;
	return r < 0 ? r : 1;
}

/* The rest of a line that was too long. 1 when there may be more, 0 at the end. */
static int pass_line(struct mqw_walk *w, struct mqw_walk_file *f, struct mqw_slice data)
{
	size_t end = mqw_slice_chr(data, '\n');
	bool found = end < data.len;
	int r = skip(w, f, found ? end + 1 : end, !found);

	return r < 0 ? r : 1;
}

/* Sends what is whole of the bytes at the file's place. 1 when there may be more, 0 at the end. */
static int take_bytes(
	struct mqw_walk *w, struct mqw_walk_file *f, int handle, struct mqw_slice data)
{
	size_t zero = mqw_slice_chr(data, '\0'), end;
	int r;

	if (f->place.skipping)
		return pass_line(w, f, data);
	for (end = zero; end > 0 && data.ptr[end - 1] != '\n'; end--)
		;
	if (end > 0) {
		r = mqw_walk_send(w, f, MQW_SHARE_LINES, mqw_slice_head(data, end));
		f->place.offset += end;
		f->zeros_since = 0;
		return r < 0 ? r : 1;
	}
	if (zero < data.len)
		return pass_zeros(w, f, handle);
	if (data.len < sizeof(w->buf))
		return 0; /* half a line: read again when there is more */
	r = mqw_walk_send(w, f, MQW_SHARE_CUT, mqw_slice_head(data, MQW_LINE_MAX));
	f->place.offset += MQW_LINE_MAX;
	f->place.skipping = 1;
	return r < 0 ? r : 1;
}

static int read_on(struct mqw_walk *w, struct mqw_walk_file *f, int handle)
{
	int r = 1;

	while (r > 0) {
		ssize_t n =
			w->ops.read(w->ops.ctx, handle, f->place.offset, w->buf, sizeof(w->buf));

		if (n <= 0)
			return (int)n;
		r = take_bytes(w, f, handle, mqw_slice(w->buf, (size_t)n));
		if (r > 0)
			f->got_at = w->now;
	}
	return r;
}

static int read_anew(struct mqw_walk *w, struct mqw_walk_file *f)
{
	int r = mqw_walk_send_text(w, MQW_SHARE_GAP,
		"%s does not hold what it did: it is read from its beginning", f->name);

	return r < 0 ? r : mqw_walk_begin(w, f);
}

static int read_open(struct mqw_walk *w, struct mqw_walk_file *f, int handle, uint64_t size)
{
	bool first = !f->verified, same;
	int r = verify(w, f, handle, &same);

	if (r < 0)
		return r;
	if (first && same && f->place.offset) {
		r = send_head(w, f, handle);
		if (r < 0)
			return r;
	}
	if (same && size < f->place.offset) {
		if (!has_lasted(&f->short_since, w->now))
			return 0;
		same = false;
	}
	f->short_since = 0;
	if (!same) {
		r = read_anew(w, f);
		if (r == 0)
			r = verify(w, f, handle, &same);
	}
	return r < 0 ? r : read_on(w, f, handle);
}

/* What concerns this file alone, as a lock that somebody holds. */
static bool is_of_file(int error)
{
	return error == -ENOENT || error == -EACCES || error == -EPERM || error == -EBUSY ||
		error == -ETXTBSY;
}

static int cannot_read(struct mqw_walk *w, struct mqw_walk_file *f, int error)
{
	if (error == -ENOENT)
		return 0; /* gone since it was listed */
	w->incomplete = true;
	if (f->said)
		return 0;
	f->said = true;
	return mqw_walk_send_text(w, MQW_SHARE_SAY, "has a log that cannot be read: %s (%s)",
		f->name, strerror(-error));
}

int mqw_walk_read(struct mqw_walk *w, struct mqw_walk_file *f)
{
	struct mqw_share_entry now = {.written = f->written};
	uint64_t before = f->place.offset;
	int handle = w->ops.open(w->ops.ctx, f->name, &now), r;

	if (handle < 0)
		return is_of_file(handle) ? cannot_read(w, f, handle) : handle;
	f->said = false;
	if (now.written > f->written)
		f->written = now.written > w->server_now ? w->server_now : now.written;
	f->place.written = f->written;
	r = read_open(w, f, handle, now.size);
	w->ops.close(w->ops.ctx, handle);
	if (r < 0)
		return r;
	f->seen_size = f->size;
	f->seen_written = f->written;
	f->pause = f->place.offset != before ? LOOK_MIN : f->pause * 2;
	if (f->pause < LOOK_MIN || f->pause > LOOK_MAX)
		f->pause = f->pause < LOOK_MIN ? LOOK_MIN : LOOK_MAX;
	f->look_at = w->now + f->pause;
	return 0;
}
