/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of IIS's SMTP service, which is Exchange's too until 2003: what it said to other servers and
 * what they answered. It names no message and no session: lines to one host are one session, as far
 * as they can be told apart.
 */
#ifndef MQW_PROBES_WINDOWS_SMTP_LOG_H
#define MQW_PROBES_WINDOWS_SMTP_LOG_H

#include "probes/probe.h"
#include "probes/windows/session.h"

/*
 * Takes a line, of whichever of its three forms, that mqw_windows_form() has found. told() gets what
 * it says of a recipient. An enum mqw_line_result, or what told() returned below 0.
 */
int mqw_windows_smtp_line(
	struct mqw_smtp_table *t, const struct mqw_line *line, mqw_smtp_told *told, void *ctx);

/* Which server wrote it, for mqw_probe_ops.server: W3C alone tells. */
bool mqw_windows_smtp_server(const struct mqw_line *line, struct mqw_slice *ret);

#endif
