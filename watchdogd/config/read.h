/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reading of a configuration in two steps, for a check that shows the faults of the layers
 * above (the rules) in the same list. Programs that only want a configuration use config.h.
 */
#ifndef MQW_CONFIG_READ_H
#define MQW_CONFIG_READ_H

#include "watchdogd/config/config.h"
#include "watchdogd/config/faults.h"

/*
 * The bytes of a configuration file that may be trusted: regular, at most 1 MiB, owned by root or
 * by the user who reads it, writable for no group and not for all. 0, -EPERM where it is not to be
 * trusted, or another negative errno; the reason is in f. The buffer is the caller's to end.
 */
int mqw_config_file_read(const char *path, struct mqw_buffer *ret, struct mqw_faults *f);

/*
 * Reads text as far as it goes: *ret may be incomplete where f has faults, and is for
 * mqw_config_free() in any case. -EINVAL when it is no YAML at all, -ENOMEM; then *ret is untouched.
 */
int mqw_config_read(
	struct mqw_slice text, const char *path, struct mqw_config **ret, struct mqw_faults *f);

#endif
