/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const statements[MQW_STATEMENT_COUNT] = {
	/* IMMEDIATE: a lock that another holds shows at the beginning, before any work is done. */
	[MQW_STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[MQW_STATEMENT_COMMIT] = "COMMIT",
	[MQW_STATEMENT_ROLLBACK] = "ROLLBACK",
	[MQW_STATEMENT_POSITION_PUT] =
		"INSERT INTO position (instance, source, position) VALUES (?, ?, ?)"
		" ON CONFLICT DO UPDATE SET position = excluded.position",
	[MQW_STATEMENT_POSITION_GET] =
		"SELECT position FROM position WHERE instance = ? AND source = ?",
	[MQW_STATEMENT_WINDOW_PUT] =
		"INSERT INTO rule_window (rule, conditions, key, entries) VALUES (?, ?, ?, ?)"
		" ON CONFLICT DO UPDATE SET entries = excluded.entries",
	[MQW_STATEMENT_WINDOW_FORGET] = "DELETE FROM rule_window WHERE ?1 IS NULL OR rule = ?1",
	[MQW_STATEMENT_WINDOW_EACH] = "SELECT rule, conditions, key, entries FROM rule_window",
	[MQW_STATEMENT_TOTAL_PUT] = "INSERT INTO total (instance, name, value) VALUES (?, ?, ?)"
				    " ON CONFLICT DO UPDATE SET value = excluded.value",
	[MQW_STATEMENT_TOTAL_GET] = "SELECT value FROM total WHERE instance = ? AND name = ?",
	[MQW_STATEMENT_INSTANCE_GET] = "SELECT id FROM instance WHERE name = ?",
	[MQW_STATEMENT_INSTANCE_ADD] = "INSERT INTO instance (name) VALUES (?)",
	[MQW_STATEMENT_MESSAGE_DELETE] = "DELETE FROM message WHERE id = ?",
	[MQW_STATEMENT_RECIPIENT_DELETE] = "DELETE FROM recipient WHERE message = ?",
	[MQW_STATEMENT_VERDICT_INSERT] =
		"INSERT INTO verdict (time, instance, realm, queue_id, message_id, sender,"
		" recipient, relay, status, reply, ndr_id, reason, remedy, first_seen, last_seen,"
		" attempts, code, verdict, confidence)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MQW_STATEMENT_VERDICT_EXPIRE] = "DELETE FROM verdict WHERE id <= ?",
	[MQW_STATEMENT_VERDICT_EACH] =
		"SELECT time, instance, realm, queue_id, message_id, sender, recipient, relay,"
		" status, reply, ndr_id, reason, remedy, first_seen, last_seen, attempts, code,"
		" verdict, confidence FROM verdict ORDER BY id DESC LIMIT ?",
	[MQW_STATEMENT_ACTION_KNOWN] = "SELECT id, state FROM action WHERE key = ?",
	[MQW_STATEMENT_ACTION_INSERT] =
		"INSERT INTO action (key, kind, rule, instance, queue_id, recipients, cause,"
		" intended_at, detail, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0)"
		" ON CONFLICT (key) DO NOTHING",
	/* 5: MQW_ACTION_STATE_UNCLEAR */
	[MQW_STATEMENT_ACTION_CONCLUDE] = "UPDATE action SET state = ?, ended_at = ?, detail = ?"
					  " WHERE id = ? AND state IN (0, 5)",
	/* 3, 4: MQW_ACTION_STATE_REFUSED, _OBSERVED: nothing was begun. */
	[MQW_STATEMENT_ACTION_COUNT] =
		"SELECT (SELECT count(*) FROM action WHERE rule = ?1 AND kind = ?2"
		" AND state NOT IN (3, 4) AND intended_at >= ?3),"
		" (SELECT max(intended_at) FROM action WHERE rule = ?1 AND kind = ?2"
		" AND state NOT IN (3, 4))",
#define ACTION_COLUMNS                                                                             \
	"SELECT id, key, kind, rule, instance, queue_id, recipients, cause, detail, state,"        \
	" intended_at, ended_at"
	[MQW_STATEMENT_ACTION_EACH] = ACTION_COLUMNS " FROM action ORDER BY id DESC LIMIT ?",
	[MQW_STATEMENT_ACTION_EACH_OPEN] =
		ACTION_COLUMNS " FROM action WHERE state = 0 ORDER BY id DESC LIMIT ?",
	[MQW_STATEMENT_AFTERMATH_PUT] = "INSERT INTO aftermath (action, content) VALUES (?, ?)"
					" ON CONFLICT DO UPDATE SET content = excluded.content",
	[MQW_STATEMENT_AFTERMATH_FORGET] = "DELETE FROM aftermath WHERE action = ?",
	[MQW_STATEMENT_AFTERMATH_EACH] = ACTION_COLUMNS
	", content FROM aftermath JOIN action ON action.id = aftermath.action ORDER BY id",
	[MQW_STATEMENT_OUTBOX_INSERT] =
		"INSERT INTO alert (channel, rule, instance, token, detail, state, stage,"
		" opened_at, latest_at, sealed_at, ended_at, due_at, attempts, findings)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
	[MQW_STATEMENT_OUTBOX_FINDING_INSERT] =
		"INSERT INTO alert_finding (alert, key, verdict, content) VALUES (?, ?, ?, ?)"
		" ON CONFLICT (key) DO NOTHING",
	[MQW_STATEMENT_OUTBOX_COUNT_UP] = "UPDATE alert SET findings = findings + 1,"
					  " latest_at = max(latest_at, ?) WHERE id = ?",
	/* States: 0 MQW_OUTBOX_GATHERING, 1 _WAITING, above them ended. */
	[MQW_STATEMENT_OUTBOX_SEAL] = "UPDATE alert SET state = 1, sealed_at = ?, due_at = ?"
				      " WHERE id = ? AND state = 0",
	[MQW_STATEMENT_OUTBOX_POSTPONE] =
		"UPDATE alert SET due_at = ?, detail = ?, attempts = attempts + 1"
		" WHERE id = ? AND state = 1",
	[MQW_STATEMENT_OUTBOX_END] = "UPDATE alert SET state = ?, ended_at = ?, detail = ?"
				     " WHERE id = ? AND state = 1",
	[MQW_STATEMENT_OUTBOX_EXPIRE] = "DELETE FROM alert WHERE state > 1 AND ended_at < ?",
#define OUTBOX_COLUMNS                                                                             \
	"SELECT id, channel, rule, instance, token, detail, state, stage, attempts, findings,"     \
	" opened_at, latest_at, sealed_at, ended_at, due_at FROM alert "
	[MQW_STATEMENT_OUTBOX_NEWEST] =
		OUTBOX_COLUMNS "WHERE channel = ? AND rule = ? AND instance = ?"
			       /* Not MQW_OUTBOX_APART. */
			       " AND stage < 4294967295 ORDER BY id DESC LIMIT 1",
	[MQW_STATEMENT_OUTBOX_EACH_DUE] = OUTBOX_COLUMNS
	"WHERE state < 2 AND (due_at <= ? OR due_at > ?) ORDER BY due_at, id LIMIT ?",
	[MQW_STATEMENT_OUTBOX_EACH_FINDING] =
		"SELECT content FROM alert_finding WHERE alert = ? AND content IS NOT NULL"
		" ORDER BY id",
	[MQW_STATEMENT_OUTBOX_EACH_VERDICT] =
		"SELECT verdict, count(*) FROM alert_finding WHERE alert = ?"
		" GROUP BY verdict ORDER BY 2 DESC, 1",
	[MQW_STATEMENT_OUTBOX_KNOWS] = "SELECT 1 FROM alert WHERE token = ?",
	/* The oldest have the lowest ids: no more than these are looked at. 0: an intent. */
	[MQW_STATEMENT_ACTION_EXPIRE] =
		"DELETE FROM action WHERE id IN (SELECT id FROM (SELECT id, state, ended_at"
		" FROM action ORDER BY id LIMIT ?) WHERE state <> 0 AND ended_at < ?)",
	[MQW_STATEMENT_FREE_PAGES] = "PRAGMA freelist_count",
	[MQW_STATEMENT_VACUUM] = "PRAGMA incremental_vacuum(100)",
	[MQW_STATEMENT_GAP_CLEAR] = "DELETE FROM gap WHERE instance = ?",
	[MQW_STATEMENT_GAP_INSERT] =
		"INSERT INTO gap (instance, from_at, to_at, why) VALUES (?, ?, ?, ?)",
	[MQW_STATEMENT_GAP_EACH] =
		"SELECT from_at, to_at, why FROM gap WHERE instance = ? ORDER BY id",
	[MQW_STATEMENT_HOUR_PUT] =
		"INSERT INTO hour (instance, hour, deferred, followed) VALUES (?, ?, ?, ?)"
		" ON CONFLICT DO UPDATE SET deferred = excluded.deferred,"
		" followed = excluded.followed",
	[MQW_STATEMENT_HOUR_FORGET] = "DELETE FROM hour WHERE instance = ? AND hour < ?",
	[MQW_STATEMENT_HOUR_EACH] =
		"SELECT hour, deferred, followed FROM hour WHERE instance = ? ORDER BY hour",
	[MQW_STATEMENT_DROPPING_PUT] = "INSERT INTO dropping (instance, since) VALUES (?, ?)"
				       " ON CONFLICT DO UPDATE SET since = excluded.since",
	[MQW_STATEMENT_DROPPING_CLEAR] = "DELETE FROM dropping WHERE instance = ?",
	[MQW_STATEMENT_DROPPING_GET] = "SELECT since FROM dropping WHERE instance = ?",
};

/* These are made of the field tables in messages.c. */
static const struct {
	enum mqw_statement which;
	void (*make)(struct mqw_buffer *sql);
} made[] = {
	{MQW_STATEMENT_MESSAGE_PUT, mqw_message_put_sql},
	{MQW_STATEMENT_MESSAGE_EACH, mqw_message_each_sql},
	{MQW_STATEMENT_RECIPIENT_PUT, mqw_recipient_put_sql},
	{MQW_STATEMENT_RECIPIENT_EACH, mqw_recipient_each_sql},
};

static int prepare(struct mqw_ledger *l, enum mqw_statement which, const char *sql)
{
	int rc = sqlite3_prepare_v3(
		l->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &l->statements[which], NULL);

	/* The text is ours and right: when it does not compile, a table is not what it was. */
	if (rc == SQLITE_ERROR)
		return mqw_ledger_fail_with(l, -EUCLEAN, "%s", sqlite3_errmsg(l->db));
	return rc == SQLITE_OK ? 0 : mqw_ledger_fail(l, rc);
}

int mqw_statements_prepare(struct mqw_ledger *l)
{
	struct mqw_buffer sql = {0};
	int r = 0;

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]) && r == 0; i++) {
		mqw_buffer_clear(&sql);
		made[i].make(&sql);
		r = sql.failed ? mqw_ledger_fail(l, SQLITE_NOMEM)
			       : prepare(l, made[i].which, sql.ptr);
	}
	mqw_buffer_done(&sql);
	for (size_t i = 0; i < MQW_STATEMENT_COUNT && r == 0; i++)
		if (statements[i])
			r = prepare(l, (enum mqw_statement)i, statements[i]);
	return r;
}

