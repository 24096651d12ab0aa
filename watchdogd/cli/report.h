/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How scan and trace say their findings: to a person, or as JSON lines. All to standard output. */
#ifndef MQW_CLI_REPORT_H
#define MQW_CLI_REPORT_H

#include <stdio.h>

#include "watchdogd/cli/options.h"
#include "watchdogd/cli/reading.h"

struct mqw_report {
	enum mqw_format format;
	bool color;
	const struct mqw_reading *reading;
	uint64_t shown; /* verdicts printed */
	struct mqw_buffer line; /* scratch */
};

void mqw_report_start(
	struct mqw_report *r, enum mqw_format format, const struct mqw_reading *reading);
void mqw_report_verdict(struct mqw_report *r, const struct mqw_message *m,
	const struct mqw_recipient *rcpt, const struct mqw_judgement *j);
void mqw_report_gap(struct mqw_report *r, const struct mqw_event *gap);
/* The closing summary; with samples of what was not understood where all is set. */
void mqw_report_summary(struct mqw_report *r, const struct mqw_tracker_counts *counts, bool all);
/* 0, or -EIO when standard output did not take it all. */
int mqw_report_end(struct mqw_report *r);

#endif
