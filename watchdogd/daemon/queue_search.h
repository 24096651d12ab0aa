/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A message's file looked for by its queue id, where no watch has told of it. */
#ifndef MQW_DAEMON_QUEUE_SEARCH_H
#define MQW_DAEMON_QUEUE_SEARCH_H

#include "probes/probe.h"

/*
 * Looks for id in the directory at fd, which it closes, and those in it: hash directories, or qf/ and
 * the like. path, which names that directory, is completed. 1 found, 0 not, -errno: cannot tell.
 */
int mqw_queue_search(
	const struct mqw_probe_ops *probe, int fd, const char *id, struct mqw_buffer *path);

#endif
