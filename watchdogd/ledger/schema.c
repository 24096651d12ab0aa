/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>

#include "watchdogd/ledger/outbox.h"

/* "MQWL" in the file's header: tells our file from another program's. */
#define APPLICATION_ID 0x4d51574c

/*
 * Verdicts, states, places and action states are kept by number. A list that changes needs an
 * upgrade step that renumbers what is kept.
 */
_Static_assert(MQW_VERDICT_COUNT == 15, "verdict numbers are part of the schema");
_Static_assert(MQW_CONFIDENCE_COUNT == 3, "confidence numbers are part of the schema");
_Static_assert(MQW_RECIPIENT_COUNT == 10, "recipient states are part of the schema");
_Static_assert(MQW_PLACE_COUNT == 7, "places are part of the schema");
_Static_assert(MQW_ACTION_STATE_COUNT == 6, "action states are part of the schema");
_Static_assert(MQW_OUTBOX_STATE_COUNT == 4, "states of alerts are part of the schema");

/*
 * Step n brings a file from schema n to n + 1; a fresh file goes through all. A step that a
 * release has shipped never changes again. Times are microseconds since 1970, NULL unknown.
 */
static const char *const steps[] = {
	"CREATE TABLE position ("
	" instance TEXT NOT NULL,"
	" source TEXT NOT NULL,"
	" position BLOB NOT NULL,"
	" PRIMARY KEY (instance, source)"
	") WITHOUT ROWID;"

	"CREATE TABLE message ("
	" id INTEGER PRIMARY KEY,"
	" instance TEXT NOT NULL," /* the configured one */
	" realm TEXT NOT NULL,"
	" queue_id TEXT NOT NULL,"
	" shown_as TEXT," /* the log's own word for the instance */
	" sender TEXT, message_id TEXT, ndr_id TEXT, former_id TEXT, successor TEXT,"
	" lost_how TEXT,"
	" announced INTEGER NOT NULL,"
	" place INTEGER NOT NULL," /* enum mqw_place */
	" opening_seen INTEGER NOT NULL, age_known INTEGER NOT NULL, queued INTEGER NOT NULL, held "
	"INTEGER NOT NULL,"
	" removed INTEGER NOT NULL, admin_removed INTEGER NOT NULL,"
	" admin_requeued INTEGER NOT NULL, discarded INTEGER NOT NULL,"
	" refused INTEGER NOT NULL, probe INTEGER NOT NULL, gave_up INTEGER NOT NULL,"
	" gave_up_forced INTEGER NOT NULL, file_lost INTEGER NOT NULL,"
	" queue_gone INTEGER NOT NULL, reported INTEGER NOT NULL,"
	" opened_at INTEGER, first_seen INTEGER, last_seen INTEGER, deferred_at INTEGER,"
	" gave_up_at INTEGER, requeued_at INTEGER, gone_at INTEGER, closed_at INTEGER,"
	" retry_at INTEGER, due_at INTEGER"
	");"
	"CREATE UNIQUE INDEX message_identity ON message"
	" (instance, realm, queue_id, opened_at);"
	"CREATE INDEX message_order ON message (instance, opened_at);"

	"CREATE TABLE recipient ("
	" message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,"
	" number INTEGER NOT NULL," /* in order of appearance, from 0 */
	" address TEXT, relay TEXT, reply TEXT, successor TEXT,"
	" successor_known INTEGER NOT NULL,"
	" status TEXT NOT NULL,"
	" code INTEGER NOT NULL,"
	" state INTEGER NOT NULL," /* enum mqw_recipient_state */
	" hasty INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL,"
	" reported INTEGER NOT NULL," /* enum mqw_verdict */
	" first_attempt INTEGER, last_attempt INTEGER,"
	" first_source INTEGER NOT NULL, first_line INTEGER NOT NULL,"
	" last_source INTEGER NOT NULL, last_line INTEGER NOT NULL,"
	" PRIMARY KEY (message, number)"
	") WITHOUT ROWID;"

	"CREATE TABLE verdict ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" time INTEGER,"
	" instance TEXT NOT NULL,"
	" realm TEXT, queue_id TEXT, message_id TEXT, sender TEXT, recipient TEXT,"
	" relay TEXT, status TEXT, reply TEXT, ndr_id TEXT, reason TEXT, remedy TEXT,"
	" first_seen INTEGER, last_seen INTEGER,"
	" attempts INTEGER NOT NULL,"
	" code INTEGER NOT NULL,"
	" verdict INTEGER NOT NULL," /* enum mqw_verdict */
	" confidence INTEGER NOT NULL" /* enum mqw_confidence */
	");"

	"CREATE TABLE action ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" key TEXT NOT NULL UNIQUE,"
	" kind TEXT NOT NULL,"
	" rule TEXT NOT NULL,"
	" instance TEXT NOT NULL,"
	" queue_id TEXT NOT NULL,"
	" recipients TEXT NOT NULL,"
	" cause TEXT NOT NULL,"
	" detail TEXT NOT NULL,"
	" state INTEGER NOT NULL," /* enum mqw_action_state */
	" intended_at INTEGER NOT NULL,"
	" ended_at INTEGER"
	");"
	/* The words after WHERE stand in the queries too: that is how SQLite knows an index fits. */
	"CREATE INDEX action_budget ON action (rule, kind, intended_at)"
	" WHERE state NOT IN (3, 4);"
	"CREATE INDEX action_open ON action (id) WHERE state = 0;",

	/* Alerts to be sent: see ledger/outbox.h. */
	"CREATE TABLE alert ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" channel TEXT NOT NULL, rule TEXT NOT NULL, instance TEXT NOT NULL,"
	" token TEXT NOT NULL UNIQUE,"
	" detail TEXT NOT NULL,"
	" state INTEGER NOT NULL," /* enum mqw_outbox_state */
	" stage INTEGER NOT NULL, attempts INTEGER NOT NULL, findings INTEGER NOT NULL,"
	" opened_at INTEGER NOT NULL, latest_at INTEGER NOT NULL,"
	" sealed_at INTEGER, ended_at INTEGER,"
	" due_at INTEGER NOT NULL"
	");"
	"CREATE INDEX alert_cause ON alert (channel, rule, instance, id);"
	"CREATE INDEX alert_due ON alert (due_at) WHERE state < 2;"
	"CREATE TABLE alert_finding ("
	" id INTEGER PRIMARY KEY,"
	" alert INTEGER NOT NULL REFERENCES alert (id) ON DELETE CASCADE,"
	" key TEXT NOT NULL UNIQUE,"
	" verdict TEXT NOT NULL,"
	" content TEXT" /* JSON; NULL: only counted */
	");"
	"CREATE INDEX alert_finding_alert ON alert_finding (alert, id);",

	/* What the windows of rules count: see ledger/windows.h. */
	"CREATE TABLE rule_window ("
	" rule TEXT NOT NULL,"
	" conditions INTEGER NOT NULL," /* a hash, as the int64_t with the same bits */
	" key BLOB NOT NULL,"
	" entries TEXT NOT NULL,"
	" PRIMARY KEY (rule, conditions, key)"
	") WITHOUT ROWID;",

	/* What is known of the log itself: see track/memory.h. */
	"CREATE TABLE gap ("
	" id INTEGER PRIMARY KEY,"
	" instance TEXT NOT NULL,"
	" from_at INTEGER NOT NULL, to_at INTEGER NOT NULL,"
	" why TEXT NOT NULL"
	");"
	"CREATE TABLE hour ("
	" instance TEXT NOT NULL,"
	" hour INTEGER NOT NULL," /* since 1970 */
	" deferred INTEGER NOT NULL, followed INTEGER NOT NULL,"
	" PRIMARY KEY (instance, hour)"
	") WITHOUT ROWID;"
	"CREATE TABLE dropping ("
	" instance TEXT PRIMARY KEY,"
	" since INTEGER NOT NULL"
	") WITHOUT ROWID;",

	/*
	 * A message and its first recipient in one row, by a number that stays: see messages.c. id:
	 * the instance's number times 2^40, and the message's own.
	 */
	"CREATE TABLE instance (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
	"INSERT INTO instance (name) SELECT DISTINCT instance FROM message ORDER BY 1;"
	"CREATE TEMP TABLE numbered (former INTEGER PRIMARY KEY, id INTEGER NOT NULL);"
	"INSERT INTO temp.numbered SELECT m.id, (i.id << 40) |"
	" row_number() OVER (PARTITION BY m.instance ORDER BY m.opened_at, m.id)"
	" FROM message m JOIN instance i ON i.name = m.instance;"
	"ALTER TABLE message RENAME TO former_message;"
	"ALTER TABLE recipient RENAME TO former_recipient;"
	/*
	 * NOT NULL would be tested for each row at each start; who reads them tests all that.
	 */
	"CREATE TABLE message ("
	" id INTEGER PRIMARY KEY,"
	" recipients INTEGER," /* how many */
	" realm TEXT," /* NULL: "" */
	" queue_id TEXT,"
	" flags INTEGER," /* message_flags in messages.c */
	" place INTEGER," /* enum mqw_place */
	" reported INTEGER," /* enum mqw_verdict */
	" announced INTEGER,"
	" opened_at INTEGER, first_seen INTEGER, last_seen INTEGER, deferred_at INTEGER,"
	" gave_up_at INTEGER, requeued_at INTEGER, gone_at INTEGER, closed_at INTEGER,"
	" retry_at INTEGER,"
	" shown_as TEXT," /* the log's own word for the instance */
	" sender TEXT, message_id TEXT, ndr_id TEXT, former_id TEXT, successor TEXT,"
	" lost_how TEXT,"
	/* The first recipient; NULL where there is none. */
	" to_flags INTEGER, to_state INTEGER, to_reported INTEGER, to_code INTEGER,"
	" to_attempts INTEGER, to_first_attempt INTEGER, to_last_attempt INTEGER,"
	" to_first_source INTEGER, to_first_line INTEGER,"
	" to_last_source INTEGER, to_last_line INTEGER,"
	" to_status TEXT, to_address TEXT, to_relay TEXT, to_reply TEXT, to_successor TEXT"
	");"
	"CREATE TABLE recipient (" /* those after the first */
	" message INTEGER NOT NULL,"
	" number INTEGER NOT NULL," /* in order of appearance, from 1 */
	" flags INTEGER NOT NULL," /* recipient_flags in messages.c */
	" state INTEGER NOT NULL," /* enum mqw_recipient_state */
	" reported INTEGER NOT NULL," /* enum mqw_verdict */
	" code INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL,"
	" first_attempt INTEGER, last_attempt INTEGER,"
	" first_source INTEGER NOT NULL, first_line INTEGER NOT NULL,"
	" last_source INTEGER NOT NULL, last_line INTEGER NOT NULL,"
	" status TEXT NOT NULL,"
	" address TEXT, relay TEXT, reply TEXT, successor TEXT,"
	" PRIMARY KEY (message, number)"
	") WITHOUT ROWID;"
	"INSERT INTO message SELECT n.id,"
	" (SELECT count(*) FROM former_recipient WHERE message = m.id),"
	" nullif(m.realm, ''), m.queue_id,"
	" m.opening_seen | (m.age_known << 1) | (m.queued << 2) | (m.held << 3) | (m.removed << 4) "
	"|"
	" (m.admin_removed << 5) | (m.admin_requeued << 6) | (m.discarded << 7) | (m.refused << 8) "
	"|"
	" (m.probe << 9) | (m.gave_up << 10) | (m.gave_up_forced << 11) | (m.file_lost << 12) |"
	" (m.queue_gone << 13),"
	" m.place, m.reported, m.announced, m.opened_at, m.first_seen, m.last_seen,"
	" m.deferred_at, m.gave_up_at, m.requeued_at, m.gone_at, m.closed_at, m.retry_at,"
	" m.shown_as, m.sender, m.message_id, m.ndr_id, m.former_id, m.successor, m.lost_how,"
	" r.successor_known | (r.hasty << 1), r.state, r.reported, r.code, r.attempts,"
	" r.first_attempt, r.last_attempt, r.first_source, r.first_line, r.last_source,"
	" r.last_line, r.status, r.address, r.relay, r.reply, r.successor"
	" FROM temp.numbered n JOIN former_message m ON m.id = n.former"
	" LEFT JOIN former_recipient r ON r.message = m.id AND r.number = 0 ORDER BY n.id;"
	"INSERT INTO recipient SELECT n.id, r.number, r.successor_known | (r.hasty << 1), r.state,"
	" r.reported, r.code, r.attempts, r.first_attempt, r.last_attempt, r.first_source,"
	" r.first_line, r.last_source, r.last_line, r.status, r.address, r.relay, r.reply,"
	" r.successor FROM former_recipient r JOIN temp.numbered n ON n.former = r.message"
	" WHERE r.number > 0 ORDER BY n.id, r.number;"
	"DROP TABLE former_recipient; DROP TABLE former_message; DROP TABLE temp.numbered;",

	/* Totals, and as which verdict each recipient is in them (enum mqw_verdict). */
	"CREATE TABLE total ("
	" instance TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" value INTEGER NOT NULL,"
	" PRIMARY KEY (instance, name)"
	") WITHOUT ROWID;"
	"ALTER TABLE message ADD COLUMN counted INTEGER DEFAULT 0;"
	"ALTER TABLE message ADD COLUMN to_counted INTEGER DEFAULT 0;"
	"ALTER TABLE recipient ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;",

	/* What became of the messages that a restart was to free: see ledger/aftermath.h. */
	"CREATE TABLE aftermath ("
	" action INTEGER PRIMARY KEY REFERENCES action (id) ON DELETE CASCADE,"
	" content TEXT NOT NULL"
	");",
};

