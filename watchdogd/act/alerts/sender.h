/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends notices from the event loop without waiting: each in a child process, which libcurl, the
 * resolver or a command may hold up as long as they like; at its limit it is killed.
 */
#ifndef MQW_ACT_ALERTS_SENDER_H
#define MQW_ACT_ALERTS_SENDER_H

#include <systemd/sd-event.h>

#include "watchdogd/act/alerts/deliver.h"

struct mqw_sender;

/*
 * done() is called from the loop, once for each notice that was begun. SIGCHLD must be blocked, as
 * sd-event wants it. NULL when memory is out.
 */
struct mqw_sender *mqw_sender_create(sd_event *event,
	void (*done)(void *ctx, int64_t id, const struct mqw_delivery *d), void *ctx);

/* Begins to send; id comes back in done(). Everything is borrowed for the call. 0 or -errno. */
int mqw_sender_send(
	struct mqw_sender *s, int64_t id, const struct mqw_alert_config *c, const json_t *notice);

/*
 * Waits a little for what is under way, so that what is accepted now is not sent again after a
 * restart, calls done() for it, and ends the rest. A command that still runs then is ended by
 * whoever ends the service: its process group is not known here.
 */
struct mqw_sender *mqw_sender_free(struct mqw_sender *s);

#endif
