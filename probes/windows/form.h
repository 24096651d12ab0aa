/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heads of lines of the logs of Exchange and IIS; see columns.h for their forms. */
#ifndef MQW_PROBES_WINDOWS_FORM_H
#define MQW_PROBES_WINDOWS_FORM_H

#include "probes/probe.h"
#include "probes/windows/columns.h"

/*
 * Fills *ret but for its tag: its time, its columns, as text the whole line. MQW_FORM_POSSIBLE, or
 * MQW_FORM_HEAD for a line that is about others or of a log in which there is nothing to follow.
 * Stamps of NCSA have a zone, those of the IIS form are on the local clock, others in UTC.
 */
enum mqw_form mqw_windows_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret);

/*
 * The fields of a line of the SMTP service's log, whichever of its three forms it has; ptr NULL for
 * what that form has not. False when they are not all there.
 */
bool mqw_windows_smtp_row(
	const struct mqw_columns *c, struct mqw_slice line, struct mqw_slice ret[MQW_COLUMN_COUNT]);

/* Whether such a row is of the SMTP service, and not of IIS's others, which log in the same form. */
bool mqw_windows_is_smtp(const struct mqw_slice row[MQW_COLUMN_COUNT]);

/*
 * Whether a file is one of theirs by its name: YYYYMMDD.log, MSGTRK..., SEND..., exYYMMDD.log,
 * u_ex..., nc..., in..., extendN.log; compressed or not, in either case.
 */
bool mqw_windows_tracking_name(struct mqw_slice name);
bool mqw_windows_smtp_name(struct mqw_slice name);

#endif
