/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PRINTF_ROOM 128

void mqw_buffer_done(struct mqw_buffer *b)
{
	free(b->ptr);
	*b = (struct mqw_buffer){0};
}

void mqw_buffer_clear(struct mqw_buffer *b)
{
	b->len = 0;
	b->failed = false;
	if (b->ptr)
		b->ptr[0] = '\0';
}

bool mqw_buffer_reserve(struct mqw_buffer *b, size_t n)
{
	size_t want, cap = b->cap ? b->cap : 64;
	char *p;

	if (b->failed)
		return false;
	if (__builtin_add_overflow(b->len, n, &want) || __builtin_add_overflow(want, 1u, &want)) {
		b->failed = true;
		return false;
	}
	if (want <= b->cap)
		return true;
	while (cap < want)
		if (__builtin_mul_overflow(cap, 2u, &cap))
			cap = want;
	p = realloc(b->ptr, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->ptr = p;
	b->cap = cap;
	return true;
}

void mqw_buffer_add(struct mqw_buffer *b, struct mqw_slice s)
{
	if (!mqw_buffer_reserve(b, s.len))
		return;
	if (s.len)
		memcpy(b->ptr + b->len, s.ptr, s.len);
	b->len += s.len;
	b->ptr[b->len] = '\0';
}

void mqw_buffer_add_str(struct mqw_buffer *b, const char *s)
{
	mqw_buffer_add(b, mqw_slice_of(s));
}

void mqw_buffer_printf(struct mqw_buffer *b, const char *format, ...)
{
	va_list ap;
	int n;

	/* Nearly always there is room for it. */
	if (!mqw_buffer_reserve(b, PRINTF_ROOM))
		return;
	va_start(ap, format);
	n = vsnprintf(b->ptr + b->len, b->cap - b->len, format, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n >= b->cap - b->len) {
		b->ptr[b->len] = '\0';
		if (!mqw_buffer_reserve(b, (size_t)n))
			return;
		va_start(ap, format);
		vsnprintf(b->ptr + b->len, (size_t)n + 1, format, ap);
		va_end(ap);
	}
	b->len += n < 0 ? 0 : (size_t)n;
	b->ptr[b->len] = '\0';
}

size_t mqw_utf8_sequence(struct mqw_slice s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t n;

	if (s.len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and values past U+10FFFF (RFC 3629 section 4). */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* Sequences that are well-formed and still steer a terminal or reorder the line that shows them. */
static bool harmful(const unsigned char *p, size_t n)
{
	if (n == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (n == 2)
		return p[0] == 0xc2 && p[1] < 0xa0; /* C1 controls */
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa0 && p[2] <= 0xaf;
	return n == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
}

/* Nearly all text is all of this kind. */
static size_t plain_length(struct mqw_slice s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] >= 0x20 && s.ptr[n] < 0x7f)
		n++;
	return n;
}

void mqw_buffer_add_printable(struct mqw_buffer *b, struct mqw_slice s)
{
	while (s.len) {
		size_t n = plain_length(s);

		if (n) {
			mqw_buffer_add(b, mqw_slice_head(s, n));
			s = mqw_slice_from(s, n);
			continue;
		}
		n = mqw_utf8_sequence(s);
		if (n && !harmful((const unsigned char *)s.ptr, n)) {
			mqw_buffer_add(b, mqw_slice_head(s, n));
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				mqw_buffer_printf(b, "\\x%02x", (unsigned char)s.ptr[i]);
		}
		s = mqw_slice_from(s, n);
	}
}
