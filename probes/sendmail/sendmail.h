/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sendmail: everything that is known about it. */
#ifndef MQW_PROBES_SENDMAIL_SENDMAIL_H
#define MQW_PROBES_SENDMAIL_SENDMAIL_H

#include "probes/probe.h"

extern const struct mqw_probe_ops mqw_probe_sendmail;

/*
 * Whether a string has the form of a queue id: eight characters of time and sequence, then the
 * process id, six digits or more since 8.13, five before (queue.c:5514 of Sendmail 8.17.1). For
 * everything that acts, and for names in the queue.
 */
bool mqw_sendmail_valid_id(struct mqw_slice id);

/* log.c */
struct mqw_probe *mqw_sendmail_log_create(const char *const *next_hops, size_t next_hop_count);
struct mqw_probe *mqw_sendmail_log_free(struct mqw_probe *p);
int mqw_sendmail_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
/* "sendmail", and what Debian and others name their daemons by -L: "sm-mta", "sm-msp-queue"... */
bool mqw_sendmail_is_mine(struct mqw_slice tag);

/* remedy.c */
void mqw_sendmail_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret);

#endif
