/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivery lines: "to=<a>,<b>, ctladdr=<c> (uid/gid), delay=D+HH:MM:SS, xdelay=..., mailer=M,
 * pri=N, relay=R [IP], dsn=X.Y.Z, reply=TEXT, stat=TEXT" (logdelivery, deliver.c:4778 of Sendmail
 * 8.17.1); one line for all recipients that share the answer, cut into several behind " [more]".
 * reply= came with 8.16. Both texts hold the server's words, not quoted, and may pretend anything.
 */
#include "probes/sendmail/log_internal.h"

#include "probes/common.h"

/* What stands behind a reply code. */
#define REPLY_ENDS MQW_LIT(" -")

#define STAT MQW_LIT(", stat=")

bool mqw_sendmail_take_address(struct mqw_slice *s, struct mqw_slice *ret)
{
	bool quoted = false;
	size_t open = SIZE_MAX, close = 0, i = 0;

	for (; i < s->len; i++) {
		char c = s->ptr[i];

		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '<')
			open = i;
		else if (c == '>' && open != SIZE_MAX)
			close = i;
		else if (c == ',' && (open == SIZE_MAX || close > open))
			break;
	}
	if (quoted || i > s->len || (open != SIZE_MAX && close <= open))
		return false;
	*ret = open == SIZE_MAX ? mqw_slice_head(*s, i)
				: mqw_slice(s->ptr + open + 1, close - open - 1);
	*s = mqw_slice_from(*s, i);
	return true;
}

bool mqw_sendmail_next_recipient(struct mqw_slice *list, struct mqw_slice *ret)
{
	if (!list->len || !mqw_sendmail_take_address(list, ret))
		return false;
	mqw_slice_skip(list, MQW_LIT(","));
	return ret->len > 0;
}

/* Takes the list of recipients and the ", " behind it. */
static bool take_list(struct mqw_slice *s, struct mqw_slice *ret)
{
	struct mqw_slice address;
	const char *begin = s->ptr;

	do {
		if (!mqw_sendmail_take_address(s, &address) || s->len < 2)
			return false;
		*ret = mqw_slice(begin, (size_t)(s->ptr - begin));
		if (mqw_slice_skip(s, MQW_LIT(", [more], ")) || mqw_slice_skip(s, MQW_LIT(", ")))
			return true;
	} while (mqw_slice_skip(s, MQW_LIT(",")));
	return false;
}

static bool take_two_digits(struct mqw_slice *s, int64_t *ret)
{
	uint64_t n;

	if (!mqw_slice_take_u64(s, &n) || n > 99)
		return false;
	*ret = (int64_t)n;
	return true;
}

/* "00:00:03" or "1+00:00:15", with days (pintvl, convtime.c); MQW_TIME_NONE when it is none. */
static int64_t span_of(struct mqw_slice s)
{
	struct mqw_slice days = s;
	int64_t h, m, sec;
	uint64_t d = 0;

	if (mqw_slice_take_u64(&days, &d) && mqw_slice_skip(&days, MQW_LIT("+")))
		s = days;
	else
		d = 0;
	if (d > 100000 || !take_two_digits(&s, &h) || !mqw_slice_skip(&s, MQW_LIT(":")) ||
		!take_two_digits(&s, &m) || !mqw_slice_skip(&s, MQW_LIT(":")) ||
		!take_two_digits(&s, &sec))
		return MQW_TIME_NONE;
	return (int64_t)d * MQW_DAY + h * MQW_HOUR + m * MQW_MINUTE + sec * MQW_SECOND;
}

static bool is_temporary(int code)
{
	return code >= 400 && code < 500;
}

/* The class of the enhanced status code in a reply, "450 4.7.1 text"; '\0' when it has none. */
static char class_of(struct mqw_slice reply)
{
	struct mqw_slice s = mqw_slice_from(reply, 4);

	return s.len > 1 && s.ptr[1] == '.' && s.ptr[0] >= '2' && s.ptr[0] <= '5' ? s.ptr[0] : '\0';
}

