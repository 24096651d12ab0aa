/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One look into a mailroot on a share. */
#ifndef MQW_SHARE_MAILROOT_H
#define MQW_SHARE_MAILROOT_H

#include "probes/windows/mailroot_look.h"
#include "watchdogd/share/smb.h"

/* As mqw_mailroot_look(), of the folder that url names. */
int mqw_share_mailroot(const struct mqw_share_url *url, const struct mqw_credentials *credentials,
	const char *min_protocol, const struct mqw_mailroot_wish *wish, json_t **ret);

#endif
