/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists the directories of a queue with all that is in them, a piece at a time: a queue may hold a million
 * files, and the loop has other things to do meanwhile. What is made in a directory while it is read may
 * be met or not.
 */
#ifndef MQW_PROBES_SOURCE_LISTING_H
#define MQW_PROBES_SOURCE_LISTING_H

#include <dirent.h>

#include "watchdogd/base/buffer.h"

/* hash_queue_depth is at most 16, in practice 1 or 2; stops loops. */
#define MQW_LISTING_DEPTH 8

struct stat;

/* Paths live until the call returns. */
struct mqw_listing_ops {
	/*
	 * Before a directory is read; path from the root of the file system, with a slash behind. Who
	 * watches it from now on misses nothing, and sees some twice.
	 */
	void (*directory)(void *ctx, const char *path);
	/* A name that is no directory, as lstat(2) shows it; path from the queue's root. */
	void (*name)(void *ctx, struct mqw_slice path, const struct stat *st);
};

/* Zero-initialise, then set the first four, which are borrowed. */
struct mqw_listing {
	const struct mqw_listing_ops *ops;
	void *ctx;
	const char *root; /* of the queue, without a slash behind */
	const char *const *patterns; /* what is listed below it, see places.h */
	struct mqw_buffer directories; /* still to list, each with a NUL behind */
	size_t next; /* the next of them */
	struct mqw_buffer path; /* of what is at hand */
	struct {
		DIR *dir;
		size_t len; /* of its path */
	} open[MQW_LISTING_DEPTH];
	size_t depth; /* so many are open */
	bool any; /* one could be listed */
	bool incomplete; /* something could not be seen */
};

/* Begins with all that the patterns name, or with one directory; path from the queue's root. */
void mqw_listing_begin(struct mqw_listing *l);
void mqw_listing_begin_at(struct mqw_listing *l, struct mqw_slice directory);

/* Gives at most so many names; false when there are no more. */
bool mqw_listing_step(struct mqw_listing *l, size_t budget);

/* Gives it up wherever it is, and frees all. */
void mqw_listing_done(struct mqw_listing *l);

#endif
