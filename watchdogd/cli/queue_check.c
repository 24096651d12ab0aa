/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* openat flags */
#include "watchdogd/cli/queue_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 18 /* a queue's directory and sixteen levels of hashing (postconf(5)) */
#define LOG_LAG (10 * MQW_MINUTE)

struct found {
	struct found *next;
	enum mqw_place place;
	int64_t mtime;
	char id[];
};

struct walk {
	const struct mqw_probe_ops *mta;
	struct mqw_map ids;
	struct found *all;
	struct mqw_buffer path; /* relative to the root */
	int root;
	int error;
};

static void note_file(struct walk *w, const struct stat *st)
{
	struct mqw_queue_name name;
	struct found *f;

	if (!w->mta->queue_name(mqw_buffer_slice(&w->path), &name) ||
		!mqw_probe_is_whole(w->mta, w->root, mqw_buffer_slice(&w->path)))
		return;
	f = malloc(sizeof(*f) + name.queue_id.len + 1);
	if (!f) {
		w->error = -ENOMEM;
		return;
	}
	memcpy(f->id, name.queue_id.ptr, name.queue_id.len);
	f->id[name.queue_id.len] = '\0';
	f->place = name.place;
	f->mtime = (int64_t)st->st_mtim.tv_sec * MQW_SECOND + st->st_mtim.tv_nsec / 1000;
	f->next = w->all;
	w->all = f;
	if (mqw_map_put(&w->ids, mqw_slice_of(f->id), f) < 0)
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
	while (w->error == 0 && (entry = readdir(dir))) {
		struct stat st;

		if (entry->d_name[0] == '.' ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
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

static void walk_queue(struct walk *w, const char *queue)
{
	int root = open(queue, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0) {
		w->error = -errno;
		return;
	}
	w->root = root;
	for (size_t i = 0; w->error == 0 && w->mta->queue_directories[i]; i++) {
		const char *directory = w->mta->queue_directories[i];
		/* "" is the root itself. */
		int fd = openat(root, directory[0] ? directory : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0) {
			if (errno != ENOENT)
				w->error = -errno;
			continue;
		}
		mqw_buffer_clear(&w->path);
		mqw_buffer_add_str(&w->path, directory);
		walk_directory(w, fd, 1);
	}
	close(root);
}

static bool is_open(const struct mqw_message *m)
{
	return m->queued && !m->removed && !m->admin_removed && !m->discarded && !m->refused &&
		!m->successor;
}

static int tell(struct mqw_tracker *t, const struct walk *w, int64_t now)
{
	for (struct mqw_message *m = mqw_tracker_next(t, NULL), *next; m; m = next) {
		const struct found *f = mqw_map_get(&w->ids, mqw_slice_of(m->queue_id));
		struct mqw_event e =
			mqw_event(f ? MQW_EVENT_QUEUE_PRESENT : MQW_EVENT_QUEUE_GONE, now);
		int r;

		next = mqw_tracker_next(t, m);
		if (!is_open(m))
			continue;
		e.realm = mqw_slice_of(m->realm);
		e.queue_id = mqw_slice_of(m->queue_id);
		if (f) {
			e.place = f->place;
			if (w->mta->mtime_is_retry)
				e.retry_at = f->mtime;
		}
		r = mqw_tracker_event(t, &e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int give_lag(struct mqw_tracker *t, int64_t log_end, int64_t now)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, now);

	if (log_end == MQW_TIME_NONE || now - log_end <= LOG_LAG)
		return 0;
	gap.from = log_end;
	gap.to = now;
	gap.reply = MQW_LIT("the log that was given ends here; with --queue give it up to now");
	return mqw_tracker_event(t, &gap);
}

int mqw_queue_check(struct mqw_tracker *t, const struct mqw_probe_ops *mta, const char *queue,
	int64_t log_end, int64_t now, struct mqw_buffer *errors)
{
	struct walk w = {.mta = mta};
	int r = 0;

	mqw_map_init(&w.ids, mqw_map_random_seed());
	walk_queue(&w, queue);
	if (w.error == -ENOMEM) {
		r = w.error;
	} else if (w.error < 0) {
		mqw_buffer_add_printable(errors, mqw_slice_of(queue));
		mqw_buffer_printf(errors, ": the queue cannot be read: %s\n", strerror(-w.error));
	} else {
		r = give_lag(t, log_end, now);
		mqw_tracker_tick(t, now);
		if (r == 0)
			r = tell(t, &w, now);
	}
	while (w.all) {
		struct found *next = w.all->next;

		free(w.all);
		w.all = next;
	}
	mqw_map_done(&w.ids);
	mqw_buffer_done(&w.path);
	return r;
}
