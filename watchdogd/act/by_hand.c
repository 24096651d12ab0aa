/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person asks for over the control socket: the same ways, checks and ledger as for rules. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdogd/act/internal.h"
#include "watchdogd/base/json_text.h"

#define RULE "by hand"
#define AGAIN_MAX 100

static const char *const names[MQW_BY_HAND_COUNT] = {[MQW_BY_HAND_RECOVER] = "recover",
	[MQW_BY_HAND_REQUEUE] = "requeue",
	[MQW_BY_HAND_RESTART] = "restart",
	[MQW_BY_HAND_ACK] = "ack"};

static const enum mqw_action_kind kinds[MQW_BY_HAND_COUNT] = {
	[MQW_BY_HAND_RECOVER] = MQW_ACTION_RECOVER,
	[MQW_BY_HAND_REQUEUE] = MQW_ACTION_REQUEUE,
	[MQW_BY_HAND_RESTART] = MQW_ACTION_RESTART,
	[MQW_BY_HAND_ACK] = MQW_ACTION_COUNT,
};

const char *mqw_by_hand_name(enum mqw_by_hand what)
{
	return names[what];
}

static json_t *answer(const char *result, const char *text, int64_t action)
{
	json_t *j = json_pack("{s:s,s:o,s:o}", "result", result, "text",
		mqw_json_text(mqw_slice_of(text)), "action",
		action ? json_integer((json_int_t)action) : json_null());

	return j;
}

static json_t *refuse(const char *text)
{
	return answer("refused", text, 0);
}

