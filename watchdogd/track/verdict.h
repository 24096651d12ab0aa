/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The closed lists of the interface: verdicts and confidences, with the words that stand for them. */
#ifndef MQW_TRACK_VERDICT_H
#define MQW_TRACK_VERDICT_H

#include "watchdogd/base/slice.h"

enum mqw_verdict {
	MQW_VERDICT_NONE, /* nothing to say: not a mail, or never accepted */
	MQW_VERDICT_DELIVERED,
	MQW_VERDICT_HANDED_OFF,
	MQW_VERDICT_PENDING,
	MQW_VERDICT_BOUNCED,
	MQW_VERDICT_EXPIRED,
	MQW_VERDICT_DISCARDED,
	MQW_VERDICT_REMOVED,
	MQW_VERDICT_HELD,
	MQW_VERDICT_RELOCATED,
	MQW_VERDICT_VANISHED,
	MQW_VERDICT_FALSE_NDR,
	MQW_VERDICT_OVERDUE,
	MQW_VERDICT_LOST_DOWNSTREAM,
	MQW_VERDICT_UNKNOWN,
	MQW_VERDICT_COUNT
};

enum mqw_confidence {
	MQW_CONFIDENCE_UNPROVEN,
	MQW_CONFIDENCE_PROBABLE, /* log alone, and it covers the time */
	MQW_CONFIDENCE_CERTAIN, /* seen in queue and log, or said by the MTA itself */
	MQW_CONFIDENCE_COUNT
};

/* "vanished" and the like; "none" for MQW_VERDICT_NONE. Never NULL for a valid value. */
const char *mqw_verdict_name(enum mqw_verdict v);

/* The verdict of a word; MQW_VERDICT_COUNT when there is none such ("none" is not a word). */
enum mqw_verdict mqw_verdict_from_name(struct mqw_slice name);

const char *mqw_confidence_name(enum mqw_confidence c);

/* Whether an operator has to act: vanished, false_ndr, overdue, lost_downstream. */
bool mqw_verdict_is_trouble(enum mqw_verdict v);

#endif
