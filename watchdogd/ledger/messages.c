/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define M(kind_, column_)                                                                          \
	{                                                                                          \
#column_, MQW_FIELD_##kind_, offsetof(struct mqw_message, column_), 0              \
	}

/* All that mqw_tracker_restore() needs; what is missing here is a link, or is made anew. */
static const struct mqw_field message_fields[] = {
	{"shown_as", MQW_FIELD_TEXT, offsetof(struct mqw_message, instance), 0},
	M(TEXT, sender),
	M(TEXT, message_id),
	M(TEXT, ndr_id),
	M(TEXT, former_id),
	M(TEXT, successor),
	M(TEXT, lost_how),
	M(U32, announced),
	{"place", MQW_FIELD_U8, offsetof(struct mqw_message, place), MQW_PLACE_COUNT},
	M(BOOL, opening_seen),
	M(BOOL, age_known),
	M(BOOL, queued),
	M(BOOL, held),
	M(BOOL, removed),
	M(BOOL, admin_removed),
	M(BOOL, admin_requeued),
	M(BOOL, discarded),
	M(BOOL, refused),
	M(BOOL, probe),
	M(BOOL, gave_up),
	M(BOOL, gave_up_forced),
	M(BOOL, file_lost),
	M(BOOL, queue_gone),
	{"reported", MQW_FIELD_U8, offsetof(struct mqw_message, reported), MQW_VERDICT_COUNT},
	M(TIME, opened_at),
	M(TIME, first_seen),
	M(TIME, last_seen),
	M(TIME, deferred_at),
	M(TIME, gave_up_at),
	M(TIME, requeued_at),
	M(TIME, gone_at),
	M(TIME, closed_at),
	M(TIME, retry_at),
	{"due_at", MQW_FIELD_TIME, offsetof(struct mqw_message, link.due_at), 0},
};

#define R(kind_, column_, member_, limit_)                                                         \
	{                                                                                          \
		column_, MQW_FIELD_##kind_, offsetof(struct mqw_recipient, member_), limit_        \
	}
#define STATUS_SIZE ((int64_t)sizeof(((struct mqw_recipient *)NULL)->status))

static const struct mqw_field recipient_fields[] = {
	R(TEXT, "address", address, 0),
	R(TEXT, "relay", relay, 0),
	R(TEXT, "reply", reply, 0),
	R(TEXT, "successor", successor, 0),
	R(BOOL, "successor_known", successor_known, 0),
	R(INLINE, "status", status, STATUS_SIZE),
	R(U16, "code", code, 0),
	R(U8, "state", state, MQW_RECIPIENT_COUNT),
	R(BOOL, "hasty", hasty, 0),
	R(U32, "attempts", attempts, 0),
	R(U8, "reported", reported, MQW_VERDICT_COUNT),
	R(TIME, "first_attempt", first_attempt, 0),
	R(TIME, "last_attempt", last_attempt, 0),
	R(U32, "first_source", first_seen_at.source, 0),
	R(U64, "first_line", first_seen_at.line, 0),
	R(U32, "last_source", last_seen_at.source, 0),
	R(U64, "last_line", last_seen_at.line, 0),
};

void mqw_message_insert_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "INSERT INTO message (instance, realm, queue_id, ");
	mqw_fields_add_columns(sql, "", message_fields, COUNT(message_fields));
	mqw_buffer_add_str(sql, ") VALUES (");
	mqw_fields_add_marks(sql, 3 + COUNT(message_fields));
	mqw_buffer_add_str(sql, ")");
}

/* Columns of a row: the message's id, number (NULL where it has no recipient), realm, queue id. */
enum { COLUMN_ID, COLUMN_NUMBER, COLUMN_REALM, COLUMN_QUEUE_ID, COLUMN_MESSAGE };
#define COLUMN_RECIPIENT (COLUMN_MESSAGE + (int)COUNT(message_fields))

/* One row a recipient: a query of its own for each message would take longer than all the rest. */
void mqw_message_each_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "SELECT m.id, r.number, m.realm, m.queue_id, ");
	mqw_fields_add_columns(sql, "m.", message_fields, COUNT(message_fields));
	mqw_buffer_add_str(sql, ", ");
	mqw_fields_add_columns(sql, "r.", recipient_fields, COUNT(recipient_fields));
	mqw_buffer_add_str(sql,
		" FROM message m LEFT JOIN recipient r ON r.message = m.id WHERE m.instance = ?"
		" ORDER BY m.opened_at, m.id, r.number");
}

void mqw_recipient_insert_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "INSERT INTO recipient (message, number, ");
	mqw_fields_add_columns(sql, "", recipient_fields, COUNT(recipient_fields));
	mqw_buffer_add_str(sql, ") VALUES (");
	mqw_fields_add_marks(sql, 2 + COUNT(recipient_fields));
	mqw_buffer_add_str(sql, ")");
}

/* Its recipients go with it, by the schema. */
static int delete_message(struct mqw_ledger *l, const char *instance, const struct mqw_message *m)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_MESSAGE_DELETE);

	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_slice(&b, mqw_slice_of(m->realm));
	mqw_bind_slice(&b, mqw_slice_of(m->queue_id));
	mqw_bind_time(&b, m->opened_at);
	mqw_bind_time(&b, m->first_seen);
	return mqw_ledger_run(l, &b);
}

static int insert_message(struct mqw_ledger *l, const char *instance, const struct mqw_message *m)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_MESSAGE_INSERT);

	mqw_bind_slice(&b, mqw_slice_of(instance));
	mqw_bind_slice(&b, mqw_slice_of(m->realm));
	mqw_bind_slice(&b, mqw_slice_of(m->queue_id));
	mqw_bind_fields(&b, message_fields, COUNT(message_fields), m);
	return mqw_ledger_run(l, &b);
}

