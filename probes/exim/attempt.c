/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivery lines: "ADDRESS [<ORIGINAL>] [F=<SENDER>] [Q=QUEUE] R=ROUTER T=TRANSPORT H=HOST [IP]
 * ...", then C="REPLY" for a success, "defer (N)" and a reason for a deferral, ": REASON" for a
 * failure (deliver.c: string_log_address and what calls it). The remote server's words come last and
 * are not escaped but for control bytes: the first of Exim's own words before them is the one meant.
 */
#include "probes/exim/log_internal.h"

#include "probes/common.h"

/* What stands behind a reply code; Exim writes a line's end as \n, and quotes some. */
#define REPLY_ENDS MQW_LIT(" -\\\"")

/* The busiest of what stands behind an address: the first field of a delivery. */
static inline bool begins_field(struct mqw_slice rest)
{
	const char *c = rest.ptr;

	return rest.len > 2 && c[2] == '=' && c[0] == ' ' &&
		(c[1] == 'R' || c[1] == 'T' || c[1] == 'H' || c[1] == 'Q');
}

/* Where an address ends: what Exim puts behind one. */
static bool ends_address(struct mqw_slice rest)
{
	static const struct mqw_slice ends[] = {
		MQW_LIT(" F=<"),
		MQW_LIT(" P=<"),
		MQW_LIT(" S="),
		MQW_LIT(": "),
		MQW_LIT(" : "),
		MQW_LIT(" routing "),
		MQW_LIT(" defer ("),
		MQW_LIT(" mua_wrapper "),
		MQW_LIT(" QT="),
	};

	if (rest.len < 3 || (rest.ptr[0] != ' ' && rest.ptr[0] != ':'))
		return mqw_slice_eq(rest, MQW_LIT(": "));
	if (begins_field(rest))
		return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (mqw_slice_starts(rest, ends[i]))
			return true;
	return false;
}

/* A pipe's command or a file's name may hold anything; behind it stands always "<ORIGINAL>". */
static size_t command_length(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '>' && (i + 1 == s.len || ends_address(mqw_slice_from(s, i + 1))))
			return i + 1;
	return 0;
}

/* Bytes that may have a meaning in an address; whatever else is only its text. */
static const bool has_meaning[256] = {
	[' '] = true, [':'] = true, ['"'] = true, ['\\'] = true, ['<'] = true, ['>'] = true};

/* The same where nothing has a meaning before the first blank: nearly always. 0: it has. */
static size_t plain_length(struct mqw_slice s)
{
	size_t n = mqw_slice_chr(s, ' ');
	struct mqw_slice rest;
	bool any = false;

	if (n == 0 || n == s.len || s.ptr[0] == '|' || s.ptr[0] == '/')
		return 0;
#pragma GCC unroll 4
	for (size_t i = 0; i < n; i++)
		any |= has_meaning[(unsigned char)s.ptr[i]];
	rest = mqw_slice_from(s, n);
	return !any && (begins_field(rest) || ends_address(rest)) ? n : 0;
}

/*
 * Length of the address with what belongs to it. Quotes count only where a local part begins: a
 * pipe's command may hold any number of them. ":blackhole: <x@y>" begins with a colon.
 */
static size_t address_length(struct mqw_slice s)
{
	bool quoted = false, angle = false;

	if (s.len && (s.ptr[0] == '|' || s.ptr[0] == '/'))
		return command_length(s);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!has_meaning[(unsigned char)c])
			continue;
		if (quoted && c == '\\')
			i++;
		else if (c == '"' && (quoted || i == 0 || s.ptr[i - 1] == '<'))
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '<' && i > 0 && s.ptr[i - 1] == ' ')
			angle = true;
		else if (c == '>' && angle)
			angle = false;
		else if (!angle && i > 0 && ends_address(mqw_slice_from(s, i)) &&
			!(c == ':' && mqw_slice_starts(mqw_slice_from(s, i), MQW_LIT(": <"))))
			return i;
	}
	return quoted || angle ? 0 : s.len;
}

/* Where the original begins in "CHILD <ORIGINAL>"; s.len when there is only one address. */
static size_t original_at(struct mqw_slice s)
{
	size_t i = s.len;

	if (!mqw_slice_ends(s, MQW_LIT(">")))
		return s.len;
	while (i > 1 && !(s.ptr[i - 1] == '<' && s.ptr[i - 2] == ' '))
		i--;
	return i > 1 ? i - 2 : s.len;
}

bool mqw_exim_take_recipient(
	struct mqw_slice *s, struct mqw_slice *ret_child, struct mqw_slice *ret_original)
{
	size_t len = plain_length(*s), at;
	struct mqw_slice head;

	if (len) {
		*ret_child = *ret_original = mqw_slice_head(*s, len);
		*s = mqw_slice_from(*s, len);
		return true;
	}
	len = address_length(*s);
	if (len == 0)
		return false;
	head = mqw_slice_head(*s, len);
	at = original_at(head);
	*ret_child = mqw_slice_head(head, at);
	*ret_original = at < head.len ? mqw_slice(head.ptr + at + 2, head.len - at - 3) : head;
	*s = mqw_slice_from(*s, len);
	return ret_original->len > 0;
}

