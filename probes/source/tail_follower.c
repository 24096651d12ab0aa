/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/tail_follower_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that others still write to so long after its rotation is left nevertheless. */
#define LINGER_MAX (30 * MQW_SECOND)
/* So old a size may be that a network file system tells: acregmax of nfs(5). */
#define SIZE_LAG MQW_MINUTE
#define FIRST_BYTES 1024 /* of a log, in which its first line is looked for */
/* A rename and a new file are apart by less: not worth a word. */
#define MISSING_PATIENCE (5 * MQW_SECOND)
/* What a read costs of the budget, so that a file without newlines ends a turn too. */
#define READ_COST 16
/*
 * A file that is shorter than what was read of it, with the same beginning, may be an attribute
 * that a network file system tells late: so many times `linger` it is believed to be one.
 */
#define SHORT_PATIENCE 10
/* The kernel stamps files by its tick, which is so far behind the clock. */
#define TICK (10 * MQW_SECOND / 1000)

int mqw_follower_init(struct mqw_follower *f, const struct mqw_source_ops *ops, const char *path,
	const struct mqw_tail_position *position, bool from_end)
{
	*f = (struct mqw_follower){
		.ops = ops, .input = {.fd = -1}, .from_end = from_end, .fresh = true};
	f->known_at = MQW_TIME_NONE;
	if (position) {
		f->pending = *position;
		f->has_pending = true;
		f->known_at = position->time;
	}
	f->path = strdup(path);
	if (f->path && mqw_lines_init(&f->lines, 0, 0) == 0)
		return 0;
	free(f->path);
	return -ENOMEM;
}

void mqw_follower_done(struct mqw_follower *f)
{
	mqw_tail_input_close(&f->input);
	mqw_tail_pieces_done(&f->pieces);
	mqw_lines_done(&f->lines);
	free(f->path);
	f->path = NULL;
}

void mqw_follower_say(const struct mqw_follower *f, const char *format, ...)
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

/*
 * What the log holds now was written after it was cut, so that its first line tells until when at
 * most lines went missing. MQW_TIME_NONE when it does not tell.
 */
static int64_t cut_before(const struct mqw_follower *f)
{
	int fd = f->ops->stamp ? mqw_tail_open(f->path) : -1;
	struct mqw_slice head, line;
	char bytes[FIRST_BYTES];
	ssize_t n;

	if (fd < 0)
		return MQW_TIME_NONE;
	n = pread(fd, bytes, sizeof(bytes), 0);
	close(fd);
	head = mqw_slice(bytes, n < 0 ? 0 : (size_t)n);
	return mqw_slice_take_until(&head, '\n', &line) ? f->ops->stamp(f->ops->ctx, line)
							: MQW_TIME_NONE;
}

static void tell_gap(const struct mqw_follower *f, int64_t from, int64_t to, const char *why)
{
	/* A clock that was set back meanwhile. */
	if (from > to)
		from = to;
	if (f->ops->gap)
		f->ops->gap(f->ops->ctx, from, to, why);
}

void mqw_follower_gap(const struct mqw_follower *f, int64_t to, const char *why)
{
	/* What looked like the end may not have been it. */
	tell_gap(f, f->known_at == MQW_TIME_NONE ? f->known_at : f->known_at - SIZE_LAG, to, why);
}

void mqw_follower_gap_between(const struct mqw_follower *f, int64_t to, const char *why)
{
	int64_t cut = cut_before(f);

	/*
	 * One that is older than what was read waited to be written, or is of a clock that is slow: what
	 * went missing was written before it, and has older stamps still.
	 */
	if (cut != MQW_TIME_NONE && cut < f->known_at)
		cut = f->known_at;
	tell_gap(f, f->known_at, cut != MQW_TIME_NONE && cut < to ? cut : to, why);
}

struct mqw_tail_position mqw_follower_place(const struct mqw_follower *f)
{
	return (struct mqw_tail_position){.dev = f->dev,
		.ino = f->ino,
		.born = f->born,
		.offset = f->lines.offset,
		.line = f->lines.number,
		.numbered = f->numbered,
		.skipping = f->lines.skipping,
		.print = f->input.print,
		.time = f->known_at};
}

