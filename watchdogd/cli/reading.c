/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/source/reader.h"
#include "probes/syslog/header.h"
#include "probes/syslog/loss.h"
#include "watchdogd/cli/progress.h"

#define SAMPLE_MAX 160
#define PROGRESS_EVERY 8192 /* lines between two looks at the clock */

/* One set being read, with its next line in hand. */
struct stream {
	const struct mqw_log_set *set;
	size_t next_file; /* in the set */
	uint32_t first_source;
	struct mqw_reader *reader;
	struct mqw_syslog_reader syslog;
	struct mqw_line line;
	struct mqw_raw_line raw;
	int64_t last_time;
	uint64_t done_bytes; /* of the files before this one */
	uint64_t stamped; /* lines of this file that had a stamp */
	uint64_t file_lines;
	bool hole; /* a sibling is missing before the file just begun */
};

struct run {
	struct mqw_reading *r;
	struct mqw_sink *sink;
	struct mqw_probe *probe;
	struct stream *streams;
	size_t stream_count;
	struct mqw_loss_reader loss;
	struct mqw_progress progress;
};

static void say_error(struct mqw_reading *r, const char *path, const char *why)
{
	mqw_buffer_add_printable(&r->errors, mqw_slice_of(path));
	mqw_buffer_printf(&r->errors, ": %s\n", why);
}

static const char *current_path(const struct stream *s)
{
	return s->set->files[s->next_file - 1].path;
}

/* Ends a file; says so when it was no log at all. */
static void close_file(struct run *run, struct stream *s)
{
	if (s->file_lines > 0 && s->stamped == 0)
		say_error(run->r, current_path(s),
			"not a mail log: no line begins with a known time stamp");
	s->done_bytes += mqw_reader_size(s->reader);
	s->reader = mqw_reader_close(s->reader);
}

/* Opens the next file of the set that can be opened; false at the end. */
static bool open_next(struct run *run, struct stream *s)
{
	while (s->next_file < s->set->count) {
		const struct mqw_log_file *f = &s->set->files[s->next_file++];
		int error = mqw_reader_open(f->path, &s->reader);

		if (error < 0) {
			say_error(run->r, f->path, strerror(-error));
			s->hole = true;
			continue;
		}
		s->hole = s->hole || f->hole_before;
		s->file_lines = s->stamped = 0;
		mqw_syslog_reader_next_file(&s->syslog, mqw_reader_mtime(s->reader));
		if (s->syslog.reference == MQW_TIME_NONE)
			s->syslog.reference = mqw_clock_now();
		return true;
	}
	return false;
}

/* Takes the stream's next line with a stamp into s->line; false at its end. */
static bool advance(struct run *run, struct stream *s)
{
	for (;;) {
		int n;

		if (!s->reader && !open_next(run, s))
			return false;
		n = mqw_reader_next(s->reader, &s->raw);
		if (n <= 0) {
			if (n < 0)
				say_error(run->r, current_path(s), mqw_reader_error(s->reader));
			close_file(run, s);
			continue;
		}
		run->r->lines++;
		s->file_lines++;
		if (!mqw_syslog_parse(&s->syslog, s->raw.text, &s->line))
			continue;
		s->stamped++;
		s->line.evidence.source = s->first_source + (uint32_t)s->next_file - 1;
		s->line.evidence.line = s->raw.number;
		return true;
	}
}

static struct stream *earliest(struct run *run)
{
	struct stream *best = NULL;

	for (size_t i = 0; i < run->stream_count; i++) {
		struct stream *s = &run->streams[i];

		if (s->set && (!best || s->line.time < best->line.time))
			best = s;
	}
	return best;
}

static void keep_sample(struct mqw_reading *r, const struct stream *s)
{
	struct mqw_buffer b = {0};

	if (r->sample_count == MQW_READING_SAMPLES)
		return;
	mqw_buffer_add_printable(&b, mqw_slice_head(s->raw.text, SAMPLE_MAX));
	if (b.failed) {
		mqw_buffer_done(&b);
		return;
	}
	r->samples[r->sample_count].text = b.ptr;
	r->samples[r->sample_count].source = s->line.evidence.source;
	r->samples[r->sample_count++].line = s->raw.number;
}

static const struct mqw_probe_ops *recognise(struct run *run, const struct mqw_line *line)
{
	struct mqw_reading *r = run->r;

	for (size_t i = 0; !r->mta && mqw_probes[i]; i++)
		if (mqw_probes[i]->is_mine(line->tag))
			r->mta = mqw_probes[i];
	if (r->mta && !run->probe)
		run->probe = r->mta->create(NULL, 0);
	return run->probe ? r->mta : NULL;
}

