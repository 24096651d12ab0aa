/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/syslog/loss.h"
#include "watchdogd/cli/input.h"
#include "watchdogd/cli/progress.h"
#include "watchdogd/cli/relay.h"

#define SAMPLE_MAX 160
#define PROGRESS_EVERY 8192 /* lines between two looks at the clock */
#define CACHE_LINE 64
#define EACH_LINE static inline __attribute__((always_inline)) /* one thread or two: no call */
#define RARE __attribute__((noinline)) /* what a line hardly ever needs */

/* Lines become events. Two threads may have it by turns, each with its own hands in what is above. */
struct teller {
	const struct mqw_probe_ops *mta; /* as soon as a line told it */
	struct mqw_probe *probe;
	struct mqw_loss_reader loss;
	int64_t end; /* MQW_TIME_NONE, which is before any time: there was no line */
	uint64_t used;
};

struct run {
	struct mqw_reading *r;
	/* Lines are taken out of the logs. */
	const struct mqw_probe_ops *mta; /* as soon as a line told it */
	int64_t until; /* INT64_MAX: to the end */
	struct mqw_input *inputs;
	size_t input_count;
	uint64_t count;
	struct mqw_progress progress;
	/* Who wants to know it besides. */
	void (*recognised)(void *ctx, const struct mqw_probe_ops *mta);
	void *recognised_ctx;
	_Alignas(CACHE_LINE) struct teller teller;
};

EACH_LINE struct mqw_input *earliest(struct run *run)
{
	struct mqw_input *best = NULL;

	if (run->input_count == 1)
		return run->inputs[0].set ? run->inputs : NULL;
	for (size_t i = 0; i < run->input_count; i++) {
		struct mqw_input *s = &run->inputs[i];

		if (s->set && (!best || s->at.line.time < best->at.line.time))
			best = s;
	}
	return best;
}

/* Each line after it is taken apart as one of this MTA may be. */
static void recognise(struct run *run, struct mqw_slice tag)
{
	for (size_t i = 0; !run->mta && mqw_probes[i]; i++)
		if (mqw_probes[i]->is_mine(tag))
			run->mta = mqw_probes[i];
}

/* The log with the next line of all, NULL at the end. The same again, until it has been moved on. */
EACH_LINE struct mqw_input *next_line(struct run *run)
{
	struct mqw_input *s;

	while ((s = earliest(run)) && s->at.line.time > run->until)
		s->set = NULL;
	if (!s)
		return NULL;
	if (!run->mta)
		recognise(run, s->at.line.tag);
	mqw_input_look_for(s, run->mta);
	return s;
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

EACH_LINE void move_on(struct run *run, struct mqw_input *s)
{
	if (++run->count % PROGRESS_EVERY == 0)
		mqw_progress_show(&run->progress, add_up(run), run->r->lines);
	mqw_input_advance(s);
}

RARE static void keep_strange(struct mqw_reading *r, const struct mqw_input_line *l)
{
	struct mqw_buffer b = {0};

	r->unparsed++;
	if (r->sample_count == MQW_READING_SAMPLES)
		return;
	mqw_buffer_add_printable(&b, mqw_slice_head(l->text, SAMPLE_MAX));
	if (b.failed) {
		mqw_buffer_done(&b);
		return;
	}
	r->samples[r->sample_count].text = b.ptr;
	r->samples[r->sample_count].source = l->line.evidence.source;
	r->samples[r->sample_count++].line = l->line.evidence.line;
}

/* Whether there is a probe for the line; made when the MTA is known. */
RARE static bool has_probe(
	struct teller *t, const struct mqw_probe_ops *mta, const struct mqw_outlet *to)
{
	if (mta && !t->mta) {
		t->mta = mta;
		to->recognised(to->recognised_ctx, mta);
	}
	if (t->mta && !t->probe)
		t->probe = t->mta->create(NULL, 0);
	return t->probe;
}

RARE static int tell_hole(const struct mqw_input_line *l, struct mqw_outlet *to)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, l->line.time);

	if (l->before == MQW_TIME_NONE)
		return 0;
	gap.from = l->before;
	gap.to = l->line.time;
	gap.evidence = l->line.evidence;
	gap.reply = mqw_slice_of(l->hole);
	return to->sink.emit(to->sink.ctx, &gap);
}

