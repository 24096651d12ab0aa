/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include "probes/source/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/places.h"

static struct mqw_slice below_root(const struct mqw_listing *l)
{
	return mqw_slice_from(mqw_buffer_slice(&l->path), strlen(l->root) + 1);
}

/* Opens the directory in l->path, which has its slash. False when it cannot be read. */
static bool enter(struct mqw_listing *l)
{
	DIR *dir;

	l->ops->directory(l->ctx, mqw_buffer_str(&l->path));
	dir = opendir(mqw_buffer_str(&l->path));
	if (!dir && errno != ENOENT)
		l->incomplete = true;
	if (!dir)
		return false;
	l->open[l->depth].dir = dir;
	l->open[l->depth++].len = l->path.len;
	return true;
}

static void leave(struct mqw_listing *l)
{
	closedir(l->open[--l->depth].dir);
}

static int note_directory(void *ctx, const char *directory)
{
	mqw_buffer_add(ctx, mqw_slice(directory, strlen(directory) + 1));
	return 0;
}

static void begin(struct mqw_listing *l)
{
	l->any = l->incomplete = false;
	l->next = 0;
	mqw_buffer_clear(&l->directories);
}

void mqw_listing_begin(struct mqw_listing *l)
{
	int root = open(l->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	begin(l);
	if (root < 0)
		return;
	if (mqw_places_each(root, l->patterns, note_directory, &l->directories) < 0 ||
		l->directories.failed)
		l->incomplete = true;
	close(root);
}

void mqw_listing_begin_at(struct mqw_listing *l, struct mqw_slice directory)
{
	begin(l);
	mqw_buffer_add(&l->directories, directory);
	mqw_buffer_add(&l->directories, mqw_slice("", 1));
	l->incomplete = l->directories.failed;
}

/* Begins the next directory; false when there is none. */
static bool next_directory(struct mqw_listing *l)
{
	const char *directory = mqw_buffer_str(&l->directories) + l->next;

	if (l->next >= l->directories.len)
		return false;
	l->next += strlen(directory) + 1;
	mqw_buffer_clear(&l->path);
	mqw_buffer_printf(&l->path, "%s/%s%s", l->root, directory, directory[0] ? "/" : "");
	if (l->path.failed)
		l->incomplete = true;
	else if (enter(l))
		l->any = true;
	return true;
}

static void meet(struct mqw_listing *l, const char *name)
{
	DIR *dir = l->open[l->depth - 1].dir;
	struct stat st;

	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			l->incomplete = true;
		return;
	}
	l->path.len = l->open[l->depth - 1].len;
	mqw_buffer_add_str(&l->path, name);
	if (S_ISDIR(st.st_mode))
		mqw_buffer_add_str(&l->path, "/");
	if (l->path.failed) {
		l->path.failed = false;
		l->incomplete = true;
	} else if (!S_ISDIR(st.st_mode)) {
		l->ops->name(l->ctx, below_root(l), &st);
	} else if (l->depth == MQW_LISTING_DEPTH) {
		l->incomplete = true;
	} else if (mqw_places_lead(l->patterns, below_root(l))) {
		(void)enter(l);
	}
}

bool mqw_listing_step(struct mqw_listing *l, size_t budget)
{
	while (budget-- > 0) {
		const struct dirent *e;

		if (l->depth == 0) {
			if (!next_directory(l))
				return false;
			continue;
		}
		errno = 0;
		e = readdir(l->open[l->depth - 1].dir);
		if (e && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			meet(l, e->d_name);
		if (e)
			continue;
		if (errno)
			l->incomplete = true;
		leave(l);
	}
	return true;
}

void mqw_listing_done(struct mqw_listing *l)
{
	while (l->depth)
		leave(l);
	mqw_buffer_done(&l->path);
	mqw_buffer_done(&l->directories);
}
