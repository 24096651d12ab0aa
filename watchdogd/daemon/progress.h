/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells systemd that the daemon gets on (sd_notify(3)). Not by a timer alone: a word is sent for
 * work that was done, so that a handler that does not come back, a source that starves the others
 * and one that reads without end and gets nothing all end in the unit's WatchdogSec=.
 */
#ifndef MQW_DAEMON_PROGRESS_H
#define MQW_DAEMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct mqw_progress {
	int64_t every; /* microseconds between two words; 0: nobody listens */
	int64_t said_at; /* of the monotonic clock */
	bool started;
	char status[192]; /* as it was said last */
};

/* Looks at what systemd wants; now of CLOCK_MONOTONIC, microseconds, here and below. */
void mqw_progress_init(struct mqw_progress *p, int64_t now);

/*
 * A piece of long work inside one turn of the loop is done: a queue file met, a message taken back
 * from the ledger. Cheap, to be called for each; while starting it extends the unit's
 * TimeoutStartSec=. p may be NULL.
 */
void mqw_progress_step(struct mqw_progress *p);

/* The loop has come round, its slow work is done and every source gets on. */
void mqw_progress_turn(struct mqw_progress *p, int64_t now);

/* The start is over: READY=1. */
void mqw_progress_ready(struct mqw_progress *p);

/* One line for `systemctl status`, sent when it is another than before. */
void mqw_progress_status(struct mqw_progress *p, const char *text);

/* CLOCK_MONOTONIC in microseconds. */
int64_t mqw_progress_clock(void);

#endif
