/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the follower of a log gets from one file to the next: at the start, by rotation, by a cut. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/stream.h"
#include "probes/source/tail_follower_internal.h"

/* Logs are looked at once a second at least, when nothing holds the loop. */
#define LOOK_PATIENCE (3 * MQW_SECOND)
/* What is written between the copy and the cut is in neither: see copytruncate in logrotate(8). */
#define COPIED_AND_CUT "the log was truncated after it was copied"

/* Makes a file the one that is read, from a place in it or from its beginning (NULL). */
static void begin(struct mqw_follower *f, const char *path, const struct mqw_tail_position *p)
{
	f->numbered = p ? p->numbered : true;
	mqw_lines_reset(&f->lines, p ? p->line : 0, p ? p->offset : 0);
	f->lines.skipping = p && p->skipping;
	f->has_pending = f->from_end = false;
	f->rotated_at = f->missing_at = 0;
	f->short_at = f->zeros_at = f->ours_at = 0;
	f->passed = false;
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

	(void)fstat(fd, &st);
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->born = mqw_tail_born(fd);
	mqw_tail_input_live(&f->input, fd, p ? &p->print : NULL);
	begin(f, path, p);
	f->state = MQW_FOLLOWER_LIVE;
}

static int begin_piece(
	struct mqw_follower *f, struct mqw_tail_piece *piece, const struct mqw_tail_position *p)
{
	int fd = piece->fd, r;

	piece->fd = -1;
	f->dev = piece->dev;
	f->ino = piece->ino;
	f->born = mqw_tail_born(fd);
	r = mqw_tail_input_piece(&f->input, fd, p ? p->offset : 0, p ? &p->print : &piece->print);
	if (r < 0)
		return r;
	begin(f, piece->path, p);
	f->state = MQW_FOLLOWER_PIECE;
	return 0;
}

static bool is_live(const struct mqw_follower *f, const struct mqw_tail_piece *piece)
{
	return strcmp(piece->path, f->path) == 0;
}

static void lost_piece(struct mqw_follower *f, const struct mqw_follower_now *now, const char *why)
{
	char text[192];

	snprintf(text, sizeof(text), "a rotated piece of the log could not be read: %s", why);
	mqw_follower_say(f, "has a gap: %s", text);
	mqw_follower_gap(f, now->clock, text);
}

/*
 * Begins the piece of that number. One that may get more is read as a live file is, unless the
 * pieces are copies (f->emptied).
 */
static bool enter_piece(struct mqw_follower *f, size_t at, const struct mqw_tail_position *p,
	const struct mqw_follower_now *now)
{
	struct mqw_tail_piece *piece = &f->pieces.items[at];
	bool live = is_live(f, piece);
	int r = piece->error;

	if (r == 0 && !live &&
		(f->emptied || !mqw_tail_piece_may_grow(&f->pieces, at, now->clock, now->linger)))
		r = begin_piece(f, piece, p);
	else if (r == 0) {
		begin_live(f, piece->fd, piece->path, p);
		piece->fd = -1;
		mqw_tail_pieces_done(&f->pieces);
	}
	if (r < 0)
		lost_piece(f, now, strerror(-r));
	return r == 0;
}

/*
 * Time has passed in a piece, and the log may have been rotated or cut since the pieces were looked
 * for: then there are more of them before the live one. False when there are not, and what is in
 * hand is the next.
 */
static bool renew_pieces(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_pieces found;
	int r = mqw_tail_pieces_find(f->path, &f->pending, &found);
	size_t own = r == 1 ? 1 : 0;

	f->aged = false;
	if (r < 0)
		return false;
	/* A renamed log is in hand by its descriptor; a copy that is gone tells of nothing. */
	if (r == 0 && (!f->emptied || found.count <= 1)) {
		mqw_tail_pieces_done(&found);
		return false;
	}
	if (f->emptied && found.count > own + 1)
		mqw_follower_gap_between(f, now->clock, COPIED_AND_CUT);
	mqw_tail_pieces_done(&f->pieces);
	f->pieces = found;
	f->pieces.next = own;
	return true;
}

static bool was_cut_meanwhile(const struct mqw_tail_piece *piece)
{
	struct mqw_tail_position p = {.dev = piece->dev,
		.ino = piece->ino,
		.offset = piece->print.len,
		.print = piece->print};

	return piece->print.len >= MQW_TAIL_PRINT_MIN &&
		mqw_tail_match(piece->fd, &p) != MQW_TAIL_SAME;
}

/* Goes on with the next piece, the live log being the last; waits for it when it is not there. */
static void next_piece(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	while (f->pieces.next < f->pieces.count) {
		size_t at = f->pieces.next;

		if (f->aged && is_live(f, &f->pieces.items[at]) && renew_pieces(f, now))
			continue;
		if (is_live(f, &f->pieces.items[at]) && was_cut_meanwhile(&f->pieces.items[at]))
			mqw_follower_gap_between(f, now->clock, "the log was truncated");
		f->pieces.next++;
		if (enter_piece(f, at, NULL, now))
			break;
	}
	if (f->pieces.next >= f->pieces.count)
		mqw_tail_pieces_done(&f->pieces);
}

