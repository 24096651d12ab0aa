/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/postfix/postfix.h"

/* Defaults of Postfix 3.7: maximal_queue_lifetime 5d, maximal_backoff_time 4000s (postconf(5)). */
const struct mqw_probe_ops mqw_probe_postfix = {
	.name = "postfix",
	.default_log = "/var/log/mail.log",
	.default_unit = "postfix@-.service",
	.default_lifetime = 5 * MQW_DAY,
	.default_retry_max = 4000 * MQW_SECOND,
	.create = mqw_postfix_log_create,
	.free = mqw_postfix_log_free,
	.line = mqw_postfix_line,
	.is_mine = mqw_postfix_is_mine,
	.queue_directories = mqw_postfix_queue_directories,
	.queue_name = mqw_postfix_queue_name,
	.valid_id = mqw_postfix_valid_id,
	.queue_file = mqw_postfix_queue_file,
	.ask = mqw_postfix_ask,
	.control = &mqw_postfix_control,
	.remedy = mqw_postfix_remedy,
};
