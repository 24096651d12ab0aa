/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SmtpSend protocol log since Exchange 2007: ">" what this server said, "<" what the other one
 * answered, "*" Exchange's own words, among them which message comes next. In this log alone a
 * recipient's temporary answer is always found.
 */
#include "probes/common.h"
#include "probes/exchange/internal.h"

struct telling {
	struct mqw_probe *probe;
	const struct mqw_line *line;
	struct mqw_sink *out;
	struct mqw_slice remote;
};

/* "sending message with RecordId 77 and InternetMessageId <x@y>", as message tracking has the id. */
static struct mqw_slice message_in(struct mqw_slice context)
{
	static const struct mqw_slice words = MQW_LIT("InternetMessageId ");
	size_t at = mqw_slice_find(context, words), end;

	if (!mqw_slice_starts(context, MQW_LIT("sending message")) || at == context.len)
		return MQW_SLICE_NULL;
	context = mqw_slice_from(context, at + words.len);
	end = mqw_slice_chr(context, '>');
	return mqw_slice_head(context, end + 1);
}

static int tell(void *ctx, const struct mqw_smtp_result *r)
{
	struct telling *t = ctx;
	struct mqw_event e = mqw_exchange_event(MQW_EVENT_ATTEMPT, t->line, r->message_id);
	struct mqw_delivery *d;
	bool sure = true;

	if (!r->recipient.ptr)
		return 0;
	e.recipient = r->recipient;
	d = e.queue_id.len
		? mqw_join_open(&t->probe->join, r->recipient, e.queue_id, r->sender, e.time)
		: mqw_join_answered(&t->probe->join, r->recipient, r->sender, e.time, &sure);
	if (!e.queue_id.len && (!d || d->closed != MQW_TIME_NONE))
		return 0;
	if (!e.queue_id.len)
		e.queue_id = mqw_slice(d->id, d->id_len);
	e.relay = t->remote;
	e.outcome = r->outcome;
	if (d) {
		e.recipient = mqw_join_recipient(d, e.recipient);
		if (mqw_join_note_answer(d, e.time, r->code) && e.outcome == MQW_OUTCOME_DEFERRED)
			e.outcome = MQW_OUTCOME_SKIPPED;
	}
	e.code = r->code;
	e.status = mqw_reply_status(r->reply);
	e.doubtful = !sure;
	if (r->outcome == MQW_OUTCOME_SENT)
		mqw_join_close(&t->probe->join, r->recipient, e.queue_id, e.time, false);
	else
		e.reply = r->reply;
	return t->out->emit(t->out->ctx, &e);
}

static int read_row(
	struct mqw_smtp_session *s, const struct mqw_slice row[MQW_COLUMN_COUNT], struct telling *t)
{
	struct mqw_slice data = row[MQW_COLUMN_DATA], verb, id;
	size_t n = mqw_slice_chr(data, ' ');

	switch (row[MQW_COLUMN_EVENT].ptr[0]) {
	case '>':
		verb = mqw_slice_head(data, n);
		mqw_smtp_command(s, verb, mqw_slice_from(data, n + 1), t->line->time);
		return MQW_LINE_DULL;
	case '<':
		return mqw_smtp_reply(s, data, false, t->line->time, tell, t);
	case '-':
		return mqw_smtp_end(s, tell, t);
	case '*':
		id = message_in(row[MQW_COLUMN_CONTEXT]);
		if (id.len)
			mqw_smtp_message(s, id);
		return MQW_LINE_DULL;
	default:
		return MQW_LINE_DULL;
	}
}

int mqw_exchange_send_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];
	struct telling t = {.probe = p, .line = line, .out = out};
	struct mqw_smtp_session *s;
	int r;

	if (!mqw_columns_split(line->columns, line->text, row) || !row[MQW_COLUMN_SESSION_ID].len ||
		row[MQW_COLUMN_EVENT].len != 1)
		return MQW_LINE_STRANGE;
	t.remote = row[MQW_COLUMN_REMOTE];
	s = mqw_smtp_session(
		&p->sessions, row[MQW_COLUMN_SESSION_ID], MQW_LIT("SmtpSend"), line->time);
	s->single = true;
	r = read_row(s, row, &t);
	return r < 0 ? r : r == 0 ? MQW_LINE_USED : r;
}
