/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mailroot of an Exchange or IIS host, looked at every five minutes. No line of a log names the files
 * there, so that a file that is gone was sent as likely as not, and only what stays says something:
 *
 *   Queue    a file whose recipients the log was silent about for retry_max and slack, or, where it
 *            never named them, a log that told of no try at all for as long: overdue
 *   Pickup   a file that was there ten minutes ago, though what comes there is taken within seconds:
 *            overdue
 *   Badmail  what came since the last look could be neither delivered nor returned: held, and said
 */
#ifndef MQW_DAEMON_MAILROOT_H
#define MQW_DAEMON_MAILROOT_H

#include "watchdogd/base/clock.h"

struct mqw_instance;
struct mqw_mailroot;

/* root (a path or a URL) and reader are borrowed, see mailroot_reader.h. NULL when memory is out. */
struct mqw_mailroot *mqw_mailroot_create(
	struct mqw_instance *i, const char *root, const char *const *reader);
struct mqw_mailroot *mqw_mailroot_free(struct mqw_mailroot *m);

/* Once a second, when the log has been read to its end. */
void mqw_mailroot_tick(struct mqw_mailroot *m, int64_t now);

struct mqw_mailroot_state {
	int64_t looked_at; /* MQW_TIME_NONE: not yet */
	const char *why; /* it cannot be read now; NULL: it can */
	uint64_t queue, pickup, badmail; /* files */
	int64_t queue_oldest, pickup_oldest; /* MQW_TIME_NONE: there is none */
	uint64_t stuck; /* of Queue and Pickup */
};

/* As of the last look; why is borrowed until the next tick. */
struct mqw_mailroot_state mqw_mailroot_state(const struct mqw_mailroot *m);

#endif