/*
 * Leaves the file in hand for pieces, of which the caller gives those found, from number `from` on.
 * p: the place to go on from should none of them be left.
 */
static void take_pieces(struct mqw_follower *f, struct mqw_tail_pieces *found, size_t from,
	const struct mqw_tail_position *p, const struct mqw_follower_now *now)
{
	mqw_tail_input_close(&f->input);
	mqw_tail_pieces_done(&f->pieces);
	f->pieces = *found;
	f->pieces.next = from;
	f->aged = false;
	f->state = MQW_FOLLOWER_WAITING;
	f->has_pending = p != NULL;
	if (p)
		f->pending = *p;
	next_piece(f, now);
}

/* Takes up the pieces from a place on, which is in the first of those found. */
static void take_pieces_from(struct mqw_follower *f, struct mqw_tail_pieces *found,
	const struct mqw_tail_position *p, const struct mqw_follower_now *now)
{
	mqw_tail_input_close(&f->input);
	mqw_tail_pieces_done(&f->pieces);
	f->pieces = *found;
	f->pieces.next = 1;
	f->aged = false;
	f->state = MQW_FOLLOWER_WAITING;
	f->has_pending = true;
	f->pending = *p;
	if (!enter_piece(f, 0, p, now))
		next_piece(f, now);
}

/* There is no way to go on without a gap: what was written since the place was taken is read. */
static void resume_behind_gap(struct mqw_follower *f, struct mqw_tail_pieces *found, int fd,
	const struct mqw_follower_now *now)
{
	mqw_follower_say(f,
		"is not the file that was read last, and that is not beside it: some lines may "
		"never be seen");
	mqw_follower_gap(f, now->clock, "the file that was read last is gone");
	take_pieces(f, found, 0, NULL, now);
	if (f->state == MQW_FOLLOWER_WAITING)
		begin_live(f, fd, f->path, NULL);
	else
		close(fd);
}

/*
 * The file in hand is not beside the log any more. One that is moved to another folder or deleted by
 * its rotation has been read to its end, and the log is the next one; unless there was time for more
 * than one rotation, so that the one in between may be where this one is.
 */
static bool may_miss_one(const struct mqw_follower *f)
{
	return f->passed || !f->ours_at || f->rotated_at - f->ours_at > LOOK_PATIENCE;
}

/* The log is there, and is or is not the file of the stored place. */
static bool resume(struct mqw_follower *f, int fd, const struct mqw_follower_now *now)
{
	const struct mqw_tail_position p = f->pending;
	enum mqw_tail_match match = mqw_tail_match(fd, &p);
	struct mqw_tail_pieces found;
	int r;

	if (match == MQW_TAIL_SAME && p.print.len >= MQW_TAIL_PRINT_MIN) {
		begin_live(f, fd, f->path, &p);
		return true;
	}
	r = mqw_tail_pieces_find(f->path, &p, &found);
	if (r < 0) {
		mqw_follower_missing(f, now, -r);
		close(fd);
		return false;
	}
	/* What is written between the copy and the cut is in neither: see logrotate(8). */
	if (!f->emptied)
		f->cut = p;
	f->emptied = mqw_tail_is_inode(fd, &f->cut);
	if (r == 1) {
		/* Told of already, unless there is another copy of what was written since. */
		if (f->emptied && (!p.cut || found.count > 2))
			mqw_follower_gap_between(f, now->clock, COPIED_AND_CUT);
		take_pieces_from(f, &found, &p, now);
		close(fd);
	} else if (match == MQW_TAIL_SHORT || (match == MQW_TAIL_SAME && found.count <= 1)) {
		mqw_tail_pieces_done(&found);
		begin_live(f, fd, f->path, &p);
	} else {
		resume_behind_gap(f, &found, fd, now);
	}
	return true;
}

bool mqw_follower_begin(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_position p;
	int fd = mqw_tail_open(f->path);

	if (fd < 0) {
		mqw_follower_missing(f, now, -fd);
		return false;
	}
	if (f->said_missing)
		mqw_follower_say(f, "is there");
	f->said_missing = false;
	f->has_before = false;
	if (f->has_pending)
		return resume(f, fd, now);
	f->emptied = false;
	p = mqw_tail_position_at_end(fd);
	begin_live(f, fd, f->path, f->from_end ? &p : NULL);
	return true;
}

/* A file was read to its end, and others were begun after it. */
static void know_all_of(struct mqw_follower *f, int64_t written, const struct mqw_follower_now *now)
{
	if (written > f->known_at && written <= now->clock)
		f->known_at = written;
}

static int64_t written_at(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0
		? MQW_TIME_NONE
		: (int64_t)st.st_mtim.tv_sec * MQW_SECOND + st.st_mtim.tv_nsec / 1000;
}

