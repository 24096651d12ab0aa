/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between an instance and the ledger: what is put away in batches, and what comes back at a start. */
#include <errno.h>
#include <stdlib.h>

#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/daemon/progress.h"
#include "watchdogd/ledger/memory.h"

static int restore_one(void *ctx, const struct mqw_message *m)
{
	struct mqw_instance *i = ctx;
	int r = mqw_tracker_restore(i->act.tracker, m);

	mqw_progress_step(i->host.progress);
	return r == -EEXIST ? 0 : r;
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

void mqw_instance_clear_forgotten(struct mqw_instance *i)
{
	for (size_t n = 0; n < i->forgotten_count; n++)
		free(i->forgotten[n].queue_id);
	i->forgotten_count = 0;
}

static int put_position(struct mqw_instance *i)
{
	struct mqw_buffer position = {0};
	int r = i->tail ? mqw_file_tail_position(i->tail, &position)
			: mqw_journal_position(i->journal, &position);

	if (r == 0 && position.len)
		r = mqw_ledger_put_position(
			i->host.ledger, i->act.name, i->log, mqw_buffer_slice(&position));
	mqw_buffer_done(&position);
	return r;
}

static int delete_forgotten(struct mqw_instance *i)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->forgotten_count; n++) {
		const struct mqw_forgotten *f = &i->forgotten[n];
		const struct mqw_message m = {.realm = "",
			.queue_id = f->queue_id,
			.opened_at = f->opened_at,
			.first_seen = f->first_seen};

		r = mqw_ledger_delete_message(i->host.ledger, i->act.name, &m);
	}
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

/* Puts the dirty ones; those taken are in *ret_taken, for the caller to free. */
static int put_messages(struct mqw_instance *i, struct mqw_message ***ret_taken, size_t *ret_count)
{
	struct mqw_message *m, **taken = NULL;
	size_t count = 0, cap = 0;
	int r = 0;

	while (r == 0 && (m = mqw_tracker_take_dirty(i->act.tracker))) {
		if (count == cap) {
			void *p = realloc(taken, (cap = cap ? cap * 2 : 64) * sizeof(*taken));

			if (!p) {
				mqw_tracker_mark_dirty(i->act.tracker, m);
				r = -ENOMEM;
				break;
			}
			taken = p;
		}
		taken[count++] = m;
		r = put_message(i, m);
	}
	*ret_taken = taken;
	*ret_count = count;
	return r;
}

static int put_memory(struct mqw_instance *i)
{
	int r = mqw_ledger_put_memory(i->host.ledger, i->act.name, i->act.tracker);

	if (r == 0 && i->loss.dropping_since != i->kept_dropping)
		r = mqw_ledger_put_dropping(i->host.ledger, i->act.name, i->loss.dropping_since);
	return r;
}

int mqw_instance_keep(struct mqw_instance *i)
{
	struct mqw_message **taken = NULL;
	size_t count = 0;
	int r;

	r = mqw_ledger_begin(i->host.ledger);
	if (r < 0)
		return r;
	r = delete_forgotten(i);
	if (r == 0)
		r = put_messages(i, &taken, &count);
	if (r == 0)
		r = put_memory(i);
	if (r == 0 && i->moved)
		r = put_position(i);
	if (r == 0)
		r = mqw_ledger_commit(i->host.ledger);
	else
		mqw_ledger_rollback(i->host.ledger);
	for (size_t n = 0; r < 0 && n < count; n++)
		mqw_tracker_mark_dirty(i->act.tracker, taken[n]);
	if (r == 0) {
		i->moved = false;
		i->kept_dropping = i->loss.dropping_since;
		mqw_tracker_memory_kept(i->act.tracker);
		mqw_instance_clear_forgotten(i);
	}
	free(taken);
	return r;
}
