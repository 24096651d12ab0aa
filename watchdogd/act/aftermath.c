/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a restart has set free: messages that went out, that were returned late, that did not move.
 * Until it is said the ledger has it, as {"more": N, "messages": [[ID, FIRST_SEEN, FATE], ...]}. It is
 * said once: to each channel under a key of its own, to the journal, and then it is forgotten.
 */
#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/act/internal.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/ledger/aftermath.h"

#define LIMIT (5 * MQW_MINUTE)
#define MESSAGES_MAX 200 /* looked after; there may be more */
#define NAMED_MAX 10

/* The numbers stand in the ledger. */
enum fate { WAITS, WENT_OUT, RETURNED, OTHERWISE, FATE_COUNT };

static const struct {
	const char *words;
	const char *key; /* of the alert's list of them */
} fates[FATE_COUNT] = {
	[WAITS] = {"did not move", "did_not_move"},
	[WENT_OUT] = {"went out", "went_out"},
	[RETURNED] = {"returned to the sender late", "returned_late"},
	[OTHERWISE] = {"settled otherwise", "settled_otherwise"},
};

/* As it is said. */
static const enum fate order[FATE_COUNT] = {WENT_OUT, RETURNED, OTHERWISE, WAITS};

struct stuck {
	char *queue_id; /* owned */
	int64_t first_seen;
	enum fate fate;
};

struct mqw_aftermath {
	struct mqw_aftermath *next;
	char *instance, *rule; /* owned */
	int64_t id; /* of the action */
	int64_t ended; /* when the restart was done; MQW_TIME_NONE: not yet */
	bool restored; /* nobody has looked since it came out of the ledger */
	bool said; /* and the ledger could not forget it yet */
	struct stuck stuck[MESSAGES_MAX];
	size_t count, more;
};

static struct mqw_aftermath *aftermath_free(struct mqw_aftermath *f)
{
	for (size_t i = 0; f && i < f->count; i++)
		free(f->stuck[i].queue_id);
	if (f) {
		free(f->instance);
		free(f->rule);
	}
	free(f);
	return NULL;
}

static struct mqw_aftermath *aftermath_create(int64_t id, const char *instance, const char *rule)
{
	struct mqw_aftermath *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->id = id;
	f->ended = MQW_TIME_NONE;
	f->instance = mqw_slice_dup(mqw_slice_of(instance));
	f->rule = mqw_slice_dup(mqw_slice_of(rule));
	return f->instance && f->rule ? f : aftermath_free(f);
}

void mqw_aftermaths_free(struct mqw_act *a)
{
	while (a->aftermaths) {
		struct mqw_aftermath *f = a->aftermaths;

		a->aftermaths = f->next;
		aftermath_free(f);
	}
}

static void add_stuck(
	struct mqw_aftermath *f, struct mqw_slice queue_id, int64_t first_seen, enum fate fate)
{
	struct stuck *s = &f->stuck[f->count];

	if (f->count == MESSAGES_MAX) {
		f->more++;
		return;
	}
	*s = (struct stuck){mqw_slice_dup(queue_id), first_seen, fate};
	if (s->queue_id)
		f->count++;
}

static int put(struct mqw_act *a, const struct mqw_aftermath *f)
{
	json_t *messages = json_array(), *j;
	struct mqw_buffer text = {0};
	int r;

	for (size_t i = 0; i < f->count; i++)
		json_array_append_new(messages,
			json_pack("[o,I,i]", mqw_json_text(mqw_slice_of(f->stuck[i].queue_id)),
				(json_int_t)f->stuck[i].first_seen, (int)f->stuck[i].fate));
	j = json_pack("{s:I,s:o}", "more", (json_int_t)f->more, "messages", messages);
	mqw_json_add(&text, j);
	json_decref(j);
	r = !j || text.failed ? -ENOMEM
			      : mqw_ledger_put_aftermath(a->ledger, f->id, mqw_buffer_str(&text));
	mqw_buffer_done(&text);
	return r;
}

