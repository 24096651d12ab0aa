/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* tm_gmtoff */
#include "probes/syslog/header.h"

#include <time.h>

#define LINE_MIN 20 /* no line that is worth reading is shorter than stamp and blank */
#define HALF_YEAR (183 * MQW_DAY)
/* Lines out of order by less do not make an hour begin anew; nor is a clock wrong by more. */
#define DISORDER (10 * MQW_MINUTE)

void mqw_syslog_reader_init(struct mqw_syslog_reader *r, int year, int64_t reference)
{
	*r = (struct mqw_syslog_reader){.year = year,
		.year_given = year != 0,
		.reference = reference,
		.now = MQW_TIME_NONE,
		.newest = MQW_TIME_NONE,
		.last = MQW_TIME_NONE};
	mqw_columns_init(&r->columns);
}

void mqw_syslog_reader_next_file(struct mqw_syslog_reader *r, int64_t reference)
{
	r->reference = reference;
	r->hour_len = r->tail_len = r->same_len = 0;
	mqw_columns_init(&r->columns);
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* n digits at p, or -1. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (!digit(p[i]))
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

/* 1 to 12 for an English month name, 0 for none. Never the locale's names. */
static int month_of(const char *p)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (memcmp(p, names + 3 * i, 3) == 0)
			return i + 1;
	return 0;
}

/* The start of an hour on the clock of the local zone, with or without summer time; or by it (-1). */
static bool hour_with(int year, int month, int day, int hour, int is_dst, int64_t *ret)
{
	struct tm tm = {.tm_year = year - 1900,
		.tm_mon = month - 1,
		.tm_mday = day,
		.tm_hour = hour,
		.tm_isdst = is_dst};

	*ret = (int64_t)mktime(&tm) * MQW_SECOND;
	/* mktime() moves what there is not in that year: it answers for another hour then. */
	return tm.tm_hour == hour && tm.tm_mday == day && (is_dst < 0 || tm.tm_isdst == is_dst);
}

/*
 * Whether the zone's clock is changed within half a day of t. That no hour comes twice would be found
 * out below as well, but mktime() looks through decades for a summer time that there is none of.
 */
static bool clock_changes(int64_t t)
{
	const time_t before = (time_t)((t - 12 * MQW_HOUR) / MQW_SECOND);
	const time_t after = (time_t)((t + 12 * MQW_HOUR) / MQW_SECOND);
	struct tm a, b;

	return !localtime_r(&before, &a) || !localtime_r(&after, &b) ||
		a.tm_gmtoff != b.tm_gmtoff || a.tm_isdst != b.tm_isdst;
}

/* The first one, of an hour that comes twice; *ret_fold: how much later the second is, or 0. */
static int64_t local_hour(int year, int month, int day, int hour, int64_t *ret_fold)
{
	int64_t summer, winter, t;

	*ret_fold = 0;
	if (hour_with(year, month, day, hour, -1, &t) && !clock_changes(t))
		return t;
	if (hour_with(year, month, day, hour, 1, &summer) &&
		hour_with(year, month, day, hour, 0, &winter) && summer < winter) {
		*ret_fold = winter - summer;
		return summer;
	}
	return t;
}

static int64_t utc_hour(int year, int month, int day, int hour)
{
	return (mqw_days_from_civil(year, month, day) * 24 + hour) * MQW_HOUR;
}

/* The latest year in which an hour is not after a point in time, or only by what zones differ. */
static int year_before(int64_t limit, int month, int day, int hour)
{
	int year, ref_month, ref_day;
	int64_t t;

	mqw_civil_from_days(limit / MQW_DAY, &year, &ref_month, &ref_day);
	/* A leap day may be eight years back. */
	for (int y = year + 1; y >= year - 8; y--)
		if ((hour_with(y, month, day, hour, -1, &t) || month != 2 || day != 29) &&
			t <= limit + MQW_DAY)
			return y;
	return year;
}

/*
 * The hour of a year-less stamp. Lines that are read as they are written are of the latest year that
 * is not in the future. In a file the first one is so by its reference; later ones go into the year
 * that brings them nearest to the newest so far, so that December to January goes up and a straggler
 * goes down, unless there was time for so long a silence.
 */
