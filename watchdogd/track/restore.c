/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts a message back as the ledger kept it. */
#include <errno.h>

#include "watchdogd/track/tracker_internal.h"

static bool copy_string(char **to, const char *from)
{
	return !from || mqw_string_set(to, mqw_slice_of(from), SIZE_MAX);
}

static bool copy_recipient(struct mqw_message *m, const struct mqw_recipient *from)
{
	struct mqw_recipient *to = mqw_message_recipient(m, mqw_slice_of(from->address), 0);

	if (!to || !copy_string(&to->relay, from->relay) || !copy_string(&to->reply, from->reply) ||
		!copy_string(&to->successor, from->successor))
		return false;
	memcpy(to->status, from->status, sizeof(to->status));
	to->status[sizeof(to->status) - 1] = '\0';
	to->code = from->code;
	to->state = from->state < MQW_RECIPIENT_COUNT ? from->state : MQW_RECIPIENT_DEFERRED;
	to->successor_known = from->successor_known;
	to->hasty = from->hasty;
	to->attempts = from->attempts;
	to->reported = from->reported < MQW_VERDICT_COUNT ? from->reported : MQW_VERDICT_NONE;
	to->first_attempt = from->first_attempt;
	to->last_attempt = from->last_attempt;
	to->first_seen_at = from->first_seen_at;
	to->last_seen_at = from->last_seen_at;
	return true;
}

static bool copy_message(struct mqw_message *to, const struct mqw_message *from)
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
	to->place = from->place < MQW_PLACE_COUNT ? from->place : MQW_PLACE_NONE;
	to->reported = from->reported < MQW_VERDICT_COUNT ? from->reported : MQW_VERDICT_NONE;
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
		if (!copy_recipient(to, r))
			return false;
	return true;
}

int mqw_tracker_restore(struct mqw_tracker *t, const struct mqw_message *from)
{
	struct mqw_slice realm = mqw_slice_of(from->realm), id = mqw_slice_of(from->queue_id);
	const struct mqw_message *there = mqw_identity_find(t, realm, id);
	struct mqw_message *m;

	if (there && there->opened_at == from->opened_at)
		return -EEXIST;
	m = mqw_identity_add(t, realm, id, mqw_slice_of(from->instance));
	if (!m)
		return -ENOMEM;
	if (!copy_message(m, from)) {
		mqw_identity_drop(t, m);
		return -ENOMEM;
	}
	m->kept = true;
	return mqw_tracker_schedule(t, m);
}
