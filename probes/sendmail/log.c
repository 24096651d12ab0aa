/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sendmail's log lines: "ID: key=value, key=value..." and "ID: TEXT". At its usual level of 9 it
 * says what becomes of each recipient, but not that a message has left the queue; at 10 and above
 * it says "done". Line numbers are those of Sendmail 8.17.1.
 */
#include "probes/sendmail/log_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define INSTANCE MQW_LIT("sendmail")

struct mqw_probe *mqw_sendmail_log_create(const char *const *next_hops, size_t next_hop_count)
{
	struct mqw_probe *p = calloc(1, sizeof(*p));

	if (p) {
		p->next_hops = next_hops;
		p->next_hop_count = next_hop_count;
	}
	return p;
}

struct mqw_probe *mqw_sendmail_log_free(struct mqw_probe *p)
{
	free(p);
	return NULL;
}

bool mqw_sendmail_is_mine(struct mqw_slice tag)
{
	/* rpc.statd's sm-notify has nothing to do with mail. */
	if (mqw_slice_starts(tag, MQW_LIT("sm-")))
		return !mqw_slice_eq(tag, MQW_LIT("sm-notify"));
	return mqw_slice_eq(tag, MQW_LIT("sendmail")) ||
		mqw_slice_starts(tag, MQW_LIT("sendmail-"));
}

static int emit(struct mqw_sink *out, struct mqw_event *e, enum mqw_event_kind kind)
{
	e->kind = kind;
	return out->emit(out->ctx, e);
}

static int used(int r)
{
	return r < 0 ? r : MQW_LINE_USED;
}

static int emit_one(struct mqw_sink *out, struct mqw_event *e, enum mqw_event_kind kind)
{
	return used(emit(out, e, kind));
}

/* Takes "KEY=NUMBER" from the front. */
static bool take_number(struct mqw_slice *s, struct mqw_slice key, uint64_t *ret)
{
	return mqw_slice_skip(s, key) && mqw_slice_take_u64(s, ret);
}

static struct mqw_slice message_id_in(struct mqw_slice s)
{
	struct mqw_slice id;

	if (!mqw_slice_skip(&s, MQW_LIT(", msgid=")))
		return MQW_SLICE_NULL;
	if (mqw_slice_skip(&s, MQW_LIT("<")))
		return mqw_slice_take_until(&s, '>', &id)
			? id
			: mqw_slice_head(s, mqw_slice_find(s, MQW_LIT(", ")));
	return mqw_slice_head(s, mqw_slice_find(s, MQW_LIT(", ")));
}

/*
 * "from=<a@b>, size=186, class=0, nrcpts=1, msgid=<...>, ...". Without recipients, or without a
 * byte received, it tells of a client that went away (logsender by CLEAR_STATE and QUIT).
 */
static int read_from(struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice rest = s;
	uint64_t size, class;

	if (!mqw_sendmail_take_address(&rest, &e->sender) ||
		!mqw_slice_starts(rest, MQW_LIT(", size="))) {
		/* Cut at 200 bytes, perhaps within brackets or quotes. */
		e->sender = mqw_slice_head(s, mqw_slice_find(s, MQW_LIT(", size=")));
		rest = mqw_slice_from(s, e->sender.len);
	}
	if (!take_number(&rest, MQW_LIT(", size="), &size))
		return MQW_LINE_STRANGE;
	mqw_slice_skip(&rest, MQW_LIT(", class="));
	mqw_slice_skip(&rest, MQW_LIT("-"));
	if (!mqw_slice_take_u64(&rest, &class) ||
		!take_number(&rest, MQW_LIT(", nrcpts="), &e->count))
		return MQW_LINE_STRANGE;
	e->message_id = message_id_in(rest);
	if (e->count == 0 || (size == 0 && !e->message_id.len))
		return MQW_LINE_DULL;
	return emit_one(out, e, MQW_EVENT_ARRIVED);
}

