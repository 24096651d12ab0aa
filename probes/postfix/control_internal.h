/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What control.c and recover.c share. */
#ifndef MQW_PROBES_POSTFIX_CONTROL_INTERNAL_H
#define MQW_PROBES_POSTFIX_CONTROL_INTERNAL_H

#include "probes/control.h"
#include "probes/postfix/postfix.h"

/*
 * Runs one of Postfix's programs on this instance's configuration: PROGRAM [-c DIR] ARGUMENTS.
 * 0 when it ended with status 0; otherwise a negative errno (-EAGAIN when the mail system is down,
 * -EIO for other exit statuses) and a sentence. The caller frees ret by mqw_process_done() in any
 * case.
 */
int mqw_postfix_command(const struct mqw_control *c, const char *program,
	const char *const *arguments, struct mqw_process *ret, char *ret_text, size_t size);

int mqw_postfix_healthy(const struct mqw_control *c, char *ret_text, size_t size);

#endif
