/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the rotated piece of a log that a position belongs to, and the pieces that came after it,
 * all opened at once so that a rotation that happens meanwhile cannot mix them up.
 */
#ifndef MQW_PROBES_SOURCE_TAIL_PIECES_H
#define MQW_PROBES_SOURCE_TAIL_PIECES_H

#include "probes/source/tail_position.h"

struct mqw_tail_piece {
	char *path; /* owned; as it was called when it was opened */
	int fd; /* owned, at its beginning; -1: taken, or it could not be opened */
	int error; /* -errno where it could not be opened; 0 otherwise */
	uint64_t dev, ino;
	struct mqw_tail_print print; /* of what it began with when it was opened */
};

struct mqw_tail_pieces {
	struct mqw_tail_piece *items; /* oldest first; owned */
	size_t count, next; /* next: the first that is not begun yet, for the caller */
};

enum mqw_tail_match {
	MQW_TAIL_OTHER,
	MQW_TAIL_SAME,
	MQW_TAIL_SHORT, /* the same, as far as can be told, and shorter than the position is */
};

/* Whether an open plain file is the one that a position was taken in. */
enum mqw_tail_match mqw_tail_match(int fd, const struct mqw_tail_position *p);

/* Whether an open file is the position's by its inode, whatever it holds now. */
bool mqw_tail_is_inode(int fd, const struct mqw_tail_position *p);

/*
 * 1: items[0] is the position's file, the last one is the live log itself if it is there.
 * 0: no piece is. In ret is what was written to after the position's time, the live log too.
 * Or -ENOMEM, -EMFILE and the like, with nothing in ret. The live log itself is not compared with
 * the position. A piece that cannot be opened is in ret as one.
 */
int mqw_tail_pieces_find(
	const char *live, const struct mqw_tail_position *p, struct mqw_tail_pieces *ret);

/* Whether a file that holds something lies between the position's and the live log. */
bool mqw_tail_pieces_between(const char *live, const struct mqw_tail_position *p);

/* Opens a regular file for reading. Its descriptor, -EINVAL for another kind, or what open(2) says. */
int mqw_tail_open(const char *path);

/*
 * Whether more may be written to a piece: it is plain, and was written to or renamed less than span
 * microseconds before now, or nothing is in any piece after it, so that whoever writes has not turned
 * to one of them.
 */
bool mqw_tail_piece_may_grow(const struct mqw_tail_pieces *p, size_t at, int64_t now, int64_t span);

/* Closes what is left and empties it. */
void mqw_tail_pieces_done(struct mqw_tail_pieces *p);

#endif
