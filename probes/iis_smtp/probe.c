/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/iis_smtp/iis_smtp.h"
#include "probes/windows/form.h"
#include "probes/windows/mailroot.h"
#include "probes/windows/smtp_log.h"

static const char *const services[] = {"SMTPSVC", NULL};

/* Defaults of Windows 2003: expiry after 2 days, retries after 15, 30, 60 and then 240 minutes. */
const struct mqw_probe_ops mqw_probe_iis_smtp = {
	.name = "iis-smtp",
	/* No log and no unit of it is on this host. */
	.default_log = NULL,
	.default_unit = "smtpsvc.service",
	.windows_services = services,
	.default_lifetime = 2 * MQW_DAY,
	.default_retry_max = 4 * MQW_HOUR,
	.removal_unlogged = true,
	.answers_alone = true,
	.create = mqw_iis_smtp_create,
	.free = mqw_iis_smtp_free,
	.line = mqw_iis_smtp_line,
	.server = mqw_windows_smtp_server,
	.own_form = mqw_iis_smtp_own_form,
	.log_name = mqw_windows_smtp_name,
	.is_mine = mqw_iis_smtp_is_mine,
	.queue_directories = mqw_mailroot_directories,
	.queue_name = mqw_mailroot_name,
	.queue_file = mqw_mailroot_file,
	.files_unlogged = true,
	.in_other_queue = mqw_mailroot_in_other_queue,
	.valid_id = mqw_mailroot_valid_id,
	.is_genuine = mqw_windows_is_genuine,
	.remedy = mqw_iis_smtp_remedy,
};
