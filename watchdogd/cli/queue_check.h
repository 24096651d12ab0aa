/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan --queue: holds the open messages of a log against a live queue directory. The queue is
 * looked at before the log is read to its end: so what leaves the queue after the look is in the
 * log, whereas what left it after a look that came last would seem to have vanished.
 */
#ifndef MQW_CLI_QUEUE_CHECK_H
#define MQW_CLI_QUEUE_CHECK_H

#include "probes/probe.h"

struct mqw_queue_snapshot;

/*
 * Looks through the queue; now is the clock. 0 and *ret, for mqw_queue_snapshot_free(); or a
 * negative errno: with a line in errors where the queue cannot be read, or where there is none.
 */
int mqw_queue_snapshot_take(const struct mqw_probe_ops *mta, const char *queue, int64_t now,
	struct mqw_queue_snapshot **ret, struct mqw_buffer *errors);
struct mqw_queue_snapshot *mqw_queue_snapshot_free(struct mqw_queue_snapshot *s);

/*
 * Tells the tracker of each open message whether its file was in the queue; not of those that were
 * heard of shortly before the look or later. log_end is the newest stamp of the log: what happened
 * between it and the look is in no log that was read, so that a gap is given when it is more than
 * ten minutes. 0, or -ENOMEM.
 */
int mqw_queue_snapshot_tell(
	const struct mqw_queue_snapshot *s, struct mqw_tracker *t, int64_t log_end);

/*
 * For an MTA whose log has no names of files: tells the tracker of each of them, as of the look, when
 * all that the log has was judged. What waits for longer than the lifetime, and what arrived and is not
 * taken up, is past due then. 0, or -ENOMEM.
 */
int mqw_queue_snapshot_tell_files(
	const struct mqw_queue_snapshot *s, struct mqw_tracker *t, int64_t lifetime);

#endif
