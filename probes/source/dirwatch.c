/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include "probes/source/dirwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <inotifytools/inotify.h>
#include <inotifytools/inotifytools.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "probes/source/listing.h"
#include "probes/source/places.h"
#include "watchdogd/base/buffer.h"
#include "watchdogd/base/clock.h"

#define MASK                                                                                       \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |     \
		IN_ONLYDIR | IN_EXCL_UNLINK)
#define BUDGET 512 /* events handled in one go: other sources want their turn */
#define GATHER_US 25000 /* so long a hint waits for more of them: to be woken is what costs */
#define PIECE 256 /* names that a rescan looks at in one go */

struct tree {
	struct tree *next;
	char *root; /* owned, without a trailing slash */
	const char *const *directories;
	const struct mqw_dirwatch_ops *ops;
	void *userdata;
};

/* Where a listing's names go. */
struct names {
	struct mqw_dirwatch *w;
	struct tree *tree;
	bool scanned; /* in a rescan, and not as hints */
};

struct mqw_dirwatch {
	sd_event *event;
	sd_event_source *io, *gather, *timer, *piece;
	struct tree *trees;
	struct mqw_buffer path; /* of the name that a hint is about */
	struct names scan; /* the rescan that is under way; tree NULL: none is */
	struct mqw_listing listing; /* its */
	bool again; /* another one was asked for meanwhile */
	uint64_t interval, last_scan; /* CLOCK_MONOTONIC */
	uint64_t overflows, rescans;
	size_t stale; /* watches whose directory went: the library never forgets them */
	int polling;
	bool at_once; /* hints do not wait for more of them */
	bool initialized; /* the library is */
};

static bool in_use; /* the library's state is one a process */

/* The library gives no access to its descriptor, so learn its number by asking for the next one. */
static int adopt(int *ret_fd)
{
	char link[64], target[64];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	close(fd);
	if (!inotifytools_initialize())
		return inotifytools_error() ? -inotifytools_error() : -ENOTSUP;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target));
	/* select(2) behind next_events() aborts the process for higher ones. */
	if (fd >= FD_SETSIZE || n < 0 ||
		!mqw_slice_starts(mqw_slice(target, (size_t)n), MQW_LIT("anon_inode:inotify"))) {
		inotifytools_cleanup();
		return -ENOTSUP;
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		int e = errno;

		inotifytools_cleanup();
		return -e;
	}
	*ret_fd = fd;
	return 0;
}

static int on_events(sd_event_source *s, int fd, uint32_t revents, void *userdata);

static void library_stop(struct mqw_dirwatch *w)
{
	w->io = sd_event_source_disable_unref(w->io);
	sd_event_source_set_enabled(w->gather, SD_EVENT_OFF);
	if (w->initialized)
		inotifytools_cleanup();
	w->initialized = false;
	w->stale = 0;
}

/* Without inotify rescans alone do the work, only later: no reason to stay away. */
static void library_start(struct mqw_dirwatch *w)
{
	int fd = -1, r = adopt(&fd);

	w->polling = r < 0 ? -r : 0;
	if (r < 0)
		return;
	w->initialized = true;
	r = sd_event_add_io(w->event, &w->io, fd, EPOLLIN, on_events, w);
	if (r < 0) {
		library_stop(w);
		w->polling = -r;
	}
}

/* The path has a slash behind. */
static void watch(struct mqw_dirwatch *w, const char *path)
{
	/* Adding one twice loses memory in the library each time. */
	if (!w->initialized || inotifytools_wd_from_filename(path) >= 0)
		return;
	if (!inotifytools_watch_file(path, MASK)) {
		int e = inotifytools_error();

		if (e != ENOENT && e != ENOTDIR)
			w->polling = e ? e : EIO;
	}
}

static void on_directory(void *ctx, const char *path)
{
	watch(((const struct names *)ctx)->w, path);
}

static void on_met(void *ctx, struct mqw_slice path, const struct stat *st)
{
	const struct names *n = ctx;

	if (n->scanned)
		n->tree->ops->scanned(n->tree->userdata, path, st);
	else
		n->tree->ops->name(n->tree->userdata, path, true);
}

static struct mqw_listing listing_of(struct names *n)
{
	static const struct mqw_listing_ops ops = {on_directory, on_met};

	return (struct mqw_listing){
		.ops = &ops, .ctx = n, .root = n->tree->root, .patterns = n->tree->directories};
}

/* Gives all names in a new directory as hints. What cannot be seen is left to the next rescan. */
static void list(struct mqw_dirwatch *w, struct tree *t, struct mqw_slice directory)
{
	struct names names = {.w = w, .tree = t};
	struct mqw_listing l = listing_of(&names);

	mqw_listing_begin_at(&l, directory);
	while (mqw_listing_step(&l, PIECE))
		;
	mqw_listing_done(&l);
}

