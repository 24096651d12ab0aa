/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/act.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/act/alerts/sender.h"
#include "watchdogd/act/internal.h"

#define WISHES_LATER (5 * MQW_SECOND) /* after the ledger refused */

static int on_send(void *ctx, int64_t id, const struct mqw_alert_config *c, const json_t *notice)
{
	struct mqw_act *a = ctx;

	return mqw_sender_send(a->sender, id, c, notice);
}

static void on_sent(void *ctx, int64_t id, const struct mqw_delivery *d)
{
	struct mqw_act *a = ctx;

	if (id < 0)
		mqw_tell_answered(a, -id, d);
	else
		mqw_outbox_answered(a->outbox, id, d, mqw_clock_now());
}

static bool open_outbox(struct mqw_act *a)
{
	const struct mqw_outbox_ops ops = {.send = on_send, .ctx = a};
	char host[MQW_NOTICE_HOST_MAX + 1];

	mqw_notice_host(host);
	a->outbox = mqw_outbox_create(a->ledger, host, &ops);
	a->sender = mqw_sender_create(a->event, on_sent, a);
	return a->outbox && a->sender;
}

struct mqw_act *mqw_act_create(
	sd_event *event, struct mqw_ledger *ledger, const char *helper_socket)
{
	struct mqw_act *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->event = event;
	a->ledger = ledger;
	a->last_wish = &a->wishes;
	a->helper = mqw_helper_client_create(event, helper_socket);
	if (!a->helper || !open_outbox(a))
		return mqw_act_free(a);
	mqw_aftermath_restore(a);
	return a;
}

static struct mqw_message *found_on(const struct mqw_wish *w)
{
	return mqw_act_message(w->instance, w->found_on, w->first_seen);
}

/* Takes a wish that is dealt with out of the list. */
static void end_wish(struct mqw_wish **at)
{
	struct mqw_wish *w = *at;
	struct mqw_message *m = w->waited ? found_on(w) : NULL;

	if (m && m->waiting) {
		m->waiting--;
		mqw_tracker_mark_dirty(w->instance->tracker, m);
	}
	*at = w->next;
	mqw_wish_free(w);
}

struct mqw_act *mqw_act_free(struct mqw_act *a)
{
	struct mqw_call *next;

	if (!a)
		return NULL;
	mqw_helper_client_free(a->helper);
	mqw_sender_free(a->sender); /* hands its last answers to the outbox */
	mqw_outbox_free(a->outbox);
	mqw_tells_free(a);
	mqw_aftermaths_free(a);
	for (struct mqw_call *c = a->calls; c; c = next) {
		next = c->next;
		mqw_call_free(c);
	}
	while (a->wishes)
		end_wish(&a->wishes);
	free(a);
	return NULL;
}

struct mqw_helper_tally mqw_act_helper_tally(const struct mqw_act *a)
{
	return mqw_helper_client_tally(a->helper);
}

void mqw_act_set_mode(struct mqw_act *a, enum mqw_mode mode)
{
	a->mode = mode;
}

void mqw_act_set_rules(struct mqw_act *a, const struct mqw_rules *rules)
{
	a->rules = rules;
}

void mqw_act_set_alerts(struct mqw_act *a, const struct mqw_config *c)
{
	mqw_outbox_set_channels(a->outbox, c->alerts, c->alert_count);
}

void mqw_act_send_alerts(struct mqw_act *a, int64_t now)
{
	mqw_outbox_tick(a->outbox, now);
}

struct mqw_call *mqw_call_create(struct mqw_act *a, struct mqw_act_instance *instance, int64_t id,
	enum mqw_action_kind kind, const char *rule, const char *queue_id)
{
	struct mqw_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->act = a;
	c->instance = instance;
	c->id = id;
	c->kind = kind;
	c->rule = mqw_slice_dup(mqw_slice_of(rule));
	c->queue_id = mqw_slice_dup(mqw_slice_of(queue_id));
	c->next = a->calls;
	a->calls = c;
	if (!c->rule || !c->queue_id) {
		mqw_call_free(c);
		return NULL;
	}
	return c;
}

void mqw_call_free(struct mqw_call *c)
{
	struct mqw_call **p = &c->act->calls;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	sd_event_source_unref(c->timer);
	mqw_remote_cancel(c->remote);
	free(c->rule);
	free(c->queue_id);
	free(c->healthy_smtp);
	free(c);
}

struct mqw_message *mqw_act_message(
	const struct mqw_act_instance *instance, const char *queue_id, int64_t first_seen)
{
	struct mqw_message *m =
		mqw_tracker_find(instance->tracker, MQW_SLICE_NULL, mqw_slice_of(queue_id));

	while (m && first_seen != MQW_TIME_NONE && m->first_seen != first_seen)
		m = m->earlier;
	return m;
}