void mqw_statements_finalize(struct mqw_ledger *l)
{
	for (size_t i = 0; i < MQW_STATEMENT_COUNT; i++) {
		sqlite3_finalize(l->statements[i]);
		l->statements[i] = NULL;
	}
}

/* The errno behind an input or output error, where there is one worth telling. */
static int system_error(const struct mqw_ledger *l, int otherwise)
{
	int e = sqlite3_system_errno(l->db);

	switch (e) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case EROFS:
	case EACCES:
	case ENOENT:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return -e;
	case EPERM:
		return -EACCES;
	default:
		return otherwise;
	}
}

static int error_of(const struct mqw_ledger *l, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT: /* no caller can cause one: what is kept breaks the rules */
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : system_error(l, -EIO);
	default:
		return system_error(l, -EIO);
	}
}

static int fail(struct mqw_ledger *l, int error)
{
	if (l->in_batch && !l->batch_error)
		l->batch_error = error;
	return error;
}

int mqw_ledger_fail(struct mqw_ledger *l, int rc)
{
	snprintf(l->error, sizeof(l->error), "%s (SQLite %d)", sqlite3_errmsg(l->db), rc);
	return fail(l, error_of(l, rc));
}

int mqw_ledger_fail_with(struct mqw_ledger *l, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(l->error, sizeof(l->error), format, ap);
	va_end(ap);
	return fail(l, error);
}

