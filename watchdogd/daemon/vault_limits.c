/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/daemon/vault_limits.h"

#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"

#define ONE_MESSAGE_MAX ((uint64_t)256 * 1024 * 1024)
#define AGE_LOOKS 16 /* within one age */
#define AGE_LOOK_MIN (10 * MQW_SECOND)
#define AGE_LOOK_MAX (10 * MQW_MINUTE)
#define SAY_EVERY MQW_HOUR

/* A copy that may have to go. */
struct candidate {
	const struct mqw_act_instance *instance;
	char *queue_id; /* owned */
	uint64_t size;
	int64_t changed_at;
	bool settled;
};

struct round {
	struct mqw_vault_limits *limits;
	const struct mqw_act_instance *instance;
	struct candidate *list;
	size_t count, cap;
	int64_t now;
	uint64_t gone; /* unsettled ones, in this round */
	const char *why;
	const struct candidate *first;
};

void mqw_vault_limits_init(struct mqw_vault_limits *l, uint64_t size, int64_t age)
{
	*l = (struct mqw_vault_limits){.size = size,
		.age = age,
		/* One message shall not push out all the others. */
		.largest = size / 4 < ONE_MESSAGE_MAX ? size / 4 : ONE_MESSAGE_MAX,
		.looked_at = MQW_TIME_NONE,
		.said_at = MQW_TIME_NONE,
		.floor = MQW_TIME_NONE};
}

bool mqw_vault_limits_allow(const struct mqw_vault_limits *l, int64_t changed_at, int64_t now)
{
	return now - changed_at <= l->age && (l->floor == MQW_TIME_NONE || changed_at > l->floor);
}

/* Nothing is owed to anybody of this message any more, as far as is known. */
static bool is_settled(const struct mqw_act_instance *i, struct mqw_slice queue_id)
{
	const struct mqw_message *m = mqw_tracker_find(i->tracker, MQW_SLICE_NULL, queue_id);

	if (!m)
		return true;
	if (m->closed_at == MQW_TIME_NONE || m->waiting ||
		mqw_verdict_is_trouble((enum mqw_verdict)m->reported))
		return false;
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (mqw_verdict_is_trouble((enum mqw_verdict)r->reported))
			return false;
	return true;
}

static int add(void *ctx, const struct mqw_vault_entry *e)
{
	struct round *r = ctx;

	if (e->kind != MQW_VAULT_COPY)
		return 0;
	if (r->count == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 256;
		void *p = realloc(r->list, cap * sizeof(*r->list));

		if (!p)
			return -1;
		r->list = p;
		r->cap = cap;
	}
	r->list[r->count] = (struct candidate){.instance = r->instance,
		.queue_id = mqw_slice_dup(e->queue_id),
		.size = e->size,
		.changed_at = e->changed_at,
		.settled = is_settled(r->instance, e->queue_id)};
	return r->list[r->count].queue_id ? (int)(r->count++, 0) : -1;
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->settled != y->settled)
		return x->settled ? -1 : 1;
	return x->changed_at < y->changed_at ? -1 : x->changed_at > y->changed_at;
}

static void let_go(struct round *r, const struct candidate *c, const char *why)
{
	if (mqw_vault_remove(c->instance->vault, mqw_slice_of(c->queue_id)) < 0 || c->settled)
		return;
	if (r->gone++ == 0) {
		r->why = why;
		r->first = c;
	}
}

static void say(struct round *r)
{
	struct mqw_vault_limits *l = r->limits;

	l->unsaid += r->gone;
	if (!l->unsaid || (l->said_at != MQW_TIME_NONE && r->now - l->said_at < SAY_EVERY))
		return;
	if (r->first)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, r->first->instance->name,
			"the vault %s: the copies of %llu message(s) that are not settled were "
			"removed, the oldest first, that of %s among them; should such a message "
			"be lost, it cannot be brought back. More room: vault: size and age; said "
			"again in an hour at the earliest",
			r->why, (unsigned long long)l->unsaid, r->first->queue_id);
	l->said_at = r->now;
	l->unsaid = 0;
}

static uint64_t total(const struct mqw_act_instance *const *instances, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		if (instances[i]->vault)
			sum += mqw_vault_size(instances[i]->vault);
	return sum;
}

/* Somewhat below the limit, so that not each further copy makes a walk. */
static void make_room(struct round *r, uint64_t size)
{
	struct mqw_vault_limits *l = r->limits;
	uint64_t goal = l->size - l->size / 16;

	for (size_t i = 0; i < r->count && size > goal; i++) {
		const struct candidate *c = &r->list[i];

		if (r->now - c->changed_at > l->age)
			continue; /* gone already */
		let_go(r, c, "was larger than it may be");
		size -= c->size < size ? c->size : size;
		/* Still in the queue it would be copied again at once, and go again. */
		if (!c->settled && (l->floor == MQW_TIME_NONE || c->changed_at > l->floor))
			l->floor = c->changed_at;
	}
}

static void keep(struct round *r, const struct mqw_act_instance *const *instances, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		r->instance = instances[i];
		if (instances[i]->vault && instances[i]->caught_up)
			mqw_vault_each(instances[i]->vault, add, r);
	}
	if (r->count)
		qsort(r->list, r->count, sizeof(*r->list), compare);
	for (size_t i = 0; i < r->count; i++)
		if (r->now - r->list[i].changed_at > r->limits->age)
			let_go(r, &r->list[i], "held copies older than it may");
	if (total(instances, count) > r->limits->size)
		make_room(r, total(instances, count));
	say(r);
	for (size_t i = 0; i < r->count; i++)
		free(r->list[i].queue_id);
	free(r->list);
}

void mqw_vault_limits_keep(struct mqw_vault_limits *l,
	const struct mqw_act_instance *const *instances, size_t count, int64_t now)
{
	struct round r = {.limits = l, .now = now};
	int64_t every = l->age / AGE_LOOKS;
	uint64_t size = total(instances, count);

	every = every < AGE_LOOK_MIN ? AGE_LOOK_MIN : every > AGE_LOOK_MAX ? AGE_LOOK_MAX : every;
	if (size < l->size / 4 * 3)
		l->floor = MQW_TIME_NONE;
	if (size <= l->size && l->looked_at != MQW_TIME_NONE && now - l->looked_at < every)
		return;
	l->looked_at = now;
	if (size)
		keep(&r, instances, count);
}
