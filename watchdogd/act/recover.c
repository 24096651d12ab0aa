/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Brings a lost message back: the copy, narrowed to the recipients that are lost, is put before
 * the MTA again by the root helper. Exactly once: the intent has a key of the message; the helper
 * takes the name in the MTA's directory only when it is free; and whether an intent was carried out
 * is read from the log (the MTA names the id that it continues) and the queue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/internal.h"

#define COPY_MAX ((uint64_t)256 * 1024 * 1024)
#define NOT_CLOSED_YET (5 * MQW_SECOND)
#define PATIENCE MQW_DAY
/* The log and the helper may lag behind a death of the daemon by so much. */
#define RESOLVE_AFTER (15 * MQW_SECOND)
#define GIVE_UP_AFTER MQW_HOUR

static bool is_lost(
	struct mqw_act_instance *i, const struct mqw_message *m, const struct mqw_recipient *r)
{
	enum mqw_verdict v = mqw_tracker_judge(i->tracker, m, r).verdict;

	return r->address && (v == MQW_VERDICT_VANISHED || v == MQW_VERDICT_FALSE_NDR);
}

/* The lost recipients, one a line into list; *ret_keep (for the caller to free) points into m. */
static int gather(struct mqw_act_instance *i, const struct mqw_message *m,
	struct mqw_slice **ret_keep, size_t *ret_count, struct mqw_buffer *list)
{
	struct mqw_slice *keep = calloc(m->recipient_count + 1, sizeof(*keep));
	size_t n = 0;

	if (!keep)
		return -ENOMEM;
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		if (!is_lost(i, m, r))
			continue;
		keep[n++] = mqw_slice_of(r->address);
		mqw_buffer_printf(list, "%s\n", r->address);
	}
	*ret_keep = keep;
	*ret_count = n;
	return list->failed ? -ENOMEM : 0;
}

/* Why there is nothing to put back; NULL and the bytes in content when there is. */
static const char *prepare(struct mqw_act_instance *i, const struct mqw_message *m,
	struct mqw_buffer *content, struct mqw_buffer *list)
{
	struct mqw_slice *keep = NULL;
	size_t count = 0;
	int r;

	if (!i->vault)
		return "no copies are kept (vault: keep: none)";
	/* Whatever reported it as failed would do so again, and the sender would hear of it again. */
	if (m->former_id && (m->gave_up || !m->queue_gone))
		return "it was put back once already and was reported as failed again: its cause "
		       "has "
		       "to be mended first";
	r = mqw_vault_read_all(i->vault, mqw_slice_of(m->queue_id), COPY_MAX, content);
	if (r < 0)
		return r == -ENOENT ? "there is no copy of this message"
				    : "the copy of this message cannot be read";
	r = gather(i, m, &keep, &count, list);
	/* Where the log never named the recipients, all that the copy has to do are lost. */
	if (r == 0 && m->recipients && count == 0)
		r = -ENODATA;
	if (r == 0 && count)
		r = i->probe->keep_recipients(content->ptr, content->len, keep, count);
	free(keep);
	if (r == -ENODATA)
		return "no recipient of this message is lost any more";
	if (r < 0)
		return "the copy is no sound queue file";
	if (r == 0 && count)
		return "in the copy none of the lost recipients is still to do";
	return NULL;
}

static void on_answer(void *ctx, int error, const struct mqw_helper_answer *answer)
{
	struct mqw_call *c = ctx;
	struct mqw_act *a = c->act;

	if (error < 0) {
		/* Nobody knows: the intent stays open, and mqw_act_resolve() will look. */
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, c->instance->name,
			"recover, message %s: the helper gave no answer (%s); it is looked after",
			c->queue_id, strerror(-error));
	} else if (answer->status == MQW_HELPER_OK || answer->status == MQW_HELPER_ALREADY) {
		mqw_act_conclude(a, c, MQW_ACTION_STATE_DONE,
			answer->text[0] ? answer->text : "put back before the MTA");
		mqw_vault_remove_recover(c->instance->vault, mqw_slice_of(c->queue_id));
	} else if (answer->status == MQW_HELPER_REFUSED) {
		mqw_act_conclude(a, c, MQW_ACTION_STATE_REFUSED, answer->text);
	} else {
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, c->instance->name,
			"recover, message %s: %s; tried again in a while", c->queue_id,
			answer->text);
	}
	mqw_call_free(c);
}

void mqw_act_ask_recover(struct mqw_act *a, struct mqw_act_instance *instance, int64_t id,
	const char *rule, const char *queue_id)
{
	struct mqw_call *c = mqw_call_create(a, instance, id, MQW_ACTION_RECOVER, rule, queue_id);
	int r;

	if (!c)
		return;
	r = mqw_helper_call(a->helper, MQW_HELPER_RECOVER, instance->name, queue_id,
		MQW_HELPER_TIMEOUT, on_answer, c);
	if (r < 0) {
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, instance->name,
			"recover, message %s: the helper cannot be reached (%s); tried again in a "
			"while",
			queue_id, strerror(-r));
		mqw_call_free(c);
	}
}

