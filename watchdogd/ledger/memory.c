/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/memory.h"

#include <errno.h>

#include "watchdogd/ledger/internal.h"

/* At most some hundred rows, seldom changed: they are replaced as a whole. */
static int put_gaps(struct mqw_ledger *l, const char *instance, const struct mqw_tracker *t)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_GAP_CLEAR);
	const struct mqw_gap *gap;
	int r;

	mqw_bind_text(&b, instance);
	r = mqw_ledger_run(l, &b);
	for (size_t i = 0; r == 0 && (gap = mqw_tracker_gap(t, i)); i++) {
		b = mqw_bind(l, MQW_STATEMENT_GAP_INSERT);
		mqw_bind_text(&b, instance);
		mqw_bind_int(&b, gap->from);
		mqw_bind_int(&b, gap->to);
		mqw_bind_text(&b, gap->why);
		r = mqw_ledger_run(l, &b);
	}
	return r;
}

static int put_hours(struct mqw_ledger *l, const char *instance, const struct mqw_tracker *t)
{
	const struct mqw_hour *hour;
	size_t cursor = 0;
	int r = 0;

	while (r == 0 && (hour = mqw_tracker_changed_hour(t, &cursor))) {
		struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_HOUR_PUT);

		mqw_bind_text(&b, instance);
		mqw_bind_int(&b, hour->hour);
		mqw_bind_int(&b, hour->deferred);
		mqw_bind_int(&b, hour->followed);
		r = mqw_ledger_run(l, &b);
	}
	return r;
}

static int forget_hours(struct mqw_ledger *l, const char *instance, int64_t before)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_HOUR_FORGET);

	mqw_bind_text(&b, instance);
	mqw_bind_int(&b, before);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_put_memory(struct mqw_ledger *l, const char *instance, const struct mqw_tracker *t)
{
	struct mqw_memory_change change = mqw_tracker_memory_change(t);
	int r = mqw_ledger_writable(l);

	if (r == 0 && change.gaps)
		r = put_gaps(l, instance, t);
	if (r == 0 && change.hours_from != INT64_MIN)
		r = forget_hours(l, instance, change.hours_from);
	if (r == 0 && change.hours)
		r = put_hours(l, instance, t);
	return r;
}

static int restore_gaps(struct mqw_ledger *l, const char *instance, struct mqw_tracker *t)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_GAP_EACH);
	int r;

	mqw_bind_text(&b, instance);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		const struct mqw_gap gap = {.from = sqlite3_column_int64(b.stmt, 0),
			.to = sqlite3_column_int64(b.stmt, 1),
			.why = mqw_column_text(b.stmt, 2)};

		r = gap.why ? mqw_tracker_restore_gap(t, &gap) : -ENOMEM;
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}

static int restore_hours(struct mqw_ledger *l, const char *instance, struct mqw_tracker *t)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_HOUR_EACH);
	bool bad = false;
	int r;

	mqw_bind_text(&b, instance);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		const struct mqw_hour hour = {.hour = sqlite3_column_int64(b.stmt, 0),
			.deferred = (uint32_t)mqw_column_number(b.stmt, 1, UINT32_MAX, &bad),
			.followed = (uint32_t)mqw_column_number(b.stmt, 2, UINT32_MAX, &bad)};

		r = bad || hour.followed > hour.deferred
			? mqw_ledger_fail_with(l, -EUCLEAN, "an hour holds a value out of range")
			: mqw_tracker_restore_hour(t, &hour);
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_restore_memory(struct mqw_ledger *l, const char *instance, struct mqw_tracker *t)
{
	int r = restore_gaps(l, instance, t);

	return r < 0 ? r : restore_hours(l, instance, t);
}

int mqw_ledger_put_dropping(struct mqw_ledger *l, const char *instance, int64_t since)
{
	struct mqw_binder b = mqw_bind(l,
		since == MQW_TIME_NONE ? MQW_STATEMENT_DROPPING_CLEAR : MQW_STATEMENT_DROPPING_PUT);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_text(&b, instance);
	if (since != MQW_TIME_NONE)
		mqw_bind_int(&b, since);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_get_dropping(struct mqw_ledger *l, const char *instance, int64_t *ret_since)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_DROPPING_GET);
	int r;

	mqw_bind_text(&b, instance);
	r = mqw_ledger_step(l, &b);
	if (r >= 0)
		*ret_since = r > 0 ? mqw_column_time(b.stmt, 0) : MQW_TIME_NONE;
	mqw_ledger_end(&b);
	return r < 0 ? r : 0;
}
