/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon reads queues and logs that belong to others, and nothing more: it runs as a user of
 * its own with the one capability CAP_DAC_READ_SEARCH. Under systemd the unit sees to that; where
 * it is started by root, it does so itself.
 */
#ifndef MQW_DAEMON_PRIVILEGES_H
#define MQW_DAEMON_PRIVILEGES_H

/*
 * Started as root: becomes user with its groups, keeps that one capability, for good. Started as
 * another user: nothing to do. 0; -ENOENT: no such user; or another negative errno.
 */
int mqw_privileges_drop(const char *user);

#endif
