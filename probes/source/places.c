/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* suffix begins with a slash. */
static int each_below(
	int root, const char *suffix, int (*each)(void *ctx, const char *directory), void *ctx)
{
	/* Not a duplicate of root, whose offset it would share; and root may be an O_PATH. */
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	char path[PATH_MAX];
	struct stat st;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		e = readdir(dir);
		if (!e) {
			r = -errno;
			break;
		}
		if (e->d_name[0] == '.' ||
			snprintf(path, sizeof(path), "%s%s", e->d_name, suffix) >=
				(int)sizeof(path))
			continue;
		/* What cannot be looked at is told, for the caller to find out why. */
		if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0
				? errno != ENOENT && errno != ENOTDIR
				: S_ISDIR(st.st_mode))
			r = each(ctx, path);
	}
	closedir(dir);
	return r;
}

int mqw_places_each(int root, const char *const *patterns,
	int (*each)(void *ctx, const char *directory), void *ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && patterns[i]; i++)
		r = patterns[i][0] == '*' ? each_below(root, patterns[i] + 1, each, ctx)
					  : each(ctx, patterns[i]);
	return r;
}

static bool leads(const char *pattern, struct mqw_slice directory)
{
	struct mqw_slice rest = mqw_slice_of(pattern), want, part;

	while (rest.len && directory.len) {
		if (!mqw_slice_take_until(&rest, '/', &want)) {
			want = rest;
			rest = MQW_SLICE_NULL;
		}
		if (!mqw_slice_take_until(&directory, '/', &part)) {
			part = directory;
			directory = MQW_SLICE_NULL;
		}
		if (mqw_slice_eq(want, MQW_LIT("*")) ? mqw_slice_starts(part, MQW_LIT("."))
						     : !mqw_slice_eq(want, part))
			return false;
	}
	return true;
}

bool mqw_places_lead(const char *const *patterns, struct mqw_slice directory)
{
	for (size_t i = 0; patterns[i]; i++)
		if (leads(patterns[i], directory))
			return true;
	return false;
}