static int insert_recipients(struct mqw_ledger *l, const struct mqw_message *m)
{
	int64_t message = sqlite3_last_insert_rowid(l->db), number = 0;
	int r = 0;

	for (const struct mqw_recipient *p = m->recipients; p && r == 0; p = p->next) {
		struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_RECIPIENT_INSERT);

		mqw_bind_int(&b, message);
		mqw_bind_int(&b, number++);
		mqw_bind_fields(&b, recipient_fields, COUNT(recipient_fields), p);
		r = mqw_ledger_run(l, &b);
	}
	return r;
}

int mqw_ledger_put_message(struct mqw_ledger *l, const char *instance, const struct mqw_message *m)
{
	bool alone = !l->in_batch;
	int r = alone ? mqw_ledger_begin(l) : mqw_ledger_writable(l);

	if (r < 0)
		return r;
	r = delete_message(l, instance, m);
	if (r == 0)
		r = insert_message(l, instance, m);
	if (r == 0)
		r = insert_recipients(l, m);
	/* After a failure this rolls back and gives the same error. */
	return alone ? mqw_ledger_commit(l) : r;
}

int mqw_ledger_delete_message(
	struct mqw_ledger *l, const char *instance, const struct mqw_message *m)
{
	int r = mqw_ledger_writable(l);

	return r < 0 ? r : delete_message(l, instance, m);
}

/* realm NUL queue_id, as the tracker has it. */
static int read_key(sqlite3_stmt *stmt, struct mqw_message *m, struct mqw_arena *arena)
{
	const char *realm = mqw_column_text(stmt, COLUMN_REALM);
	const char *id = mqw_column_text(stmt, COLUMN_QUEUE_ID);
	size_t realm_len, id_len;

	if (!realm || !id)
		return -EUCLEAN;
	realm_len = strlen(realm);
	id_len = strlen(id);
	m->key = mqw_arena_alloc(arena, realm_len + id_len + 2);
	if (!m->key)
		return -ENOMEM;
	memcpy(m->key, realm, realm_len);
	memcpy(m->key + realm_len + 1, id, id_len);
	m->link.key_len = (uint16_t)(realm_len + 1 + id_len);
	m->realm = m->key;
	m->queue_id = m->key + realm_len + 1;
	return 0;
}

static int read_recipient(sqlite3_stmt *stmt, struct mqw_message *m, struct mqw_arena *arena)
{
	struct mqw_recipient *p;
	int r;

	if (sqlite3_column_type(stmt, COLUMN_NUMBER) == SQLITE_NULL)
		return 0;
	p = mqw_arena_alloc(arena, sizeof(*p));
	if (!p)
		return -ENOMEM;
	r = mqw_column_fields(
		stmt, COLUMN_RECIPIENT, recipient_fields, COUNT(recipient_fields), p, arena);
	if (r < 0)
		return r;
	if (m->last_recipient)
		m->last_recipient->next = p;
	else
		m->recipients = p;
	m->last_recipient = p;
	m->recipient_count++;
	return 0;
}

static int read_message(sqlite3_stmt *stmt, struct mqw_message *m, struct mqw_arena *arena)
{
	int r;

	*m = (struct mqw_message){.link.heap_index = UINT32_MAX};
	r = read_key(stmt, m, arena);
	if (r == 0)
		r = mqw_column_fields(
			stmt, COLUMN_MESSAGE, message_fields, COUNT(message_fields), m, arena);
	return r;
}

/* Memory that is kept from one message to the next, so that most cost no call to malloc. */
#define ARENA_KEEP ((size_t)256 * 1024)

struct walk {
	struct mqw_ledger *ledger;
	int (*each)(void *ctx, const struct mqw_message *m);
	void *ctx;
	struct mqw_arena arena;
	struct mqw_message message; /* what has been read of it so far */
	int64_t id; /* its own; -1: none yet */
};

/* The message whose last row has been read. */
static int give(struct walk *w)
{
	int r = w->id < 0 ? 0 : w->each(w->ctx, &w->message);

	if (w->arena.total > ARENA_KEEP)
		mqw_arena_done(&w->arena);
	return r;
}

static int take_row(struct walk *w, sqlite3_stmt *stmt)
{
	int64_t id = sqlite3_column_int64(stmt, COLUMN_ID);
	int r = 0;

	if (id != w->id) {
		r = give(w);
		if (r < 0)
			return r;
		w->id = id;
		r = read_message(stmt, &w->message, &w->arena);
	}
	if (r == 0)
		r = read_recipient(stmt, &w->message, &w->arena);
	if (r == -EUCLEAN)
		mqw_ledger_fail_with(
			w->ledger, r, "message %lld holds a value out of range", (long long)id);
	return r;
}

int mqw_ledger_each_message(struct mqw_ledger *l, const char *instance,
	int (*each)(void *ctx, const struct mqw_message *m), void *ctx)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_MESSAGE_EACH);
	struct walk w = {.ledger = l, .each = each, .ctx = ctx, .id = -1};
	int r;

	if (sqlite3_stmt_busy(b.stmt))
		return -EINPROGRESS;
	mqw_bind_slice(&b, mqw_slice_of(instance));
	while ((r = mqw_ledger_step(l, &b)) > 0) {
		r = take_row(&w, b.stmt);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = give(&w);
	mqw_arena_done(&w.arena);
	mqw_ledger_end(&b);
	return r;
}
