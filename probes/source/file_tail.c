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
#define LOOK_MIN (20 * 1000)
#define LOOK_MAX MQW_SECOND
#define LOOK_SHARE 8
#define GLOB_EVERY (2 * MQW_SECOND)
#define LOGS_MAX 64 /* followed at a time; a glob that matches more is too wide */

struct mqw_file_tail {
	struct mqw_source_ops ops;
	struct sd_event *loop;
	sd_event_source *timer;
	char *pattern; /* owned; NULL: one path, which is logs[0] */
	char *position; /* stored text, kept for logs of a pattern that are not there yet */
	struct mqw_follower *logs[LOGS_MAX];
	size_t count;
	bool from_end;
	bool globbed; /* the pattern was looked up once: what comes later is new */
	bool said_many, said_none;
	unsigned int budget;
	uint64_t work;
	bool busy; /* the last turn left something to do */
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

/* The stored position of one log. */
static bool find_position(
	const struct mqw_file_tail *t, const char *path, struct mqw_tail_position *ret)
{
	struct mqw_slice text = mqw_slice_of(t->position);

	while (mqw_tail_position_take(&text, ret))
		if (mqw_slice_eq(ret->path, mqw_slice_of(path)))
			return true;
	return false;
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
	return 0;
}

static void drop_log(struct mqw_file_tail *t, size_t at)
{
	mqw_follower_done(t->logs[at]);
	free(t->logs[at]);
	t->logs[at] = t->logs[--t->count];
}

/* The log that a set is already followed as: by the name of any of its pieces. */
static struct mqw_follower *follower_of(struct mqw_file_tail *t, const struct mqw_log_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		for (size_t k = 0; k < t->count; k++)
			if (strcmp(t->logs[k]->path, set->files[i].path) == 0)
				return t->logs[k];
	return NULL;
}

/* A set of dated pieces has a newest one that is live; when a newer one comes, it is. */
static int take_set(struct mqw_file_tail *t, const struct mqw_log_set *set)
{
	const char *live = set->files[set->count - 1].path;
	struct mqw_follower *f = follower_of(t, set);
	struct mqw_tail_position p;
	size_t i = set->count;
	char *path;

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
		while (i > 0 && !find_position(t, set->files[i - 1].path, &p))
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

static int look_up_pattern(struct mqw_file_tail *t)
{
	struct mqw_fileset files;
	int r = mqw_fileset_build(&t->pattern, 1, &files);

	for (size_t i = t->count; i-- > 0;)
		if (t->logs[i]->gone)
			drop_log(t, i);
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
	if (r < 0)
		return r;
	now.monotonic = (int64_t)monotonic;
	if (t->pattern && (!t->globbed || now.monotonic - t->globbed_at >= GLOB_EVERY)) {
		r = look_up_pattern(t);
		if (r < 0)
			say(t, t->pattern, strerror(-r));
		t->globbed_at = now.monotonic;
	}
	t->busy = step_all(t, &now);
	if (!t->busy)
		pause = pause_after(t, now.monotonic);
	/* An idle wake-up may wait a little for others to share it. */
	r = sd_event_source_set_time_accuracy(s, pause == LOOK_MAX ? 250 * 1000 : 1000);
	if (r >= 0)
		r = sd_event_source_set_time(s, (uint64_t)(now.monotonic + pause));
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int set_up(struct mqw_file_tail *t, const struct mqw_file_tail_options *o)
{
	struct mqw_tail_position p;
	bool known;
	int r = 0;

	t->position = strdup(o->position ? o->position : "");
	if (!t->position)
		return -ENOMEM;
	if (strpbrk(o->path, "*?[")) {
		t->pattern = strdup(o->path);
		if (!t->pattern)
			return -ENOMEM;
	} else {
		known = find_position(t, o->path, &p);
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
	free(t->position);
	free(t);
	return NULL;
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
	return ret->failed ? -ENOMEM : 0;
}
