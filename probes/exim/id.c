/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exim/exim.h"

#define SECONDS_DIGITS 6

/* One more than the value of a digit in base 62; 0 for what is none. Each line asks it often. */
/* clang-format off */
static const unsigned char digits[256] = {
	['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
	['A'] = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
	24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
	['a'] = 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
	50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
};
/* clang-format on */

static bool are_digits(struct mqw_slice s, size_t from, size_t n)
{
	if (s.len < from + n)
		return false;
	for (size_t i = from; i < from + n; i++)
		if (!digits[(unsigned char)s.ptr[i]])
			return false;
	return true;
}

/* Whether s begins with digits, '-', so many digits, '-', so many digits, and no digit more. */
static bool has_form(struct mqw_slice s, size_t pid, size_t fraction)
{
	size_t end = SECONDS_DIGITS + 1 + pid + 1 + fraction;

	return s.len >= end && s.ptr[SECONDS_DIGITS] == '-' &&
		s.ptr[SECONDS_DIGITS + 1 + pid] == '-' && are_digits(s, 0, SECONDS_DIGITS) &&
		are_digits(s, SECONDS_DIGITS + 1, pid) &&
		are_digits(s, SECONDS_DIGITS + pid + 2, fraction) && !are_digits(s, end, 1);
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

	for (size_t i = 0; i < SECONDS_DIGITS && i < id.len; i++)
		t = t * 62 + digits[(unsigned char)id.ptr[i]] - 1;
	return t * MQW_SECOND;
}

static bool change_pid(struct mqw_slice id, char from, char to, char ret[MQW_EXIM_ID_MAX + 1])
{
	if (!mqw_exim_valid_id(id) || id.ptr[SECONDS_DIGITS + 1] != from ||
		id.ptr[SECONDS_DIGITS + 2] != '0')
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
