/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only the probes know of a configuration: fits mqw_rules_load_file(). */
#ifndef MQW_PROBES_CHECK_H
#define MQW_PROBES_CHECK_H

struct mqw_config;
struct mqw_faults;

/* Adds a fault for each instance whose type is no probe's name. */
void mqw_probes_check(const struct mqw_config *c, struct mqw_faults *f);

#endif