static int give_hole(struct run *run, struct stream *s)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, s->line.time);

	s->hole = false;
	if (s->last_time == MQW_TIME_NONE)
		return 0;
	gap.from = s->last_time;
	gap.to = s->line.time;
	gap.evidence = s->line.evidence;
	gap.reply = MQW_LIT("a rotated file of the set is missing or could not be read");
	return run->sink->emit(run->sink->ctx, &gap);
}

static int give_line(struct run *run, struct stream *s)
{
	struct mqw_reading *r = run->r;
	const struct mqw_probe_ops *mta;
	struct mqw_event gap;
	int result;

	if (s->hole) {
		result = give_hole(run, s);
		if (result < 0)
			return result;
	}
	s->last_time = s->line.time;
	if (r->end == MQW_TIME_NONE || s->line.time > r->end)
		r->end = s->line.time;
	if (mqw_loss_read(&run->loss, &s->line, r->mta ? r->mta->name : "", &gap)) {
		result = run->sink->emit(run->sink->ctx, &gap);
		return result < 0 ? result : 0;
	}
	mta = recognise(run, &s->line);
	if (!mta)
		return 0;
	result = mta->line(run->probe, &s->line, run->sink);
	if (result < 0)
		return result;
	r->used += result != MQW_LINE_FOREIGN;
	if (result == MQW_LINE_STRANGE) {
		r->unparsed++;
		keep_sample(r, s);
	}
	if (r->time)
		r->time(r->time_ctx, s->line.time);
	return 0;
}

static void show_progress(struct run *run)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < run->stream_count; i++) {
		const struct stream *s = &run->streams[i];

		bytes += s->done_bytes + (s->reader ? mqw_reader_consumed(s->reader) : 0);
	}
	mqw_progress_show(&run->progress, bytes, run->r->lines);
}

static int read_all(struct run *run)
{
	uint64_t count = 0;
	struct stream *s;
	int result;

	for (size_t i = 0; i < run->stream_count; i++)
		if (!advance(run, &run->streams[i]))
			run->streams[i].set = NULL;
	while ((s = earliest(run))) {
		if (run->r->until != MQW_TIME_NONE && s->line.time > run->r->until) {
			s->set = NULL;
			continue;
		}
		result = give_line(run, s);
		if (result < 0)
			return result;
		if (++count % PROGRESS_EVERY == 0)
			show_progress(run);
		if (!advance(run, s))
			s->set = NULL;
	}
	return 0;
}

static int prepare(struct run *run, const struct mqw_fileset *files)
{
	struct mqw_reading *r = run->r;
	uint64_t bytes = 0;

	for (size_t i = 0; i < files->set_count; i++)
		r->name_count += files->sets[i].count;
	r->names = calloc(r->name_count + 1, sizeof(*r->names));
	run->streams = calloc(files->set_count + 1, sizeof(*run->streams));
	if (!r->names || !run->streams)
		return -ENOMEM;
	r->name_count = 0;
	for (size_t i = 0; i < files->set_count; i++) {
		struct stream *s = &run->streams[i];

		s->set = &files->sets[i];
		s->first_source = (uint32_t)r->name_count;
		s->last_time = MQW_TIME_NONE;
		mqw_syslog_reader_init(&s->syslog, r->year, MQW_TIME_NONE);
		for (size_t f = 0; f < s->set->count; f++) {
			r->names[r->name_count++] = s->set->files[f].path;
			bytes += s->set->files[f].size;
		}
	}
	run->stream_count = files->set_count;
	mqw_progress_start(&run->progress, r->progress, bytes);
	return 0;
}

int mqw_reading_run(struct mqw_reading *r, const struct mqw_fileset *files, struct mqw_sink *sink)
{
	struct run run = {.r = r, .sink = sink};
	struct mqw_event gap;
	int result;

	r->end = MQW_TIME_NONE;
	mqw_loss_reader_init(&run.loss);
	result = prepare(&run, files);
	if (result == 0)
		result = read_all(&run);
	if (result == 0 && mqw_loss_finish(&run.loss, r->end, &gap))
		result = sink->emit(sink->ctx, &gap);
	mqw_progress_end(&run.progress);
	for (size_t i = 0; i < run.stream_count; i++)
		mqw_reader_close(run.streams[i].reader);
	free(run.streams);
	if (run.probe)
		r->mta->free(run.probe);
	return result < 0 ? result : 0;
}

void mqw_reading_done(struct mqw_reading *r)
{
	for (size_t i = 0; i < r->sample_count; i++)
		free(r->samples[i].text);
	free(r->names);
	mqw_buffer_done(&r->errors);
	r->sample_count = r->name_count = 0;
	r->names = NULL;
	r->lines = r->unparsed = r->used = 0;
}

const char *mqw_reading_source_name(void *ctx, uint32_t source)
{
	const struct mqw_reading *r = ctx;

	return source < r->name_count ? r->names[source] : NULL;
}
