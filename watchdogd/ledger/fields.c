/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>

void mqw_fields_add_columns(
	struct mqw_buffer *sql, const char *prefix, const struct mqw_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mqw_buffer_printf(sql, "%s%s%s", i ? ", " : "", prefix, fields[i].column);
}

void mqw_fields_add_marks(struct mqw_buffer *sql, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mqw_buffer_add_str(sql, i ? ", ?" : "?");
}

static int64_t flags_of(const struct mqw_field *f, const char *base)
{
	int64_t bits = 0;

	for (int64_t i = 0; i < f->limit; i++)
		bits |= (int64_t) * (const bool *)(base + f->flags[i]) << i;
	return bits;
}

static void set_flags(const struct mqw_field *f, char *base, int64_t bits)
{
	for (int64_t i = 0; i < f->limit; i++)
		*(bool *)(base + f->flags[i]) = bits >> i & 1;
}

static void bind_field(struct mqw_binder *b, const struct mqw_field *f, const void *base)
{
	const char *at = (const char *)base + f->offset;

	switch (f->kind) {
	case MQW_FIELD_TEXT:
		mqw_bind_text(b, *(char *const *)(const void *)at);
		break;
	case MQW_FIELD_INLINE:
		mqw_bind_slice(b, mqw_slice(at, strnlen(at, (size_t)f->limit)));
		break;
	case MQW_FIELD_TIME:
		mqw_bind_time(b, *(const int64_t *)(const void *)at);
		break;
	case MQW_FIELD_FLAGS:
		mqw_bind_int(b, flags_of(f, base));
		break;
	case MQW_FIELD_U8:
		mqw_bind_int(b, *(const uint8_t *)at);
		break;
	case MQW_FIELD_U16:
		mqw_bind_int(b, *(const uint16_t *)(const void *)at);
		break;
	case MQW_FIELD_U32:
		mqw_bind_int(b, *(const uint32_t *)(const void *)at);
		break;
	case MQW_FIELD_U64:
		mqw_bind_int(b, (int64_t) * (const uint64_t *)(const void *)at);
		break;
	}
}

void mqw_bind_fields(
	struct mqw_binder *b, const struct mqw_field *fields, size_t count, const void *base)
{
	for (size_t i = 0; i < count; i++)
		bind_field(b, &fields[i], base);
}

/* A string of the row. -ENOMEM also when SQLite had no memory to give it. */
static int read_text(sqlite3_stmt *stmt, int column, struct mqw_arena *strings, char **ret)
{
	const char *text;

	*ret = NULL;
	text = mqw_column_text(stmt, column);
	if (!text)
		return sqlite3_column_type(stmt, column) == SQLITE_NULL ? 0 : -ENOMEM;
	if (!strings)
		*ret = (char *)(uintptr_t)text;
	else
		*ret = mqw_arena_strdup(
			strings, mqw_slice(text, (size_t)sqlite3_column_bytes(stmt, column)));
	return *ret ? 0 : -ENOMEM;
}

static int read_inline(sqlite3_stmt *stmt, int column, char *at, size_t size)
{
	const char *text = mqw_column_text(stmt, column);
	size_t n = (size_t)sqlite3_column_bytes(stmt, column);

	if (!text || n >= size)
		return -EUCLEAN;
	memcpy(at, text, n);
	at[n] = '\0';
	return 0;
}

static int read_field(sqlite3_stmt *stmt, int column, const struct mqw_field *f, void *base,
	struct mqw_arena *strings)
{
	char *at = (char *)base + f->offset;
	bool bad = false;

	switch (f->kind) {
	case MQW_FIELD_TEXT:
		return read_text(stmt, column, strings, (char **)(void *)at);
	case MQW_FIELD_INLINE:
		return read_inline(stmt, column, at, (size_t)f->limit);
	case MQW_FIELD_TIME:
		*(int64_t *)(void *)at = mqw_column_time(stmt, column);
		break;
	case MQW_FIELD_FLAGS:
		set_flags(f, base,
			mqw_column_number(stmt, column, (INT64_C(1) << f->limit) - 1, &bad));
		break;
	case MQW_FIELD_U8:
		*(uint8_t *)at = (uint8_t)mqw_column_number(stmt, column, f->limit - 1, &bad);
		break;
	case MQW_FIELD_U16:
		*(uint16_t *)(void *)at =
			(uint16_t)mqw_column_number(stmt, column, UINT16_MAX, &bad);
		break;
	case MQW_FIELD_U32:
		*(uint32_t *)(void *)at =
			(uint32_t)mqw_column_number(stmt, column, UINT32_MAX, &bad);
		break;
	case MQW_FIELD_U64:
		*(uint64_t *)(void *)at = (uint64_t)sqlite3_column_int64(stmt, column);
		break;
	}
	return bad ? -EUCLEAN : 0;
}

int mqw_column_fields(sqlite3_stmt *stmt, int column, const struct mqw_field *fields, size_t count,
	void *base, struct mqw_arena *strings)
{
	for (size_t i = 0; i < count; i++) {
		int r = read_field(stmt, column + (int)i, &fields[i], base, strings);

		if (r < 0)
			return r;
	}
	return 0;
}
