/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/clock.h"

#include <time.h>

#define SPAN_MAX (100 * 366 * MQW_DAY)

int64_t mqw_clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

uint64_t mqw_clock_next_second(uint64_t now)
{
	const uint64_t second = (uint64_t)MQW_SECOND;

	return ((now + second / 2) / second + 1) * second;
}

/* Both conversions count in 400-year eras that begin on the first of March, where the leap day is
 * the last day of a year; days 719468 lie between 0000-03-01 and 1970-01-01. */
int64_t mqw_days_from_civil(int year, int month, int day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
		day_of_year - 719468;
}

void mqw_civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*ret_year = (int)(yoe + era * 400 + (*ret_month <= 2));
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void mqw_time_format(struct mqw_buffer *b, int64_t time)
{
	int64_t seconds = floor_div(time, MQW_SECOND), days = floor_div(seconds, 86400);
	int64_t rest = seconds - days * 86400;
	int year, month, day;

	mqw_civil_from_days(days, &year, &month, &day);
	mqw_buffer_printf(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, day, (int)(rest / 3600),
		(int)(rest / 60 % 60), (int)(rest % 60));
}

void mqw_span_format(struct mqw_buffer *b, int64_t span)
{
	static const struct {
		int64_t unit, from;
		const char *name;
	} scale[] = {
		{MQW_DAY, 2 * MQW_DAY, "d"},
		{MQW_HOUR, 2 * MQW_HOUR, "h"},
		{MQW_MINUTE, 2 * MQW_MINUTE, "min"},
		{MQW_SECOND, 0, "s"},
	};
	size_t i = 0;

	if (span < 0) {
		mqw_buffer_add_str(b, "-");
		span = span == INT64_MIN ? INT64_MAX : -span;
	}
	while (span < scale[i].from)
		i++;
	mqw_buffer_printf(b, "%lld %s", (long long)(span / scale[i].unit), scale[i].name);
	if (scale[i].unit >= MQW_HOUR && span % scale[i].unit >= scale[i + 1].unit)
		mqw_buffer_printf(b, " %lld %s",
			(long long)(span % scale[i].unit / scale[i + 1].unit), scale[i + 1].name);
}

static bool take_unit(struct mqw_slice *s, int64_t *ret)
{
	static const struct {
		struct mqw_slice name;
		int64_t unit;
	} units[] = {
		{{"ms", 2}, 1000},
		{{"s", 1}, MQW_SECOND},
		{{"m", 1}, MQW_MINUTE},
		{{"h", 1}, MQW_HOUR},
		{{"d", 1}, MQW_DAY},
		{{"w", 1}, 7 * MQW_DAY},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (mqw_slice_skip(s, units[i].name)) {
			*ret = units[i].unit;
			return true;
		}
	return false;
}

bool mqw_span_parse(struct mqw_slice s, int64_t default_unit, int64_t *ret)
{
	int64_t total = 0, part, unit;
	uint64_t n;

	if (s.len == 0)
		return false;
	do {
		if (!mqw_slice_take_u64(&s, &n) || n > (uint64_t)SPAN_MAX)
			return false;
		if (!take_unit(&s, &unit)) {
			if (default_unit == 0 || s.len)
				return false;
			unit = default_unit;
		}
		if (__builtin_mul_overflow((int64_t)n, unit, &part) ||
			__builtin_add_overflow(total, part, &total) || total > SPAN_MAX)
			return false;
	} while (s.len);
	*ret = total;
	return true;
}

bool mqw_size_parse(struct mqw_slice s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	uint64_t n;

	if (!mqw_slice_take_u64(&s, &n) || s.len > 1)
		return false;
	if (s.len == 1) {
		const char *u = memchr(units, s.ptr[0], sizeof(units) - 1);

		if (!u || __builtin_mul_overflow(n, (uint64_t)1 << (10 * (u - units + 1)), &n))
			return false;
	}
	*ret = n;
	return true;
}

static bool take_field(struct mqw_slice *s, size_t digits, uint64_t max, int *ret)
{
	struct mqw_slice field = mqw_slice_head(*s, digits);
	uint64_t n;

	if (field.len != digits || !mqw_slice_take_u64(&field, &n) || field.len || n > max)
		return false;
	*ret = (int)n;
	*s = mqw_slice_from(*s, digits);
	return true;
}

static bool take_zone(struct mqw_slice *s, int64_t *ret)
{
	int h, m = 0, sign;

	if (mqw_slice_skip(s, MQW_LIT("Z"))) {
		*ret = 0;
		return true;
	}
	sign = mqw_slice_skip(s, MQW_LIT("+")) ? 1 : mqw_slice_skip(s, MQW_LIT("-")) ? -1 : 0;
	if (!sign || !take_field(s, 2, 23, &h))
		return false;
	mqw_slice_skip(s, MQW_LIT(":"));
	if (s->len && !take_field(s, 2, 59, &m))
		return false;
	*ret = sign * (h * MQW_HOUR + m * MQW_MINUTE);
	return true;
}

bool mqw_time_parse(struct mqw_slice s, int64_t offset_us, int64_t *ret)
{
	int year, month, day, h = 0, m = 0, sec = 0;

	if (!take_field(&s, 4, 9999, &year) || !mqw_slice_skip(&s, MQW_LIT("-")) ||
		!take_field(&s, 2, 12, &month) || !mqw_slice_skip(&s, MQW_LIT("-")) ||
		!take_field(&s, 2, 31, &day) || month < 1 || day < 1)
		return false;
	if (mqw_slice_skip(&s, MQW_LIT("T")) || mqw_slice_skip(&s, MQW_LIT(" "))) {
		if (!take_field(&s, 2, 23, &h) || !mqw_slice_skip(&s, MQW_LIT(":")) ||
			!take_field(&s, 2, 59, &m))
			return false;
		if (mqw_slice_skip(&s, MQW_LIT(":")) && !take_field(&s, 2, 60, &sec))
			return false;
	}
	if (s.len && (!take_zone(&s, &offset_us) || s.len))
		return false;
	*ret = (mqw_days_from_civil(year, month, day) * 86400 + h * 3600 + m * 60 + sec) *
			MQW_SECOND -
		offset_us;
	return true;
}