static struct tree *tree_of(struct mqw_dirwatch *w, struct mqw_slice path)
{
	struct tree *best = NULL;

	for (struct tree *t = w->trees; t; t = t->next) {
		size_t len = strlen(t->root);

		if (mqw_slice_starts(path, mqw_slice(t->root, len)) && path.len > len &&
			path.ptr[len] == '/' && (!best || len > strlen(best->root)))
			best = t;
	}
	return best;
}

/* w->path is a directory, without the slash, that came into or went from a watched one. */
static void handle_directory(struct mqw_dirwatch *w, struct tree *t, bool present)
{
	size_t len = w->path.len, root = strlen(t->root) + 1;

	mqw_buffer_add_str(&w->path, "/");
	if (w->path.failed || !present ||
		(w->initialized && inotifytools_wd_from_filename(mqw_buffer_str(&w->path)) >= 0)) {
		/* It went, and its names with it; or the library holds an old watch of that name. */
		w->path.failed = false;
		w->stale++;
		(void)mqw_dirwatch_rescan(w);
	}
	if (present)
		list(w, t, mqw_slice(w->path.ptr + root, len - root));
}

static void handle(struct mqw_dirwatch *w, const struct inotify_event *e)
{
	const char *directory;
	struct mqw_slice name;
	struct tree *t;
	bool present = e->mask & (IN_CREATE | IN_MOVED_TO);

	if (e->mask & IN_Q_OVERFLOW) {
		w->overflows++;
		(void)mqw_dirwatch_rescan(w);
		return;
	}
	if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_UNMOUNT | IN_MOVE_SELF)) {
		w->stale++;
		(void)mqw_dirwatch_rescan(w);
		return;
	}
	directory = inotifytools_filename_from_wd(e->wd);
	if (e->len == 0 || !directory)
		return;
	mqw_buffer_clear(&w->path);
	mqw_buffer_add_str(&w->path, directory);
	mqw_buffer_add_str(&w->path, e->name);
	t = tree_of(w, mqw_buffer_slice(&w->path));
	if (w->path.failed || !t)
		return;
	name = mqw_slice_from(mqw_buffer_slice(&w->path), strlen(t->root) + 1);
	if (!(e->mask & IN_ISDIR))
		t->ops->name(t->userdata, name, present);
	else if (mqw_places_lead(t->directories, name))
		handle_directory(w, t, present);
}

/* True when the library may hold more: the descriptor does not tell. */
static bool drain(struct mqw_dirwatch *w, size_t budget)
{
	while (w->initialized && budget-- > 0) {
		/* 0 seconds, 1 event: the one form that neither blocks nor spins. */
		const struct inotify_event *e = inotifytools_next_events(0, 1);

		if (!e)
			return false;
		handle(w, e);
	}
	return w->initialized;
}

static int drain_after(struct mqw_dirwatch *w, uint64_t usec)
{
	int r = sd_event_source_set_time_relative(w->gather, usec);

	return r < 0 ? r : sd_event_source_set_enabled(w->gather, SD_EVENT_ONESHOT);
}

static int drain_on(struct mqw_dirwatch *w)
{
	if (drain(w, BUDGET))
		return drain_after(w, 0);
	/* A rescan meanwhile may have found that inotify is not to be had any more. */
	return w->io ? sd_event_source_set_enabled(w->io, SD_EVENT_ON) : 0;
}

static int on_gathered(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	return drain_on(userdata);
}

static int on_events(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct mqw_dirwatch *w = userdata;
	int r = sd_event_source_set_enabled(s, SD_EVENT_OFF);

	(void)fd, (void)revents;
	return r < 0 ? r : drain_after(w, w->at_once ? 0 : GATHER_US);
}

static bool has_star(const char *const *directories)
{
	while (*directories && (*directories)[0] != '*')
		directories++;
	return *directories;
}

/* The rescan goes on with a tree; NULL: it is over. */
static void begin_tree(struct mqw_dirwatch *w, struct tree *t)
{
	mqw_listing_done(&w->listing);
	w->scan = (struct names){.w = w, .tree = t, .scanned = true};
	if (!t)
		return;
	/* For the directories that a "*" will stand for, when they are made. */
	mqw_buffer_clear(&w->path);
	mqw_buffer_printf(&w->path, "%s/", t->root);
	if (has_star(t->directories) && !w->path.failed)
		watch(w, mqw_buffer_str(&w->path));
	t->ops->rescan_begin(t->userdata);
	w->listing = listing_of(&w->scan);
	mqw_listing_begin(&w->listing);
}

static void end_tree(struct mqw_dirwatch *w)
{
	const struct tree *t = w->scan.tree;
	/* As many as one kernel queue holds; a flood beyond that shows up as an overflow. */
	bool flooded = drain(w, (size_t)1 << 16);

	t->ops->rescan_end(t->userdata, w->listing.any && !w->listing.incomplete && !flooded);
}