static int64_t yearless_hour(struct mqw_syslog_reader *r, int month, int day, int hour)
{
	int64_t limit = r->year_given ? MQW_TIME_NONE : r->reference, t;

	if (r->now != MQW_TIME_NONE && !r->year_given)
		return local_hour(
			year_before(r->now, month, day, hour), month, day, hour, &r->hour_fold);
	if (r->year == 0)
		r->year = year_before(limit == MQW_TIME_NONE ? 0 : limit, month, day, hour);
	t = local_hour(r->year, month, day, hour, &r->hour_fold);
	if (r->newest == MQW_TIME_NONE)
		r->newest = t;
	else if (t < r->newest - HALF_YEAR)
		t = local_hour(++r->year, month, day, hour, &r->hour_fold);
	else if (t > r->newest + HALF_YEAR && (limit == MQW_TIME_NONE || t > limit + MQW_DAY))
		return local_hour(r->year - 1, month, day, hour, &r->hour_fold);
	if (t > r->newest)
		r->newest = t;
	return t;
}

/* What of a stamp's text stands for the hour: its length, and how to read it. */
enum stamp_form { STAMP_NONE, STAMP_ISO, STAMP_TRADITIONAL, STAMP_YEAR_FIRST };

static enum stamp_form form_of(struct mqw_slice s, size_t *ret_hour_len)
{
	if (s.len < LINE_MIN)
		return STAMP_NONE;
	if (s.ptr[4] == '-' && s.ptr[7] == '-' && (s.ptr[10] == 'T' || s.ptr[10] == ' ') &&
		s.ptr[13] == ':') {
		*ret_hour_len = 13;
		return STAMP_ISO;
	}
	if (s.ptr[3] == ' ' && s.ptr[6] == ' ' && s.ptr[9] == ':') {
		*ret_hour_len = 9;
		return STAMP_TRADITIONAL;
	}
	if (s.ptr[4] == ' ' && s.ptr[8] == ' ' && s.ptr[11] == ' ' && s.ptr[14] == ':') {
		*ret_hour_len = 14;
		return STAMP_YEAR_FIRST;
	}
	return STAMP_NONE;
}

static int day_of(const char *p)
{
	return p[0] == ' ' ? digits(p + 1, 1) : digits(p, 2);
}

static bool read_hour(struct mqw_syslog_reader *r, const char *p, enum stamp_form form)
{
	int year = 0, month, day, hour;

	if (form == STAMP_ISO) {
		year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);
		hour = digits(p + 11, 2);
	} else {
		const char *q = form == STAMP_YEAR_FIRST ? p + 5 : p;

		if (form == STAMP_YEAR_FIRST)
			year = digits(p, 4);
		month = month_of(q), day = day_of(q + 4), hour = digits(q + 7, 2);
	}
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23)
		return false;
	r->hour_local = MQW_TIME_NONE;
	r->hour_fold = 0;
	r->hour_start = form == STAMP_ISO  ? utc_hour(year, month, day, hour)
		: form == STAMP_YEAR_FIRST ? local_hour(year, month, day, hour, &r->hour_fold)
					   : yearless_hour(r, month, day, hour);
	return true;
}

/* Fraction of a second behind '.' or ','; any number of digits. */
static int64_t take_fraction(struct mqw_slice *s)
{
	int64_t unit = 100000, us = 0;

	if (s->len < 2 || (s->ptr[0] != '.' && s->ptr[0] != ',') || !digit(s->ptr[1]))
		return 0;
	*s = mqw_slice_from(*s, 1);
	while (s->len && digit(s->ptr[0])) {
		us += (s->ptr[0] - '0') * unit;
		unit /= 10;
		*s = mqw_slice_from(*s, 1);
	}
	return us;
}

/* "Z", "+01:00" or "+0100"; false when there is none. */
static bool take_zone(struct mqw_slice *s, int64_t *ret_offset)
{
	int h, m;

	/* "03:41:21 +0100 text", as Exim has it. */
	if (s->len > 6 && s->ptr[0] == ' ' && (s->ptr[1] == '+' || s->ptr[1] == '-') &&
		digits(s->ptr + 2, 4) >= 0 && s->ptr[6] == ' ')
		*s = mqw_slice_from(*s, 1);
	if (mqw_slice_skip(s, MQW_LIT("Z"))) {
		*ret_offset = 0;
		return true;
	}
	if (s->len < 5 || (s->ptr[0] != '+' && s->ptr[0] != '-'))
		return false;
	h = digits(s->ptr + 1, 2);
	if (s->ptr[3] == ':') {
		m = s->len >= 6 ? digits(s->ptr + 4, 2) : -1;
	} else {
		m = digits(s->ptr + 3, 2);
	}
	if (h < 0 || h > 23 || m < 0 || m > 59)
		return false;
	*ret_offset = (s->ptr[0] == '-' ? -1 : 1) * (h * MQW_HOUR + m * MQW_MINUTE);
	*s = mqw_slice_from(*s, s->ptr[3] == ':' ? 6 : 5);
	return true;
}

