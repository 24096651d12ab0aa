/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an instance's tracker knows of its log beside the messages (track/memory.h). It goes into the
 * same batch as the messages and the position. Errors as in ledger.h.
 */
#ifndef MQW_LEDGER_MEMORY_H
#define MQW_LEDGER_MEMORY_H

#include "watchdogd/ledger/ledger.h"
#include "watchdogd/track/memory.h"

/* Puts what changed in the tracker since it was last told that its memory is kept. Within a batch. */
int mqw_ledger_put_memory(struct mqw_ledger *l, const char *instance, const struct mqw_tracker *t);
/* Gives all of it back to a tracker that has had no event yet. */
int mqw_ledger_restore_memory(struct mqw_ledger *l, const char *instance, struct mqw_tracker *t);

/* Since when lines are being dropped, as the log confessed; MQW_TIME_NONE: they are not. */
int mqw_ledger_put_dropping(struct mqw_ledger *l, const char *instance, int64_t since);
int mqw_ledger_get_dropping(struct mqw_ledger *l, const char *instance, int64_t *ret_since);

#endif
