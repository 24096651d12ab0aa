/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* memmem */
#include "watchdogd/base/slice.h"

#include <stdlib.h>

bool mqw_slice_take_until(struct mqw_slice *s, char c, struct mqw_slice *ret_head)
{
	size_t at = mqw_slice_chr(*s, c);

	if (at == s->len)
		return false;
	*ret_head = mqw_slice_head(*s, at);
	*s = mqw_slice_from(*s, at + 1);
	return true;
}

/* What is searched for is short; of anything longer the C library knows better. */
#define SHORT_NEEDLE 32

/* How often a byte stands in a log of mail, by kind: few stops on the way make a search fast. */
/* clang-format off */
static const unsigned char commonness[256] = {
	['a'] = 5, 3, 5, 5, 5, 5, 3, 5, 5, 2, 3, 5, 5, 5, 5, 3, 2, 5, 5, 5, 5, 3, 3, 2, 3, 2,
	['0' ... '9'] = 4, ['A' ... 'Z'] = 2,
	[' '] = 6, ['.'] = 4, ['='] = 3, [':'] = 3, ['-'] = 3,
};
/* clang-format on */

/* Where the rarest byte of a needle's beginning is. */
static size_t rarest(struct mqw_slice needle)
{
	size_t best = 0, n = needle.len < 12 ? needle.len : 12;

	for (size_t i = 1; i < n; i++)
		if (commonness[(unsigned char)needle.ptr[i]] <
			commonness[(unsigned char)needle.ptr[best]])
			best = i;
	return best;
}

size_t mqw_slice_find(struct mqw_slice s, struct mqw_slice needle)
{
	const char *p, *end;
	size_t rare;

	if (needle.len == 0)
		return 0;
	if (needle.len > s.len)
		return s.len;
	if (needle.len > SHORT_NEEDLE) {
		p = memmem(s.ptr, s.len, needle.ptr, needle.len);
		return p ? (size_t)(p - s.ptr) : s.len;
	}
	rare = rarest(needle);
	/* Where that byte may be, if the needle is all within. */
	p = s.ptr + rare;
	end = s.ptr + s.len - needle.len + rare + 1;
	for (; p < end && (p = memchr(p, needle.ptr[rare], (size_t)(end - p))); p++)
		if (p[-(ptrdiff_t)rare] == needle.ptr[0] &&
			memcmp(p - rare, needle.ptr, needle.len) == 0)
			return (size_t)(p - rare - s.ptr);
	return s.len;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool mqw_slice_eq_nocase(struct mqw_slice a, struct mqw_slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

static const char *next_of(const char *p, const char *end, char c)
{
	const char *found = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;

	return found ? found : end;
}

size_t mqw_slice_find_nocase(struct mqw_slice s, struct mqw_slice needle)
{
	const char *small, *big, *end;
	size_t rare;
	char c;

	if (needle.len == 0)
		return 0;
	if (needle.len > s.len)
		return s.len;
	rare = rarest(needle);
	c = lower(needle.ptr[rare]);
	end = s.ptr + s.len - needle.len + rare + 1;
	small = next_of(s.ptr + rare, end, c);
	big = c >= 'a' && c <= 'z' ? next_of(s.ptr + rare, end, (char)(c - 'a' + 'A')) : end;
	while (small < end || big < end) {
		const char **p = small < big ? &small : &big;
		struct mqw_slice here = mqw_slice(*p - rare, needle.len);

		if (mqw_slice_eq_nocase(here, needle))
			return (size_t)(here.ptr - s.ptr);
		*p = next_of(*p + 1, end, **p);
	}
	return s.len;
}

int mqw_slice_cmp(struct mqw_slice a, struct mqw_slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

bool mqw_slice_take_u64(struct mqw_slice *s, uint64_t *ret)
{
	const size_t safe = s->len < 19 ? s->len : 19; /* so many digits always fit */
	uint64_t v = 0;
	size_t i = 0;

	for (; i < safe && (unsigned char)(s->ptr[i] - '0') <= 9; i++)
		v = v * 10 + (unsigned char)(s->ptr[i] - '0');
	for (; i >= 19 && i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(s->ptr[i] - '0'), &v))
			return false;
	if (i == 0)
		return false;
	*s = mqw_slice_from(*s, i);
	*ret = v;
	return true;
}

struct mqw_slice mqw_slice_trim(struct mqw_slice s)
{
	while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = mqw_slice_from(s, 1);
	while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

char *mqw_slice_dup(struct mqw_slice s)
{
	char *p = malloc(s.len + 1);

	if (!p)
		return NULL;
	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}