/* The cached hour's figures on the local clock: mktime() is asked once an hour of the log. */
static int64_t hour_on_local_clock(struct mqw_syslog_reader *r)
{
	int year, month, day;

	if (r->hour_local == MQW_TIME_NONE) {
		mqw_civil_from_days(r->hour_start / MQW_DAY, &year, &month, &day);
		r->hour_local = local_hour(
			year, month, day, (int)(r->hour_start % MQW_DAY / MQW_HOUR), &r->hour_fold);
	}
	return r->hour_local;
}

/* A stamp without a zone, of the first of two equal hours: it may be of the second. */
static int64_t unfold(const struct mqw_syslog_reader *r, int64_t t)
{
	int64_t second = t + r->hour_fold;

	if (r->now != MQW_TIME_NONE && second > r->now + DISORDER)
		return t;
	if (r->now != MQW_TIME_NONE && second > r->now - DISORDER)
		return second;
	return r->last != MQW_TIME_NONE && t < r->last - DISORDER ? second : t;
}

/* What the first n bytes of p stand for, the stamp up to the hour. */
static bool know_hour(struct mqw_syslog_reader *r, const char *p, size_t n, enum stamp_form form)
{
	if (n == r->hour_len && memcmp(p, r->hour_text, n) == 0)
		return true;
	r->hour_len = r->tail_len = r->same_len = 0;
	if (!read_hour(r, p, form))
		return false;
	memcpy(r->hour_text, p, n);
	r->hour_len = n;
	return true;
}

/* ":MM:SS", or -1. */
static inline int64_t minute_and_second(const char *p)
{
	const unsigned a = (unsigned char)p[1] - '0', b = (unsigned char)p[2] - '0';
	const unsigned c = (unsigned char)p[4] - '0', d = (unsigned char)p[5] - '0';
	const unsigned minute = a * 10 + b, second = c * 10 + d;

	if (a > 5 || b > 9 || c > 6 || d > 9 || second > 60 || p[0] != ':' || p[3] != ':')
		return -1;
	return minute * MQW_MINUTE + second * MQW_SECOND;
}

