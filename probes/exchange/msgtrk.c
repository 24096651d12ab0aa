/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message tracking since Exchange 2007: one line an event, its recipients and what became of each in
 * lists with ";" between. What the other side answered to a recipient is not always here: the queue
 * may go to retry without a line (then SmtpSend alone has it).
 */
#include <xxhash.h>

#include "probes/common.h"
#include "probes/exchange/internal.h"

#define REPORT_LAG MQW_MINUTE /* between a failure's line and that of the report about it */

enum meaning {
	DULL,
	RECEIVED,
	SENT,
	DEFERRED,
	FAILED,
	CHANGED, /* other recipients take the place of one */
	REPORT,
	SET_ASIDE,
	ELSEWHERE,
	AGAIN,
	DROPPED
};

static const struct {
	struct mqw_slice word;
	enum meaning meaning;
} events[] = {
	{MQW_LIT("RECEIVE"), RECEIVED},
	{MQW_LIT("SEND"), SENT},
	{MQW_LIT("SENDEXTERNAL"), SENT},
	{MQW_LIT("DELIVER"), SENT},
	{MQW_LIT("DUPLICATEDELIVER"), SENT},
	{MQW_LIT("DEFER"), DEFERRED},
	{MQW_LIT("FAIL"), FAILED},
	{MQW_LIT("EXPAND"), CHANGED},
	{MQW_LIT("REDIRECT"), CHANGED},
	{MQW_LIT("RESOLVE"), CHANGED},
	{MQW_LIT("DSN"), REPORT},
	{MQW_LIT("BADMAIL"), SET_ASIDE},
	{MQW_LIT("POISONMESSAGE"), SET_ASIDE},
	/* Another server has it, or had it and is done: what became of it is in that one's log. */
	{MQW_LIT("HADISCARD"), ELSEWHERE},
	{MQW_LIT("HAREDIRECT"), ELSEWHERE},
	{MQW_LIT("RESUBMIT"), AGAIN},
	{MQW_LIT("DROP"), DROPPED},
};

static enum meaning meaning_of(struct mqw_slice word)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (mqw_slice_eq(word, events[i].word))
			return events[i].meaning;
	return DULL;
}

/* One item of a list of recipients. */
static struct mqw_slice take_item(struct mqw_slice *s)
{
	size_t n = mqw_slice_chr(*s, ';');
	struct mqw_slice item = mqw_slice_trim(mqw_slice_head(*s, n));

	*s = mqw_slice_from(*s, n + 1);
	return item;
}

static size_t count_items(struct mqw_slice s)
{
	size_t n = 0;

	while (s.len)
		n += take_item(&s).len > 0;
	return n;
}

/* Whether an item of the list of states begins here, and not words behind a ";" in one. */
static bool begins_status(struct mqw_slice s)
{
	s = mqw_slice_trim(s);
	return mqw_reply_code(s, MQW_LIT(" -;")) || mqw_slice_starts(s, MQW_LIT("["));
}

/* One item of the list of states: "550 5.4.4 X; y" and "[{LRT=...};{LED=450 4.7.1 ...};...]" are each one. */
static struct mqw_slice take_status(struct mqw_slice *s)
{
	bool bracket = mqw_slice_starts(mqw_slice_trim(*s), MQW_LIT("["));
	struct mqw_slice item;
	size_t i = 0;

	for (; i < s->len; i++) {
		struct mqw_slice rest = mqw_slice_from(*s, i + 1);

		if (s->ptr[i] != ';')
			continue;
		if (bracket ? i > 0 && s->ptr[i - 1] == ']'
			    : !rest.len || begins_status(rest) ||
					mqw_slice_starts(rest, MQW_LIT(";")))
			break;
	}
	item = mqw_slice_trim(mqw_slice_head(*s, i));
	*s = mqw_slice_from(*s, i + 1);
	return item;
}

static size_t count_states(struct mqw_slice s)
{
	size_t n = 0;

	for (; s.len; n++)
		take_status(&s);
	return n;
}

/* The server's own words: behind "LED=" where there are braces. */
static struct mqw_slice reply_in(struct mqw_slice status)
{
	size_t at = mqw_slice_find(status, MQW_LIT("{LED="));

	if (!mqw_slice_starts(status, MQW_LIT("[")) || at == status.len)
		return status;
	status = mqw_slice_from(status, at + 5);
	return mqw_slice_head(status, mqw_slice_find(status, MQW_LIT("};{")));
}

static void set_reply(struct mqw_event *e, struct mqw_slice status)
{
	e->reply = reply_in(status);
	e->code = mqw_reply_code(e->reply, MQW_LIT(" -;"));
	e->status = e->code ? mqw_reply_status(e->reply) : MQW_SLICE_NULL;
}

