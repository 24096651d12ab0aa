/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a restart has set free: messages that went out, that were returned late, that did not move. */
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/internal.h"

#define LIMIT (5 * MQW_MINUTE)
#define MESSAGES_MAX 200 /* looked after; there may be more */
#define NAMED_MAX 10

enum fate { WAITS, WENT_OUT, RETURNED, OTHERWISE, FATE_COUNT };

struct stuck {
	char *queue_id; /* owned */
	int64_t first_seen;
	enum fate fate;
};

struct mqw_aftermath {
	struct mqw_aftermath *next;
	const struct mqw_act_instance *instance;
	char *rule; /* owned */
	int64_t id; /* of the action */
	int64_t ended; /* when the restart was done; MQW_TIME_NONE: not yet */
	struct stuck stuck[MESSAGES_MAX];
	size_t count, more;
};

static void aftermath_free(struct mqw_aftermath *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->stuck[i].queue_id);
	free(f->rule);
	free(f);
}

void mqw_aftermaths_free(struct mqw_act *a)
{
	while (a->aftermaths) {
		struct mqw_aftermath *f = a->aftermaths;

		a->aftermaths = f->next;
		aftermath_free(f);
	}
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

void mqw_aftermath_begin(struct mqw_act *a, const struct mqw_call *c)
{
	struct mqw_aftermath *f = calloc(1, sizeof(*f));

	if (!f)
		return;
	f->instance = c->instance;
	f->id = c->id;
	f->ended = MQW_TIME_NONE;
	f->rule = mqw_slice_dup(mqw_slice_of(c->rule));
	for (const struct mqw_message *m = mqw_tracker_next(f->instance->tracker, NULL); m;
		m = mqw_tracker_next(f->instance->tracker, m)) {
		struct stuck *s = &f->stuck[f->count];

		if (!has_stuck(f->instance, m))
			continue;
		if (f->count == MESSAGES_MAX) {
			f->more++;
			continue;
		}
		s->queue_id = mqw_slice_dup(mqw_slice_of(m->queue_id));
		s->first_seen = m->first_seen;
		if (s->queue_id)
			f->count++;
	}
	f->next = a->aftermaths;
	a->aftermaths = f;
}

void mqw_aftermath_end(struct mqw_act *a, const struct mqw_call *c, bool restarted, int64_t now)
{
	struct mqw_aftermath **p = &a->aftermaths, *f;

	while (*p && (*p)->id != c->id)
		p = &(*p)->next;
	f = *p;
	if (!f)
		return;
	f->ended = now;
	if (restarted)
		return;
	*p = f->next;
	aftermath_free(f);
}

/* A message counts as out only when it is so for all; one wrong report is enough to be named. */
static enum fate fate_of(const struct mqw_act_instance *i, const struct stuck *s)
{
	const struct mqw_message *m = mqw_act_message(i, s->queue_id, s->first_seen);
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
		mqw_buffer_add_str(b, f->stuck[i].queue_id);
	}
	mqw_buffer_add_str(b, named ? ")" : "");
}

static void add_summary(
	struct mqw_buffer *b, const struct mqw_aftermath *f, const size_t counts[FATE_COUNT])
{
	static const char *const words[FATE_COUNT] = {[WENT_OUT] = "went out",
		[RETURNED] = "returned to the sender late",
		[WAITS] = "did not move",
		[OTHERWISE] = "settled otherwise"};
	static const enum fate order[] = {WENT_OUT, RETURNED, OTHERWISE, WAITS};
	const char *advice = f->instance->probe->restart_advice;
	const char *separator = "";

	mqw_buffer_printf(b,
		"after the restart of %s, of %zu messages that were stuck: ", f->instance->name,
		f->count + f->more);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!counts[order[i]])
			continue;
		mqw_buffer_printf(b, "%s%zu %s", separator, counts[order[i]], words[order[i]]);
		add_names(b, f, order[i]);
		separator = "; ";
	}
	if (f->more)
		mqw_buffer_printf(b, "; %zu more were not looked after", f->more);
	if (counts[WAITS] == f->count)
		mqw_buffer_printf(b, ". The service was not what held them%s%s", advice ? ". " : "",
			advice ? advice : "");
}

static void say(const struct mqw_aftermath *f, const size_t counts[FATE_COUNT])
{
	bool helped = counts[WENT_OUT] > 0 && !counts[WAITS];
	struct mqw_buffer text = {0};

	add_summary(&text, f, counts);
	mqw_alert_send(&(struct mqw_alert){.kind = MQW_ALERT_ACTION,
		.priority = helped ? LOG_NOTICE : LOG_ERR,
		.text = mqw_buffer_str(&text),
		.instance = f->instance->name,
		.mta = f->instance->probe->name,
		.rule = f->rule,
		.action = mqw_action_name(MQW_ACTION_RESTART)});
	mqw_buffer_done(&text);
}

/* True when it is over. */
static bool look(struct mqw_aftermath *f, int64_t now)
{
	size_t counts[FATE_COUNT] = {0};

	for (size_t i = 0; i < f->count; i++) {
		struct stuck *s = &f->stuck[i];

		/* Once it is settled it is soon forgotten. */
		if (s->fate == WAITS)
			s->fate = fate_of(f->instance, s);
		counts[s->fate]++;
	}
	if (f->ended == MQW_TIME_NONE || (counts[WAITS] && now - f->ended < LIMIT))
		return false;
	if (f->count)
		say(f, counts);
	return true;
}

void mqw_aftermath_look(struct mqw_act *a, const struct mqw_act_instance *i, int64_t now)
{
	struct mqw_aftermath **p = &a->aftermaths;

	while (*p) {
		struct mqw_aftermath *f = *p;

		if (f->instance != i || !look(f, now)) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		aftermath_free(f);
	}
}