/* ".NNNNNN" in microseconds, or -1. One byte more is there. */
static inline int64_t six_digits(const char *p)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	/* The digits above two zeros, then pairs of neighbours added three times over. */
	const uint64_t zeros = 0x3030303030303030u;
	uint64_t v;

	memcpy(&v, p, sizeof(v)); /* '.', six digits, another byte */
	v = (v >> 8 << 16) | 0x3030u;
	/* None is below '0', and adding six brings none above it into the next sixteen. */
	if (p[0] != '.' || (v & 0xf0f0f0f0f0f0f0f0u) != zeros ||
		((v + 0x0606060606060606u) & 0xf0f0f0f0f0f0f0f0u) != zeros)
		return -1;
	v -= zeros;
	v = v * 10 + (v >> 8);
	v = ((v & 0x000000ff000000ffu) * 0x000f424000000064u +
		    ((v >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u) >>
		32;
	return (int64_t)v;
#else
	unsigned v = 0, bad = p[0] != '.';

	for (int i = 1; i < 7; i++) {
		const unsigned d = (unsigned char)p[i] - '0';

		bad |= d > 9;
		v = v * 10 + d;
	}
	return bad ? -1 : (int64_t)v;
#endif
}

/* A blank behind a second may have a zone behind it. */
static inline bool may_have_zone(const struct mqw_syslog_reader *r, char behind)
{
	return r->tail_len == 1 && (behind == '+' || behind == '-');
}

/* The very stamp of the line before. */
static inline bool take_same(const struct mqw_syslog_reader *r, struct mqw_slice *s, int64_t *ret)
{
	const size_t n = r->same_len;

	if (n == 0 || s->len <= n || !mqw_same_bytes(s->ptr, r->same_text, n) ||
		may_have_zone(r, s->ptr[n]))
		return false;
	*ret = r->same_time;
	*s = mqw_slice(s->ptr + n, s->len - n);
	return true;
}

/*
 * A stamp of the same hour and the same look as the last one: nearly each is. False: perhaps it is
 * another one.
 */
static inline bool take_alike(struct mqw_syslog_reader *r, struct mqw_slice *s, int64_t *ret)
{
	const size_t n = r->hour_len, tail_at = n + 6 + (r->tail_fraction ? 7 : 0);
	const char *p = s->ptr;
	int64_t us, fraction = 0;

	/* One byte more is looked at behind a blank, in case that it begins a zone. */
	if (r->tail_len == 0 || s->len < LINE_MIN || s->len <= tail_at + r->tail_len ||
		!mqw_same_bytes(p, r->hour_text, n) ||
		!mqw_same_bytes(p + tail_at, r->tail, r->tail_len))
		return false;
	us = minute_and_second(p + n);
	if (r->tail_fraction)
		fraction = six_digits(p + n + 6);
	if (us < 0 || fraction < 0)
		return false;
	p += tail_at + r->tail_len;
	if (may_have_zone(r, *p))
		return false;
	*ret = r->hour_start + r->tail_shift + us + fraction;
	if (r->tail_zoneless && *ret > r->last)
		r->last = *ret;
	r->same_len = 0;
	if (!r->tail_fraction && tail_at + r->tail_len <= sizeof(r->same_text)) {
		r->same_len = tail_at + r->tail_len;
		memcpy(r->same_text, s->ptr, r->same_len);
		r->same_time = *ret;
	}
	*s = mqw_slice(p, s->len - tail_at - r->tail_len);
	return true;
}

/* tail: what was behind second and fraction, with the blank. */
static void note_tail(struct mqw_syslog_reader *r, const char *fraction, struct mqw_slice tail,
	bool zoneless, int64_t shift)
{
	r->tail_len = r->same_len = 0;
	r->tail_fraction = fraction != tail.ptr;
	if (tail.len == 0 || tail.len > sizeof(r->tail) || tail.ptr[tail.len - 1] != ' ' ||
		(zoneless && r->hour_fold) ||
		(r->tail_fraction && (tail.ptr - fraction != 7 || *fraction != '.')))
		return;
	memcpy(r->tail, tail.ptr, tail.len);
	r->tail_len = tail.len;
	r->tail_zoneless = zoneless;
	r->tail_shift = shift;
}

/* A stamp of another hour or look than the last one. */
static __attribute__((noinline)) bool take_other(
	struct mqw_syslog_reader *r, struct mqw_slice *stamped, int64_t *ret)
{
	struct mqw_slice rest = *stamped, *s = &rest;
	size_t n = 0;
	enum stamp_form form;
	bool zoneless;
	const char *fraction, *tail;
	int64_t t, us, shift = 0, offset;

	form = form_of(*s, &n);
	zoneless = form != STAMP_ISO;
	if (form == STAMP_NONE || !know_hour(r, s->ptr, n, form))
		return false;
	us = minute_and_second(s->ptr + n);
	if (us < 0)
		return false;
	*s = mqw_slice_from(*s, n + 6);
	fraction = s->ptr;
	us += take_fraction(s);
	tail = s->ptr;
	if (form == STAMP_ISO) {
		zoneless = !take_zone(s, &offset);
		shift = zoneless ? hour_on_local_clock(r) - r->hour_start : -offset;
	}
	if (!mqw_slice_skip(s, MQW_LIT(" ")) && s->len)
		return false;
	note_tail(r, fraction, mqw_slice(tail, (size_t)(s->ptr - tail)), zoneless, shift);
	t = r->hour_start + shift + us;
	if (zoneless) {
		if (r->hour_fold)
			t = unfold(r, t);
		if (t > r->last)
			r->last = t;
	}
	*ret = t;
	*stamped = rest;
	return true;
}

bool mqw_syslog_take_stamp(struct mqw_syslog_reader *r, struct mqw_slice *stamped, int64_t *ret)
{
	return take_same(r, stamped, ret) || take_alike(r, stamped, ret) ||
		take_other(r, stamped, ret);
}
