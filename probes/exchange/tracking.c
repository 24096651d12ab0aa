/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message tracking of Exchange 2000 and 2003: 20 fields (KB246965), mostly with a 21st that is "-",
 * apart by tabs, without quotes: a subject may hold tabs, so that what is behind it is counted from the
 * end. A line for each recipient and event; no line has what a server answered, nor that it deferred.
 */
#include "probes/exchange/internal.h"

/* From 1, as Microsoft counts them. */
enum field {
	FIELD_SERVER = 6,
	FIELD_RECIPIENT = 8,
	FIELD_EVENT = 9,
	FIELD_ID = 10,
	FIELD_COUNT = 14,
	FIELD_ORIGIN = 15,
	FIELD_LINKED = 18,
};

/* What an event means for the recipient. */
enum meaning {
	DULL,
	ACCEPTED,
	ROUTED, /* waits for a remote delivery */
	BEGUN, /* SMTP starts to send it: whether that came to an end shows only in what follows */
	RETRIED, /* something in the server itself failed for now */
	SENT,
	REPORTED, /* the sender got a failure report */
	DROPPED, /* by a filter */
	BADMAIL,
};

/* KB821905, KB246959; 0 to 52 and 1000 to 1018 are those of Exchange 5.5 and of its X.400 side. */
static enum meaning meaning_of(uint64_t event, const char **ret_words)
{
	switch (event) {
	case 1019:
	case 1027:
		return ACCEPTED;
	case 1034:
		return ROUTED;
	case 1020:
		return BEGUN;
	case 7:
	case 9:
	case 1003:
	case 1023:
	case 1028:
	case 1029:
	case 1031:
		return SENT;
	case 34:
	case 1007:
	case 1017:
	case 1030:
		return REPORTED;
	case 1022:
	case 1026:
		*ret_words = "Advanced Queuing failed with it (event 1022 or 1026)";
		return RETRIED;
	case 1032:
		*ret_words = "the categorizer failed and was to try again";
		return RETRIED;
	case 1035:
		*ret_words = "routing failed and was to be tried again";
		return RETRIED;
	case 1037:
		*ret_words = "local delivery failed and was to be tried again";
		return RETRIED;
	case 1039:
	case 1040:
	case 1041:
		return DROPPED;
	case 1021:
		return BADMAIL;
	default:
		return DULL;
	}
}

/* A line, taken apart as far as its event asks for. */
struct row {
	struct mqw_slice recipient, id;
	uint64_t event;
	struct mqw_slice rest; /* behind the id */
};

/*
 * Where the n-th tab is, n from 1; s.len when there are fewer. Fields are short: a call for each would
 * take longer than to look at eight bytes at a time.
 */
static size_t nth_tab(struct mqw_slice s, size_t n)
{
	const uint64_t tabs = UINT64_C(0x0909090909090909), low = UINT64_C(0x7f7f7f7f7f7f7f7f),
		       ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; s.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word, found;
		size_t count;

		memcpy(&word, s.ptr + i, sizeof(word));
		word ^= tabs;
		/* The high bit of each byte that is 0 now. */
		found = ~(((word & low) + low) | word | low);
		count = (size_t)((found >> 7) * ones >> 56);
		if (count >= n)
			break;
		n -= count;
	}
	for (; i < s.len; i++)
		if (s.ptr[i] == '\t' && --n == 0)
			break;
	return i;
}

/* Takes n fields off, each with a tab behind it; the last of them is wanted. */
static bool take_fields(struct mqw_slice *s, size_t n, struct mqw_slice *ret_last)
{
	struct mqw_slice rest = n > 1 ? mqw_slice_from(*s, nth_tab(*s, n - 1) + 1) : *s;

	if (!mqw_slice_take_until(&rest, '\t', ret_last))
		return false;
	*s = rest;
	return true;
}

