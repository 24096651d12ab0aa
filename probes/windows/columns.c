/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/columns.h"

#define UTF8_MARK MQW_LIT("\xef\xbb\xbf")

/* The names of those of W3C are Microsoft's; NCSA and IIS have the same in fixed places. */
static const struct {
	struct mqw_slice name;
	uint8_t column;
} names[] = {
	{MQW_LIT("date"), MQW_COLUMN_DATE},
	{MQW_LIT("time"), MQW_COLUMN_TIME},
	{MQW_LIT("c-ip"), MQW_COLUMN_CLIENT_IP},
	{MQW_LIT("cs-username"), MQW_COLUMN_USERNAME},
	{MQW_LIT("s-sitename"), MQW_COLUMN_SITENAME},
	{MQW_LIT("s-computername"), MQW_COLUMN_COMPUTERNAME},
	{MQW_LIT("s-ip"), MQW_COLUMN_SERVER_IP},
	{MQW_LIT("s-port"), MQW_COLUMN_SERVER_PORT},
	{MQW_LIT("cs-method"), MQW_COLUMN_METHOD},
	{MQW_LIT("cs-uri-query"), MQW_COLUMN_QUERY},
	{MQW_LIT("date-time"), MQW_COLUMN_DATE_TIME},
	{MQW_LIT("server-hostname"), MQW_COLUMN_SERVER_HOSTNAME},
	{MQW_LIT("source-context"), MQW_COLUMN_SOURCE_CONTEXT},
	{MQW_LIT("source"), MQW_COLUMN_SOURCE},
	{MQW_LIT("event-id"), MQW_COLUMN_EVENT_ID},
	{MQW_LIT("message-id"), MQW_COLUMN_MESSAGE_ID},
	{MQW_LIT("recipient-address"), MQW_COLUMN_RECIPIENTS},
	{MQW_LIT("recipient-status"), MQW_COLUMN_RECIPIENT_STATUS},
	{MQW_LIT("recipient-count"), MQW_COLUMN_RECIPIENT_COUNT},
	{MQW_LIT("related-recipient-address"), MQW_COLUMN_RELATED},
	{MQW_LIT("reference"), MQW_COLUMN_REFERENCE},
	{MQW_LIT("return-path"), MQW_COLUMN_RETURN_PATH},
	{MQW_LIT("sender-address"), MQW_COLUMN_SENDER},
	{MQW_LIT("session-id"), MQW_COLUMN_SESSION_ID},
	{MQW_LIT("remote-endpoint"), MQW_COLUMN_REMOTE},
	{MQW_LIT("event"), MQW_COLUMN_EVENT},
	{MQW_LIT("data"), MQW_COLUMN_DATA},
	{MQW_LIT("context"), MQW_COLUMN_CONTEXT},
};

void mqw_columns_init(struct mqw_columns *c)
{
	*c = (struct mqw_columns){.date = MQW_TIME_NONE};
}

static bool take_number(struct mqw_slice *s, int64_t max, int64_t *ret)
{
	int64_t n = 0;
	size_t i = 0;

	for (; i < s->len && i < 5 && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++)
		n = n * 10 + (s->ptr[i] - '0');
	if (i == 0 || n > max)
		return false;
	*s = mqw_slice_from(*s, i);
	*ret = n;
	return true;
}

static bool take_numbers(
	struct mqw_slice *s, char between, int64_t max, int64_t *a, int64_t *b, int64_t *c)
{
	struct mqw_slice rest = *s;
	struct mqw_slice mark = mqw_slice(&between, 1);

	if (!take_number(&rest, max, a) || !mqw_slice_skip(&rest, mark) ||
		!take_number(&rest, 59, b) || !mqw_slice_skip(&rest, mark) ||
		!take_number(&rest, 60, c))
		return false;
	*s = rest;
	return true;
}

bool mqw_utc_take_date(struct mqw_slice *s, int64_t *ret)
{
	struct mqw_slice rest = *s;
	int64_t year, month, day;

	if (!take_numbers(&rest, '-', 9998, &year, &month, &day) || year < 1970 || month < 1 ||
		month > 12 || day < 1 || day > 31)
		return false;
	*s = rest;
	*ret = mqw_days_from_civil((int)year, (int)month, (int)day) * MQW_DAY;
	return true;
}

