/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/file_tail.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-event.h>

#include "probes/source/fileset.h"
#include "probes/source/tail_follower.h"

#define BUDGET 2000
#define LINGER (3 * MQW_SECOND)
/* Between two looks at the files: a share of the time for which nothing came, within bounds. */
#define LOOK_MIN (10 * 1000)
#define LOOK_MAX MQW_SECOND
#define LOOK_SHARE 8
#define GLOB_EVERY (2 * MQW_SECOND)
#define LOGS_MAX 64 /* followed at a time; a glob that matches more is too wide */
/* A log that is missing for so many times `linger` makes room; its place is kept. */
#define GONE_AFTER 20

struct mqw_file_tail {
	struct mqw_source_ops ops;
	struct sd_event *loop;
	sd_event_source *timer;
	char *pattern; /* owned; NULL: one path, which is logs[0] */
	/* Places in logs of the pattern that are not there (yet, or any more), as stored. */
	struct mqw_buffer absent;
	struct mqw_follower *logs[LOGS_MAX];
	size_t count;
	bool from_end;
	bool globbed; /* the pattern was looked up once: what comes later is new */
	bool said_many, said_none;
	unsigned int budget;
	uint64_t work;
	bool busy; /* the last turn left something to do */
	bool paused;
	int64_t linger, active_at, globbed_at;
};

