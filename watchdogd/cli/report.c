/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/report.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "watchdogd/base/json_text.h"
#include "watchdogd/track/verdict_json.h"

void mqw_report_start(
	struct mqw_report *r, enum mqw_format format, const struct mqw_reading *reading)
{
	*r = (struct mqw_report){.format = format, .reading = reading};
	r->color = format == MQW_FORMAT_TEXT && isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

/* Prints the scratch line and empties it. */
static void flush_line(struct mqw_report *r)
{
	fwrite(r->line.ptr ? r->line.ptr : "", 1, r->line.len, stdout);
	mqw_buffer_clear(&r->line);
}

static void print_json(struct mqw_report *r, json_t *j)
{
	if (!j)
		return;
	mqw_json_add(&r->line, j);
	json_decref(j);
	mqw_buffer_add_str(&r->line, "\n");
	flush_line(r);
}

static const char *mta_name(const struct mqw_report *r)
{
	return r->reading->mta ? r->reading->mta->name : "unknown";
}

static void add(struct mqw_report *r, const char *before, const char *text, const char *after)
{
	mqw_buffer_add_str(&r->line, before);
	mqw_buffer_add_printable(&r->line, mqw_slice_of(text));
	mqw_buffer_add_str(&r->line, after);
}

static void add_place(struct mqw_report *r, struct mqw_evidence at)
{
	const char *name = mqw_reading_source_name((void *)(uintptr_t)r->reading, at.source);

	add(r, "", name ? name : "?", "");
	if (at.line)
		mqw_buffer_printf(&r->line, ":%llu", (unsigned long long)at.line);
}

static void text_head(
	struct mqw_report *r, const struct mqw_recipient *rcpt, const struct mqw_judgement *j)
{
	const char *on = "", *off = "";

	if (r->color) {
		on = mqw_verdict_is_trouble(j->verdict)     ? "\033[1;31m"
			: j->verdict == MQW_VERDICT_UNKNOWN ? "\033[33m"
							    : "\033[1m";
		off = "\033[0m";
	}
	mqw_buffer_printf(&r->line, "%s%s%s (%s)  ", on, mqw_verdict_name(j->verdict), off,
		mqw_confidence_name(j->confidence));
	if (rcpt->address)
		add(r, "<", rcpt->address, ">\n");
	else
		mqw_buffer_add_str(&r->line, "all recipients (their addresses were not logged)\n");
}

static void text_message(struct mqw_report *r, const struct mqw_message *m)
{
	add(r, "  message  ", m->queue_id, "");
	add(r, " from <", m->sender ? m->sender : "?", ">");
	if (m->message_id)
		add(r, "\n           Message-ID <", m->message_id, ">");
	if (m->ndr_id)
		add(r, "\n           failure report sent as ", m->ndr_id, "");
	mqw_buffer_add_str(&r->line, "\n");
}

static void text_attempt(
	struct mqw_report *r, const struct mqw_recipient *rcpt, const struct mqw_judgement *j)
{
	if (!rcpt->attempts)
		return;
	mqw_buffer_printf(&r->line, "  last try ");
	mqw_time_format(&r->line, rcpt->last_attempt);
	mqw_buffer_printf(&r->line, ", attempt %u", rcpt->attempts);
	if (rcpt->relay)
		add(r, " at ", rcpt->relay, "");
	mqw_buffer_add_str(&r->line, "\n");
	if (rcpt->reply)
		add(r, "  answer   ", rcpt->reply, "\n");
	if (j->greylisting)
		mqw_buffer_printf(&r->line, "           looks like greylisting (%s)%s\n",
			j->greylisting,
			rcpt->hasty ? "; every retry came before its delay was over" : "");
}

static void print_text(struct mqw_report *r, const struct mqw_message *m,
	const struct mqw_recipient *rcpt, const struct mqw_judgement *j)
{
	text_head(r, rcpt, j);
	text_message(r, m);
	text_attempt(r, rcpt, j);
	mqw_buffer_printf(&r->line, "  why      %s\n", j->reason);
	if (j->remedy)
		mqw_buffer_printf(&r->line, "  do       %s\n", j->remedy);
	if (rcpt->attempts) {
		mqw_buffer_add_str(&r->line, "  see      ");
		add_place(r, rcpt->first_seen_at);
		if (rcpt->last_seen_at.line != rcpt->first_seen_at.line ||
			rcpt->last_seen_at.source != rcpt->first_seen_at.source) {
			mqw_buffer_add_str(&r->line, ", ");
			add_place(r, rcpt->last_seen_at);
		}
		mqw_buffer_add_str(&r->line, "\n");
	}
	mqw_buffer_add_str(&r->line, "\n");
	flush_line(r);
}

void mqw_report_verdict(struct mqw_report *r, const struct mqw_message *m,
	const struct mqw_recipient *rcpt, const struct mqw_judgement *j)
{
	const struct mqw_verdict_origin origin = {.mta = mta_name(r),
		.source_name = mqw_reading_source_name,
		.ctx = (void *)(uintptr_t)r->reading};

	r->shown++;
	if (r->format == MQW_FORMAT_JSON)
		print_json(r, mqw_verdict_json(&origin, m, rcpt, j));
	else
		print_text(r, m, rcpt, j);
}

void mqw_report_gap(struct mqw_report *r, const struct mqw_event *gap)
{
	const char *source =
		mqw_reading_source_name((void *)(uintptr_t)r->reading, gap->evidence.source);

	if (r->format == MQW_FORMAT_JSON) {
		print_json(r,
			json_pack("{s:s,s:o,s:o,s:o,s:o}", "type", "gap", "source",
				mqw_json_text_or_null(source), "from", mqw_json_time(gap->from),
				"to", mqw_json_time(gap->to), "why", mqw_json_text(gap->reply)));
		return;
	}
	mqw_buffer_add_str(&r->line, "gap  ");
	mqw_time_format(&r->line, gap->from);
	mqw_buffer_add_str(&r->line, " to ");
	mqw_time_format(&r->line, gap->to);
	add(r, "  ", source ? source : "", ": ");
	mqw_buffer_add_printable(&r->line, gap->reply);
	mqw_buffer_add_str(&r->line, "\n\n");
	flush_line(r);
}

static void json_summary(struct mqw_report *r, const struct mqw_tracker_counts *c, bool all)
{
	const struct mqw_reading *reading = r->reading;
	json_t *verdicts = json_object(), *summary, *samples = all ? json_array() : NULL;

	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++)
		if (c->verdicts[v])
			json_object_set_new(verdicts, mqw_verdict_name((enum mqw_verdict)v),
				json_integer((json_int_t)c->verdicts[v]));
	summary = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "type", "summary", "lines",
		(json_int_t)reading->lines, "unparsed", (json_int_t)reading->unparsed, "messages",
		(json_int_t)c->messages, "recipients", (json_int_t)c->recipients, "gaps",
		(json_int_t)c->gaps, "verdicts", verdicts);
	for (size_t i = 0; samples && i < reading->sample_count; i++)
		json_array_append_new(samples,
			json_pack("{s:o,s:I,s:o}", "source",
				mqw_json_text_or_null(mqw_reading_source_name(
					(void *)(uintptr_t)reading, reading->samples[i].source)),
				"line", (json_int_t)reading->samples[i].line, "text",
				mqw_json_text_or_null(reading->samples[i].text)));
	if (samples)
		json_object_set_new(summary, "unparsed_samples", samples);
	print_json(r, summary);
}

