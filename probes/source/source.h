/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a source that is followed live (a log file, the journal) tells its owner. All calls come
 * out of the event loop, from one thread; a source must not be closed from inside one.
 */
#ifndef MQW_PROBES_SOURCE_SOURCE_H
#define MQW_PROBES_SOURCE_SOURCE_H

#include "watchdogd/track/event.h"

struct mqw_journal_entry;
struct mqw_raw_line;

/* Every slot may be NULL. Texts and lines live until the call returns. */
struct mqw_source_ops {
	/* A line of a file; evidence.source is what number() gave for the file. */
	void (*line)(void *ctx, const struct mqw_raw_line *line, struct mqw_evidence evidence);
	/* An entry of the journal. */
	void (*entry)(
		void *ctx, const struct mqw_journal_entry *entry, struct mqw_evidence evidence);
	/* Lines may be missing between two points in time, either MQW_TIME_NONE where unknown. */
	void (*gap)(void *ctx, int64_t from, int64_t to, const char *why);
	/* All that there is has been given: after a batch, and once at the start. */
	void (*caught_up)(void *ctx);
	/* A sentence for a person, once for each change: "/var/log/mail.log is missing; ...". */
	void (*say)(void *ctx, const char *text);
	/* When a line of a log was written, by its stamp; MQW_TIME_NONE: it does not say. */
	int64_t (*stamp)(void *ctx, struct mqw_slice line);
	/* Numbers a source for evidence: a file's path, or "journal". Without it all are 0. */
	uint32_t (*number)(void *ctx, const char *name);
	void *ctx;
};

#endif
