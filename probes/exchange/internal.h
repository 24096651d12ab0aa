/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files that read Exchange's logs, and by nothing else. */
#ifndef MQW_PROBES_EXCHANGE_INTERNAL_H
#define MQW_PROBES_EXCHANGE_INTERNAL_H

#include "probes/exchange/exchange.h"
#include "probes/exchange/join.h"
#include "probes/windows/columns.h"
#include "probes/windows/session.h"

#define MQW_EXCHANGE_FAILURES 64 /* by message; reports follow at once */

/* A message some of whose recipients failed just now: the report that follows is about them. */
struct mqw_exchange_failure {
	uint64_t id; /* hash */
	int64_t time;
};

struct mqw_probe {
	struct mqw_smtp_table sessions;
	struct mqw_join join;
	struct mqw_exchange_failure failures[MQW_EXCHANGE_FAILURES];
};

/* A fresh event of this line about this message. */
struct mqw_event mqw_exchange_event(
	enum mqw_event_kind kind, const struct mqw_line *line, struct mqw_slice id);

/* Says that the message came: its id, then that it was taken up. message_id is without brackets. */
int mqw_exchange_came(struct mqw_sink *out, struct mqw_event *e, struct mqw_slice message_id);

/*
 * Notes that the delivery is under way and tells of the answer that came before it was known. A
 * negative errno of the sink, or 0; the delivery is NULL where it cannot be noted.
 */
int mqw_exchange_under_way(struct mqw_probe *p, const struct mqw_event *e, struct mqw_slice sender,
	struct mqw_sink *out, struct mqw_delivery **ret);

/* tracking.c, msgtrk.c, smtp_send.c: a line each of one of the logs. */
int mqw_exchange_tracking_line(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
int mqw_exchange_msgtrk_line(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
int mqw_exchange_send_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);

/* Which server wrote the line's file, by a line of either kind of message tracking. */
bool mqw_exchange_tracking_server(const struct mqw_line *line, struct mqw_slice *ret);
bool mqw_exchange_msgtrk_server(const struct mqw_line *line, struct mqw_slice *ret);

#endif
