/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/event.h"

static const char *const event_names[MQW_EVENT_COUNT] = {
	[MQW_EVENT_OPENED] = "opened",
	[MQW_EVENT_MESSAGE_ID] = "message_id",
	[MQW_EVENT_QUEUED] = "queued",
	[MQW_EVENT_ARRIVED] = "arrived",
	[MQW_EVENT_ATTEMPT] = "attempt",
	[MQW_EVENT_GAVE_UP] = "gave_up",
	[MQW_EVENT_NDR] = "ndr",
	[MQW_EVENT_NOTIFIED] = "notified",
	[MQW_EVENT_REMOVED] = "removed",
	[MQW_EVENT_ADMIN_REMOVED] = "admin_removed",
	[MQW_EVENT_HELD] = "held",
	[MQW_EVENT_RELEASED] = "released",
	[MQW_EVENT_SPLIT] = "split",
	[MQW_EVENT_ADMIN_REQUEUED] = "admin_requeued",
	[MQW_EVENT_DISCARDED] = "discarded",
	[MQW_EVENT_REFUSED] = "refused",
	[MQW_EVENT_FILE_LOST] = "file_lost",
	[MQW_EVENT_BULK] = "bulk",
	[MQW_EVENT_GAP] = "gap",
	[MQW_EVENT_QUEUE_PRESENT] = "queue_present",
	[MQW_EVENT_QUEUE_GONE] = "queue_gone",
};

static const char *const outcome_names[MQW_OUTCOME_COUNT] = {
	[MQW_OUTCOME_SENT] = "sent",
	[MQW_OUTCOME_HANDED_OFF] = "handed_off",
	[MQW_OUTCOME_DEFERRED] = "deferred",
	[MQW_OUTCOME_BOUNCED] = "bounced",
	[MQW_OUTCOME_DISCARDED] = "discarded",
	[MQW_OUTCOME_PROBE] = "probe",
	[MQW_OUTCOME_SKIPPED] = "skipped",
	[MQW_OUTCOME_EXPIRED] = "expired",
	[MQW_OUTCOME_UNDER_WAY] = "under way",
	[MQW_OUTCOME_WITHDRAWN] = "withdrawn",
};

const char *mqw_event_name(enum mqw_event_kind kind)
{
	return event_names[kind];
}

const char *mqw_outcome_name(enum mqw_outcome outcome)
{
	return outcome_names[outcome];
}
