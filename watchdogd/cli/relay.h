/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sink whose events are taken by another thread: while one reads lines, the other follows the
 * messages. They go over in batches, in their order, with copies of their texts, so that the outcome
 * is the same as without it, byte for byte.
 */
#ifndef MQW_CLI_RELAY_H
#define MQW_CLI_RELAY_H

#include "watchdogd/track/event.h"

struct mqw_relay;

/*
 * Starts the thread: from now on `to` and time() are called by it alone. time: the log has reached
 * that time. 0, -ENOMEM, or -EAGAIN when no thread is to be had.
 */
int mqw_relay_start(const struct mqw_sink *to, void (*time)(void *ctx, int64_t now), void *time_ctx,
	struct mqw_relay **ret);

/* For struct mqw_sink: ctx is the relay. 0, or what `to` returned for an earlier event. */
int mqw_relay_emit(void *relay, const struct mqw_event *e);
/* The log has reached this time. */
void mqw_relay_time(void *relay, int64_t now);

/* Waits until all is taken: until the next event the thread does nothing. What `to` returned, or 0. */
int mqw_relay_drain(struct mqw_relay *r);

/* Drains it, ends the thread, and frees r. NULL in: 0. Returns what mqw_relay_drain() does. */
int mqw_relay_stop(struct mqw_relay *r);

#endif
