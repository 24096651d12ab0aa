/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message tracking of Exchange 2000 and 2003: 20 fields (KB246965), mostly with a 21st that is "-",
 * apart by tabs, without quotes: a subject may hold tabs, so that what is behind it is counted from the
 * end. A line for each recipient and event; no line has what a server answered, nor that it deferred.
 */
#include "probes/exchange/internal.h"

enum field {
	FIELD_RECIPIENT = 7,
	FIELD_EVENT = 8,
	FIELD_ID = 9,
	FIELD_COUNT = 13,
	FIELD_ORIGIN = 14,
	FIELD_LINKED = 17,
	FIELDS_IN_FRONT = 18, /* of the subject */
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

struct row {
	struct mqw_slice fields[FIELDS_IN_FRONT];
	struct mqw_slice sender; /* ptr NULL not said */
};

static bool split(struct mqw_slice s, struct row *ret)
{
	size_t at;

	for (size_t i = 0; i < FIELDS_IN_FRONT; i++)
		if (!mqw_slice_take_until(&s, '\t', &ret->fields[i]))
			return false;
	/* Now SUBJECT TAB SENDER [TAB -]. */
	if (mqw_slice_ends(s, MQW_LIT("\t-")) && mqw_slice_chr(s, '\t') < s.len - 2)
		s.len -= 2;
	for (at = s.len; at && s.ptr[at - 1] != '\t'; at--)
		;
	s = mqw_slice_from(s, at);
	ret->sender = s;
	if (mqw_slice_eq(s, MQW_LIT("<>")))
		ret->sender = mqw_slice(s.ptr, 0);
	else if (mqw_slice_eq(s, MQW_LIT("-")) || !s.len)
		ret->sender = MQW_SLICE_NULL;
	return at > 0;
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

static int read_under_way(struct mqw_probe *p, enum meaning meaning, const struct row *row,
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_delivery *d;
	int r;

	r = mqw_exchange_under_way(p, e, row->sender, out, &d);
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
	struct mqw_slice linked = row->fields[FIELD_LINKED];
	const struct mqw_delivery *d = mqw_join_find(&p->join, e->recipient, e->queue_id);
	int r = 0;

	if (mqw_slice_eq(linked, MQW_LIT("-")))
		linked = MQW_SLICE_NULL;
	if (!d && linked.len && mqw_join_find(&p->join, e->recipient, linked)) {
		d = mqw_join_find(&p->join, e->recipient, linked);
		linked = e->queue_id;
		e->queue_id = row->fields[FIELD_LINKED];
	}
	e->delay = age_of(row->fields[FIELD_ORIGIN], line->time);
	e->code = d ? d->code : 0;
	e->outcome = MQW_OUTCOME_BOUNCED;
	if (e->code >= 400 && e->code < 500)
		e->outcome = MQW_OUTCOME_EXPIRED;
	r = out->emit(out->ctx, e);
	mqw_join_close(&p->join, e->recipient, e->queue_id);
	if (r < 0 || !linked.len)
		return r < 0 ? r : MQW_LINE_USED;
	e->kind = MQW_EVENT_NDR;
	e->recipient = MQW_SLICE_NULL;
	e->other_id = linked;
	return give(out, e);
}

static int read_accepted(const struct row *row, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice count = row->fields[FIELD_COUNT];
	int r;

	if (!mqw_slice_take_u64(&count, &e->count))
		e->count = 0;
	e->sender = row->sender;
	e->recipient = MQW_SLICE_NULL;
	r = mqw_exchange_came(out, e, e->queue_id);
	return r < 0 ? r : MQW_LINE_USED;
}

int mqw_exchange_tracking_line(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_event e;
	struct row row;
	uint64_t event;
	const char *words = "";
	enum meaning meaning;

	if (!split(line->text, &row) || !mqw_slice_take_u64(&row.fields[FIELD_EVENT], &event) ||
		row.fields[FIELD_EVENT].len)
		return MQW_LINE_STRANGE;
	meaning = meaning_of(event, &words);
	if (meaning == DULL || row.fields[FIELD_ID].len == 0 ||
		mqw_slice_eq(row.fields[FIELD_ID], MQW_LIT("-")))
		return MQW_LINE_DULL;
	e = mqw_exchange_event(MQW_EVENT_ATTEMPT, line, row.fields[FIELD_ID]);
	if (meaning == ACCEPTED)
		return read_accepted(&row, &e, out);
	e.recipient = row.fields[FIELD_RECIPIENT];
	if (e.recipient.len == 0 || mqw_slice_eq(e.recipient, MQW_LIT("-")))
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
	mqw_join_close(&p->join, e.recipient, e.queue_id);
	return give(out, &e);
}
