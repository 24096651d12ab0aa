/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Exchange's logs have in common, and how they come together. */
#include <stdlib.h>

#include "probes/common.h"
#include "probes/exchange/internal.h"
#include "probes/windows/form.h"
#include "probes/windows/smtp_log.h"

#define YOUNG (4 * MQW_HOUR) /* --min-lifetime, as it is by default */

static const char own_tag[] = "exchange";

/* What a line's results need besides themselves. */
struct telling {
	struct mqw_probe *probe;
	const struct mqw_line *line;
	struct mqw_sink *out;
};

struct mqw_probe *mqw_exchange_create(const char *const *next_hops, size_t next_hop_count)
{
	struct mqw_probe *p = calloc(1, sizeof(*p));

	(void)next_hops, (void)next_hop_count;
	if (!p)
		return NULL;
	mqw_smtp_table_init(&p->sessions);
	mqw_join_init(&p->join, mqw_map_random_seed());
	return p;
}

struct mqw_probe *mqw_exchange_free(struct mqw_probe *p)
{
	free(p);
	return NULL;
}

void mqw_exchange_resume(struct mqw_probe *p, const struct mqw_message *m)
{
	struct mqw_slice id = mqw_slice_of(m->queue_id);
	struct mqw_slice sender = m->sender ? mqw_slice_of(m->sender) : MQW_SLICE_NULL;

	/* A file of mailroot is in no log. */
	if (m->place != MQW_PLACE_NONE || m->closed_at != MQW_TIME_NONE)
		return;
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		struct mqw_slice address = mqw_slice_of(r->address);
		struct mqw_delivery *d;

		if (r->state != MQW_RECIPIENT_WAITING && r->state != MQW_RECIPIENT_DEFERRED)
			continue;
		mqw_join_open(&p->join, address, id, sender, m->first_seen);
		d = mqw_join_open(&p->join, address, id, sender, m->last_seen);
		if (!d || !r->attempts)
			continue;
		d->answered = r->last_attempt;
		d->code = r->doubtful ? 0 : r->code;
	}
}

bool mqw_exchange_server(const struct mqw_line *line, struct mqw_slice *ret)
{
	if (!line->columns)
		return false;
	switch (line->columns->log) {
	case MQW_WINDOWS_TRACKING:
		return mqw_exchange_tracking_server(line, ret);
	case MQW_WINDOWS_MSGTRK:
		return mqw_exchange_msgtrk_server(line, ret);
	default:
		return mqw_windows_smtp_server(line, ret);
	}
}

bool mqw_exchange_is_mine(struct mqw_slice tag)
{
	return mqw_slice_eq(tag, mqw_slice_of(own_tag));
}

bool mqw_exchange_log_name(struct mqw_slice name)
{
	return mqw_windows_tracking_name(name) || mqw_windows_smtp_name(name);
}

enum mqw_form mqw_exchange_own_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret)
{
	enum mqw_form form = mqw_windows_form(stamps, raw, ret);

	if (form != MQW_FORM_POSSIBLE)
		return form;
	ret->tag = mqw_slice(own_tag, sizeof(own_tag) - 1);
	switch (ret->columns->log) {
	case MQW_WINDOWS_TRACKING:
	case MQW_WINDOWS_MSGTRK:
	case MQW_WINDOWS_SMTP_SEND:
		return MQW_FORM_CERTAIN;
	default:
		return MQW_FORM_POSSIBLE;
	}
}

struct mqw_event mqw_exchange_event(
	enum mqw_event_kind kind, const struct mqw_line *line, struct mqw_slice id)
{
	struct mqw_event e = mqw_event(kind, line->time);

	e.queue_id = id;
	e.instance = mqw_slice(own_tag, sizeof(own_tag) - 1);
	e.evidence = line->evidence;
	return e;
}

int mqw_exchange_came(struct mqw_sink *out, struct mqw_event *e, struct mqw_slice message_id)
{
	int r;

	/* Not as an opening: this line may come several times for one message. */
	e->kind = MQW_EVENT_MESSAGE_ID;
	e->message_id = message_id;
	r = out->emit(out->ctx, e);
	e->kind = MQW_EVENT_QUEUED;
	e->message_id = MQW_SLICE_NULL;
	return r < 0 ? r : out->emit(out->ctx, e);
}

/*
 * An answer that is read after the end of its delivery. Of one that was reported as failed it may be the
 * only one that is known, and tells why: on a temporary answer the report is false, unless it came so
 * late that the lifetime may have run out.
 */
static int give_late_answer(struct mqw_delivery *d, const struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_event why = *e;

	if (!d->reported || d->code || e->doubtful || e->outcome == MQW_OUTCOME_SENT ||
		(e->outcome == MQW_OUTCOME_DEFERRED && e->time - d->opened >= YOUNG))
		return 0;
	d->code = e->code;
	why.outcome = MQW_OUTCOME_BOUNCED;
	return out->emit(out->ctx, &why);
}

