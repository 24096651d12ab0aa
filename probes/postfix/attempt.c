/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivery lines: "to=<r>, orig_to=<o>, relay=R, conn_use=N, delay=D, delays=a/b/c/d, dsn=X.Y.Z,
 * status=W (TEXT)" (global/log_adhoc.c; fields between delays= and dsn= vary by version, 3.11 has
 * tls=). TEXT is not escaped and may pretend to be anything.
 */
#include "probes/postfix/log_internal.h"

#include "probes/common.h"

/* What stands behind a reply code. */
#define REPLY_ENDS MQW_LIT(" -")

#define REWRITE_LIFE (10 * MQW_MINUTE)

/* "12", "0.13": decimal seconds; MQW_TIME_NONE when it is none. */
static int64_t seconds_of(struct mqw_slice s)
{
	uint64_t whole;
	int64_t us = 0, unit = 100000;

	if (!mqw_slice_take_u64(&s, &whole) || whole > (uint64_t)(INT64_MAX / MQW_SECOND / 2))
		return MQW_TIME_NONE;
	if (mqw_slice_skip(&s, MQW_LIT(".")))
		for (; s.len && s.ptr[0] >= '0' && s.ptr[0] <= '9'; s = mqw_slice_from(s, 1)) {
			us += (s.ptr[0] - '0') * unit;
			unit /= 10;
		}
	return (int64_t)whole * MQW_SECOND + us;
}

static struct mqw_slice after(struct mqw_slice s, struct mqw_slice needle)
{
	size_t at = mqw_slice_find(s, needle);

	return at < s.len ? mqw_slice_from(s, at + needle.len) : MQW_SLICE_NULL;
}

/*
 * The server's reply inside the text of a failure: "host H[I] said: 450 ..." and "host H[I]
 * refused to talk to me: 554 ...", also behind "delivery temporarily suspended: ". The name H came
 * out of DNS and holds no blank.
 */
static struct mqw_slice server_reply(struct mqw_slice text)
{
	struct mqw_slice s = text, reply;

	mqw_slice_skip(&s, MQW_LIT("delivery temporarily suspended: "));
	if (!mqw_slice_skip(&s, MQW_LIT("host ")))
		return MQW_SLICE_NULL;
	s = mqw_slice_from(s, mqw_slice_chr(s, ' '));
	reply = s;
	if (mqw_slice_skip(&reply, MQW_LIT(" said: ")) ||
		mqw_slice_skip(&reply, MQW_LIT(" refused to talk to me: ")))
		return reply;
	return MQW_SLICE_NULL;
}

/* Postfix's own note behind the reply: " (in reply to RCPT TO command)". */
static struct mqw_slice without_stage(struct mqw_slice reply)
{
	size_t i = reply.len;

	if (!mqw_slice_ends(reply, MQW_LIT(")")))
		return reply;
	while (i > 0 && reply.ptr[i - 1] != '(')
		i--;
	if (i >= 2 && mqw_slice_starts(mqw_slice_from(reply, i), MQW_LIT("in reply to ")))
		return mqw_slice_head(reply, i - 2);
	return reply;
}

/* Whether the relay is this host, so that the ids it gives are in this log. */
static bool relay_is_here(
	const struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice relay)
{
	size_t open = mqw_slice_chr(relay, '[');
	struct mqw_slice name = mqw_slice_head(relay, open), ip = MQW_SLICE_NULL;
	struct mqw_slice rest = mqw_slice_from(relay, open + 1);

	mqw_slice_take_until(&rest, ']', &ip);
	if (mqw_slice_starts(ip, MQW_LIT("127.")) || mqw_slice_eq(ip, MQW_LIT("::1")) ||
		mqw_slice_starts(ip, MQW_LIT("private/")))
		return true;
	if (name.len && mqw_slice_eq_nocase(name, line->host))
		return true;
	return mqw_is_next_hop(p->next_hops, p->next_hop_count, name, ip);
}

/* The id behind the last "queued as ": a filter quotes the answer of the next hop last. */
static struct mqw_slice queued_as(struct mqw_slice text)
{
	struct mqw_slice id = MQW_SLICE_NULL, rest;
	size_t n = 0;

	for (rest = after(text, MQW_LIT("queued as ")); rest.ptr;
		rest = after(rest, MQW_LIT("queued as ")))
		id = rest;
	while (n < id.len &&
		((id.ptr[n] >= '0' && id.ptr[n] <= '9') || (id.ptr[n] >= 'A' && id.ptr[n] <= 'Z') ||
			(id.ptr[n] >= 'a' && id.ptr[n] <= 'z')))
		n++;
	id = mqw_slice_head(id, n);
	return mqw_postfix_valid_id(id) ? id : MQW_SLICE_NULL;
}

static void read_success(const struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_postfix_program program, struct mqw_slice text, struct mqw_event *e)
{
	e->outcome = MQW_OUTCOME_SENT;
	e->code = mqw_reply_code(text, REPLY_ENDS);
	if (program == PROGRAM_DISCARD ||
		(program == PROGRAM_LOCAL && mqw_slice_eq(text, MQW_LIT("discarded")))) {
		e->outcome = MQW_OUTCOME_DISCARDED;
	} else if (program == PROGRAM_LOCAL && mqw_slice_starts(text, MQW_LIT("forwarded as "))) {
		e->outcome = MQW_OUTCOME_HANDED_OFF;
		e->other_id = mqw_slice_from(text, sizeof("forwarded as ") - 1);
	} else if (program == PROGRAM_AGENT && relay_is_here(p, line, e->relay)) {
		e->other_id = queued_as(text);
		if (e->other_id.len)
			e->outcome = MQW_OUTCOME_HANDED_OFF;
	}
}

