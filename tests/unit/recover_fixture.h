/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mail that is lost for one of two recipients, and when a rule finds it. */
#ifndef MQW_TESTS_UNIT_RECOVER_FIXTURE_H
#define MQW_TESTS_UNIT_RECOVER_FIXTURE_H

#include "act_fixture.h"

#define NOW (T0 + 100 * MQW_SECOND)

/* Delivered to C, lost for B, with a copy from when both were to do. */
static inline void lose(const char *id, int64_t time)
{
	accepted(id, time);
	keep_copy(id, time);
	deferred(id, time + MQW_SECOND);
	tried(id, C, MQW_OUTCOME_SENT, 250, time + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, time + 2 * MQW_SECOND);
	assert_judged(id, B, VANISHED, CERTAIN);
}

#endif
