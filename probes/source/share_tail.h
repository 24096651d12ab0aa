/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows logs on another host's share in an event loop, as file_tail does with those of this host.
 * The share is read by a process of its own, which is killed when it does not answer, and started
 * again; so whatever the server does, the loop goes on. Windows names its logs by day or hour and
 * renames none, so a log is known by its name, and by its first bytes.
 */
#ifndef MQW_PROBES_SOURCE_SHARE_TAIL_H
#define MQW_PROBES_SOURCE_SHARE_TAIL_H

#include "probes/source/source.h"
#include "watchdogd/base/buffer.h"

struct sd_event;
struct mqw_share_tail;

struct mqw_share_tail_options {
	const char *url; /* as base/share_url.h has it */
	/* The reader and its further arguments, which come before the URL. NULL-terminated. */
	const char *const *reader;
	const char *position; /* as mqw_share_tail_position() gave it; NULL or "": none */
	int64_t limit; /* for which the reader may be silent; 0: 45 s */
	int64_t pause; /* before it is started again, doubled each time up to 8 times; 0: 4 s */
};

/*
 * Begins to follow; lines come out of the loop, which must outlive it. ops are copied. 0, -EINVAL
 * for a URL or a position that makes no sense, -ENOMEM, or what sd-event says.
 *
 * A share that cannot be read is said once, with why, and again when it is read once more. Gaps are
 * given where the log that was written to last is gone, or holds something else than it did.
 */
int mqw_share_tail_open(const struct mqw_share_tail_options *options,
	const struct mqw_source_ops *ops, struct sd_event *loop, struct mqw_share_tail **ret);

/* NULL is taken. Returns NULL. */
struct mqw_share_tail *mqw_share_tail_close(struct mqw_share_tail *t);

/* As mqw_file_tail_pause(); what the server sends meanwhile waits in the reader. */
void mqw_share_tail_pause(struct mqw_share_tail *t, bool paused);

/*
 * Until when, by our clock, all that was written is known to have been given: while the share is out
 * of reach it stands still, and silence after it proves nothing. MQW_TIME_NONE: never yet.
 */
int64_t mqw_share_tail_known(const struct mqw_share_tail *t);

/* By how many microseconds the server's clock is ahead of ours; 0 where that is not known. */
int64_t mqw_share_tail_ahead(const struct mqw_share_tail *t);

/* As mqw_file_tail_position(). */
int mqw_share_tail_position(const struct mqw_share_tail *t, struct mqw_buffer *ret);

#endif
