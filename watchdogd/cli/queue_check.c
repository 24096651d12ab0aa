/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* openat flags */
#include "watchdogd/cli/queue_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/places.h"
#include "watchdogd/base/fd.h"

#define DEPTH_MAX 18 /* a queue's directory and sixteen levels of hashing (postconf(5)) */
#define LOG_LAG (10 * MQW_MINUTE)
#define SETTLE (10 * MQW_SECOND) /* log and queue are not in step by the second */
#define HEADER_MAX ((size_t)256 * 1024) /* of a mail: where its recipients are */
#define PICKUP_PATIENCE (10 * MQW_MINUTE) /* what arrives is taken up within seconds */
#define LOOKS 2 /* a message on its way from one directory to the next is missed by one look */

struct found {
	struct found *next;
	enum mqw_place place;
	int64_t mtime;
	struct mqw_queue_file file; /* read only where no line of the log tells what is in it */
	char id[];
};

struct mqw_queue_snapshot {
	const struct mqw_probe_ops *mta;
	struct mqw_map ids;
	struct found *all;
	int64_t time; /* of the look */
};

struct walk {
	const struct mqw_probe_ops *mta;
	struct mqw_queue_snapshot *snapshot;
	struct mqw_buffer path; /* relative to the root */
	bool any; /* one of the queue's directories is there */
	int root;
	int error;
};

static int64_t time_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * MQW_SECOND + st->st_mtim.tv_nsec / 1000;
}

/* What can be read of it; it may vanish, or be locked on the server, which is normal. */
static void read_found(struct walk *w, struct found *f)
{
	struct mqw_buffer content = {0};
	int fd = openat(
		w->root, mqw_buffer_str(&w->path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 ? -errno : mqw_fd_read_all(fd, HEADER_MAX, &content);

	if (fd >= 0)
		close(fd);
	if (r == 0 || r == -EFBIG)
		r = w->mta->queue_file(mqw_buffer_slice(&content), &f->file);
	if (r == -ENOMEM)
		w->error = r;
	mqw_buffer_done(&content);
}

static void note_file(struct walk *w, const struct stat *st)
{
	struct mqw_queue_name name;
	struct found *f;

	if (!w->mta->queue_name(mqw_buffer_slice(&w->path), &name) ||
		!mqw_probe_is_whole(w->mta, w->root, mqw_buffer_slice(&w->path)))
		return;
	f = mqw_map_get(&w->snapshot->ids, name.queue_id);
	if (f) {
		f->place = name.place;
		f->mtime = time_of(st);
		return;
	}
	f = malloc(sizeof(*f) + name.queue_id.len + 1);
	if (!f) {
		w->error = -ENOMEM;
		return;
	}
	memcpy(f->id, name.queue_id.ptr, name.queue_id.len);
	f->id[name.queue_id.len] = '\0';
	f->place = name.place;
	f->mtime = time_of(st);
	f->file = (struct mqw_queue_file){0};
	f->next = w->snapshot->all;
	w->snapshot->all = f;
	if (w->mta->files_unlogged)
		read_found(w, f);
	if (mqw_map_put(&w->snapshot->ids, mqw_slice_of(f->id), f) < 0)
		w->error = -ENOMEM;
}

/* Walks the directory at fd, which it closes. Names vanish while we look: that is normal. */
static void walk_directory(struct walk *w, int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	size_t base = w->path.len;

	if (!dir) {
		w->error = -errno;
		close(fd);
		return;
	}
	while (w->error == 0) {
		struct stat st;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			w->error = -errno;
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			w->error = errno == ENOENT ? 0 : -errno;
			continue;
		}
		mqw_buffer_printf(&w->path, "%s%s", base ? "/" : "", entry->d_name);
		if (S_ISREG(st.st_mode)) {
			note_file(w, &st);
		} else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			int sub = openat(dirfd(dir), entry->d_name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (sub >= 0)
				walk_directory(w, sub, depth + 1);
			else if (errno != ENOENT)
				w->error = -errno;
		}
		w->path.len = base;
		w->path.ptr[base] = '\0';
	}
	closedir(dir);
}

static int walk_place(void *ctx, const char *directory)
{
	struct walk *w = ctx;
	/* "" is the root itself. */
	int fd = openat(w->root, directory[0] ? directory : ".",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	w->any = true;
	mqw_buffer_clear(&w->path);
	mqw_buffer_add_str(&w->path, directory);
	walk_directory(w, fd, 1);
	return w->error;
}

static void walk_queue(struct walk *w, const char *queue)
{
	w->root = open(queue, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->root < 0) {
		w->error = -errno;
		return;
	}
	w->error = mqw_places_each(w->root, w->mta->queue_directories, walk_place, w);
	close(w->root);
}

static bool is_open(const struct mqw_message *m)
{
	return m->queued && !m->removed && !m->admin_removed && !m->discarded && !m->refused &&
		!m->successor;
}

struct mqw_queue_snapshot *mqw_queue_snapshot_free(struct mqw_queue_snapshot *s)
{
	if (!s)
		return NULL;
	while (s->all) {
		struct found *next = s->all->next;

		mqw_queue_file_done(&s->all->file);
		free(s->all);
		s->all = next;
	}
	mqw_map_done(&s->ids);
	free(s);
	return NULL;
}

int mqw_queue_snapshot_take(const struct mqw_probe_ops *mta, const char *queue, int64_t now,
	struct mqw_queue_snapshot **ret, struct mqw_buffer *errors)
{
	struct mqw_queue_snapshot *s = calloc(1, sizeof(*s));
	struct walk w = {.mta = mta, .snapshot = s};

	if (!s)
		return -ENOMEM;
	s->mta = mta;
	s->time = now;
	mqw_map_init(&s->ids, mqw_map_random_seed());
	for (int i = 0; w.error == 0 && i < LOOKS; i++)
		walk_queue(&w, queue);
	/* All would be gone from a directory that is no queue. */
	if (w.error == 0 && !w.any)
		w.error = -ENOTDIR;
	mqw_buffer_done(&w.path);
	if (w.error == 0) {
		*ret = s;
		return 0;
	}
	mqw_queue_snapshot_free(s);
	if (w.error != -ENOMEM) {
		mqw_buffer_add_printable(errors, mqw_slice_of(queue));
		if (w.error == -ENOTDIR)
			mqw_buffer_printf(errors, ": no queue of %s is there\n", mta->name);
		else
			mqw_buffer_printf(
				errors, ": the queue cannot be read: %s\n", strerror(-w.error));
	}
	return w.error;
}

static int tell_of(const struct mqw_queue_snapshot *s, struct mqw_tracker *t,
	const struct mqw_message *m, int64_t now)
{
	const struct found *f = mqw_map_get(&s->ids, mqw_slice_of(m->queue_id));
	struct mqw_event e = mqw_event(f ? MQW_EVENT_QUEUE_PRESENT : MQW_EVENT_QUEUE_GONE, now);
	/* Since the look it may have come, moved on or been delivered, and been tried. */
	bool moved = m->last_seen > s->time - SETTLE;

	/* That it is not there proves nothing then. */
	if (!is_open(m) || (!f && (moved || (s->mta->in_other_queue && s->mta->in_other_queue(m)))))
		return 0;
	e.realm = mqw_slice_of(m->realm);
	e.queue_id = mqw_slice_of(m->queue_id);
	if (f) {
		e.place = f->place;
		if (s->mta->mtime_is_retry && !moved)
			e.retry_at = f->mtime;
	}
	return mqw_tracker_event(t, &e);
}

static int give_lag(struct mqw_tracker *t, int64_t log_end, int64_t time)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, time);

	if (log_end == MQW_TIME_NONE || time - log_end <= LOG_LAG)
		return 0;
	gap.from = log_end;
	gap.to = time;
	gap.reply = MQW_LIT("the log that was given ends here; with --queue give it up to now");
	return mqw_tracker_event(t, &gap);
}

