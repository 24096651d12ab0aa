/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One look into a mailroot, wherever it is: how much lies in its folders, and what is to be known of the
 * files that have lain there for long. It is done by a process of its own, which a server that does not
 * answer may hold up and what is in the files may break; what it found goes to the daemon as one object:
 *
 *   {"now": T, "queue": {"count", "oldest"}, "pickup": {...}, "badmail": {"count", "newest"},
 *    "files": [{"folder": "queue" | "pickup" | "badmail", "name", "written", "sender", "message_id",
 *               "recipients": [...], "report", "why"}]}
 *
 * Times are microseconds by the server's clock, null where there is none. Nothing is ever moved.
 */
#ifndef MQW_PROBES_WINDOWS_MAILROOT_LOOK_H
#define MQW_PROBES_WINDOWS_MAILROOT_LOOK_H

#include <jansson.h>
#include <sys/types.h>

#include "watchdogd/base/slice.h"

/* Files of a folder that are told of one by one: those that have lain there for longest. */
#define MQW_MAILROOT_TOLD 100
#define MQW_MAILROOT_BAD_TOLD 20 /* of those that came to Badmail since the last look */

typedef void mqw_mailroot_each(void *arg, const char *name, int64_t written);

/* How it is reached. Each returns a negative errno when it cannot. */
struct mqw_mailroot_ops {
	/* The files in a folder of it, no folders. */
	int (*list)(void *ctx, const char *folder, mqw_mailroot_each *each, void *arg);
	/* The first bytes of a file in a folder. */
	ssize_t (*head)(void *ctx, const char *folder, const char *name, char *buf, size_t size);
	void *ctx;
};

struct mqw_mailroot_wish {
	int64_t now; /* the server's */
	int64_t queued_before; /* of Queue those alone that were written before */
	int64_t bad_since; /* of Badmail those alone that were written after */
};

/* *ret is the object. -ENOTDIR: neither Queue nor Pickup is there; -ENOMEM; or what an op says. */
int mqw_mailroot_look(
	const struct mqw_mailroot_ops *ops, const struct mqw_mailroot_wish *wish, json_t **ret);

/* Whether a mail is a report that a server made, by its header. */
bool mqw_mailroot_is_report(struct mqw_slice content);

#endif
