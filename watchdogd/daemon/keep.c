/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between an instance and the ledger: what is put away in batches, and what comes back at a start. */
#include <errno.h>
#include <stdlib.h>

#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/daemon/progress.h"
#include "watchdogd/ledger/memory.h"

/* Rows in one batch: with a million messages that takes 30 ms, and the loop stands still for it. */
#define KEEP_MAX 1000
#define KEEP_MAX_HISTORY 4000 /* while the log is read again nobody waits for what comes next */

/*
 * Goes with the next batch, as often as it takes: what the ledger would keep by mistake comes back
 * as an open message that nothing is heard of any more.
 */
void mqw_instance_forget_kept(struct mqw_instance *i, uint64_t number)
{
	if (i->forgotten_count == i->forgotten_cap) {
		size_t cap = i->forgotten_cap ? i->forgotten_cap * 2 : 64;
		void *p = realloc(i->forgotten, cap * sizeof(*i->forgotten));

		i->forgotten_missed = i->forgotten_missed || !p;
		if (!p)
			return;
		i->forgotten = p;
		i->forgotten_cap = cap;
	}
	i->forgotten[i->forgotten_count++] = number;
}

static int restore_one(void *ctx, const struct mqw_message *m)
{
	struct mqw_instance *i = ctx;
	int r = mqw_tracker_restore(i->act.tracker, m);

	mqw_progress_step(i->host.progress);
	if (r == 0 && i->act.probe->resume)
		i->act.probe->resume(i->probe, m);
	if (r != -EEXIST)
		return r;
	/* Two rows for one life, as no batch leaves them: the later one would come back for ever. */
	mqw_instance_forget_kept(i, m->number);
	return 0;
}

static bool is_under_way(const struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->state == MQW_RECIPIENT_DEFERRED)
			return true;
	return false;
}

void mqw_instance_keep_under_way(struct mqw_instance *i, int64_t now)
{
	struct mqw_tracker *t = i->act.tracker;

	if (!i->act.probe->resume || !i->act.caught_up || now - i->under_way_at < MQW_MINUTE)
		return;
	i->under_way_at = now;
	for (struct mqw_message *m = mqw_tracker_next(t, NULL); m; m = mqw_tracker_next(t, m))
		if (!m->kept && !m->dirty && m->closed_at == MQW_TIME_NONE &&
			now - m->last_seen > MQW_MINUTE && is_under_way(m))
			mqw_tracker_mark_dirty(t, m);
}

/* Gaps first: a message may be judged from the moment at which it is there. */
int mqw_instance_restore(struct mqw_instance *i)
{
	int r = mqw_ledger_restore_memory(i->host.ledger, i->act.name, i->act.tracker);

	if (r == 0)
		r = mqw_ledger_get_dropping(i->host.ledger, i->act.name, &i->loss.dropping_since);
	i->kept_dropping = i->loss.dropping_since;
	return r < 0 ? r : mqw_ledger_each_message(i->host.ledger, i->act.name, restore_one, i);
}

static int find_unknown(void *ctx, const struct mqw_message *m)
{
	struct mqw_instance *i = ctx;
	const struct mqw_message *known =
		mqw_tracker_find(i->act.tracker, mqw_slice_of(m->realm), mqw_slice_of(m->queue_id));

	while (known && known->number != m->number)
		known = known->earlier;
	if (!known)
		mqw_instance_forget_kept(i, m->number);
	return i->forgotten_missed ? -ENOMEM : 0;
}

/* What memory was out for when it was to be noted: all that the tracker does not have. */
static int find_forgotten(struct mqw_instance *i)
{
	int r;

	if (!i->forgotten_missed)
		return 0;
	i->forgotten_missed = false;
	r = mqw_ledger_each_message(i->host.ledger, i->act.name, find_unknown, i);
	i->forgotten_missed = r < 0;
	return r;
}

static int delete_forgotten(struct mqw_instance *i)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->forgotten_count; n++)
		r = mqw_ledger_delete_message(i->host.ledger, i->act.name, i->forgotten[n]);
	return r;
}

