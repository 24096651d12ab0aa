/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a stream ahead in a thread of its own, so that decompressing a log and reading its lines are
 * done at the same time. The bytes are the same as without it; at most some blocks are ahead.
 */
#ifndef MQW_PROBES_SOURCE_AHEAD_H
#define MQW_PROBES_SOURCE_AHEAD_H

#include "probes/source/stream.h"

struct mqw_ahead;

/*
 * Starts the thread: until mqw_ahead_stop() nothing else may touch the stream, which is borrowed. It
 * should be one whose reading does not block for long, as the end of the thread is waited for. 0,
 * -ENOMEM, or -EAGAIN when no thread is to be had.
 */
int mqw_ahead_start(struct mqw_stream *s, struct mqw_ahead **ret);

/* Ends the thread, perhaps before all is read, and frees a. NULL is taken. Returns NULL. */
struct mqw_ahead *mqw_ahead_stop(struct mqw_ahead *a);

/* As mqw_stream_read(). */
ssize_t mqw_ahead_read(struct mqw_ahead *a, char *buf, size_t len);

/* As mqw_stream_consumed(): of the blocks that were read here. */
uint64_t mqw_ahead_consumed(struct mqw_ahead *a);

#endif
