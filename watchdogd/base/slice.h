/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A slice is a borrowed run of bytes: pointer and length, no terminating NUL, any byte may occur.
 * All text from logs, queues and sockets travels as slices, so that hostile bytes are data and
 * never end a string early. Whoever made the slice says how long its bytes live.
 */
#ifndef MQW_BASE_SLICE_H
#define MQW_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mqw_slice {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len;
};

#define MQW_SLICE_NULL ((struct mqw_slice){NULL, 0})
/* A slice of a string literal. */
#define MQW_LIT(s) ((struct mqw_slice){(s), sizeof(s) - 1})

static inline struct mqw_slice mqw_slice(const char *ptr, size_t len)
{
	return (struct mqw_slice){ptr, len};
}

/* The slice of a NUL-terminated string; NULL gives the empty slice. */
static inline struct mqw_slice mqw_slice_of(const char *s)
{
	return (struct mqw_slice){s, s ? strlen(s) : 0};
}

static inline uint64_t mqw_eight_bytes(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t mqw_four_bytes(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * Whether n bytes are the same; without a call where they are few, as those of most texts are. The pieces
 * that are compared overlap where n is none of their multiples.
 */
static inline __attribute__((always_inline)) bool mqw_same_bytes(
	const char *a, const char *b, size_t n)
{
	if (n >= 8) {
		if (n > 32)
			return memcmp(a, b, n) == 0;
		return mqw_eight_bytes(a) == mqw_eight_bytes(b) &&
			mqw_eight_bytes(a + n - 8) == mqw_eight_bytes(b + n - 8) &&
			(n <= 16 ||
				(mqw_eight_bytes(a + 8) == mqw_eight_bytes(b + 8) &&
					mqw_eight_bytes(a + n - 16) ==
						mqw_eight_bytes(b + n - 16)));
	}
	if (n >= 4)
		return mqw_four_bytes(a) == mqw_four_bytes(b) &&
			mqw_four_bytes(a + n - 4) == mqw_four_bytes(b + n - 4);
	return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

/* b, and a prefix, may be a literal: then no call is needed. */
static inline __attribute__((always_inline)) bool mqw_slice_eq(
	struct mqw_slice a, struct mqw_slice b)
{
	if (__builtin_constant_p(b.len))
		return a.len == b.len && mqw_same_bytes(a.ptr, b.ptr, b.len);
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline __attribute__((always_inline)) bool mqw_slice_starts(
	struct mqw_slice s, struct mqw_slice prefix)
{
	if (__builtin_constant_p(prefix.len))
		return s.len >= prefix.len && mqw_same_bytes(s.ptr, prefix.ptr, prefix.len);
	return s.len >= prefix.len &&
		(prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool mqw_slice_ends(struct mqw_slice s, struct mqw_slice suffix)
{
	return s.len >= suffix.len &&
		(suffix.len == 0 ||
			memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The slice without its first n bytes; empty when it has not that many. */
static inline __attribute__((always_inline)) struct mqw_slice mqw_slice_from(
	struct mqw_slice s, size_t n)
{
	return n >= s.len ? mqw_slice(s.ptr ? s.ptr + s.len : NULL, 0)
			  : mqw_slice(s.ptr + n, s.len - n);
}

/* The first n bytes at most. */
static inline struct mqw_slice mqw_slice_head(struct mqw_slice s, size_t n)
{
	return mqw_slice(s.ptr, n < s.len ? n : s.len);
}

/* Offset of the first byte c, or s.len when there is none. */
static inline size_t mqw_slice_chr(struct mqw_slice s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
	return p ? (size_t)(p - s.ptr) : s.len;
}

/* When *s starts with prefix, drops it there and says true; otherwise leaves *s alone. */
static inline bool mqw_slice_skip(struct mqw_slice *s, struct mqw_slice prefix)
{
	if (!mqw_slice_starts(*s, prefix))
		return false;
	*s = mqw_slice_from(*s, prefix.len);
	return true;
}

/*
 * Takes the bytes up to, without, the first byte c into *ret_head and drops them and c from *s.
 * False when c does not occur; then neither is touched.
 */
bool mqw_slice_take_until(struct mqw_slice *s, char c, struct mqw_slice *ret_head);

/* How often a byte stands in a log of mail, by kind: few stops on the way make a search fast. */
static inline int mqw_commonness(char c)
{
	return c == ' '                              ? 5
		: c >= 'a' && c <= 'z'               ? 4
		: (c >= '0' && c <= '9') || c == '.' ? 3
		: c == '=' || c == ':' || c == '-'   ? 2
		: (c >= 'A' && c <= 'Z')             ? 1
						     : 0;
}

/* Where the rarest byte of a needle's beginning is; a compiler knows that of a literal. */
static inline __attribute__((always_inline)) size_t mqw_slice_rarest(struct mqw_slice needle)
{
	size_t best = 0;

#pragma GCC unroll 8
	for (size_t i = 1; i < 8; i++)
		if (i < needle.len &&
			mqw_commonness(needle.ptr[i]) < mqw_commonness(needle.ptr[best]))
			best = i;
	return best;
}

/* mqw_slice_find() by one byte of the needle, which is not empty. */
static inline __attribute__((always_inline)) size_t mqw_slice_find_by(
	struct mqw_slice s, struct mqw_slice needle, size_t rare)
{
	const char *p, *end;

	if (needle.len > s.len)
		return s.len;
	/* Where that byte may be, if the needle is all within. */
	p = s.ptr + rare;
	end = s.ptr + s.len - needle.len + rare + 1;
	for (; p < end && (p = (const char *)memchr(p, needle.ptr[rare], (size_t)(end - p))); p++)
		if (mqw_same_bytes(p - rare, needle.ptr, needle.len))
			return (size_t)(p - rare - s.ptr);
	return s.len;
}

/* The same of a needle that is no literal. */
size_t mqw_slice_find_any(struct mqw_slice s, struct mqw_slice needle);

/* Offset of the first occurrence of needle, or s.len when there is none. Empty needle: 0. */
static inline __attribute__((always_inline)) size_t mqw_slice_find(
	struct mqw_slice s, struct mqw_slice needle)
{
	if (__builtin_constant_p(needle.len) && needle.len)
		return mqw_slice_find_by(s, needle, mqw_slice_rarest(needle));
	return mqw_slice_find_any(s, needle);
}

/* Compare without regard to ASCII case (never the locale's). */
bool mqw_slice_eq_nocase(struct mqw_slice a, struct mqw_slice b);

/* mqw_slice_find() without regard to ASCII case. */
size_t mqw_slice_find_nocase(struct mqw_slice s, struct mqw_slice needle);

/* Order as memcmp, the shorter first where one is the other's beginning. For qsort and the like. */
int mqw_slice_cmp(struct mqw_slice a, struct mqw_slice b);

/*
 * Takes decimal digits from the front of *s into *ret. False when there is no digit or the value
 * does not fit; then *s is untouched.
 */
bool mqw_slice_take_u64(struct mqw_slice *s, uint64_t *ret);

/* Without blanks and tabs at both ends. */
struct mqw_slice mqw_slice_trim(struct mqw_slice s);

/* A NUL-terminated copy from malloc, for the caller to free; NULL when memory is out. */
char *mqw_slice_dup(struct mqw_slice s);

#endif