static int read_to(const struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice s,
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice list;
	enum mqw_sendmail_stat stat = mqw_sendmail_read_attempt(p, line, s, e, &list);
	int r = 0;

	if (stat == STAT_STRANGE)
		return MQW_LINE_STRANGE;
	if (stat == STAT_REFUSED)
		return emit_one(out, e, MQW_EVENT_REFUSED);
	while (r >= 0 && mqw_sendmail_next_recipient(&list, &e->recipient))
		r = emit(out, e, MQW_EVENT_ATTEMPT);
	if (r >= 0 && stat == STAT_QUARANTINED)
		r = emit(out, e, MQW_EVENT_HELD);
	return used(r);
}

/*
 * "ID: NEW: WORD: REASON" (returntosender, savemail.c:622). The word tells to whom: "DSN", or
 * "sender notify" when a warning went out before, "return to sender" for a report about a report,
 * "postmaster notify" for a copy. The reason tells what about.
 */
static int read_report(struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	bool to_sender = mqw_slice_skip(&s, MQW_LIT("DSN: ")) ||
		mqw_slice_skip(&s, MQW_LIT("sender notify: ")) ||
		mqw_slice_skip(&s, MQW_LIT("return to sender: "));
	struct mqw_event report = mqw_event(MQW_EVENT_OPENED, e->time);
	bool gave_up;
	int r;

	if (!to_sender && !mqw_slice_skip(&s, MQW_LIT("postmaster notify: ")))
		return MQW_LINE_STRANGE;
	gave_up = mqw_slice_starts(s, MQW_LIT("Cannot send message "));
	if (mqw_slice_starts(s, MQW_LIT("Warning: ")) || mqw_slice_eq(s, MQW_LIT("Return receipt")))
		to_sender = false;
	r = gave_up ? emit(out, e, MQW_EVENT_GAVE_UP) : 0;
	if (r >= 0)
		r = emit(out, e, to_sender ? MQW_EVENT_NDR : MQW_EVENT_NOTIFIED);
	/* The whole message is deleted then, whatever its recipients (EF_CLRQUEUE). */
	if (r >= 0 && (gave_up || mqw_slice_starts(s, MQW_LIT("delivery time expired "))))
		r = emit(out, e, MQW_EVENT_REMOVED);
	if (r < 0)
		return r;
	/* The report has no from= line of its own. */
	report.realm = e->realm;
	report.instance = e->instance;
	report.evidence = e->evidence;
	report.queue_id = e->other_id;
	report.sender = MQW_LIT("");
	return used(out->emit(out->ctx, &report));
}

/* "split: maxrcpts=5, rcpts=12, count=2, ids=ID1; ID2": these carry recipients of this one on. */
static int read_split(struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice rest = mqw_slice_from(s, mqw_slice_find(s, MQW_LIT(", id")));
	int r = 0;

	mqw_slice_skip(&rest, MQW_LIT(", id"));
	mqw_slice_skip(&rest, MQW_LIT("s"));
	if (!mqw_slice_skip(&rest, MQW_LIT("=")))
		return MQW_LINE_STRANGE;
	while (r >= 0 && mqw_sendmail_take_id(&rest, &e->other_id)) {
		r = emit(out, e, MQW_EVENT_SPLIT);
		if (!mqw_slice_skip(&rest, MQW_LIT("; ")))
			break;
	}
	return used(r);
}

/*
 * "SYSERR(root): readqf: cannot open ./dfID: No such file or directory" at each queue run, when
 * the body is gone and the envelope is not; "SYSERR(root): readqf: qfID: incomplete queue file
 * read". Neither is ever delivered.
 */
