/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts a message back as the ledger kept it. */
#include <errno.h>

#include "watchdogd/track/tracker_internal.h"

static bool copy_string(char **to, const char *from)
{
	return !from || mqw_string_set(to, mqw_slice_of(from), SIZE_MAX);
}

static bool copy_recipient(
	struct mqw_tracker *t, struct mqw_message *m, const struct mqw_recipient *from)
{
	struct mqw_recipient *to =
		mqw_message_add_recipient(&t->pieces, m, mqw_slice_of(from->address));

	if (!to || !copy_string(&to->relay, from->relay) || !copy_string(&to->reply, from->reply) ||
		!copy_string(&to->successor, from->successor))
		return false;
	memcpy(to->status, from->status, sizeof(to->status));
	to->code = from->code;
	to->state = from->state;
	to->successor_known = from->successor_known;
	to->hasty = from->hasty;
	to->doubtful = from->doubtful;
	to->attempts = from->attempts;
	to->reported = from->reported;
	to->counted = from->counted;
	to->first_attempt = from->first_attempt;
	to->last_attempt = from->last_attempt;
	to->first_seen_at = from->first_seen_at;
	to->last_seen_at = from->last_seen_at;
	return true;
}

static bool copy_message(
	struct mqw_tracker *t, struct mqw_message *to, const struct mqw_message *from)
{
	if (!copy_string(&to->sender, from->sender) ||
		!copy_string(&to->message_id, from->message_id) ||
		!copy_string(&to->ndr_id, from->ndr_id) ||
		!copy_string(&to->former_id, from->former_id) ||
		!copy_string(&to->successor, from->successor) ||
		!copy_string(&to->lost_how, from->lost_how))
		return false;
	to->announced = from->announced;
	to->opening_seen = from->opening_seen;
	to->age_known = from->age_known;
	to->queued = from->queued;
	to->taken_on = from->taken_on;
	to->held = from->held;
	to->removed = from->removed;
	to->admin_removed = from->admin_removed;
	to->admin_requeued = from->admin_requeued;
	to->discarded = from->discarded;
	to->refused = from->refused;
	to->probe = from->probe;
	to->gave_up = from->gave_up;
	to->gave_up_forced = from->gave_up_forced;
	to->file_lost = from->file_lost;
	to->queue_gone = from->queue_gone;
	to->place = from->place;
	to->reported = from->reported;
	to->counted = from->counted;
	to->opened_at = from->opened_at;
	to->first_seen = from->first_seen;
	to->last_seen = from->last_seen;
	to->deferred_at = from->deferred_at;
	to->gave_up_at = from->gave_up_at;
	to->requeued_at = from->requeued_at;
	to->gone_at = from->gone_at;
	to->closed_at = from->closed_at;
	to->retry_at = from->retry_at;
	for (const struct mqw_recipient *r = from->recipients; r; r = r->next)
		if (!copy_recipient(t, to, r))
			return false;
	return true;
}

/* What a table is asked with later has to be in its range, whoever kept it. */
static bool is_sound(const struct mqw_message *m)
{
	bool good = m->number && m->place < MQW_PLACE_COUNT && m->reported < MQW_VERDICT_COUNT &&
		m->counted < MQW_VERDICT_COUNT;

	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		good = good && r->address && r->state < MQW_RECIPIENT_COUNT &&
			r->reported < MQW_VERDICT_COUNT && r->counted < MQW_VERDICT_COUNT &&
			memchr(r->status, '\0', sizeof(r->status));
	return good;
}

/* One whose id has another life already: rare. */
static int restore_later_life(
	struct mqw_tracker *t, const struct mqw_message *from, struct mqw_message *there)
{
	struct mqw_message *m;

	if (there->opened_at == from->opened_at)
		return -EEXIST;
	m = mqw_identity_add(t, mqw_slice_of(from->realm), mqw_slice_of(from->queue_id),
		mqw_slice_of(from->instance), there);
	if (!m)
		return -ENOMEM;
	if (!copy_message(t, m, from)) {
		mqw_identity_drop(t, m);
		return -ENOMEM;
	}
	m->number = from->number;
	m->kept = true;
	return mqw_tracker_schedule(t, m);
}

int mqw_tracker_restore(struct mqw_tracker *t, const struct mqw_message *from)
{
	struct mqw_message *there;
	int r;

	if (!is_sound(from))
		return -EINVAL;
	mqw_packed_rest(t);
	if (from->number > t->number)
		t->number = from->number;
	r = mqw_identity_look(t, mqw_slice_of(from->realm), mqw_slice_of(from->queue_id), &there);
	if (r < 0)
		return r;
	if (there)
		return restore_later_life(t, from, there);
	mqw_identity_make_room(t);
	return mqw_packed_add(t, from, mqw_identity_name(t, mqw_slice_of(from->instance)));
}

void mqw_tracker_expect(struct mqw_tracker *t, uint64_t count)
{
	uint64_t max = t->options.max_messages;

	mqw_map_reserve(&t->messages, (size_t)(max && count > max ? max : count));
}