#define NEWEST ((int64_t)(sizeof(steps) / sizeof(steps[0])))

static int read_number(struct mqw_ledger *l, const char *sql, int64_t *ret)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(l->db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return mqw_ledger_fail(l, rc);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(stmt, 0);
		rc = SQLITE_OK;
	}
	if (rc != SQLITE_OK)
		rc = mqw_ledger_fail(l, rc);
	sqlite3_finalize(stmt);
	return rc;
}

static int run_step(struct mqw_ledger *l, int64_t step)
{
	struct mqw_buffer sql = {0};
	int rc;

	mqw_buffer_add_str(&sql, steps[step]);
	mqw_buffer_printf(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %lld;",
		APPLICATION_ID, (long long)step + 1);
	rc = sql.failed ? SQLITE_NOMEM : sqlite3_exec(l->db, sql.ptr, NULL, NULL, NULL);
	mqw_buffer_done(&sql);
	return rc == SQLITE_OK ? 0 : mqw_ledger_fail(l, rc);
}

/*
 * What is in the file: a number of ours, or nothing at all, or something foreign. The number stands
 * in the header: a newer version's tables are not even parsed, lest they pass for damage.
 */
static int read_version(struct mqw_ledger *l, int64_t *ret)
{
	int64_t application = 0;
	int r = read_number(l, "PRAGMA application_id", &application);

	if (r == 0)
		r = read_number(l, "PRAGMA user_version", ret);
	if (r < 0)
		return r;
	if (application != APPLICATION_ID && (application != 0 || *ret != 0))
		return mqw_ledger_fail_with(
			l, -EINVAL, "the file is a database of another program");
	if (*ret > NEWEST)
		return mqw_ledger_fail_with(l, -ENOTSUP,
			"the file has schema %lld and this program knows up to %lld: a newer "
			"version wrote it; run that one, or move the file away",
			(long long)*ret, (long long)NEWEST);
	return 0;
}

