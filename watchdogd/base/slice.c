/* SPDX-License-Identifier: GPL-2.0-or-later */
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

size_t mqw_slice_find_any(struct mqw_slice s, struct mqw_slice needle)
{
	return needle.len ? mqw_slice_find_by(s, needle, mqw_slice_rarest(needle)) : 0;
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
	rare = mqw_slice_rarest(needle);
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