/* Whether the relay is this host, so that the ids it gives are in this log. */
static bool relay_is_here(
	const struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice relay)
{
	size_t blank = mqw_slice_find(relay, MQW_LIT(" ["));
	struct mqw_slice name = mqw_slice_head(relay, blank), ip = MQW_SLICE_NULL;
	struct mqw_slice rest = mqw_slice_from(relay, blank + 2);

	if (mqw_slice_ends(name, MQW_LIT(".")))
		name.len--;
	mqw_slice_take_until(&rest, ']', &ip);
	if (mqw_slice_starts(ip, MQW_LIT("127.")) || mqw_slice_eq(ip, MQW_LIT("IPv6:::1")) ||
		mqw_slice_eq(ip, MQW_LIT("IPv6:0:0:0:0:0:0:0:1")))
		return true;
	if (name.len && mqw_slice_eq_nocase(name, line->host))
		return true;
	return mqw_is_next_hop(p->next_hops, p->next_hop_count, name, ip);
}

/* "Sent (6AP3hRbI031051 Message accepted for delivery)": what Sendmail says to its client. */
static void read_sent(const struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice stat,
	struct mqw_event *e)
{
	struct mqw_slice s = stat, id;

	e->outcome = MQW_OUTCOME_SENT;
	if (!mqw_slice_skip(&s, MQW_LIT("Sent (")))
		return;
	e->code = mqw_reply_code(s, REPLY_ENDS);
	if (mqw_sendmail_take_id(&s, &id) && mqw_sendmail_valid_id(id) &&
		mqw_slice_starts(s, MQW_LIT(" Message accepted for delivery")) &&
		relay_is_here(p, line, e->relay)) {
		e->outcome = MQW_OUTCOME_HANDED_OFF;
		e->other_id = id;
	}
}

static void read_deferred(struct mqw_slice stat, struct mqw_slice reply, struct mqw_event *e)
{
	e->outcome = MQW_OUTCOME_DEFERRED;
	e->reply = stat;
	if (mqw_slice_skip(&e->reply, MQW_LIT("Deferred: ")))
		e->code = mqw_reply_code(e->reply, REPLY_ENDS);
	else if (reply.len)
		e->reply = reply;
	if (!e->code)
		e->code = mqw_reply_code(reply, REPLY_ENDS);
}

/*
 * A lasting failure. Where reply= is a temporary answer, Sendmail made a failure out of it, or,
 * up to 8.17.1, it is left over from another recipient: then dsn=, which is made from the answer
 * that counted, is of another class.
 */
static void read_failed(struct mqw_slice stat, struct mqw_slice reply, struct mqw_event *e)
{
	char class = class_of(reply);

	e->outcome = MQW_OUTCOME_BOUNCED;
	e->reply = reply.len ? reply : stat;
	e->code = mqw_reply_code(reply.len ? reply : stat, REPLY_ENDS);
	if (is_temporary(e->code) &&
		(!e->status.len || e->status.ptr[0] != (class ? class : '4'))) {
		e->code = 0;
		e->reply = stat;
	}
}

/* sysexits(3) words that stay in the queue for another try (markfailure, deliver.c:4228). */
static bool is_queued(struct mqw_slice stat)
{
	return mqw_slice_eq(stat, MQW_LIT("queued")) ||
		mqw_slice_starts(stat, MQW_LIT("Operating system error")) ||
		mqw_slice_starts(stat, MQW_LIT("I/O error"));
}

static bool is_word(struct mqw_slice stat, struct mqw_slice word)
{
	return mqw_slice_starts(stat, word) &&
		(stat.len == word.len || stat.ptr[word.len] == ' ' || stat.ptr[word.len] == ':');
}

/* The beginning of a word that is not a failure: a line that ends within it says nothing. */
static bool is_cut(struct mqw_slice stat)
{
	return mqw_slice_starts(MQW_LIT("Sent"), stat) ||
		mqw_slice_starts(MQW_LIT("Deferred"), stat) ||
		mqw_slice_starts(MQW_LIT("queued"), stat) ||
		mqw_slice_starts(MQW_LIT("quarantined"), stat) ||
		mqw_slice_starts(MQW_LIT("discarded"), stat);
}

