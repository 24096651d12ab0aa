/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages in the ledger. One row holds a message and its first recipient, which most often is its
 * only one: what changes is one row in one place, and a million of them are read in one pass. Its
 * key is the tracker's number of it, so that it stays where it is and needs no index.
 */
#include "watchdogd/ledger/internal.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NUMBER_BITS 40

#define M(kind_, column_)                                                                          \
	{                                                                                          \
		.column = #column_, .kind = MQW_FIELD_##kind_,                                     \
		.offset = offsetof(struct mqw_message, column_)                                    \
	}
#define U8(type_, column_, limit_)                                                                 \
	{                                                                                          \
		.column = #column_, .kind = MQW_FIELD_U8, .offset = offsetof(type_, column_),      \
		.limit = limit_                                                                    \
	}
#define FLAGS(list_)                                                                               \
	{                                                                                          \
		.column = "flags", .kind = MQW_FIELD_FLAGS, .flags = list_, .limit = COUNT(list_)  \
	}

/* The order is part of the schema; new ones go to the end. */
static const size_t message_flags[] = {offsetof(struct mqw_message, opening_seen),
	offsetof(struct mqw_message, age_known), offsetof(struct mqw_message, queued),
	offsetof(struct mqw_message, held), offsetof(struct mqw_message, removed),
	offsetof(struct mqw_message, admin_removed), offsetof(struct mqw_message, admin_requeued),
	offsetof(struct mqw_message, discarded), offsetof(struct mqw_message, refused),
	offsetof(struct mqw_message, probe), offsetof(struct mqw_message, gave_up),
	offsetof(struct mqw_message, gave_up_forced), offsetof(struct mqw_message, file_lost),
	offsetof(struct mqw_message, queue_gone), offsetof(struct mqw_message, taken_on)};

/* All that mqw_tracker_restore() needs; what is missing here is a link, or is made anew. */
static const struct mqw_field message_fields[] = {
	FLAGS(message_flags),
	U8(struct mqw_message, place, MQW_PLACE_COUNT),
	U8(struct mqw_message, reported, MQW_VERDICT_COUNT),
	U8(struct mqw_message, counted, MQW_VERDICT_COUNT),
	M(U32, announced),
	M(TIME, opened_at),
	M(TIME, first_seen),
	M(TIME, last_seen),
	M(TIME, deferred_at),
	M(TIME, gave_up_at),
	M(TIME, requeued_at),
	M(TIME, gone_at),
	M(TIME, closed_at),
	M(TIME, retry_at),
	{.column = "shown_as",
		.kind = MQW_FIELD_TEXT,
		.offset = offsetof(struct mqw_message, instance)},
	M(TEXT, sender),
	M(TEXT, message_id),
	M(TEXT, ndr_id),
	M(TEXT, former_id),
	M(TEXT, successor),
	M(TEXT, lost_how),
};

#define R(kind_, column_, member_)                                                                 \
	{                                                                                          \
		.column = column_, .kind = MQW_FIELD_##kind_,                                      \
		.offset = offsetof(struct mqw_recipient, member_)                                  \
	}
#define STATUS_SIZE ((int64_t)sizeof(((struct mqw_recipient *)NULL)->status))

static const size_t recipient_flags[] = {offsetof(struct mqw_recipient, successor_known),
	offsetof(struct mqw_recipient, hasty), offsetof(struct mqw_recipient, doubtful)};

