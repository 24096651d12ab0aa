/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A progress bar on standard error, drawn at most ten times a second. */
#ifndef MQW_CLI_PROGRESS_H
#define MQW_CLI_PROGRESS_H

#include "watchdogd/base/clock.h"

struct mqw_progress {
	bool on, drawn;
	uint64_t total; /* bytes; 0 unknown */
	int64_t started, last;
};

/* wanted: the user did not forbid it; it is on only where standard error is a terminal. */
void mqw_progress_start(struct mqw_progress *p, bool wanted, uint64_t total);
void mqw_progress_show(struct mqw_progress *p, uint64_t done, uint64_t lines);
/* Wipes the bar. */
void mqw_progress_end(struct mqw_progress *p);

#endif