static enum mqw_sendmail_stat read_stat(const struct mqw_probe *p, const struct mqw_line *line,
	bool has_mailer, struct mqw_slice stat, struct mqw_slice reply, struct mqw_event *e)
{
	if (is_word(stat, MQW_LIT("Sent"))) {
		read_sent(p, line, stat, e);
	} else if (is_word(stat, MQW_LIT("Deferred")) || is_queued(stat)) {
		read_deferred(stat, reply, e);
	} else if (mqw_slice_eq(stat, MQW_LIT("quarantined"))) {
		read_deferred(stat, reply, e);
		return STAT_QUARANTINED;
	} else if (mqw_slice_eq(stat, MQW_LIT("discarded"))) {
		e->outcome = MQW_OUTCOME_DISCARDED;
	} else if (is_cut(stat)) {
		return STAT_STRANGE;
	} else if (!has_mailer) {
		/* logundelrcpts() writes these, for what the client could not hand over. */
		return STAT_REFUSED;
	} else {
		read_failed(stat, reply, e);
	}
	return STAT_ATTEMPT;
}

/*
 * Parts "REPLY, stat=STAT" where the server's words may hold ", stat=" themselves. A temporary
 * answer stands in both: "450 x, stat=Deferred: 450 x". Behind a permanent one STAT is one of
 * Sendmail's own words, so that the last ", stat=" is the true one.
 */
static bool part_reply(struct mqw_slice s, struct mqw_slice *ret_reply, struct mqw_slice *ret_stat)
{
	struct mqw_slice rest = s, text;
	bool temporary = is_temporary(mqw_reply_code(s, REPLY_ENDS));
	bool found = false;
	size_t at;

	while ((at = mqw_slice_find(rest, STAT)) < rest.len) {
		rest = mqw_slice_from(rest, at + STAT.len);
		text = rest;
		if (!found || !temporary || mqw_slice_starts(text, MQW_LIT("Deferred"))) {
			*ret_reply = mqw_slice_head(s, s.len - rest.len - STAT.len);
			*ret_stat = rest;
			found = true;
		}
		if (temporary && mqw_slice_skip(&text, MQW_LIT("Deferred: ")) &&
			mqw_slice_eq(text, *ret_reply))
			break;
	}
	return found;
}

enum mqw_sendmail_stat mqw_sendmail_read_attempt(const struct mqw_probe *p,
	const struct mqw_line *line, struct mqw_slice text, struct mqw_event *e,
	struct mqw_slice *ret_list)
{
	struct mqw_slice s = text, key, value;
	bool has_mailer = false;

	if (!mqw_slice_skip(&s, MQW_LIT("to=")) || !take_list(&s, ret_list))
		return STAT_STRANGE;
	if (mqw_slice_skip(&s, MQW_LIT("ctladdr=")) &&
		(!mqw_sendmail_take_address(&s, &value) || !mqw_slice_skip(&s, MQW_LIT(", "))))
		s = mqw_slice_from(s, mqw_slice_find(s, MQW_LIT(", delay=")) + 2);
	while (s.len) {
		size_t equals = mqw_slice_chr(s, '=');

		if (equals == s.len)
			return STAT_STRANGE;
		key = mqw_slice_head(s, equals);
		s = mqw_slice_from(s, equals + 1);
		if (mqw_slice_eq(key, MQW_LIT("stat")))
			return read_stat(p, line, has_mailer, s, MQW_SLICE_NULL, e);
		if (mqw_slice_eq(key, MQW_LIT("reply")))
			return part_reply(s, &value, &s)
				? read_stat(p, line, has_mailer, s, value, e)
				: STAT_STRANGE;
		value = mqw_slice_head(s, mqw_slice_find(s, MQW_LIT(", ")));
		s = mqw_slice_from(s, value.len + 2);
		if (mqw_slice_eq(key, MQW_LIT("delay")))
			e->delay = span_of(value);
		else if (mqw_slice_eq(key, MQW_LIT("mailer")))
			has_mailer = true;
		else if (mqw_slice_eq(key, MQW_LIT("relay")))
			e->relay = value;
		else if (mqw_slice_eq(key, MQW_LIT("dsn")))
			e->status = value;
	}
	return STAT_STRANGE;
}