static const struct mqw_field recipient_fields[] = {
	FLAGS(recipient_flags),
	U8(struct mqw_recipient, state, MQW_RECIPIENT_COUNT),
	U8(struct mqw_recipient, reported, MQW_VERDICT_COUNT),
	U8(struct mqw_recipient, counted, MQW_VERDICT_COUNT),
	R(U16, "code", code),
	R(U32, "attempts", attempts),
	R(TIME, "first_attempt", first_attempt),
	R(TIME, "last_attempt", last_attempt),
	R(U32, "first_source", first_seen_at.source),
	R(U64, "first_line", first_seen_at.line),
	R(U32, "last_source", last_seen_at.source),
	R(U64, "last_line", last_seen_at.line),
	{.column = "status",
		.kind = MQW_FIELD_INLINE,
		.offset = offsetof(struct mqw_recipient, status),
		.limit = STATUS_SIZE},
	R(TEXT, "address", address),
	R(TEXT, "relay", relay),
	R(TEXT, "reply", reply),
	R(TEXT, "successor", successor),
};

/* Columns of a row of message, as it is read. */
enum { COLUMN_ID, COLUMN_RECIPIENTS, COLUMN_REALM, COLUMN_QUEUE_ID, COLUMN_MESSAGE };
#define COLUMN_FIRST (COLUMN_MESSAGE + (int)COUNT(message_fields))
/* And of recipient. */
enum { COLUMN_OF, COLUMN_NUMBER, COLUMN_RECIPIENT };

static void add_message_columns(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "id, recipients, realm, queue_id, ");
	mqw_fields_add_columns(sql, "", message_fields, COUNT(message_fields));
	mqw_buffer_add_str(sql, ", ");
	mqw_fields_add_columns(sql, "to_", recipient_fields, COUNT(recipient_fields));
}

void mqw_message_put_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "INSERT OR REPLACE INTO message (");
	add_message_columns(sql);
	mqw_buffer_add_str(sql, ") VALUES (");
	mqw_fields_add_marks(sql, COLUMN_MESSAGE + COUNT(message_fields) + COUNT(recipient_fields));
	mqw_buffer_add_str(sql, ")");
}

void mqw_message_each_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "SELECT ");
	add_message_columns(sql);
	mqw_buffer_add_str(sql, " FROM message WHERE id BETWEEN ? AND ? ORDER BY id");
}

void mqw_recipient_put_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "INSERT OR REPLACE INTO recipient (message, number, ");
	mqw_fields_add_columns(sql, "", recipient_fields, COUNT(recipient_fields));
	mqw_buffer_add_str(sql, ") VALUES (");
	mqw_fields_add_marks(sql, COLUMN_RECIPIENT + COUNT(recipient_fields));
	mqw_buffer_add_str(sql, ")");
}

void mqw_recipient_each_sql(struct mqw_buffer *sql)
{
	mqw_buffer_add_str(sql, "SELECT message, number, ");
	mqw_fields_add_columns(sql, "", recipient_fields, COUNT(recipient_fields));
	mqw_buffer_add_str(
		sql, " FROM recipient WHERE message BETWEEN ? AND ? ORDER BY message, number");
}

/* The key of a message: its instance's number, then its own. */
static int key_of(
	struct mqw_ledger *l, const char *instance, bool make, uint64_t number, int64_t *ret)
{
	int64_t id;
	int r = mqw_ledger_instance(l, instance, make, &id);

	if (r <= 0)
		return r;
	if (!number || number >> NUMBER_BITS)
		return mqw_ledger_fail_with(
			l, -EINVAL, "%llu is no number of a message", (unsigned long long)number);
	*ret = id << NUMBER_BITS | (int64_t)number;
	return 1;
}

static int put_row(struct mqw_ledger *l, int64_t key, const struct mqw_message *m)
{
	struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_MESSAGE_PUT);

	mqw_bind_int(&b, key);
	mqw_bind_int(&b, m->recipient_count);
	mqw_bind_text(&b, m->realm[0] ? m->realm : NULL);
	mqw_bind_text(&b, m->queue_id);
	mqw_bind_fields(&b, message_fields, COUNT(message_fields), m);
	/* Without a recipient its columns stay NULL. */
	if (m->recipients)
		mqw_bind_fields(&b, recipient_fields, COUNT(recipient_fields), m->recipients);
	return mqw_ledger_run(l, &b);
}

