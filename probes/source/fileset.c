/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/fileset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/decompress.h"
#include "probes/source/log_name.h"
#include "watchdogd/base/clock.h"

#define DEPTH_MAX 6 /* Exchange has its logs four folders deep */

struct candidate {
	struct mqw_log_file file;
	dev_t dev;
	ino_t ino;
	struct mqw_log_name name; /* of file.path */
	size_t order; /* of the argument; later that of the set's first one */
};

struct work {
	struct candidate *items;
	size_t count, cap;
	struct mqw_fileset *out;
	bool (*is_log)(struct mqw_slice name); /* NULL: any file of a directory may be one */
	bool no_memory;
};

static void fault(struct work *w, const char *path, const char *why)
{
	mqw_buffer_add_printable(&w->out->errors, mqw_slice_of(path));
	mqw_buffer_printf(&w->out->errors, ": %s\n", why);
	w->out->error_count++;
}

#define JOURNAL "journal"

bool mqw_fileset_is_journal(const char *path)
{
	size_t n = sizeof(JOURNAL) - 1;

	return strncmp(path, JOURNAL, n) == 0 && (path[n] == '\0' || path[n] == ':');
}

const char *mqw_fileset_journal_directory(const char *path)
{
	const char *colon = strchr(path, ':');

	return colon ? colon + 1 : NULL;
}

/* No file with a name of its own: it is told by the word, has no age and no pieces. */
static bool is_word(const char *arg)
{
	return strcmp(arg, "-") == 0 || mqw_fileset_is_journal(arg);
}

static bool is_known(const struct work *w, const struct stat *st)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->items[i].dev == st->st_dev && w->items[i].ino == st->st_ino &&
			!is_word(w->items[i].file.path))
			return true;
	return false;
}

static void add(struct work *w, const char *path, const struct stat *st)
{
	struct candidate *c;
	char *copy;

	if (w->count == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 64;
		void *items = reallocarray(w->items, cap, sizeof(*w->items));

		if (!items) {
			w->no_memory = true;
			return;
		}
		w->items = items;
		w->cap = cap;
	}
	copy = mqw_slice_dup(mqw_slice_of(path));
	if (!copy) {
		w->no_memory = true;
		return;
	}
	c = &w->items[w->count];
	*c = (struct candidate){.file = {.path = copy, .mtime = MQW_TIME_NONE}};
	c->order = w->count++;
	if (st) {
		c->dev = st->st_dev;
		c->ino = st->st_ino;
	}
	if (st && S_ISREG(st->st_mode)) {
		c->file.size = (uint64_t)st->st_size;
		c->file.mtime =
			(int64_t)st->st_mtim.tv_sec * MQW_SECOND + st->st_mtim.tv_nsec / 1000;
	}
	c->name = mqw_log_name_read(c->file.path);
}

