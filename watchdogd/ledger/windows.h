/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the windows of rules count, kept over a restart. The ledger knows no more of it than these
 * words; rules/window_record.h says what they mean. Errors as in ledger.h.
 */
#ifndef MQW_LEDGER_WINDOWS_H
#define MQW_LEDGER_WINDOWS_H

#include "rules/window_record.h"
#include "watchdogd/ledger/ledger.h"

/* Keeps a window, in place of what was kept of the same rule, conditions and key. */
int mqw_ledger_put_window(struct mqw_ledger *l, const struct mqw_window_record *w);
/* Forgets the windows of a rule; NULL: of all. */
int mqw_ledger_forget_windows(struct mqw_ledger *l, const char *rule);
/* Gives each to the callback, whose slices live until it returns; rest as each_message. */
int mqw_ledger_each_window(
	struct mqw_ledger *l, int (*each)(void *ctx, const struct mqw_window_record *w), void *ctx);

#endif
