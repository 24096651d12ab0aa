/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's side: asks the helper without ever blocking the event loop. Each question has a
 * connection and a deadline of its own.
 */
#ifndef MQW_HELPER_CLIENT_H
#define MQW_HELPER_CLIENT_H

#include <systemd/sd-event.h>

#include "watchdogd/helper/wire.h"

#define MQW_HELPER_CALLS_MAX 16
/* Deadlines that leave the helper its own: a restart waits 90 s for the job. */
#define MQW_HELPER_TIMEOUT 90000000
#define MQW_HELPER_TIMEOUT_RESTART 120000000

struct mqw_helper_client;

/*
 * Called once for each call that was taken, never from inside mqw_helper_call(). error 0: a is the
 * checked answer, borrowed until the return. Otherwise a is NULL and error a negative errno:
 * -ETIMEDOUT, -ECONNRESET (the helper ended without an answer), -EPROTONOSUPPORT, -EBADMSG. After
 * an error nobody knows whether the thing was done. New calls may be made from here, and the
 * client may be freed.
 */
typedef void mqw_helper_done(void *ctx, int error, const struct mqw_helper_answer *a);

/* event is referenced, path copied. NULL when memory is out. */
struct mqw_helper_client *mqw_helper_client_create(sd_event *event, const char *path);

/* Gives up all calls under way: their callbacks are not called. */
struct mqw_helper_client *mqw_helper_client_free(struct mqw_helper_client *c);

/* How many calls are under way. */
size_t mqw_helper_client_pending(const struct mqw_helper_client *c);

/* How many calls were sent, and how many of them the helper refused. */
struct mqw_helper_tally {
	uint64_t asked, refused;
};
struct mqw_helper_tally mqw_helper_client_tally(const struct mqw_helper_client *c);

/*
 * Sends a request; instance and queue_id "" where the op has none; timeout in microseconds. 0 when
 * it was taken; -EINVAL for a text that no request holds, -EBUSY at the limit of calls, -EAGAIN
 * when the helper's backlog is full, -ENOENT or -ECONNREFUSED when there is no helper, -EPIPE when
 * it refused the connection, -ENOMEM: then nothing was sent, and the callback is not called.
 */
int mqw_helper_call(struct mqw_helper_client *c, enum mqw_helper_op op, const char *instance,
	const char *queue_id, int64_t timeout, mqw_helper_done *done, void *ctx);

#endif
