/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/aftermath.h"
#include "watchdogd/ledger/internal.h"

#include <errno.h>
#include <stdio.h>

#define ACTION_COLUMN_COUNT 12 /* of ACTION_COLUMNS in statement.c */

static const char *const state_names[MQW_ACTION_STATE_COUNT] = {
	[MQW_ACTION_STATE_INTENT] = "intent",
	[MQW_ACTION_STATE_DONE] = "done",
	[MQW_ACTION_STATE_FAILED] = "failed",
	[MQW_ACTION_STATE_REFUSED] = "refused",
	[MQW_ACTION_STATE_OBSERVED] = "observed",
	[MQW_ACTION_STATE_UNCLEAR] = "unclear",
};

const char *mqw_action_state_name(enum mqw_action_state s)
{
	return (unsigned)s < MQW_ACTION_STATE_COUNT ? state_names[s] : NULL;
}

/*
 * Only here does a commit wait for the disk: the flush takes along every batch before it, and the
 * batches stay cheap.
 */
int mqw_ledger_run_durable(struct mqw_ledger *l, const struct mqw_binder *b)
{
	int rc = sqlite3_exec(l->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL), r;

	if (rc != SQLITE_OK) {
		mqw_ledger_end(b);
		return mqw_ledger_fail(l, rc);
	}
	r = mqw_ledger_run(l, b);
	/* Cannot fail outside a transaction; if it did, batches would only be slower. */
	sqlite3_exec(l->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	return r;
}

static int refuse_in_batch(struct mqw_ledger *l)
{
	if (!l->in_batch && sqlite3_get_autocommit(l->db))
		return 0;
	snprintf(l->error, sizeof(l->error), "an action may not be written within a batch");
	return -EINPROGRESS;
}

int mqw_ledger_find_action(
	struct mqw_ledger *l, const char *key, int64_t *ret_id, enum mqw_action_state *ret_state)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_ACTION_KNOWN);
	bool bad = false;
	int r;

	mqw_bind_text(&b, key);
	r = mqw_ledger_step(l, &b);
	if (r > 0) {
		*ret_id = sqlite3_column_int64(b.stmt, 0);
		*ret_state = (enum mqw_action_state)mqw_column_number(
			b.stmt, 1, MQW_ACTION_STATE_COUNT - 1, &bad);
	}
	mqw_ledger_end(&b);
	return bad ? mqw_ledger_fail_with(l, -EUCLEAN, "an action holds a value out of range") : r;
}

int mqw_ledger_intend(struct mqw_ledger *l, const struct mqw_action_record *a, int64_t *ret_id)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_ACTION_INSERT);
	enum mqw_action_state state;
	int64_t known;
	int r = refuse_in_batch(l);

	if (r < 0)
		return r;
	if (!a->key || !a->kind || !a->rule || !a->instance || !a->cause ||
		a->intended_at == MQW_TIME_NONE)
		return mqw_ledger_fail_with(l, -EINVAL, "an action lacks its key, cause or time");
	/* An insertion that comes to nothing waits for the disk all the same. */
	r = mqw_ledger_find_action(l, a->key, &known, &state);
	if (r != 0)
		return r < 0 ? r : 0;
	mqw_bind_text(&b, a->key);
	mqw_bind_text(&b, a->kind);
	mqw_bind_text(&b, a->rule);
	mqw_bind_text(&b, a->instance);
	mqw_bind_slice(&b, mqw_slice_of(a->queue_id));
	mqw_bind_slice(&b, mqw_slice_of(a->recipients));
	mqw_bind_text(&b, a->cause);
	mqw_bind_int(&b, a->intended_at);
	r = mqw_ledger_run_durable(l, &b);
	if (r < 0 || sqlite3_changes(l->db) == 0)
		return r;
	*ret_id = sqlite3_last_insert_rowid(l->db);
	return 1;
}

