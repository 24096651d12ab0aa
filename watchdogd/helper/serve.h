/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper's side of a connection: who asks, one request, one answer. Logs to the journal, with
 * fields, where the standard error is the journal; else to the standard error with the level in
 * front, as sd-daemon(3) has it.
 */
#ifndef MQW_HELPER_SERVE_H
#define MQW_HELPER_SERVE_H

#include <stdatomic.h>

#include "watchdogd/helper/ops.h"

/* Over all connections; shared by the processes. */
struct mqw_helper_counts {
	atomic_ulong done, refused;
};

struct mqw_helper {
	struct mqw_helper_policy policy;
	uid_t allowed_user; /* (uid_t)-1: nobody but root */
	int64_t receive_timeout; /* microseconds a peer has to send its request */
	struct mqw_helper_counts *counts; /* NULL: not counted */
};

#define MQW_HELPER_RECEIVE_TIMEOUT 5000000
/* MESSAGE_IDs of what is said of a request. */
#define MQW_HELPER_MESSAGE_REFUSED "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a11"
#define MQW_HELPER_MESSAGE_DONE "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a12"

/*
 * Counts that outlive the process, in a file that is made where it is missing; directory belongs
 * to root alone. NULL when there cannot be any: then nothing is counted.
 */
struct mqw_helper_counts *mqw_helper_counts_open(const char *directory);

/*
 * Serves one connection of a SOCK_SEQPACKET Unix socket; fd stays the caller's. Whatever the peer
 * sends, it ends in an answer or in silence, never in an error of the helper's: 0 when something
 * was done, 1 when the request was refused.
 */
int mqw_helper_serve(const struct mqw_helper *h, int fd);

/*
 * For hosts without systemd, containers and tests: makes the socket (mode 0660, group gid; a
 * socket that is left there is replaced) and serves each connection in a process of its own, a
 * limited number at a time, until a signal ends it. Returns only on failure: a negative errno.
 */
int mqw_helper_listen(const struct mqw_helper *h, const char *path, gid_t gid);

#endif
