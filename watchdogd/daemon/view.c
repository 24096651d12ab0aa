/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon shows of itself: status, messages in trouble, one message. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/api/api.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/daemon/engine_internal.h"
#include "watchdogd/daemon/mailroot.h"
#include "watchdogd/daemon/totals.h"
#include "watchdogd/ledger/outbox.h"
#include "watchdogd/track/verdict_json.h"

#define ACTIONS_SHOWN 10
#define ALERTS_SHOWN 20
#define ACTIONS_SEARCHED 1000

/* Open messages, and how many of their recipients are in trouble. */
static void count_messages(struct mqw_tracker *t, uint64_t *ret_open, uint64_t *ret_trouble)
{
	*ret_open = *ret_trouble = 0;
	for (const struct mqw_message *m = mqw_tracker_next(t, NULL); m;
		m = mqw_tracker_next(t, m)) {
		*ret_open += m->queued && m->closed_at == MQW_TIME_NONE;
		*ret_trouble += mqw_verdict_is_trouble((enum mqw_verdict)m->reported);
		for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
			*ret_trouble += mqw_verdict_is_trouble((enum mqw_verdict)r->reported);
	}
}

/* Since the ledger was begun: see mqw_tracker_totals. */
static json_t *totals_json(const struct mqw_totals *s, const struct mqw_tracker_totals *t)
{
	json_t *verdicts = json_object();
	uint64_t recipients = 0;

	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++) {
		recipients += t->verdicts[v];
		json_object_set_new(verdicts, mqw_verdict_name((enum mqw_verdict)v),
			json_integer((json_int_t)t->verdicts[v]));
	}
	return json_pack("{s:o,s:I,s:I,s:I,s:I,s:o}", "since",
		mqw_json_time(s->now[MQW_TOTAL_SINCE]), "lines",
		(json_int_t)s->now[MQW_TOTAL_LINES], "unparsed",
		(json_int_t)s->now[MQW_TOTAL_UNPARSED], "messages", (json_int_t)t->messages,
		"recipients", (json_int_t)recipients, "verdicts", verdicts);
}

/* What is seen of an Exchange or IIS host's folders; null where none are looked at. */
static json_t *mailroot_json(const struct mqw_mailroot *m)
{
	struct mqw_mailroot_state s;

	if (!m)
		return json_null();
	s = mqw_mailroot_state(m);
	return json_pack("{s:o,s:o,s:I,s:o,s:I,s:o,s:I,s:I}", "looked_at",
		mqw_json_time(s.looked_at), "cannot_be_read", mqw_json_text_or_null(s.why), "queue",
		(json_int_t)s.queue, "queue_oldest", mqw_json_time(s.queue_oldest), "pickup",
		(json_int_t)s.pickup, "pickup_oldest", mqw_json_time(s.pickup_oldest), "badmail",
		(json_int_t)s.badmail, "stuck", (json_int_t)s.stuck);
}

static json_t *instance_json(const struct mqw_instance *i)
{
	struct mqw_instance_status s = mqw_instance_status(i);
	uint64_t open, trouble;

	count_messages(mqw_instance_parts(i)->tracker, &open, &trouble);
	return json_pack("{s:o,s:s,s:o,s:o,s:b,s:I,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:o,s:o}", "name",
		mqw_json_text_or_null(s.name), "mta", s.mta, "log", mqw_json_text_or_null(s.log),
		"queue", mqw_json_text_or_null(s.queue), "caught_up", s.caught_up, "lines",
		(json_int_t)s.lines, "unparsed", (json_int_t)s.unparsed, "queue_files",
		(json_int_t)s.queue_files, "last_line", mqw_json_time(s.last_line), "open",
		(json_int_t)open, "trouble", (json_int_t)trouble, "not_followed",
		(json_int_t)s.dropped, "recipients_ignored", (json_int_t)s.ignored, "mailroot",
		mailroot_json(s.mailroot), "totals",
		totals_json(s.totals, mqw_tracker_totals(mqw_instance_parts(i)->tracker)));
}

static json_t *action_json(const struct mqw_action_record *a)
{
	return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:o}", "id", (json_int_t)a->id,
		"kind", mqw_json_text_or_null(a->kind), "rule", mqw_json_text_or_null(a->rule),
		"instance", mqw_json_text_or_null(a->instance), "queue_id",
		mqw_json_text_or_null(a->queue_id), "recipients",
		mqw_json_text_or_null(a->recipients), "cause", mqw_json_text_or_null(a->cause),
		"detail", mqw_json_text_or_null(a->detail), "state",
		mqw_action_state_name(a->state), "intended", mqw_json_time(a->intended_at), "ended",
		mqw_json_time(a->ended_at));
}

struct actions {
	json_t *list;
	struct mqw_slice queue_id; /* of these only; ptr NULL: all */
	int64_t id; /* this one only; 0: all */
};

