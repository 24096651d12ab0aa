/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/form.h"

#include <stdio.h>

#include "probes/syslog/header.h"

/* "2003-8-12 TAB 0:58:14 GMT TAB ...": no zero in front, and always this zone. */
static bool tracking_time(struct mqw_columns *c, struct mqw_slice s, int64_t *ret)
{
	int64_t day, clock;

	if (!mqw_columns_take_date(c, &s, '\t', &day) || !mqw_slice_skip(&s, MQW_LIT("\t")) ||
		!mqw_utc_take_clock(&s, &clock) || !mqw_slice_skip(&s, MQW_LIT(" GMT\t")))
		return false;
	*ret = day + clock;
	return true;
}

/* "2026-05-16T17:54:37.000Z," in front, perhaps in quotes. */
static bool csv_time(struct mqw_columns *c, struct mqw_slice s, int64_t *ret)
{
	int64_t day, clock;

	mqw_slice_skip(&s, MQW_LIT("\""));
	if (!mqw_columns_take_date(c, &s, 'T', &day) || !mqw_slice_skip(&s, MQW_LIT("T")) ||
		!mqw_utc_take_clock(&s, &clock) || !mqw_slice_skip(&s, MQW_LIT("Z")))
		return false;
	*ret = day + clock;
	return true;
}

/* A stamp put together of figures, with a zone or on the local clock, as the reader of stamps has it. */
static bool read_stamp(struct mqw_syslog_reader *stamps, const int64_t date[3],
	struct mqw_slice clock, struct mqw_slice zone, int64_t *ret)
{
	char text[64];
	struct mqw_slice s;
	int64_t of_day;

	if (!mqw_utc_take_clock(&clock, &of_day) || zone.len > 6)
		return false;
	of_day /= MQW_SECOND;
	snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d%s%.*s ", (int)date[0],
		(int)date[1], (int)date[2], (int)(of_day / 3600), (int)(of_day / 60 % 60),
		(int)(of_day % 60), zone.len ? " " : "", (int)zone.len, zone.ptr ? zone.ptr : "");
	s = mqw_slice_of(text);
	return mqw_syslog_take_stamp(stamps, &s, ret);
}

static bool take_figure(struct mqw_slice *s, char end, int64_t *ret)
{
	struct mqw_slice field;
	uint64_t n;

	if (!mqw_slice_take_until(s, end, &field) || !mqw_slice_take_u64(&field, &n) || field.len ||
		n > 9998)
		return false;
	*ret = (int64_t)n;
	return true;
}

static int64_t month_of(struct mqw_slice name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12 && name.len == 3; i++)
		if (memcmp(name.ptr, names + 3 * i, 3) == 0)
			return i + 1;
	return 0;
}

/* "16/May/2026:17:54:44 +0200" between the brackets. */
static bool ncsa_time(struct mqw_syslog_reader *stamps, struct mqw_slice s, int64_t *ret)
{
	struct mqw_slice month, clock;
	int64_t date[3];

	if (!take_figure(&s, '/', &date[2]) || !mqw_slice_take_until(&s, '/', &month) ||
		!take_figure(&s, ':', &date[0]) || !mqw_slice_take_until(&s, ' ', &clock))
		return false;
	date[1] = month_of(month);
	return date[1] && read_stamp(stamps, date, clock, s, ret);
}

/* "5/16/2026" or "5/16/26" with the time of day. Where the first is no month it is the day. */
static bool iis_time(struct mqw_syslog_reader *stamps, struct mqw_slice day, struct mqw_slice clock,
	int64_t *ret)
{
	int64_t date[3], first;
	uint64_t year;

	if (!take_figure(&day, '/', &date[1]) || !take_figure(&day, '/', &date[2]) ||
		!mqw_slice_take_u64(&day, &year) || day.len || year > 9998)
		return false;
	date[0] = (int64_t)(year < 100 ? 2000 + year : year);
	first = date[1];
	if (first > 12) {
		date[1] = date[2];
		date[2] = first;
	}
	return read_stamp(stamps, date, clock, MQW_SLICE_NULL, ret);
}

/* HOST - USER [STAMP] "METHOD STEM?QUERY VERSION" STATUS BYTES */
static bool ncsa_row(
	struct mqw_slice s, struct mqw_slice *ret_stamp, struct mqw_slice ret[MQW_COLUMN_COUNT])
{
	struct mqw_slice ident, stem;
	size_t end;

