/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/session.h"

#include <xxhash.h>

#include "probes/common.h"

#define STALE (10 * MQW_MINUTE) /* RFC 5321 4.5.3.2.6: no reply is waited for longer */
#define IDLE                                                                                       \
	MQW_MINUTE /* a connection with nothing to do is closed sooner, perhaps without a word */
#define REPLY_KEPT 512 /* of a refused MAIL: what is shown at all */

enum command {
	COMMAND_OTHER,
	COMMAND_MAIL,
	COMMAND_RCPT,
	COMMAND_DATA,
	COMMAND_CHUNK,
	COMMAND_LAST
};

enum state { ASKED, TAKEN, DONE };

void mqw_smtp_table_init(struct mqw_smtp_table *t)
{
	for (size_t i = 0; i < MQW_SMTP_SESSIONS; i++) {
		t->keys[i] = 0;
		t->sessions[i].last = MQW_TIME_NONE;
	}
}

/* Its message goes on to be the one, where the log named it before the first command. */
static void start_over(struct mqw_smtp_session *s)
{
	struct mqw_slice id = s->message_id;

	s->mixed = s->lost = s->data = s->begun = false;
	s->mail_code = 0;
	s->recipient_count = s->command_count = 0;
	s->sender = s->size = s->mail_reply = MQW_SLICE_NULL;
	s->used = 0;
	if (!id.ptr)
		return;
	memmove(s->text, id.ptr, id.len);
	s->message_id = mqw_slice(s->text, id.len);
	s->used = id.len;
}

/* Never 0, which is no session's. */
static uint64_t key_of(struct mqw_slice a, struct mqw_slice b)
{
	uint64_t first = XXH3_64bits(a.len ? a.ptr : "", a.len);

	return XXH3_64bits_withSeed(b.len ? b.ptr : "", b.len, first) | 1;
}

struct mqw_smtp_session *mqw_smtp_session(
	struct mqw_smtp_table *t, struct mqw_slice a, struct mqw_slice b, int64_t time)
{
	uint64_t key = key_of(a, b);
	size_t oldest = 0;

	for (size_t i = 0; i < MQW_SMTP_SESSIONS; i++)
		if (t->keys[i] == key)
			return &t->sessions[i];
	for (size_t i = 1; i < MQW_SMTP_SESSIONS; i++)
		if (t->sessions[i].last < t->sessions[oldest].last)
			oldest = i;
	t->keys[oldest] = key;
	t->sessions[oldest].message_id = MQW_SLICE_NULL;
	t->sessions[oldest].last = time;
	t->sessions[oldest].connections = 0;
	t->sessions[oldest].single = t->sessions[oldest].greets_again = false;
	start_over(&t->sessions[oldest]);
	return &t->sessions[oldest];
}

/* A copy in the session's own text; ptr NULL, and the session is lost, where there is no room. */
static struct mqw_slice keep(struct mqw_smtp_session *s, struct mqw_slice text)
{
	char *to = s->text + s->used;

	if (text.len > sizeof(s->text) - s->used) {
		s->lost = true;
		return MQW_SLICE_NULL;
	}
	if (text.len)
		memcpy(to, text.ptr, text.len);
	s->used += text.len;
	return mqw_slice(to, text.len);
}

void mqw_smtp_message(struct mqw_smtp_session *s, struct mqw_slice message_id)
{
	s->message_id = MQW_SLICE_NULL;
	start_over(s);
	s->message_id = keep(s, message_id);
}

/* Whether something is still to be answered, or to be done with what was. */
static bool is_busy(const struct mqw_smtp_session *s)
{
	if (s->data)
		return true;
	for (unsigned int i = 0; i < s->command_count; i++)
		if (s->commands[i].kind != COMMAND_OTHER)
			return true;
	for (unsigned int i = 0; i < s->recipient_count; i++)
		if (s->recipients[i].state != DONE)
			return true;
	return false;
}

static void push(struct mqw_smtp_session *s, enum command kind, unsigned int recipient)
{
	if (s->command_count == MQW_SMTP_COMMANDS) {
		s->lost = true;
		return;
	}
	s->commands[s->command_count].kind = (unsigned char)kind;
	s->commands[s->command_count++].recipient = (unsigned char)recipient;
}

static void pop(struct mqw_smtp_session *s)
{
	s->command_count--;
	memmove(s->commands, s->commands + 1, s->command_count * sizeof(s->commands[0]));
}

/* Whatever was under way has come to an end that was not logged. */
static bool is_over(const struct mqw_smtp_session *s, int64_t time)
{
	return s->begun && time - s->last > (is_busy(s) ? STALE : IDLE);
}