static bool split(struct mqw_slice s, struct row *ret)
{
	struct mqw_slice event;

	if (!take_fields(&s, FIELD_RECIPIENT, &ret->recipient) ||
		!take_fields(&s, FIELD_EVENT - FIELD_RECIPIENT, &event) ||
		!take_fields(&s, FIELD_ID - FIELD_EVENT, &ret->id))
		return false;
	ret->rest = s;
	return mqw_slice_take_u64(&event, &ret->event) && event.len == 0;
}

/* The field of that number, behind the id; empty when it says nothing. */
static struct mqw_slice field_of(const struct row *row, enum field field)
{
	struct mqw_slice rest = row->rest, value;

	if (!take_fields(&rest, field - FIELD_ID, &value) || mqw_slice_eq(value, MQW_LIT("-")))
		return MQW_SLICE_NULL;
	return value;
}

/* From the end: SUBJECT TAB SENDER [TAB -]. ptr NULL: not said; the null sender is "<>". */
static struct mqw_slice sender_of(const struct row *row)
{
	struct mqw_slice s = row->rest;
	size_t at = s.len;

	if (mqw_slice_ends(s, MQW_LIT("\t-")))
		at = s.len -= 2;
	while (at && s.ptr[at - 1] != '\t')
		at--;
	s = mqw_slice_from(s, at);
	if (mqw_slice_eq(s, MQW_LIT("<>")))
		return mqw_slice(s.ptr, 0);
	return s.len == 0 || mqw_slice_eq(s, MQW_LIT("-")) ? MQW_SLICE_NULL : s;
}

/* Its age, by "2003-8-12 0:58:14 GMT". */
static int64_t age_of(struct mqw_slice origin, int64_t now)
{
	int64_t day, clock;

	if (!mqw_utc_take_date(&origin, &day) || !mqw_slice_skip(&origin, MQW_LIT(" ")) ||
		!mqw_utc_take_clock(&origin, &clock) || day + clock > now)
		return MQW_TIME_NONE;
	return now - day - clock;
}

static int give(struct mqw_sink *out, const struct mqw_event *e)
{
	int r = out->emit(out->ctx, e);

	return r < 0 ? r : MQW_LINE_USED;
}

/* What the SMTP log is not there for: that a try failed is known by the next one. */
static int tell_former_try(
	const struct mqw_delivery *d, const struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_event former = *e;

	if (d->begun == MQW_TIME_NONE || e->time <= d->begun + MQW_JOIN_SKEW ||
		(d->answered != MQW_TIME_NONE && d->answered >= d->begun - MQW_JOIN_SKEW))
		return 0;
	former.outcome = MQW_OUTCOME_DEFERRED;
	former.time = d->begun;
	former.reply = MQW_LIT("tried again later; what was answered is not in this log");
	return out->emit(out->ctx, &former);
}

/*
 * With what its last try was answered, 0 when that is not known: that try may have begun after the last
 * answer that was read, and its own is on its way in the other log.
 */
static int last_code(const struct mqw_delivery *d)
{
	if (!d ||
		(d->begun != MQW_TIME_NONE && d->answered != MQW_TIME_NONE &&
			d->begun > d->answered + MQW_JOIN_SKEW))
		return 0;
	return d->code;
}

static int read_under_way(struct mqw_probe *p, enum meaning meaning, const struct row *row,
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_delivery *d;
	int r;

	r = mqw_exchange_under_way(p, e, sender_of(row), out, &d);
	if (r >= 0 && d && meaning == BEGUN) {
		r = tell_former_try(d, e, out);
		d->begun = e->time;
	}
	e->outcome = MQW_OUTCOME_UNDER_WAY;
	return r < 0 ? r : give(out, e);
}

/*
 * The report's line is about the message that failed, with the report's own id beside it; where it is
 * the other way round, the delivery that is known tells. Whether the failure was a temporary one only
 * the last answer can say.
 */
