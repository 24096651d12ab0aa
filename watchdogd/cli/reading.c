/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/syslog/loss.h"
#include "watchdogd/cli/progress.h"
#include "watchdogd/cli/input.h"

#define SAMPLE_MAX 160
#define PROGRESS_EVERY 8192 /* lines between two looks at the clock */

struct run {
	struct mqw_reading *r;
	struct mqw_sink *sink;
	const struct mqw_probe_ops *mta; /* as soon as a line told it */
	struct mqw_probe *probe;
	struct mqw_input *inputs;
	size_t input_count;
	struct mqw_loss_reader loss;
	struct mqw_progress progress;
};

static struct mqw_input *earliest(struct run *run)
{
	struct mqw_input *best = NULL;

	if (run->input_count == 1)
		return run->inputs[0].set ? run->inputs : NULL;
	for (size_t i = 0; i < run->input_count; i++) {
		struct mqw_input *s = &run->inputs[i];

		if (s->set && (!best || s->line.time < best->line.time))
			best = s;
	}
	return best;
}

static void keep_sample(struct mqw_reading *r, const struct mqw_input *s)
{
	struct mqw_buffer b = {0};

	if (r->sample_count == MQW_READING_SAMPLES)
		return;
	mqw_buffer_add_printable(&b, mqw_slice_head(s->text, SAMPLE_MAX));
	if (b.failed) {
		mqw_buffer_done(&b);
		return;
	}
	r->samples[r->sample_count].text = b.ptr;
	r->samples[r->sample_count].source = s->line.evidence.source;
	r->samples[r->sample_count++].line = s->line.evidence.line;
}

static const struct mqw_probe_ops *recognise(struct run *run, const struct mqw_line *line)
{
	struct mqw_reading *r = run->r;

	for (size_t i = 0; !run->mta && mqw_probes[i]; i++)
		if (mqw_probes[i]->is_mine(line->tag))
			run->mta = mqw_probes[i];
	if (run->mta && !r->mta) {
		r->mta = run->mta;
		if (r->recognised)
			r->recognised(r->recognised_ctx, r->mta);
	}
	if (r->mta && !run->probe)
		run->probe = r->mta->create(NULL, 0);
	return run->probe ? r->mta : NULL;
}

static int give_hole(struct run *run, struct mqw_input *s)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, s->line.time);

	s->hole = false;
	if (s->last_time == MQW_TIME_NONE)
		return 0;
	gap.from = s->last_time;
	gap.to = s->line.time;
	gap.evidence = s->line.evidence;
	gap.reply = mqw_slice_of(s->hole_why);
	return run->sink->emit(run->sink->ctx, &gap);
}

static int give_line(struct run *run, struct mqw_input *s)
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
	if (r->end == MQW_TIME_NONE || s->line.time > r->end)
		r->end = s->line.time;
	if (mqw_loss_may_be(&s->line) && mqw_input_is_loggers(s) &&
		mqw_loss_read(&run->loss, &s->line, r->mta ? r->mta->name : "", &gap)) {
		result = run->sink->emit(run->sink->ctx, &gap);
		return result < 0 ? result : 0;
	}
	mta = recognise(run, &s->line);
	if (!mta || !mqw_input_is_genuine(s, mta))
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

/* Sums up what was read, for progress and for the end. Returns the bytes. */
static uint64_t add_up(struct run *run)
{
	uint64_t bytes = 0;

	run->r->lines = 0;
	for (size_t i = 0; i < run->input_count; i++) {
		bytes += mqw_input_consumed(&run->inputs[i]);
		run->r->lines += run->inputs[i].lines;
	}
	return bytes;
}

static int read_all(struct run *run)
{
	uint64_t count = 0;
	struct mqw_input *s;
	int result;

	for (size_t i = 0; i < run->input_count; i++)
		mqw_input_advance(&run->inputs[i]);
	while ((s = earliest(run))) {
		if (run->r->until != MQW_TIME_NONE && s->line.time > run->r->until) {
			s->set = NULL;
			continue;
		}
		result = give_line(run, s);
		if (result < 0)
			return result;
		if (++count % PROGRESS_EVERY == 0)
			mqw_progress_show(&run->progress, add_up(run), run->r->lines);
		mqw_input_advance(s);
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
	run->inputs = calloc(files->set_count + 1, sizeof(*run->inputs));
	if (!r->names || !run->inputs)
		return -ENOMEM;
	r->name_count = 0;
	for (size_t i = 0; i < files->set_count; i++) {
		struct mqw_input *s = &run->inputs[i];

		mqw_input_init(s, &files->sets[i], (uint32_t)r->name_count, r->year, &run->mta,
			&r->errors);
		s->ahead = r->ahead;
		for (size_t f = 0; f < s->set->count; f++) {
			r->names[r->name_count++] = s->set->files[f].path;
			bytes += s->set->files[f].size;
		}
	}
	run->input_count = files->set_count;
	mqw_progress_start(&run->progress, r->progress, bytes);
	return 0;
}

int mqw_reading_run(struct mqw_reading *r, const struct mqw_fileset *files, struct mqw_sink *sink)
{
	struct run run = {.r = r, .sink = sink, .mta = r->mta};
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
	add_up(&run);
	for (size_t i = 0; i < run.input_count; i++)
		mqw_input_done(&run.inputs[i]);
	free(run.inputs);
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