static int read_syserr(struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice words = mqw_slice_from(s, mqw_slice_find(s, MQW_LIT(": ")) + 2);

	e->reply = words;
	if (!mqw_slice_skip(&words, MQW_LIT("readqf: ")))
		return MQW_LINE_DULL;
	if (mqw_slice_ends(words, MQW_LIT(": incomplete queue file read")) ||
		(mqw_slice_starts(words, MQW_LIT("cannot open ")) &&
			mqw_slice_ends(words, MQW_LIT(": No such file or directory")) &&
			mqw_slice_find(words, e->queue_id) < words.len))
		return emit_one(out, e, MQW_EVENT_FILE_LOST);
	return MQW_LINE_DULL;
}

static int read_words(struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	static const struct {
		struct mqw_slice words;
		bool whole; /* nothing may follow */
		enum mqw_event_kind kind;
	} table[] = {
		{MQW_LIT("done; "), false, MQW_EVENT_REMOVED},
		{MQW_LIT("discarded"), true, MQW_EVENT_DISCARDED},
		{MQW_LIT("quarantine="), false, MQW_EVENT_HELD},
		{MQW_LIT("unquarantine"), true, MQW_EVENT_RELEASED},
		{MQW_LIT("Losing "), false, MQW_EVENT_FILE_LOST},
		{MQW_LIT("collect: premature EOM"), false, MQW_EVENT_REFUSED},
		{MQW_LIT("collect: unexpected close"), false, MQW_EVENT_REFUSED},
		{MQW_LIT("Milter: data, reject="), false, MQW_EVENT_REFUSED},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!mqw_slice_starts(s, table[i].words) ||
			(table[i].whole && s.len != table[i].words.len))
			continue;
		if (table[i].kind == MQW_EVENT_FILE_LOST)
			e->reply = s;
		return emit_one(out, e, table[i].kind);
	}
	return MQW_LINE_DULL; /* rulesets, milters, TLS, clients that behave badly... */
}

static int read_with_id(const struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice s,
	struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_slice rest = s;

	if (mqw_slice_starts(s, MQW_LIT("to=")))
		return read_to(p, line, s, e, out);
	if (mqw_slice_skip(&rest, MQW_LIT("from=")))
		return read_from(rest, e, out);
	if (mqw_slice_skip(&rest, MQW_LIT("split: ")))
		return read_split(rest, e, out);
	if (mqw_slice_starts(s, MQW_LIT("SYSERR(")))
		return read_syserr(s, e, out);
	if (mqw_sendmail_take_id(&rest, &e->other_id) && mqw_slice_skip(&rest, MQW_LIT(": "))) {
		if (mqw_slice_starts(rest, MQW_LIT("clone: ")))
			return emit_one(out, e, MQW_EVENT_SPLIT);
		return read_report(rest, e, out);
	}
	e->other_id = MQW_SLICE_NULL;
	return read_words(s, e, out);
}

/*
 * A message that was put back has no line of arrival: its first line begins its life. The tracker
 * takes it well when it is told so again.
 */
static int tell_recovered(struct mqw_probe *p, const struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_event opened = *e;
	char original[MQW_SENDMAIL_ID_MAX + 1];

	if (!mqw_sendmail_original_id(e->queue_id, original) ||
		mqw_slice_eq(e->queue_id, mqw_slice_of(p->recovered)))
		return 0;
	snprintf(p->recovered, sizeof(p->recovered), "%.*s", (int)e->queue_id.len, e->queue_id.ptr);
	opened.other_id = mqw_slice_of(original);
	return emit(out, &opened, MQW_EVENT_OPENED);
}

int mqw_sendmail_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_event e = mqw_event(MQW_EVENT_COUNT, line->time);
	struct mqw_slice s = line->text;
	int r;

	if (!mqw_sendmail_is_mine(line->tag))
		return MQW_LINE_FOREIGN;
	if (!mqw_sendmail_take_id(&s, &e.queue_id) || !mqw_slice_skip(&s, MQW_LIT(": ")))
		return MQW_LINE_DULL;
	e.realm = line->host;
	e.instance = INSTANCE;
	e.evidence = line->evidence;
	r = tell_recovered(p, &e, out);
	return r < 0 ? r : read_with_id(p, line, s, &e, out);
}