static int read_report(struct mqw_probe *p, const struct mqw_line *line, const struct row *row,
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice linked = field_of(row, FIELD_LINKED);
	struct mqw_delivery *d = mqw_join_find(&p->join, e->recipient, e->queue_id);
	int r = 0;

	if (!d && linked.len && mqw_join_find(&p->join, e->recipient, linked)) {
		d = mqw_join_find(&p->join, e->recipient, linked);
		e->queue_id = linked;
		linked = row->id;
	}
	/* A line to the sender is about all recipients, and which of them failed nobody can tell. */
	if (!d && mqw_slice_eq_nocase(e->recipient, sender_of(row))) {
		e->kind = MQW_EVENT_REMOVED;
		e->recipient = MQW_SLICE_NULL;
		return give(out, e);
	}
	e->delay = age_of(field_of(row, FIELD_ORIGIN), line->time);
	e->code = last_code(d);
	/* What comes late may still tell why. */
	if (d)
		d->code = e->code;
	e->outcome = MQW_OUTCOME_BOUNCED;
	if (e->code >= 400 && e->code < 500)
		e->outcome = MQW_OUTCOME_EXPIRED;
	r = out->emit(out->ctx, e);
	mqw_join_close(&p->join, e->recipient, e->queue_id, e->time, true);
	if (r < 0 || !linked.len)
		return r < 0 ? r : MQW_LINE_USED;
	e->kind = MQW_EVENT_NDR;
	e->recipient = MQW_SLICE_NULL;
	e->other_id = linked;
	return give(out, e);
}

static int read_accepted(const struct row *row, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice count = field_of(row, FIELD_COUNT);
	int r;

	if (!mqw_slice_take_u64(&count, &e->count))
		e->count = 0;
	e->sender = sender_of(row);
	e->recipient = MQW_SLICE_NULL;
	r = mqw_exchange_came(out, e, e->queue_id);
	return r < 0 ? r : MQW_LINE_USED;
}

static bool is_empty(struct mqw_slice field)
{
	return field.len == 0 || mqw_slice_eq(field, MQW_LIT("-"));
}

/* Of a message that came it is the server that has it; of others it may be the one that it went to. */
bool mqw_exchange_tracking_server(const struct mqw_line *line, struct mqw_slice *ret)
{
	struct mqw_slice rest = line->text;
	const char *words;
	struct row row;

	return split(line->text, &row) && meaning_of(row.event, &words) == ACCEPTED &&
		take_fields(&rest, FIELD_SERVER, ret) && !is_empty(*ret);
}

int mqw_exchange_tracking_line(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_event e;
	struct row row;
	const char *words = "";
	enum meaning meaning;

	if (!split(line->text, &row))
		return MQW_LINE_STRANGE;
	meaning = meaning_of(row.event, &words);
	if (meaning == DULL || is_empty(row.id))
		return MQW_LINE_DULL;
	e = mqw_exchange_event(MQW_EVENT_ATTEMPT, line, row.id);
	if (meaning == ACCEPTED)
		return read_accepted(&row, &e, out);
	e.recipient = row.recipient;
	if (is_empty(row.recipient))
		return MQW_LINE_DULL;
	e.reply = mqw_slice_of(words);
	switch (meaning) {
	case ROUTED:
	case BEGUN:
		return read_under_way(p, meaning, &row, &e, out);
	case REPORTED:
		return read_report(p, line, &row, &e, out);
	case RETRIED:
		e.outcome = MQW_OUTCOME_SKIPPED;
		return give(out, &e);
	case BADMAIL:
		e.kind = MQW_EVENT_HELD;
		e.recipient = MQW_SLICE_NULL;
		return give(out, &e);
	case SENT:
		e.outcome = MQW_OUTCOME_SENT;
		break;
	case DROPPED:
		e.outcome = MQW_OUTCOME_DISCARDED;
		break;
	case DULL:
	case ACCEPTED:
		break;
	}
	mqw_join_close(&p->join, e.recipient, e.queue_id, e.time, false);
	return give(out, &e);
}
