/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena hands out memory that is freed all at once. A configuration with its rules lives in one
 * and is swapped whole at reload. Zero-initialise to start; not thread-safe.
 */
#ifndef MQW_BASE_ARENA_H
#define MQW_BASE_ARENA_H

#include "watchdogd/base/slice.h"

struct mqw_arena_block;

struct mqw_arena {
	struct mqw_arena_block *blocks; /* newest first; owned */
	size_t total; /* bytes asked from malloc, for limits and status */
};

/* Zeroed memory for n bytes, aligned for any type; NULL when memory is out. n 0 gives 1 byte. */
void *mqw_arena_alloc(struct mqw_arena *a, size_t n);

/* Zeroed array; NULL when count * size overflows or memory is out. */
void *mqw_arena_array(struct mqw_arena *a, size_t count, size_t size);

/* NUL-terminated copy of s; NULL when memory is out. */
char *mqw_arena_strdup(struct mqw_arena *a, struct mqw_slice s);

/* Frees everything that was handed out. */
void mqw_arena_done(struct mqw_arena *a);

#endif