static int put_further(struct mqw_ledger *l, int64_t key, const struct mqw_message *m)
{
	const struct mqw_recipient *p = m->recipients ? m->recipients->next : NULL;
	int64_t number = 1;
	int r = 0;

	for (; p && r == 0; p = p->next) {
		struct mqw_binder b = mqw_bind(l, MQW_STATEMENT_RECIPIENT_PUT);

		mqw_bind_int(&b, key);
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
	int64_t key = 0;

	if (r < 0)
		return r;
	r = key_of(l, instance, true, m->number, &key);
	if (r > 0) {
		r = put_row(l, key, m);
		if (r == 0)
			r = put_further(l, key, m);
	}
	/* After a failure this rolls back and gives the same error. */
	return alone ? mqw_ledger_commit(l) : r;
}

static int run_with_key(struct mqw_ledger *l, enum mqw_statement which, int64_t key)
{
	struct mqw_binder b = mqw_bind(l, which);

	mqw_bind_int(&b, key);
	return mqw_ledger_run(l, &b);
}

int mqw_ledger_delete_message(struct mqw_ledger *l, const char *instance, uint64_t number)
{
	bool alone = !l->in_batch;
	int r = alone ? mqw_ledger_begin(l) : mqw_ledger_writable(l);
	int64_t key = 0;

	if (r < 0)
		return r;
	r = key_of(l, instance, false, number, &key);
	/* 0: of an instance that has nothing in the ledger. */
	if (r > 0) {
		r = run_with_key(l, MQW_STATEMENT_MESSAGE_DELETE, key);
		if (r == 0)
			r = run_with_key(l, MQW_STATEMENT_RECIPIENT_DELETE, key);
	}
	return alone ? mqw_ledger_commit(l) : r;
}

struct walk {
	struct mqw_ledger *ledger;
	struct mqw_binder messages, recipients;
	int more; /* recipients has a row that nobody has taken yet */
	struct mqw_buffer key;
	struct mqw_arena arena; /* of recipients beyond the first */
};

/* Memory that is kept from one message to the next, so that most cost no call to malloc. */
#define ARENA_KEEP ((size_t)256 * 1024)

/* realm NUL queue_id, as the tracker has it. */
static int read_key(struct walk *w, struct mqw_message *m)
{
	sqlite3_stmt *stmt = w->messages.stmt;
	struct mqw_slice realm = mqw_slice_of(mqw_column_text(stmt, COLUMN_REALM));
	const char *id = mqw_column_text(stmt, COLUMN_QUEUE_ID);

	if (!id)
		return -EUCLEAN;
	mqw_buffer_clear(&w->key);
	mqw_buffer_add(&w->key, realm);
	mqw_buffer_add(&w->key, mqw_slice("", 1));
	mqw_buffer_add_str(&w->key, id);
	if (w->key.failed)
		return -ENOMEM;
	if (w->key.len > UINT16_MAX)
		return -EUCLEAN;
	m->key = w->key.ptr;
	m->link.key_len = (uint16_t)w->key.len;
	m->realm = m->key;
	m->queue_id = m->key + realm.len + 1;
	return 0;
}

static void append(struct mqw_message *m, struct mqw_recipient *p)
{
	if (m->last_recipient)
		m->last_recipient->next = p;
	else
		m->recipients = p;
	m->last_recipient = p;
	m->recipient_count++;
}

/* Both walks go in the order of the keys: the rows of this message come next, if there are any. */
static int read_further(struct walk *w, int64_t key, struct mqw_message *m, int64_t wanted)
{
	sqlite3_stmt *stmt = w->recipients.stmt;
	struct mqw_recipient *p;
	int r;

	while (w->more > 0 && sqlite3_column_int64(stmt, COLUMN_OF) <= key) {
		if (sqlite3_column_int64(stmt, COLUMN_OF) == key) {
			p = mqw_arena_alloc(&w->arena, sizeof(*p));
			r = p ? mqw_column_fields(stmt, COLUMN_RECIPIENT, recipient_fields,
					COUNT(recipient_fields), p, &w->arena)
			      : -ENOMEM;
			if (r < 0)
				return r;
			append(m, p);
		}
		w->more = mqw_ledger_step(w->ledger, &w->recipients);
	}
	return w->more < 0 ? w->more : m->recipient_count == wanted ? 0 : -EUCLEAN;
}

static int read_message(
	struct walk *w, int64_t key, struct mqw_message *m, struct mqw_recipient *first)
{
	sqlite3_stmt *stmt = w->messages.stmt;
	bool bad = false;
	int64_t wanted = mqw_column_number(stmt, COLUMN_RECIPIENTS, UINT32_MAX, &bad);
	int r = bad ? -EUCLEAN : read_key(w, m);

	if (r == 0)
		r = mqw_column_fields(
			stmt, COLUMN_MESSAGE, message_fields, COUNT(message_fields), m, NULL);
	if (r < 0 || wanted == 0)
		return r;
	r = mqw_column_fields(
		stmt, COLUMN_FIRST, recipient_fields, COUNT(recipient_fields), first, NULL);
	if (r < 0)
		return r;
	append(m, first);
	return wanted == 1 ? 0 : read_further(w, key, m, wanted);
}

static int take_row(struct walk *w, int (*each)(void *ctx, const struct mqw_message *m), void *ctx)
{
	int64_t key = sqlite3_column_int64(w->messages.stmt, COLUMN_ID);
	struct mqw_recipient first = {0};
	struct mqw_message m = {.link.heap_index = UINT32_MAX,
		.link.due_at = INT64_MAX,
		.number = (uint64_t)key & ((UINT64_C(1) << NUMBER_BITS) - 1)};
	int r = read_message(w, key, &m, &first);

	if (r == -EUCLEAN)
		mqw_ledger_fail_with(w->ledger, r, "message %lld holds a value out of range",
			(long long)m.number);
	if (r == 0)
		r = each(ctx, &m);
	if (w->arena.total > ARENA_KEEP)
		mqw_arena_done(&w->arena);
	return r;
}

static int walk(struct walk *w, int64_t instance,
	int (*each)(void *ctx, const struct mqw_message *m), void *ctx)
{
	int64_t first = instance << NUMBER_BITS, last = ((instance + 1) << NUMBER_BITS) - 1;
	int r;

	mqw_bind_int(&w->messages, first);
	mqw_bind_int(&w->messages, last);
	mqw_bind_int(&w->recipients, first);
	mqw_bind_int(&w->recipients, last);
	w->more = mqw_ledger_step(w->ledger, &w->recipients);
	if (w->more < 0)
		return w->more;
	while ((r = mqw_ledger_step(w->ledger, &w->messages)) > 0) {
		r = take_row(w, each, ctx);
		if (r < 0)
			return r;
	}
	return r;
}

int mqw_ledger_each_message(struct mqw_ledger *l, const char *instance,
	int (*each)(void *ctx, const struct mqw_message *m), void *ctx)
{
	struct walk w = {.ledger = l,
		.messages = mqw_bind(l, MQW_STATEMENT_MESSAGE_EACH),
		.recipients = mqw_bind(l, MQW_STATEMENT_RECIPIENT_EACH)};
	int64_t id;
	int r;

	if (sqlite3_stmt_busy(w.messages.stmt))
		return -EINPROGRESS;
	r = mqw_ledger_instance(l, instance, false, &id);
	if (r <= 0)
		return r;
	r = walk(&w, id, each, ctx);
	mqw_ledger_end(&w.messages);
	mqw_ledger_end(&w.recipients);
	mqw_arena_done(&w.arena);
	mqw_buffer_done(&w.key);
	return r;
}
