/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * systemd's units over D-Bus, as far as the helper restarts them and looks at them. The bus is the
 * caller's; every call is bounded in time. Each writes one sentence to ret_text.
 */
#ifndef MQW_HELPER_SERVICE_H
#define MQW_HELPER_SERVICE_H

#include <systemd/sd-bus.h>

#include "watchdogd/base/buffer.h"

/* 1 when systemd knows the unit, 0 when not (or it is masked), or a negative errno. */
int mqw_service_exists(sd_bus *bus, const char *unit, struct mqw_buffer *ret_text);

/*
 * Restarts a unit and waits until the job has ended, at most timeout microseconds, and the unit is
 * active. 0; -ENOENT no such unit; -EPERM when the unit is only a shell of others (oneshot, and
 * runs nothing but true(1), as Debian's postfix.service): restarting it says nothing, and the text
 * names the real ones, or hint (may be NULL); -EIO when the job or the unit failed; -ETIMEDOUT.
 */
int mqw_service_restart(sd_bus *bus, const char *unit, const char *hint, int64_t timeout,
	struct mqw_buffer *ret_text);

/* 0 active; 1 a shell, which is active whatever happens; -ESRCH not active; -ENOENT; others. */
int mqw_service_healthy(sd_bus *bus, const char *unit, struct mqw_buffer *ret_text);

#endif
