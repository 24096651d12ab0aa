/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows a live log in an event loop: through rotation by renaming, through truncation, through
 * times in which the file is missing, and over restarts from a stored position, where what was
 * rotated meanwhile (and compressed) is read first. Log files do not tell when they grow in a way
 * that works everywhere, so they are looked at: every 20 ms while lines come, ever less often when
 * none do, at last once a second.
 */
#ifndef MQW_PROBES_SOURCE_FILE_TAIL_H
#define MQW_PROBES_SOURCE_FILE_TAIL_H

#include "probes/source/source.h"
#include "watchdogd/base/buffer.h"

struct sd_event;
struct mqw_file_tail;

struct mqw_file_tail_options {
	/*
	 * Of the live log. Or a glob: then each log that matches is followed, and rotated pieces
	 * that match belong to theirs; logs that come later are taken up from their beginning.
	 */
	const char *path;
	const char *position; /* as mqw_file_tail_position() gave it; NULL or "": none */
	bool from_end; /* without a position: begin at the end and not at the beginning */
	unsigned int budget; /* lines given in one go; 0: 2000 */
	int64_t linger; /* a rotated file is read until it was quiet for so long; 0: 3 s */
};

/*
 * Begins to follow; lines come out of the loop, which must outlive it. ops are copied. A file that
 * does not exist is waited for. 0, -EINVAL (a path with a newline), -ENOMEM, or what sd-event says.
 *
 * Gaps are given where lines may be lost: the file of the position is gone, the log was truncated,
 * a compressed piece is damaged.
 */
int mqw_file_tail_open(const struct mqw_file_tail_options *options,
	const struct mqw_source_ops *ops, struct sd_event *loop, struct mqw_file_tail **ret);

/* NULL is taken. Returns NULL. */
struct mqw_file_tail *mqw_file_tail_close(struct mqw_file_tail *t);

/*
 * Gives nothing while it is paused, but for what is left of the go at hand; may be called from within
 * line().
 */
void mqw_file_tail_pause(struct mqw_file_tail *t, bool paused);

/*
 * Whether it has more to read at once. *ret_work grows with everything that is read: when it is
 * busy and that stands still, it gets nowhere.
 */
bool mqw_file_tail_busy(const struct mqw_file_tail *t, uint64_t *ret_work);

/*
 * Adds the position behind the last line given, for the ledger: text of one line a log, to be given
 * back as it is. Within a line() callback that line counts as given. 0 or -ENOMEM.
 */
int mqw_file_tail_position(const struct mqw_file_tail *t, struct mqw_buffer *ret);

#endif