static json_t *refuse_for_ledger(struct mqw_act *a)
{
	struct mqw_buffer b = {0};
	json_t *j;

	mqw_buffer_printf(&b, "the ledger cannot be written, so nothing is done: %s",
		mqw_ledger_error(a->ledger));
	j = refuse(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
	return j;
}

/* Why the mode or a budget forbids it; NULL when neither does. The text is in b. */
static const char *forbidden(
	struct mqw_act *a, const struct mqw_action *action, int64_t now, struct mqw_buffer *b)
{
	int r;

	if (a->mode == MQW_MODE_OBSERVE)
		return "mode is observe: nothing is done";
	r = mqw_act_over_budget(a, RULE, action, now, b);
	if (r < 0)
		mqw_buffer_printf(b, "the ledger cannot be read: %s", mqw_ledger_error(a->ledger));
	return r != 0 ? mqw_buffer_str(b) : NULL;
}

static struct mqw_action action_of(enum mqw_by_hand what)
{
	return (struct mqw_action){
		.kind = kinds[what], .budget = mqw_budget_default(kinds[what]), .alert = ""};
}

static struct mqw_wish *make_wish(struct mqw_act_instance *i, const struct mqw_by_hand_request *q,
	const struct mqw_message *m, int64_t now)
{
	struct mqw_wish *w = calloc(1, sizeof(*w));
	struct mqw_buffer cause = {0};

	if (!w)
		return NULL;
	mqw_buffer_printf(&cause, "asked for by hand, by uid %u", q->uid);
	w->instance = i;
	w->action = action_of(q->what);
	w->rule = mqw_slice_dup(MQW_LIT(RULE));
	w->recipient = mqw_slice_dup(MQW_LIT(""));
	w->cause = cause.ptr;
	w->queue_id = mqw_slice_dup(mqw_slice_of(q->queue_id));
	w->found_on = mqw_slice_dup(mqw_slice_of(q->queue_id));
	w->verdict = MQW_VERDICT_UNKNOWN;
	w->first_seen = m ? m->first_seen : now;
	/* Each request is one of its own. */
	w->last_attempt = w->not_before = w->since = now;
	if (!w->rule || !w->recipient || !w->cause || !w->queue_id || !w->found_on)
		return mqw_wish_free(w);
	return w;
}

/* What became of it at once: a record was written, or not. */
static json_t *begun(struct mqw_act *a, const char *text)
{
	if (a->last_intent)
		return answer("begun", text, a->last_intent);
	return refuse("it could not be begun now; the journal says why if it was the ledger: ask "
		      "again in a while");
}

static json_t *serve(struct mqw_act *a, struct mqw_act_instance *i,
	const struct mqw_by_hand_request *q, const struct mqw_message *m, int64_t now)
{
	struct mqw_action action = action_of(q->what);
	struct mqw_buffer b = {0};
	const char *why = forbidden(a, &action, now, &b);
	struct mqw_wish *w;
	json_t *j = NULL;

	if (q->dry_run || why) {
		if (!why)
			mqw_buffer_printf(&b, "%s of %s %s would be asked for", names[q->what],
				q->what == MQW_BY_HAND_RESTART ? "the service of" : q->queue_id,
				q->what == MQW_BY_HAND_RESTART ? i->name : "");
		j = answer(why ? "refused" : "would", why ? why : mqw_buffer_str(&b), 0);
	} else {
		w = make_wish(i, q, m, now);
		if (w) {
			a->last_intent = 0;
			mqw_act_service(a, w, now);
			mqw_act_ask_all(a);
			j = begun(a, "asked for");
		}
		mqw_wish_free(w);
	}
	mqw_buffer_done(&b);
	return j;
}

/*
 * Finds the key for one more recovery. What was begun and is not known to have come to nothing is
 * never begun again: the sentence says why. NULL and *ret_again: go on.
 */
static const char *find_turn(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_message *m, unsigned *ret_again)
{
	char key[MQW_RECOVER_KEY_SIZE];
	enum mqw_action_state state;
	int64_t id;

	for (unsigned n = 0; n < AGAIN_MAX; n++) {
		int r;

		mqw_act_recover_key(key, i, m->queue_id, n, m->first_seen);
		r = mqw_ledger_find_action(a->ledger, key, &id, &state);
		if (r < 0)
			return "the ledger cannot be read";
		*ret_again = n;
		if (r == 0)
			return NULL;
		if (state == MQW_ACTION_STATE_INTENT)
			return "its recovery is under way already";
		if (state == MQW_ACTION_STATE_DONE)
			return "it was recovered already: a second time would make a second mail";
		if (state == MQW_ACTION_STATE_UNCLEAR)
			return "it may have been recovered already, and nobody knows: look at the "
			       "log yourself; `vault export` gives the mail";
	}
	return "it was tried too often";
}

static json_t *lines_json(struct mqw_slice lines)
{
	json_t *list = json_array();
	struct mqw_slice line;

	while (mqw_slice_take_until(&lines, '\n', &line))
		json_array_append_new(list, mqw_json_text(line));
	return list;
}

static void add_how(json_t *j, const struct mqw_act_instance *i, const struct mqw_buffer *list)
{
	const struct mqw_control_ops *ops = i->probe->control;

	json_object_set_new(j, "recipients", lines_json(mqw_buffer_slice(list)));
	if (ops && ops->recover_how) {
		json_object_set_new(j, "how", json_string(ops->recover_how));
		json_object_set_new(j, "loses", json_string(ops->recover_loses));
	}
}

static json_t *begin_recovery(struct mqw_act *a, struct mqw_act_instance *i,
	const struct mqw_by_hand_request *q, const struct mqw_message *m, unsigned again, bool over,
	int64_t now)
{
	struct mqw_wish *w = make_wish(i, q, m, now);
	json_t *j;

	if (!w)
		return NULL;
	w->again = again;
	a->last_intent = 0;
	mqw_act_recover(a, w, now);
	mqw_act_ask_all(a);
	j = begun(a,
		over ? "it is put back now"
		     : "the MTA is not done with it: it is put back when it has left the queue");
	mqw_wish_free(w);
	return j;
}

static json_t *recover(struct mqw_act *a, struct mqw_act_instance *i,
	const struct mqw_by_hand_request *q, const struct mqw_message *m, int64_t now)
{
	struct mqw_action action = action_of(q->what);
	struct mqw_buffer content = {0}, list = {0}, b = {0};
	bool over = mqw_act_is_over(i, m, now);
	unsigned again = 0;
	const char *why = mqw_act_prepare(i, m, &content, &list);
	json_t *j;

	if (!why)
		why = find_turn(a, i, m, &again);
	/* What it would be is told in mode observe, too: that is what the mode is for. */
	if (!why && !(q->dry_run && a->mode == MQW_MODE_OBSERVE))
		why = forbidden(a, &action, now, &b);
	if (why) {
		j = refuse(why);
	} else if (q->dry_run) {
		mqw_buffer_printf(&b, "%s would be mailed again, to these recipients only%s%s",
			m->queue_id,
			over ? "" : ", when it has left the queue: the MTA is not done with it",
			a->mode == MQW_MODE_OBSERVE ? "; but mode is observe, in which nothing is"
						    : "");
		j = answer("would", mqw_buffer_str(&b), 0);
	} else {
		j = begin_recovery(a, i, q, m, again, over, now);
	}
	if (j && !why)
		add_how(j, i, &list);
	mqw_buffer_done(&content);
	mqw_buffer_done(&list);
	mqw_buffer_done(&b);
	return j;
}

/* A verdict counts as noted for as long as the message is as it was then. */
static void ack_key(struct mqw_buffer *b, const struct mqw_act_instance *i,
	const struct mqw_message *m, enum mqw_verdict verdict)
{
	mqw_buffer_printf(b, "ack/%s/%s/%lld/%lld/%s", i->name, m->queue_id,
		(long long)m->first_seen, (long long)m->deferred_at, mqw_verdict_name(verdict));
}

bool mqw_act_is_acked(struct mqw_act *a, const struct mqw_act_instance *instance,
	const struct mqw_message *m, enum mqw_verdict verdict)
{
	struct mqw_buffer key = {0};
	enum mqw_action_state state;
	int64_t id;
	bool known;

	ack_key(&key, instance, m, verdict);
	known = !key.failed &&
		mqw_ledger_find_action(a->ledger, mqw_buffer_str(&key), &id, &state) == 1;
	mqw_buffer_done(&key);
	return known;
}

/* The recipients that a verdict is on, one a line. */
static void add_recipients(struct mqw_buffer *b, const struct mqw_act_instance *i,
	const struct mqw_message *m, enum mqw_verdict verdict)
{
	const struct mqw_recipient nobody = {
		.first_attempt = MQW_TIME_NONE, .last_attempt = MQW_TIME_NONE};

	for (const struct mqw_recipient *r = m->recipients ? m->recipients : &nobody; r;
		r = r->next)
		if (mqw_tracker_judge(i->tracker, m, r).verdict == verdict)
			mqw_buffer_printf(b, "%s\n", r->address ? r->address : "");
}

static int write_ack(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_message *m, enum mqw_verdict verdict, const char *recipients,
	const struct mqw_by_hand_request *q, int64_t now)
{
	struct mqw_buffer key = {0}, cause = {0};
	struct mqw_action_record record = {.kind = names[MQW_BY_HAND_ACK],
		.rule = RULE,
		.instance = i->name,
		.queue_id = m->queue_id,
		.recipients = recipients,
		.intended_at = now};
	int64_t id;
	int r;

	ack_key(&key, i, m, verdict);
	mqw_buffer_printf(
		&cause, "%s was taken note of by uid %u", mqw_verdict_name(verdict), q->uid);
	record.key = mqw_buffer_str(&key);
	record.cause = mqw_buffer_str(&cause);
	r = key.failed || cause.failed ? -ENOMEM : mqw_ledger_intend(a->ledger, &record, &id);
	if (r == 1)
		r = mqw_ledger_conclude(a->ledger, id, MQW_ACTION_STATE_DONE, now, "");
	mqw_buffer_done(&key);
	mqw_buffer_done(&cause);
	return r;
}

/* What is under way needs the copy; what is in the queue may be lost yet. */
static const char *drop_copy(
	struct mqw_act *a, struct mqw_act_instance *i, const struct mqw_message *m, int64_t now)
{
	char key[MQW_RECOVER_KEY_SIZE];
	enum mqw_action_state state = MQW_ACTION_STATE_DONE;
	int64_t id;

	mqw_act_recover_key(key, i, m->queue_id, 0, m->first_seen);
	if (!i->vault || !mqw_act_is_over(i, m, now) || m->place == MQW_PLACE_QUEUED ||
		mqw_ledger_find_action(a->ledger, key, &id, &state) < 0 ||
		state == MQW_ACTION_STATE_INTENT ||
		mqw_vault_has_recover(i->vault, mqw_slice_of(m->queue_id)))
		return "";
	mqw_vault_remove(i->vault, mqw_slice_of(m->queue_id));
	return "; its copy is removed";
}

static json_t *ack(struct mqw_act *a, struct mqw_act_instance *i,
	const struct mqw_by_hand_request *q, const struct mqw_message *m, int64_t now)
{
	struct mqw_buffer text = {0}, list = {0};
	bool any = false;
	int r = 0;
	json_t *j;

	mqw_buffer_printf(&text, q->dry_run ? "would be taken note of:" : "taken note of:");
	for (int v = 0; r >= 0 && v < MQW_VERDICT_COUNT; v++) {
		enum mqw_verdict verdict = (enum mqw_verdict)v;

		mqw_buffer_clear(&list);
		if (!mqw_verdict_is_trouble(verdict))
			continue;
		add_recipients(&list, i, m, verdict);
		if (!list.len)
			continue;
		any = true;
		mqw_buffer_printf(&text, " %s", mqw_verdict_name(verdict));
		if (!q->dry_run)
			r = write_ack(a, i, m, verdict, mqw_buffer_str(&list), q, now);
	}
	if (r < 0) {
		j = refuse_for_ledger(a);
	} else if (!any) {
		j = refuse("nothing is wrong with this message");
	} else {
		if (!q->dry_run)
			mqw_buffer_add_str(&text, drop_copy(a, i, m, now));
		j = answer(q->dry_run ? "would" : "done", mqw_buffer_str(&text), 0);
	}
	mqw_buffer_done(&text);
	mqw_buffer_done(&list);
	return j;
}

json_t *mqw_act_by_hand(struct mqw_act *a, struct mqw_act_instance *instance,
	const struct mqw_by_hand_request *q, int64_t now)
{
	const struct mqw_message *m = NULL;

	if (!instance->caught_up)
		return refuse("the log is still being read: ask again in a while");
	if (q->what == MQW_BY_HAND_RESTART)
		return serve(a, instance, q, NULL, now);
	m = mqw_act_message(instance, q->queue_id, MQW_TIME_NONE);
	if (!m)
		return refuse("no message of this queue id is followed");
	if (q->what == MQW_BY_HAND_REQUEUE)
		return serve(a, instance, q, m, now);
	return q->what == MQW_BY_HAND_RECOVER ? recover(a, instance, q, m, now)
					      : ack(a, instance, q, m, now);
}
