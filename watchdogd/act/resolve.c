/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intents without a result: those that wait for their time, those that the helper did not answer,
 * and those that were under way when the daemon ended. What became of them is looked for in the log
 * and the queue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/internal.h"

/* The log and the helper may lag behind a death of the daemon by so much. */
#define RESOLVE_AFTER (15 * MQW_SECOND)
#define GIVE_UP_AFTER MQW_HOUR
#define OPEN_MAX 100000 /* looked after in one go; the newest come first */
#define TAKEN_UP "the log shows it taken up under a new id"
#define PATIENCE MQW_DAY /* with a message that stays in the queue for others */

struct resolve {
	struct mqw_act *act;
	struct mqw_act_instance *instance;
	int64_t now;
};

static struct mqw_call *call_of(const struct mqw_act *a, int64_t id)
{
	for (struct mqw_call *c = a->calls; c; c = c->next)
		if (c->id == id)
			return c;
	return NULL;
}

static void end(struct resolve *s, const struct mqw_action_record *record,
	enum mqw_action_kind kind, enum mqw_action_state state, const char *detail)
{
	struct mqw_call *c = mqw_call_create(
		s->act, s->instance, record->id, kind, record->rule, record->queue_id);
	int r;

	if (!c)
		return;
	r = mqw_act_conclude(s->act, c, state, detail);
	/* Without its files an intent that stays open would pass for one that was never begun. */
	if (kind == MQW_ACTION_RECOVER && (r == 0 || r == -ENOENT))
		mqw_act_forget_files(s->instance, c->queue_id);
	mqw_call_free(c);
}

static void end_recover(struct resolve *s, const struct mqw_action_record *record,
	enum mqw_action_state state, const char *detail)
{
	end(s, record, MQW_ACTION_RECOVER, state, detail);
}

/* The life of the id that the intent is about: its key ends with when that was first seen. */
static struct mqw_message *message_of(struct resolve *s, const struct mqw_action_record *record)
{
	const char *slash = strrchr(record->key, '/');
	long long first_seen = slash ? strtoll(slash + 1, NULL, 10) : 0;

	return mqw_act_message(s->instance, record->queue_id, first_seen);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Nothing is known to be lost any more, and that is only because the log has a gap. */
static bool is_doubtful(const struct resolve *s, const struct mqw_message *m)
{
	bool doubtful = false;

	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		enum mqw_verdict v = mqw_tracker_judge(s->instance->tracker, m, r).verdict;

		if (mqw_verdict_is_trouble(v))
			return false;
		doubtful = doubtful || v == MQW_VERDICT_UNKNOWN;
	}
	return doubtful;
}

/*
 * Who is lost and was not told of yet has to be found first: once he is put back nobody would find him,
 * and the other actions that a rule has for him would not be done.
 */
static bool is_told(const struct resolve *s, const struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		enum mqw_verdict v = mqw_tracker_judge(s->instance->tracker, m, r).verdict;

		if (mqw_verdict_is_trouble(v) && r->reported != v)
			return false;
	}
	return true;
}

static void put_back(struct resolve *s, const struct mqw_action_record *record,
	const struct mqw_message *m, int64_t since)
{
	const char *why;

	if (s->now - since > GIVE_UP_AFTER) {
		end_recover(s, record, MQW_ACTION_STATE_FAILED,
			"not possible for an hour; its copy is kept");
	} else if (is_doubtful(s, m)) {
		end_recover(s, record, MQW_ACTION_STATE_UNCLEAR,
			"the log is incomplete since: whether it is still lost is not known");
	} else if (s->act->mode == MQW_MODE_ACT && is_told(s, m)) {
		why = mqw_act_put_back(s->act, s->instance, m, record->id, record->rule);
		if (why)
			end_recover(s, record, MQW_ACTION_STATE_REFUSED, why);
	}
}

/* The file for recovery is there: the helper may have been asked, and may have done it. */
static void look_after_asking(struct resolve *s, const struct mqw_action_record *record,
	const struct mqw_message *m, int64_t since)
{
	if (s->now - record->intended_at < RESOLVE_AFTER)
		return;
	if (m->place == MQW_PLACE_ARRIVING) {
		end_recover(
			s, record, MQW_ACTION_STATE_DONE, "it waits before the MTA to be taken up");
	} else if (mqw_tracker_has_gap(s->instance->tracker, record->intended_at, s->now)) {
		end_recover(s, record, MQW_ACTION_STATE_UNCLEAR,
			"the log is incomplete since: whether it was taken up is not known");
	} else if (mqw_act_is_over(s->instance, m, s->now)) {
		put_back(s, record, m, since);
	}
}

/* Whether the helper left word that it is done, and for this intent: ids are used again. */
static bool helper_was_done(const struct resolve *s, const struct mqw_action_record *record)
{
	int64_t at = s->instance->vault
		? mqw_vault_done_at(s->instance->vault, mqw_slice_of(record->queue_id))
		: MQW_TIME_NONE;

	return at != MQW_TIME_NONE && at >= record->intended_at - MQW_SECOND;
}

/*
 * The helper is being asked, perhaps not for the first time, and the log has the answer already: the
 * helper's own comes too late to be one. The message may be forgotten by then.
 */
static void overtake(
	struct resolve *s, struct mqw_call *call, const struct mqw_action_record *record)
{
	const struct mqw_message *m = message_of(s, record);

	if (call->kind != MQW_ACTION_RECOVER || call->detail[0] || call->overtaken || !m ||
		!m->successor)
		return;
	call->overtaken = true;
	end_recover(s, record, MQW_ACTION_STATE_DONE, TAKEN_UP);
}

