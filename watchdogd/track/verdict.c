/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/verdict.h"

static const char *const verdict_names[MQW_VERDICT_COUNT] = {
	[MQW_VERDICT_NONE] = "none",
	[MQW_VERDICT_DELIVERED] = "delivered",
	[MQW_VERDICT_HANDED_OFF] = "handed_off",
	[MQW_VERDICT_PENDING] = "pending",
	[MQW_VERDICT_BOUNCED] = "bounced",
	[MQW_VERDICT_EXPIRED] = "expired",
	[MQW_VERDICT_DISCARDED] = "discarded",
	[MQW_VERDICT_REMOVED] = "removed",
	[MQW_VERDICT_HELD] = "held",
	[MQW_VERDICT_RELOCATED] = "relocated",
	[MQW_VERDICT_VANISHED] = "vanished",
	[MQW_VERDICT_FALSE_NDR] = "false_ndr",
	[MQW_VERDICT_OVERDUE] = "overdue",
	[MQW_VERDICT_LOST_DOWNSTREAM] = "lost_downstream",
	[MQW_VERDICT_UNKNOWN] = "unknown",
};

static const char *const confidence_names[MQW_CONFIDENCE_COUNT] = {
	[MQW_CONFIDENCE_UNPROVEN] = "unproven",
	[MQW_CONFIDENCE_PROBABLE] = "probable",
	[MQW_CONFIDENCE_CERTAIN] = "certain",
};

const char *mqw_verdict_name(enum mqw_verdict v)
{
	return verdict_names[v];
}

enum mqw_verdict mqw_verdict_from_name(struct mqw_slice name)
{
	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++)
		if (mqw_slice_eq(name, mqw_slice_of(verdict_names[v])))
			return (enum mqw_verdict)v;
	return MQW_VERDICT_COUNT;
}

const char *mqw_confidence_name(enum mqw_confidence c)
{
	return confidence_names[c];
}

bool mqw_verdict_is_trouble(enum mqw_verdict v)
{
	return v == MQW_VERDICT_VANISHED || v == MQW_VERDICT_FALSE_NDR ||
		v == MQW_VERDICT_OVERDUE || v == MQW_VERDICT_LOST_DOWNSTREAM;
}