void mqw_act_fire(void *context, const struct mqw_rule *rule, const struct mqw_finding *f)
{
	struct mqw_act_context *c = context;
	size_t count;
	const struct mqw_action *actions = mqw_rule_actions(rule, &count);

	for (size_t i = 0; i < count; i++) {
		struct mqw_wish *w = mqw_wish_create(c->act, c->instance, &actions[i], rule, f);

		if (!w) {
			c->act->out_of_memory = true;
			return;
		}
		*c->act->last_wish = w;
		c->act->last_wish = &w->next;
	}
}

struct mqw_wish **mqw_act_begin(struct mqw_act *a)
{
	a->out_of_memory = false;
	return a->last_wish;
}

bool mqw_act_end(struct mqw_act *a, struct mqw_wish **begun)
{
	if (!a->out_of_memory)
		return true;
	while (*begun)
		end_wish(begun);
	a->last_wish = begun;
	return false;
}

int mqw_act_over_budget(struct mqw_act *a, const char *rule, const struct mqw_action *action,
	int64_t now, struct mqw_buffer *ret_why)
{
	const struct mqw_budget *b = &action->budget;
	uint32_t count;
	int64_t last;
	int r = mqw_ledger_count_actions(
		a->ledger, rule, mqw_action_name(action->kind), now - b->per, &count, &last);

	if (r < 0)
		return r;
	if (count >= b->at_most) {
		mqw_buffer_printf(ret_why, "the budget of %u in ", b->at_most);
		mqw_span_format(ret_why, b->per);
		mqw_buffer_add_str(ret_why, " is used up");
		return 1;
	}
	if (b->cooldown && last != MQW_TIME_NONE && now - last < b->cooldown) {
		mqw_buffer_add_str(ret_why, "the cooldown of ");
		mqw_span_format(ret_why, b->cooldown);
		mqw_buffer_add_str(ret_why, " is not over");
		return 1;
	}
	return 0;
}

static int write_intent(struct mqw_act *a, const struct mqw_wish *w, const char *key,
	const char *recipients, int64_t now, int64_t *ret_id)
{
	const struct mqw_action_record record = {.key = key,
		.kind = mqw_action_name(w->action.kind),
		.rule = w->rule,
		.instance = w->instance->name,
		.queue_id = w->queue_id,
		.recipients = recipients,
		.cause = w->cause,
		.detail = "",
		.intended_at = now,
		.ended_at = MQW_TIME_NONE};
	int r;

	r = mqw_ledger_intend(a->ledger, &record, ret_id);
	if (r == 1)
		a->last_intent = *ret_id;
	return r;
}

static void say(const struct mqw_wish *w, int priority, const char *what, const char *detail)
{
	struct mqw_buffer text = {0};

	mqw_buffer_printf(&text, "%s %s", mqw_action_name(w->action.kind), what);
	if (w->queue_id[0])
		mqw_buffer_printf(&text, ", message %s", w->queue_id);
	mqw_buffer_printf(&text, " (rule \"%s\"): %s", w->rule, detail);
	mqw_alert_send(&(struct mqw_alert){.kind = MQW_ALERT_ACTION,
		.priority = priority,
		.text = mqw_buffer_str(&text),
		.instance = w->instance->name,
		.mta = w->instance->probe->name,
		.rule = w->rule,
		.action = mqw_action_name(w->action.kind),
		.queue_id = w->queue_id,
		.cause = w->cause});
	mqw_buffer_done(&text);
}

void mqw_act_refuse(
	struct mqw_act *a, const struct mqw_wish *w, const char *key, const char *why, int64_t now)
{
	int64_t id;

	if (write_intent(a, w, key, "", now, &id) <= 0)
		return;
	mqw_ledger_conclude(a->ledger, id, MQW_ACTION_STATE_REFUSED, now, why);
	say(w, LOG_WARNING, "not done", why);
}

int mqw_act_intend(struct mqw_act *a, const struct mqw_intent *i, int64_t now, int64_t *ret_id)
{
	const struct mqw_wish *w = i->wish;
	struct mqw_buffer why = {0};
	char key[200];
	int r = mqw_act_over_budget(a, w->rule, &w->action, now, &why);

	if (r > 0) {
		if (w->action.kind == MQW_ACTION_ALERT)
			mqw_buffer_add_str(&why,
				"; each finding stands in the journal, and a channel gets all of "
				"them in its digests");
		/* One word a window is enough. */
		snprintf(key, sizeof(key), "budget/%s/%s/%s/%lld", mqw_action_name(w->action.kind),
			w->rule, w->instance->name, (long long)(now / w->action.budget.per));
		mqw_act_refuse(a, w, key, mqw_buffer_str(&why), now);
		r = -EDQUOT;
	} else if (r == 0) {
		r = write_intent(a, w, i->key, i->recipients, now, ret_id);
		if (r == 1 && a->mode == MQW_MODE_OBSERVE) {
			mqw_ledger_conclude(a->ledger, *ret_id, MQW_ACTION_STATE_OBSERVED, now,
				"mode is observe: nothing was done");
			say(w, LOG_NOTICE, "would be done", w->cause);
			r = 0;
		}
	}
	mqw_buffer_done(&why);
	return r;
}