static int restore_one(void *ctx, const struct mqw_action_record *restart, const char *content)
{
	struct mqw_act *a = ctx;
	struct mqw_aftermath *f = aftermath_create(restart->id, restart->instance, restart->rule);
	json_t *j = content ? json_loads(content, JSON_ALLOW_NUL, NULL) : NULL;
	const json_t *messages = json_object_get(j, "messages");

	for (size_t i = 0; f && i < json_array_size(messages); i++) {
		const json_t *m = json_array_get(messages, i), *id = json_array_get(m, 0);
		json_int_t fate = json_integer_value(json_array_get(m, 2));

		add_stuck(f, mqw_slice(json_string_value(id), json_string_length(id)),
			json_integer_value(json_array_get(m, 1)),
			fate >= 0 && fate < FATE_COUNT ? (enum fate)fate : OTHERWISE);
	}
	if (f) {
		f->more = (size_t)json_integer_value(json_object_get(j, "more"));
		f->ended = restart->ended_at;
		f->restored = true;
		f->next = a->aftermaths;
		a->aftermaths = f;
	}
	json_decref(j);
	return 0;
}

void mqw_aftermath_restore(struct mqw_act *a)
{
	if (mqw_ledger_each_aftermath(a->ledger, restore_one, a) < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
			"what became of messages after the last restart of a service cannot be "
			"read in the ledger (%s) and will not be said",
			mqw_ledger_error(a->ledger));
}

/* What a restart may set free. A report that went to the sender, wrong as it is, is out. */
static bool is_stuck(enum mqw_verdict v)
{
	return v == MQW_VERDICT_VANISHED || v == MQW_VERDICT_OVERDUE;
}

static bool has_stuck(const struct mqw_act_instance *i, const struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (is_stuck(mqw_tracker_judge(i->tracker, m, r).verdict))
			return true;
	return false;
}

/* Without room in the ledger it is known to this process alone. */
void mqw_aftermath_begin(struct mqw_act *a, const struct mqw_call *c)
{
	const struct mqw_act_instance *i = c->instance;
	struct mqw_aftermath *f = aftermath_create(c->id, i->name, c->rule);

	if (!f)
		return;
	for (const struct mqw_message *m = mqw_tracker_next(i->tracker, NULL); m;
		m = mqw_tracker_next(i->tracker, m))
		if (has_stuck(i, m))
			add_stuck(f, mqw_slice_of(m->queue_id), m->first_seen, WAITS);
	f->next = a->aftermaths;
	a->aftermaths = f;
	if (f->count)
		put(a, f);
}

static struct mqw_aftermath **place_of(struct mqw_act *a, int64_t id)
{
	struct mqw_aftermath **p = &a->aftermaths;

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

void mqw_aftermath_end(struct mqw_act *a, const struct mqw_call *c, bool restarted, int64_t now)
{
	struct mqw_aftermath **p = place_of(a, c->id), *f = *p;

	if (!f)
		return;
	f->ended = now;
	if (restarted)
		return;
	mqw_ledger_put_aftermath(a->ledger, f->id, NULL);
	*p = f->next;
	aftermath_free(f);
}

void mqw_aftermath_concluded(struct mqw_act *a, const struct mqw_call *c, int64_t now)
{
	struct mqw_aftermath *f = *place_of(a, c->id);

	if (f && f->ended == MQW_TIME_NONE)
		f->ended = now;
}

/* A message counts as out only when it is so for all; one wrong report is enough to be named. */
static enum fate fate_of(const struct mqw_act_instance *i, const struct mqw_message *m)
{
	enum fate fate = WENT_OUT;

	if (!m)
		return OTHERWISE;
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		enum mqw_verdict v = mqw_tracker_judge(i->tracker, m, r).verdict;

		if (is_stuck(v) || v == MQW_VERDICT_PENDING)
			return WAITS;
		if (v == MQW_VERDICT_BOUNCED || v == MQW_VERDICT_EXPIRED ||
			v == MQW_VERDICT_FALSE_NDR)
			fate = RETURNED;
		else if (v != MQW_VERDICT_DELIVERED && v != MQW_VERDICT_HANDED_OFF &&
			fate == WENT_OUT)
			fate = OTHERWISE;
	}
	return fate;
}