static size_t digits_at(struct mqw_slice s, size_t at)
{
	size_t n = 0;

	while (at + n < s.len && s.ptr[at + n] >= '0' && s.ptr[at + n] <= '9')
		n++;
	return n;
}

/* Where the command is that an error came after, by the first words that say so; s.len for none. */
static size_t command_at(struct mqw_slice s)
{
	static const struct mqw_slice words[] = {
		MQW_LIT("SMTP error from remote mail server after "),
		MQW_LIT("LMTP error after "),
		MQW_LIT("SMTP error from remote mailer after "),
	};
	struct mqw_slice rest = s;
	size_t error;

	/* What they have in common is in no line a second time before them, nearly always. */
	while ((error = mqw_slice_find(rest, MQW_LIT("MTP error "))) < rest.len) {
		struct mqw_slice from = mqw_slice_from(rest, error ? error - 1 : 0);

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (mqw_slice_starts(from, words[i]))
				return s.len - from.len + words[i].len;
		rest = mqw_slice_from(rest, error + 1);
	}
	return s.len;
}

/*
 * The server's reply in "SMTP error from remote mail server after COMMAND: REPLY"; before 4.90 the
 * host stood between, ": host NAME [IP]: ". ptr NULL when the text quotes no reply.
 */
static struct mqw_slice server_reply(struct mqw_slice s)
{
	struct mqw_slice path;
	size_t at = command_at(s);

	if (at >= s.len)
		return MQW_SLICE_NULL;
	s = mqw_slice_from(s, at);
	mqw_slice_skip(&s, MQW_LIT("pipelined "));
	if (mqw_slice_skip(&s, MQW_LIT("RCPT TO:")) || mqw_slice_skip(&s, MQW_LIT("MAIL FROM:")))
		mqw_take_path(&s, &path);
	at = mqw_slice_find(s, MQW_LIT(": "));
	if (at == s.len)
		return MQW_SLICE_NULL;
	s = mqw_slice_from(s, at + 2);
	if (mqw_slice_starts(s, MQW_LIT("host ")) && mqw_reply_code(s, REPLY_ENDS) == 0) {
		at = mqw_slice_find(s, MQW_LIT("]: "));
		if (at < s.len)
			s = mqw_slice_from(s, at + 3);
	}
	return s;
}

/* "NAME [IP]:PORT" of H=; the name may be missing, or stand in parentheses. */
static struct mqw_slice relay_of(struct mqw_slice s)
{
	size_t at = mqw_slice_find(s, MQW_LIT(" H=")), end;

	if (!s.ptr || at == s.len)
		return MQW_SLICE_NULL;
	s = mqw_slice_from(s, at + 3);
	end = mqw_slice_chr(s, ']');
	if (end == s.len)
		return mqw_slice_head(s, mqw_slice_chr(s, ' '));
	end++;
	if (end < s.len && s.ptr[end] == ':' && digits_at(s, end + 1))
		end += 1 + digits_at(s, end + 1);
	return mqw_slice_head(s, end);
}

/* Whether the relay is this host or a configured next hop, so that the ids it gives are ours. */
static bool relay_is_here(const struct mqw_probe *p, struct mqw_slice relay)
{
	size_t open = mqw_slice_chr(relay, '[');
	struct mqw_slice name = mqw_slice_trim(mqw_slice_head(relay, open)), ip = MQW_SLICE_NULL;
	struct mqw_slice rest = mqw_slice_from(relay, open + 1);

	mqw_slice_take_until(&rest, ']', &ip);
	if (mqw_slice_starts(ip, MQW_LIT("127.")) || mqw_slice_eq(ip, MQW_LIT("::1")))
		return true;
	return mqw_is_next_hop(p->next_hops, p->next_hop_count, name, ip);
}

/* The id that another Exim gave: "250 OK id=1xW3sp-0006bQ-0U". */
static struct mqw_slice accepted_as(struct mqw_slice reply)
{
	size_t at = mqw_slice_find(reply, MQW_LIT(" id="));
	struct mqw_slice s = mqw_slice_from(reply, at + 4);

	return at < reply.len ? mqw_slice_head(s, mqw_exim_id_length(s)) : MQW_SLICE_NULL;
}

static void read_delivery(const struct mqw_probe *p, struct mqw_slice child, struct mqw_slice rest,
	struct mqw_event *e)
{
	size_t at = mqw_slice_find(rest, MQW_LIT(" C=\""));
	struct mqw_slice reply = mqw_slice_from(rest, at + 4), next;

	e->outcome = MQW_OUTCOME_SENT;
	if (mqw_slice_eq(child, MQW_LIT(":blackhole:")) ||
		mqw_slice_eq(child, MQW_LIT("/dev/null")))
		e->outcome = MQW_OUTCOME_DISCARDED;
	e->relay = relay_of(mqw_slice_head(rest, at));
	if (at == rest.len)
		return;
	e->code = mqw_reply_code(reply, REPLY_ENDS);
	e->status = mqw_reply_status(reply);
	next = accepted_as(reply);
	if (next.len && e->relay.len && relay_is_here(p, e->relay)) {
		e->other_id = next;
		e->outcome = MQW_OUTCOME_HANDED_OFF;
	}
}