void mqw_follower_end_piece(struct mqw_follower *f, const struct mqw_follower_now *now, bool failed)
{
	if (failed)
		lost_piece(f, now, mqw_stream_error(f->input.stream));
	else if (f->input.to_skip && !f->emptied)
		lost_piece(f, now, "it is shorter than it was");
	else if (f->input.had_zeros)
		lost_piece(f, now, "there are zeros in it where lines should be");
	mqw_follower_finish(f);
	know_all_of(f, mqw_stream_mtime(f->input.stream), now);
	/* The live log may not be there yet: then this is where to go on from. */
	f->pending = mqw_follower_place(f);
	f->has_pending = true;
	f->before = f->pending;
	f->has_before = true;
	f->aged = true;
	mqw_tail_input_close(&f->input);
	f->state = MQW_FOLLOWER_WAITING;
	next_piece(f, now);
}

void mqw_follower_truncated(
	struct mqw_follower *f, const struct mqw_follower_now *now, bool shorter)
{
	struct mqw_tail_position p = mqw_follower_place(f);
	struct mqw_tail_pieces found;
	bool live;
	int fd, r;

	mqw_follower_say(f, "was truncated: lines that were written just before may be lost");
	/* `copytruncate` leaves a copy, with what was not read yet. */
	r = mqw_tail_pieces_find(f->path, &p, &found);
	if (r == 1)
		mqw_follower_gap_between(f, now->clock, "the log was truncated");
	else
		mqw_follower_gap(f, now->clock, "the log was truncated");
	f->before = f->cut = p;
	f->emptied = true;
	f->has_before = r == 1;
	if (r == 1) {
		take_pieces_from(f, &found, &p, now);
		return;
	}
	live = r == 0 && found.count && found.items[found.count - 1].ino == f->ino;
	/* Emptied by hand first, it may have been copied since. */
	if (live && found.count > 1) {
		take_pieces(f, &found, 0, NULL, now);
		return;
	}
	if (r == 0)
		mqw_tail_pieces_done(&found);
	/* The gap that was told of reaches until now. */
	if (live)
		f->known_at = now->clock;
	fd = f->input.fd;
	f->input.fd = -1;
	p = mqw_tail_position_at_end(fd);
	begin_live(f, fd, f->path, shorter && p.offset ? &p : NULL);
}

bool mqw_follower_filled_twice(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_position p = f->has_before ? f->before : mqw_follower_place(f);
	struct mqw_tail_pieces found;
	size_t own;
	int r;

	if (f->known_at <= 0 || f->lines.offset || f->input.print.len)
		return false;
	p.time = f->known_at;
	r = mqw_tail_pieces_find(f->path, &p, &found);
	if (r < 0)
		return false;
	own = r == 1 ? 1 : 0;
	/* Rotated by its name, it is one of the pieces itself, and its turn comes. */
	if (found.count <= own + 1 || found.items[found.count - 1].ino != f->ino) {
		mqw_tail_pieces_done(&found);
		return false;
	}
	mqw_follower_gap_between(f, now->clock, COPIED_AND_CUT);
	take_pieces(f, &found, own, &p, now);
	return true;
}

bool mqw_follower_leave(struct mqw_follower *f, const struct mqw_follower_now *now)
{
	struct mqw_tail_position p = mqw_follower_place(f);
	struct mqw_tail_pieces found;
	int fd = mqw_tail_open(f->path), r;

	/* Put back from a copy, or on another file system that was mounted: the same, all the same. */
	if (fd >= 0 && p.print.len >= MQW_TAIL_PRINT_MIN &&
		mqw_tail_match(fd, &p) != MQW_TAIL_OTHER) {
		begin_live(f, fd, f->path, &p);
		return true;
	}
	if (fd >= 0)
		close(fd);
	r = mqw_tail_pieces_find(f->path, &p, &found);
	if (r < 0) {
		mqw_follower_missing(f, now, -r);
		return false;
	}
	if (f->zeros_at || f->short_at)
		mqw_follower_gap(f, now->clock, "the end of the log could not be read");
	else if (r == 0 && may_miss_one(f))
		mqw_follower_gap(f, now->clock, "the file that was read last is gone");
	else if (now->monotonic - f->active_at < now->linger)
		mqw_follower_gap(f, now->clock + now->linger,
			"the log was written to long after its rotation");
	f->emptied = false;
	/* Put back from a copy first and rotated then: that one may hold more. */
	if (r == 1 && found.items[0].ino != f->ino) {
		f->has_before = false;
		take_pieces_from(f, &found, &p, now);
		return true;
	}
	mqw_follower_finish(f);
	know_all_of(f, written_at(f->input.fd), now);
	p = mqw_follower_place(f);
	f->before = p;
	f->has_before = true;
	/* Where it was moved elsewhere or deleted, all of it has been read nevertheless. */
	take_pieces(f, &found, r == 1 ? 1 : 0, r == 1 ? &p : NULL, now);
	return true;
}
