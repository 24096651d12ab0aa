/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <stdio.h>

static int look_up(struct mqw_ledger *l, const char *name, int64_t *ret)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_INSTANCE_GET);
	int r;

	mqw_bind_text(&b, name);
	r = mqw_ledger_step(l, &b);
	if (r > 0)
		*ret = sqlite3_column_int64(b.stmt, 0);
	mqw_ledger_end(&b);
	return r;
}

static int add(struct mqw_ledger *l, const char *name, int64_t *ret)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_INSTANCE_ADD);
	int r;

	mqw_bind_text(&b, name);
	r = mqw_ledger_run(l, &b);
	if (r < 0)
		return r;
	*ret = sqlite3_last_insert_rowid(l->db);
	return 1;
}

int mqw_ledger_instance(struct mqw_ledger *l, const char *name, bool make, int64_t *ret)
{
	int r;

	if (l->instance && strcmp(l->instance_name, name) == 0) {
		*ret = l->instance;
		return 1;
	}
	r = look_up(l, name, ret);
	if (r == 0 && make)
		r = add(l, name, ret);
	if (r > 0 && strlen(name) < sizeof(l->instance_name)) {
		snprintf(l->instance_name, sizeof(l->instance_name), "%s", name);
		l->instance = *ret;
	}
	return r;
}