bool mqw_columns_take_date(struct mqw_columns *c, struct mqw_slice *s, char end, int64_t *ret)
{
	struct mqw_slice rest = *s;
	size_t len;

	if (c->day_len && s->len >= c->day_len &&
		(s->len == c->day_len || s->ptr[c->day_len] == end) &&
		memcmp(s->ptr, c->day_text, c->day_len) == 0) {
		*ret = c->day;
		*s = mqw_slice_from(*s, c->day_len);
		return true;
	}
	if (!mqw_utc_take_date(&rest, ret) || (rest.len && rest.ptr[0] != end))
		return false;
	len = s->len - rest.len;
	if (s->ptr && len <= sizeof(c->day_text)) {
		memcpy(c->day_text, s->ptr, len);
		c->day_len = (uint8_t)len;
		c->day = *ret;
	}
	*s = rest;
	return true;
}

/* "17:54:44", where each figure has two digits: nearly always, but for the first hours of tracking. */
static bool take_full_clock(struct mqw_slice *s, int64_t *ret)
{
	const char *p = s->ptr;
	unsigned d[6], hour, minute, second;

	if (s->len < 8 || p[2] != ':' || p[5] != ':')
		return false;
	for (unsigned i = 0; i < 6; i++) {
		d[i] = (unsigned)(p[i + i / 2] - '0');
		if (d[i] > 9)
			return false;
	}
	hour = d[0] * 10 + d[1];
	minute = d[2] * 10 + d[3];
	second = d[4] * 10 + d[5];
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	*ret = (int64_t)(hour * 3600 + minute * 60 + second) * MQW_SECOND;
	*s = mqw_slice_from(*s, 8);
	return true;
}

bool mqw_utc_take_clock(struct mqw_slice *s, int64_t *ret)
{
	int64_t hour, minute, second, unit = MQW_SECOND / 10;

	if (!take_full_clock(s, ret)) {
		if (!take_numbers(s, ':', 23, &hour, &minute, &second))
			return false;
		*ret = hour * MQW_HOUR + minute * MQW_MINUTE + second * MQW_SECOND;
	}
	if (!mqw_slice_skip(s, MQW_LIT(".")))
		return true;
	for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; unit /= 10) {
		*ret += (s->ptr[0] - '0') * unit;
		*s = mqw_slice_from(*s, 1);
	}
	return true;
}

/* "2026-05-16 17:54:37" or "2026-05-16T17:54:37.000Z". */
static int64_t read_date(struct mqw_slice s)
{
	int64_t day, clock;

	if (!mqw_utc_take_date(&s, &day))
		return MQW_TIME_NONE;
	if (!mqw_slice_skip(&s, MQW_LIT("T")))
		mqw_slice_skip(&s, MQW_LIT(" "));
	return mqw_utc_take_clock(&s, &clock) ? day + clock : day;
}

static uint8_t column_of(struct mqw_slice name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mqw_slice_eq_nocase(name, names[i].name))
			return names[i].column;
	return MQW_COLUMN_UNUSED;
}

/* Names apart by commas or by blanks, never both; one that comes twice counts the first time. */
static void read_fields(struct mqw_columns *c, struct mqw_slice s)
{
	bool csv = mqw_slice_chr(s, ',') < s.len;
	bool seen[MQW_COLUMN_COUNT] = {false};
	size_t count = 0, last = 0;

	while (s.len && count < MQW_COLUMNS_MAX) {
		size_t n = mqw_slice_chr(s, csv ? ',' : ' ');
		struct mqw_slice name = mqw_slice_trim(mqw_slice_head(s, n));

		s = mqw_slice_from(s, n + 1);
		if (!name.len && !csv)
			continue;
		c->at[count] = column_of(name);
		if (seen[c->at[count]])
			c->at[count] = MQW_COLUMN_UNUSED;
		seen[c->at[count++]] = true;
		if (c->at[count - 1] != MQW_COLUMN_UNUSED)
			last = count;
	}
	c->count = (uint8_t)last;
	if (!csv)
		c->log = MQW_WINDOWS_W3C;
	else if (c->log != MQW_WINDOWS_MSGTRK && c->log != MQW_WINDOWS_SMTP_SEND)
		c->log = seen[MQW_COLUMN_EVENT_ID] && seen[MQW_COLUMN_MESSAGE_ID]
			? MQW_WINDOWS_MSGTRK
			: MQW_WINDOWS_OTHER;
}

