/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a share's files is read, and when: the reader of a share without the share itself, which
 * is behind a few calls. One pass lists the folder and reads what is new in it; what comes of it
 * goes to the daemon as frames of probes/source/share_frame.h.
 *
 * Windows tells sizes and times late while a log is open for writing, so a log that may be written
 * to is read to its end whatever its size is said to be. Lines are sent when they are whole.
 */
#ifndef MQW_SHARE_WALK_H
#define MQW_SHARE_WALK_H

#include <sys/types.h>

#include "probes/source/share_frame.h"

struct mqw_share_entry {
	struct mqw_slice name;
	uint64_t size;
	int64_t written; /* by the server's clock; 0 unknown */
};

typedef void mqw_share_each(void *walk, const struct mqw_share_entry *entry);

/* How the share is reached. Each returns a negative errno when it cannot. */
struct mqw_share_ops {
	/* The files in the folder, no folders. */
	int (*list)(void *ctx, mqw_share_each *each, void *walk);
	/* A handle, and how large the file is and when it was written to: not late as in the list. */
	int (*open)(void *ctx, const char *name, struct mqw_share_entry *ret);
	/* How many bytes; fewer than size only at the end. */
	ssize_t (*read)(void *ctx, int handle, uint64_t offset, char *buf, size_t size);
	void (*close)(void *ctx, int handle);
	int (*send)(void *ctx, struct mqw_share_frame *f, struct mqw_slice payload);
	void *ctx;
};

struct mqw_walk;

/*
 * pattern: of the names, without regard to case, as Windows compares them; empty: all. ops are
 * copied. NULL when memory is out.
 */
struct mqw_walk *mqw_walk_create(struct mqw_slice pattern, const struct mqw_share_ops *ops);
struct mqw_walk *mqw_walk_free(struct mqw_walk *w);

/* Takes the places of a position (lines of tail_position.h), in their order. 0 or -ENOMEM. */
int mqw_walk_load(struct mqw_walk *w, struct mqw_slice position);

/*
 * One pass. now: microseconds of a clock that only goes on; server_now: the server's own time.
 * 0; or the negative errno that ended it, of the share or of sending.
 */
int mqw_walk_pass(struct mqw_walk *w, int64_t now, int64_t server_now, int64_t ahead);

#endif
