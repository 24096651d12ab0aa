/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Declared schemas: a table says which keys a mapping may have, what each takes, and where in a
 * struct it goes. One reader fills structs from the tree by these tables, so that all messages
 * have one form: the key, the value that stood there, what would be allowed. A text is typed by
 * the table, never by its looks.
 */
#ifndef MQW_CONFIG_SCHEMA_H
#define MQW_CONFIG_SCHEMA_H

#include "watchdogd/base/arena.h"
#include "watchdogd/config/faults.h"
#include "watchdogd/config/yaml.h"

/* What a key takes, and the type of the member at offset that it fills. */
enum mqw_field_kind {
	MQW_FIELD_TEXT, /* const char * */
	MQW_FIELD_TEXTS, /* const char *const *, NULL-terminated: one text or a list of them */
	MQW_FIELD_SPAN, /* int64_t, microseconds */
	MQW_FIELD_SIZE, /* uint64_t, bytes */
	MQW_FIELD_NUMBER, /* uint32_t */
	MQW_FIELD_FLAG, /* bool */
	MQW_FIELD_WORD, /* int or an enum: the index of the word in words */
	MQW_FIELD_WORDS, /* uint32_t: bits 1 << index of one word or a list of them */
	MQW_FIELD_NODE, /* const struct mqw_yaml_node *: the caller reads it */
};

struct mqw_field {
	const char *name;
	enum mqw_field_kind kind;
	bool required;
	size_t offset; /* of the member that is filled */
	size_t count_offset; /* TEXTS: of a size_t for their number; SIZE_MAX: not wanted */
	int64_t min, max; /* SPAN, SIZE, NUMBER; max 0: any */
	const char *fallback; /* of a missing key: read as if it had been written; NULL none */
	const char *const *words; /* WORD and WORDS: NULL-terminated */
	/* TEXT and each of TEXTS, beyond being one line that is not empty: NULL when good, else what
	 * is allowed, as "an absolute path". May be NULL. */
	const char *(*check)(struct mqw_slice text);
};

/*
 * Fills the struct at ret, zeroed or preset by the caller, from a mapping; what names it in
 * messages, as "an instance". Faults go to f and leave their member at its fallback. Texts borrow
 * from the tree, arrays live in a. 0 also where there are faults; -ENOMEM.
 */
int mqw_schema_read(struct mqw_arena *a, const struct mqw_yaml_node *map, const char *what,
	const struct mqw_field *fields, size_t count, void *ret, struct mqw_faults *f);

/* Whether n is of that kind; otherwise a fault about NAME, unless n was refused already. */
bool mqw_schema_expect(const struct mqw_yaml_node *n, enum mqw_yaml_kind kind, const char *name,
	struct mqw_faults *f);

/* The index of a scalar among words (NULL-terminated), or -1 and a fault. */
int mqw_schema_word(struct mqw_faults *f, const struct mqw_yaml_node *n, const char *name,
	const char *const *words);

/* Adds that the scalar n is not what is allowed there. */
void mqw_schema_reject(
	struct mqw_faults *f, const struct mqw_yaml_node *n, const char *name, const char *allowed);

/* Adds that n's key is not known, with the nearest one that is, or else all of them. */
void mqw_schema_unknown_key(struct mqw_faults *f, const struct mqw_yaml_node *n, const char *what,
	const char *const *known, size_t count);

#endif
