/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the copies of all instances together to the size and age that the configuration allows:
 * first those of settled messages go, the oldest first, then the oldest of all. That a copy of a
 * message which is not settled had to go is said, but not for each.
 */
#ifndef MQW_DAEMON_VAULT_LIMITS_H
#define MQW_DAEMON_VAULT_LIMITS_H

#include "watchdogd/act/act.h"

struct mqw_vault_limits {
	uint64_t size; /* bytes */
	int64_t age; /* since the source changed last */
	uint64_t largest; /* bytes of one message: more is not kept */
	int64_t looked_at; /* for age */
	/* Since when copies of messages that are not settled went; MQW_TIME_NONE not at present. */
	int64_t said_at;
	uint64_t unsaid; /* of them, since */
	int64_t floor; /* files that did not change since are not copied again; MQW_TIME_NONE all are */
};

void mqw_vault_limits_init(struct mqw_vault_limits *l, uint64_t size, int64_t age);

/* Whether a copy would stay of a file that changed last at that time. */
bool mqw_vault_limits_allow(const struct mqw_vault_limits *l, int64_t changed_at, int64_t now);

/*
 * Call once a second. Looks at the files only where the vault is too large, or now and then for
 * their age. An instance whose log and queue are not read yet (caught_up false) is left alone.
 */
void mqw_vault_limits_keep(struct mqw_vault_limits *l,
	const struct mqw_act_instance *const *instances, size_t count, int64_t now);

#endif