static int add_action(void *ctx, const struct mqw_action_record *record)
{
	struct actions *a = ctx;

	if ((!a->id || a->id == record->id) &&
		(!a->queue_id.ptr || mqw_slice_eq(mqw_slice_of(record->queue_id), a->queue_id)))
		json_array_append_new(a->list, action_json(record));
	return 0;
}

static json_t *actions_json(struct mqw_engine *e, struct mqw_slice queue_id, uint32_t limit)
{
	struct actions a = {.list = json_array(), .queue_id = queue_id};

	if (a.list)
		mqw_ledger_each_action(e->ledger, false, limit, add_action, &a);
	return a.list;
}

static int add_alert(void *ctx, const struct mqw_outbox_record *r)
{
	json_t *a = json_pack("{s:I,s:o,s:o,s:o,s:s,s:I,s:o,s:o,s:I,s:o}", "id", (json_int_t)r->id,
		"channel", mqw_json_text_or_null(r->channel), "rule",
		mqw_json_text_or_null(r->rule), "instance", mqw_json_text_or_null(r->instance),
		"state", mqw_outbox_state_name(r->state), "findings", (json_int_t)r->findings,
		"since", mqw_json_time(r->opened_at), "due", mqw_json_time(r->due_at), "attempts",
		(json_int_t)r->attempts, "detail", mqw_json_text_or_null(r->detail));

	return json_array_append_new(ctx, a) == 0 ? 0 : -ENOMEM;
}

/* What waits to be sent, the next one first. */
static json_t *outbox_json(struct mqw_engine *e)
{
	json_t *list = json_array();

	if (list)
		mqw_ledger_outbox_each_due(e->ledger, INT64_MAX, 0, ALERTS_SHOWN, add_alert, list);
	return list;
}

static json_t *on_status(void *ctx)
{
	struct mqw_engine *e = ctx;
	struct mqw_helper_tally tally = mqw_act_helper_tally(e->act);
	json_t *instances = json_array();

	for (size_t i = 0; i < e->instance_count; i++)
		json_array_append_new(instances, instance_json(e->instances[i]));
	return json_pack("{s:s,s:s,s:b,s:o,s:{s:I,s:I},s:o,s:o,s:o}", "version", MQW_VERSION,
		"mode", e->mode == MQW_MODE_ACT ? "act" : "observe", "config_faulty",
		e->config_faulty, "started", mqw_json_time(e->started), "helper", "asked",
		(json_int_t)tally.asked, "refused", (json_int_t)tally.refused, "instances",
		instances, "alerts", outbox_json(e), "actions",
		actions_json(e, MQW_SLICE_NULL, ACTIONS_SHOWN));
}

static void add_recipients(json_t *list, struct mqw_act *act, struct mqw_instance *i,
	const struct mqw_message *m, enum mqw_verdict wanted, uint64_t limit)
{
	const struct mqw_act_instance *parts = mqw_instance_parts(i);
	const struct mqw_verdict_origin origin = {.mta = parts->probe->name,
		.instance = parts->name,
		.source_name = mqw_instance_source_name,
		.ctx = i};

	/* Of a message whose recipients no line named there is still something to say. */
	const struct mqw_recipient stand_in = {
		.first_attempt = MQW_TIME_NONE, .last_attempt = MQW_TIME_NONE};

	if (mqw_instance_is_others(i, m))
		return;
	for (const struct mqw_recipient *r = m->recipients ? m->recipients : &stand_in;
		r && json_array_size(list) < limit; r = r->next) {
		struct mqw_judgement j = mqw_tracker_judge(parts->tracker, m, r);
		bool fits = wanted == MQW_VERDICT_COUNT ? mqw_verdict_is_trouble(j.verdict)
							: !wanted || j.verdict == wanted;

		if (fits && wanted == MQW_VERDICT_COUNT &&
			mqw_act_is_acked(act, parts, m, j.verdict))
			fits = false;
		if (fits && (r != &stand_in || j.verdict != MQW_VERDICT_NONE))
			json_array_append_new(list, mqw_verdict_json(&origin, m, r, &j));
	}
}

static json_t *on_list(void *ctx, const struct mqw_api_query *q)
{
	struct mqw_engine *e = ctx;
	json_t *list = json_array();
	bool known = q->instance.len == 0;

	for (size_t i = 0; i < e->instance_count; i++) {
		const struct mqw_act_instance *parts = mqw_instance_parts(e->instances[i]);

		if (q->instance.len && !mqw_slice_eq(q->instance, mqw_slice_of(parts->name)))
			continue;
		known = true;
		for (const struct mqw_message *m = mqw_tracker_next(parts->tracker, NULL);
			m && json_array_size(list) < q->limit;
			m = mqw_tracker_next(parts->tracker, m))
			add_recipients(list, e->act, e->instances[i], m, q->verdict, q->limit);
	}
	if (!known) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:o}", "messages", list);
}

