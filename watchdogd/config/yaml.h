/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A YAML file as a small tree in which everything knows its place. Only the plain part of YAML is
 * taken: mappings, lists, scalars. Anchors, aliases, tags and merge keys are refused, because they
 * make a file mean something else than what it shows; so is a key that stands twice.
 *
 * Scalars are text. What a text means is the schema's to say, so that `no`, `0755` and `1:30` have
 * no surprises.
 */
#ifndef MQW_CONFIG_YAML_H
#define MQW_CONFIG_YAML_H

#include "watchdogd/base/arena.h"

struct mqw_faults;

#define MQW_YAML_SIZE_MAX ((size_t)1024 * 1024)
/* Nesting costs libyaml quadratic time: 100,000 "[" take it 41 s; we stop at the 33rd. */
#define MQW_YAML_DEPTH_MAX 32
#define MQW_YAML_NODES_MAX 100000 /* keys count too */
#define MQW_YAML_SCALAR_MAX ((size_t)64 * 1024)

enum mqw_yaml_kind { MQW_YAML_SCALAR, MQW_YAML_LIST, MQW_YAML_MAP };

struct mqw_yaml_node {
	enum mqw_yaml_kind kind;
	bool plain; /* scalar without quotes, not a block */
	bool refused; /* stands for something that is a fault already: say no more about it */
	size_t line, column; /* from 1; columns count characters */
	struct mqw_slice text; /* of a scalar; a NUL follows it and none is in it */
	struct mqw_slice key; /* under which it stands in a mapping; ptr NULL elsewhere */
	size_t key_line, key_column;
	struct mqw_yaml_node *first, *last, *next; /* children, in the order of the file */
	size_t count; /* of children */
};

/*
 * Reads one document into *ret, all of it in the arena; NULL when there is none (an empty file, or
 * comments only). Returns 0 when the file could be read to its end: f still holds what was refused
 * on the way. -EINVAL after a syntax error or beyond a limit, with the fault in f and *ret
 * untouched; -ENOMEM.
 */
int mqw_yaml_parse(struct mqw_arena *a, struct mqw_slice text, struct mqw_yaml_node **ret,
	struct mqw_faults *f);

/* The child of a mapping under that key, or NULL; NULL as well when map is NULL or no mapping. */
const struct mqw_yaml_node *mqw_yaml_get(const struct mqw_yaml_node *map, struct mqw_slice key);

/* A scalar without any text and quotes: what `key:` with nothing behind it gives. */
bool mqw_yaml_is_empty(const struct mqw_yaml_node *n);

/* "a mapping", "a list", "a single value". */
const char *mqw_yaml_kind_name(enum mqw_yaml_kind kind);

#endif
