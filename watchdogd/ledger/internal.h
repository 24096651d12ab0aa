/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the ledger share: its statements, made once, and the way in which values go in
 * and errors come out. Not for inclusion outside this folder.
 */
#ifndef MQW_LEDGER_INTERNAL_H
#define MQW_LEDGER_INTERNAL_H

#include <sqlite3.h>

#include "watchdogd/base/arena.h"
#include "watchdogd/ledger/ledger.h"

enum mqw_statement {
	MQW_STATEMENT_BEGIN,
	MQW_STATEMENT_COMMIT,
	MQW_STATEMENT_ROLLBACK,
	MQW_STATEMENT_POSITION_PUT,
	MQW_STATEMENT_POSITION_GET,
	MQW_STATEMENT_WINDOW_PUT,
	MQW_STATEMENT_WINDOW_FORGET,
	MQW_STATEMENT_WINDOW_EACH,
	MQW_STATEMENT_INSTANCE_GET,
	MQW_STATEMENT_INSTANCE_ADD,
	MQW_STATEMENT_MESSAGE_PUT,
	MQW_STATEMENT_TOTAL_PUT,
	MQW_STATEMENT_TOTAL_GET,
	MQW_STATEMENT_MESSAGE_DELETE,
	MQW_STATEMENT_MESSAGE_EACH,
	MQW_STATEMENT_RECIPIENT_PUT,
	MQW_STATEMENT_RECIPIENT_DELETE,
	MQW_STATEMENT_RECIPIENT_EACH,
	MQW_STATEMENT_VERDICT_INSERT,
	MQW_STATEMENT_VERDICT_EXPIRE,
	MQW_STATEMENT_VERDICT_EACH,
	MQW_STATEMENT_ACTION_KNOWN,
	MQW_STATEMENT_ACTION_INSERT,
	MQW_STATEMENT_ACTION_CONCLUDE,
	MQW_STATEMENT_ACTION_COUNT,
	MQW_STATEMENT_ACTION_EACH,
	MQW_STATEMENT_ACTION_EACH_OPEN,
	MQW_STATEMENT_AFTERMATH_PUT,
	MQW_STATEMENT_AFTERMATH_FORGET,
	MQW_STATEMENT_AFTERMATH_EACH,
	MQW_STATEMENT_OUTBOX_INSERT,
	MQW_STATEMENT_OUTBOX_FINDING_INSERT,
	MQW_STATEMENT_OUTBOX_COUNT_UP,
	MQW_STATEMENT_OUTBOX_SEAL,
	MQW_STATEMENT_OUTBOX_POSTPONE,
	MQW_STATEMENT_OUTBOX_END,
	MQW_STATEMENT_OUTBOX_EXPIRE,
	MQW_STATEMENT_OUTBOX_NEWEST,
	MQW_STATEMENT_OUTBOX_EACH_DUE,
	MQW_STATEMENT_OUTBOX_EACH_FINDING,
	MQW_STATEMENT_OUTBOX_EACH_VERDICT,
	MQW_STATEMENT_OUTBOX_KNOWS,
	MQW_STATEMENT_ACTION_EXPIRE,
	MQW_STATEMENT_FREE_PAGES,
	MQW_STATEMENT_VACUUM,
	MQW_STATEMENT_GAP_CLEAR,
	MQW_STATEMENT_GAP_INSERT,
	MQW_STATEMENT_GAP_EACH,
	MQW_STATEMENT_HOUR_PUT,
	MQW_STATEMENT_HOUR_FORGET,
	MQW_STATEMENT_HOUR_EACH,
	MQW_STATEMENT_DROPPING_PUT,
	MQW_STATEMENT_DROPPING_CLEAR,
	MQW_STATEMENT_DROPPING_GET,
	MQW_STATEMENT_COUNT
};

struct mqw_checkpoints;

struct mqw_ledger {
	sqlite3 *db;
	struct mqw_checkpoints *checkpoints;
	sqlite3_stmt *statements[MQW_STATEMENT_COUNT];
	int64_t instance; /* the one that was asked for last, 0 none, and */
	char instance_name[64];
	bool in_batch;
	int batch_error; /* negative errno of the first failure in the batch, 0 none */
	char error[256];
};

/*
 * A column and the struct member that it keeps. Lists and statements are made from one table, so
 * that a column cannot be put in one place and read from another.
 */