int mqw_ledger_conclude(struct mqw_ledger *l, int64_t id, enum mqw_action_state state, int64_t time,
	const char *detail)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_ACTION_CONCLUDE);
	int r = refuse_in_batch(l);

	if (r < 0)
		return r;
	if (state == MQW_ACTION_STATE_INTENT || (unsigned)state >= MQW_ACTION_STATE_COUNT)
		return mqw_ledger_fail_with(l, -EINVAL, "%d is no result of an action", (int)state);
	mqw_bind_int(&b, state);
	mqw_bind_time(&b, time);
	mqw_bind_slice(&b, mqw_slice_of(detail));
	mqw_bind_int(&b, id);
	r = mqw_ledger_run_durable(l, &b);
	if (r == 0 && sqlite3_changes(l->db) == 0)
		r = mqw_ledger_fail_with(
			l, -ENOENT, "action %lld is none that waits for a result", (long long)id);
	return r;
}

int mqw_ledger_count_actions(struct mqw_ledger *l, const char *rule, const char *kind,
	int64_t since, uint32_t *ret_count, int64_t *ret_last)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_ACTION_COUNT);
	int64_t count, last;
	int r;

	mqw_bind_slice(&b, mqw_slice_of(rule));
	mqw_bind_slice(&b, mqw_slice_of(kind));
	mqw_bind_int(&b, since);
	r = mqw_ledger_step(l, &b);
	if (r > 0) {
		count = sqlite3_column_int64(b.stmt, 0);
		last = mqw_column_time(b.stmt, 1);
		*ret_count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
		*ret_last = last;
	}
	mqw_ledger_end(&b);
	return r < 0 ? r : 0;
}

static int read_action(struct mqw_ledger *l, sqlite3_stmt *stmt, struct mqw_action_record *a)
{
	const char **const texts[] = {&a->key, &a->kind, &a->rule, &a->instance, &a->queue_id,
		&a->recipients, &a->cause, &a->detail};
	bool bad = false;
	int at = 0;

	a->id = sqlite3_column_int64(stmt, at++);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		*texts[i] = mqw_column_text(stmt, at++);
		bad = bad || !*texts[i];
	}
	a->state = (enum mqw_action_state)mqw_column_number(
		stmt, at++, MQW_ACTION_STATE_COUNT - 1, &bad);
	a->intended_at = mqw_column_time(stmt, at++);
	a->ended_at = mqw_column_time(stmt, at);
	return bad ? mqw_ledger_fail_with(l, -EUCLEAN, "action %lld holds a value out of range",
			     (long long)a->id)
		   : 0;
}

int mqw_ledger_each_action(struct mqw_ledger *l, bool open_only, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_action_record *a), void *ctx)
{
	struct mqw_binder b =
		mqw_bind(l, open_only ? MQW_STATEMENT_ACTION_EACH_OPEN : MQW_STATEMENT_ACTION_EACH);
	struct mqw_action_record a;
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	mqw_bind_int(&b, limit);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = read_action(l, b.stmt, &a);
		if (r == 0)
			r = each(ctx, &a);
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}

int mqw_ledger_put_aftermath(struct mqw_ledger *l, int64_t action, const char *content)
{
	struct mqw_binder b =
		mqw_bind(l, content ? MQW_STATEMENT_AFTERMATH_PUT : MQW_STATEMENT_AFTERMATH_FORGET);
	int r = mqw_ledger_writable(l);

	if (r < 0)
		return r;
	mqw_bind_int(&b, action);
	if (content)
		mqw_bind_text(&b, content);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_each_aftermath(struct mqw_ledger *l,
	int (*each)(void *ctx, const struct mqw_action_record *restart, const char *content),
	void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_AFTERMATH_EACH);
	struct mqw_action_record a;
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = read_action(l, b.stmt, &a);
		if (r == 0)
			r = each(ctx, &a, mqw_column_text(b.stmt, ACTION_COLUMN_COUNT));
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}
