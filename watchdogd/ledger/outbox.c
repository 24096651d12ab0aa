/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/outbox.h"

#include <errno.h>

#include "watchdogd/ledger/internal.h"

static const char *const state_names[MQW_OUTBOX_STATE_COUNT] = {
	[MQW_OUTBOX_GATHERING] = "gathering",
	[MQW_OUTBOX_WAITING] = "waiting",
	[MQW_OUTBOX_SENT] = "sent",
	[MQW_OUTBOX_GIVEN_UP] = "given up",
};

const char *mqw_outbox_state_name(enum mqw_outbox_state s)
{
	return (unsigned)s < MQW_OUTBOX_STATE_COUNT ? state_names[s] : NULL;
}

int mqw_ledger_outbox_add(struct mqw_ledger *l, const struct mqw_outbox_record *r, int64_t *ret_id)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_INSERT);
	int e = mqw_ledger_writable(l);

	if (e < 0)
		return e;
	mqw_bind_slice(&b, mqw_slice_of(r->channel));
	mqw_bind_slice(&b, mqw_slice_of(r->rule));
	mqw_bind_slice(&b, mqw_slice_of(r->instance));
	mqw_bind_slice(&b, mqw_slice_of(r->token));
	mqw_bind_slice(&b, mqw_slice_of(r->detail));
	mqw_bind_int(&b, r->state);
	mqw_bind_int(&b, r->stage);
	mqw_bind_int(&b, r->opened_at);
	mqw_bind_int(&b, r->latest_at);
	mqw_bind_time(&b, r->sealed_at);
	mqw_bind_time(&b, r->ended_at);
	mqw_bind_int(&b, r->due_at);
	e = mqw_ledger_run(l, &b);
	if (e == 0)
		*ret_id = sqlite3_last_insert_rowid(l->db);
	return e;
}

static int count_finding(struct mqw_ledger *l, int64_t id, int64_t time)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_COUNT_UP);

	mqw_bind_int(&b, time);
	mqw_bind_int(&b, id);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_outbox_add_finding(struct mqw_ledger *l, int64_t id, const char *key, int64_t time,
	const char *verdict, const char *content)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_FINDING_INSERT);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_int(&b, id);
	mqw_bind_text(&b, key);
	mqw_bind_text(&b, verdict);
	mqw_bind_text(&b, content);
	r = mqw_ledger_run(l, &b);
	if (r < 0 || sqlite3_changes(l->db) == 0)
		return r;
	r = count_finding(l, id, time);
	return r < 0 ? r : 1;
}

/* One changed row, or -ENOENT. */
static int changed(struct mqw_ledger *l, int r, int64_t id)
{
	if (r == 0 && sqlite3_changes(l->db) == 0)
		r = mqw_ledger_fail_with(
			l, -ENOENT, "alert %lld is not in that state", (long long)id);
	return r;
}

int mqw_ledger_outbox_seal(struct mqw_ledger *l, int64_t id, int64_t now)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_SEAL);

	mqw_bind_int(&b, now);
	mqw_bind_int(&b, now);
	mqw_bind_int(&b, id);
	return changed(l, mqw_ledger_run_durable(l, &b), id);
}

int mqw_ledger_outbox_postpone(struct mqw_ledger *l, int64_t id, int64_t due_at, const char *detail)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_POSTPONE);

	mqw_bind_int(&b, due_at);
	mqw_bind_slice(&b, mqw_slice_of(detail));
	mqw_bind_int(&b, id);
	return changed(l, mqw_ledger_run(l, &b), id);
}

int mqw_ledger_outbox_end(struct mqw_ledger *l, int64_t id, enum mqw_outbox_state state,
	int64_t now, const char *detail)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_END);

	mqw_bind_int(&b, state);
	mqw_bind_int(&b, now);
	mqw_bind_slice(&b, mqw_slice_of(detail));
	mqw_bind_int(&b, id);
	return changed(l, mqw_ledger_run_durable(l, &b), id);
}

int mqw_ledger_outbox_expire(struct mqw_ledger *l, int64_t before)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_EXPIRE);

	mqw_bind_int(&b, before);
	return mqw_ledger_run(l, &b);
}

static int read_record(struct mqw_ledger *l, sqlite3_stmt *stmt, struct mqw_outbox_record *r)
{
	const char **const texts[] = {&r->channel, &r->rule, &r->instance, &r->token, &r->detail};
	bool bad = false;
	int at = 0;

	r->id = sqlite3_column_int64(stmt, at++);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		*texts[i] = mqw_column_text(stmt, at++);
		bad = bad || !*texts[i];
	}
	r->state = (enum mqw_outbox_state)mqw_column_number(
		stmt, at++, MQW_OUTBOX_STATE_COUNT - 1, &bad);
	r->stage = (uint32_t)mqw_column_number(stmt, at++, UINT32_MAX, &bad);
	r->attempts = (uint32_t)mqw_column_number(stmt, at++, UINT32_MAX, &bad);
	r->findings = (uint64_t)mqw_column_number(stmt, at++, INT64_MAX, &bad);
	r->opened_at = mqw_column_time(stmt, at++);
	r->latest_at = mqw_column_time(stmt, at++);
	r->sealed_at = mqw_column_time(stmt, at++);
	r->ended_at = mqw_column_time(stmt, at++);
	r->due_at = mqw_column_time(stmt, at);
	return bad ? mqw_ledger_fail_with(
			     l, -EUCLEAN, "alert %lld holds a value out of range", (long long)r->id)
		   : 0;
}

int mqw_ledger_outbox_newest(struct mqw_ledger *l, const char *channel, const char *rule,
	const char *instance, struct mqw_outbox_record *ret)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_NEWEST);
	int r;

	mqw_bind_text(&b, channel);
	mqw_bind_text(&b, rule);
	mqw_bind_text(&b, instance);
	r = mqw_ledger_step(l, &b);
	if (r > 0) {
		int e = read_record(l, b.stmt, ret);

		r = e < 0 ? e : r;
		ret->channel = ret->rule = ret->instance = ret->token = ret->detail = NULL;
	}
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_outbox_each_due(struct mqw_ledger *l, int64_t now, int64_t far, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_outbox_record *r), void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_EACH_DUE);
	struct mqw_outbox_record record;
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	mqw_bind_int(&b, now);
	mqw_bind_int(&b, now > INT64_MAX - far ? INT64_MAX : now + far);
	mqw_bind_int(&b, limit);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = read_record(l, b.stmt, &record);
		if (r == 0)
			r = each(ctx, &record);
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_outbox_each_finding(
	struct mqw_ledger *l, int64_t id, int (*each)(void *ctx, const char *content), void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_EACH_FINDING);
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	mqw_bind_int(&b, id);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = each(ctx, mqw_column_text(b.stmt, 0));
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_outbox_each_verdict(struct mqw_ledger *l, int64_t id,
	int (*each)(void *ctx, const char *verdict, uint64_t count), void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_EACH_VERDICT);
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	mqw_bind_int(&b, id);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = each(
			ctx, mqw_column_text(b.stmt, 0), (uint64_t)sqlite3_column_int64(b.stmt, 1));
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_outbox_knows(struct mqw_ledger *l, struct mqw_slice token)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_OUTBOX_KNOWS);
	int r;

	mqw_bind_slice(&b, token);
	r = mqw_ledger_step(l, &b);
	mqw_ledger_end(&b);
	return r;
}
