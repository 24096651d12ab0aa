/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One live log being followed: the states of file_tail.h, without loop or timer. */
#ifndef MQW_PROBES_SOURCE_TAIL_FOLLOWER_H
#define MQW_PROBES_SOURCE_TAIL_FOLLOWER_H

#include "probes/source/lines.h"
#include "probes/source/source.h"
#include "probes/source/tail_input.h"
#include "probes/source/tail_pieces.h"

enum mqw_follower_state {
	MQW_FOLLOWER_WAITING, /* the log is not there; what comes is read from `pending` on */
	MQW_FOLLOWER_PIECE, /* in a rotated piece */
	MQW_FOLLOWER_LIVE, /* in the live file, or in what was it before a rotation */
	MQW_FOLLOWER_STATE_COUNT
};

struct mqw_follower {
	const struct mqw_source_ops *ops;
	char *path; /* of the live log; owned */
	enum mqw_follower_state state;
	struct mqw_lines lines;

	struct mqw_tail_input input; /* LIVE and PIECE */
	struct mqw_tail_pieces pieces; /* to read after this one */
	bool aged; /* pieces: one was read since they were looked for */
	uint64_t dev, ino;
	int64_t born;
	bool numbered;
	uint32_t source;
	int64_t seen_size, seen_mtime; /* of the live file, when all of it had been read */
	int64_t short_at,
		zeros_at; /* since when it is short, or goes on with zeros; 0: it is not */

	bool has_pending; /* WAITING: a place to go on from */
	struct mqw_tail_position pending; /* its path is unused */
	bool from_end; /* WAITING without a place: begin at the end */
	/* LIVE, as long as nothing is in it: by what was read before more can be told. */
	bool has_before;
	struct mqw_tail_position before;
	bool emptied; /* the log was cut, and what is read, or was last, is from before that */
	struct mqw_tail_position cut; /* emptied: the log's inode, by dev, ino and born */

	int64_t known_at; /* all that was written until then is given; MQW_TIME_NONE: nothing yet */
	int64_t active_at; /* when something was last read; monotonic */
	int64_t rotated_at; /* when the path was found to be another file; 0: it is ours */
	int64_t ours_at; /* when the path was last seen to be the file in hand; 0: never */
	uint64_t next_ino; /* the file at the path then, as long as there is none in between */
	bool passed; /* the path was another file yet since it was found to be another one */
	bool behind; /* there is something to read after the file in hand */
	int64_t behind_at; /* since when */
	int64_t missing_at; /* since when there is no such path; 0: there is */
	bool said_missing, said_error;
	uint64_t work; /* grows with all that is read and given */
	bool fresh; /* lines were given, or it just began: caught_up() is due at the end */
	bool gone; /* the file is missing, and all of it was read */
};

/* Of the loop's clocks: microseconds. */
struct mqw_follower_now {
	int64_t clock; /* real time */
	int64_t monotonic; /* never 0 */
	int64_t linger;
};

/* position may be NULL; ops are borrowed. 0 or -ENOMEM; on failure nothing is to be done. */
int mqw_follower_init(struct mqw_follower *f, const struct mqw_source_ops *ops, const char *path,
	const struct mqw_tail_position *position, bool from_end);
void mqw_follower_done(struct mqw_follower *f);

/*
 * Reads on, giving at most *budget lines, which is lowered by what was given (and by the work of
 * reading). True when there is more to do at once; false when all is read for now.
 */
bool mqw_follower_step(
	struct mqw_follower *f, const struct mqw_follower_now *now, unsigned int *budget);

/* Adds where it is; nothing while there is no place yet. */
void mqw_follower_position(const struct mqw_follower *f, struct mqw_buffer *ret);

#endif