	if (!mqw_slice_take_until(&s, ' ', &ret[MQW_COLUMN_CLIENT_IP]) ||
		!mqw_slice_take_until(&s, ' ', &ident) ||
		!mqw_slice_take_until(&s, ' ', &ret[MQW_COLUMN_USERNAME]) ||
		!mqw_slice_skip(&s, MQW_LIT("[")) || !mqw_slice_take_until(&s, ']', ret_stamp) ||
		!mqw_slice_skip(&s, MQW_LIT(" \"")) ||
		!mqw_slice_take_until(&s, ' ', &ret[MQW_COLUMN_METHOD]) ||
		!mqw_slice_take_until(&s, '?', &stem))
		return false;
	/* The text may hold quotes: the last ones are those that end it. */
	for (end = s.len; end && s.ptr[end - 1] != '"'; end--)
		;
	if (end == 0)
		return false;
	s.len = end - 1;
	if (mqw_slice_ends(s, MQW_LIT(" SMTP")))
		s.len -= 5;
	ret[MQW_COLUMN_QUERY] = s;
	return true;
}

static struct mqw_slice iis_take(struct mqw_slice *s)
{
	size_t n = mqw_slice_chr(*s, ',');
	struct mqw_slice field = mqw_slice_trim(mqw_slice_head(*s, n));

	*s = mqw_slice_from(*s, n + 1);
	return field;
}

/* Fifteen fields, each with a comma behind it; the text of a reply, which comes last, has commas. */
static bool iis_row(struct mqw_slice s, struct mqw_slice *ret_day, struct mqw_slice *ret_clock,
	struct mqw_slice ret[MQW_COLUMN_COUNT])
{
	static const uint8_t at[14] = {MQW_COLUMN_CLIENT_IP, MQW_COLUMN_USERNAME, MQW_COLUMN_DATE,
		MQW_COLUMN_TIME, MQW_COLUMN_SITENAME, MQW_COLUMN_UNUSED, MQW_COLUMN_SERVER_IP,
		MQW_COLUMN_UNUSED, MQW_COLUMN_UNUSED, MQW_COLUMN_UNUSED, MQW_COLUMN_UNUSED,
		MQW_COLUMN_UNUSED, MQW_COLUMN_METHOD, MQW_COLUMN_UNUSED};

	for (size_t i = 0; i < sizeof(at); i++) {
		if (s.len == 0)
			return false;
		ret[at[i]] = iis_take(&s);
	}
	s = mqw_slice_trim(s);
	if (mqw_slice_ends(s, MQW_LIT(",")))
		s.len--;
	ret[MQW_COLUMN_QUERY] = s;
	*ret_day = ret[MQW_COLUMN_DATE];
	*ret_clock = ret[MQW_COLUMN_TIME];
	return true;
}

bool mqw_windows_smtp_row(
	const struct mqw_columns *c, struct mqw_slice line, struct mqw_slice ret[MQW_COLUMN_COUNT])
{
	struct mqw_slice stamp, day, clock;

	if (c->log == MQW_WINDOWS_W3C)
		return mqw_columns_split(c, line, ret);
	memset(ret, 0, MQW_COLUMN_COUNT * sizeof(*ret));
	if (c->log == MQW_WINDOWS_NCSA)
		return ncsa_row(line, &stamp, ret);
	return c->log == MQW_WINDOWS_IIS && iis_row(line, &day, &clock, ret);
}

bool mqw_windows_is_smtp(const struct mqw_slice row[MQW_COLUMN_COUNT])
{
	static const struct mqw_slice verbs[] = {MQW_LIT("EHLO"), MQW_LIT("HELO"), MQW_LIT("MAIL"),
		MQW_LIT("RCPT"), MQW_LIT("DATA"), MQW_LIT("BDAT"), MQW_LIT("RSET"),
		MQW_LIT("QUIT")};

	if (mqw_slice_starts(row[MQW_COLUMN_USERNAME], MQW_LIT("OutboundConnection")) ||
		mqw_slice_starts(row[MQW_COLUMN_SITENAME], MQW_LIT("SMTPSVC")))
		return true;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (mqw_slice_eq(row[MQW_COLUMN_METHOD], verbs[i]))
			return true;
	return false;
}