static json_t *on_show(void *ctx, struct mqw_slice queue_id)
{
	struct mqw_engine *e = ctx;
	json_t *list = json_array(), *actions;

	for (size_t i = 0; i < e->instance_count; i++) {
		const struct mqw_message *m = mqw_tracker_find(
			mqw_instance_parts(e->instances[i])->tracker, MQW_SLICE_NULL, queue_id);

		for (; m; m = m->earlier)
			add_recipients(
				list, e->act, e->instances[i], m, MQW_VERDICT_NONE, UINT64_MAX);
	}
	actions = actions_json(e, queue_id, ACTIONS_SEARCHED);
	if (json_array_size(list) == 0 && json_array_size(actions) == 0) {
		json_decref(list);
		json_decref(actions);
		return NULL;
	}
	return json_pack("{s:o,s:o}", "messages", list, "actions", actions);
}

static json_t *on_action(void *ctx, int64_t id)
{
	struct mqw_engine *e = ctx;
	struct actions a = {.list = json_array(), .id = id};
	json_t *one = NULL;

	if (a.list)
		mqw_ledger_each_action(e->ledger, false, ACTIONS_SEARCHED, add_action, &a);
	if (json_array_size(a.list))
		one = json_incref(json_array_get(a.list, 0));
	json_decref(a.list);
	return one;
}

/* The instance that is named, or else the only one that has the message, or the only one at all. */
static struct mqw_instance *find_instance(
	struct mqw_engine *e, const struct mqw_api_act *q, const char **ret_fault)
{
	struct mqw_instance *found = NULL;

	*ret_fault = NULL;
	if (q->instance.len && !mqw_config_instance(e->config, q->instance))
		*ret_fault = "instance: there is none of this name";
	for (size_t i = 0; i < e->instance_count; i++) {
		const struct mqw_act_instance *parts = mqw_instance_parts(e->instances[i]);

		if (q->instance.len && !mqw_slice_eq(q->instance, mqw_slice_of(parts->name)))
			continue;
		if (q->queue_id.len &&
			!mqw_tracker_find(parts->tracker, MQW_SLICE_NULL, q->queue_id))
			continue;
		if (found) {
			*ret_fault = "several instances have a message of this queue id: name one";
			return NULL;
		}
		found = e->instances[i];
	}
	return found;
}

static json_t *on_act(void *ctx, const struct mqw_api_act *q, const char **ret_fault)
{
	struct mqw_engine *e = ctx;
	struct mqw_instance *i = find_instance(e, q, ret_fault);
	char *queue_id = mqw_slice_dup(q->queue_id);
	struct mqw_by_hand_request request = {
		.queue_id = queue_id, .dry_run = q->dry_run, .uid = q->uid};
	json_t *answer = NULL;
	int what = 0;

	while (what < MQW_BY_HAND_COUNT &&
		!mqw_slice_eq(q->what, mqw_slice_of(mqw_by_hand_name((enum mqw_by_hand)what))))
		what++;
	request.what = (enum mqw_by_hand)what;
	if (what == MQW_BY_HAND_COUNT ||
		(q->queue_id.len != 0) != (request.what != MQW_BY_HAND_RESTART)) {
		*ret_fault = "there is no such action";
	} else if (!i && !*ret_fault) {
		/* An answer as any other: what was settled is forgotten soon. */
		answer = json_pack("{s:s,s:s,s:n}", "result", "refused", "text",
			"no message of this queue id is followed: it was never here, or was "
			"settled more than a minute ago",
			"action");
	} else if (i && queue_id) {
		answer = mqw_act_by_hand(e->act,
			(struct mqw_act_instance *)(uintptr_t)mqw_instance_parts(i), &request,
			mqw_clock_now());
	}
	free(queue_id);
	return answer;
}

/* Besides root: nobody where no group is configured, or it does not exist. */
static gid_t operators_of(const struct mqw_config *c)
{
	char buffer[16384];
	struct group group, *found = NULL;

	if (!c->operators)
		return MQW_API_NO_GROUP;
	if (getgrnam_r(c->operators, &group, buffer, sizeof(buffer), &found) == 0 && found)
		return group.gr_gid;
	mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
		"operators: there is no group \"%s\": only root may act by hand", c->operators);
	return MQW_API_NO_GROUP;
}

int mqw_engine_open_api(struct mqw_engine *e)
{
	const struct mqw_api_ops ops = {.status = on_status,
		.list = on_list,
		.show = on_show,
		.action = on_action,
		.act = on_act,
		.operators = operators_of(e->config),
		.ctx = e};
	int r = mqw_api_open(e->event, e->config->control_socket, &ops, &e->api);

	if (r < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL, "the control socket %s: %s",
			e->config->control_socket, strerror(-r));
	return r;
}

void mqw_engine_close_api(struct mqw_engine *e)
{
	e->api = mqw_api_close(e->api);
}