/* "<a@b>" without its brackets; the null sender is "<>". */
static struct mqw_slice bare(struct mqw_slice s)
{
	if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		return mqw_slice(s.ptr + 1, s.len - 2);
	return s;
}

static struct mqw_slice sender_of(const struct mqw_slice row[MQW_COLUMN_COUNT])
{
	struct mqw_slice s = row[MQW_COLUMN_RETURN_PATH];

	if (!s.len)
		s = row[MQW_COLUMN_SENDER];
	return s.len ? bare(s) : MQW_SLICE_NULL;
}

static int read_received(struct mqw_probe *p, const struct mqw_slice row[MQW_COLUMN_COUNT],
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice list = row[MQW_COLUMN_RECIPIENTS], count = row[MQW_COLUMN_RECIPIENT_COUNT];
	struct mqw_delivery *d;
	int r;

	if (!mqw_slice_take_u64(&count, &e->count))
		e->count = 0;
	e->sender = sender_of(row);
	r = mqw_exchange_came(out, e, bare(e->queue_id));
	/* SmtpSend may name recipients alone. */
	while (r >= 0 && list.len) {
		e->recipient = take_item(&list);
		if (e->recipient.len)
			r = mqw_exchange_under_way(p, e, e->sender, out, &d);
	}
	return r;
}

static struct mqw_exchange_failure *failure_of(struct mqw_probe *p, struct mqw_slice id)
{
	uint64_t hash = XXH3_64bits_withSeed(id.len ? id.ptr : "", id.len, p->join.seed);

	return &p->failures[hash % MQW_EXCHANGE_FAILURES];
}

static uint64_t hash_of(const struct mqw_probe *p, struct mqw_slice id)
{
	return XXH3_64bits_withSeed(id.len ? id.ptr : "", id.len, p->join.seed) | 1;
}

/*
 * A failure is what its code says, but for one whose lifetime is over, which is put as 550 4.4.7: the
 * last answer was a temporary one then. By an administrator's hand it is none of these.
 */
static int tell_failure(
	const struct mqw_slice row[MQW_COLUMN_COUNT], struct mqw_event *e, struct mqw_sink *out)
{
	int r = 0;

	e->outcome = MQW_OUTCOME_BOUNCED;
	if (mqw_slice_eq(row[MQW_COLUMN_SOURCE], MQW_LIT("ADMIN"))) {
		e->outcome = MQW_OUTCOME_WITHDRAWN;
	} else if (mqw_slice_eq(e->status, MQW_LIT("4.4.7"))) {
		e->outcome = MQW_OUTCOME_EXPIRED;
	} else if (e->code >= 400 && e->code < 500) {
		e->outcome = MQW_OUTCOME_DEFERRED;
		r = out->emit(out->ctx, e);
		e->outcome = MQW_OUTCOME_EXPIRED;
	}
	return r < 0 ? r : out->emit(out->ctx, e);
}

static int tell_recipient(struct mqw_probe *p, const struct mqw_slice row[MQW_COLUMN_COUNT],
	enum meaning meaning, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_delivery *d;

	switch (meaning) {
	case DEFERRED:
		d = mqw_join_open(&p->join, e->recipient, e->queue_id, MQW_SLICE_NULL, e->time);
		e->outcome = d && mqw_join_note_answer(d, e->time, e->code) ? MQW_OUTCOME_SKIPPED
									    : MQW_OUTCOME_DEFERRED;
		return out->emit(out->ctx, e);
	case FAILED:
		mqw_join_close(&p->join, e->recipient, e->queue_id, e->time, false);
		return tell_failure(row, e, out);
	case DROPPED:
		e->outcome = MQW_OUTCOME_DISCARDED;
		break;
	default:
		e->outcome = MQW_OUTCOME_SENT;
		e->reply = MQW_SLICE_NULL;
		break;
	}
	mqw_join_close(&p->join, e->recipient, e->queue_id, e->time, false);
	return out->emit(out->ctx, e);
}

