/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a live tracker knows of its log beside the messages, and has to know again after a restart:
 * the gaps, and how many deferrals of each hour had a sequel. Without them silence that proves
 * nothing would turn into trouble. Whoever keeps it puts it away together with the messages.
 *
 * It is forgotten by one rule: what ended before the last line of every message that is followed,
 * and longer ago than a message lives in the queue, can touch no verdict any more. The second half
 * is for those that are found in the queue later, without a line.
 */
#ifndef MQW_TRACK_MEMORY_H
#define MQW_TRACK_MEMORY_H

#include "watchdogd/track/tracker.h"

/* A span for which the log may lack lines; its ends belong to it. */
struct mqw_gap {
	int64_t from, to;
	const char *why; /* borrowed until the gap is joined with another, or forgotten */
};

struct mqw_hour {
	int64_t hour; /* since 1970 */
	uint32_t deferred; /* messages that had a deferral in it, and */
	uint32_t followed; /* of these, such as were heard of again later */
};

/* What has to be put away since the last mqw_tracker_memory_kept(). */
struct mqw_memory_change {
	bool gaps; /* the list of gaps is another one */
	bool hours; /* some hours have other counts: those that mqw_tracker_changed_hour() gives */
	int64_t hours_from; /* earlier hours are forgotten; INT64_MIN: none were */
};
struct mqw_memory_change mqw_tracker_memory_change(const struct mqw_tracker *t);
void mqw_tracker_memory_kept(struct mqw_tracker *t);

/* The gap of this number, in order of their ends; NULL: there are no more. */
const struct mqw_gap *mqw_tracker_gap(const struct mqw_tracker *t, size_t number);
/* The first hour from *cursor on (start with 0) that changed; NULL: no more. */
const struct mqw_hour *mqw_tracker_changed_hour(const struct mqw_tracker *t, size_t *cursor);

/* Back into a tracker before its first event; nobody is told of them again. 0 or -ENOMEM. */
int mqw_tracker_restore_gap(struct mqw_tracker *t, const struct mqw_gap *gap);
int mqw_tracker_restore_hour(struct mqw_tracker *t, const struct mqw_hour *hour);

#endif
