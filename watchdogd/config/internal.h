/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files that read the configuration, and by nothing else. */
#ifndef MQW_CONFIG_INTERNAL_H
#define MQW_CONFIG_INTERNAL_H

#include "watchdogd/config/config.h"
#include "watchdogd/config/faults.h"
#include "watchdogd/config/yaml.h"

/* Checks for the schema: NULL when good, else what is allowed. */
const char *mqw_config_check_name(struct mqw_slice s);
const char *mqw_config_check_path(struct mqw_slice s);
const char *mqw_config_check_relay(struct mqw_slice s); /* alerts.c */

/* alerts.c: the mapping under `alerts:`. 0 also where there are faults; -ENOMEM. */
int mqw_config_read_alerts(
	struct mqw_config *c, const struct mqw_yaml_node *map, struct mqw_faults *f);

#endif
