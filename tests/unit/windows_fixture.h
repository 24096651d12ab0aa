/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of the logs of Windows servers, and the events that a probe makes of them, as text. */
#ifndef MQW_TESTS_UNIT_WINDOWS_FIXTURE_H
#define MQW_TESTS_UNIT_WINDOWS_FIXTURE_H

#include "probes/probe.h"
#include "probes/syslog/header.h"
#include "watchdogd/base/buffer.h"

static const struct mqw_probe_ops *ops;
static struct mqw_probe *probe;
static struct mqw_syslog_reader file; /* what the file being read said of itself */
static struct mqw_buffer got; /* events since the last time */
static int64_t got_time; /* of the last of them */
static bool got_doubtful;

static inline void show(const char *before, struct mqw_slice s)
{
	if (!s.ptr)
		return;
	mqw_buffer_add_str(&got, before);
	mqw_buffer_add_printable(&got, s);
}

static inline int emit(void *ctx, const struct mqw_event *e)
{
	(void)ctx;
	if (e->kind == MQW_EVENT_ATTEMPT)
		mqw_buffer_printf(&got, "%s", mqw_outcome_name(e->outcome));
	else
		mqw_buffer_add_str(&got, mqw_event_name(e->kind));
	show(" ", e->queue_id);
	if (e->kind != MQW_EVENT_ATTEMPT) {
		if (e->kind == MQW_EVENT_QUEUED)
			show(" from=", e->sender);
		show(" id=", e->message_id);
		show(" other=", e->other_id);
	}
	if (e->recipient.ptr)
		show(" to=", e->recipient);
	if (e->kind == MQW_EVENT_QUEUED && e->count)
		mqw_buffer_printf(&got, " count=%llu", (unsigned long long)e->count);
	if (e->code && e->kind == MQW_EVENT_ATTEMPT)
		mqw_buffer_printf(&got, " %d", e->code);
	if (e->status.len)
		show("/", e->status);
	if (e->relay.len)
		show(" at=", e->relay);
	if (e->reply.len)
		show(": ", e->reply);
	mqw_buffer_add_str(&got, "\n");
	got_time = e->time;
	got_doubtful = e->doubtful;
	return 0;
}

static inline void next_file(void)
{
	mqw_syslog_reader_next_file(&file, MQW_TIME_NONE);
}

static inline void begin(const struct mqw_probe_ops *mta)
{
	if (probe)
		ops->free(probe);
	ops = mta;
	probe = ops->create(NULL, 0);
	assert_non_null(probe);
	mqw_buffer_clear(&got);
	mqw_syslog_reader_init(&file, 0, MQW_TIME_NONE);
}

static inline int teardown(void **state)
{
	(void)state;
	probe = probe ? ops->free(probe) : NULL;
	mqw_buffer_done(&got);
	return 0;
}

/* What line() says of a raw line; -1000 when it is no line at all, -1001 when it is about others. */
static inline int give(struct mqw_slice raw)
{
	struct mqw_sink sink = {.emit = emit};
	struct mqw_line line = {.evidence = {.line = 1}};
	const struct mqw_probe_ops *mta = ops;
	enum mqw_form form = mqw_probe_parse(&mta, &file, raw, &line);

	if (form == MQW_FORM_NONE || form == MQW_FORM_HEAD)
		return form == MQW_FORM_NONE ? -1000 : -1001;
	return ops->line(probe, &line, &sink);
}

static inline int say(const char *raw)
{
	return give(mqw_slice_of(raw));
}

/* Events since the last time. */
#define assert_got(want)                                                                           \
	do {                                                                                       \
		assert_string_equal(mqw_buffer_str(&got), want);                                   \
		mqw_buffer_clear(&got);                                                            \
	} while (0)

#define NO_LINE (-1000)
#define ABOUT_OTHERS (-1001)

/* Noon of 2026-05-16, and so many seconds later. */
#define NOON(seconds) ((INT64_C(1778932800) + (seconds)) * MQW_SECOND)

#endif
