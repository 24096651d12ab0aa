/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logs of Windows servers whose own lines say how they are to be read: "#Fields:" names the columns
 * of the lines that follow, and may do so again in the middle of a file; "#Date:" stands for lines
 * without a stamp. What was said last is kept for each log being read, beside its stamps.
 *
 *	W3C      2026-05-16 17:54:44 192.0.2.9 OutboundConnectionResponse ... 450+4.7.1+text ...
 *	tracking 2026-5-16 TAB 17:54:44 GMT TAB 20 or 21 fields; its columns never change
 *	CSV      2026-05-16T17:54:44.000Z,field,"field, with ""quotes""",...
 *	NCSA     192.0.2.9 - OutboundConnectionResponse [16/May/2026:17:54:44 +0200] "..." 0 6
 *	IIS      192.0.2.9, OutboundConnectionResponse, 5/16/2026, 17:54:44, SMTPSVC1, ...
 */
#ifndef MQW_PROBES_WINDOWS_COLUMNS_H
#define MQW_PROBES_WINDOWS_COLUMNS_H

#include "watchdogd/base/clock.h"

enum mqw_windows_log {
	MQW_WINDOWS_NONE, /* nothing was said yet */
	MQW_WINDOWS_W3C, /* of a service of IIS: of which one only its lines tell */
	MQW_WINDOWS_TRACKING, /* message tracking of Exchange 2000 and 2003 */
	MQW_WINDOWS_MSGTRK, /* message tracking since Exchange 2007 */
	MQW_WINDOWS_SMTP_SEND, /* what Exchange said to other servers, since 2007 */
	MQW_WINDOWS_OTHER, /* another log of Exchange: nothing to follow in it */
	MQW_WINDOWS_NCSA,
	MQW_WINDOWS_IIS,
};

/* The columns that anything reads, of all logs together. */
enum mqw_column {
	MQW_COLUMN_UNUSED,
	/* W3C */
	MQW_COLUMN_DATE,
	MQW_COLUMN_TIME,
	MQW_COLUMN_CLIENT_IP,
	MQW_COLUMN_USERNAME,
	MQW_COLUMN_SITENAME,
	MQW_COLUMN_COMPUTERNAME,
	MQW_COLUMN_SERVER_IP,
	MQW_COLUMN_SERVER_PORT,
	MQW_COLUMN_METHOD,
	MQW_COLUMN_QUERY,
	/* CSV */
	MQW_COLUMN_DATE_TIME,
	MQW_COLUMN_SERVER_HOSTNAME,
	MQW_COLUMN_SOURCE_CONTEXT,
	MQW_COLUMN_SOURCE,
	MQW_COLUMN_EVENT_ID,
	MQW_COLUMN_MESSAGE_ID,
	MQW_COLUMN_RECIPIENTS,
	MQW_COLUMN_RECIPIENT_STATUS,
	MQW_COLUMN_RECIPIENT_COUNT,
	MQW_COLUMN_RELATED,
	MQW_COLUMN_REFERENCE,
	MQW_COLUMN_RETURN_PATH,
	MQW_COLUMN_SENDER,
	MQW_COLUMN_SESSION_ID,
	MQW_COLUMN_REMOTE,
	MQW_COLUMN_EVENT,
	MQW_COLUMN_DATA,
	MQW_COLUMN_CONTEXT,
	MQW_COLUMN_COUNT
};

#define MQW_COLUMNS_MAX 48 /* of one line; beyond any log's */

struct mqw_columns {
	enum mqw_windows_log log;
	uint8_t count; /* of those named by #Fields, up to the last that anything reads */
	uint8_t at[MQW_COLUMNS_MAX]; /* which mqw_column each is, from the left */
	int64_t date; /* #Date; MQW_TIME_NONE unknown */
	/* Nearly every line has the date of the one before: as text, and what it stands for. */
	char day_text[10];
	uint8_t day_len;
	int64_t day;
};

void mqw_columns_init(struct mqw_columns *c);

/*
 * Takes a line in if it begins with "#", perhaps behind the mark of UTF-8: what it says of the lines
 * that follow, or nothing. False for any other line.
 */
bool mqw_columns_directive(struct mqw_columns *c, struct mqw_slice line);

/* The slices of a line by column, ptr NULL where the line has no such. False: it has too few. */
bool mqw_columns_split(
	const struct mqw_columns *c, struct mqw_slice line, struct mqw_slice ret[MQW_COLUMN_COUNT]);

/*
 * One field of a CSV off the front, with the comma behind it. Without its quotes; quotes within stay
 * doubled.
 */
struct mqw_slice mqw_csv_take(struct mqw_slice *s);

/*
 * The time of a W3C line: its own columns where it has them, #Date for what it lacks. False when
 * nothing tells, or the line is none.
 */
bool mqw_columns_w3c_time(struct mqw_columns *c, struct mqw_slice line, int64_t *ret);

/*
 * Stamps in UTC, off the front of *s: "2026-5-16" and "17:54:44", each figure with or without a zero
 * in front; the latter perhaps with a fraction.
 */
bool mqw_utc_take_date(struct mqw_slice *s, int64_t *ret);
bool mqw_utc_take_clock(struct mqw_slice *s, int64_t *ret);

/* mqw_utc_take_date() where `end`, which stays, or the line's end is behind it; remembered in c. */
bool mqw_columns_take_date(struct mqw_columns *c, struct mqw_slice *s, char end, int64_t *ret);

#endif