static void resolve_recover(struct resolve *s, const struct mqw_action_record *record)
{
	const struct mqw_message *m = message_of(s, record);
	int64_t since;

	if (helper_was_done(s, record)) {
		end_recover(s, record, MQW_ACTION_STATE_DONE, "the helper had put it back");
		return;
	}
	if (!m) {
		end_recover(
			s, record, MQW_ACTION_STATE_UNCLEAR, "the message is no longer followed");
		return;
	}
	if (m->successor) {
		end_recover(s, record, MQW_ACTION_STATE_DONE, TAKEN_UP);
		return;
	}
	since = later(record->intended_at, later(m->gone_at, m->closed_at));
	if (s->instance->vault &&
		mqw_vault_has_recover(s->instance->vault, mqw_slice_of(record->queue_id))) {
		look_after_asking(s, record, m, since);
	} else if (mqw_act_is_over(s->instance, m, s->now)) {
		put_back(s, record, m, since);
	} else if (s->now - record->intended_at > PATIENCE) {
		end_recover(s, record, MQW_ACTION_STATE_REFUSED,
			"the message stays in the queue, so that its name is not free");
	}
}

static enum mqw_action_kind kind_of(const struct mqw_action_record *record)
{
	int kind = 0;

	while (kind < MQW_ACTION_COUNT &&
		strcmp(record->kind, mqw_action_name((enum mqw_action_kind)kind)) != 0)
		kind++;
	return (enum mqw_action_kind)kind;
}

struct farewell {
	struct resolve s;
	const struct mqw_message *message;
};

static int resolve_last(void *ctx, const struct mqw_action_record *record)
{
	struct farewell *f = ctx;
	struct mqw_call *call;

	if (strcmp(record->instance, f->s.instance->name) != 0 ||
		strcmp(record->queue_id, f->message->queue_id) != 0 ||
		kind_of(record) != MQW_ACTION_RECOVER || message_of(&f->s, record) != f->message)
		return 0;
	call = call_of(f->s.act, record->id);
	if (call)
		overtake(&f->s, call, record);
	else if (f->message->successor)
		end_recover(&f->s, record, MQW_ACTION_STATE_DONE, TAKEN_UP);
	else if (helper_was_done(&f->s, record))
		end_recover(&f->s, record, MQW_ACTION_STATE_DONE, "the helper had put it back");
	return 0;
}

void mqw_act_farewell(struct mqw_act *a, struct mqw_act_instance *instance,
	const struct mqw_message *m, int64_t now)
{
	struct farewell f = {.s = {.act = a, .instance = instance, .now = now}, .message = m};

	mqw_aftermath_farewell(a, instance, m);
	/* Of all others nothing is known now that was not known before: most are forgotten so. */
	if (!m->successor &&
		(!instance->vault ||
			mqw_vault_done_at(instance->vault, mqw_slice_of(m->queue_id)) ==
				MQW_TIME_NONE))
		return;
	mqw_ledger_each_action(a->ledger, true, OPEN_MAX, resolve_last, &f);
}

/* After a restart said twice is better than not at all; by one process it is said once. */
static void resolve_alert(struct resolve *s, const struct mqw_action_record *record)
{
	bool said = mqw_act_was_said(s->act, record->id);

	if (said || mqw_act_say_late(s->instance, record))
		mqw_act_alert_said(s->act, record->id, s->now, said ? "" : "said late");
}

static int resolve_one(void *ctx, const struct mqw_action_record *record)
{
	struct resolve *s = ctx;
	enum mqw_action_kind kind = kind_of(record);
	struct mqw_call *call;

	if (strcmp(record->instance, s->instance->name) != 0)
		return 0;
	call = call_of(s->act, record->id);
	if (call) {
		overtake(s, call, record);
		return 0;
	}
	if (kind == MQW_ACTION_RECOVER) {
		resolve_recover(s, record);
		return 0;
	}
	if (strcmp(record->kind, "tell_sender") == 0)
		mqw_tell_resolve(s->act, s->instance, record, s->now);
	if (s->now - record->intended_at < RESOLVE_AFTER)
		return 0;
	/* Its meaning is in its being there. */
	if (strcmp(record->kind, mqw_by_hand_name(MQW_BY_HAND_ACK)) == 0)
		mqw_ledger_conclude(s->act->ledger, record->id, MQW_ACTION_STATE_DONE, s->now, "");
	switch (kind) {
	case MQW_ACTION_ALERT:
		resolve_alert(s, record);
		break;
	case MQW_ACTION_RESTART:
		if (s->instance->remote) {
			mqw_act_finish_restart(s->act, s->instance, record);
			break;
		}
		end(s, record, kind, MQW_ACTION_STATE_UNCLEAR,
			"the watchdog ended before the answer came");
		break;
	case MQW_ACTION_REQUEUE:
	case MQW_ACTION_FLUSH:
		end(s, record, kind, MQW_ACTION_STATE_FAILED,
			"the watchdog ended before the answer came; it does no harm");
		break;
	case MQW_ACTION_RECOVER:
	case MQW_ACTION_COUNT:
		break;
	}
	return 0;
}

void mqw_act_resolve(struct mqw_act *a, struct mqw_act_instance *instance, int64_t now)
{
	struct resolve s = {.act = a, .instance = instance, .now = now};
	struct mqw_call *next;

	if (!instance->caught_up)
		return;
	for (struct mqw_call *c = a->calls; c; c = next) {
		next = c->next;
		if (c->instance == instance && c->detail[0])
			mqw_act_conclude_recover(c);
	}
	mqw_tell_again(a, now);
	mqw_aftermath_look(a, instance, now);
	mqw_ledger_each_action(a->ledger, true, OPEN_MAX, resolve_one, &s);
}
