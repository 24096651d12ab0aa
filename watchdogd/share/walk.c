/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* FNM_CASEFOLD */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "watchdogd/share/walk_internal.h"

/* At the first start ever: what is older than an Exchange server lets mail live has ended. */
#define HISTORY (2 * MQW_DAY)
/* Of logs that are not live, so many places are kept nevertheless: some have no day in their name. */
#define OLD_MAX 64
#define ENTRIES_MAX 100000

struct mqw_walk *mqw_walk_create(struct mqw_slice pattern, const struct mqw_share_ops *ops)
{
	struct mqw_walk *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ops = *ops;
	w->pattern = mqw_slice_dup(pattern.len ? pattern : MQW_LIT("*"));
	return w->pattern ? w : mqw_walk_free(w);
}

static void drop_candidates(struct mqw_walk *w)
{
	while (w->candidate_count)
		free(w->candidates[--w->candidate_count].name);
}

struct mqw_walk *mqw_walk_free(struct mqw_walk *w)
{
	if (!w)
		return NULL;
	drop_candidates(w);
	free(w->candidates);
	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++)
		free(w->files[i].name);
	free(w->pattern);
	free(w);
	return NULL;
}

int mqw_walk_load(struct mqw_walk *w, struct mqw_slice position)
{
	struct mqw_share_place place;
	struct mqw_slice name;
	int64_t known;

	for (size_t n = 0;
		n < MQW_SHARE_FILES_MAX && mqw_share_place_take(&position, &name, &place, &known);
		n++) {
		w->files[n] = (struct mqw_walk_file){
			.name = mqw_slice_dup(name), .place = place, .got_at = MQW_TIME_NONE};
		if (!w->files[n].name)
			return -ENOMEM;
	}
	return 0;
}

static struct mqw_walk_file *find(struct mqw_walk *w, struct mqw_slice name)
{
	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++)
		if (w->files[i].name && mqw_slice_eq(name, mqw_slice_of(w->files[i].name)))
			return &w->files[i];
	return NULL;
}

static bool is_wanted(const struct mqw_walk *w, struct mqw_slice name)
{
	char text[MQW_SHARE_NAME_MAX + 1];

	if (name.len == 0 || name.len > MQW_SHARE_NAME_MAX || name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == '/')
			return false;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	return fnmatch(w->pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

static void add_candidate(struct mqw_walk *w, const struct mqw_share_entry *e, int64_t written)
{
	struct mqw_walk_candidate *p = w->candidates;

	if (w->candidate_count == ENTRIES_MAX)
		return;
	if (w->candidate_count == w->candidate_cap) {
		size_t cap = w->candidate_cap ? w->candidate_cap * 2 : 64;

		p = realloc(p, cap * sizeof(*p));
		if (!p) {
			w->out_of_memory = true;
			return;
		}
		w->candidates = p;
		w->candidate_cap = cap;
	}
	p = &w->candidates[w->candidate_count];
	*p = (struct mqw_walk_candidate){
		.name = mqw_slice_dup(e->name), .written = written, .size = e->size};
	if (p->name)
		w->candidate_count++;
	else
		w->out_of_memory = true;
}

static void on_entry(void *walk, const struct mqw_share_entry *e)
{
	struct mqw_walk *w = walk;
	struct mqw_walk_file *f;
	/* A file of the future would make all others look old. */
	int64_t written = e->written > w->server_now ? w->server_now : e->written;

	if (!is_wanted(w, e->name))
		return;
	if (written > w->newest)
		w->newest = written;
	f = find(w, e->name);
	if (!f) {
		add_candidate(w, e, written);
		return;
	}
	f->listed = true;
	f->size = e->size;
	/* The list tells it late; what was seen in the open file counts. */
	if (written > f->written)
		f->written = written;
}

static int by_time(const void *a, const void *b)
{
	const struct mqw_walk_candidate *x = a, *y = b;

	if (x->written != y->written)
		return x->written < y->written ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The file that was written to last, as of the last pass; NULL: no place is known. */
static struct mqw_walk_file *last_written(struct mqw_walk *w)
{
	struct mqw_walk_file *last = NULL;

	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++)
		if (w->files[i].name && (!last || w->files[i].place.written > last->place.written))
			last = &w->files[i];
	return last;
}

static int forget(struct mqw_walk *w, struct mqw_walk_file *f)
{
	int r = mqw_walk_send(w, f, MQW_SHARE_FORGET, MQW_SLICE_NULL);

	free(f->name);
	*f = (struct mqw_walk_file){.name = NULL};
	return r;
}

/*
 * Files that are gone. Old ones are deleted all the time; when even that is gone which was written
 * to last, there may have been more in it, and others after it that nobody has seen.
 */
static int drop_gone(struct mqw_walk *w)
{
	const struct mqw_walk_file *last = last_written(w);
	int r = 0;

	if (last && !last->listed)
		r = mqw_walk_send_text(w, MQW_SHARE_GAP,
			"%s, which was written to last, is gone from the share", last->name);
	for (size_t i = 0; r == 0 && i < MQW_SHARE_FILES_MAX; i++)
		if (w->files[i].name && !w->files[i].listed)
			r = forget(w, &w->files[i]);
	return r;
}

/* Makes room: of the files that are not live the one that was written to the longest ago. */
static int drop_old(struct mqw_walk *w)
{
	for (;;) {
		struct mqw_walk_file *oldest = NULL;
		size_t old = 0;
		int r;

		for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++) {
			struct mqw_walk_file *f = &w->files[i];

			if (!f->name || f->written >= w->newest - MQW_WALK_LIVE ||
				f->seen_size != f->size || f->seen_written != f->written)
				continue;
			old++;
			if (!oldest || f->written < oldest->written)
				oldest = f;
		}
		if (old <= OLD_MAX)
			return 0;
		r = forget(w, oldest);
		if (r < 0)
			return r;
	}
}

static int take_candidate(struct mqw_walk *w, const struct mqw_walk_candidate *c)
{
	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++) {
		struct mqw_walk_file *f = &w->files[i];

		if (f->name)
			continue;
		*f = (struct mqw_walk_file){.name = mqw_slice_dup(mqw_slice_of(c->name)),
			.size = c->size,
			.written = c->written,
			.listed = true};
		return f->name ? mqw_walk_begin(w, f) : -ENOMEM;
	}
	w->incomplete = true;
	if (w->said_many)
		return 0;
	w->said_many = true;
	return mqw_walk_send_text(w, MQW_SHARE_SAY,
		"has more logs than can be followed: %s and others are not", c->name);
}

