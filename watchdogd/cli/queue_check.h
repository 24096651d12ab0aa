/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scan --queue: holds the open messages of a log against a live queue directory. */
#ifndef MQW_CLI_QUEUE_CHECK_H
#define MQW_CLI_QUEUE_CHECK_H

#include "probes/probe.h"

/*
 * Tells the tracker of each open message whether its file is in the queue. log_end is the newest
 * stamp of the log: what happened between it and now is in no log that was read, so that a gap is
 * given when it is more than ten minutes. An unreadable queue adds a line to errors and tells
 * nothing. 0, or -ENOMEM.
 */
int mqw_queue_check(struct mqw_tracker *t, const struct mqw_probe_ops *mta, const char *queue,
	int64_t log_end, int64_t now, struct mqw_buffer *errors);

#endif
