/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * systemd's units over D-Bus, as far as the helper restarts them and looks at them. The bus is the
 * caller's; every call is bounded in time. Each writes one sentence to ret_text.
 */
#ifndef MQW_HELPER_SERVICE_H
#define MQW_HELPER_SERVICE_H

#include <systemd/sd-bus.h>

#include "watchdogd/base/buffer.h"

/*
 * A connection to systemd: for root its own socket, as systemctl does it, which is there when the
 * message bus is not; else the system bus. 0 and *ret, or a negative errno: no systemd here.
 */
int mqw_service_open(sd_bus **ret);

/*
 * The unit to restart, of at most size bytes: the configured one (NULL: none), or else the MTA's
 * usual one (NULL: none), or that without "@-" where a distribution has no instances (Debian's
 * postfix@-.service is postfix.service elsewhere). 1 and the unit, 0 when there is none (it is
 * missing or masked), or a negative errno.
 */
int mqw_service_find(sd_bus *bus, const char *configured, const char *usual, char *ret, size_t size,
	struct mqw_buffer *ret_text);

/*
 * Restarts a unit and waits until the job has ended, at most timeout microseconds, and the unit is
 * active. 0; -ENOENT no such unit, or masked; -EPERM when it is not ours to restart: it is only a
 * shell of others (oneshot, and runs nothing but true(1), as Debian's postfix.service; the text
 * names the real ones, or hint, which may be NULL), somebody stopped it, or systemd would refuse
 * the start by the unit's start limit; -EIO when the job or the unit failed; -ETIMEDOUT.
 */
int mqw_service_restart(sd_bus *bus, const char *unit, const char *hint, int64_t timeout,
	struct mqw_buffer *ret_text);

/* 0 active; 1 a shell, which is active whatever happens; -ESRCH not active; -ENOENT; others. */
int mqw_service_healthy(sd_bus *bus, const char *unit, struct mqw_buffer *ret_text);

/*
 * Whether a restart would be refused as things are: 0 no, 1 yes, and why, or a negative errno, and
 * what systemd did not tell. Changes nothing; for anybody who may read from the bus.
 */
int mqw_service_advise(
	sd_bus *bus, const char *unit, const char *hint, struct mqw_buffer *ret_text);

#endif
