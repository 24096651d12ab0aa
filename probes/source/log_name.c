/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/log_name.h"

#include "watchdogd/base/clock.h"

static bool all_digits(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len > 0;
}

static uint64_t number(struct mqw_slice s)
{
	uint64_t v = 0;

	(void)mqw_slice_take_u64(&s, &v);
	return v;
}

static bool in_range(struct mqw_slice digits, size_t at, uint64_t low, uint64_t high)
{
	uint64_t v = number(mqw_slice_head(mqw_slice_from(digits, at), 2));

	return v >= low && v <= high;
}

/* yyyymmdd of a year that logs can be of: mail.log-20269999 is some other name. */
static bool is_date(struct mqw_slice s)
{
	return s.len == 8 && all_digits(s) && (s.ptr[0] == '1' || s.ptr[0] == '2') &&
		in_range(s, 4, 1, 12) && in_range(s, 6, 1, 31);
}

/*
 * "20260516", and with a time behind: "20260516-010203", "20260516-0102", "2026051601" (logrotate's
 * dateformat -%Y%m%d%H), "2026-05-16". Into yyyymmddHHMMSS.
 */
static bool parse_date(struct mqw_slice s, uint64_t *ret)
{
	char digits[14] = "00000000000000";
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		bool separator = s.ptr[i] == '-' || s.ptr[i] == '_' || s.ptr[i] == 'T';

		if (separator && i > 0 && i + 1 < s.len)
			continue;
		if (s.ptr[i] < '0' || s.ptr[i] > '9' || n == sizeof(digits))
			return false;
		digits[n++] = s.ptr[i];
	}
	if (n < 8 || n % 2 || !is_date(mqw_slice(digits, 8)))
		return false;
	*ret = number(mqw_slice(digits, sizeof(digits)));
	return true;
}

static struct mqw_slice without_compression(struct mqw_slice s)
{
	static const char *const suffixes[] = {".gz", ".xz", ".zst", ".bz2", ".lzma", ".Z"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		struct mqw_slice suffix = mqw_slice_of(suffixes[i]);

		if (s.len > suffix.len && mqw_slice_ends(s, suffix))
			return mqw_slice_head(s, s.len - suffix.len);
	}
	return s;
}

/* Remote hosts' logs are often named by address: in 10.0.0.2 the 2 is no rotation's. */
static bool ends_in_address(struct mqw_slice name)
{
	size_t parts = 0;

	while (name.len) {
		size_t at = name.len;

		while (at && name.ptr[at - 1] != '.' && name.ptr[at - 1] != '/' &&
			name.ptr[at - 1] != '-' && name.ptr[at - 1] != '_')
			at--;
		if (name.len - at > 3 || !all_digits(mqw_slice_from(name, at)))
			break;
		parts++;
		if (at == 0 || name.ptr[at - 1] != '.')
			break;
		name.len = at - 1;
	}
	return parts == 4;
}

/* Takes the digits off the end; how many. */
static size_t digits_at_end(struct mqw_slice s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[s.len - 1 - n] >= '0' && s.ptr[s.len - 1 - n] <= '9')
		n++;
	return n;
}

/* Letters in front of the date by which IIS names its logs: two digits are its year. */
static bool is_iis_prefix(struct mqw_slice s)
{
	static const struct mqw_slice prefixes[] = {MQW_LIT("ex"), MQW_LIT("u_ex"), MQW_LIT("nc"),
		MQW_LIT("u_nc"), MQW_LIT("in"), MQW_LIT("u_in")};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (mqw_slice_eq_nocase(s, prefixes[i]))
			return true;
	return false;
}

/* The date of a period in digits: yymmdd or yymmddHH of IIS, yyyymmdd or yyyymmddHH of Exchange. */
static bool parse_period(struct mqw_slice prefix, struct mqw_slice digits, uint64_t *ret)
{
	char full[14] = "20000000000000";
	size_t skip = is_iis_prefix(prefix) ? 2 : 0;

	if (digits.len + skip != 8 && digits.len + skip != 10)
		return false;
	memcpy(full + skip, digits.ptr, digits.len);
	if (!is_date(mqw_slice(full, 8)))
		return false;
	*ret = number(mqw_slice(full, sizeof(full)));
	return true;
}

/* "-12" off the end, behind digits. */
static uint64_t take_serial(struct mqw_slice *s)
{
	size_t n = digits_at_end(*s);
	uint64_t serial;

	if (n == 0 || n > 6 || s->len < n + 2 || s->ptr[s->len - n - 1] != '-' ||
		!digits_at_end(mqw_slice_head(*s, s->len - n - 1)))
		return 0;
	serial = number(mqw_slice_from(*s, s->len - n));
	s->len -= n + 1;
	return serial;
}

