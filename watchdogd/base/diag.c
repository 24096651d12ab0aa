/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* vasprintf */
#include "watchdogd/base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void mqw_diag_add(
	struct mqw_diag *d, const char *file, size_t line, size_t column, const char *format, ...)
{
	va_list ap;
	char *message = NULL;
	int n;

	if (d->count++ >= MQW_DIAG_MAX)
		return;
	va_start(ap, format);
	n = vasprintf(&message, format, ap);
	va_end(ap);
	if (file)
		mqw_buffer_add_printable(&d->text, mqw_slice_of(file));
	if (line)
		mqw_buffer_printf(&d->text, "%s%zu:%zu", file ? ":" : "", line, column);
	if (file || line)
		mqw_buffer_add_str(&d->text, ": ");
	mqw_buffer_add_printable(
		&d->text, n < 0 ? MQW_LIT("out of memory") : mqw_slice_of(message));
	mqw_buffer_add_str(&d->text, "\n");
	if (n >= 0)
		free(message);
}

void mqw_diag_done(struct mqw_diag *d)
{
	mqw_buffer_done(&d->text);
	d->count = 0;
}
