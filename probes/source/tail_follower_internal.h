/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the follower, and by nothing else. */
#ifndef MQW_PROBES_SOURCE_TAIL_FOLLOWER_INTERNAL_H
#define MQW_PROBES_SOURCE_TAIL_FOLLOWER_INTERNAL_H

#include "probes/source/tail_follower.h"

/* tail_follower.c: "PATH ..." for a person. */
__attribute__((format(printf, 2, 3))) void mqw_follower_say(
	const struct mqw_follower *f, const char *format, ...);
/*
 * Lines may be missing from what is known up to `to`. The other one where the file that was read to
 * its end is there still, in a copy: then nothing before is missing, however late its size was told.
 */
void mqw_follower_gap(const struct mqw_follower *f, int64_t to, const char *why);
void mqw_follower_gap_between(const struct mqw_follower *f, int64_t to, const char *why);
/* Where it is in the file in hand. */
struct mqw_tail_position mqw_follower_place(const struct mqw_follower *f);
/* Gives the last line of a file that gets no more, though it has no end. */
void mqw_follower_finish(struct mqw_follower *f);
/* Says once that there is no file, and why. */
void mqw_follower_missing(struct mqw_follower *f, const struct mqw_follower_now *now, int error);

/* tail_chain.c: from one file to the next. */
/* WAITING: begins to read when the log is there; false when it is not. */
bool mqw_follower_begin(struct mqw_follower *f, const struct mqw_follower_now *now);
/* PIECE: all of it was read, or an error came. */
void mqw_follower_end_piece(
	struct mqw_follower *f, const struct mqw_follower_now *now, bool failed);
/* LIVE: it was written anew; or (shorter) cut off, what is left being what was read. */
void mqw_follower_truncated(
	struct mqw_follower *f, const struct mqw_follower_now *now, bool shorter);
/*
 * LIVE, when an empty log has stirred: whether it had lines in the meantime that are in a copy now.
 * True when that is read next.
 */
bool mqw_follower_filled_twice(struct mqw_follower *f, const struct mqw_follower_now *now);
/* LIVE: from the end of a rotated file to the one that came after it. False: not now. */
bool mqw_follower_leave(struct mqw_follower *f, const struct mqw_follower_now *now);

#endif
