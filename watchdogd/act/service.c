/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requeue, flush and restart: asked of the helper; after a restart, whether it helped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdogd/act/internal.h"
#include "watchdogd/act/smtp_check.h"

#define HEALTH_PAUSE_US 1000000u
#define HEALTHY_WITHIN (30 * MQW_SECOND) /* where the rule says nothing */

static void check_health(struct mqw_call *c);

static int on_pause(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqw_call *c = userdata;

	(void)usec;
	c->timer = sd_event_source_unref(source);
	check_health(c);
	return 0;
}

/* Another look in a second, or the end of patience. */
static void not_healthy(struct mqw_call *c, const char *how)
{
	struct mqw_buffer detail = {0};

	if (mqw_clock_now() < c->deadline &&
		sd_event_add_time_relative(c->act->event, &c->timer, CLOCK_MONOTONIC,
			HEALTH_PAUSE_US, 0, on_pause, c) >= 0)
		return;
	mqw_buffer_printf(&detail, "restarted, but not healthy: %s", how);
	mqw_act_conclude(c->act, c, MQW_ACTION_STATE_FAILED, mqw_buffer_str(&detail));
	mqw_buffer_done(&detail);
	mqw_call_free(c);
}

static void healthy(struct mqw_call *c, const char *how)
{
	mqw_act_conclude(c->act, c, MQW_ACTION_STATE_DONE, how);
	mqw_call_free(c);
}

static void on_greeting(void *ctx, bool greets)
{
	struct mqw_call *c = ctx;

	if (greets && c->how[0]) {
		size_t n = strlen(c->how);

		snprintf(c->how + n, sizeof(c->how) - n, "; SMTP answers");
		healthy(c, c->how);
	} else if (greets)
		healthy(ctx, "restarted; service alive, SMTP answers");
	else
		not_healthy(ctx, "no SMTP greeting");
}

static void check_smtp(struct mqw_call *c)
{
	if (!c->healthy_smtp)
		healthy(c, c->how[0] ? c->how : "restarted; service alive");
	else if (mqw_smtp_check(c->act->event, c->healthy_smtp, on_greeting, c) < 0)
		not_healthy(c, "the SMTP check could not be started");
}

static void on_health(void *ctx, int error, const struct mqw_helper_answer *answer)
{
	struct mqw_call *c = ctx;

	if (error < 0)
		not_healthy(c, "the helper gave no answer");
	else if (answer->status != MQW_HELPER_OK)
		not_healthy(c, answer->text);
	else
		check_smtp(c);
}

static void check_health(struct mqw_call *c)
{
	/* That it runs was a part of restarting it. */
	if (c->instance->remote)
		check_smtp(c);
	else if (mqw_helper_call(c->act->helper, MQW_HELPER_HEALTH, c->instance->name, "",
			 MQW_HELPER_TIMEOUT, on_health, c) < 0)
		not_healthy(c, "the helper cannot be reached");
}

static void on_answer(void *ctx, int error, const struct mqw_helper_answer *answer)
{
	struct mqw_call *c = ctx;
	bool done = error == 0 &&
		(answer->status == MQW_HELPER_OK || answer->status == MQW_HELPER_ALREADY);

	c->remote = NULL;
	mqw_aftermath_end(c->act, c, done, mqw_clock_now());
	if (done && c->instance->remote)
		snprintf(c->how, sizeof(c->how), "%s", answer->text);
	if (done && c->kind == MQW_ACTION_RESTART) {
		c->deadline = mqw_clock_now() + c->healthy_within;
		check_health(c);
		return;
	}
	if (error < 0)
		mqw_act_conclude(c->act, c,
			c->kind == MQW_ACTION_RESTART ? MQW_ACTION_STATE_UNCLEAR
						      : MQW_ACTION_STATE_FAILED,
			strerror(-error));
	else
		mqw_act_conclude(c->act, c,
			done                                           ? MQW_ACTION_STATE_DONE
				: answer->status == MQW_HELPER_REFUSED ? MQW_ACTION_STATE_REFUSED
								       : MQW_ACTION_STATE_FAILED,
			answer->text[0] ? answer->text : "asked for");
	mqw_call_free(c);
}

