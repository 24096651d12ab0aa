/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/sendmail/sendmail.h"

/*
 * Timeout.queuereturn is 5d by default. How often the queue is run is the daemon's -q option: 10m
 * on Debian, 1h on Red Hat.
 */
const struct mqw_probe_ops mqw_probe_sendmail = {
	.name = "sendmail",
	.default_log = "/var/log/mail.log",
	.default_unit = "sendmail.service",
	.default_lifetime = 5 * MQW_DAY,
	.default_retry_max = MQW_HOUR,
	.removal_unlogged = true,
	.create = mqw_sendmail_log_create,
	.free = mqw_sendmail_log_free,
	.line = mqw_sendmail_line,
	.is_mine = mqw_sendmail_is_mine,
	.valid_id = mqw_sendmail_valid_id,
	.remedy = mqw_sendmail_remedy,
};