static enum mqw_windows_log log_of_type(struct mqw_slice type)
{
	if (mqw_slice_eq_nocase(type, MQW_LIT("Message Tracking Log")))
		return MQW_WINDOWS_MSGTRK;
	if (mqw_slice_eq_nocase(type, MQW_LIT("SMTP Send Protocol Log")))
		return MQW_WINDOWS_SMTP_SEND;
	return MQW_WINDOWS_OTHER;
}

bool mqw_columns_directive(struct mqw_columns *c, struct mqw_slice line)
{
	mqw_slice_skip(&line, UTF8_MARK);
	if (!mqw_slice_skip(&line, MQW_LIT("#")))
		return false;
	line = mqw_slice_trim(line);
	if (mqw_slice_skip(&line, MQW_LIT("Fields:")))
		read_fields(c, mqw_slice_trim(line));
	else if (mqw_slice_skip(&line, MQW_LIT("Date:")))
		c->date = read_date(mqw_slice_trim(line));
	else if (mqw_slice_skip(&line, MQW_LIT("Log-type:")))
		c->log = log_of_type(mqw_slice_trim(line));
	else if (mqw_slice_starts(line, MQW_LIT("Message Tracking Log File")))
		c->log = MQW_WINDOWS_TRACKING;
	return true;
}

struct mqw_slice mqw_csv_take(struct mqw_slice *s)
{
	struct mqw_slice field;
	size_t i = 1;

	if (s->len == 0 || s->ptr[0] != '"') {
		i = mqw_slice_chr(*s, ',');
		field = mqw_slice_head(*s, i);
		*s = mqw_slice_from(*s, i + 1);
		return field;
	}
	for (; i < s->len; i++) {
		if (s->ptr[i] != '"')
			continue;
		if (i + 1 == s->len || s->ptr[i + 1] != '"')
			break;
		i++;
	}
	field = mqw_slice(s->ptr + 1, i < s->len ? i - 1 : s->len - 1);
	*s = mqw_slice_from(*s, i);
	*s = mqw_slice_from(*s, mqw_slice_chr(*s, ',') + 1);
	return field;
}

static struct mqw_slice blank_take(struct mqw_slice *s)
{
	size_t n = mqw_slice_chr(*s, ' ');
	struct mqw_slice field = mqw_slice_head(*s, n);

	*s = mqw_slice_from(*s, n + 1);
	return field;
}

bool mqw_columns_split(
	const struct mqw_columns *c, struct mqw_slice line, struct mqw_slice ret[MQW_COLUMN_COUNT])
{
	bool csv = c->log != MQW_WINDOWS_W3C;

	memset(ret, 0, MQW_COLUMN_COUNT * sizeof(*ret));
	if (!line.len)
		return false;
	for (size_t i = 0; i < c->count; i++) {
		/* A line that was cut, or has other columns than were said. */
		if (line.len == 0 && i > 0 && line.ptr[-1] != (csv ? ',' : ' '))
			return false;
		ret[c->at[i]] = csv ? mqw_csv_take(&line) : blank_take(&line);
	}
	return c->count > 0;
}

bool mqw_columns_w3c_time(struct mqw_columns *c, struct mqw_slice line, int64_t *ret)
{
	int64_t day = MQW_TIME_NONE, clock = MQW_TIME_NONE, value;

	for (size_t i = 0; i < c->count && (day == MQW_TIME_NONE || clock == MQW_TIME_NONE); i++) {
		struct mqw_slice field;

		if (c->at[i] == MQW_COLUMN_DATE) {
			if (!mqw_columns_take_date(c, &line, ' ', &value))
				return false;
			day = value;
		}
		field = blank_take(&line);
		if (c->at[i] == MQW_COLUMN_TIME) {
			if (!mqw_utc_take_clock(&field, &value))
				return false;
			clock = value;
		}
	}
	if (day == MQW_TIME_NONE && c->date == MQW_TIME_NONE)
		return false;
	if (clock == MQW_TIME_NONE)
		clock = c->date == MQW_TIME_NONE ? 0 : c->date % MQW_DAY;
	*ret = (day == MQW_TIME_NONE ? c->date / MQW_DAY * MQW_DAY : day) + clock;
	return c->count > 0;
}
