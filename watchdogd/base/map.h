/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table from bytes to a pointer: open addressing, one cache line a look-up in the usual
 * case. Keys are borrowed: they must live, unchanged, as long as their entry. Keys come from
 * strangers, so the hash (XXH3) is seeded; the seed is the caller's, so that a test can fix it.
 * Order of iteration depends on the seed: never let it reach an output.
 */
#ifndef MQW_BASE_MAP_H
#define MQW_BASE_MAP_H

#include "watchdogd/base/slice.h"

struct mqw_map_slot {
	uint64_t hash;
	struct mqw_slice key;
	void *value; /* NULL: free slot */
};

struct mqw_map {
	struct mqw_map_slot *slots; /* owned; NULL while empty */
	size_t cap; /* a power of two, or 0 */
	size_t count;
	uint64_t seed;
};

/* A seed from the kernel for maps whose keys come from outside. */
uint64_t mqw_map_random_seed(void);

void mqw_map_init(struct mqw_map *m, uint64_t seed);

/* Makes room for so many entries at once, in an empty map. One that is not made in time grows. */
void mqw_map_reserve(struct mqw_map *m, size_t count);

/* Frees the table, not the values. */
void mqw_map_done(struct mqw_map *m);

/* The value, or NULL when the key is not there. */
void *mqw_map_get(const struct mqw_map *m, struct mqw_slice key);

/* Sets or replaces; value must not be NULL. 0, or -ENOMEM. On replacement the new key is kept. */
int mqw_map_put(struct mqw_map *m, struct mqw_slice key, void *value);

/* Removes the key and returns its value; NULL when it was not there. */
void *mqw_map_take(struct mqw_map *m, struct mqw_slice key);

/*
 * Next entry at or after *cursor (start with 0), or NULL at the end; moves *cursor past it.
 * The table must not change in between.
 */
const struct mqw_map_slot *mqw_map_next(const struct mqw_map *m, size_t *cursor);

#endif