/* What the ledger is to keep; false while there is no place yet. */
static bool position_of(const struct mqw_follower *f, struct mqw_tail_position *ret)
{
	bool live = f->state == MQW_FOLLOWER_LIVE;

	if (f->state == MQW_FOLLOWER_WAITING && !f->has_pending)
		return false;
	*ret = f->state == MQW_FOLLOWER_WAITING ? f->pending : mqw_follower_place(f);
	if (live && (ret->offset || f->input.print.len >= MQW_TAIL_PRINT_MIN || !f->has_before))
		return true;
	if (live) {
		*ret = f->before;
		ret->time = f->known_at;
		ret->cut = f->emptied;
	}
	/* A copy is read, and whoever goes on with it has to see that its log is cut again. */
	if (f->emptied) {
		ret->dev = f->cut.dev;
		ret->ino = f->cut.ino;
		ret->born = f->cut.born;
	}
	return true;
}

void mqw_follower_position(const struct mqw_follower *f, struct mqw_buffer *ret)
{
	struct mqw_tail_position p;

	if (!position_of(f, &p))
		return;
	/* Of a log that was never read to its end: a gap would begin with it. */
	p.time = p.time < 0 ? 0 : p.time;
	p.path = mqw_slice_of(f->path);
	mqw_tail_position_add(ret, &p);
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

/* Gives lines until the input or the budget (BYTES) is at its end. */
static enum mqw_tail_fill pump(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget)
{
	struct mqw_raw_line line;
	enum mqw_tail_fill got;
	uint64_t len;

	for (;;) {
		while (*budget && mqw_lines_next(&f->lines, &line)) {
			--*budget;
			give(f, &line);
		}
		if (*budget == 0)
			return MQW_TAIL_FILL_BYTES;
		got = mqw_tail_input_fill(&f->input, &f->lines, &len);
		f->work += len;
		if (got != MQW_TAIL_FILL_BYTES)
			return got;
		*budget -= *budget < READ_COST ? *budget : READ_COST;
		f->active_at = now->monotonic;
		f->short_at = f->zeros_at = 0;
	}
}

void mqw_follower_finish(struct mqw_follower *f)
{
	struct mqw_raw_line line;

	/* What zeros cut off is no line: the rest of it may say the contrary. */
	if (!f->zeros_at && mqw_lines_last(&f->lines, &line))
		give(f, &line);
}

void mqw_follower_missing(struct mqw_follower *f, const struct mqw_follower_now *now, int error)
{
	int64_t patience = f->state == MQW_FOLLOWER_WAITING ? 0 : MISSING_PATIENCE;

	if (!f->missing_at)
		f->missing_at = now->monotonic;
	if (f->said_missing || now->monotonic - f->missing_at < patience)
		return;
	f->said_missing = true;
	if (error == ENOENT)
		mqw_follower_say(f, "is missing; it is read when it is there");
	else
		mqw_follower_say(f, "cannot be read: %s", strerror(error));
}

/*
 * As long as nothing is in the new file, whoever writes has not turned to it; unless that one has
 * been rotated away by now as well, with something in it.
 */
static void look_behind(struct mqw_follower *f, const struct stat *st)
{
	const struct mqw_tail_position p = mqw_follower_place(f);

	if (f->behind || !S_ISREG(st->st_mode))
		return;
	f->behind = st->st_size > 0 ||
		(st->st_ino != f->next_ino && mqw_tail_pieces_between(f->path, &p));
}

/* What became of the path meanwhile; true when it is time to leave the file in hand. */
static bool is_left(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct stat st;
	int64_t quiet;

	if (stat(f->path, &st) < 0) {
		mqw_follower_missing(f, now, errno);
		f->gone = true;
		return false;
	}
	f->missing_at = 0;
	f->said_missing = f->gone = false;
	if (st.st_dev == f->dev && st.st_ino == f->ino) {
		f->rotated_at = 0;
		f->ours_at = now->monotonic;
		f->behind = f->passed = false;
		return false;
	}
	if (!f->rotated_at) {
		f->rotated_at = now->monotonic;
		f->next_ino = st.st_ino;
	}
	f->passed = f->passed || st.st_ino != f->next_ino;
	if (!f->behind)
		f->behind_at = now->monotonic;
	look_behind(f, &st);
	f->next_ino = st.st_ino;
	if (!f->behind)
		return false;
	quiet = now->monotonic - (f->active_at > f->rotated_at ? f->active_at : f->rotated_at);
	return quiet >= now->linger || now->monotonic - f->behind_at >= LINGER_MAX;
}

/* Whether something has lasted for so long by now; the first time it begins. */
static bool has_lasted(int64_t *since, int64_t span, const struct mqw_follower_now *now)
{
	if (!*since)
		*since = now->monotonic;
	return now->monotonic - *since >= span;
}

/*
 * Zeros: a network file system has not got those bytes yet, or will never. They are passed over
 * when there is something behind them and they stay. True when something was done.
 */
static bool pass_zeros(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	int64_t to;

	if (!has_lasted(&f->zeros_at, now->linger, now))
		return false;
	to = mqw_tail_input_behind_zeros(&f->input, &f->lines);
	f->work++;
	if (to < 0)
		return to == -EAGAIN;
	mqw_follower_say(f, "has zeros where lines should be: what was there is not to be had");
	mqw_follower_gap(f, now->clock, "there are zeros in the log where lines should be");
	mqw_lines_reset(&f->lines, f->lines.number, (uint64_t)to);
	f->zeros_at = 0;
	return true;
}

static bool cut_short(struct mqw_follower *f, const struct mqw_follower_now *now, int64_t size)
{
	if (!has_lasted(&f->short_at, (size ? SHORT_PATIENCE : 1) * now->linger, now))
		return false;
	mqw_follower_truncated(f, now, true);
	return true;
}

static void say_error(struct mqw_follower *f, int error)
{
	if (error && !f->said_error)
		mqw_follower_say(f, "cannot be read: %s", strerror(-error));
	f->said_error = error != 0;
}

/* Reads what is new in the live file, as it was when st was taken; true when there is more to do. */
static bool read_live(struct mqw_follower *f, const struct stat *st, int64_t mtime,
	const struct mqw_follower_now *now, unsigned int *budget)
{
	f->seen_size = f->seen_mtime = -1;
	if (mqw_follower_filled_twice(f, now))
		return true;
	switch (pump(f, now, budget)) {
	case MQW_TAIL_FILL_BYTES:
		return true;
	case MQW_TAIL_FILL_REWRITTEN:
		mqw_follower_truncated(f, now, false);
		return true;
	case MQW_TAIL_FILL_SHORT:
		return cut_short(f, now, st->st_size);
	case MQW_TAIL_FILL_ZEROS:
		return pass_zeros(f, now);
	case MQW_TAIL_FILL_ERROR:
		say_error(f, f->input.error);
		return false;
	case MQW_TAIL_FILL_END:
		break;
	}
	say_error(f, 0);
	f->short_at = f->zeros_at = 0;
	f->seen_size = st->st_size;
	f->seen_mtime = mtime;
	return false;
}

/* A file's own stamp may be a little ahead; much, and the clock was set back. */
static void know_until(struct mqw_follower *f, int64_t time)
{
	if (time > f->known_at || f->known_at - time > MQW_SECOND)
		f->known_at = time;
}

/* LIVE: false when all that is there has been read. */
static bool step_live(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget)
{
	struct stat st;
	int64_t mtime;

	if (fstat(f->input.fd, &st) < 0)
		return false;
	mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if ((st.st_size != f->seen_size || mtime != f->seen_mtime) &&
		read_live(f, &st, mtime, now, budget))
		return true;
	if (is_left(f, now))
		return mqw_follower_leave(f, now);
	/* All of it is given, and it is what the log's writer writes to. */
	if (f->seen_size >= 0 && !mqw_lines_pending(&f->lines) && !f->rotated_at && !f->gone)
		know_until(f, now->clock - TICK);
	return false;
}

bool mqw_follower_step(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget)
{
	enum mqw_tail_fill got;

	while (*budget) {
		/* A change of state costs too, so that no order of things can hold the loop. */
		--*budget;
		switch (f->state) {
		case MQW_FOLLOWER_WAITING:
			if (!mqw_follower_begin(f, now))
				return false;
			break;
		case MQW_FOLLOWER_PIECE:
			got = pump(f, now, budget);
			if (got != MQW_TAIL_FILL_BYTES)
				mqw_follower_end_piece(f, now, got == MQW_TAIL_FILL_ERROR);
			break;
		default:
			if (!step_live(f, now, budget))
				return false;
		}
	}
	return true;
}