/* A name whose date stands in front of ".log". folder: where its last part begins. */
static bool read_period(struct mqw_slice name, size_t folder, struct mqw_log_name *ret)
{
	struct mqw_slice part, prefix, digits;
	size_t n;

	if (name.len < folder + 10 ||
		!mqw_slice_eq_nocase(mqw_slice_from(name, name.len - 4), MQW_LIT(".log")))
		return false;
	part = mqw_slice(name.ptr + folder, name.len - folder - 4);
	ret->serial = take_serial(&part);
	n = digits_at_end(part);
	prefix = mqw_slice_head(part, part.len - n);
	digits = mqw_slice_from(part, part.len - n);
	ret->base = mqw_slice_head(name, folder + prefix.len);
	if (mqw_slice_eq_nocase(prefix, MQW_LIT("extend"))) {
		ret->stamp = 0;
		ret->serial = number(digits);
		return n > 0 && n <= 9;
	}
	ret->daily = prefix.len == 0 && digits.len == 8 && !ret->serial;
	/* A log without letters of its own, "20260516.log", is its folder's. */
	return parse_period(prefix, digits, &ret->stamp);
}

struct mqw_log_name mqw_log_name_read(const char *path)
{
	struct mqw_slice name = without_compression(mqw_slice_of(path));
	struct mqw_log_name ret = {.base = name, .scheme = MQW_LOG_LIVE}, period = {0};
	size_t folder = name.len;

	if (ends_in_address(name))
		return ret;
	while (folder && name.ptr[folder - 1] != '/')
		folder--;
	if (read_period(name, folder, &period)) {
		period.scheme = MQW_LOG_PERIOD;
		return period;
	}
	/* The leftmost separator that leaves a date wins: x-20260516-010203 is x's. */
	for (size_t i = folder + 1; i + 1 < name.len; i++) {
		struct mqw_slice rest = mqw_slice_from(name, i + 1);

		if (name.ptr[i] != '.' && name.ptr[i] != '-' && name.ptr[i] != '_')
			continue;
		if (parse_date(rest, &ret.stamp)) {
			ret.base = mqw_slice_head(name, i);
			ret.scheme = MQW_LOG_DATE;
			return ret;
		}
		/* No log is kept in more than some thousand numbered pieces. */
		if (name.ptr[i] == '.' && rest.len <= 4 && all_digits(rest)) {
			ret.base = mqw_slice_head(name, i);
			ret.scheme = MQW_LOG_NUMBER;
			ret.stamp = number(rest);
			return ret;
		}
	}
	return ret;
}

/* Numbered pieces first: where both are, the host changed to dates and kept what was there. */
int mqw_log_name_order(const struct mqw_log_name *a, const struct mqw_log_name *b)
{
	static const int rank[] = {
		[MQW_LOG_NUMBER] = 0, [MQW_LOG_DATE] = 1, [MQW_LOG_PERIOD] = 1, [MQW_LOG_LIVE] = 2};

	if (rank[a->scheme] != rank[b->scheme])
		return rank[a->scheme] - rank[b->scheme];
	if (a->stamp != b->stamp)
		return (a->stamp < b->stamp) == (a->scheme != MQW_LOG_NUMBER) ? -1 : 1;
	return (a->serial > b->serial) - (a->serial < b->serial);
}

static int64_t day_of(uint64_t stamp)
{
	uint64_t date = stamp / 1000000;

	return mqw_days_from_civil((int)(date / 10000), (int)(date / 100 % 100), (int)(date % 100));
}

bool mqw_log_name_hole(const struct mqw_log_name *before, const struct mqw_log_name *after)
{
	if (before->scheme == MQW_LOG_PERIOD && after->scheme == MQW_LOG_PERIOD) {
		/* Pieces of a period count from 1; a period without mail has none, a day has some. */
		if (before->serial && after->serial)
			return after->serial >
				(after->stamp == before->stamp ? before->serial + 1 : 1);
		return before->daily && after->daily &&
			day_of(after->stamp) > day_of(before->stamp) + 1;
	}
	if (before->scheme != MQW_LOG_NUMBER)
		return false;
	if (after->scheme == MQW_LOG_NUMBER)
		return before->stamp > after->stamp + 1;
	/* savelog and logrotate's `start 0` begin with .0, the rest with .1. */
	return after->scheme == MQW_LOG_LIVE && before->stamp > 1;
}
