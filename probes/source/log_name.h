/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a log's file name tells: which log it is a piece of, and how old the piece is. As logrotate
 * and savelog name them, "mail.log.3.gz" and "mail.log-20260516"; and as Windows servers do, which
 * begin a file for each day or hour: "20260516.log", "ex260516.log", "MSGTRK2026051617-2.LOG".
 */
#ifndef MQW_PROBES_SOURCE_LOG_NAME_H
#define MQW_PROBES_SOURCE_LOG_NAME_H

#include "watchdogd/base/slice.h"

/* How a name tells its age. */
enum mqw_log_scheme {
	MQW_LOG_LIVE, /* mail.log itself */
	MQW_LOG_NUMBER, /* the higher the older */
	MQW_LOG_DATE, /* the lower the older */
	MQW_LOG_PERIOD, /* the same; the date is in the name itself, and there is no live file */
};

struct mqw_log_name {
	struct mqw_slice base; /* the log's own name, with its folder; points into the path */
	enum mqw_log_scheme scheme;
	uint64_t stamp; /* NUMBER: the number; DATE and PERIOD: yyyymmddHHMMSS */
	uint64_t serial; /* PERIOD: of the pieces of one period, from 1; 0 not numbered */
	bool daily; /* PERIOD: there should be one for each day */
};

/* Borrowed from path. */
struct mqw_log_name mqw_log_name_read(const char *path);

/* By age, the oldest first: below 0, 0 or above, as for qsort. Of pieces of one log. */
int mqw_log_name_order(const struct mqw_log_name *a, const struct mqw_log_name *b);

/* Whether a piece is missing between these two, which follow each other. */
bool mqw_log_name_hole(const struct mqw_log_name *before, const struct mqw_log_name *after);

#endif
