/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether an SMTP server greets and answers: in a child process, so that nothing waits. */
#ifndef MQW_ACT_SMTP_CHECK_H
#define MQW_ACT_SMTP_CHECK_H

#include <stdbool.h>
#include <systemd/sd-event.h>

/*
 * Starts one check of "host:port" with a limit of five seconds; done() is called from the loop
 * with the outcome. SIGCHLD must be blocked, as sd-event wants it. 0 or a negative errno.
 */
int mqw_smtp_check(
	sd_event *loop, const char *address, void (*done)(void *ctx, bool greets), void *ctx);

#endif
