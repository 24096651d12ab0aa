/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exim/exim.h"

#define SECONDS_DIGITS 6

/* The value of a digit in base 62, with a mark; 0 for what is none. Each line asks it often. */
#define MARK 0x80
/* clang-format off */
static const unsigned char digits[256] = {
	['0'] = MARK, MARK + 1, MARK + 2, MARK + 3, MARK + 4, MARK + 5, MARK + 6, MARK + 7, MARK + 8,
	MARK + 9,
	['A'] = MARK + 10, MARK + 11, MARK + 12, MARK + 13, MARK + 14, MARK + 15, MARK + 16, MARK + 17,
	MARK + 18, MARK + 19, MARK + 20, MARK + 21, MARK + 22, MARK + 23, MARK + 24, MARK + 25,
	MARK + 26, MARK + 27, MARK + 28, MARK + 29, MARK + 30, MARK + 31, MARK + 32, MARK + 33,
	MARK + 34, MARK + 35,
	['a'] = MARK + 36, MARK + 37, MARK + 38, MARK + 39, MARK + 40, MARK + 41, MARK + 42, MARK + 43,
	MARK + 44, MARK + 45, MARK + 46, MARK + 47, MARK + 48, MARK + 49, MARK + 50, MARK + 51,
	MARK + 52, MARK + 53, MARK + 54, MARK + 55, MARK + 56, MARK + 57, MARK + 58, MARK + 59,
	MARK + 60, MARK + 61,
};
/* clang-format on */

/* Without a branch for each: nearly always they are. */
static inline bool are_digits(const char *p, size_t n)
{
	unsigned char all = MARK;

#pragma GCC unroll 16
	for (size_t i = 0; i < n; i++)
		all &= digits[(unsigned char)p[i]];
	return all & MARK;
}

/* Whether s begins with digits, '-', so many digits, '-', so many digits, and no digit more. */
static inline bool has_form(struct mqw_slice s, size_t pid, size_t fraction)
{
	const size_t second = SECONDS_DIGITS + 1, third = second + pid + 1, end = third + fraction;
	const char *p = s.ptr;

	return s.len >= end && p[second - 1] == '-' && p[third - 1] == '-' &&
		are_digits(p, SECONDS_DIGITS) && are_digits(p + second, pid) &&
		are_digits(p + third, fraction) && !(s.len > end && are_digits(p + end, 1));
}

size_t mqw_exim_id_length(struct mqw_slice s)
{
	if (has_form(s, 6, 2))
		return 16;
	return has_form(s, 11, 4) ? MQW_EXIM_ID_MAX : 0;
}

bool mqw_exim_valid_id(struct mqw_slice id)
{
	return id.len && mqw_exim_id_length(id) == id.len;
}

int64_t mqw_exim_id_time(struct mqw_slice id)
{
	int64_t t = 0;

	if (id.len < SECONDS_DIGITS)
		return 0;
#pragma GCC unroll 6
	for (size_t i = 0; i < SECONDS_DIGITS; i++)
		t = t * 62 + (digits[(unsigned char)id.ptr[i]] & ~MARK);
	return t * MQW_SECOND;
}

static bool change_pid(struct mqw_slice id, char from, char to, char ret[MQW_EXIM_ID_MAX + 1])
{
	/* The letter first: each line asks, and most have it not. */
	if (id.len < SECONDS_DIGITS + 3 || id.ptr[SECONDS_DIGITS + 1] != from ||
		id.ptr[SECONDS_DIGITS + 2] != '0' || !mqw_exim_valid_id(id))
		return false;
	memcpy(ret, id.ptr, id.len);
	ret[id.len] = '\0';
	ret[SECONDS_DIGITS + 1] = to;
	return true;
}

bool mqw_exim_recovered_id(struct mqw_slice id, char ret[MQW_EXIM_ID_MAX + 1])
{
	return change_pid(id, '0', 'z', ret);
}

bool mqw_exim_original_id(struct mqw_slice id, char ret[MQW_EXIM_ID_MAX + 1])
{
	return change_pid(id, 'z', '0', ret);
}
