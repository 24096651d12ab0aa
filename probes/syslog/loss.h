/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines in which the logging itself confesses that it dropped lines: rsyslog's rate limit and
 * journald's. Silence across such a time proves nothing.
 */
#ifndef MQW_PROBES_SYSLOG_LOSS_H
#define MQW_PROBES_SYSLOG_LOSS_H

#include "probes/probe.h"

struct mqw_loss_reader {
	int64_t dropping_since; /* "begin to drop" was said; MQW_TIME_NONE not */
};

void mqw_loss_reader_init(struct mqw_loss_reader *r);

/* Whether a line is worth the look: the tags of those that confess have these lengths. */
static inline bool mqw_loss_may_be(const struct mqw_line *line)
{
	return line->tag.len == sizeof("rsyslogd") - 1 ||
		line->tag.len == sizeof("systemd-journald") - 1;
}

/*
 * When the line confesses a loss that may concern the MTA, fills *ret with a gap event and says
 * true. mta: the probe's name; what journald suppressed from a unit of another name is no matter.
 */
bool mqw_loss_read(struct mqw_loss_reader *r, const struct mqw_line *line, const char *mta,
	struct mqw_event *ret);

/* At the end of the log: a drop that was begun and never ended, as a gap up to end. */
bool mqw_loss_finish(struct mqw_loss_reader *r, int64_t end, struct mqw_event *ret);

#endif