enum mqw_field_kind {
	MQW_FIELD_TEXT, /* char *; NULL is NULL */
	MQW_FIELD_INLINE, /* char[limit] */
	MQW_FIELD_TIME, /* int64_t; MQW_TIME_NONE is NULL */
	MQW_FIELD_FLAGS, /* bools in one number, the first of flags the lowest bit; limit of them */
	MQW_FIELD_U8, /* below limit: enums that index tables elsewhere */
	MQW_FIELD_U16,
	MQW_FIELD_U32,
	MQW_FIELD_U64, /* as the int64_t with the same bits */
};

struct mqw_field {
	const char *column;
	enum mqw_field_kind kind;
	size_t offset;
	int64_t limit;
	const size_t *flags; /* offsets of bools */
};

/* Values bound one after the other; the first failure is kept for mqw_ledger_run(). */
struct mqw_binder {
	sqlite3_stmt *stmt;
	int count;
	int rc;
};

/* Whether the file is ours and of a schema that we know. Errors as mqw_ledger_open(). */
int mqw_schema_check(struct mqw_ledger *l);
/* Brings an open database to the newest schema. Errors as mqw_ledger_open(). */
int mqw_schema_upgrade(struct mqw_ledger *l);

/* checkpoint.c: from now on what the journal gathers is brought into the file. 0 or -ENOMEM. */
int mqw_checkpoints_begin(struct mqw_ledger *l, const char *path);
/* Waits for the one that is under way. */
void mqw_checkpoints_end(struct mqw_ledger *l);

/* Makes the statements. -EUCLEAN when the tables are not what the schema's number says. */
int mqw_statements_prepare(struct mqw_ledger *l);
void mqw_statements_finalize(struct mqw_ledger *l);

/* Adds "p_a, p_b, p_c" (prefix "p_", or "") or "?, ?, ?" for a list of fields to the text of a statement. */
void mqw_fields_add_columns(
	struct mqw_buffer *sql, const char *prefix, const struct mqw_field *fields, size_t count);
void mqw_fields_add_marks(struct mqw_buffer *sql, size_t count);
void mqw_message_put_sql(struct mqw_buffer *sql);
void mqw_message_each_sql(struct mqw_buffer *sql);
void mqw_recipient_put_sql(struct mqw_buffer *sql);
void mqw_recipient_each_sql(struct mqw_buffer *sql);

/* The number of an instance, made when wanted. 1; 0 when there is none; negative errno. */
int mqw_ledger_instance(struct mqw_ledger *l, const char *name, bool make, int64_t *ret);

/* Turns an SQLite code into a negative errno, keeping its message; a batch fails with it. */
int mqw_ledger_fail(struct mqw_ledger *l, int rc);
/* The same for a failure of our own finding. */
int mqw_ledger_fail_with(struct mqw_ledger *l, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* 0, or the error with which the batch has failed already: nothing more may be written in it. */
int mqw_ledger_writable(const struct mqw_ledger *l);

struct mqw_binder mqw_bind(struct mqw_ledger *l, enum mqw_statement which);
void mqw_bind_slice(struct mqw_binder *b, struct mqw_slice s);
void mqw_bind_text(struct mqw_binder *b, const char *s); /* NULL is NULL */
void mqw_bind_int(struct mqw_binder *b, int64_t value);
void mqw_bind_time(struct mqw_binder *b, int64_t time); /* MQW_TIME_NONE is NULL */
void mqw_bind_fields(
	struct mqw_binder *b, const struct mqw_field *fields, size_t count, const void *base);

/* Runs a statement that gives no row and makes it ready for its next use. */
int mqw_ledger_run(struct mqw_ledger *l, const struct mqw_binder *b);
/* The same, and what it and every batch before it wrote is on the disk when this returns. */
int mqw_ledger_run_durable(struct mqw_ledger *l, const struct mqw_binder *b);
/* 1 at a row, 0 at the end, negative errno. The caller ends with mqw_ledger_end(). */
int mqw_ledger_step(struct mqw_ledger *l, const struct mqw_binder *b);
void mqw_ledger_end(const struct mqw_binder *b);

/* Column values, valid until the next step. */
const char *mqw_column_text(sqlite3_stmt *stmt, int column); /* NULL for NULL */
int64_t mqw_column_time(sqlite3_stmt *stmt, int column);
/* A number within 0..max; anything else is damage: then *bad is set and 0 is given. */
int64_t mqw_column_number(sqlite3_stmt *stmt, int column, int64_t max, bool *bad);

/*
 * Reads fields from the column on; strings go to the arena, or, when that is NULL, are valid until
 * the next step. 0, -EUCLEAN, -ENOMEM.
 */
int mqw_column_fields(sqlite3_stmt *stmt, int column, const struct mqw_field *fields, size_t count,
	void *base, struct mqw_arena *strings);

#endif
