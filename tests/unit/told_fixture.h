/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people are told, in a text instead of the journal: in the place of alert.c. */
#ifndef MQW_TESTS_UNIT_TOLD_FIXTURE_H
#define MQW_TESTS_UNIT_TOLD_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/base/buffer.h"

/* A line each; to be cleared and freed by the test. */
static struct mqw_buffer told;

bool mqw_alert_send(const struct mqw_alert *a)
{
	mqw_buffer_printf(&told, "%s\n", a->text);
	return true;
}

void mqw_alert_say(
	enum mqw_alert_kind kind, int priority, const char *name, const char *format, ...)
{
	va_list ap;
	char text[2000];

	(void)kind;
	(void)priority;
	(void)name;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	mqw_buffer_printf(&told, "%s\n", text);
}

#define assert_told(words)                                                                         \
	do {                                                                                       \
		if (!strstr(mqw_buffer_str(&told), words))                                         \
			fail_msg("not \"%s\" but: %s", words, mqw_buffer_str(&told));              \
	} while (0)

#define assert_not_told(words)                                                                     \
	do {                                                                                       \
		if (strstr(mqw_buffer_str(&told), words))                                          \
			fail_msg("\"%s\" in: %s", words, mqw_buffer_str(&told));                   \
	} while (0)

#endif