/* 1 when the line was one in which the logging confesses a loss, and that was told; 0, or -errno. */
RARE static int tell_loss(struct teller *t, const struct mqw_input_line *l, struct mqw_outlet *to)
{
	struct mqw_event gap;
	int result;

	if (!mqw_loss_read(&t->loss, &l->line, t->mta ? t->mta->name : "", &gap))
		return 0;
	result = to->sink.emit(to->sink.ctx, &gap);
	return result < 0 ? result : 1;
}

EACH_LINE int tell_line(struct run *run, const struct mqw_input_line *l, struct mqw_outlet *to)
{
	struct teller *t = &run->teller;
	int result;

	if (l->hole) {
		result = tell_hole(l, to);
		if (result < 0)
			return result;
	}
	if (l->line.time > t->end)
		t->end = l->line.time;
	if (mqw_loss_may_be(&l->line) && l->is_loggers) {
		result = tell_loss(t, l, to);
		if (result)
			return result < 0 ? result : 0;
	}
	if ((!t->probe && !has_probe(t, l->mta, to)) || !l->is_genuine)
		return 0;
	result = t->mta->line(t->probe, &l->line, &to->sink);
	if (result < 0)
		return result;
	t->used += result != MQW_LINE_FOREIGN;
	if (result == MQW_LINE_STRANGE)
		keep_strange(run->r, l);
	if (to->time)
		to->time(to->time_ctx, l->line.time);
	return 0;
}

static int read_alone(struct run *run, struct mqw_outlet *to)
{
	struct mqw_input *s;

	while ((s = next_line(run))) {
		int result = tell_line(run, &s->at, to);

		if (result < 0)
			return result;
		move_on(run, s);
	}
	return 0;
}

static bool fill_batch(void *ctx, struct mqw_batch *b)
{
	struct run *run = ctx;
	struct mqw_input *s;

	while ((s = next_line(run)) && mqw_batch_add_line(b, &s->at))
		move_on(run, s);
	return s;
}

static int read_batch(void *ctx, const struct mqw_batch *b, struct mqw_outlet *to)
{
	int result = 0;

	for (size_t i = 0; result >= 0 && i < b->line_count; i++)
		result = tell_line(ctx, &b->lines[i], to);
	return result;
}

static int read_all(struct run *run, struct mqw_outlet *to)
{
	const struct mqw_relay_steps steps = {.fill = fill_batch, .read = read_batch, .ctx = run};
	struct mqw_relay *relay;

	for (size_t i = 0; i < run->input_count; i++)
		mqw_input_advance(&run->inputs[i]);
	if (run->r->threads && mqw_relay_start(&steps, to, &relay) == 0)
		return mqw_relay_run(relay);
	return read_alone(run, to);
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
		s->ahead = r->threads;
		for (size_t f = 0; f < s->set->count; f++) {
			r->names[r->name_count++] = s->set->files[f].path;
			bytes += s->set->files[f].size;
		}
	}
	run->input_count = files->set_count;
	mqw_progress_start(&run->progress, r->progress, bytes);
	return 0;
}

/* Whoever is told what comes behind it may look into the reading. */
static void on_recognised(void *ctx, const struct mqw_probe_ops *mta)
{
	struct run *run = ctx;

	run->r->mta = mta;
	if (run->recognised)
		run->recognised(run->recognised_ctx, mta);
}

int mqw_reading_run(
	struct mqw_reading *r, const struct mqw_fileset *files, const struct mqw_outlet *outlet)
{
	struct mqw_outlet to = *outlet;
	struct run run = {
		.r = r, .mta = r->mta, .until = r->until != MQW_TIME_NONE ? r->until : INT64_MAX};
	struct teller *t = &run.teller;
	struct mqw_event gap;
	int result;

	run.recognised = to.recognised;
	run.recognised_ctx = to.recognised_ctx;
	to.recognised = on_recognised;
	to.recognised_ctx = &run;
	t->mta = r->mta;
	t->end = MQW_TIME_NONE;
	mqw_loss_reader_init(&t->loss);
	result = prepare(&run, files);
	if (result == 0)
		result = read_all(&run, &to);
	if (result == 0 && mqw_loss_finish(&t->loss, t->end, &gap))
		result = to.sink.emit(to.sink.ctx, &gap);
	mqw_progress_end(&run.progress);
	add_up(&run);
	for (size_t i = 0; i < run.input_count; i++)
		mqw_input_done(&run.inputs[i]);
	free(run.inputs);
	if (t->probe)
		t->mta->free(t->probe);
	r->end = t->end;
	r->used += t->used;
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
