/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps the file from growing for ever. All of it in small bites, as the loop waits for each:
 * at most ACTIONS_LOOKED rows are looked at and PAGES pages moved in one call.
 */
#include "watchdogd/ledger/internal.h"

#define ACTIONS_LOOKED 500
#define PAGES 100 /* 400 KiB: some milliseconds */
#define PAGES_SPARE 1000 /* are left for what comes next */

/* Ended ones alone: an intent without a result is waited for, however old. */
static int expire_actions(struct mqw_ledger *l, int64_t before)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_ACTION_EXPIRE);

	mqw_bind_int(&b, ACTIONS_LOOKED);
	mqw_bind_int(&b, before);
	return mqw_ledger_run(l, &b);
}

static int free_pages(struct mqw_ledger *l, int64_t *ret)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_FREE_PAGES);
	int r = mqw_ledger_step(l, &b);

	*ret = r > 0 ? sqlite3_column_int64(b.stmt, 0) : 0;
	mqw_ledger_end(&b);
	return r < 0 ? r : 0;
}

/* One page a step; what was moved is committed with the last. */
static int give_back(struct mqw_ledger *l)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_VACUUM);
	int r;

	while ((r = mqw_ledger_step(l, &b)) > 0)
		;
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_tidy(struct mqw_ledger *l, int64_t now)
{
	int64_t pages = 0;
	int r = mqw_ledger_writable(l);

	if (r < 0 || l->in_batch)
		return r;
	r = expire_actions(l, now - MQW_LEDGER_ACTIONS_KEPT);
	if (r == 0)
		r = free_pages(l, &pages);
	return r < 0 || pages <= PAGES_SPARE ? r : give_back(l);
}
