/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's answers over its Unix socket: HTTP and JSON, from the daemon's own event loop.
 *   GET /v1/status                                  one object
 *   GET /v1/messages?verdict=WORD|any&instance=&limit=   {"messages":[...]}; default: in trouble
 *   GET /v1/messages/ID                             {"messages":[...],"actions":[...]}
 * Errors are {"error":"one sentence"} with status 400, 404, 405 or 500.
 */
#ifndef MQW_API_API_H
#define MQW_API_API_H

#include <jansson.h>
#include <systemd/sd-event.h>

#include "watchdogd/track/verdict.h"

struct mqw_api;

#define MQW_API_LIMIT 1000 /* messages in one list where the query names no limit */

struct mqw_api_query {
	enum mqw_verdict verdict; /* COUNT: all that are in trouble; NONE: any */
	struct mqw_slice instance; /* empty: all */
	uint64_t limit;
};

/*
 * Each returns a new reference. NULL from show: there is no such message; from list with an
 * instance: there is no such instance; otherwise memory is out.
 */
struct mqw_api_ops {
	json_t *(*status)(void *ctx);
	json_t *(*list)(void *ctx, const struct mqw_api_query *q);
	json_t *(*show)(void *ctx, struct mqw_slice queue_id);
	void *ctx;
};

/*
 * Listens at path, mode 0660. A socket that a dead daemon left behind is replaced; -EADDRINUSE when
 * somebody answers there, or another negative errno. ops are copied.
 */
int mqw_api_open(
	sd_event *event, const char *path, const struct mqw_api_ops *ops, struct mqw_api **ret);

/* Closes all connections and removes the socket. NULL in, NULL out. */
struct mqw_api *mqw_api_close(struct mqw_api *a);

#endif
