/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SMTP service of IIS 4 to 10 without Exchange: everything that is known about it. Its log names
 * no message: one is known by its virtual server, its sender, the size that MAIL told and its
 * recipient, which stay the same from try to try, whichever host it is tried at.
 */
#ifndef MQW_PROBES_IIS_SMTP_IIS_SMTP_H
#define MQW_PROBES_IIS_SMTP_IIS_SMTP_H

#include "probes/probe.h"

extern const struct mqw_probe_ops mqw_probe_iis_smtp;

/* log.c */
struct mqw_probe *mqw_iis_smtp_create(const char *const *next_hops, size_t next_hop_count);
struct mqw_probe *mqw_iis_smtp_free(struct mqw_probe *p);
int mqw_iis_smtp_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
bool mqw_iis_smtp_is_mine(struct mqw_slice tag);
enum mqw_form mqw_iis_smtp_own_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret);

/* remedy.c */
void mqw_iis_smtp_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret);

#endif