int mqw_schema_check(struct mqw_ledger *l)
{
	int64_t version = 0, tables = 0;
	int r = read_version(l, &version);

	if (r == 0)
		r = read_number(l, "SELECT count(*) FROM sqlite_master", &tables);
	if (r < 0 || (version > 0) == (tables > 0))
		return r;
	if (version == 0)
		return mqw_ledger_fail_with(
			l, -EINVAL, "the file is a database of another program");
	return mqw_ledger_fail_with(l, -EUCLEAN, "damaged: schema %lld with %lld tables",
		(long long)version, (long long)tables);
}

/* Read and raised in one transaction, so that two programs that start together agree. */
int mqw_schema_upgrade(struct mqw_ledger *l)
{
	int64_t version = 0, mode = 0;
	int r = read_version(l, &version), rc;

	if (r < 0 || version == NEWEST)
		return r;
	rc = sqlite3_exec(l->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return mqw_ledger_fail(l, rc);
	r = read_version(l, &version);
	for (; r == 0 && version < NEWEST; version++)
		r = run_step(l, version);
	if (r == 0) {
		rc = sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL);
		/* A file from before the setting takes it up so; without room for that it lives on. */
		if (rc == SQLITE_OK && read_number(l, "PRAGMA auto_vacuum", &mode) == 0 &&
			mode == 0)
			sqlite3_exec(l->db, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM", NULL, NULL,
				NULL);
		if (rc == SQLITE_OK)
			return 0;
		r = mqw_ledger_fail(l, rc);
	}
	sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}