/* In a directory next to logs lie wtmp, journals, databases: a NUL early on tells them. */
static bool looks_binary(int fd)
{
	char head[4096];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	struct mqw_slice s = mqw_slice(head, n > 0 ? (size_t)n : 0);

	return mqw_compression_of(s) == MQW_COMPRESSION_NONE && mqw_slice_chr(s, '\0') < s.len;
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* One name in a directory; true when it is a log, or would be if it could be read. */
static bool add_entry(struct work *w, const char *path)
{
	/* O_NONBLOCK: opening a FIFO in there shall not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	bool is_log = false;

	if (fd < 0) {
		int e = errno;

		if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
			return false;
		fault(w, path, strerror(e));
		return true;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !looks_binary(fd)) {
		is_log = true;
		if (!is_known(w, &st))
			add(w, path, &st);
	}
	close(fd);
	return is_log;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The logs in a directory, and where they have names of their own, below it; whether there are any. */
static bool add_names(struct work *w, const char *path, int depth)
{
	struct dirent **names;
	struct mqw_buffer full = {0};
	bool any = false;
	int n = scandir(path, &names, visible, alphasort);

	if (n < 0) {
		if (errno == ENOMEM)
			w->no_memory = true;
		else
			fault(w, path, strerror(errno));
		return true;
	}
	for (int i = 0; i < n; i++) {
		const char *slash = mqw_slice_ends(mqw_slice_of(path), MQW_LIT("/")) ? "" : "/";
		bool named = !w->is_log || w->is_log(mqw_slice_of(names[i]->d_name));

		mqw_buffer_clear(&full);
		mqw_buffer_printf(&full, "%s%s%s", path, slash, names[i]->d_name);
		if (full.failed)
			w->no_memory = true;
		else if (w->is_log && depth < DEPTH_MAX && is_directory(mqw_buffer_str(&full)))
			any |= add_names(w, mqw_buffer_str(&full), depth + 1);
		else if (named)
			any |= add_entry(w, mqw_buffer_str(&full));
		free(names[i]);
	}
	free(names);
	mqw_buffer_done(&full);
	return any;
}

static void add_directory(struct work *w, const char *path)
{
	if (!add_names(w, path, 0))
		fault(w, path, "no log files in this directory");
}

static void add_path(struct work *w, const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		add_directory(w, path);
	else if (access(path, R_OK) < 0)
		fault(w, path, strerror(errno));
	else if (!is_known(w, st))
		add(w, path, st);
}

static void add_pattern(struct work *w, const char *pattern)
{
	glob_t g = {0};
	struct stat st;
	int r = glob(pattern, 0, NULL, &g);

	if (r == GLOB_NOSPACE)
		w->no_memory = true;
	else if (r != 0)
		fault(w, pattern, "no file matches this pattern");
	for (size_t i = 0; r == 0 && i < g.gl_pathc; i++) {
		if (stat(g.gl_pathv[i], &st) < 0)
			fault(w, g.gl_pathv[i], strerror(errno));
		else
			add_path(w, g.gl_pathv[i], &st);
	}
	globfree(&g);
}

static void add_argument(struct work *w, const char *arg)
{
	struct stat st;

	if (is_word(arg)) {
		for (size_t i = 0; i < w->count; i++)
			if (strcmp(w->items[i].file.path, arg) == 0)
				return;
		add(w, arg, NULL);
	} else if (stat(arg, &st) == 0) {
		/* A file whose name holds a bracket is that file before it is a pattern. */
		add_path(w, arg, &st);
	} else {
		int e = errno;

		if (e == ENOENT && strpbrk(arg, "*?["))
			add_pattern(w, arg);
		else
			fault(w, arg, strerror(e));
	}
}

static int by_base(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int c = mqw_slice_cmp(a->name.base, b->name.base);

	return c ? c : (a->order > b->order) - (a->order < b->order);
}

static int by_age(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int c;

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	c = mqw_log_name_order(&a->name, &b->name);
	return c ? c : strcmp(a->file.path, b->file.path);
}

/* Gives all of one log the order of the first argument that named one of them. */
static void join_sets(struct work *w)
{
	if (w->count == 0)
		return;
	qsort(w->items, w->count, sizeof(*w->items), by_base);
	for (size_t i = 1; i < w->count; i++)
		if (mqw_slice_eq(w->items[i].name.base, w->items[i - 1].name.base))
			w->items[i].order = w->items[i - 1].order;
	qsort(w->items, w->count, sizeof(*w->items), by_age);
}

static int write_sets(struct work *w)
{
	struct mqw_fileset *out = w->out;
	size_t end;

	if (w->count == 0)
		return 0;
	out->sets = calloc(w->count, sizeof(*out->sets));
	if (!out->sets)
		return -ENOMEM;
	for (size_t i = 0; i < w->count; i = end) {
		struct mqw_log_set *set = &out->sets[out->set_count];

		for (end = i + 1; end < w->count && w->items[end].order == w->items[i].order;)
			end++;
		set->files = calloc(end - i, sizeof(*set->files));
		if (!set->files)
			return -ENOMEM;
		out->set_count++;
		for (size_t k = i; k < end; k++) {
			struct mqw_log_file *file = &set->files[set->count++];

			*file = w->items[k].file;
			file->hole_before = k > i &&
				mqw_log_name_hole(&w->items[k - 1].name, &w->items[k].name);
			w->items[k].file.path = NULL;
		}
	}
	return 0;
}

int mqw_fileset_build(char *const *args, size_t count, struct mqw_fileset *ret)
{
	return mqw_fileset_find(args, count, NULL, ret);
}

int mqw_fileset_find(char *const *args, size_t count, bool (*is_log)(struct mqw_slice name),
	struct mqw_fileset *ret)
{
	struct work w = {.out = ret, .is_log = is_log};
	int r;

	*ret = (struct mqw_fileset){0};
	for (size_t i = 0; i < count; i++)
		add_argument(&w, args[i]);
	join_sets(&w);
	r = w.no_memory || ret->errors.failed ? -ENOMEM : write_sets(&w);
	for (size_t i = 0; i < w.count; i++)
		free(w.items[i].file.path);
	free(w.items);
	return r;
}

void mqw_fileset_done(struct mqw_fileset *f)
{
	for (size_t i = 0; i < f->set_count; i++) {
		for (size_t k = 0; k < f->sets[i].count; k++)
			free(f->sets[i].files[k].path);
		free(f->sets[i].files);
	}
	free(f->sets);
	mqw_buffer_done(&f->errors);
	*f = (struct mqw_fileset){0};
}
