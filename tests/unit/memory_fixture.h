/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is out when a test says so. */
#ifndef MQW_TESTS_UNIT_MEMORY_FIXTURE_H
#define MQW_TESTS_UNIT_MEMORY_FIXTURE_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER
#endif

/* A sanitizer has the allocator to itself: then nothing ever fails, and such a test is skipped. */
#ifdef HAS_SANITIZER
#define MEMORY_CAN_BE_OUT 0
static long memory_left = -1;
#else
#define MEMORY_CAN_BE_OUT 1
static long memory_left = -1; /* so many allocations until all fail; -1: none does */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static inline int memory_is_out(void)
{
	return memory_left == 0 || (memory_left > 0 && memory_left-- == 0);
}

void *malloc(size_t size)
{
	return memory_is_out() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return memory_is_out() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return size && memory_is_out() ? NULL : __libc_realloc(p, size);
}
#endif

#endif
