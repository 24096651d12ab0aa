/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Diagnostics: what is wrong with something a person wrote, with its place, gathered so that all
 * faults are shown at once. Used for the configuration, the rules and the command line.
 */
#ifndef MQW_BASE_DIAG_H
#define MQW_BASE_DIAG_H

#include <stddef.h>

#include "watchdogd/base/buffer.h"

#define MQW_DIAG_MAX 20 /* further ones are counted, not kept */

struct mqw_diag {
	struct mqw_buffer text; /* "file:line:column: message\n" each */
	size_t count; /* all that were reported */
};

/*
 * Adds one. line and column count from 1; line 0 leaves both out. The message is a printf format
 * without the trailing newline; arguments that hold untrusted text are made printable here.
 */
void mqw_diag_add(struct mqw_diag *d, const char *file, size_t line, size_t column,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

void mqw_diag_done(struct mqw_diag *d);

#endif