/* When smtp_reply_filter made this reply out of another, the code that was on the wire. */
static int wire_code(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice reply, int code)
{
	struct mqw_postfix_rewrite *w = &p->rewrites[line->pid % MQW_POSTFIX_REWRITES];

	if (!w->len || w->pid != line->pid || line->time - w->time > REWRITE_LIFE)
		return code;
	if (!mqw_slice_starts(reply, mqw_slice(w->text, w->len)))
		return code;
	return w->wire_code;
}

static void read_failure(struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice text,
	struct mqw_event *e)
{
	struct mqw_slice reply = server_reply(text);

	if (reply.ptr) {
		e->code = wire_code(p, line, reply, mqw_reply_code(reply, REPLY_ENDS));
		e->reply = without_stage(reply);
	} else {
		e->reply = text;
	}
}

static bool read_status(struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_postfix_program program, struct mqw_slice s, struct mqw_event *e)
{
	static const struct {
		struct mqw_slice word;
		enum mqw_outcome outcome;
	} words[] = {
		{MQW_LIT("sent"), MQW_OUTCOME_SENT},
		{MQW_LIT("deferred"), MQW_OUTCOME_DEFERRED},
		{MQW_LIT("bounced"), MQW_OUTCOME_BOUNCED},
		/* soft_bounce=yes: kept in the queue although the answer was 5xx. */
		{MQW_LIT("SOFTBOUNCE"), MQW_OUTCOME_DEFERRED},
		{MQW_LIT("deliverable"), MQW_OUTCOME_PROBE},
		{MQW_LIT("undeliverable"), MQW_OUTCOME_PROBE},
	};
	struct mqw_slice word = mqw_slice_head(s, mqw_slice_chr(s, ' ')), text;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!mqw_slice_eq(word, words[i].word))
			continue;
		text = mqw_slice_from(s, word.len);
		if (!mqw_slice_skip(&text, MQW_LIT(" (")))
			text = MQW_SLICE_NULL;
		else if (mqw_slice_ends(text, MQW_LIT(")")))
			text.len--;
		e->outcome = words[i].outcome;
		if (e->outcome == MQW_OUTCOME_SENT)
			read_success(p, line, program, text, e);
		else
			read_failure(p, line, text, e);
		return true;
	}
	return false;
}

/* Up to ", ", and drops that too. */
static inline struct mqw_slice take_value(struct mqw_slice *s)
{
	const char *p = s->ptr, *end = s->ptr + s->len;
	struct mqw_slice value = *s;

	while (p < end && (p = memchr(p, ',', (size_t)(end - p))) && (p + 1 == end || p[1] != ' '))
		p++;
	if (p && p < end)
		value.len = (size_t)(p - s->ptr);
	*s = mqw_slice_from(*s, value.len + 2);
	return value;
}

bool mqw_postfix_read_attempt(struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_postfix_program program, struct mqw_slice text, struct mqw_event *e)
{
	struct mqw_slice s = text, value;

	if (!mqw_slice_skip(&s, MQW_LIT("to=")) || !mqw_take_path(&s, &e->recipient) ||
		!mqw_slice_skip(&s, MQW_LIT(", ")))
		return false;
	if (mqw_slice_skip(&s, MQW_LIT("orig_to=")) &&
		(!mqw_take_path(&s, &value) || !mqw_slice_skip(&s, MQW_LIT(", "))))
		return false;
	while (s.len) {
		if (mqw_slice_skip(&s, MQW_LIT("status=")))
			return read_status(p, line, program, s, e);
		if (mqw_slice_skip(&s, MQW_LIT("relay="))) {
			e->relay = take_value(&s);
		} else if (mqw_slice_skip(&s, MQW_LIT("delay="))) {
			e->delay = seconds_of(take_value(&s));
		} else if (mqw_slice_skip(&s, MQW_LIT("dsn="))) {
			e->status = take_value(&s);
		} else {
			s = mqw_slice_from(s, mqw_slice_chr(s, '=') + 1);
			take_value(&s);
		}
	}
	return false;
}

bool mqw_postfix_note_rewrite(struct mqw_probe *p, const struct mqw_line *line)
{
	struct mqw_postfix_rewrite *w = &p->rewrites[line->pid % MQW_POSTFIX_REWRITES];
	struct mqw_slice s = after(line->text, MQW_LIT(": replacing server reply \"")), changed;

	if (!s.ptr)
		return false;
	changed = after(s, MQW_LIT("\" with \""));
	if (!changed.ptr)
		return false;
	if (mqw_slice_ends(changed, MQW_LIT("\"")))
		changed.len--;
	w->pid = line->pid;
	w->time = line->time;
	w->wire_code = mqw_reply_code(s, REPLY_ENDS);
	w->len = changed.len < sizeof(w->text) ? changed.len : sizeof(w->text);
	if (w->len)
		memcpy(w->text, changed.ptr, w->len);
	if (w->wire_code == 0)
		w->len = 0;
	return true;
}