/* Where a transaction begins: anew, unless the one before, or one of another connection, goes on. */
static void begin(struct mqw_smtp_session *s, bool others)
{
	bool mixed = !s->single && (others || is_busy(s));

	if (!mixed || s->lost)
		start_over(s);
	s->mixed = mixed;
}

static void greet(struct mqw_smtp_session *s)
{
	bool again = s->greets_again;

	s->greets_again = false;
	if (!again) {
		begin(s, s->connections > 0);
		s->connections++;
	}
	push(s, COMMAND_OTHER, 0);
}

/* The path between "<" and ">", the rest behind it in *argument. */
static struct mqw_slice take_path(struct mqw_slice *argument)
{
	struct mqw_slice path = MQW_SLICE_NULL;

	*argument = mqw_slice_from(*argument, mqw_slice_chr(*argument, '<'));
	mqw_take_path(argument, &path);
	return path;
}

static struct mqw_slice size_in(struct mqw_slice s)
{
	size_t at = mqw_slice_find_nocase(s, MQW_LIT("SIZE=")), n = 0;

	s = mqw_slice_from(s, at + 5);
	while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
		n++;
	return n ? mqw_slice_head(s, n) : MQW_SLICE_NULL;
}

static void mail(struct mqw_smtp_session *s, struct mqw_slice argument)
{
	struct mqw_slice path;

	begin(s, s->connections > 1);
	path = take_path(&argument);
	s->mail_code = 0;
	if (path.ptr)
		s->sender = keep(s, path);
	argument = size_in(argument);
	s->size = argument.ptr ? keep(s, argument) : MQW_SLICE_NULL;
	push(s, COMMAND_MAIL, 0);
}

static void rcpt(struct mqw_smtp_session *s, struct mqw_slice argument)
{
	unsigned int n = s->recipient_count;
	struct mqw_slice path = take_path(&argument);

	if (n == MQW_SMTP_RECIPIENTS || !path.len) {
		s->lost = true;
		return;
	}
	s->recipients[n].address = keep(s, path);
	s->recipients[n].state = ASKED;
	s->recipient_count++;
	push(s, COMMAND_RCPT, n);
}

static void quit(struct mqw_smtp_session *s)
{
	if (s->connections)
		s->connections--;
	/* Its reply may be logged or not. */
	if (!s->mixed || !is_busy(s))
		start_over(s);
}

static bool is(struct mqw_slice verb, struct mqw_slice word)
{
	return mqw_slice_eq_nocase(verb, word);
}

static enum command chunk_of(struct mqw_slice argument)
{
	return mqw_slice_find_nocase(argument, MQW_LIT("LAST")) < argument.len ? COMMAND_LAST
									       : COMMAND_CHUNK;
}

void mqw_smtp_command(
	struct mqw_smtp_session *s, struct mqw_slice verb, struct mqw_slice argument, int64_t time)
{
	if (is_over(s, time)) {
		s->connections = 0;
		start_over(s);
	}
	if (is(verb, MQW_LIT("MAIL")))
		mail(s, argument);
	else if (is(verb, MQW_LIT("RCPT")))
		rcpt(s, argument);
	else if (is(verb, MQW_LIT("DATA")))
		push(s, COMMAND_DATA, 0);
	else if (is(verb, MQW_LIT("BDAT")))
		push(s, chunk_of(argument), 0);
	else if (is(verb, MQW_LIT("QUIT")))
		quit(s);
	else if (is(verb, MQW_LIT("RSET")) && !s->mixed)
		start_over(s);
	else if (is(verb, MQW_LIT("EHLO")) || is(verb, MQW_LIT("HELO")))
		greet(s);
	else
		push(s, COMMAND_OTHER, 0);
	if (is(verb, MQW_LIT("STARTTLS")))
		s->greets_again = true;
	s->begun = true;
	s->last = time;
}

static enum mqw_outcome outcome_of(int code)
{
	return code / 100 == 2    ? MQW_OUTCOME_SENT
		: code / 100 == 5 ? MQW_OUTCOME_BOUNCED
				  : MQW_OUTCOME_DEFERRED;
}

static int tell(const struct mqw_smtp_session *s, struct mqw_slice recipient, int code,
	struct mqw_slice reply, mqw_smtp_told *told, void *ctx)
{
	const struct mqw_smtp_result r = {.recipient = recipient,
		.sender = s->sender,
		.size = s->size,
		.message_id = s->message_id,
		.site = s->site,
		.remote = s->remote,
		.reply = reply,
		.outcome = outcome_of(code),
		.code = code,
		.doubtful = s->mixed};