/* It will be forgotten, by the tracker and by the ledger. */
void mqw_aftermath_farewell(
	struct mqw_act *a, const struct mqw_act_instance *i, const struct mqw_message *m)
{
	for (struct mqw_aftermath *f = a->aftermaths; f; f = f->next) {
		bool changed = false;

		if (strcmp(f->instance, i->name) != 0)
			continue;
		for (size_t n = 0; n < f->count; n++) {
			struct stuck *s = &f->stuck[n];

			if (s->fate != WAITS || s->first_seen != m->first_seen ||
				strcmp(s->queue_id, m->queue_id) != 0)
				continue;
			s->fate = fate_of(i, m);
			changed = true;
		}
		if (changed)
			put(a, f);
	}
}

static void add_names(struct mqw_buffer *b, const struct mqw_aftermath *f, enum fate fate)
{
	size_t named = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (f->stuck[i].fate != fate)
			continue;
		if (named == NAMED_MAX) {
			mqw_buffer_add_str(b, ", ...");
			break;
		}
		mqw_buffer_add_str(b, named++ ? ", " : " (");
		mqw_buffer_add_printable(b, mqw_slice_of(f->stuck[i].queue_id));
	}
	mqw_buffer_add_str(b, named ? ")" : "");
}

/* "2 went out (ID, ID); 1 did not move (ID)": names only where they are wanted. */
static void add_counts(struct mqw_buffer *b, const struct mqw_aftermath *f,
	const size_t counts[FATE_COUNT], const char *separator, bool names)
{
	bool begun = false;

	for (size_t i = 0; i < FATE_COUNT; i++) {
		if (!counts[order[i]])
			continue;
		mqw_buffer_printf(b, "%s%zu %s", begun ? separator : "", counts[order[i]],
			fates[order[i]].words);
		if (names)
			add_names(b, f, order[i]);
		begun = true;
	}
	if (f->more)
		mqw_buffer_printf(b, "%s%zu more were not looked after", separator, f->more);
}

static void add_sentence(struct mqw_buffer *b, const struct mqw_aftermath *f,
	const size_t counts[FATE_COUNT], const char *advice)
{
	mqw_buffer_printf(b,
		"after the restart of %s, of %zu messages that were stuck: ", f->instance,
		f->count + f->more);
	add_counts(b, f, counts, "; ", true);
	if (counts[WAITS] == f->count)
		mqw_buffer_printf(b, ". The service was not what held them%s%s", advice ? ". " : "",
			advice ? advice : "");
}

/* What a channel gets. Only the lists and the sentence have a stranger's words in them. */
static json_t *finding_json(const struct mqw_aftermath *f, const size_t counts[FATE_COUNT],
	const struct mqw_act_instance *i, const char *sentence)
{
	struct mqw_buffer summary = {0};
	json_t *j;

	mqw_buffer_printf(&summary, "after the restart of %s: ", f->instance);
	add_counts(&summary, f, counts, ", ", false);
	j = json_pack("{s:s,s:o,s:s,s:o,s:I,s:I,s:o,s:o}", "type", "restart", "instance",
		mqw_json_text(mqw_slice_of(f->instance)), "mta", i->probe->name, "summary",
		mqw_json_text(mqw_buffer_slice(&summary)), "action", (json_int_t)f->id, "stuck",
		(json_int_t)(f->count + f->more), "reason", mqw_json_text(mqw_slice_of(sentence)),
		"remedy",
		counts[WAITS] ? mqw_json_text_or_null(i->probe->restart_advice) : json_null());
	for (size_t n = 0; n < FATE_COUNT; n++)
		json_object_set_new(j, fates[order[n]].key, json_array());
	for (size_t n = 0; n < f->count; n++)
		json_array_append_new(json_object_get(j, fates[f->stuck[n].fate].key),
			mqw_json_text(mqw_slice_of(f->stuck[n].queue_id)));
	mqw_buffer_done(&summary);
	return j;
}

static const struct mqw_rule *find_rule(const struct mqw_act *a, const char *name)
{
	for (size_t i = 0; a->rules && i < mqw_rules_count(a->rules); i++)
		if (strcmp(mqw_rule_name(mqw_rules_get(a->rules, i)), name) == 0)
			return mqw_rules_get(a->rules, i);
	return NULL;
}

