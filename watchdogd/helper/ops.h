/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The closed list of what the helper does, and the checks before each. */
#ifndef MQW_HELPER_OPS_H
#define MQW_HELPER_OPS_H

#include <sys/types.h>

#include "watchdogd/base/buffer.h"
#include "watchdogd/base/syscalls.h"
#include "watchdogd/helper/wire.h"

struct mqw_helper_policy {
	const char *config_path; /* read anew for each request */
	uid_t vault_owner; /* whose files RECOVER takes, besides root's */
	/*
	 * Of the serving process: first down to what any operation may need; then, for those that
	 * run no program, down to what is left. Cannot be undone: a process for each request.
	 */
	enum mqw_filter filter;
};

/*
 * Does what a request of the right size, magic and version asks, or refuses it: unknown op,
 * malformed field, instance that the configuration does not name, id that the MTA would not give,
 * mode observe. Adds one sentence to ret_text, which may hold a stranger's bytes. Blocks, at most
 * about two minutes.
 */
enum mqw_helper_status mqw_helper_perform(const struct mqw_helper_policy *policy,
	const struct mqw_helper_request *request, struct mqw_buffer *ret_text);

#endif