int mqw_ledger_writable(const struct mqw_ledger *l)
{
	return l->in_batch ? l->batch_error : 0;
}

struct mqw_binder mqw_bind(struct mqw_ledger *l, enum mqw_statement which)
{
	return (struct mqw_binder){.stmt = l->statements[which]};
}

static void note(struct mqw_binder *b, int rc)
{
	if (b->rc == SQLITE_OK)
		b->rc = rc;
}

void mqw_bind_slice(struct mqw_binder *b, struct mqw_slice s)
{
	note(b,
		sqlite3_bind_text64(b->stmt, ++b->count, s.len ? s.ptr : "", s.len, SQLITE_STATIC,
			SQLITE_UTF8));
}

void mqw_bind_text(struct mqw_binder *b, const char *s)
{
	if (s)
		mqw_bind_slice(b, mqw_slice_of(s));
	else
		note(b, sqlite3_bind_null(b->stmt, ++b->count));
}

void mqw_bind_int(struct mqw_binder *b, int64_t value)
{
	note(b, sqlite3_bind_int64(b->stmt, ++b->count, value));
}

void mqw_bind_time(struct mqw_binder *b, int64_t time)
{
	if (time == MQW_TIME_NONE)
		note(b, sqlite3_bind_null(b->stmt, ++b->count));
	else
		mqw_bind_int(b, time);
}

