/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>

static int insert_verdict(struct mqw_ledger *l, const char *instance, int64_t time,
	const struct mqw_message *m, const struct mqw_recipient *r, const struct mqw_judgement *j)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_VERDICT_INSERT);

	mqw_bind_time(&b, time);
	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_text(&b, m->realm);
	mqw_bind_text(&b, m->queue_id);
	mqw_bind_text(&b, m->message_id);
	mqw_bind_text(&b, m->sender);
	mqw_bind_text(&b, r->address);
	mqw_bind_text(&b, r->relay);
	mqw_bind_text(&b, r->status);
	mqw_bind_text(&b, r->reply);
	mqw_bind_text(&b, m->ndr_id);
	mqw_bind_text(&b, j->reason);
	mqw_bind_text(&b, j->remedy);
	mqw_bind_time(&b, m->first_seen);
	mqw_bind_time(&b, m->last_seen);
	mqw_bind_int(&b, r->attempts);
	mqw_bind_int(&b, r->code);
	mqw_bind_int(&b, j->verdict);
	mqw_bind_int(&b, j->confidence);
	return mqw_ledger_run(l, &b);
}

/* Numbers go up by one, so the oldest is as far back as there are rows to keep. */
static int expire_verdicts(struct mqw_ledger *l)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_VERDICT_EXPIRE);

	mqw_bind_int(&b, sqlite3_last_insert_rowid(l->db) - MQW_LEDGER_VERDICTS_KEPT);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_add_verdict(struct mqw_ledger *l, const char *instance, int64_t time,
	const struct mqw_message *m, const struct mqw_recipient *r, const struct mqw_judgement *j)
{
	int e = mqw_ledger_writable(l);

	if (e == 0)
		e = insert_verdict(l, instance, time, m, r, j);
	return e < 0 ? e : expire_verdicts(l);
}

static int read_verdict(struct mqw_ledger *l, sqlite3_stmt *stmt, struct mqw_verdict_record *v)
{
	const char **const texts[] = {&v->instance, &v->realm, &v->queue_id, &v->message_id,
		&v->sender, &v->recipient, &v->relay, &v->status, &v->reply, &v->ndr_id, &v->reason,
		&v->remedy};
	bool bad = false;
	int at = 0;

	v->time = mqw_column_time(stmt, at++);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		*texts[i] = mqw_column_text(stmt, at++);
	v->first_seen = mqw_column_time(stmt, at++);
	v->last_seen = mqw_column_time(stmt, at++);
	v->attempts = (uint32_t)mqw_column_number(stmt, at++, UINT32_MAX, &bad);
	v->code = (uint16_t)mqw_column_number(stmt, at++, UINT16_MAX, &bad);
	v->verdict = (uint8_t)mqw_column_number(stmt, at++, MQW_VERDICT_COUNT - 1, &bad);
	v->confidence = (uint8_t)mqw_column_number(stmt, at, MQW_CONFIDENCE_COUNT - 1, &bad);
	return bad ? mqw_ledger_fail_with(l, -EUCLEAN, "a verdict holds a value out of range") : 0;
}

int mqw_ledger_each_verdict(struct mqw_ledger *l, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_verdict_record *v), void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_VERDICT_EACH);
	struct mqw_verdict_record v;
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	mqw_bind_int(&b, limit);
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = read_verdict(l, b.stmt, &v);
		if (r == 0)
			r = each(ctx, &v);
		if (r < 0)
			break;
	}
	mqw_ledger_end(&b);
	return r;
}
