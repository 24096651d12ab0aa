/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verdicts on their way out of the tracker: to the journal, the history and the rules. */
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/instance_internal.h"

static bool say(struct mqw_instance *i, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	bool trouble = mqw_verdict_is_trouble(j->verdict);
	struct mqw_buffer text = {0};
	bool said;

	if (trouble)
		mqw_buffer_printf(&text, "%s (%s)", mqw_verdict_name(j->verdict),
			mqw_confidence_name(j->confidence));
	else
		mqw_buffer_printf(&text, "no longer %s, now %s", mqw_verdict_name(previous),
			mqw_verdict_name(j->verdict));
	mqw_buffer_printf(&text, ": message %s", m->queue_id);
	if (m->sender)
		mqw_buffer_printf(&text, " from <%s>", m->sender);
	if (r->address)
		mqw_buffer_printf(&text, " to <%s>", r->address);
	mqw_buffer_printf(&text, ": %s.", j->reason);
	if (trouble && j->remedy)
		mqw_buffer_printf(&text, " %s", j->remedy);
	said = !text.failed &&
		mqw_alert_send(
			&(struct mqw_alert){.kind = trouble ? MQW_ALERT_FINDING : MQW_ALERT_SETTLED,
				.priority = trouble ? LOG_WARNING : LOG_NOTICE,
				.text = mqw_buffer_str(&text),
				.instance = i->act.name,
				.mta = i->act.probe->name,
				.message = m,
				.recipient = r,
				.judgement = j});
	mqw_buffer_done(&text);
	return said;
}

void mqw_instance_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	struct mqw_instance *i = ctx;
	struct mqw_act_context context = {.act = i->host.act, .instance = &i->act};
	const struct mqw_finding finding = {.instance = i->act.name,
		.mta = i->act.probe->name,
		.message = m,
		.recipient = r,
		.judgement = j,
		.time = mqw_clock_now()};
	struct mqw_wish **begun;

	if (mqw_instance_is_others(i, m))
		return;
	if (mqw_verdict_is_trouble(j->verdict) || mqw_verdict_is_trouble(previous)) {
		if (!say(i, m, r, j, previous)) {
			mqw_tracker_not_told(i->act.tracker);
			return;
		}
		mqw_ledger_add_verdict(i->host.ledger, i->act.name, finding.time, m, r, j);
	}
	if (i->history ||
		(mqw_verdict_is_trouble(j->verdict) &&
			mqw_act_is_acked(i->host.act, &i->act, m, j->verdict)))
		return;
	begun = mqw_act_begin(i->host.act);
	mqw_rules_match(*i->host.rules, &finding, mqw_act_fire, &context);
	if (!mqw_act_end(i->host.act, begun))
		mqw_tracker_not_told(i->act.tracker);
}

void mqw_instance_tell(struct mqw_instance *i)
{
	if (i->telling)
		return;
	i->telling = true;
	mqw_tracker_hold(i->act.tracker, false);
	i->history = false;
}

void mqw_instance_gap(void *ctx, const struct mqw_event *gap)
{
	struct mqw_instance *i = ctx;
	struct mqw_buffer text = {0};

	mqw_buffer_add_str(&text, "the log is incomplete from ");
	mqw_time_format(&text, gap->from);
	mqw_buffer_add_str(&text, " to ");
	mqw_time_format(&text, gap->to);
	mqw_buffer_add_str(&text, ": ");
	mqw_buffer_add(&text, gap->reply);
	mqw_buffer_add_str(&text, "; silence in this time proves nothing");
	mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name, "%s", mqw_buffer_str(&text));
	mqw_buffer_done(&text);
}

void mqw_instance_forget(void *ctx, const struct mqw_message *m)
{
	struct mqw_instance *i = ctx;
	struct mqw_slice id = mqw_slice_of(m->queue_id);

	if (m->kept && i->host.act)
		mqw_act_farewell(i->host.act, &i->act, m, mqw_clock_now());
	if (m->kept)
		mqw_instance_forget_kept(i, m->number);
	if (m->kept && i->queue)
		mqw_queue_watch_forget(i->queue, id);
	/* Of a message that never waited there is a copy only where copies of all are kept. */
	if (i->act.vault && (m->kept || i->host.keep == MQW_KEEP_ALL) &&
		mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, id) == m) {
		int r = mqw_vault_remove(i->act.vault, id);

		mqw_vault_remove_recover(i->act.vault, id);
		mqw_vault_remove_done(i->act.vault, id);
		i->orphans = i->orphans || r < 0;
	}
}
