/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include "watchdogd/daemon/queue_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "probes/source/places.h"
#include "watchdogd/daemon/queue_search.h"

/* Only somebody else deletes a waiting file; the MTA itself deletes the one that it works on, and
 * then its last lines may still be on their way (facts on Postfix: qmgr deletes in active/). */
#define GRACE_WAITING (10 * MQW_SECOND)
#define GRACE_WORKED_ON (60 * MQW_SECOND)
#define LOOK_AGAIN (10 * MQW_SECOND)
/* Rescans after which a file is given that is as it was: whatever its message went through meanwhile. */
#define GIVEN_AGAIN 8
#define LOOKS 2 /* a message on its way from one directory to the next is missed by one look */

struct entry {
	struct entry *next_suspect, *next_worked_on;
	char *path; /* NULL: expected, never seen */
	enum mqw_place place;
	uint32_t generation;
	uint8_t turn; /* of GIVEN_AGAIN rescans: in which it is given, known or not */
	bool suspect; /* in the list of suspects */
	bool worked_on; /* in that of those with a journal */
	off_t journal_size; /* as it was looked at last */
	int64_t known; /* the change of the file of which all is known; MQW_TIME_NONE: of none */
	int64_t missing_since; /* MQW_TIME_NONE: not missing */
	int64_t look_at; /* not before, as the last look settled nothing */
	char id[];
};

struct mqw_queue_watch {
	const struct mqw_probe_ops *probe;
	struct mqw_queue_watch_ops ops;
	struct mqw_dirwatch *dirwatch;
	struct mqw_dirwatch_ops dirwatch_ops;
	char *root;
	int fd;
	struct mqw_map entries;
	struct entry *suspects, *worked_on;
	uint32_t generation; /* the number of the rescan that was begun last */
	bool scanning;
};

