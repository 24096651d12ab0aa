/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is still to be said of a restart that was done: which messages were stuck then, and what has
 * become of them so far. The ledger knows no more of it than that it is a text; act/aftermath.c says
 * what is in it. Errors as in ledger.h.
 */
#ifndef MQW_LEDGER_AFTERMATH_H
#define MQW_LEDGER_AFTERMATH_H

#include "watchdogd/ledger/ledger.h"

/* Keeps it, in place of what was kept of that action; content NULL: forgets it, for it was said. */
int mqw_ledger_put_aftermath(struct mqw_ledger *l, int64_t action, const char *content);

/* Each with the record of its restart; rest as mqw_ledger_each_action(). */
int mqw_ledger_each_aftermath(struct mqw_ledger *l,
	int (*each)(void *ctx, const struct mqw_action_record *restart, const char *content),
	void *ctx);

#endif
