/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One systemd unit as the helper sees it: its state, and whether it is ours to restart. Shared by
 * the files of helper/ that deal with units, and by nothing else.
 */
#ifndef MQW_HELPER_UNIT_H
#define MQW_HELPER_UNIT_H

#include <systemd/sd-bus.h>

#include "watchdogd/base/buffer.h"

#define MQW_SYSTEMD "org.freedesktop.systemd1"
#define MQW_SYSTEMD_PATH "/org/freedesktop/systemd1"
#define MQW_SYSTEMD_MANAGER MQW_SYSTEMD ".Manager"

/* The strings are those of systemd's D-Bus interface, owned; times are of CLOCK_MONOTONIC. */
struct mqw_unit {
	const char *name; /* borrowed */
	char *path; /* of its object */
	char *load_state, *active_state, *sub_state, *result;
	bool shell; /* oneshot, and runs nothing but true(1) */
	uint64_t left_inactive_at; /* 0: not since the boot */
	uint64_t started_at; /* its main process, last; 0 never */
	uint64_t changed_at; /* when active_state became what it is */
	uint64_t limit_interval; /* of StartLimitIntervalSec=; 0 none */
	uint32_t limit_burst;
	uint32_t restarts; /* by Restart=, since somebody started it last */
};

/* 0 and the unit, for mqw_unit_done(); -ENOENT when it cannot be used; or another negative errno. */
int mqw_unit_load(sd_bus *bus, const char *name, struct mqw_unit *ret, struct mqw_buffer *text);
void mqw_unit_done(struct mqw_unit *u);

/* Without a bus in between (systemd's private socket, tests) nobody has a name: NULL. */
const char *mqw_unit_destination(sd_bus *bus);

bool mqw_unit_is_active(const struct mqw_unit *u);

/*
 * Whether a restart is ours to ask for: 0, or -EPERM and why not. Not what somebody stopped, or is
 * stopping just now; not a shell (hint, may be NULL, is a unit that could be meant); and not where
 * systemd would refuse the start by the unit's start limit: a restart stops first, and the service
 * would stay down. now: of CLOCK_MONOTONIC, in microseconds.
 */
int mqw_unit_may_restart(sd_bus *bus, const struct mqw_unit *u, const char *hint, uint64_t now,
	struct mqw_buffer *text);

/* Adds the command that makes systemd forget the starts it has counted. */
void mqw_unit_add_reset(const struct mqw_unit *u, struct mqw_buffer *text);

#endif
