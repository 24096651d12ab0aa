/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* sched_getaffinity */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "watchdogd/cli/commands.h"
#include "watchdogd/cli/options.h"
#include "watchdogd/cli/queue_check.h"
#include "watchdogd/cli/reading.h"
#include "watchdogd/cli/report.h"

struct scan {
	struct mqw_cli_options options;
	struct mqw_fileset files;
	struct mqw_reading reading;
	struct mqw_report report;
	struct mqw_buffer queue_errors;
	struct mqw_tracker *tracker;
	struct mqw_queue_snapshot *queue; /* NULL: none was asked for, or it cannot be read */
	bool out_of_memory;
	uint64_t trouble;
	uint64_t left_out[MQW_VERDICT_COUNT]; /* verdicts on messages before --since */
};

static void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	struct scan *s = ctx;

	(void)previous;
	if (s->options.since != MQW_TIME_NONE && m->last_seen < s->options.since) {
		s->left_out[j->verdict]++;
		return;
	}
	s->trouble += mqw_verdict_is_trouble(j->verdict);
	/* "unknown" is shown always: it may be a loss, and the reader has to know where it hides. */
	if (s->options.all || mqw_verdict_is_trouble(j->verdict) ||
		j->verdict == MQW_VERDICT_UNKNOWN)
		mqw_report_verdict(&s->report, m, r, j);
}

static void on_gap(void *ctx, const struct mqw_event *gap)
{
	struct scan *s = ctx;

	mqw_report_gap(&s->report, gap);
}

static void on_time(void *ctx, int64_t now)
{
	mqw_tracker_tick(ctx, now);
}

static struct mqw_tracker_options tracker_options(const struct scan *s)
{
	struct mqw_tracker_options o = mqw_cli_tracker_options(&s->options);

	/* What --since leaves out has to be told, to be counted. */
	o.quiet = !s->options.all && s->options.since == MQW_TIME_NONE;
	return o;
}

/*
 * Before the log's lines are followed, as soon as it is known whose queue it is. What cannot be
 * read has been noted.
 */
static void look_at_queue(struct scan *s)
{
	int r = 0;

	if (s->options.queue && s->options.mta)
		r = mqw_queue_snapshot_take(s->options.mta, s->options.queue, mqw_clock_now(),
			&s->queue, &s->queue_errors);
	s->out_of_memory = r == -ENOMEM;
}

/* Lifetime and retry times are the MTA's. */
static void on_recognised(void *ctx, const struct mqw_probe_ops *mta)
{
	struct scan *s = ctx;
	struct mqw_tracker_options options;

	s->options.mta = mta;
	options = tracker_options(s);
	mqw_tracker_set_options(s->tracker, &options);
	look_at_queue(s);
}

static void print_help(void)
{
	printf("usage: mailq-watchdog scan [OPTION...] FILE|DIR|-|journal...\n\n"
	       "Reads mail logs (plain, .gz, .xz, .zst, .bz2; rotated sets in their order; the\n"
	       "systemd journal, or journal:DIR for journal files elsewhere) and prints each\n"
	       "recipient in trouble: vanished, false_ndr, overdue, lost_downstream.\n\n%s\n"
	       "Exit status: 0 nothing in trouble, 1 at least one recipient in trouble,\n"
	       "2 usage or an input could not be read.\n",
		mqw_cli_options_help);
}

static void print_errors(const struct mqw_buffer *errors)
{
	struct mqw_slice rest = mqw_buffer_slice(errors), line;

	while (mqw_slice_take_until(&rest, '\n', &line))
		fprintf(stderr, "mailq-watchdog: %.*s\n", (int)line.len, line.ptr);
}

/* What the tracker counted, less what --since left out. */
static struct mqw_tracker_counts counts_of(const struct scan *s)
{
	struct mqw_tracker_counts c = *mqw_tracker_counts(s->tracker);

	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++) {
		c.verdicts[v] -= s->left_out[v];
		c.recipients -= s->left_out[v];
	}
	return c;
}

