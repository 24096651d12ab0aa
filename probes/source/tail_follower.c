/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/tail_follower.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/stream.h"

/* A file that others still write to so long after its rotation is left nevertheless. */
#define LINGER_MAX (30 * MQW_SECOND)
/* A rename and a new file are apart by less: not worth a word. */
#define MISSING_PATIENCE (5 * MQW_SECOND)
/* What a read costs of the budget, so that a file without newlines ends a turn too. */
#define READ_COST 16

int mqw_follower_init(struct mqw_follower *f, const struct mqw_source_ops *ops, const char *path,
	const struct mqw_tail_position *position, bool from_end)
{
	*f = (struct mqw_follower){.ops = ops, .fd = -1, .from_end = from_end, .fresh = true};
	f->last_read = MQW_TIME_NONE;
	if (position) {
		f->pending = *position;
		f->has_pending = true;
		f->last_read = position->time;
	}
	f->path = strdup(path);
	if (f->path && mqw_lines_init(&f->lines, 0, 0) == 0)
		return 0;
	free(f->path);
	return -ENOMEM;
}

static void close_input(struct mqw_follower *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->stream = mqw_stream_close(f->stream);
}

void mqw_follower_done(struct mqw_follower *f)
{
	close_input(f);
	mqw_tail_pieces_done(&f->pieces);
	mqw_lines_done(&f->lines);
	free(f->path);
	f->path = NULL;
}

