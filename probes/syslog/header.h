/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the head of a syslog-shaped line apart: stamp, host, tag, pid. Known forms:
 *   2026-11-25T03:41:21.152859+00:00 host tag[pid]: text    RFC 3339; blank for T, "Z", "+0100" too
 *   Nov 25 03:41:21 host tag[pid]: text                     traditional, no year, no zone
 *   2013 Jun 10 06:38:17.123 host tag[pid]: text            the same with a year in front
 *   <22>... and <22>1 ...                                   any of them behind a PRI, RFC 5424
 * The reader remembers the last stamp, the last hour and what stamps look like behind the second, so that
 * most of them cost one or two comparisons and some digits.
 */
#ifndef MQW_PROBES_SYSLOG_HEADER_H
#define MQW_PROBES_SYSLOG_HEADER_H

#include "probes/probe.h"
#include "probes/windows/columns.h"

struct mqw_syslog_reader {
	int year; /* of the newest year-less stamp; 0: not known yet */
	bool year_given; /* by the caller: no file's date is asked */
	int64_t reference; /* no stamp is newer than this plus a day; MQW_TIME_NONE: no such limit */
	/* The clock, where lines are read as they are written: the caller sets it before each line.
	 * MQW_TIME_NONE: what is read is a file from long ago. */
	int64_t now;
	int64_t newest; /* newest year-less stamp so far; MQW_TIME_NONE none */
	int64_t last; /* the newest of those without a zone; MQW_TIME_NONE none */
	char hour_text[20]; /* the stamp up to the hour, as text, that hour_start stands for */
	size_t hour_len;
	int64_t hour_start;
	int64_t hour_local; /* the same figures on the local clock; MQW_TIME_NONE: not asked yet */
	int64_t hour_fold; /* in an hour that comes twice: from the first to the second; or 0 */
	/* What the last stamp of that hour had behind its second, apart from a fraction of six digits. */
	char tail[8]; /* zone and blank, as text */
	size_t tail_len; /* 0: not known, or not always the same */
	bool tail_fraction; /* there was a fraction, between second and tail */
	bool tail_zoneless;
	int64_t tail_shift; /* from the hour's own figures to UTC */
	/* The last stamp of that look, where it has no fraction: lines come together. With the blank. */
	char same_text[32];
	size_t same_len; /* 0: none */
	int64_t same_time;
	char host[64]; /* of the last line; host_len 0: none, or longer */
	size_t host_len;
	struct mqw_columns columns; /* of the file at hand, where its lines name them */
};

/*
 * year: that of the first year-less stamp, 0 to find it from reference, the time when the log was
 * last written, or from `now`. Stamps without a zone are in the zone that TZ names (mktime). An hour
 * that comes twice, when summer time ends, is the second one as soon as its minutes begin anew, or
 * when `now` says so.
 */
void mqw_syslog_reader_init(struct mqw_syslog_reader *r, int year, int64_t reference);

/* The next file of a rotated set: keeps the year that was reached. */
void mqw_syslog_reader_next_file(struct mqw_syslog_reader *r, int64_t reference);

/*
 * Takes a stamp and the blank behind it off the front of *s: "2026-11-25 03:41:21", with "T" or a
 * blank, a fraction, and a zone with or without a blank before it; or one of syslog's own. False,
 * and *s is left alone, when there is none.
 */
bool mqw_syslog_take_stamp(struct mqw_syslog_reader *r, struct mqw_slice *s, int64_t *ret);

/*
 * Fills time, host, tag, text and pid of *ret; evidence is left alone. False when the line has no
 * known stamp. A line with a stamp and no tag has an empty tag and the rest as text.
 * "message repeated N times: [ text]" (rsyslog's reduction) is unwrapped to its text.
 */
bool mqw_syslog_parse(struct mqw_syslog_reader *r, struct mqw_slice raw, struct mqw_line *ret);

#endif
