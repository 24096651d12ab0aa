/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FIRST_CAP 64u

uint64_t mqw_map_random_seed(void)
{
	uint64_t seed = 0;

	/* Before the pool is ready at boot the call may fail; a fixed seed is then the lesser evil. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = 0x9e3779b97f4a7c15u;
	return seed;
}

void mqw_map_init(struct mqw_map *m, uint64_t seed)
{
	*m = (struct mqw_map){.seed = seed};
}

void mqw_map_reserve(struct mqw_map *m, size_t count)
{
	size_t cap = FIRST_CAP;

	while (cap - cap / 4 < count && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (m->cap)
		return;
	m->slots = calloc(cap, sizeof(*m->slots));
	m->cap = m->slots ? cap : 0;
}

void mqw_map_done(struct mqw_map *m)
{
	free(m->slots);
	*m = (struct mqw_map){.seed = m->seed};
}

static inline uint64_t hash_of(const struct mqw_map *m, struct mqw_slice key)
{
	return XXH3_64bits_withSeed(key.len ? key.ptr : "", key.len, m->seed);
}

/* The slot that holds the key, or the free slot where it would go. cap must not be 0. */
static inline __attribute__((always_inline)) size_t find(
	const struct mqw_map *m, uint64_t hash, struct mqw_slice key)
{
	size_t mask = m->cap - 1, i = (size_t)hash & mask;

	while (m->slots[i].value &&
		(m->slots[i].hash != hash || m->slots[i].key.len != key.len ||
			!mqw_same_bytes(m->slots[i].key.ptr, key.ptr, key.len)))
		i = (i + 1) & mask;
	return i;
}

void *mqw_map_get(const struct mqw_map *m, struct mqw_slice key)
{
	return m->cap ? m->slots[find(m, hash_of(m, key), key)].value : NULL;
}

static int grow(struct mqw_map *m)
{
	struct mqw_map bigger = {.cap = m->cap ? m->cap * 2 : FIRST_CAP, .seed = m->seed};

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].value)
			bigger.slots[find(&bigger, m->slots[i].hash, m->slots[i].key)] =
				m->slots[i];
	bigger.count = m->count;
	free(m->slots);
	*m = bigger;
	return 0;
}

int mqw_map_put(struct mqw_map *m, struct mqw_slice key, void *value)
{
	uint64_t hash = hash_of(m, key);
	size_t i;
	int r;

	if (m->count + 1 > m->cap - m->cap / 4) {
		r = grow(m);
		if (r < 0)
			return r;
	}
	i = find(m, hash, key);
	if (!m->slots[i].value)
		m->count++;
	m->slots[i] = (struct mqw_map_slot){.hash = hash, .key = key, .value = value};
	return 0;
}

void *mqw_map_take(struct mqw_map *m, struct mqw_slice key)
{
	size_t mask = m->cap - 1, i, j;
	void *value;

	if (m->cap == 0)
		return NULL;
	i = find(m, hash_of(m, key), key);
	value = m->slots[i].value;
	if (!value)
		return NULL;
	/* Close the hole: move back every entry that probing would no longer reach. */
	for (j = (i + 1) & mask; m->slots[j].value; j = (j + 1) & mask) {
		size_t home = (size_t)m->slots[j].hash & mask;

		if (((j - home) & mask) >= ((j - i) & mask)) {
			m->slots[i] = m->slots[j];
			i = j;
		}
	}
	m->slots[i] = (struct mqw_map_slot){0};
	m->count--;
	return value;
}

const struct mqw_map_slot *mqw_map_next(const struct mqw_map *m, size_t *cursor)
{
	while (*cursor < m->cap) {
		const struct mqw_map_slot *s = &m->slots[(*cursor)++];

		if (s->value)
			return s;
	}
	return NULL;
}