/* One piece of the rescan. */
static int on_piece(sd_event_source *source, void *userdata)
{
	struct mqw_dirwatch *w = userdata;

	if (mqw_listing_step(&w->listing, PIECE))
		return 0;
	end_tree(w);
	begin_tree(w, w->scan.tree->next);
	if (w->scan.tree)
		return 0;
	w->rescans++;
	if (w->again)
		(void)mqw_dirwatch_rescan(w);
	return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct mqw_dirwatch *w = userdata;
	uint64_t now;
	int r = sd_event_now(w->event, CLOCK_MONOTONIC, &now);

	(void)usec;
	if (r < 0)
		return r;
	/* Set first: what goes wrong in the scan asks for the next one. */
	w->last_scan = now;
	r = sd_event_source_set_time(s, now + w->interval);
	if (r < 0)
		return r;
	w->again = w->scan.tree != NULL;
	if (w->again)
		return sd_event_source_set_enabled(s, SD_EVENT_ON);
	if (w->stale || !w->initialized) {
		/* What the library still holds are hints; the scan sees the same and more. */
		library_stop(w);
		library_start(w);
	} else {
		w->polling = 0;
	}
	begin_tree(w, w->trees);
	r = sd_event_source_set_enabled(w->piece, w->trees ? SD_EVENT_ON : SD_EVENT_OFF);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ON);
}

int mqw_dirwatch_create(sd_event *event, uint64_t interval, struct mqw_dirwatch **ret)
{
	struct mqw_dirwatch *w;
	int r;

	if (in_use)
		return -EBUSY;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	in_use = true;
	w->event = sd_event_ref(event);
	w->interval = interval;
	r = sd_event_add_time(event, &w->timer, CLOCK_MONOTONIC, 0, 0, on_timer, w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(event, &w->gather, CLOCK_MONOTONIC, 0, 1000, on_gathered, w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->gather, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(event, &w->piece, on_piece, w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->piece, SD_EVENT_OFF);
	/* A scan takes a while: whatever is ready goes first. */
	if (r >= 0)
		r = sd_event_source_set_priority(w->timer, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_source_set_priority(w->piece, SD_EVENT_PRIORITY_IDLE);
	if (r < 0) {
		mqw_dirwatch_free(w);
		return r;
	}
	library_start(w);
	*ret = w;
	return 0;
}

struct mqw_dirwatch *mqw_dirwatch_free(struct mqw_dirwatch *w)
{
	if (!w)
		return NULL;
	library_stop(w);
	sd_event_source_disable_unref(w->gather);
	sd_event_source_disable_unref(w->timer);
	sd_event_source_disable_unref(w->piece);
	mqw_listing_done(&w->listing);
	sd_event_unref(w->event);
	while (w->trees) {
		struct tree *next = w->trees->next;

		free(w->trees->root);
		free(w->trees);
		w->trees = next;
	}
	mqw_buffer_done(&w->path);
	free(w);
	in_use = false;
	return NULL;
}

void mqw_dirwatch_set_at_once(struct mqw_dirwatch *w, bool at_once)
{
	w->at_once = at_once;
}

int mqw_dirwatch_add(struct mqw_dirwatch *w, const char *root, const char *const *directories,
	const struct mqw_dirwatch_ops *ops, void *userdata)
{
	struct mqw_slice s = mqw_slice_of(root);
	struct tree *t;
	int r;

	while (s.len > 1 && s.ptr[s.len - 1] == '/')
		s.len--;
	if (s.len < 2 || s.ptr[0] != '/')
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct tree){.next = w->trees,
		.root = mqw_slice_dup(s),
		.directories = directories,
		.ops = ops,
		.userdata = userdata};
	if (!t->root) {
		free(t);
		return -ENOMEM;
	}
	r = mqw_dirwatch_rescan(w);
	if (r < 0) {
		free(t->root);
		free(t);
		return r;
	}
	w->trees = t;
	return 0;
}

int mqw_dirwatch_rescan(struct mqw_dirwatch *w)
{
	uint64_t at = w->last_scan ? w->last_scan + (uint64_t)MQW_SECOND : 0, set;
	int on, r = sd_event_source_get_enabled(w->timer, &on);

	if (r >= 0)
		r = sd_event_source_get_time(w->timer, &set);
	/* Never later than what is set already. */
	if (r >= 0 && (on == SD_EVENT_OFF || at < set))
		r = sd_event_source_set_time(w->timer, at);
	return r < 0 ? r : sd_event_source_set_enabled(w->timer, SD_EVENT_ON);
}

int mqw_dirwatch_polling(const struct mqw_dirwatch *w)
{
	return w->polling;
}

uint64_t mqw_dirwatch_overflows(const struct mqw_dirwatch *w)
{
	return w->overflows;
}

uint64_t mqw_dirwatch_rescans(const struct mqw_dirwatch *w)
{
	return w->rescans;
}