static int give_answer(struct mqw_delivery *d, const struct mqw_event *e, struct mqw_sink *out)
{
	if (d->closed != MQW_TIME_NONE)
		return give_late_answer(d, e, out);
	/* Only the newest is remembered; what a line said earlier was said. */
	if (d->answered == MQW_TIME_NONE || e->time >= d->answered) {
		d->answered = e->time;
		/* Only what is sure may tell later why it was reported as failed. */
		if (!e->doubtful)
			d->code = e->code;
	}
	/* Message tracking says itself what was sent. */
	return e->outcome == MQW_OUTCOME_SENT ? 0 : out->emit(out->ctx, e);
}

int mqw_exchange_under_way(struct mqw_probe *p, const struct mqw_event *e, struct mqw_slice sender,
	struct mqw_sink *out, struct mqw_delivery **ret)
{
	const struct mqw_answer *a;
	struct mqw_event late = *e;

	*ret = mqw_join_open(&p->join, e->recipient, e->queue_id, sender, e->time);
	if (!*ret)
		return 0;
	a = mqw_join_take(&p->join, e->recipient, *ret);
	if (!a)
		return 0;
	late.kind = MQW_EVENT_ATTEMPT;
	late.time = a->time;
	late.outcome = a->outcome;
	late.code = a->code;
	late.doubtful = a->doubtful;
	late.evidence = a->evidence;
	late.relay = a->relay;
	late.reply = a->reply;
	late.status = mqw_reply_status(a->reply);
	return give_answer(*ret, &late, out);
}

/* The event of an answer that has no message yet. */
static struct mqw_event answer_event(const struct telling *t, const struct mqw_smtp_result *r)
{
	struct mqw_event e = mqw_exchange_event(MQW_EVENT_ATTEMPT, t->line, MQW_SLICE_NULL);

	e.recipient = r->recipient;
	e.relay = r->remote;
	e.outcome = r->outcome;
	e.code = r->code;
	e.status = mqw_reply_status(r->reply);
	e.reply = r->reply;
	e.doubtful = r->doubtful;
	return e;
}

/* Refused before a recipient was named: all of the message that the sender has under way. */
static int tell_refused(const struct telling *t, const struct mqw_smtp_result *r)
{
	struct mqw_event e = answer_event(t, r);
	struct mqw_delivery *d;
	size_t cursor = 0;
	int result = 0;

	while (result >= 0 && (d = mqw_join_refused(&t->probe->join, r->sender, e.time, &cursor))) {
		e.recipient = mqw_join_recipient(d, MQW_SLICE_NULL);
		e.queue_id = mqw_slice(d->id, d->id_len);
		if (e.recipient.len)
			result = give_answer(d, &e, t->out);
	}
	return result;
}

/* An answer out of the SMTP service's log, which knows no message: to the delivery that it fits. */
static int tell_answer(void *ctx, const struct mqw_smtp_result *r)
{
	struct telling *t = ctx;
	struct mqw_event e = answer_event(t, r);
	struct mqw_delivery *d;
	bool sure;

	if (!r->recipient.ptr)
		return tell_refused(t, r);
	d = mqw_join_answered(&t->probe->join, r->recipient, r->sender, e.time, &sure);
	if (!d) {
		if (e.outcome != MQW_OUTCOME_SENT)
			mqw_join_wait(&t->probe->join, &e);
		return 0;
	}
	e.doubtful = e.doubtful || !sure;
	e.queue_id = mqw_slice(d->id, d->id_len);
	e.recipient = mqw_join_recipient(d, e.recipient);
	return give_answer(d, &e, t->out);
}

int mqw_exchange_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct telling t = {.probe = p, .line = line, .out = out};

	/* Whichever tag it has: the first lines may have been taken for those of IIS alone. */
	if (!line->columns)
		return MQW_LINE_FOREIGN;
	switch (line->columns->log) {
	case MQW_WINDOWS_TRACKING:
		return mqw_exchange_tracking_line(p, line, out);
	case MQW_WINDOWS_MSGTRK:
		return mqw_exchange_msgtrk_line(p, line, out);
	case MQW_WINDOWS_SMTP_SEND:
		return mqw_exchange_send_line(p, line, out);
	case MQW_WINDOWS_W3C:
	case MQW_WINDOWS_NCSA:
	case MQW_WINDOWS_IIS:
		return mqw_windows_smtp_line(&p->sessions, line, tell_answer, &t);
	case MQW_WINDOWS_NONE:
	case MQW_WINDOWS_OTHER:
		break;
	}
	return MQW_LINE_DULL;
}