/*
 * Puts a message. What waits for its action is not reported for good: the next start shall find it
 * again, so the ledger is told that nothing was reported of it.
 */
static int put_message(struct mqw_instance *i, struct mqw_message *m)
{
	uint8_t *said, whole = m->reported;
	size_t n = 0;
	int r;

	if (!m->waiting)
		return mqw_ledger_put_message(i->host.ledger, i->act.name, m);
	said = malloc(m->recipient_count + 1);
	if (!said)
		return -ENOMEM;
	m->reported = MQW_VERDICT_NONE;
	for (struct mqw_recipient *p = m->recipients; p; p = p->next) {
		said[n++] = p->reported;
		p->reported = MQW_VERDICT_NONE;
	}
	r = mqw_ledger_put_message(i->host.ledger, i->act.name, m);
	m->reported = whole;
	n = 0;
	for (struct mqw_recipient *p = m->recipients; p; p = p->next)
		p->reported = said[n++];
	free(said);
	return r;
}

struct batch {
	struct mqw_message *taken[KEEP_MAX_HISTORY];
	size_t count;
	bool whole; /* all that had changed is in it */
};

/*
 * Puts what changed, the first first, until there is enough of it for one batch. Recipients count
 * too: some messages have thousands.
 */
static int put_messages(struct mqw_instance *i, struct batch *b)
{
	size_t rows = 0, max = i->act.caught_up ? KEEP_MAX : KEEP_MAX_HISTORY;
	int r = 0;

	/* A message is a row or more. */
	while (r == 0 && rows < max) {
		struct mqw_message *m = mqw_tracker_take_dirty(i->act.tracker);

		b->whole = !m;
		if (!m)
			return 0;
		b->taken[b->count++] = m;
		rows += m->recipient_count > 1 ? m->recipient_count : 1;
		r = put_message(i, m);
	}
	return r;
}

static int put_memory(struct mqw_instance *i)
{
	int r = mqw_ledger_put_memory(i->host.ledger, i->act.name, i->act.tracker);

	if (r == 0 && i->loss.dropping_since != i->kept_dropping)
		r = mqw_ledger_put_dropping(i->host.ledger, i->act.name, i->loss.dropping_since);
	return r;
}

/*
 * What belongs to one place in the log goes with that place: when not all of the messages fit, the
 * rest of it waits for the batch that has the last of them. Killed before that, the log is read from
 * an earlier line than some messages are of, and the tracker knows lines that come twice.
 * The totals are of that place too; what those messages moved in them since is then not in them.
 */
static int put_batch(struct mqw_instance *i, struct batch *b)
{
	int r = put_messages(i, b);

	if (r < 0 || !b->whole)
		return r;
	r = find_forgotten(i);
	if (r == 0)
		r = delete_forgotten(i);
	if (r == 0)
		r = put_memory(i);
	if (r == 0)
		r = mqw_totals_put(&i->totals, i->host.ledger, i->act.name, i->act.tracker);
	if (r == 0 && i->moved)
		r = mqw_instance_logs_keep(i);
	return r;
}

int mqw_instance_keep(struct mqw_instance *i)
{
	struct batch b;
	int r = mqw_ledger_begin(i->host.ledger);

	b.count = 0;
	b.whole = false;
	if (r < 0)
		return r;
	r = put_batch(i, &b);
	if (r == 0)
		r = mqw_ledger_commit(i->host.ledger);
	else
		mqw_ledger_rollback(i->host.ledger);
	for (size_t n = 0; r < 0 && n < b.count; n++)
		mqw_tracker_mark_dirty(i->act.tracker, b.taken[n]);
	if (r < 0 || !b.whole)
		return r < 0 ? r : 1;
	i->moved = false;
	mqw_totals_committed(&i->totals);
	i->kept_dropping = i->loss.dropping_since;
	mqw_tracker_memory_kept(i->act.tracker);
	i->forgotten_count = 0;
	return 0;
}
