/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/arena.h"

#include <stdlib.h>

#define BLOCK_SIZE ((size_t)16 * 1024)
#define ALIGNMENT _Alignof(max_align_t)

struct mqw_arena_block {
	struct mqw_arena_block *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

void *mqw_arena_alloc(struct mqw_arena *a, size_t n)
{
	struct mqw_arena_block *b = a->blocks;
	size_t need, size;
	void *p;

	if (__builtin_add_overflow(n ? n : 1, ALIGNMENT - 1, &need))
		return NULL;
	need &= ~(ALIGNMENT - 1);
	if (!b || b->size - b->used < need) {
		size = need > BLOCK_SIZE ? need : BLOCK_SIZE;
		if (size > SIZE_MAX - sizeof(*b))
			return NULL;
		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
		b->size = size;
		b->next = a->blocks;
		a->blocks = b;
		a->total += size;
	}
	p = b->data + b->used;
	b->used += need;
	return p;
}

void *mqw_arena_array(struct mqw_arena *a, size_t count, size_t size)
{
	size_t n;

	return __builtin_mul_overflow(count, size, &n) ? NULL : mqw_arena_alloc(a, n);
}

char *mqw_arena_strdup(struct mqw_arena *a, struct mqw_slice s)
{
	char *p = s.len < SIZE_MAX ? mqw_arena_alloc(a, s.len + 1) : NULL;

	if (p && s.len)
		memcpy(p, s.ptr, s.len);
	return p;
}

void mqw_arena_done(struct mqw_arena *a)
{
	while (a->blocks) {
		struct mqw_arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->total = 0;
}
