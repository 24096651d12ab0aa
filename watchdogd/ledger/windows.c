/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/windows.h"

#include <errno.h>

#include "watchdogd/ledger/internal.h"

int mqw_ledger_put_window(struct mqw_ledger *l, const struct mqw_window_record *w)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_WINDOW_PUT);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_text(&b, w->rule);
	mqw_bind_int(&b, (int64_t)w->conditions);
	mqw_bind_slice(&b, w->key);
	mqw_bind_slice(&b, w->entries);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_forget_windows(struct mqw_ledger *l, const char *rule)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_WINDOW_FORGET);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_text(&b, rule);
	return mqw_ledger_run(l, &b);
}

static struct mqw_slice column_slice(sqlite3_stmt *stmt, int column)
{
	const char *text = mqw_column_text(stmt, column);

	return mqw_slice(text, text ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}

int mqw_ledger_each_window(
	struct mqw_ledger *l, int (*each)(void *ctx, const struct mqw_window_record *w), void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_WINDOW_EACH);
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		const struct mqw_window_record w = {.rule = mqw_column_text(b.stmt, 0),
			.conditions = (uint64_t)sqlite3_column_int64(b.stmt, 1),
			.key = column_slice(b.stmt, 2),
			.entries = column_slice(b.stmt, 3)};

		r = w.rule ? each(ctx, &w) : -ENOMEM;
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}
