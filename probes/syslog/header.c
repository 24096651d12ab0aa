/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/syslog/header.h"

#include <time.h>

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
	r->hour_len = r->second_len = 0;
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

/* The first one, of an hour that comes twice; *ret_fold: how much later the second is, or 0. */
static int64_t local_hour(int year, int month, int day, int hour, int64_t *ret_fold)
{
	int64_t summer, winter, t;

	*ret_fold = 0;
	if (hour_with(year, month, day, hour, 1, &summer) &&
		hour_with(year, month, day, hour, 0, &winter) && summer < winter) {
		*ret_fold = winter - summer;
		return summer;
	}
	hour_with(year, month, day, hour, -1, &t);
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
	if (s.len < 20)
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

/* What the first n + 6 bytes of p, hour, minute and second, stand for. */
static bool read_second(struct mqw_syslog_reader *r, const char *p, size_t n, enum stamp_form form)
{
	int minute, second;

	r->second_len = 0;
	if (n != r->hour_len || memcmp(p, r->hour_text, n) != 0) {
		r->hour_len = 0;
		if (!read_hour(r, p, form))
			return false;
		memcpy(r->hour_text, p, n);
		r->hour_len = n;
	}
	minute = digits(p + n + 1, 2);
	second = digits(p + n + 4, 2);
	if (minute < 0 || minute > 59 || p[n + 3] != ':' || second < 0 || second > 60)
		return false;
	r->second_start = r->hour_start + minute * MQW_MINUTE + second * MQW_SECOND;
	memcpy(r->second_text, p, n + 6);
	r->second_len = n + 6;
	return true;
}

bool mqw_syslog_take_stamp(struct mqw_syslog_reader *r, struct mqw_slice *stamped, int64_t *ret)
{
	struct mqw_slice rest = *stamped, *s = &rest;
	size_t n = 0;
	enum stamp_form form = form_of(*s, &n);
	bool zoneless = form != STAMP_ISO;
	int64_t t, offset;

	if (form == STAMP_NONE)
		return false;
	if ((n + 6 != r->second_len || memcmp(s->ptr, r->second_text, n + 6) != 0) &&
		!read_second(r, s->ptr, n, form))
		return false;
	*s = mqw_slice_from(*s, n + 6);
	t = r->second_start + take_fraction(s);
	if (form == STAMP_ISO) {
		zoneless = !take_zone(s, &offset);
		if (zoneless)
			t += hour_on_local_clock(r) - r->hour_start;
		else
			t -= offset;
	}
	if (!mqw_slice_skip(s, MQW_LIT(" ")) && s->len)
		return false;
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

static struct mqw_slice take_word(struct mqw_slice *s)
{
	size_t n = mqw_slice_chr(*s, ' ');
	struct mqw_slice word = mqw_slice_head(*s, n);

	*s = mqw_slice_from(*s, n + 1);
	return word;
}

static void split_pid(struct mqw_slice tag, struct mqw_line *ret)
{
	size_t open = mqw_slice_chr(tag, '[');
	struct mqw_slice number = mqw_slice_from(tag, open + 1);
	uint64_t pid = 0;

	ret->tag = mqw_slice_head(tag, open);
	if (open < tag.len && mqw_slice_take_u64(&number, &pid) && pid <= UINT32_MAX)
		ret->pid = (uint32_t)pid;
}

/* RFC 5424 section 6: HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]. */
static void read_5424(struct mqw_slice s, struct mqw_line *ret)
{
	struct mqw_slice pid;
	uint64_t n;

	ret->host = take_word(&s);
	ret->tag = take_word(&s);
	pid = take_word(&s);
	if (mqw_slice_take_u64(&pid, &n) && n <= UINT32_MAX)
		ret->pid = (uint32_t)n;
	take_word(&s);
	if (mqw_slice_starts(s, MQW_LIT("["))) {
		bool quoted = false;
		size_t i = 0;

		for (; i < s.len &&
			(quoted || s.ptr[i] != ']' || (i + 1 < s.len && s.ptr[i + 1] == '['));
			i++) {
			if (s.ptr[i] == '\\')
				i++;
			else if (s.ptr[i] == '"')
				quoted = !quoted;
		}
		s = mqw_slice_from(s, i + 2);
	} else {
		take_word(&s);
	}
	if (mqw_slice_starts(s, MQW_LIT("\xef\xbb\xbf")))
		s = mqw_slice_from(s, 3);
	ret->text = mqw_slice_starts(s, MQW_LIT(" ")) ? mqw_slice_from(s, 1) : s;
}

static void unwrap_repetition(struct mqw_slice *text)
{
	struct mqw_slice s = *text;
	uint64_t n;

	if (mqw_slice_skip(&s, MQW_LIT("message repeated ")) && mqw_slice_take_u64(&s, &n) &&
		mqw_slice_skip(&s, MQW_LIT(" times: [ ")) && s.len && s.ptr[s.len - 1] == ']')
		*text = mqw_slice_head(s, s.len - 1);
}

bool mqw_syslog_parse(struct mqw_syslog_reader *r, struct mqw_slice raw, struct mqw_line *ret)
{
	struct mqw_slice s = raw, word;
	bool rfc5424 = false;
	uint64_t pri;

	ret->pid = 0;
	ret->columns = NULL;
	ret->tag = ret->host = ret->text = MQW_SLICE_NULL;
	if (s.len && s.ptr[0] == '<') {
		s = mqw_slice_from(s, 1);
		if (!mqw_slice_take_u64(&s, &pri) || pri > 191 || !mqw_slice_skip(&s, MQW_LIT(">")))
			return false;
		rfc5424 = mqw_slice_skip(&s, MQW_LIT("1 "));
	}
	if (!mqw_syslog_take_stamp(r, &s, &ret->time))
		return false;
	if (rfc5424) {
		read_5424(s, ret);
	} else {
		ret->host = take_word(&s);
		ret->text = s;
		word = take_word(&s);
		if (word.len > 1 && word.ptr[word.len - 1] == ':') {
			split_pid(mqw_slice_head(word, word.len - 1), ret);
			ret->text = s;
		}
	}
	if (ret->text.len && ret->text.ptr[0] == 'm')
		unwrap_repetition(&ret->text);
	return true;
}
