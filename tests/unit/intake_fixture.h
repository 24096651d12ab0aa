/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An instance without a daemon around it, lines for its log, and what it says of its messages. */
#ifndef MQW_TESTS_UNIT_INTAKE_FIXTURE_H
#define MQW_TESTS_UNIT_INTAKE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare_instance_fixture.h"
#include "probes/source/reader.h"

#define ID "4F3AB1234"

static inline void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx, (void)m, (void)r, (void)previous;
	mqw_buffer_printf(
		&said, "%s(%s) ", mqw_verdict_name(j->verdict), mqw_confidence_name(j->confidence));
}

static inline void on_gap(void *ctx, const struct mqw_event *gap)
{
	(void)ctx, (void)gap;
	mqw_buffer_add_str(&said, "gap ");
}

static inline int setup(void **state)
{
	struct mqw_tracker_options options = mqw_tracker_defaults();

	(void)state;
	make_instance(&options, (struct mqw_tracker_ops){.verdict = on_verdict, .gap = on_gap});
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	mqw_tracker_free(instance.act.tracker);
	instance.act.probe->free(instance.probe);
	mqw_buffer_done(&said);
	return 0;
}

/* A line of the log, stamped so many seconds ago. */
static inline void logged_as(int64_t ago, const char *tag, const char *text)
{
	struct mqw_buffer line = {0};
	struct mqw_raw_line raw = {0};

	mqw_time_format(&line, mqw_clock_now() - ago * MQW_SECOND);
	mqw_buffer_printf(&line, " mx %s[1]: %s", tag, text);
	raw.text = mqw_buffer_slice(&line);
	mqw_instance_source_ops.line(&instance.logs[0], &raw, (struct mqw_evidence){0});
	mqw_buffer_done(&line);
}

static inline void logged(int64_t ago, const char *program, const char *text)
{
	char tag[64];

	snprintf(tag, sizeof(tag), "postfix/%s", program);
	logged_as(ago, tag, text);
}

static inline void deferred(int64_t ago)
{
	logged(ago, "smtpd", ID ": client=localhost[127.0.0.1]");
	logged(ago, "qmgr", ID ": from=<a@example.com>, size=373, nrcpt=1 (queue active)");
	logged(ago, "smtp",
		ID ": to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		   "dsn=4.7.1, status=deferred (host mx[192.0.2.1] said: 451 4.7.1 later "
		   "(in reply to RCPT TO command))");
	assert_said("pending(probable) ");
}

#endif