void mqw_act_ask_service(struct mqw_call *c)
{
	static const enum mqw_helper_op ops[MQW_ACTION_COUNT] = {
		[MQW_ACTION_REQUEUE] = MQW_HELPER_REQUEUE,
		[MQW_ACTION_FLUSH] = MQW_HELPER_FLUSH,
		[MQW_ACTION_RESTART] = MQW_HELPER_RESTART,
	};
	bool remote = c->instance->remote && c->kind == MQW_ACTION_RESTART;
	int r;

	if (c->kind == MQW_ACTION_RESTART)
		mqw_aftermath_begin(c->act, c);
	if (remote) {
		r = mqw_remote_begin(c->act->event, c->instance->remote, MQW_REMOTE_RESTART,
			on_answer, c, &c->remote);
	} else {
		r = mqw_helper_call(c->act->helper, ops[c->kind], c->instance->name,
			c->kind == MQW_ACTION_REQUEUE ? c->queue_id : "",
			c->kind == MQW_ACTION_RESTART ? MQW_HELPER_TIMEOUT_RESTART
						      : MQW_HELPER_TIMEOUT,
			on_answer, c);
	}
	if (r < 0) {
		/* Nothing was sent. */
		mqw_aftermath_end(c->act, c, false, mqw_clock_now());
		mqw_act_conclude(c->act, c, MQW_ACTION_STATE_FAILED,
			remote ? "no process could be started for it"
			       : "the helper cannot be reached");
		mqw_call_free(c);
	}
}

static void ask_later(struct mqw_act *a, struct mqw_wish *w, int64_t id)
{
	struct mqw_call *c =
		mqw_call_create(a, w->instance, id, w->action.kind, w->rule, w->queue_id);

	if (!c)
		return;
	c->unasked = true;
	c->first_seen = w->first_seen;
	c->healthy_smtp = w->healthy_smtp;
	w->healthy_smtp = NULL;
	c->healthy_within = w->action.healthy_within ? w->action.healthy_within : HEALTHY_WITHIN;
}

static void on_finished(void *ctx, int error, const struct mqw_helper_answer *answer)
{
	struct mqw_call *c = ctx;
	enum mqw_action_state state = MQW_ACTION_STATE_UNCLEAR;
	struct mqw_buffer detail = {0};

	c->remote = NULL;
	if (error == 0 && answer->status == MQW_HELPER_OK)
		state = MQW_ACTION_STATE_DONE;
	else
		mqw_buffer_add_str(&detail, "the watchdog ended before the answer came; ");
	mqw_buffer_add_str(&detail, error < 0 ? strerror(-error) : answer->text);
	mqw_act_conclude(c->act, c, state, mqw_buffer_str(&detail));
	mqw_buffer_done(&detail);
	mqw_call_free(c);
}

void mqw_act_finish_restart(
	struct mqw_act *a, struct mqw_act_instance *i, const struct mqw_action_record *record)
{
	struct mqw_call *c = mqw_call_create(
		a, i, record->id, MQW_ACTION_RESTART, record->rule, record->queue_id);

	/* Otherwise it is found again at the next look. */
	if (c &&
		mqw_remote_begin(
			a->event, i->remote, MQW_REMOTE_FINISH, on_finished, c, &c->remote) < 0)
		mqw_call_free(c);
}

/* One that is found again, after a death that came before it was kept, asks for nothing new. */
static void make_key(struct mqw_buffer *b, const struct mqw_wish *w)
{
	mqw_buffer_printf(b, "%s/", mqw_action_name(w->action.kind));
	/* Once for each state of being stuck: the next attempt makes another. */
	if (w->action.kind == MQW_ACTION_REQUEUE)
		mqw_buffer_printf(b, "%s/%s/%lld/%lld", w->instance->name, w->queue_id,
			(long long)w->first_seen, (long long)w->last_attempt);
	else
		mqw_buffer_printf(b, "%s/%s/%s/%lld/%lld/%s/%s", w->rule, w->instance->name,
			w->found_on, (long long)w->first_seen, (long long)w->last_attempt,
			w->recipient, mqw_verdict_name(w->verdict));
}

int mqw_act_service(struct mqw_act *a, struct mqw_wish *w, int64_t now)
{
	struct mqw_intent intent = {.wish = w, .recipients = ""};
	struct mqw_buffer key = {0};
	int64_t id;
	int r;

	make_key(&key, w);
	if (w->action.kind == MQW_ACTION_REQUEUE)
		intent.recipients = w->recipient;
	else
		w->queue_id[0] = '\0'; /* it is about the service, not about one message */
	intent.key = mqw_buffer_str(&key);
	r = key.failed ? -ENOMEM : mqw_act_intend(a, &intent, now, &id);
	mqw_buffer_done(&key);
	if (r == 1)
		ask_later(a, w, id);
	return r < 0 && r != -EDQUOT ? 0 : 1;
}
