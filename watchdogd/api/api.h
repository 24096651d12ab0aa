/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's answers over its Unix socket: HTTP and JSON, from the daemon's own event loop.
 *   GET /v1/status                                  one object
 *   GET /v1/messages?verdict=WORD|any&instance=&limit=   {"messages":[...]}; default: in trouble
 *   GET /v1/messages/ID                             {"messages":[...],"actions":[...]}
 *   GET /v1/actions/NUMBER                          one action as in the list above
 *   POST /v1/messages/ID/recover|requeue|ack?dry_run=1&instance=
 *   POST /v1/instances/NAME/restart?dry_run=1       see mqw_act_by_hand()
 * Errors are {"error":"one sentence"} with status 400, 403, 404, 405 or 500. Who can open the socket
 * may ask; to act one has to be root or in the group of operators besides, as the kernel says of the
 * peer (unix(7), SO_PEERCRED).
 */
#ifndef MQW_API_API_H
#define MQW_API_API_H

#include <jansson.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "watchdogd/track/verdict.h"

struct mqw_api;

#define MQW_API_LIMIT 1000 /* messages in one list where the query names no limit */

struct mqw_api_query {
	enum mqw_verdict verdict; /* COUNT: all that are in trouble; NONE: any */
	struct mqw_slice instance; /* empty: all */
	uint64_t limit;
};

/* Something that a person asks for; of RESTART the queue id is empty. */
struct mqw_api_act {
	struct mqw_slice what, queue_id;
	struct mqw_slice instance; /* empty: the one that there is */
	bool dry_run;
	uid_t uid;
};

#define MQW_API_NO_GROUP ((gid_t)-1)

/*
 * Each returns a new reference. NULL from show: there is no such message; from list with an
 * instance: there is no such instance; otherwise memory is out.
 */
struct mqw_api_ops {
	json_t *(*status)(void *ctx);
	json_t *(*list)(void *ctx, const struct mqw_api_query *q);
	json_t *(*show)(void *ctx, struct mqw_slice queue_id);
	/* NULL: there is no such action. */
	json_t *(*action)(void *ctx, int64_t id);
	/* NULL and a sentence in *ret_fault: not found; NULL without: memory is out. */
	json_t *(*act)(void *ctx, const struct mqw_api_act *q, const char **ret_fault);
	gid_t operators; /* who may act besides root; MQW_API_NO_GROUP nobody */
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
