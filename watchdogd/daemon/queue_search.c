/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/daemon/queue_search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 17

static void add_name(struct mqw_buffer *path, const char *name)
{
	mqw_buffer_printf(path, "%s%s", path->len ? "/" : "", name);
}

/* Looks for the message's file in the directory at fd. 1 and its name added to path, 0, -errno. */
static int search_here(
	const struct mqw_probe_ops *probe, int fd, const char *id, struct mqw_buffer *path)
{
	static const struct mqw_queue_file_form plain[] = {{"", ""}, {NULL, NULL}};
	const struct mqw_queue_file_form *form =
		probe->queue_file_forms ? probe->queue_file_forms : plain;
	char name[NAME_MAX + 1];
	struct stat st;

	for (; form->prefix; form++) {
		if (snprintf(name, sizeof(name), "%s%s%s", form->prefix, id, form->suffix) >=
			(int)sizeof(name))
			return -ENAMETOOLONG;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			add_name(path, name);
			return 1;
		}
		if (errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int search(const struct mqw_probe_ops *probe, int fd, const char *id,
	struct mqw_buffer *path, int depth)
{
	size_t base = path->len;
	const struct dirent *entry;
	DIR *dir;
	int r = search_here(probe, fd, id, path);

	dir = r == 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		r = r == 0 ? -errno : r;
		close(fd);
		return r;
	}
	while (r == 0 && depth < DEPTH_MAX) {
		int sub;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			r = -errno;
			break;
		}
		if (entry->d_name[0] == '.' ||
			(entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		sub = openat(
			dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0) {
			if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
				r = -errno;
			continue;
		}
		add_name(path, entry->d_name);
		r = search(probe, sub, id, path, depth + 1);
		if (r == 0)
			path->len = base;
	}
	closedir(dir);
	return r;
}

int mqw_queue_search(
	const struct mqw_probe_ops *probe, int fd, const char *id, struct mqw_buffer *path)
{
	return search(probe, fd, id, path, 0);
}
