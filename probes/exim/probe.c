/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exim/exim.h"

/* Lifetime and longest pause of Debian's and the shipped retry rule: F,2h,15m; G,16h,1h,1.5; F,4d,6h. */
const struct mqw_probe_ops mqw_probe_exim = {
	.name = "exim",
	.default_log = "/var/log/exim4/mainlog",
	.default_unit = "exim4.service",
	.default_lifetime = 4 * MQW_DAY,
	.default_retry_max = 6 * MQW_HOUR,
	.create = mqw_exim_log_create,
	.free = mqw_exim_log_free,
	.line = mqw_exim_line,
	.own_form = mqw_exim_own_form,
	.is_mine = mqw_exim_is_mine,
	.valid_id = mqw_exim_valid_id,
	.remedy = mqw_exim_remedy,
};