	return s->lost ? 0 : told(ctx, &r);
}

/* All recipients up to a state get the same answer. */
static int tell_all(struct mqw_smtp_session *s, enum state from, int code, struct mqw_slice reply,
	mqw_smtp_told *told, void *ctx)
{
	int r = 0;

	s->data = false;
	for (unsigned int i = 0; r >= 0 && i < s->recipient_count; i++) {
		if (s->recipients[i].state == DONE || s->recipients[i].state < from)
			continue;
		s->recipients[i].state = DONE;
		r = tell(s, s->recipients[i].address, code, reply, told, ctx);
	}
	return r;
}

static int answer_mail(struct mqw_smtp_session *s, int code, struct mqw_slice reply,
	mqw_smtp_told *told, void *ctx)
{
	if (code < 400)
		return 0;
	s->mail_code = code;
	s->mail_reply = keep(s, mqw_slice_head(reply, REPLY_KEPT));
	return s->recipient_count ? 0 : tell(s, MQW_SLICE_NULL, code, reply, told, ctx);
}

static int answer_rcpt(struct mqw_smtp_session *s, unsigned int n, int code, struct mqw_slice reply,
	mqw_smtp_told *told, void *ctx)
{
	/* Of recipients sent along with a MAIL that was refused the answer is that it was. */
	if (code >= 500 && s->mail_code) {
		code = s->mail_code;
		reply = s->mail_reply;
	}
	s->recipients[n].state = code < 400 ? TAKEN : DONE;
	return code < 400 ? 0 : tell(s, s->recipients[n].address, code, reply, told, ctx);
}

static int answer(struct mqw_smtp_session *s, int code, struct mqw_slice reply, mqw_smtp_told *told,
	void *ctx)
{
	enum command kind = (enum command)s->commands[0].kind;
	unsigned int n = s->commands[0].recipient;

	/* XEXCH50 has two replies, as DATA has. */
	if (kind == COMMAND_OTHER && code == 354)
		return 0;
	pop(s);
	switch (kind) {
	case COMMAND_MAIL:
		return answer_mail(s, code, reply, told, ctx);
	case COMMAND_RCPT:
		return answer_rcpt(s, n, code, reply, told, ctx);
	case COMMAND_DATA:
		if (code < 400) {
			s->data = code == 354;
			return 0;
		}
		return tell_all(s, TAKEN, code, reply, told, ctx);
	case COMMAND_CHUNK:
		return code < 400 ? 0 : tell_all(s, TAKEN, code, reply, told, ctx);
	case COMMAND_LAST:
		return tell_all(s, TAKEN, code, reply, told, ctx);
	case COMMAND_OTHER:
		s->greets_again = s->greets_again || code >= 500;
		break;
	}
	return 0;
}

/* A reply that goes on in another line of the log, and has not its end in this one. */
static bool goes_on(struct mqw_slice reply)
{
	char end[5] = {' ', 0, 0, 0, ' '};

	if (reply.len < 4 || reply.ptr[3] != '-')
		return false;
	memcpy(end + 1, reply.ptr, 3);
	return mqw_slice_find(reply, mqw_slice(end, sizeof(end))) == reply.len;
}

int mqw_smtp_reply(struct mqw_smtp_session *s, struct mqw_slice reply, bool whole, int64_t time,
	mqw_smtp_told *told, void *ctx)
{
	int code = mqw_reply_code(reply, MQW_LIT(" -"));
	bool other = s->command_count && s->commands[0].kind == COMMAND_OTHER;

	s->last = time;
	if (!code || (!whole && goes_on(reply)))
		return 0;
	if (code == 421) {
		s->command_count = 0;
		if (s->connections)
			s->connections--;
		return tell_all(s, ASKED, code, reply, told, ctx);
	}
	/* A greeting answers no command, nor does the farewell of one that is not waited for. */
	if ((code == 220 || code == 221) && !other)
		return 0;
	if (s->data)
		return tell_all(s, TAKEN, code, reply, told, ctx);
	return s->command_count ? answer(s, code, reply, told, ctx) : 0;
}

int mqw_smtp_end(struct mqw_smtp_session *s, mqw_smtp_told *told, void *ctx)
{
	int r = 0;

	if (s->begun && is_busy(s))
		r = tell_all(
			s, ASKED, 0, MQW_LIT("the connection ended before an answer"), told, ctx);
	s->message_id = MQW_SLICE_NULL;
	start_over(s);
	return r;
}