/* The time of a line in the form of the log, which its file keeps; NONE: by what the line is like. */
static bool time_of(struct mqw_syslog_reader *stamps, enum mqw_windows_log log,
	struct mqw_slice line, int64_t *ret)
{
	struct mqw_slice row[MQW_COLUMN_COUNT] = {{0}}, a, b;

	switch (log) {
	case MQW_WINDOWS_W3C:
		return mqw_columns_w3c_time(&stamps->columns, line, ret);
	case MQW_WINDOWS_TRACKING:
		return tracking_time(&stamps->columns, line, ret);
	case MQW_WINDOWS_MSGTRK:
	case MQW_WINDOWS_SMTP_SEND:
		return csv_time(&stamps->columns, line, ret);
	case MQW_WINDOWS_NCSA:
		return ncsa_row(line, &a, row) && ncsa_time(stamps, a, ret);
	case MQW_WINDOWS_IIS:
		return iis_row(line, &a, &b, row) && iis_time(stamps, a, b, ret);
	case MQW_WINDOWS_NONE:
	case MQW_WINDOWS_OTHER:
		break;
	}
	return false;
}

/* What a line without any "#" line before it is like. */
static enum mqw_windows_log guess(
	struct mqw_syslog_reader *stamps, struct mqw_slice line, int64_t *ret)
{
	static const enum mqw_windows_log bare[] = {
		MQW_WINDOWS_TRACKING, MQW_WINDOWS_NCSA, MQW_WINDOWS_IIS};

	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
		if (time_of(stamps, bare[i], line, ret))
			return bare[i];
	return MQW_WINDOWS_NONE;
}

enum mqw_form mqw_windows_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret)
{
	struct mqw_columns *c = &stamps->columns;

	if (mqw_columns_directive(c, raw))
		return MQW_FORM_HEAD;
	if (c->log == MQW_WINDOWS_OTHER)
		return MQW_FORM_HEAD;
	if (c->log == MQW_WINDOWS_NONE)
		c->log = guess(stamps, raw, &ret->time);
	else if (!time_of(stamps, c->log, raw, &ret->time))
		return MQW_FORM_NONE;
	if (c->log == MQW_WINDOWS_NONE)
		return MQW_FORM_NONE;
	ret->host = MQW_SLICE_NULL;
	ret->text = raw;
	ret->pid = 0;
	ret->id_len = 0;
	ret->columns = c;
	return MQW_FORM_POSSIBLE;
}

static bool is_digits(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len > 0;
}

static bool skip_nocase(struct mqw_slice *s, struct mqw_slice prefix)
{
	if (!mqw_slice_eq_nocase(mqw_slice_head(*s, prefix.len), prefix))
		return false;
	*s = mqw_slice_from(*s, prefix.len);
	return true;
}

/* Takes "LETTERS DIGITS .log" apart, whatever comes behind it; false when it is none. */
static bool take_stem(struct mqw_slice *name)
{
	size_t at = mqw_slice_find_nocase(*name, MQW_LIT(".log"));

	if (at == name->len)
		return false;
	*name = mqw_slice_head(*name, at);
	return true;
}

bool mqw_windows_tracking_name(struct mqw_slice name)
{
	if (!take_stem(&name))
		return false;
	if (skip_nocase(&name, MQW_LIT("MSGTRK"))) {
		/* M submission; MD, MS and MA delivery, submission, moderation. */
		for (int i = 0; i < 2 && name.len && name.ptr[0] >= 'A'; i++)
			name = mqw_slice_from(name, 1);
		return is_digits(mqw_slice_head(name, 8));
	}
	if (skip_nocase(&name, MQW_LIT("SEND")))
		return name.len >= 8 && is_digits(mqw_slice_head(name, 8));
	return name.len == 8 && is_digits(name);
}

bool mqw_windows_smtp_name(struct mqw_slice name)
{
	static const struct mqw_slice prefixes[] = {MQW_LIT("ex"), MQW_LIT("nc"), MQW_LIT("in")};

	if (!take_stem(&name))
		return false;
	skip_nocase(&name, MQW_LIT("u_"));
	if (skip_nocase(&name, MQW_LIT("extend")))
		return is_digits(name);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (skip_nocase(&name, prefixes[i]))
			return is_digits(name) && (name.len == 6 || name.len == 8);
	return false;
}