static void text_summary(struct mqw_report *r, const struct mqw_tracker_counts *c, bool all)
{
	const struct mqw_reading *reading = r->reading;
	const char *separator = ": ";

	for (size_t i = 0; all && i < reading->sample_count; i++) {
		add(r, "not understood  ",
			mqw_reading_source_name(
				(void *)(uintptr_t)reading, reading->samples[i].source),
			"");
		mqw_buffer_printf(&r->line, ":%llu: %s\n",
			(unsigned long long)reading->samples[i].line, reading->samples[i].text);
	}
	mqw_buffer_printf(&r->line, "%llu lines, %llu messages, %llu recipients",
		(unsigned long long)reading->lines, (unsigned long long)c->messages,
		(unsigned long long)c->recipients);
	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++)
		if (c->verdicts[v]) {
			mqw_buffer_printf(&r->line, "%s%llu %s", separator,
				(unsigned long long)c->verdicts[v],
				mqw_verdict_name((enum mqw_verdict)v));
			separator = ", ";
		}
	if (c->gaps)
		mqw_buffer_printf(&r->line, "; %llu gaps in the log", (unsigned long long)c->gaps);
	if (reading->unparsed)
		mqw_buffer_printf(&r->line, "; %llu lines not understood%s",
			(unsigned long long)reading->unparsed, all ? "" : " (--all shows some)");
	mqw_buffer_add_str(&r->line, "\n");
	flush_line(r);
}

void mqw_report_summary(struct mqw_report *r, const struct mqw_tracker_counts *counts, bool all)
{
	if (r->format == MQW_FORMAT_JSON)
		json_summary(r, counts, all);
	else
		text_summary(r, counts, all);
}

int mqw_report_end(struct mqw_report *r)
{
	bool failed = r->line.failed;

	mqw_buffer_done(&r->line);
	return fflush(stdout) != 0 || ferror(stdout) || failed ? -EIO : 0;
}
