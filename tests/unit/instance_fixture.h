/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A whole instance: a written log, a real ledger and loop, and what it says of its messages. */
#ifndef MQW_TESTS_UNIT_INSTANCE_FIXTURE_H
#define MQW_TESTS_UNIT_INSTANCE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/track/memory.h"

static char dir[64], log_path[96], ledger_path[96];
static const char *const log_paths[] = {log_path, NULL};
static struct mqw_instance_config config = {
	.name = "out", .type = "postfix", .logs = log_paths, .log_count = 1};
static sd_event *event;
static struct mqw_dirwatch *dirwatch;
static struct mqw_ledger *ledger;
static struct mqw_act *act;
static struct mqw_rules *rules;
static struct mqw_config *rules_config;
static struct mqw_instance *instance;

static inline int instance_setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-instance-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(log_path, sizeof(log_path), "%s/mail.log", dir);
	snprintf(ledger_path, sizeof(ledger_path), "%s/ledger.db", dir);
	config.lifetime = 5 * MQW_DAY;
	config.min_lifetime = 4 * MQW_HOUR;
	config.slack = 2 * MQW_HOUR;
	return 0;
}

static inline void start(void)
{
	const char *text = "version: 1\ninstances: [{name: out, type: postfix}]\n";
	struct mqw_diag faults = {0};
	struct mqw_instance_host host = {
		.rules = &rules, .state_directory = dir, .keep = MQW_KEEP_NONE};

	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(mqw_dirwatch_create(event, 3600 * MQW_SECOND, &dirwatch), 0);
	assert_int_equal(mqw_ledger_open(ledger_path, &ledger, NULL), 0);
	act = mqw_act_create(event, ledger, "/nonexistent/helper.sock");
	assert_non_null(act);
	assert_int_equal(mqw_config_parse(mqw_slice_of(text), "x.yaml", &rules_config, &faults), 0);
	assert_int_equal(mqw_rules_load(rules_config, &rules, &faults), 0);
	host.event = event;
	host.dirwatch = dirwatch;
	host.ledger = ledger;
	host.act = act;
	assert_int_equal(mqw_instance_open(&config, &host, &instance), 0);
}

/* As after a kill: what was not kept is gone. */
static inline void stop(void)
{
	instance = mqw_instance_free(instance);
	act = mqw_act_free(act);
	ledger = mqw_ledger_close(ledger);
	dirwatch = mqw_dirwatch_free(dirwatch);
	rules = mqw_rules_free(rules);
	rules_config = mqw_config_free(rules_config);
	event = sd_event_unref(event);
}

static inline int instance_teardown(void **state)
{
	char command[128];

	(void)state;
	stop();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* Reads the log to its end, and lets a second pass. */
static inline void catch_up(void)
{
	uint64_t work = 0;

	for (int turn = 0; turn < 10000; turn++) {
		assert_true(sd_event_run(event, 50000) >= 0);
		if (mqw_instance_parts(instance)->caught_up &&
			!mqw_instance_logs_busy(instance, &work))
			break;
	}
	assert_true(mqw_instance_parts(instance)->caught_up);
	mqw_instance_tick(instance, mqw_clock_now());
}

static inline void run(void)
{
	start();
	catch_up();
	assert_int_equal(mqw_instance_keep(instance), 0);
}

/* A line of the log, stamped so many seconds ago. */
static inline void logged(int64_t ago, const char *tag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline void logged(int64_t ago, const char *tag, const char *format, ...)
{
	FILE *f = fopen(log_path, "a");
	struct mqw_buffer stamp = {0};
	va_list ap;

	assert_non_null(f);
	mqw_time_format(&stamp, mqw_clock_now() - ago * MQW_SECOND);
	fprintf(f, "%s mx %s[7]: ", mqw_buffer_str(&stamp), tag);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fputc('\n', f);
	fclose(f);
	mqw_buffer_done(&stamp);
}

static inline void was_accepted(int64_t ago, const char *id)
{
	logged(ago, "postfix/smtpd", "%s: client=localhost[127.0.0.1]", id);
	logged(ago, "postfix/cleanup", "%s: message-id=<%s@example.com>", id, id);
	logged(ago, "postfix/qmgr", "%s: from=<a@example.com>, size=373, nrcpt=1 (queue active)",
		id);
}

static inline void was_deferred(int64_t ago, const char *id)
{
	logged(ago, "postfix/smtp",
		"%s: to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		"dsn=4.7.1, status=deferred (host mx[192.0.2.1] said: 451 4.7.1 later (in reply to "
		"RCPT TO command))",
		id);
}

static inline void was_delivered(int64_t ago, const char *id)
{
	logged(ago, "postfix/smtp",
		"%s: to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=9, delays=0/0/0/9, "
		"dsn=2.0.0, status=sent (250 2.0.0 Ok)",
		id);
	logged(ago, "postfix/qmgr", "%s: removed", id);
}

/* "ID VERDICT CONFIDENCE\n" of each recipient of each message, in order of opening. */
static inline char *verdicts(void)
{
	struct mqw_tracker *t = mqw_instance_parts(instance)->tracker;
	struct mqw_buffer b = {0};

	mqw_buffer_add_str(&b, "");
	for (const struct mqw_message *m = mqw_tracker_next(t, NULL); m; m = mqw_tracker_next(t, m))
		for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
			struct mqw_judgement j = mqw_tracker_judge(t, m, r);

			mqw_buffer_printf(&b, "%s %s %s: %s\n", m->queue_id,
				mqw_verdict_name(j.verdict), mqw_confidence_name(j.confidence),
				j.reason);
		}
	assert_false(b.failed);
	return b.ptr ? b.ptr : strdup("");
}

#endif
