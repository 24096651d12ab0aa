/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon reads queues and logs that belong to others, and nothing more: it runs as a user of
 * its own with the one capability CAP_DAC_READ_SEARCH. Under systemd the unit sees to that; where
 * it is started by root, it does so itself.
 */
#ifndef MQW_DAEMON_PRIVILEGES_H
#define MQW_DAEMON_PRIVILEGES_H

#include <stdbool.h>

#include "watchdogd/base/syscalls.h"

struct mqw_config;

/*
 * Started as root: becomes user with its groups, keeps that one capability, for good. In any case
 * programs that the daemon runs get no capability of it. 0; -ENOENT: no such user; or another
 * negative errno.
 */
int mqw_privileges_drop(const char *user);

/* Whether something in the configuration needs programs to be run after the start. */
bool mqw_privileges_runs_programs(const struct mqw_config *c);

/*
 * Once everything is open: gives up the system calls that the watch does not need. 0, or what
 * mqw_syscalls_confine() says; without a filter it is no worse than before.
 */
int mqw_privileges_confine(bool runs_programs, enum mqw_filter filter);

#endif