__attribute__((format(printf, 2, 3))) static void say(
	const struct mqw_follower *f, const char *format, ...)
{
	struct mqw_buffer b = {0};
	char text[256];
	va_list ap;

	if (!f->ops->say)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	mqw_buffer_add_printable(&b, mqw_slice_of(f->path));
	mqw_buffer_printf(&b, " %s", text);
	if (!b.failed)
		f->ops->say(f->ops->ctx, mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

static void gap(const struct mqw_follower *f, int64_t to, const char *why)
{
	if (f->ops->gap)
		f->ops->gap(f->ops->ctx, f->last_read, to, why);
}

static struct mqw_tail_position place(const struct mqw_follower *f)
{
	return (struct mqw_tail_position){.dev = f->dev,
		.ino = f->ino,
		.offset = f->lines.offset,
		.line = f->lines.number,
		.numbered = f->numbered,
		.skipping = f->lines.skipping,
		.print = f->print,
		.time = f->last_read};
}

void mqw_follower_position(const struct mqw_follower *f, struct mqw_buffer *ret)
{
	struct mqw_tail_position p = f->pending;

	if (f->state != MQW_FOLLOWER_WAITING)
		p = place(f);
	else if (!f->has_pending)
		return;
	/* A log that was empty so far has not been read at any time: a gap would begin here. */
	p.time = p.time < 0 ? 0 : p.time;
	p.path = mqw_slice_of(f->path);
	mqw_tail_position_add(ret, &p);
}

/* Makes an open file the one that is read, from a place in it or from its beginning (NULL). */
static void begin(struct mqw_follower *f, const char *path, const struct stat *st,
	const struct mqw_tail_position *p)
{
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->numbered = p ? p->numbered : true;
	mqw_lines_reset(&f->lines, p ? p->line : 0, p ? p->offset : 0);
	f->lines.skipping = p && p->skipping;
	f->has_pending = f->from_end = false;
	f->rotated_at = f->missing_at = 0;
	f->seen_size = f->seen_mtime = -1;
	f->said_missing = f->said_error = f->gone = f->behind = false;
	f->fresh = true;
	f->source = f->ops->number ? f->ops->number(f->ops->ctx, path) : 0;
}

/* path: as it is called, which is not the log's own name when it was just rotated. */
static void begin_live(
	struct mqw_follower *f, int fd, const char *path, const struct mqw_tail_position *p)
{
	struct stat st = {0};

	close_input(f);
	(void)fstat(fd, &st);
	begin(f, path, &st, p);
	f->fd = fd;
	f->state = MQW_FOLLOWER_LIVE;
	if (mqw_tail_print_fd(fd, MQW_TAIL_PRINT_MAX, &f->print) < 0)
		f->print = (struct mqw_tail_print){0};
}

static bool begin_piece(
	struct mqw_follower *f, struct mqw_tail_piece *piece, const struct mqw_tail_position *p)
{
	struct stat st = {.st_dev = piece->dev, .st_ino = piece->ino};
	int fd = piece->fd, r;

	close_input(f);
	piece->fd = -1;
	if (p)
		f->print = p->print;
	else if (mqw_tail_print_fd(fd, MQW_TAIL_PRINT_MAX, &f->print) < 0)
		f->print = (struct mqw_tail_print){0};
	r = mqw_stream_open_fd(fd, &f->stream);
	if (r < 0)
		return false;
	begin(f, piece->path, &st, p);
	f->to_skip = p ? p->offset : 0;
	f->state = MQW_FOLLOWER_PIECE;
	return true;
}

/*
 * Begins the piece of that number. One that may get more is read as a live file is. now NULL: they
 * are a copy and the live log.
 */
static bool enter_piece(struct mqw_follower *f, size_t at, const struct mqw_tail_position *p,
	const struct mqw_follower_now *now)
{
	struct mqw_tail_piece *piece = &f->pieces.items[at];
	bool live = strcmp(piece->path, f->path) == 0;

	if (!live && !(now && mqw_tail_piece_may_grow(&f->pieces, at, now->clock, now->linger)))
		return begin_piece(f, piece, p);
	begin_live(f, piece->fd, piece->path, p);
	piece->fd = -1;
	mqw_tail_pieces_done(&f->pieces);
	return true;
}

/* Goes on with the next piece, the live log being the last; waits for it when it is not there. */
static void next_piece(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	while (f->pieces.next < f->pieces.count)
		if (enter_piece(f, f->pieces.next++, NULL, now))
			break;
	if (f->pieces.next == f->pieces.count)
		mqw_tail_pieces_done(&f->pieces);
}

/* Takes up the pieces behind a place. already: the place is the end of its file. */
static bool begin_pieces(struct mqw_follower *f, const struct mqw_tail_position *p,
	bool already_read, const struct mqw_follower_now *now)
{
	struct mqw_tail_pieces found;

	if (mqw_tail_pieces_find(f->path, p, &found) <= 0)
		return false;
	mqw_tail_pieces_done(&f->pieces);
	f->pieces = found;
	f->pieces.next = 1;
	if (already_read || !enter_piece(f, 0, p, now))
		next_piece(f, now);
	return f->state != MQW_FOLLOWER_WAITING;
}

static void give(struct mqw_follower *f, const struct mqw_raw_line *line)
{
	const struct mqw_evidence evidence = {
		.source = f->source, .line = f->numbered ? line->number : 0};

	f->fresh = true;
	f->work++;
	if (f->ops->line)
		f->ops->line(f->ops->ctx, line, evidence);
}

/* More bytes into the line cutter: how many, 0 at the end, -errno. */
static ssize_t fill(struct mqw_follower *f)
{
	size_t room, pending = mqw_lines_pending(&f->lines);
	char *to = mqw_lines_room(&f->lines, &room);
	ssize_t n;

	if (f->stream) {
		bool skip = f->to_skip > 0;

		n = mqw_stream_read(f->stream, to, skip && f->to_skip < room ? f->to_skip : room);
		f->work += n > 0 ? (uint64_t)n : 0;
		if (skip && n > 0) {
			f->to_skip -= (uint64_t)n;
			return n;
		}
	} else {
		n = pread(f->fd, to, room, (off_t)(f->lines.offset + pending));
		n = n < 0 ? -errno : n;
		f->work += n > 0 ? (uint64_t)n : 0;
	}
	if (n > 0)
		mqw_lines_filled(&f->lines, (size_t)n);
	return n;
}

enum outcome { OUTCOME_MORE, OUTCOME_END, OUTCOME_ERROR };

/* Gives lines until the input or the budget is at its end. */
static enum outcome pump(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget, int *ret)
{
	struct mqw_raw_line line;

	for (;;) {
		ssize_t n;

		while (*budget && mqw_lines_next(&f->lines, &line)) {
			--*budget;
			give(f, &line);
		}
		if (*budget == 0)
			return OUTCOME_MORE;
		n = fill(f);
		if (n <= 0) {
			*ret = (int)n;
			return n < 0 ? OUTCOME_ERROR : OUTCOME_END;
		}
		*budget -= *budget < READ_COST ? *budget : READ_COST;
		f->last_read = now->clock;
		f->active_at = now->monotonic;
	}
}

/* The last line of a file that gets no more. */
static void finish(struct mqw_follower *f)
{
	struct mqw_raw_line line;

	if (mqw_lines_last(&f->lines, &line))
		give(f, &line);
}

static void piece_end(struct mqw_follower *f, const struct mqw_follower_now *now, int error)
{
	char why[192];

	if (error < 0 || f->to_skip) {
		snprintf(why, sizeof(why), "a rotated piece of the log could not be read: %s",
			error < 0 ? mqw_stream_error(f->stream) : "it is shorter than it was");
		say(f, "has a gap: %s", why);
		gap(f, now->clock, why);
	}
	finish(f);
	/* The live log may not be there yet: then this is where to go on from. */
	f->pending = place(f);
	f->has_pending = true;
	close_input(f);
	f->state = MQW_FOLLOWER_WAITING;
	next_piece(f, now);
}

/* Says once that there is no file, and why. */
static void missing(struct mqw_follower *f, const struct mqw_follower_now *now, int error)
{
	int64_t patience = f->state == MQW_FOLLOWER_WAITING ? 0 : MISSING_PATIENCE;

	if (!f->missing_at)
		f->missing_at = now->monotonic;
	if (f->said_missing || now->monotonic - f->missing_at < patience)
		return;
	f->said_missing = true;
	if (error == ENOENT)
		say(f, "is missing; it is read when it is there");
	else
		say(f, "cannot be read: %s", strerror(error));
}

/* WAITING: begins to read when the log is there. */
static bool wait_over(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_position p = f->pending;
	int fd = mqw_tail_open(f->path);

	if (fd < 0) {
		missing(f, now, -fd);
		return false;
	}
	if (f->said_missing)
		say(f, "is there");
	if (!f->has_pending && f->from_end) {
		p = mqw_tail_position_at_end(fd);
		begin_live(f, fd, f->path, &p);
	} else if (!f->has_pending) {
		begin_live(f, fd, f->path, NULL);
	} else if (mqw_tail_is_file(fd, &p)) {
		begin_live(f, fd, f->path, &p);
	} else if (begin_pieces(f, &p, false, now)) {
		close(fd);
	} else {
		say(f,
			"is not the file that was read last, and that is not beside it: some lines "
			"may never be seen");
		gap(f, now->clock, "the file that was read last is gone");
		begin_live(f, fd, f->path, NULL);
	}
	return true;
}

/* The live file is shorter than what was read of it, or begins otherwise: written anew. */
static bool is_truncated(struct mqw_follower *f, const struct stat *st)
{
	struct mqw_tail_print print;

	if ((uint64_t)st->st_size < f->lines.offset + mqw_lines_pending(&f->lines))
		return true;
	return f->print.len && mqw_tail_print_fd(f->fd, f->print.len, &print) == 0 &&
		(print.len != f->print.len || print.hash != f->print.hash);
}

static void truncated(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_position p = place(f);
	int fd;

	say(f, "was truncated: lines that were written just before may be lost");
	gap(f, now->clock, "the log was truncated");
	/* `copytruncate` leaves a copy, with what was not read yet. */
	if (p.print.len && begin_pieces(f, &p, false, NULL))
		return;
	fd = f->fd;
	f->fd = -1;
	begin_live(f, fd, f->path, NULL);
}

/*
 * As long as nothing is in the new file, whoever writes has not turned to it; unless that one has
 * been rotated away by now as well, with something in it.
 */
static bool is_behind(struct mqw_follower *f, const struct stat *st)
{
	const struct mqw_tail_position p = place(f);

	if (f->behind || !S_ISREG(st->st_mode))
		return f->behind;
	f->behind = st->st_size > 0 ||
		(st->st_ino != f->next_ino && mqw_tail_pieces_between(f->path, &p));
	f->next_ino = st->st_ino;
	return f->behind;
}

/* What became of the path meanwhile; true when it is time to leave the file in hand. */
static bool is_left(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct stat st;
	int64_t quiet;

	if (stat(f->path, &st) < 0) {
		missing(f, now, errno);
		f->gone = true;
		return false;
	}
	f->missing_at = 0;
	f->said_missing = f->gone = false;
	if (st.st_dev == f->dev && st.st_ino == f->ino) {
		f->rotated_at = 0;
		f->behind = false;
		return false;
	}
	if (!f->rotated_at) {
		f->rotated_at = now->monotonic;
		f->next_ino = st.st_ino;
	}
	if (!is_behind(f, &st))
		return false;
	quiet = now->monotonic - (f->active_at > f->rotated_at ? f->active_at : f->rotated_at);
	return quiet >= now->linger || now->monotonic - f->rotated_at >= LINGER_MAX;
}

/* From the end of a rotated file to the one that came after it. */
static void leave(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_position p;
	int fd;

	if (now->monotonic - f->active_at < now->linger)
		gap(f, now->clock + now->linger, "the log was written to long after its rotation");
	finish(f);
	p = place(f);
	if (begin_pieces(f, &p, true, now))
		return;
	/* It was moved elsewhere or deleted, but all of it has been read. */
	fd = mqw_tail_open(f->path);
	if (fd >= 0) {
		begin_live(f, fd, f->path, NULL);
		return;
	}
	close_input(f);
	f->state = MQW_FOLLOWER_WAITING;
	f->has_pending = f->from_end = false;
}

/* LIVE: false when all that is there has been read. */
static bool step_live(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget)
{
	struct stat st;
	int64_t mtime;
	int error;

	if (fstat(f->fd, &st) < 0)
		return false;
	mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if (st.st_size != f->seen_size || mtime != f->seen_mtime) {
		if (is_truncated(f, &st)) {
			truncated(f, now);
			return true;
		}
		switch (pump(f, now, budget, &error)) {
		case OUTCOME_MORE:
			return true;
		case OUTCOME_ERROR:
			if (!f->said_error)
				say(f, "cannot be read: %s", strerror(-error));
			f->said_error = true;
			return false;
		default:
			f->said_error = false;
			f->seen_size = st.st_size;
			f->seen_mtime = mtime;
		}
		if (f->print.len < MQW_TAIL_PRINT_MAX)
			(void)mqw_tail_print_fd(f->fd, MQW_TAIL_PRINT_MAX, &f->print);
	}
	if (!is_left(f, now))
		return false;
	leave(f, now);
	return true;
}

bool mqw_follower_step(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget)
{
	int error = 0;

	while (*budget) {
		/* A change of state costs too, so that no order of things can hold the loop. */
		--*budget;
		switch (f->state) {
		case MQW_FOLLOWER_WAITING:
			if (!wait_over(f, now))
				return false;
			break;
		case MQW_FOLLOWER_PIECE:
			if (pump(f, now, budget, &error) != OUTCOME_MORE)
				piece_end(f, now, error);
			break;
		default:
			if (!step_live(f, now, budget))
				return false;
		}
	}
	return true;
}