/* 0, or a negative errno. */
static int judge_all(struct scan *s)
{
	int64_t now = s->reading.end == MQW_TIME_NONE ? 0 : s->reading.end;
	int r;

	if (s->queue && s->options.mta->files_unlogged) {
		mqw_tracker_finish(s->tracker, now);
		r = mqw_queue_snapshot_tell_files(s->queue, s->tracker,
			s->options.lifetime ? s->options.lifetime
					    : s->options.mta->default_lifetime);
		if (r < 0)
			return r;
		now = mqw_clock_now();
	} else if (s->queue) {
		r = mqw_queue_snapshot_tell(s->queue, s->tracker, s->reading.end);
		if (r < 0)
			return r;
		now = mqw_clock_now();
	}
	mqw_tracker_finish(s->tracker, now);
	return 0;
}

static bool has_two_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

/* Reads all logs into the tracker, in two threads where that is wanted. */
static int read_logs(struct scan *s)
{
	struct mqw_outlet to = {.sink = {.emit = mqw_tracker_event, .ctx = s->tracker},
		.time = on_time,
		.time_ctx = s->tracker,
		.recognised = on_recognised,
		.recognised_ctx = s};

	s->reading.threads = s->options.jobs ? s->options.jobs > 1 : has_two_cpus();
	return mqw_reading_run(&s->reading, &s->files, &to);
}

static int run(struct scan *s)
{
	const struct mqw_tracker_ops ops = {.verdict = on_verdict, .gap = on_gap, .ctx = s};
	struct mqw_tracker_options options;
	struct mqw_tracker_counts counts;
	int r;

	options = tracker_options(s);
	s->tracker = mqw_tracker_create(&options, &ops, false);
	if (!s->tracker)
		return -ENOMEM;
	s->reading.mta = s->options.mta;
	s->reading.year = s->options.year;
	s->reading.until = s->options.until;
	s->reading.progress = !s->options.no_progress;
	mqw_report_start(&s->report, s->options.format, &s->reading);
	look_at_queue(s);
	r = read_logs(s);
	if (r == 0)
		r = s->out_of_memory ? -ENOMEM : judge_all(s);
	if (r < 0)
		return r;
	counts = counts_of(s);
	mqw_report_summary(&s->report, &counts, s->options.all);
	return mqw_report_end(&s->report);
}

int mqw_cli_scan(int argc, char **argv)
{
	struct scan s = {0};
	int first = mqw_cli_options_read(&s.options, argc, argv), status = 2, r;

	if (first < 0)
		return 2;
	if (s.options.help) {
		print_help();
		return 0;
	}
	if (first == argc) {
		fputs("mailq-watchdog scan: no log named; see --help\n", stderr);
		return 2;
	}
	r = mqw_fileset_find(argv + first, (size_t)(argc - first),
		s.options.mta ? s.options.mta->log_name : NULL, &s.files);
	if (r == 0)
		r = run(&s);
	print_errors(&s.files.errors);
	print_errors(&s.reading.errors);
	print_errors(&s.queue_errors);
	if (r < 0)
		fprintf(stderr, "mailq-watchdog scan: %s\n", strerror(-r));
	else if (s.files.error_count == 0 && s.reading.errors.len == 0 && s.queue_errors.len == 0)
		status = s.trouble ? 1 : 0;
	if (s.reading.lines && !s.reading.used && status == 0)
		fprintf(stderr, "mailq-watchdog scan: no line of %s in the log\n",
			s.options.mta ? s.options.mta->name : "an MTA that is known");
	mqw_tracker_free(s.tracker);
	mqw_queue_snapshot_free(s.queue);
	mqw_buffer_done(&s.queue_errors);
	mqw_reading_done(&s.reading);
	mqw_fileset_done(&s.files);
	return status;
}
