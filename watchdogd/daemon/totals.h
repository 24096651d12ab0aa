/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an instance has counted since its ledger was begun: lines, messages, recipients by verdict.
 * Kept in the same batch as positions and messages, so that a death of the process changes nothing
 * about them: each line is counted once.
 */
#ifndef MQW_DAEMON_TOTALS_H
#define MQW_DAEMON_TOTALS_H

#include "watchdogd/track/tracker.h"

struct mqw_ledger;

enum {
	MQW_TOTAL_SINCE,
	MQW_TOTAL_LINES,
	MQW_TOTAL_UNPARSED,
	MQW_TOTAL_MESSAGES,
	MQW_TOTAL_ADOPTED, /* 1: the queue was read whole once, with what is older than the log */
	MQW_TOTAL_OPEN, /* messages that are followed: a hint for the next start, no more */
	MQW_TOTAL_VERDICTS
};
/* One for each verdict but NONE. */
#define MQW_TOTAL_COUNT (MQW_TOTAL_VERDICTS + MQW_VERDICT_COUNT - 1)

struct mqw_totals {
	int64_t now[MQW_TOTAL_COUNT]; /* lines and unparsed are counted up by the caller */
	int64_t kept[MQW_TOTAL_COUNT]; /* as the ledger has them */
};

/*
 * Reads them and hands the tracker its part; where there are none they begin now (microseconds).
 * 0 or a negative errno.
 */
int mqw_totals_load(struct mqw_totals *s, struct mqw_ledger *l, const char *instance, int64_t now,
	struct mqw_tracker *t);

/* They begin anew: what comes now may have been counted already. */
void mqw_totals_restart(struct mqw_totals *s, int64_t now, struct mqw_tracker *t);

/* Puts those that changed into the open batch; mqw_totals_committed() follows when that is kept. */
int mqw_totals_put(struct mqw_totals *s, struct mqw_ledger *l, const char *instance,
	const struct mqw_tracker *t);
void mqw_totals_committed(struct mqw_totals *s);

#endif
