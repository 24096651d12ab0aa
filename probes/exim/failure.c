/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exim/log_internal.h"

#define REPORT_LAG MQW_MINUTE /* between a failure's line and that of the report about it */

/*
 * Where the failure of that id is noted, or of those that have its place the one that was noted longest
 * ago. On a busy host many deliveries fail between a message's failure and the report about it, and a
 * report that is not known as one hides that it was false.
 */
static struct mqw_exim_failure *failure_of(struct mqw_probe *p, struct mqw_slice id)
{
	uint32_t hash = 2166136261u; /* FNV-1a; ids are Exim's own */
	struct mqw_exim_failure *first, *oldest;

	for (size_t i = 0; i < id.len; i++)
		hash = (hash ^ (unsigned char)id.ptr[i]) * 16777619u;
	first = &p->failures[hash % (MQW_EXIM_FAILURES / MQW_EXIM_FAILURES_TOGETHER) *
		MQW_EXIM_FAILURES_TOGETHER];
	oldest = first;
	for (size_t i = 0; i < MQW_EXIM_FAILURES_TOGETHER; i++) {
		if (mqw_slice_eq(mqw_slice(first[i].id, first[i].len), id))
			return &first[i];
		if (first[i].time < oldest->time)
			oldest = &first[i];
	}
	return oldest;
}

void mqw_exim_note_failure(struct mqw_probe *p, struct mqw_slice id, int64_t time)
{
	struct mqw_exim_failure *f = failure_of(p, id);

	f->time = time;
	f->len = id.len;
	memcpy(f->id, id.ptr, id.len);
}

bool mqw_exim_failed_just_now(struct mqw_probe *p, struct mqw_slice id, int64_t time)
{
	const struct mqw_exim_failure *f = failure_of(p, id);

	return mqw_slice_eq(mqw_slice(f->id, f->len), id) && time - f->time <= REPORT_LAG;
}
