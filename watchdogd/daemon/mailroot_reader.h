/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has a process of its own look into a mailroot, a mounted one or one on a share: what hangs is that
 * process, which is killed at its limit, and never the daemon's loop.
 */
#ifndef MQW_DAEMON_MAILROOT_READER_H
#define MQW_DAEMON_MAILROOT_READER_H

#include <jansson.h>
#include <systemd/sd-event.h>

#include "watchdogd/base/clock.h"

struct mqw_mailroot_read;

struct mqw_mailroot_request {
	const char *root; /* absolute path, or as base/share_url.h has it */
	/* The program for a share and its first arguments, which come before the URL. NULL-terminated. */
	const char *const *reader;
	int64_t age; /* files of Queue that are told of are older, in whole seconds */
	int64_t bad_since; /* as in struct mqw_mailroot_wish */
	int64_t limit; /* 0: 2 min */
};

/*
 * found: as in probes/windows/mailroot_look.h, borrowed; NULL: it could not be read, and why is a
 * sentence's end for a person.
 */
typedef void mqw_mailroot_done(void *ctx, const json_t *found, const char *why);

/* Begins; done() is called from the loop. 0 and *ret, or a negative errno and nothing was begun. */
int mqw_mailroot_read_begin(sd_event *event, const struct mqw_mailroot_request *request,
	mqw_mailroot_done *done, void *ctx, struct mqw_mailroot_read **ret);

/* done() will not be called. NULL is taken. Returns NULL. */
struct mqw_mailroot_read *mqw_mailroot_read_cancel(struct mqw_mailroot_read *r);

#endif
