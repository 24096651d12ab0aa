/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting in windows of time, for `count`, `within` and `per` of one rule: one window a key (an
 * instance, a relay, ...). Keys may come from strangers, so that memory is bounded: beyond the caps
 * the window that was added to longest ago is forgotten, which can only make a rule fire later.
 */
#ifndef MQW_RULES_WINDOW_H
#define MQW_RULES_WINDOW_H

#include "watchdogd/base/slice.h"

#define MQW_WINDOW_COUNT_MAX 1000 /* largest count of a rule */
#define MQW_WINDOW_KEYS_MAX 4096 /* of one rule */
#define MQW_WINDOW_ENTRIES_MAX 65536 /* of one rule, over all keys */
#define MQW_WINDOW_KEY_LEN_MAX                                                                     \
	255 /* keys are told apart by their first bytes; ASCII case ignored */

struct mqw_windows;

/* What a window counts: when it was seen last, and what it is told by. */
struct mqw_window_entry {
	int64_t time;
	uint64_t id;
};

/* count from 1 to MQW_WINDOW_COUNT_MAX, within in microseconds. NULL when memory is out. */
struct mqw_windows *mqw_windows_create(size_t count, int64_t within, uint64_t seed);
struct mqw_windows *mqw_windows_free(struct mqw_windows *w);

/*
 * Adds something that happened at a time; the same id counts once, at its latest time. True when
 * count different ids now lie at most within apart (to the microsecond, both ends counted): the
 * window is then empty again. Times may come out of order; one older than the newest by more than
 * within is not counted. False as well when memory is out.
 */
bool mqw_windows_add(struct mqw_windows *w, struct mqw_slice key, uint64_t id, int64_t time);

/* Keys that are kept now. */
size_t mqw_windows_keys(const struct mqw_windows *w);

/*
 * For keeping them elsewhere: calls back with each window, or with those that changed since
 * mqw_windows_kept(). mqw_windows_lost(): one was emptied or forgotten since, so that what is kept
 * is void and all are to be kept anew. A negative value from the callback ends it and is returned.
 */
int mqw_windows_each(const struct mqw_windows *w, bool changed,
	int (*each)(void *ctx, struct mqw_slice key, const struct mqw_window_entry *entries,
		size_t count),
	void *ctx);
/* Whether there is anything to keep since then. */
bool mqw_windows_unkept(const struct mqw_windows *w);
bool mqw_windows_lost(const struct mqw_windows *w);
void mqw_windows_kept(struct mqw_windows *w);

#endif