/* What is new, the oldest first: after the first start ever that is what is not older than known. */
static int take_candidates(struct mqw_walk *w, int64_t oldest)
{
	int r = 0;

	if (w->candidate_count)
		qsort(w->candidates, w->candidate_count, sizeof(*w->candidates), by_time);
	for (size_t i = 0; r == 0 && i < w->candidate_count; i++)
		if (w->candidates[i].written >= oldest)
			r = take_candidate(w, &w->candidates[i]);
	return r;
}

static int look_at_list(struct mqw_walk *w)
{
	const struct mqw_walk_file *last = last_written(w);
	int64_t known = last ? last->place.written : 0;
	int r;

	drop_candidates(w);
	w->newest = 0;
	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++)
		w->files[i].listed = false;
	r = w->ops.list(w->ops.ctx, on_entry, w);
	if (r == 0 && w->out_of_memory)
		r = -ENOMEM;
	if (r == 0)
		r = drop_gone(w);
	if (r == 0)
		r = take_candidates(w, last ? known - MQW_WALK_LIVE : w->newest - HISTORY);
	return r;
}

static bool is_due(const struct mqw_walk *w, const struct mqw_walk_file *f)
{
	bool live = f->written >= w->newest - MQW_WALK_LIVE ||
		(f->got_at != MQW_TIME_NONE && w->now - f->got_at < MQW_WALK_LIVE);

	return f->size != f->seen_size || f->written != f->seen_written || f->pause == 0 ||
		f->short_since || f->zeros_since || (live && w->now >= f->look_at);
}

/* The next file to read: of those not read in this pass the one written to the longest ago. */
static struct mqw_walk_file *next_due(struct mqw_walk *w, const bool *done)
{
	struct mqw_walk_file *next = NULL;

	for (size_t i = 0; i < MQW_SHARE_FILES_MAX; i++) {
		struct mqw_walk_file *f = &w->files[i];

		if (f->name && !done[i] && is_due(w, f) &&
			(!next || f->written < next->written ||
				(f->written == next->written && strcmp(f->name, next->name) < 0)))
			next = f;
	}
	return next;
}

int mqw_walk_pass(struct mqw_walk *w, int64_t now, int64_t server_now, int64_t ahead)
{
	struct mqw_share_frame end = {.kind = MQW_SHARE_PASS, .ahead = ahead};
	bool done[MQW_SHARE_FILES_MAX] = {false};
	struct mqw_walk_file *f;
	int r;

	w->now = now;
	w->server_now = server_now;
	w->incomplete = false;
	r = look_at_list(w);
	while (r == 0 && (f = next_due(w, done))) {
		done[f - w->files] = true;
		r = mqw_walk_read(w, f);
	}
	if (r == 0)
		r = drop_old(w);
	if (r < 0)
		return r;
	if (w->incomplete)
		end.kind = MQW_SHARE_ALIVE;
	return w->ops.send(w->ops.ctx, &end, MQW_SLICE_NULL);
}
