/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>

int mqw_ledger_put_position(
	struct mqw_ledger *l, const char *instance, const char *source, struct mqw_slice position)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_POSITION_PUT);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_slice(&b, mqw_slice_of(source));
	mqw_bind_slice(&b, position);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_get_position(
	struct mqw_ledger *l, const char *instance, const char *source, struct mqw_buffer *ret)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_POSITION_GET);
	const char *text;
	int r;

	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_slice(&b, mqw_slice_of(source));
	r = mqw_ledger_step(l, &b);
	if (r > 0) {
		text = mqw_column_text(b.stmt, 0);
		mqw_buffer_add(ret, mqw_slice(text, (size_t)sqlite3_column_bytes(b.stmt, 0)));
		if (!text || ret->failed)
			r = -ENOMEM;
	}
	mqw_ledger_end(&b);
	return r;
}
