/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of one message, over hand-offs, requeues and failure reports. The logs are read until
 * the set of queue ids that belong together no longer grows, and once more to print.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watchdogd/cli/commands.h"
#include "watchdogd/cli/options.h"
#include "watchdogd/cli/reading.h"
#include "watchdogd/cli/report.h"

#define PASSES_MAX 12
#define IDS_MAX 5000

struct trace {
	struct mqw_cli_options options;
	struct mqw_slice what;
	struct mqw_fileset files;
	struct mqw_reading reading;
	struct mqw_report report;
	struct mqw_map ids; /* realm NUL queue id -> its own key */
	struct mqw_buffer key;
	struct mqw_tracker *tracker; /* of the last pass */
	uint64_t printed;
	bool full;
};

static bool knows(struct trace *t, struct mqw_slice realm, struct mqw_slice id)
{
	mqw_buffer_clear(&t->key);
	mqw_buffer_add(&t->key, realm);
	mqw_buffer_add(&t->key, mqw_slice("", 1));
	mqw_buffer_add(&t->key, id);
	return mqw_map_get(&t->ids, mqw_buffer_slice(&t->key)) != NULL;
}

static int learn(struct trace *t, struct mqw_slice realm, struct mqw_slice id)
{
	char *copy;

	if (id.len == 0 || knows(t, realm, id))
		return 0;
	if (t->ids.count >= IDS_MAX) {
		t->full = true;
		return 0;
	}
	copy = mqw_slice_dup(mqw_buffer_slice(&t->key));
	if (!copy || mqw_map_put(&t->ids, mqw_slice(copy, t->key.len), copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	return 0;
}

static bool is_asked_for(const struct trace *t, const struct mqw_event *e)
{
	return mqw_slice_eq(e->queue_id, t->what) ||
		(e->message_id.len && mqw_slice_eq(e->message_id, t->what)) ||
		(e->recipient.len && mqw_slice_eq_nocase(e->recipient, t->what)) ||
		(e->sender.len && mqw_slice_eq_nocase(e->sender, t->what));
}

/* A pass that learns: what is asked for, and what is tied to an id that is known. */
static int learn_from(void *ctx, const struct mqw_event *e)
{
	struct trace *t = ctx;
	int r = 0;

	if (e->queue_id.len == 0)
		return 0;
	if (is_asked_for(t, e))
		r = learn(t, e->realm, e->queue_id);
	if (r == 0 && e->other_id.len && knows(t, e->realm, e->queue_id))
		r = learn(t, e->realm, e->other_id);
	if (r == 0 && e->other_id.len && knows(t, e->realm, e->other_id))
		r = learn(t, e->realm, e->queue_id);
	return r;
}

static void add(struct trace *t, const char *before, struct mqw_slice s, const char *after)
{
	mqw_buffer_add_str(&t->report.line, before);
	mqw_buffer_add_printable(&t->report.line, s);
	mqw_buffer_add_str(&t->report.line, after);
}

static void describe_attempt(struct trace *t, const struct mqw_event *e)
{
	add(t, "<", e->recipient, ">: ");
	mqw_buffer_add_str(&t->report.line, mqw_outcome_name(e->outcome));
	if (e->relay.len)
		add(t, " at ", e->relay, "");
	if (e->reply.len)
		add(t, ": ", e->reply, "");
	if (e->other_id.len)
		add(t, " as ", e->other_id, "");
}

static void describe(struct trace *t, const struct mqw_event *e)
{
	static const char *const words[MQW_EVENT_COUNT] = {
		[MQW_EVENT_OPENED] = "accepted",
		[MQW_EVENT_MESSAGE_ID] = "Message-ID <",
		[MQW_EVENT_QUEUED] = "in the queue, from <",
		[MQW_EVENT_GAVE_UP] = "given up, returned to its sender",
		[MQW_EVENT_NDR] = "failure report sent to the sender as ",
		[MQW_EVENT_NOTIFIED] = "notification sent as ",
		[MQW_EVENT_REMOVED] = "done and removed from the queue",
		[MQW_EVENT_ADMIN_REMOVED] = "deleted by an operator",
		[MQW_EVENT_HELD] = "put on hold",
		[MQW_EVENT_RELEASED] = "released from hold",
		[MQW_EVENT_SPLIT] = "some of its recipients go on as ",
		[MQW_EVENT_ADMIN_REQUEUED] = "requeued by an operator",
		[MQW_EVENT_DISCARDED] = "dropped by policy",
		[MQW_EVENT_REFUSED] = "refused, the client was told",
		[MQW_EVENT_FILE_LOST] = "queue file lost: ",
	};

	if (e->kind == MQW_EVENT_ATTEMPT) {
		describe_attempt(t, e);
		return;
	}
	mqw_buffer_add_str(&t->report.line, words[e->kind] ? words[e->kind] : "");
	if (e->kind == MQW_EVENT_MESSAGE_ID)
		add(t, "", e->message_id, ">");
	else if (e->kind == MQW_EVENT_QUEUED)
		add(t, "", e->sender, ">");
	else if (e->kind == MQW_EVENT_NDR || e->kind == MQW_EVENT_NOTIFIED ||
		e->kind == MQW_EVENT_SPLIT)
		add(t, "", e->other_id, "");
	else if (e->kind == MQW_EVENT_FILE_LOST)
		add(t, "", e->reply, "");
	else if (e->kind == MQW_EVENT_OPENED && e->other_id.len)
		add(t, ", continues ", e->other_id, "");
}

static void print_one(struct trace *t, const struct mqw_event *e)
{
	const char *source = mqw_reading_source_name(&t->reading, e->evidence.source);
	struct mqw_buffer *b = &t->report.line;

	mqw_time_format(b, e->time);
	add(t, "  ", e->queue_id, "  ");
	describe(t, e);
	add(t, "  [", mqw_slice_of(source), "");
	if (e->evidence.line)
		mqw_buffer_printf(b, ":%llu", (unsigned long long)e->evidence.line);
	mqw_buffer_add_str(b, "]\n");
	fwrite(b->ptr, 1, b->len, stdout);
	mqw_buffer_clear(b);
}

/* What one line says of an arrival is as many steps as where several say it. */
static void print_text(struct trace *t, const struct mqw_event *e)
{
	static const enum mqw_event_kind steps[] = {
		MQW_EVENT_OPENED, MQW_EVENT_MESSAGE_ID, MQW_EVENT_QUEUED};
	struct mqw_event step = *e;

	if (e->kind != MQW_EVENT_ARRIVED) {
		print_one(t, e);
		return;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		step.kind = steps[i];
		if (step.kind != MQW_EVENT_MESSAGE_ID || step.message_id.len)
			print_one(t, &step);
	}
}

/* The last pass: prints, and lets a tracker judge what it sees. */
static int print_from(void *ctx, const struct mqw_event *e)
{
	struct trace *t = ctx;

	if (e->kind == MQW_EVENT_GAP || e->kind == MQW_EVENT_BULK)
		return mqw_tracker_event(t->tracker, e);
	if (!knows(t, e->realm, e->queue_id))
		return 0;
	t->printed++;
	if (t->options.format == MQW_FORMAT_TEXT)
		print_text(t, e);
	return mqw_tracker_event(t->tracker, e);
}

static void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	struct trace *t = ctx;

	(void)previous;
	mqw_report_verdict(&t->report, m, r, j);
}

static int one_pass(struct trace *t, int (*emit)(void *ctx, const struct mqw_event *e))
{
	struct mqw_outlet to = {.sink = {.emit = emit, .ctx = t}};
	int r;

	mqw_reading_done(&t->reading);
	t->reading.mta = t->options.mta;
	t->reading.year = t->options.year;
	t->reading.until = t->options.until;
	t->reading.progress = !t->options.no_progress;
	r = mqw_reading_run(&t->reading, &t->files, &to);
	t->options.mta = t->reading.mta;
	return r;
}

static int run(struct trace *t)
{
	const struct mqw_tracker_ops ops = {.verdict = on_verdict, .ctx = t};
	struct mqw_tracker_options options;
	size_t before;
	int r, pass = 0;

	do {
		before = t->ids.count;
		r = one_pass(t, learn_from);
	} while (r == 0 && t->ids.count > before && ++pass < PASSES_MAX);
	if (r < 0)
		return r;
	options = mqw_cli_tracker_options(&t->options);
	options.keep_settled = INT64_MAX / 4; /* verdicts come after the timeline, all at once */
	t->tracker = mqw_tracker_create(&options, &ops, false);
	if (!t->tracker)
		return -ENOMEM;
	mqw_report_start(&t->report, t->options.format, &t->reading);
	r = one_pass(t, print_from);
	if (r < 0)
		return r;
	if (t->options.format == MQW_FORMAT_TEXT && t->printed)
		putchar('\n');
	mqw_tracker_finish(t->tracker, t->reading.end == MQW_TIME_NONE ? 0 : t->reading.end);
	return mqw_report_end(&t->report);
}

/* Standard input is read several times: it goes into an unnamed file first. */
static int spool_stdin(char **arg, char path[32], FILE **ret)
{
	char block[65536];
	size_t n;

	if (strcmp(*arg, "-") != 0)
		return 0;
	*ret = tmpfile();
	if (!*ret)
		return -errno;
	while ((n = fread(block, 1, sizeof(block), stdin)) > 0)
		if (fwrite(block, 1, n, *ret) != n)
			return -errno;
	if (fflush(*ret) != 0)
		return -errno;
	snprintf(path, 32, "/proc/self/fd/%d", fileno(*ret));
	*arg = path;
	return 0;
}

static void print_help(void)
{
	printf("usage: mailq-watchdog trace [OPTION...] WHAT FILE|DIR|-|journal...\n\n"
	       "Prints the life of a message as a timeline, over hand-offs and failure reports.\n"
	       "WHAT is a queue id, a Message-ID (with or without <>) or an address.\n\n%s\n"
	       "Exit status: 0 found, 1 nothing found, 2 usage or an input could not be read.\n",
		mqw_cli_options_help);
}

static struct mqw_slice without_brackets(struct mqw_slice s)
{
	if (s.len > 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		return mqw_slice(s.ptr + 1, s.len - 2);
	return s;
}

static void print_errors(const struct mqw_buffer *errors)
{
	if (errors->len)
		fputs(mqw_buffer_str(errors), stderr);
}

static void done(struct trace *t)
{
	const struct mqw_map_slot *slot;
	size_t cursor = 0;

	while ((slot = mqw_map_next(&t->ids, &cursor)))
		free(slot->value);
	mqw_map_done(&t->ids);
	mqw_buffer_done(&t->key);
	mqw_tracker_free(t->tracker);
	mqw_reading_done(&t->reading);
	mqw_fileset_done(&t->files);
}

int mqw_cli_trace(int argc, char **argv)
{
	struct trace t = {0};
	int first = mqw_cli_options_read(&t.options, argc, argv), status = 2, r = 0;
	char spool_path[32];
	FILE *spool = NULL;

	if (first < 0)
		return 2;
	if (t.options.help) {
		print_help();
		return 0;
	}
	if (argc - first < 2) {
		fputs("mailq-watchdog trace: needs WHAT and at least one log; see --help\n",
			stderr);
		return 2;
	}
	t.what = without_brackets(mqw_slice_of(argv[first]));
	mqw_map_init(&t.ids, mqw_map_random_seed());
	for (int i = first + 1; r == 0 && i < argc; i++)
		r = spool_stdin(&argv[i], spool_path, &spool);
	if (r == 0)
		r = mqw_fileset_find(argv + first + 1, (size_t)(argc - first - 1),
			t.options.mta ? t.options.mta->log_name : NULL, &t.files);
	if (r == 0)
		r = run(&t);
	print_errors(&t.files.errors);
	print_errors(&t.reading.errors);
	if (r < 0)
		fprintf(stderr, "mailq-watchdog trace: %s\n", strerror(-r));
	else if (t.files.error_count == 0 && t.reading.errors.len == 0)
		status = t.printed ? 0 : 1;
	if (status == 1)
		fprintf(stderr, "mailq-watchdog trace: nothing in these logs fits\n");
	if (t.full)
		fprintf(stderr,
			"mailq-watchdog trace: more than %d messages fit; the rest is left "
			"out\n",
			IDS_MAX);
	if (spool)
		fclose(spool);
	done(&t);
	return status;
}
