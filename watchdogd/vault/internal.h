/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the files of the vault, and by nothing else. A copy of one file is QUEUE_ID; of a
 * message that is several files QUEUE_ID is the one with the envelope, and the further ones are
 * QUEUE_ID.1, QUEUE_ID.2 and so on: so a body that stays the same while its envelope changes is
 * copied once, and each file can share its blocks with the source.
 */
#ifndef MQW_VAULT_INTERNAL_H
#define MQW_VAULT_INTERNAL_H

#include "watchdogd/base/bundle.h"
#include "watchdogd/vault/vault.h"

#define MQW_VAULT_NAME_MAX 64

/* Behind names: none is ever taken for a copy, as no queue id has a dot. */
#define MQW_VAULT_TEMPORARY ".new"
#define MQW_VAULT_RECOVER ".recover"
#define MQW_VAULT_DONE ".done"

struct mqw_vault {
	int dir;
	bool flush; /* each copy is on the disk before it counts */
	uint64_t size; /* bytes of all copies, the files for recovery not counted */
};

struct mqw_vault_name {
	char text[MQW_VAULT_NAME_MAX + sizeof(".1" MQW_VAULT_RECOVER)];
};

/* Whether s is a name of the vault: letters and digits, and not first also those in `also`. */
bool mqw_vault_is_name(struct mqw_slice s, const char *also);

/* The n-th file of a copy, 0 the one with the envelope, with a suffix. False for no queue id. */
bool mqw_vault_make_name(
	struct mqw_slice queue_id, size_t n, const char *suffix, struct mqw_vault_name *ret);

/* A new empty file of that name. Its descriptor, or a negative errno. */
int mqw_vault_make_file(struct mqw_vault *v, const char *name);

/*
 * Ends the making of a file, and closes it: under its name when r says that all went well, gone
 * otherwise. flush: with its bytes and its name on the disk. counted: it is a copy, or a part of one.
 */
int mqw_vault_settle(struct mqw_vault *v, int fd, const struct mqw_vault_name *from,
	const struct mqw_vault_name *to, bool flush, bool counted, int r);

/* The size of a file, 0 when it is not there. */
uint64_t mqw_vault_size_of(const struct mqw_vault *v, const char *name);

#endif
