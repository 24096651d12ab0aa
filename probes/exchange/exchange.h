/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exchange 2000 to 2019: everything that is known about it. */
#ifndef MQW_PROBES_EXCHANGE_EXCHANGE_H
#define MQW_PROBES_EXCHANGE_EXCHANGE_H

#include "probes/probe.h"

extern const struct mqw_probe_ops mqw_probe_exchange;

/* log.c */
struct mqw_probe *mqw_exchange_create(const char *const *next_hops, size_t next_hop_count);
struct mqw_probe *mqw_exchange_free(struct mqw_probe *p);
/* A message that was under way: the next answers and reports are joined to it again. */
void mqw_exchange_resume(struct mqw_probe *p, const struct mqw_message *m);
/* A line of message tracking, old or new, of the SMTP service's log, or of SmtpSend. */
int mqw_exchange_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
bool mqw_exchange_server(const struct mqw_line *line, struct mqw_slice *ret);
bool mqw_exchange_is_mine(struct mqw_slice tag);
enum mqw_form mqw_exchange_own_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret);
bool mqw_exchange_log_name(struct mqw_slice name);

/* remedy.c */
void mqw_exchange_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret);

#endif