static void say_result(const struct mqw_call *c, int priority, const char *text)
{
	mqw_alert_send(&(struct mqw_alert){.kind = MQW_ALERT_ACTION,
		.priority = priority,
		.text = text,
		.instance = c->instance->name,
		.mta = c->instance->probe->name,
		.rule = c->rule,
		.action = mqw_action_name(c->kind),
		.queue_id = c->queue_id});
}

int mqw_act_conclude(struct mqw_act *a, const struct mqw_call *c, enum mqw_action_state state,
	const char *detail)
{
	static const struct {
		const char *words;
		int priority;
	} how[MQW_ACTION_STATE_COUNT] = {
		[MQW_ACTION_STATE_DONE] = {"done", LOG_NOTICE},
		[MQW_ACTION_STATE_FAILED] = {"failed", LOG_ERR},
		[MQW_ACTION_STATE_REFUSED] = {"refused by the helper", LOG_ERR},
		[MQW_ACTION_STATE_UNCLEAR] = {"may or may not have been done: look yourself",
			LOG_ALERT},
	};
	/* A person is called before that is a result: after a death between the two nobody would. */
	bool first = state == MQW_ACTION_STATE_UNCLEAR;
	struct mqw_buffer text = {0};
	int r;

	mqw_buffer_printf(&text, "%s %s", mqw_action_name(c->kind), how[state].words);
	if (c->queue_id[0])
		mqw_buffer_printf(&text, ", message %s", c->queue_id);
	mqw_buffer_printf(&text, " (rule \"%s\"): %s", c->rule, detail);
	if (first)
		say_result(c, how[state].priority, mqw_buffer_str(&text));
	r = mqw_ledger_conclude(a->ledger, c->id, state, mqw_clock_now(), detail);
	mqw_aftermath_concluded(a, c, mqw_clock_now());
	if (r < 0 && r != -ENOENT)
		mqw_buffer_printf(
			&text, "; the ledger could not keep this: %s", mqw_ledger_error(a->ledger));
	if (!first)
		say_result(c, how[state].priority, mqw_buffer_str(&text));
	mqw_buffer_done(&text);
	return r;
}

static int carry_out(struct mqw_act *a, struct mqw_wish *w, int64_t now)
{
	switch (w->action.kind) {
	case MQW_ACTION_ALERT:
		return mqw_act_alert(a, w, now);
	case MQW_ACTION_RECOVER:
		return mqw_act_recover(a, w, now);
	case MQW_ACTION_REQUEUE:
	case MQW_ACTION_FLUSH:
	case MQW_ACTION_RESTART:
		return mqw_act_service(a, w, now);
	case MQW_ACTION_COUNT:
		break;
	}
	return 1;
}

static void let_wait(struct mqw_wish *w)
{
	struct mqw_message *m = w->waited ? NULL : found_on(w);

	w->waited = true;
	if (m)
		m->waiting++;
}

/* The place of the next wish. */
static struct mqw_wish **settle_wish(struct mqw_act *a, struct mqw_wish **p, int64_t now)
{
	struct mqw_wish *w = *p;

	if (w->not_before > now)
		return &w->next;
	if (carry_out(a, w, now) == 1) {
		end_wish(p);
		return p;
	}
	let_wait(w);
	if (w->not_before <= now)
		w->not_before = now + WISHES_LATER;
	return &w->next;
}

/*
 * Whether another action on the finding waits that an action on its message may be the end of. But for
 * recoveries only the ledger can be the cause of that.
 */
static bool has_company(const struct mqw_act *a, const struct mqw_call *c)
{
	for (const struct mqw_wish *w = a->wishes; w; w = w->next)
		if (w->instance == c->instance && w->first_seen == c->first_seen &&
			w->action.kind != MQW_ACTION_RECOVER && !strcmp(w->found_on, c->queue_id))
			return true;
	return false;
}

/* The newest call is the first in the list. */
static struct mqw_call *oldest_unasked(const struct mqw_act *a)
{
	struct mqw_call *oldest = NULL;

	for (struct mqw_call *c = a->calls; c; c = c->next)
		if (c->unasked && !(c->queue_id[0] && has_company(a, c)))
			oldest = c;
	return oldest;
}

void mqw_act_ask_all(struct mqw_act *a)
{
	struct mqw_call *c;

	while ((c = oldest_unasked(a))) {
		c->unasked = false;
		if (c->kind == MQW_ACTION_RECOVER)
			mqw_act_ask_recover(c);
		else
			mqw_act_ask_service(c);
	}
}

/*
 * All alerts first: what is put back is lost no more, so that after a death between the two nobody
 * would be told.
 */
void mqw_act_settle(struct mqw_act *a, int64_t now)
{
	for (int alerts = 1; alerts >= 0; alerts--) {
		struct mqw_wish **p = &a->wishes;

		while (*p)
			if (((*p)->action.kind == MQW_ACTION_ALERT) == (alerts == 1))
				p = settle_wish(a, p, now);
			else
				p = &(*p)->next;
		a->last_wish = p;
	}
	mqw_act_ask_all(a);
}

bool mqw_act_waiting(const struct mqw_act *a)
{
	return a->wishes != NULL;
}
