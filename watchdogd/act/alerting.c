/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An alert that a rule asks for: to the journal at once, and into the outbox for its channel. */
#include <errno.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/act/internal.h"

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

static int to_journal(struct mqw_act *a, const struct mqw_wish *w, const char *key, int64_t now)
{
	const struct mqw_message *m = mqw_act_message(w->instance, w->queue_id, w->first_seen);
	const struct mqw_intent intent = {.key = key, .wish = w, .recipients = w->recipient};
	struct mqw_buffer text = {0};
	enum mqw_mode mode = a->mode;
	bool sent;
	int64_t id;
	int r;

	a->mode = MQW_MODE_ACT; /* an alert changes nothing at the MTA: it is sent in any mode */
	r = mqw_act_intend(a, &intent, now, &id);
	a->mode = mode;
	if (r == 1) {
		mqw_buffer_printf(
			&text, "%s: message %s", mqw_verdict_name(w->verdict), w->queue_id);
		if (m && m->sender)
			mqw_buffer_printf(&text, " from <%s>", m->sender);
		mqw_buffer_printf(
			&text, " to <%s>: %s (rule \"%s\")", w->recipient, w->cause, w->rule);
		sent = !text.failed &&
			mqw_alert_send(&(struct mqw_alert){.kind = MQW_ALERT_RULE,
				.priority = LOG_ERR,
				.text = mqw_buffer_str(&text),
				.instance = w->instance->name,
				.mta = w->instance->probe->name,
				.rule = w->rule,
				.queue_id = w->queue_id,
				.message = m,
				.recipient = m
					? mqw_tracker_recipient(m, mqw_slice_of(w->recipient))
					: NULL,
				.cause = w->cause});
		/* An intent that stays open is told by mqw_act_resolve(). */
		if (sent)
			mqw_act_alert_said(a, id, now, "");
	}
	mqw_buffer_done(&text);
	return r < 0 && r != -EDQUOT ? r : 1;
}

/* One alert of one finding: the same one is never told twice. */
static void make_key(struct mqw_buffer *b, const char *channel, const struct mqw_wish *w)
{
	mqw_buffer_printf(b, "alert/%s/%s/%s/%s/%lld/%s/%s", channel, w->rule, w->instance->name,
		w->queue_id, (long long)w->first_seen, w->recipient, mqw_verdict_name(w->verdict));
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
	make_key(&key, "journal", w);
	if (key.failed)
		r = -ENOMEM;
	if (r >= 0)
		r = to_journal(a, w, mqw_buffer_str(&key), now);
	mqw_buffer_done(&key);
	return r;
}
