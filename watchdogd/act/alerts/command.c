/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An alert to a program: an argument vector, no shell, JSON on standard input. */
#include <stdio.h>
#include <sys/prctl.h>

#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/base/process.h"

#define OUTPUT_MAX 4096

static void say_result(const struct mqw_process *p, int r, struct mqw_delivery *d)
{
	struct mqw_slice said = mqw_process_complaint(p);
	struct mqw_buffer text = {0};

	if (r < 0)
		mqw_buffer_printf(&text, "%s: %s", p->argv[0],
			strerror(-r)); /* -ETIMEDOUT: killed at its limit */
	else
		mqw_buffer_printf(&text, "%s ended with status %d", p->argv[0], p->status);
	if (r == 0 && said.len) {
		mqw_buffer_add_str(&text, ": ");
		mqw_buffer_add(&text, said);
	}
	mqw_delivery_say(d, mqw_buffer_slice(&text));
	mqw_buffer_done(&text);
}

void mqw_deliver_command(
	const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *d)
{
	struct mqw_process p = {
		.argv = c->command, .timeout = c->timeout, .max_output = OUTPUT_MAX};
	struct mqw_buffer input = {0};
	int r;

	mqw_json_add(&input, notice);
	mqw_buffer_add_str(&input, "\n");
	if (input.failed) {
		mqw_delivery_say(d, MQW_LIT("out of memory"));
	} else {
		p.input = mqw_buffer_slice(&input);
		/* The daemon may read all mail; what it runs may not. */
		prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
		r = mqw_process_run(&p);
		d->accepted = r == 0 && p.status == 0;
		say_result(&p, r, d);
	}
	mqw_process_done(&p);
	mqw_buffer_done(&input);
}