int mqw_queue_snapshot_tell(
	const struct mqw_queue_snapshot *s, struct mqw_tracker *t, int64_t log_end)
{
	int64_t now = log_end > s->time ? log_end : s->time;
	int r = give_lag(t, log_end, s->time);

	mqw_tracker_tick(t, now);
	for (struct mqw_message *m = mqw_tracker_next(t, NULL), *next; r == 0 && m; m = next) {
		next = mqw_tracker_next(t, m);
		r = tell_of(s, t, m, now);
	}
	return r;
}

/* A file of which no line tells: since when it is there, whose it is, and until when it may be. */
static int tell_of_file(const struct found *f, struct mqw_tracker *t, int64_t lifetime)
{
	static char unknown[] = "unknown";
	const struct mqw_queue_file_recipient unnamed = {.address = unknown};
	const struct mqw_queue_file_recipient *all = f->file.recipients;
	size_t count = f->file.recipient_count;
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUED, f->mtime);
	int r;

	if (count == 0) {
		all = &unnamed;
		count = 1;
	}
	e.queue_id = mqw_slice_of(f->id);
	e.count = count;
	if (f->file.sender)
		e.sender = mqw_slice_of(f->file.sender);
	if (f->file.message_id) {
		e.kind = MQW_EVENT_MESSAGE_ID;
		e.message_id = mqw_slice_of(f->file.message_id);
		r = mqw_tracker_event(t, &e);
		if (r < 0)
			return r;
		e.kind = MQW_EVENT_QUEUED;
	}
	r = mqw_tracker_event(t, &e);
	e.kind = MQW_EVENT_ATTEMPT;
	e.outcome = MQW_OUTCOME_UNDER_WAY;
	for (size_t i = 0; r == 0 && i < count; i++) {
		e.recipient = mqw_slice_of(all[i].address);
		r = mqw_tracker_event(t, &e);
	}
	e.kind = MQW_EVENT_QUEUE_PRESENT;
	e.place = f->place == MQW_PLACE_ARRIVING ? MQW_PLACE_WAITING : f->place;
	e.retry_at = f->mtime + (f->place == MQW_PLACE_ARRIVING ? PICKUP_PATIENCE : lifetime);
	return r < 0 ? r : mqw_tracker_event(t, &e);
}

int mqw_queue_snapshot_tell_files(
	const struct mqw_queue_snapshot *s, struct mqw_tracker *t, int64_t lifetime)
{
	int r = 0;

	mqw_tracker_tick(t, s->time);
	for (const struct found *f = s->all; r == 0 && f; f = f->next)
		r = tell_of_file(f, t, lifetime);
	return r;
}
