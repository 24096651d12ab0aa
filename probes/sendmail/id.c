/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue ids: what they look like, and those under which messages are put back. */
#include "probes/sendmail/log_internal.h"

#define MONTH 1 /* place of the month's digit, of which twelve of sixty are in use */
#define MONTHS 12

/* QueueIdChars, queue.c of Sendmail 8.17.1. */
static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx";

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_id_char(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool mqw_sendmail_valid_id(struct mqw_slice id)
{
	if (id.len < 8 + 5 || id.len > MQW_SENDMAIL_ID_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (i < 8 ? !is_id_char(id.ptr[i]) : !is_digit(id.ptr[i]))
			return false;
	return true;
}

bool mqw_sendmail_take_id(struct mqw_slice *s, struct mqw_slice *ret)
{
	size_t n = 0, digits = 0;

	/* A run of letters and digits; how many of its last are digits. */
	for (; n < s->len && n <= 16 && is_id_char(s->ptr[n]); n++)
		digits = is_digit(s->ptr[n]) ? digits + 1 : 0;
	/* Before 8.10 three letters and the process id. */
	if (!(n >= 12 && n <= 16 && digits >= 4) && !(n == 8 && digits == 5))
		return false;
	*ret = mqw_slice_head(*s, n);
	*s = mqw_slice_from(*s, n);
	return true;
}

static bool shift_month(struct mqw_slice id, int by, char ret[MQW_SENDMAIL_ID_MAX + 1])
{
	const char *at = mqw_sendmail_valid_id(id) ? strchr(alphabet, id.ptr[MONTH]) : NULL;
	int digit = at ? (int)(at - alphabet) + by : -1;

	if (digit < 0 || digit >= (int)sizeof(alphabet) - 1)
		return false;
	memcpy(ret, id.ptr, id.len);
	ret[id.len] = '\0';
	ret[MONTH] = alphabet[digit];
	return true;
}

bool mqw_sendmail_recovered_id(struct mqw_slice id, char ret[MQW_SENDMAIL_ID_MAX + 1])
{
	return shift_month(id, MONTHS, ret);
}

bool mqw_sendmail_original_id(struct mqw_slice id, char ret[MQW_SENDMAIL_ID_MAX + 1])
{
	return shift_month(id, -MONTHS, ret);
}
