/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directories in which an MTA keeps its queue, by their patterns relative to the queue's root:
 * "deferred" is that one, "" is the root itself, and a first component "*" stands for each directory of
 * the root, as they are found at the time.
 */
#ifndef MQW_PROBES_SOURCE_PLACES_H
#define MQW_PROBES_SOURCE_PLACES_H

#include "watchdogd/base/slice.h"

/*
 * Calls each for every directory. One without a "*" in its pattern need not be there; of the others
 * only those are told that are. root is a descriptor of the root, patterns are NULL-terminated. 0; what
 * each returned, if that is not 0, which ends it; or -errno when the root cannot be listed.
 */
int mqw_places_each(int root, const char *const *patterns,
	int (*each)(void *ctx, const char *directory), void *ctx);

/* Whether a directory, relative to the root, is one of them, or one above or below such a one. */
bool mqw_places_lead(const char *const *patterns, struct mqw_slice directory);

#endif
