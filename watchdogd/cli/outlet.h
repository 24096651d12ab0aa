/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where goes what the lines of a log say, in their order. */
#ifndef MQW_CLI_OUTLET_H
#define MQW_CLI_OUTLET_H

#include "watchdogd/track/event.h"

struct mqw_probe_ops;

struct mqw_outlet {
	struct mqw_sink sink; /* the events of a line come first */
	/* The log has reached that time: after each line of the MTA. May be NULL. */
	void (*time)(void *ctx, int64_t now);
	void *time_ctx;
	/* The lines have told the MTA: once, before the first event of its own. May be NULL. */
	void (*recognised)(void *ctx, const struct mqw_probe_ops *mta);
	void *recognised_ctx;
};

#endif
