/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

int mqw_ledger_put_total(
	struct mqw_ledger *l, const char *instance, const char *name, int64_t value)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_TOTAL_PUT);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_slice(&b, mqw_slice_of(name));
	mqw_bind_int(&b, value);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_get_total(struct mqw_ledger *l, const char *instance, const char *name, int64_t *ret)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_TOTAL_GET);
	int r;

	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_slice(&b, mqw_slice_of(name));
	r = mqw_ledger_step(l, &b);
	if (r > 0)
		*ret = sqlite3_column_int64(b.stmt, 0);
	mqw_ledger_end(&b);
	return r;
}