int mqw_ledger_step(struct mqw_ledger *l, const struct mqw_binder *b)
{
	int rc = b->rc == SQLITE_OK ? sqlite3_step(b->stmt) : b->rc;

	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : mqw_ledger_fail(l, rc);
}

/* The bindings point at the caller's memory: they go too. */
void mqw_ledger_end(const struct mqw_binder *b)
{
	sqlite3_reset(b->stmt);
	sqlite3_clear_bindings(b->stmt);
}

int mqw_ledger_run(struct mqw_ledger *l, const struct mqw_binder *b)
{
	int r = mqw_ledger_step(l, b);

	mqw_ledger_end(b);
	return r;
}

const char *mqw_column_text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

/*
 * The type is asked for only where the value leaves it open: each call counts, with forty columns
 * in each of a million rows. What is not a number reads as 0.
 */
int64_t mqw_column_time(sqlite3_stmt *stmt, int column)
{
	int64_t n = sqlite3_column_int64(stmt, column);

	return n == 0 && sqlite3_column_type(stmt, column) == SQLITE_NULL ? MQW_TIME_NONE : n;
}

int64_t mqw_column_number(sqlite3_stmt *stmt, int column, int64_t max, bool *bad)
{
	int64_t n = sqlite3_column_int64(stmt, column);

	if (n > 0 ? n <= max : n == 0 && sqlite3_column_type(stmt, column) == SQLITE_INTEGER)
		return n;
	*bad = true;
	return 0;
}
