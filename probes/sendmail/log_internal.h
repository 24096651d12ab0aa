/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files that read Sendmail's log, and by nothing else. */
#ifndef MQW_PROBES_SENDMAIL_LOG_INTERNAL_H
#define MQW_PROBES_SENDMAIL_LOG_INTERNAL_H

#include "probes/sendmail/sendmail.h"

struct mqw_probe {
	const char *const *next_hops; /* borrowed */
	size_t next_hop_count;
	char recovered[MQW_SENDMAIL_ID_MAX + 1]; /* the last message put back that was told of */
};

/* What a "to=" line says of its recipients, all of them alike. */
enum mqw_sendmail_stat {
	STAT_ATTEMPT, /* the event is filled in */
	STAT_QUARANTINED, /* put into the queue and held there; the event says deferred */
	STAT_REFUSED, /* while the client was still there: it was told */
	STAT_STRANGE /* not understood, or cut short */
};

/*
 * attempt.c: reads a delivery line behind its queue id, "to=<a>,<b>, delay=...", into e, all but
 * the recipient. ret_list is the list of recipients, for mqw_sendmail_next_recipient().
 */
enum mqw_sendmail_stat mqw_sendmail_read_attempt(const struct mqw_probe *p,
	const struct mqw_line *line, struct mqw_slice text, struct mqw_event *e,
	struct mqw_slice *ret_list);

/* Takes the next address off a list, without its angle brackets; false at the end. */
bool mqw_sendmail_next_recipient(struct mqw_slice *list, struct mqw_slice *ret);

/*
 * Takes an address as Sendmail logs it from the front of *s, up to the comma that ends it: quotes,
 * backslashes and angle brackets are respected, since a stranger chose what is in them. ret is
 * what is inside the brackets, or all of it where there are none. False when a quote or a bracket
 * is left open.
 */
bool mqw_sendmail_take_address(struct mqw_slice *s, struct mqw_slice *ret);

/* Takes "ID" from the front: of any version, also one whose letters an anonymiser has changed. */
bool mqw_sendmail_take_id(struct mqw_slice *s, struct mqw_slice *ret);

#endif
