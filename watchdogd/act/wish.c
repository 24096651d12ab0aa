/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a rule asked for, until it is begun: everything copied, since the message may go first. */
#include <stdlib.h>

#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/act/internal.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/track/verdict_json.h"

struct mqw_wish *mqw_wish_free(struct mqw_wish *w)
{
	if (!w)
		return NULL;
	free(w->rule);
	free(w->queue_id);
	free(w->found_on);
	free(w->recipient);
	free(w->cause);
	free(w->alert_channel);
	free(w->healthy_smtp);
	free(w->finding);
	free(w);
	return NULL;
}

static bool copy_texts(struct mqw_wish *w, const struct mqw_rule *rule, const struct mqw_finding *f)
{
	const struct mqw_action *action = &w->action;

	w->rule = mqw_slice_dup(mqw_slice_of(mqw_rule_name(rule)));
	w->queue_id = mqw_slice_dup(mqw_slice_of(f->message->queue_id));
	w->found_on = mqw_slice_dup(mqw_slice_of(f->message->queue_id));
	w->recipient = mqw_slice_dup(mqw_slice_of(f->recipient->address));
	w->cause = mqw_slice_dup(mqw_slice_of(f->judgement->reason));
	w->alert_channel = mqw_slice_dup(mqw_slice_of(action->alert));
	if (action->healthy_smtp)
		w->healthy_smtp = mqw_slice_dup(mqw_slice_of(action->healthy_smtp));
	return w->rule && w->queue_id && w->found_on && w->recipient && w->cause &&
		w->alert_channel && (!action->healthy_smtp || w->healthy_smtp);
}

/* The finding as it stands now: what an alert tells is what the rule saw. */
static bool copy_finding(struct mqw_wish *w, const struct mqw_finding *f)
{
	const struct mqw_verdict_origin origin = {.mta = w->instance->probe->name,
		.instance = w->instance->name,
		.source_name = w->instance->source_name,
		.ctx = w->instance->source_ctx};
	json_t *j = mqw_verdict_json(&origin, f->message, f->recipient, f->judgement);
	struct mqw_buffer b = {0};

	mqw_json_add(&b, j);
	json_decref(j);
	if (b.failed)
		mqw_buffer_done(&b);
	w->finding = b.ptr;
	return w->finding != NULL;
}

struct mqw_wish *mqw_wish_create(struct mqw_act *a, struct mqw_act_instance *instance,
	const struct mqw_action *action, const struct mqw_rule *rule, const struct mqw_finding *f)
{
	struct mqw_wish *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->instance = instance;
	w->action = *action;
	w->verdict = f->judgement->verdict;
	w->first_seen = f->message->first_seen;
	w->last_attempt = f->recipient->last_attempt;
	w->not_before = w->since = f->time;
	if (!copy_texts(w, rule, f) ||
		(action->kind == MQW_ACTION_ALERT && mqw_outbox_takes(a->outbox, action->alert) &&
			!copy_finding(w, f)))
		return mqw_wish_free(w);
	return w;
}
