/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying files that others own. Not for inclusion outside this folder. */
#ifndef MQW_VAULT_COPY_H
#define MQW_VAULT_COPY_H

#include "watchdogd/base/slice.h"

/*
 * Copies size bytes from the beginning of one file to the empty other: shared blocks where the
 * file system can, within the kernel otherwise, by hand at last. -EAGAIN: the source became
 * shorter; or another negative errno.
 */
int mqw_copy_bytes(int from, int to, uint64_t size);

/* Copies the first size bytes of one file to the place at which the other one is written. */
int mqw_copy_append(int from, int to, uint64_t size);

#endif