/*
 * To whom the rule tells what it found, as it is written now. After a restart by hand nobody has
 * asked for more than the journal. 0, or what the outbox says: then not all have it.
 */
static int tell_channels(
	struct mqw_act *a, const struct mqw_aftermath *f, const char *content, int64_t now)
{
	const struct mqw_rule *rule = find_rule(a, f->rule);
	size_t count = 0;
	const struct mqw_action *actions = rule ? mqw_rule_actions(rule, &count) : NULL;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct mqw_buffer key = {0};

		if (actions[i].kind != MQW_ACTION_ALERT ||
			!mqw_outbox_takes(a->outbox, actions[i].alert))
			continue;
		mqw_buffer_printf(&key, "aftermath/%s/%lld", actions[i].alert, (long long)f->id);
		r = key.failed ? -ENOMEM
			       : mqw_outbox_put(a->outbox,
					 &(struct mqw_outbox_finding){.channel = actions[i].alert,
						 .rule = f->rule,
						 .instance = f->instance,
						 .key = mqw_buffer_str(&key),
						 .verdict = "restart",
						 .content = content,
						 .apart = true},
					 now);
		mqw_buffer_done(&key);
	}
	return r < 0 ? r : 0;
}

/* False: not all have it yet. */
static bool say(struct mqw_act *a, const struct mqw_aftermath *f, const size_t counts[FATE_COUNT],
	const struct mqw_act_instance *i, int64_t now)
{
	bool helped = counts[WENT_OUT] > 0 && !counts[WAITS], said = false;
	struct mqw_buffer text = {0}, content = {0};
	json_t *j;

	add_sentence(&text, f, counts, i->probe->restart_advice);
	j = finding_json(f, counts, i, mqw_buffer_str(&text));
	mqw_json_add(&content, j);
	if (j && !text.failed && !content.failed &&
		tell_channels(a, f, mqw_buffer_str(&content), now) == 0)
		said = mqw_alert_send(&(struct mqw_alert){.kind = MQW_ALERT_ACTION,
			.priority = helped ? LOG_NOTICE : LOG_ERR,
			.text = mqw_buffer_str(&text),
			.instance = i->name,
			.mta = i->probe->name,
			.rule = f->rule,
			.action = mqw_action_name(MQW_ACTION_RESTART)});
	json_decref(j);
	mqw_buffer_done(&text);
	mqw_buffer_done(&content);
	return said;
}

/* Whether the fate of one became known. */
static bool count_fates(
	struct mqw_aftermath *f, const struct mqw_act_instance *i, size_t counts[FATE_COUNT])
{
	bool changed = false;

	for (size_t n = 0; n < f->count; n++) {
		struct stuck *s = &f->stuck[n];

		/* Once it is settled it is soon forgotten. */
		if (s->fate == WAITS) {
			s->fate = fate_of(i, mqw_act_message(i, s->queue_id, s->first_seen));
			changed = changed || s->fate != WAITS;
		}
		counts[s->fate]++;
	}
	return changed;
}

/* True when it is over. */
static bool look(
	struct mqw_act *a, struct mqw_aftermath *f, const struct mqw_act_instance *i, int64_t now)
{
	size_t counts[FATE_COUNT] = {0};

	/* While the daemon was away nobody read what came of it. */
	if (f->restored && f->ended != MQW_TIME_NONE && f->ended < now)
		f->ended = now;
	f->restored = f->restored && f->ended == MQW_TIME_NONE;
	if (!f->said && count_fates(f, i, counts))
		put(a, f);
	if (!f->said && (f->ended == MQW_TIME_NONE || (counts[WAITS] && now - f->ended < LIMIT)))
		return false;
	if (!f->said && f->count && !say(a, f, counts, i, now))
		return false;
	f->said = true;
	return !f->count || mqw_ledger_put_aftermath(a->ledger, f->id, NULL) == 0;
}

void mqw_aftermath_look(struct mqw_act *a, const struct mqw_act_instance *i, int64_t now)
{
	struct mqw_aftermath **p = &a->aftermaths;

	while (*p) {
		struct mqw_aftermath *f = *p;

		if (strcmp(f->instance, i->name) != 0 || !look(a, f, i, now)) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		aftermath_free(f);
	}
}
