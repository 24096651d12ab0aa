/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exchange/exchange.h"
#include "probes/windows/mailroot.h"

static const char *const services[] = {"MSExchangeTransport", "SMTPSVC", NULL};

/*
 * Defaults of all versions: a message expires after 2 days. Retries come after 15, 30, 60 and then
 * 240 minutes on Windows 2003, sooner since.
 */
const struct mqw_probe_ops mqw_probe_exchange = {
	.name = "exchange",
	/* No log and no unit of it is on this host. */
	.default_log = NULL,
	.default_unit = "smtpsvc.service",
	.windows_services = services,
	.restart_advice = "On Exchange 2000 and 2003 the store may hold them (KB941060): restart "
			  "MSExchangeIS there by hand",
	.default_lifetime = 2 * MQW_DAY,
	.default_retry_max = 4 * MQW_HOUR,
	.removal_unlogged = true,
	.create = mqw_exchange_create,
	.free = mqw_exchange_free,
	.resume = mqw_exchange_resume,
	.line = mqw_exchange_line,
	.server = mqw_exchange_server,
	.own_form = mqw_exchange_own_form,
	.log_name = mqw_exchange_log_name,
	.is_mine = mqw_exchange_is_mine,
	.queue_directories = mqw_mailroot_directories,
	.queue_name = mqw_mailroot_name,
	.queue_file = mqw_mailroot_file,
	.files_unlogged = true,
	.in_other_queue = mqw_mailroot_in_other_queue,
	.valid_id = mqw_mailroot_valid_id,
	.is_genuine = mqw_windows_is_genuine,
	.remedy = mqw_exchange_remedy,
};