static int read_recipients(struct mqw_probe *p, const struct mqw_slice row[MQW_COLUMN_COUNT],
	enum meaning meaning, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice list = row[MQW_COLUMN_RECIPIENTS];
	struct mqw_slice states = row[MQW_COLUMN_RECIPIENT_STATUS];
	size_t count = count_items(list);
	/* Of another number they cannot be told apart. */
	bool each = count == count_states(states);
	int r = 0;

	e->kind = MQW_EVENT_ATTEMPT;
	/* Of a failure it is this server itself. */
	if (meaning == SENT)
		e->relay = row[MQW_COLUMN_SERVER_HOSTNAME];
	while (r >= 0 && list.len) {
		e->recipient = take_item(&list);
		if (!e->recipient.len)
			continue;
		if (count == 1)
			set_reply(e, states.len ? states : row[MQW_COLUMN_SOURCE_CONTEXT]);
		else if (each)
			set_reply(e, take_status(&states));
		else
			set_reply(e, row[MQW_COLUMN_SOURCE_CONTEXT]);
		r = tell_recipient(p, row, meaning, e, out);
	}
	return r;
}

/* A list that was deferred and is expanded now goes on as its members: no line names it again. */
static int read_changed(struct mqw_probe *p, const struct mqw_slice row[MQW_COLUMN_COUNT],
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice list = row[MQW_COLUMN_RELATED];
	int r = 0;

	e->outcome = MQW_OUTCOME_HANDED_OFF;
	while (r >= 0 && list.len) {
		const struct mqw_delivery *d;

		e->recipient = take_item(&list);
		d = mqw_join_find(&p->join, e->recipient, e->queue_id);
		if (!d || d->answered == MQW_TIME_NONE)
			continue;
		mqw_join_close(&p->join, e->recipient, e->queue_id, e->time, false);
		r = out->emit(out->ctx, e);
	}
	return r;
}

/* The report's line names the message that it is about. Of a delay alone nothing failed before. */
static int read_report(struct mqw_probe *p, const struct mqw_slice row[MQW_COLUMN_COUNT],
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice about = mqw_slice_trim(row[MQW_COLUMN_REFERENCE]);
	const struct mqw_exchange_failure *f = failure_of(p, about);

	if (!about.len)
		return 0;
	e->kind = f->id == hash_of(p, about) && e->time - f->time <= REPORT_LAG
		? MQW_EVENT_NDR
		: MQW_EVENT_NOTIFIED;
	e->other_id = e->queue_id;
	e->queue_id = about;
	return out->emit(out->ctx, e);
}

static void note_failure(struct mqw_probe *p, const struct mqw_event *e)
{
	struct mqw_exchange_failure *f = failure_of(p, e->queue_id);

	f->id = hash_of(p, e->queue_id);
	f->time = e->time;
}

static int emit(struct mqw_sink *out, struct mqw_event *e, enum mqw_event_kind kind)
{
	e->kind = kind;
	return out->emit(out->ctx, e);
}

/* What came by SMTP came to the server that wrote the line; of other lines it may be the other one. */
bool mqw_exchange_msgtrk_server(const struct mqw_line *line, struct mqw_slice *ret)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];

	if (!mqw_columns_split(line->columns, line->text, row) ||
		!mqw_slice_eq(row[MQW_COLUMN_SOURCE], MQW_LIT("SMTP")) ||
		!mqw_slice_eq(row[MQW_COLUMN_EVENT_ID], MQW_LIT("RECEIVE")))
		return false;
	*ret = row[MQW_COLUMN_SERVER_HOSTNAME];
	return ret->len > 0;
}

int mqw_exchange_msgtrk_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];
	struct mqw_event e;
	enum meaning meaning;
	int r = 0;

	if (!mqw_columns_split(line->columns, line->text, row) || !row[MQW_COLUMN_EVENT_ID].ptr)
		return MQW_LINE_STRANGE;
	meaning = meaning_of(row[MQW_COLUMN_EVENT_ID]);
	if (meaning == DULL || !row[MQW_COLUMN_MESSAGE_ID].len)
		return MQW_LINE_DULL;
	e = mqw_exchange_event(MQW_EVENT_ATTEMPT, line, row[MQW_COLUMN_MESSAGE_ID]);
	switch (meaning) {
	case RECEIVED:
		r = read_received(p, row, &e, out);
		break;
	case FAILED:
		note_failure(p, &e);
		r = read_recipients(p, row, meaning, &e, out);
		break;
	case CHANGED:
		r = read_changed(p, row, &e, out);
		break;
	case REPORT:
		r = read_report(p, row, &e, out);
		break;
	case SET_ASIDE:
		r = emit(out, &e, MQW_EVENT_HELD);
		break;
	case ELSEWHERE:
		r = emit(out, &e, MQW_EVENT_REMOVED);
		break;
	case AGAIN:
		e.sender = sender_of(row);
		r = emit(out, &e, MQW_EVENT_QUEUED);
		break;
	default:
		r = read_recipients(p, row, meaning, &e, out);
		break;
	}
	return r < 0 ? r : MQW_LINE_USED;
}