/* The reason behind ": "; for "defer (110): Connection timed out H=..." the whole of it. */
static struct mqw_slice reason_of(struct mqw_slice rest)
{
	size_t at = mqw_slice_find(rest, MQW_LIT(": "));

	return at < rest.len ? mqw_slice_from(rest, at + 2) : mqw_slice_trim(rest);
}

static void read_reply(struct mqw_slice rest, struct mqw_event *e)
{
	struct mqw_slice reply = server_reply(rest);

	e->relay = relay_of(reply.ptr ? mqw_slice(rest.ptr, (size_t)(reply.ptr - rest.ptr)) : rest);
	e->reply = reply.ptr ? reply : reason_of(rest);
	if (reply.ptr) {
		e->code = mqw_reply_code(reply, REPLY_ENDS);
		e->status = e->code ? mqw_reply_status(reply) : MQW_SLICE_NULL;
	}
}

/*
 * Words of a message that was not tried in this run (macros.h, ERRNO_RRETRY to ERRNO_TRETRY: -51
 * to -57, by version): an old failure's retry time, a queue_only rule, a held domain.
 */
static bool is_skipped(struct mqw_slice rest)
{
	size_t at = mqw_slice_find(rest, MQW_LIT("defer ("));
	struct mqw_slice s = mqw_slice_from(rest, at + 7);
	uint64_t n;

	if (at == rest.len)
		return false;
	if (mqw_slice_skip(&s, MQW_LIT("-")))
		return mqw_slice_take_u64(&s, &n) && (n == 23 || (n >= 51 && n <= 57));
	return mqw_slice_skip(&s, MQW_LIT("0): ")) &&
		mqw_slice_eq(s, MQW_LIT("SMTP delivery explicitly queued"));
}

/* Words of giving up for what the retry records say, not for what a server said in this try. */
static bool is_expiry(struct mqw_slice rest)
{
	struct mqw_slice reason = reason_of(rest);

	if (mqw_slice_eq(reason, MQW_LIT("retry timeout exceeded")))
		return true;
	return (mqw_slice_starts(reason, MQW_LIT("all hosts")) &&
		       mqw_slice_find(reason, MQW_LIT("have been failing for a long time")) <
			       reason.len) ||
		(mqw_slice_starts(reason, MQW_LIT("retry time not reached for any host")) &&
			mqw_slice_find(reason, MQW_LIT("after a long failure period")) <
				reason.len);
}

static void read_failure(enum mqw_exim_flag flag, struct mqw_slice rest, struct mqw_event *e)
{
	if (flag == FLAG_DEFERRED) {
		e->outcome = MQW_OUTCOME_DEFERRED;
		if (is_skipped(rest)) {
			e->outcome = MQW_OUTCOME_SKIPPED;
			e->reply = reason_of(rest);
			return;
		}
	} else {
		e->outcome = MQW_OUTCOME_BOUNCED;
		if (is_expiry(rest)) {
			e->outcome = MQW_OUTCOME_EXPIRED;
			e->reply = reason_of(rest);
			return;
		}
	}
	read_reply(rest, e);
}

/* "=> blackhole (DATA ACL discarded recipients): why", "=> discarded (system filter)". */
static bool is_whole_message(struct mqw_slice text)
{
	struct mqw_slice s = text;

	return mqw_slice_starts(s, MQW_LIT("discarded (")) ||
		(mqw_slice_skip(&s, MQW_LIT("blackhole ")) && s.len && s.ptr[0] != '<' &&
			!(s.len > 1 && s.ptr[1] == '='));
}

static bool is_recovered(struct mqw_slice id)
{
	char original[MQW_EXIM_ID_MAX + 1];

	return mqw_exim_may_be_recovered(id) && mqw_exim_original_id(id, original);
}

bool mqw_exim_read_attempt(const struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_exim_flag flag, struct mqw_slice text, struct mqw_event *e)
{
	/* Without its zone a log could make a message look younger than it is. */
	int64_t age = p->id_offset == MQW_TIME_NONE
		? MQW_TIME_NONE
		: line->time - p->id_offset - mqw_exim_id_time(e->queue_id);
	struct mqw_slice child;

	if (flag == FLAG_DELIVERED && is_whole_message(text)) {
		e->kind = MQW_EVENT_DISCARDED;
		return true;
	}
	e->kind = MQW_EVENT_ATTEMPT;
	/* That of a message that was put back began anew. */
	if (age >= 0 && !is_recovered(e->queue_id))
		e->delay = age;
	if (!mqw_exim_take_recipient(&text, &child, &e->recipient))
		return false;
	if (flag == FLAG_DELIVERED)
		read_delivery(p, child, text, e);
	else if (flag == FLAG_SUPPRESSED)
		e->outcome = MQW_OUTCOME_DISCARDED;
	else
		read_failure(flag, text, e);
	return true;
}