static void say(struct mqw_file_tail *t, const char *what, const char *text)
{
	struct mqw_buffer b = {0};

	mqw_buffer_add_printable(&b, mqw_slice_of(what));
	mqw_buffer_printf(&b, " %s", text);
	if (!b.failed && t->ops.say)
		t->ops.say(t->ops.ctx, mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

/* Whether a path is that of a log, or of one of its pieces ("mail.log.1" of "mail.log"). */
static bool is_of(const char *path, struct mqw_slice log, bool or_piece)
{
	struct mqw_slice rest = mqw_slice_of(path);

	if (!mqw_slice_skip(&rest, log))
		return false;
	/* "mail.log.err" is another log. */
	return rest.len == 0 ||
		(or_piece && rest.len > 1 && strchr(".-_", rest.ptr[0]) && rest.ptr[1] >= '0' &&
			rest.ptr[1] <= '9');
}

/* The stored place of one log, or of the one that a path is a piece of. Lives as t->absent does. */
static bool find_position(const struct mqw_file_tail *t, const char *path, bool or_piece,
	struct mqw_tail_position *ret)
{
	struct mqw_slice text = mqw_buffer_slice(&t->absent);

	while (mqw_tail_position_take(&text, ret))
		if (is_of(path, ret->path, or_piece))
			return true;
	return false;
}

/* Puts a log's place (NULL: none) before those of the others, of which so many stay. */
static int keep_position(
	struct mqw_file_tail *t, struct mqw_slice path, const struct mqw_follower *f)
{
	struct mqw_slice text = mqw_buffer_slice(&t->absent);
	struct mqw_buffer kept = {0};
	struct mqw_tail_position p;
	size_t count = 1;

	if (f)
		mqw_follower_position(f, &kept);
	while (count < LOGS_MAX && mqw_tail_position_take(&text, &p)) {
		if (mqw_slice_eq(p.path, path))
			continue;
		mqw_tail_position_add(&kept, &p);
		count++;
	}
	if (kept.failed) {
		mqw_buffer_done(&kept);
		return -ENOMEM;
	}
	mqw_buffer_done(&t->absent);
	t->absent = kept;
	return 0;
}

/* position may be NULL. */
static int add_log(struct mqw_file_tail *t, const char *path,
	const struct mqw_tail_position *position, bool from_end)
{
	struct mqw_follower *f = malloc(sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = mqw_follower_init(f, &t->ops, path, position, from_end);
	if (r < 0) {
		free(f);
		return r;
	}
	t->logs[t->count++] = f;
	return position ? keep_position(t, position->path, NULL) : 0;
}

static void drop_log(struct mqw_file_tail *t, size_t at)
{
	mqw_follower_done(t->logs[at]);
	free(t->logs[at]);
	t->logs[at] = t->logs[--t->count];
}

/* The log that a set is already followed as: by the name of any of its pieces. */
static struct mqw_follower *follower_of(
	struct mqw_file_tail *t, const struct mqw_log_set *set, bool or_piece)
{
	for (size_t i = 0; i < set->count; i++)
		for (size_t k = 0; k < t->count; k++)
			if (is_of(set->files[i].path, mqw_slice_of(t->logs[k]->path), or_piece))
				return t->logs[k];
	return NULL;
}

/*
 * Between a rename and the new file, or for as long as a log is away, its pieces are there without
 * it: they are no log of their own, and it is waited for. True when they are such.
 */
static bool waits_for_log(struct mqw_file_tail *t, const struct mqw_log_set *set, int *ret)
{
	const char *newest = set->files[set->count - 1].path;
	struct mqw_tail_position p;
	char *path;

	if (follower_of(t, set, true))
		return true;
	if (!find_position(t, newest, true, &p) || is_of(newest, p.path, false) ||
		t->count == LOGS_MAX)
		return false;
	path = mqw_slice_dup(p.path);
	*ret = path ? add_log(t, path, &p, false) : -ENOMEM;
	free(path);
	return true;
}

/* A set of dated pieces has a newest one that is live; when a newer one comes, it is. */
static int take_set(struct mqw_file_tail *t, const struct mqw_log_set *set)
{
	const char *live = set->files[set->count - 1].path;
	struct mqw_follower *f = follower_of(t, set, false);
	struct mqw_tail_position p;
	size_t i = set->count;
	char *path;
	int r = 0;

	if (!f && waits_for_log(t, set, &r))
		return r;
	if (!f && strchr(live, '\n'))
		return 0;
	if (!f && t->count == LOGS_MAX) {
		if (!t->said_many)
			say(t, t->pattern, "matches more than 64 logs: some are not followed");
		t->said_many = true;
		return 0;
	}
	if (!f) {
		/* What was live when the position was stored may be an older piece by now. */
		while (i > 0 && !find_position(t, set->files[i - 1].path, false, &p))
			i--;
		return add_log(t, live, i ? &p : NULL, t->from_end && !t->globbed);
	}
	if (strcmp(f->path, live) == 0)
		return 0;
	path = strdup(live);
	if (!path)
		return -ENOMEM;
	free(f->path);
	f->path = path;
	return 0;
}

static int look_up_pattern(struct mqw_file_tail *t, int64_t now)
{
	struct mqw_fileset files;
	int r = mqw_fileset_build(&t->pattern, 1, &files);

	for (size_t i = t->count; r == 0 && i-- > 0;) {
		const struct mqw_follower *f = t->logs[i];

		if (!f->gone || now - f->missing_at < GONE_AFTER * t->linger)
			continue;
		r = keep_position(t, mqw_slice_of(f->path), f);
		if (r == 0)
			drop_log(t, i);
	}
	for (size_t i = 0; r == 0 && i < files.set_count; i++)
		r = take_set(t, &files.sets[i]);
	if (r == 0 && t->count == 0 && !t->said_none)
		say(t, t->pattern, "matches no log; it is read when there is one");
	t->said_none = t->count == 0;
	t->globbed = true;
	mqw_fileset_done(&files);
	return r;
}

/* When to look again: 0 at once. */
static int64_t pause_after(const struct mqw_file_tail *t, int64_t now)
{
	int64_t pause = (now - t->active_at) / LOOK_SHARE;

	for (size_t i = 0; i < t->count; i++)
		if (t->logs[i]->rotated_at && pause > t->linger / 4)
			pause = t->linger / 4;
	return pause < LOOK_MIN ? LOOK_MIN : pause > LOOK_MAX ? LOOK_MAX : pause;
}

/* All logs in turn; true when one of them has more to give at once. */
static bool step_all(struct mqw_file_tail *t, const struct mqw_follower_now *now)
{
	bool more = false, fresh = false;

	for (size_t i = 0; i < t->count; i++) {
		struct mqw_follower *f = t->logs[i];
		unsigned int budget = t->budget;
		uint64_t work = f->work;

		if (mqw_follower_step(f, now, &budget))
			more = true;
		t->work += f->work - work;
		fresh = fresh || (f->fresh && f->state == MQW_FOLLOWER_LIVE && !f->behind);
		if (f->active_at > t->active_at)
			t->active_at = f->active_at;
	}
	if (more || !fresh)
		return more;
	for (size_t i = 0; i < t->count; i++)
		t->logs[i]->fresh = false;
	if (t->ops.caught_up)
		t->ops.caught_up(t->ops.ctx);
	return false;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct mqw_file_tail *t = userdata;
	struct mqw_follower_now now = {.clock = mqw_clock_now(), .linger = t->linger};
	uint64_t monotonic;
	int64_t pause = 0;
	int r = sd_event_now(t->loop, CLOCK_MONOTONIC, &monotonic);

	(void)usec;
	if (r < 0 || t->paused)
		return r < 0 ? r : 0;
	now.monotonic = (int64_t)monotonic;
	if (t->pattern && (!t->globbed || now.monotonic - t->globbed_at >= GLOB_EVERY)) {
		r = look_up_pattern(t, now.monotonic);
		if (r < 0)
			say(t, t->pattern, strerror(-r));
		t->globbed_at = now.monotonic;
	}
	t->busy = step_all(t, &now) && !t->paused;
	if (t->paused)
		return 0;
	if (!t->busy)
		pause = pause_after(t, now.monotonic);
	/* An idle wake-up is shared with others. */
	r = sd_event_source_set_time_accuracy(s, pause == LOOK_MAX ? 250 * 1000 : 1000);
	if (r >= 0)
		r = sd_event_source_set_time(s,
			pause == LOOK_MAX ? mqw_clock_next_second(monotonic)
					  : monotonic + (uint64_t)pause);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int set_up(struct mqw_file_tail *t, const struct mqw_file_tail_options *o)
{
	struct mqw_tail_position p;
	bool known;
	int r = 0;

	mqw_buffer_add_str(&t->absent, o->position ? o->position : "");
	if (t->absent.failed)
		return -ENOMEM;
	if (strpbrk(o->path, "*?[")) {
		t->pattern = strdup(o->path);
		if (!t->pattern)
			return -ENOMEM;
	} else {
		known = find_position(t, o->path, false, &p);
		r = add_log(t, o->path, known ? &p : NULL, o->from_end);
	}
	if (r < 0)
		return r;
	return sd_event_add_time(t->loop, &t->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, t);
}

int mqw_file_tail_open(const struct mqw_file_tail_options *options,
	const struct mqw_source_ops *ops, struct sd_event *loop, struct mqw_file_tail **ret)
{
	struct mqw_file_tail *t;
	int r;

	if (*options->path == '\0' || strchr(options->path, '\n'))
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->ops = *ops;
	t->loop = loop;
	t->from_end = options->from_end;
	t->budget = options->budget ? options->budget : BUDGET;
	t->linger = options->linger ? options->linger : LINGER;
	r = set_up(t, options);
	if (r < 0) {
		mqw_file_tail_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

struct mqw_file_tail *mqw_file_tail_close(struct mqw_file_tail *t)
{
	if (!t)
		return NULL;
	sd_event_source_disable_unref(t->timer);
	while (t->count)
		drop_log(t, 0);
	free(t->pattern);
	mqw_buffer_done(&t->absent);
	free(t);
	return NULL;
}

void mqw_file_tail_pause(struct mqw_file_tail *t, bool paused)
{
	t->paused = paused;
	t->busy = t->busy && !paused;
	if (paused)
		return;
	sd_event_source_set_time(t->timer, 0);
	sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
}

bool mqw_file_tail_busy(const struct mqw_file_tail *t, uint64_t *ret_work)
{
	*ret_work = t->work;
	return t->busy;
}

int mqw_file_tail_position(const struct mqw_file_tail *t, struct mqw_buffer *ret)
{
	for (size_t i = 0; i < t->count; i++)
		mqw_follower_position(t->logs[i], ret);
	if (t->pattern)
		mqw_buffer_add(ret, mqw_buffer_slice(&t->absent));
	return ret->failed ? -ENOMEM : 0;
}
