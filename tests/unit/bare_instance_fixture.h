/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An instance without a daemon, logs or a ledger around it, and a text for what it says. */
#ifndef MQW_TESTS_UNIT_BARE_INSTANCE_FIXTURE_H
#define MQW_TESTS_UNIT_BARE_INSTANCE_FIXTURE_H

#include "watchdogd/daemon/instance_internal.h"

static struct mqw_instance instance;
static struct mqw_buffer said;

#define assert_said(want)                                                                          \
	do {                                                                                       \
		assert_string_equal(mqw_buffer_str(&said), want);                                  \
		mqw_buffer_clear(&said);                                                           \
	} while (0)

/* Its log has been read to its end; ops has verdict and gap. */
static inline void make_instance(
	const struct mqw_tracker_options *options, struct mqw_tracker_ops ops)
{
	ops.forget = mqw_instance_forget;
	ops.ctx = &instance;
	instance = (struct mqw_instance){
		.last_line = MQW_TIME_NONE, .covered = MQW_TIME_NONE, .lost_from = MQW_TIME_NONE};
	instance.act.name = "outbound";
	instance.act.probe = mqw_probe_find(MQW_LIT("postfix"));
	instance.act.tracker = mqw_tracker_create(options, &ops, true);
	instance.act.caught_up = true;
	instance.probe = instance.act.probe->create(NULL, 0);
	instance.sink = (struct mqw_sink){.emit = mqw_instance_emit, .ctx = &instance};
	instance.logs[0].instance = &instance;
	instance.log_count = instance.log_open = 1;
	mqw_loss_reader_init(&instance.loss);
	mqw_syslog_reader_init(&instance.syslog, 0, MQW_TIME_NONE);
	assert_non_null(instance.act.tracker);
	assert_non_null(instance.probe);
}

#endif
