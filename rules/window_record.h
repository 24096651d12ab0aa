/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows outlive a restart and a reload: what they count is given out as records, to be kept, and
 * taken back. A record belongs to its rule as long as that has the same name and conditions.
 */
#ifndef MQW_RULES_WINDOW_RECORD_H
#define MQW_RULES_WINDOW_RECORD_H

#include "watchdogd/base/slice.h"

/* All borrowed. */
struct mqw_window_record {
	const char *rule; /* its name */
	uint64_t conditions; /* what they are, as a number */
	struct mqw_slice key; /* which of its windows */
	struct mqw_slice entries; /* printable */
};

#endif
