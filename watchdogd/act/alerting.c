/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An alert that a rule asks for: to the journal at once, and into the outbox for its channel. */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/act/internal.h"

#define JOURNAL "journal" /* where each alert is told, whatever its channel */

bool mqw_act_was_said(const struct mqw_act *a, int64_t id)
{
	size_t count = a->said_count < MQW_ACT_SAID ? a->said_count : MQW_ACT_SAID;

	for (size_t i = 0; i < count; i++)
		if (a->said[i] == id)
			return true;
	return false;
}

void mqw_act_alert_said(struct mqw_act *a, int64_t id, int64_t now, const char *detail)
{
	if (mqw_ledger_conclude(a->ledger, id, MQW_ACTION_STATE_DONE, now, detail) < 0 &&
		!mqw_act_was_said(a, id))
		a->said[a->said_count++ % MQW_ACT_SAID] = id;
}

/* What an alert says, when it is due as after a restart. */
struct words {
	const char *verdict, *rule, *queue_id, *recipient, *cause;
	int64_t first_seen; /* of the message */
};

/* False when memory was out for a part of it. */
static bool say(const struct mqw_act_instance *i, const struct words *w)
{
	const struct mqw_message *m = mqw_act_message(i, w->queue_id, w->first_seen);
	struct mqw_buffer text = {0};
	bool sent;

	mqw_buffer_printf(&text, "%s: message %s", w->verdict, w->queue_id);
	if (m && m->sender)
		mqw_buffer_printf(&text, " from <%s>", m->sender);
	mqw_buffer_printf(&text, " to <%s>: %s (rule \"%s\")", w->recipient, w->cause, w->rule);
	sent = !text.failed &&
		mqw_alert_send(&(struct mqw_alert){.kind = MQW_ALERT_RULE,
			.priority = LOG_ERR,
			.text = mqw_buffer_str(&text),
			.instance = i->name,
			.mta = i->probe->name,
			.rule = w->rule,
			.queue_id = w->queue_id,
			.message = m,
			.recipient =
				m ? mqw_tracker_recipient(m, mqw_slice_of(w->recipient)) : NULL,
			.cause = w->cause});
	mqw_buffer_done(&text);
	return sent;
}

static int to_journal(struct mqw_act *a, const struct mqw_wish *w, const char *key, int64_t now)
{
	const struct mqw_intent intent = {.key = key, .wish = w, .recipients = w->recipient};
	const struct words words = {.verdict = mqw_verdict_name(w->verdict),
		.rule = w->rule,
		.queue_id = w->queue_id,
		.recipient = w->recipient,
		.cause = w->cause,
		.first_seen = w->first_seen};
	enum mqw_mode mode = a->mode;
	int64_t id;
	int r;

	a->mode = MQW_MODE_ACT; /* an alert changes nothing at the MTA: it is sent in any mode */
	r = mqw_act_intend(a, &intent, now, &id);
	a->mode = mode;
	/* An intent that stays open is told by mqw_act_resolve(). */
	if (r == 1 && say(w->instance, &words))
		mqw_act_alert_said(a, id, now, "");
	return r < 0 && r != -EDQUOT ? r : 1;
}

/* Which alert of which finding, in front of when its message was seen first. */
static void begin_key(struct mqw_buffer *b, const char *channel, const char *rule,
	const char *instance, const char *queue_id)
{
	mqw_buffer_printf(b, "alert/%s/%s/%s/%s/", channel, rule, instance, queue_id);
}

/* One alert of one finding: the same one is never told twice. */
static void make_key(struct mqw_buffer *b, const char *channel, const struct mqw_wish *w)
{
	begin_key(b, channel, w->rule, w->instance->name, w->queue_id);
	mqw_buffer_printf(b, "%lld/%s/%s", (long long)w->first_seen, w->recipient,
		mqw_verdict_name(w->verdict));
}

bool mqw_act_say_late(const struct mqw_act_instance *i, const struct mqw_action_record *record)
{
	struct words words = {.verdict = strrchr(record->key, '/'),
		.rule = record->rule,
		.queue_id = record->queue_id,
		.recipient = record->recipients,
		.cause = record->cause};
	struct mqw_slice rest = mqw_slice_of(record->key);
	struct mqw_buffer head = {0};
	uint64_t first_seen;
	bool sent;

	begin_key(&head, JOURNAL, record->rule, record->instance, record->queue_id);
	/* A key that is none of these, as of another version: the message that is there now. */
	words.first_seen = mqw_slice_skip(&rest, mqw_buffer_slice(&head)) &&
			mqw_slice_take_u64(&rest, &first_seen) && first_seen <= INT64_MAX
		? (int64_t)first_seen
		: MQW_TIME_NONE;
	words.verdict = words.verdict ? words.verdict + 1 : record->key;
	sent = !head.failed && say(i, &words);
	mqw_buffer_done(&head);
	return sent;
}

/*
 * The budget is the journal's: the outbox has its own way of keeping many findings from becoming
 * many alerts, and counts each.
 */
int mqw_act_alert(struct mqw_act *a, const struct mqw_wish *w, int64_t now)
{
	struct mqw_buffer key = {0};
	int r = 0;

	make_key(&key, w->alert_channel, w);
	if (w->finding && !key.failed)
		r = mqw_outbox_put(a->outbox,
			&(struct mqw_outbox_finding){.channel = w->alert_channel,
				.rule = w->rule,
				.instance = w->instance->name,
				.key = mqw_buffer_str(&key),
				.verdict = mqw_verdict_name(w->verdict),
				.content = w->finding},
			now);
	/* The journal is told once, however many channels the rule names. */
	mqw_buffer_clear(&key);
	make_key(&key, JOURNAL, w);
	if (key.failed)
		r = -ENOMEM;
	if (r >= 0)
		r = to_journal(a, w, mqw_buffer_str(&key), now);
	mqw_buffer_done(&key);
	return r;
}
