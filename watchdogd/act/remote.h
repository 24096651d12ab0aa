/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restarts the mail service of another host: by Samba's net, or by a program that the configuration
 * names. The root helper has no network, and nothing here needs root: a child of the daemon does it,
 * which holds the credentials for no longer than that takes. The child outlives the daemon, as far as
 * the unit lets it: a service that was stopped is to be started.
 */
#ifndef MQW_ACT_REMOTE_H
#define MQW_ACT_REMOTE_H

#include <systemd/sd-event.h>

#include "watchdogd/helper/client.h"

/* All strings are borrowed for as long as calls are made. */
struct mqw_remote {
	const char *host;
	const char *const *services; /* the first that the host has; NULL-terminated */
	const char *credentials; /* as in the configuration */
	const char *min_protocol; /* NULL: Samba's own choice */
	const char *const *command; /* run instead; NULL: net */
};

enum mqw_remote_what {
	MQW_REMOTE_RESTART,
	MQW_REMOTE_FINISH, /* see mqw_net_finish(); of a command: nothing is done, ALREADY */
};

struct mqw_remote_call;

/*
 * Begins it. done() is called from the loop, as by mqw_helper_call(): error -ETIMEDOUT when the child
 * was killed at its limit, -ECONNRESET when it ended without an answer. 0 and *ret, for
 * mqw_remote_cancel() until done() is called; or a negative errno, and nothing was begun.
 */
int mqw_remote_begin(sd_event *event, const struct mqw_remote *remote, enum mqw_remote_what what,
	mqw_helper_done *done, void *ctx, struct mqw_remote_call **ret);

/* done() will not be called; what is under way goes on to its end. NULL is taken. */
struct mqw_remote_call *mqw_remote_cancel(struct mqw_remote_call *c);

#endif