int mqw_act_recover(struct mqw_act *a, struct mqw_wish *w, int64_t now)
{
	struct mqw_act_instance *i = w->instance;
	const struct mqw_message *m = mqw_act_message(i, w->queue_id, w->first_seen);
	struct mqw_buffer content = {0}, list = {0};
	struct mqw_intent intent = {.wish = w};
	const char *why;
	char key[160];
	int64_t id;
	int r = 1;

	snprintf(key, sizeof(key), "recover/%s/%s/%lld", i->name, w->queue_id,
		(long long)w->first_seen);
	/* While it is in the queue for other recipients, its name is not free. */
	if (m && !m->queue_gone && !m->removed && now - w->since < PATIENCE) {
		w->not_before = now + NOT_CLOSED_YET;
		return 0;
	}
	why = m ? prepare(i, m, &content, &list) : "the message is no longer followed";
	if (why) {
		mqw_act_refuse(a, w, key, why, now);
	} else {
		intent.key = key;
		intent.recipients = mqw_buffer_str(&list);
		r = mqw_act_intend(a, &intent, now, &id);
		if (r == 1) {
			if (mqw_vault_write_recover(i->vault, mqw_slice_of(w->queue_id),
				    mqw_buffer_slice(&content)) == 0)
				mqw_act_ask_recover(a, i, id, w->rule, w->queue_id);
		}
		r = r < 0 ? 0 : 1;
	}
	mqw_buffer_done(&content);
	mqw_buffer_done(&list);
	return r;
}

struct resolve {
	struct mqw_act *act;
	struct mqw_act_instance *instance;
	int64_t now;
};

static bool under_way(const struct mqw_act *a, int64_t id)
{
	for (const struct mqw_call *c = a->calls; c; c = c->next)
		if (c->id == id)
			return true;
	return false;
}

static void end(struct resolve *s, const struct mqw_action_record *record,
	enum mqw_action_kind kind, enum mqw_action_state state, const char *detail)
{
	struct mqw_call *c = mqw_call_create(
		s->act, s->instance, record->id, kind, record->rule, record->queue_id);

	if (!c)
		return;
	mqw_act_conclude(s->act, c, state, detail);
	mqw_call_free(c);
}

static void resolve_recover(struct resolve *s, const struct mqw_action_record *record)
{
	const struct mqw_message *m = mqw_act_message(s->instance, record->queue_id, MQW_TIME_NONE);

	if (!m)
		end(s, record, MQW_ACTION_RECOVER, MQW_ACTION_STATE_UNCLEAR,
			"the message is no longer followed");
	else if (m->successor)
		end(s, record, MQW_ACTION_RECOVER, MQW_ACTION_STATE_DONE,
			"the log shows it taken up under a new id");
	else if (m->place == MQW_PLACE_ARRIVING)
		end(s, record, MQW_ACTION_RECOVER, MQW_ACTION_STATE_DONE,
			"it waits before the MTA to be taken up");
	else if (s->now - record->intended_at > GIVE_UP_AFTER)
		end(s, record, MQW_ACTION_RECOVER, MQW_ACTION_STATE_FAILED,
			"not possible for an hour; its copy is kept");
	else
		mqw_act_ask_recover(
			s->act, s->instance, record->id, record->rule, record->queue_id);
}

static int resolve_one(void *ctx, const struct mqw_action_record *record)
{
	struct resolve *s = ctx;

	if (strcmp(record->instance, s->instance->name) != 0 || under_way(s->act, record->id) ||
		s->now - record->intended_at < RESOLVE_AFTER)
		return 0;
	if (!strcmp(record->kind, mqw_action_name(MQW_ACTION_RECOVER)))
		resolve_recover(s, record);
	else if (!strcmp(record->kind, mqw_action_name(MQW_ACTION_RESTART)))
		end(s, record, MQW_ACTION_RESTART, MQW_ACTION_STATE_UNCLEAR,
			"the watchdog ended before the answer came");
	else
		end(s, record, MQW_ACTION_FLUSH, MQW_ACTION_STATE_FAILED,
			"the watchdog ended before the answer came; it does no harm");
	return 0;
}

void mqw_act_resolve(struct mqw_act *a, struct mqw_act_instance *instance, int64_t now)
{
	struct resolve s = {.act = a, .instance = instance, .now = now};

	if (instance->caught_up)
		mqw_ledger_each_action(a->ledger, true, 1000, resolve_one, &s);
}