int mqw_queue_watch_root(struct mqw_queue_watch *w)
{
	if (w->fd < 0)
		w->fd = open(w->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->fd;
}

static struct entry *find(struct mqw_queue_watch *w, struct mqw_slice id)
{
	return mqw_map_get(&w->entries, id);
}

static struct entry *find_or_add(struct mqw_queue_watch *w, struct mqw_slice id)
{
	struct entry *e = find(w, id);

	if (e)
		return e;
	e = calloc(1, sizeof(*e) + id.len + 1);
	if (!e)
		return NULL;
	memcpy(e->id, id.ptr, id.len);
	e->missing_since = e->known = MQW_TIME_NONE;
	/* A start finds all at once: not all of them have the same turn, and none has the next. */
	e->turn =
		(uint8_t)((w->generation - 1 - w->entries.count % (GIVEN_AGAIN / 2)) % GIVEN_AGAIN);
	if (mqw_map_put(&w->entries, mqw_slice(e->id, id.len), e) < 0) {
		free(e);
		return NULL;
	}
	return e;
}

static void free_entry(struct entry *e)
{
	free(e->path);
	free(e);
}

static void forget(struct mqw_queue_watch *w, struct entry *e)
{
	struct entry **p = &w->worked_on;

	while (e->worked_on && *p && *p != e)
		p = &(*p)->next_worked_on;
	if (e->worked_on && *p)
		*p = e->next_worked_on;
	mqw_map_take(&w->entries, mqw_slice_of(e->id));
	free_entry(e);
}

static void suspect(struct mqw_queue_watch *w, struct entry *e, int64_t now)
{
	if (e->missing_since == MQW_TIME_NONE) {
		e->missing_since = now;
		e->look_at = MQW_TIME_NONE;
	}
	if (e->suspect)
		return;
	e->suspect = true;
	e->next_suspect = w->suspects;
	w->suspects = e;
}

/* A message's journal is there: from now on it is looked at, since nothing tells when it grows. */
static void note_journal(struct mqw_queue_watch *w, struct mqw_slice path)
{
	struct mqw_slice id;
	struct entry *e =
		w->probe->journal && w->probe->journal_name(path, &id) ? find(w, id) : NULL;

	if (!e || !e->path || e->worked_on)
		return;
	e->worked_on = true;
	e->journal_size = 0;
	e->next_worked_on = w->worked_on;
	w->worked_on = e;
}

/* Moves and writes change it, and so does whoever sets a file's other times. */
static int64_t change_of(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static void give(struct mqw_queue_watch *w, struct entry *e, const struct stat *st)
{
	bool known = w->ops.present(w->ops.ctx, mqw_slice_of(e->id), e->place, e->path, st);

	e->known = known ? change_of(st) : MQW_TIME_NONE;
}

static void seen(struct mqw_queue_watch *w, struct mqw_slice path, const struct stat *st)
{
	struct mqw_queue_name name;
	struct entry *e;

	if (!S_ISREG(st->st_mode))
		return;
	if (!w->probe->queue_name(path, &name)) {
		note_journal(w, path);
		return;
	}
	e = find_or_add(w, name.queue_id);
	if (!e)
		return;
	if (!e->path || !mqw_slice_eq(mqw_slice_of(e->path), path)) {
		char *copy = mqw_slice_dup(path);

		if (!copy) {
			/* Out of memory: better not known at all than without a place. */
			if (!e->path && !e->suspect)
				forget(w, e);
			return;
		}
		free(e->path);
		e->path = copy;
		e->known = MQW_TIME_NONE;
	}
	e->place = name.place;
	e->generation = w->generation;
	/* One file of several is gone: as the MTA works on it, or for good. */
	if (mqw_queue_watch_root(w) >= 0 && !mqw_probe_is_whole(w->probe, w->fd, path)) {
		suspect(w, e, mqw_clock_now());
		return;
	}
	e->missing_since = MQW_TIME_NONE;
	if (e->known != change_of(st) || w->generation % GIVEN_AGAIN == e->turn)
		give(w, e, st);
}

static void on_name(void *userdata, struct mqw_slice path, bool present)
{
	struct mqw_queue_watch *w = userdata;
	struct mqw_queue_name name;
	char text[PATH_MAX];
	struct stat st;
	struct entry *e;

	if (path.len >= sizeof(text))
		return;
	if (!w->probe->queue_name(path, &name)) {
		if (present)
			note_journal(w, path);
		return;
	}
	if (present) {
		memcpy(text, path.ptr, path.len);
		text[path.len] = '\0';
		/* Gone on meanwhile: its next hint or the rescan tells where to. */
		if (mqw_queue_watch_root(w) >= 0 &&
			fstatat(w->fd, text, &st, AT_SYMLINK_NOFOLLOW) == 0)
			seen(w, path, &st);
		return;
	}
	e = find(w, name.queue_id);
	if (e && e->path && mqw_slice_eq(mqw_slice_of(e->path), path))
		suspect(w, e, mqw_clock_now());
}

static void on_rescan_begin(void *userdata)
{
	struct mqw_queue_watch *w = userdata;

	w->generation++;
	w->scanning = true;
	/* The root may have been made anew. */
	if (w->fd >= 0) {
		close(w->fd);
		w->fd = -1;
	}
}

static void on_scanned(void *userdata, struct mqw_slice path, const struct stat *st)
{
	seen(userdata, path, st);
}

static void on_rescan_end(void *userdata, bool complete)
{
	struct mqw_queue_watch *w = userdata;
	const struct mqw_map_slot *slot;
	int64_t now = mqw_clock_now();
	size_t cursor = 0;

	w->scanning = false;
	if (!complete)
		return;
	while ((slot = mqw_map_next(&w->entries, &cursor))) {
		struct entry *e = slot->value;

		if (e->generation != w->generation)
			suspect(w, e, now);
	}
	w->ops.scanned(w->ops.ctx, w->generation);
}

int mqw_queue_watch_create(struct mqw_dirwatch *dirwatch, const char *root,
	const struct mqw_probe_ops *probe, const struct mqw_queue_watch_ops *ops,
	struct mqw_queue_watch **ret)
{
	struct mqw_queue_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->probe = probe;
	w->dirwatch = dirwatch;
	w->ops = *ops;
	w->fd = -1;
	w->root = mqw_slice_dup(mqw_slice_of(root));
	mqw_map_init(&w->entries, mqw_map_random_seed());
	w->dirwatch_ops = (struct mqw_dirwatch_ops){.name = on_name,
		.rescan_begin = on_rescan_begin,
		.scanned = on_scanned,
		.rescan_end = on_rescan_end};
	r = w->root
		? mqw_dirwatch_add(dirwatch, w->root, probe->queue_directories, &w->dirwatch_ops, w)
		: -ENOMEM;
	if (r < 0)
		mqw_queue_watch_free(w);
	else
		*ret = w;
	return r;
}

struct mqw_queue_watch *mqw_queue_watch_free(struct mqw_queue_watch *w)
{
	const struct mqw_map_slot *slot;
	size_t cursor = 0;

	if (!w)
		return NULL;
	while ((slot = mqw_map_next(&w->entries, &cursor)))
		free_entry(slot->value);
	mqw_map_done(&w->entries);
	if (w->fd >= 0)
		close(w->fd);
	free(w->root);
	free(w);
	return NULL;
}

struct look {
	struct mqw_queue_watch *w;
	const struct entry *e;
	struct mqw_buffer *path;
	bool any; /* a directory of the queue is there */
	bool home; /* that in which the file was last is */
};

static int look_into(void *ctx, const char *name)
{
	struct look *l = ctx;
	struct mqw_slice directory = mqw_slice_of(name), rest = mqw_slice_of(l->e->path);
	/* "" is the root itself. */
	int fd = openat(l->w->fd, directory.len ? name : ".",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	l->any = true;
	l->home = l->home || directory.len == 0 ||
		(mqw_slice_skip(&rest, directory) && mqw_slice_starts(rest, MQW_LIT("/")));
	mqw_buffer_clear(l->path);
	mqw_buffer_add(l->path, directory);
	return mqw_queue_search(l->w->probe, fd, l->e->id, l->path);
}

/*
 * 1 and the path, 0 when it is nowhere, -errno: cannot tell. A queue of which nothing is there, or
 * not the directory in which the file was last, is no queue that has lost it: a file system that is
 * not mounted.
 */
static int look_once(struct mqw_queue_watch *w, const struct entry *e, struct mqw_buffer *path)
{
	struct look l = {.w = w, .e = e, .path = path, .home = !e->path};
	int r;

	if (mqw_queue_watch_root(w) < 0)
		return -errno;
	r = mqw_places_each(w->fd, w->probe->queue_directories, look_into, &l);
	return r == 0 && !(l.any && l.home) ? -ENOENT : r;
}

static int look_everywhere(
	struct mqw_queue_watch *w, const struct entry *e, struct mqw_buffer *path)
{
	int r = 0;

	for (int i = 0; r == 0 && i < LOOKS; i++)
		r = look_once(w, e, path);
	return r;
}

/* True: nothing more to look after. */
static bool settle_suspect(struct mqw_queue_watch *w, struct entry *e, int64_t now)
{
	bool worked_on = e->place == MQW_PLACE_ACTIVE || e->place == MQW_PLACE_ARRIVING ||
		e->place == MQW_PLACE_QUEUED;
	struct mqw_buffer path = {0};
	struct stat st;
	int r;

	if (e->missing_since == MQW_TIME_NONE)
		return true;
	if (now - e->missing_since < (worked_on ? GRACE_WORKED_ON : GRACE_WAITING) ||
		now < e->look_at)
		return false;
	e->look_at = now + LOOK_AGAIN;
	if (!w->ops.matters(w->ops.ctx, mqw_slice_of(e->id))) {
		forget(w, e);
		return true;
	}
	r = look_everywhere(w, e, &path);
	/* There, and not whole: as good as gone. */
	if (r == 1 && !mqw_probe_is_whole(w->probe, w->fd, mqw_buffer_slice(&path)))
		r = 0;
	else if (r == 1 && fstatat(w->fd, mqw_buffer_str(&path), &st, AT_SYMLINK_NOFOLLOW) == 0)
		seen(w, mqw_slice_of(mqw_buffer_str(&path)), &st);
	mqw_buffer_done(&path);
	if (r != 0)
		return e->missing_since == MQW_TIME_NONE;
	if (!w->ops.gone(w->ops.ctx, mqw_slice_of(e->id), e->place, e->missing_since))
		return false;
	forget(w, e);
	return true;
}

/* What has grown is given once more; false: there is no journal any more. */
static bool look_at_journal(struct mqw_queue_watch *w, struct entry *e)
{
	char name[PATH_MAX];
	struct stat st;

	if (mqw_queue_watch_root(w) < 0 ||
		!w->probe->companion(
			mqw_slice_of(e->path), w->probe->journal, name, sizeof(name)) ||
		fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (st.st_size == e->journal_size)
		return true;
	e->journal_size = st.st_size;
	mqw_queue_watch_look(w, mqw_slice_of(e->id));
	return true;
}

static void look_at_journals(struct mqw_queue_watch *w)
{
	struct entry **p = &w->worked_on;

	while (*p) {
		struct entry *e = *p;

		if (look_at_journal(w, e)) {
			p = &e->next_worked_on;
			continue;
		}
		e->worked_on = false;
		*p = e->next_worked_on;
	}
}

void mqw_queue_watch_tick(struct mqw_queue_watch *w, int64_t now)
{
	struct entry *list = w->suspects;

	look_at_journals(w);
	w->suspects = NULL;
	while (list) {
		struct entry *e = list;

		list = e->next_suspect;
		e->suspect = false;
		if (!settle_suspect(w, e, now))
			suspect(w, e, now);
	}
}

bool mqw_queue_watch_expect(
	struct mqw_queue_watch *w, struct mqw_slice queue_id, enum mqw_place place, int64_t now)
{
	struct entry *e;

	if (find(w, queue_id))
		return true;
	e = find_or_add(w, queue_id);
	if (!e)
		return false;
	e->place = place;
	e->generation = w->generation;
	suspect(w, e, now);
	return true;
}

static void look(struct mqw_queue_watch *w, struct entry *e)
{
	struct stat st;

	if (e->path && mqw_queue_watch_root(w) >= 0 &&
		fstatat(w->fd, e->path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		give(w, e, &st);
}

void mqw_queue_watch_look(struct mqw_queue_watch *w, struct mqw_slice queue_id)
{
	struct entry *e = find(w, queue_id);

	if (e)
		look(w, e);
}

void mqw_queue_watch_forget(struct mqw_queue_watch *w, struct mqw_slice queue_id)
{
	struct entry *e = find(w, queue_id);

	if (e)
		e->known = MQW_TIME_NONE;
}

uint32_t mqw_queue_watch_rescan(struct mqw_queue_watch *w)
{
	/* What fails here is only later: there is one each minute. */
	(void)mqw_dirwatch_rescan(w->dirwatch);
	return w->generation + 1;
}

bool mqw_queue_watch_scanning(const struct mqw_queue_watch *w)
{
	return w->scanning;
}

size_t mqw_queue_watch_count(const struct mqw_queue_watch *w)
{
	return w->entries.count;
}
