/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a Windows host's clock says, by Samba's net: libsmbclient does not tell. */
#ifndef MQW_SHARE_SERVER_CLOCK_H
#define MQW_SHARE_SERVER_CLOCK_H

#include "watchdogd/base/slice.h"

/*
 * Asks host, without a login, and takes some seconds at most. 0 and by how many microseconds it is
 * ahead of ours, in whole seconds, 0 where it is less than two; else a negative errno, with *ret_ahead
 * as it was.
 */
int mqw_server_clock(const char *host, const char *min_protocol, int64_t *ret_ahead);

/* The time in what `net time system` says: "MMDDhhmmYYYY.ss", UTC. False when it is none. */
bool mqw_server_clock_parse(struct mqw_slice text, int64_t *ret);

#endif
