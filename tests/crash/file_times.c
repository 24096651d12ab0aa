/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times of files by the world's calendar, which the kernel does not know: each change is noted, and
 * whoever asks for the state of a file is told these times.
 */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/crash/shim.h"

static struct file_times *times_of(const struct stat *st)
{
	size_t at = (size_t)(st->st_ino * 0x9e3779b97f4a7c15 >> 32);

	if (!shared || !S_ISREG(st->st_mode) || st->st_dev != shared->device)
		return NULL;
	for (size_t i = 0; i < FILES_MAX; i++) {
		struct file_times *t = &shared->files[(at + i) % FILES_MAX];

		if (t->ino == 0)
			*t = (struct file_times){st->st_ino, shared->real, shared->real, false};
		if (t->ino == st->st_ino)
			return t;
	}
	return NULL;
}

void touch(int at, const char *path, enum change change)
{
	struct file_times *t;
	struct stat st;
	int e = errno;

	if (shared &&
		syscall(SYS_newfstatat, at, path, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 &&
		(t = times_of(&st))) {
		t->changed = shared->real;
		if (change != CHANGE_MODE) {
			t->modified = shared->real;
			t->set = change == CHANGE_TIMES;
		}
	}
	errno = e;
}

static int look_at_file(int at, const char *path, struct stat *ret, int flags)
{
	int r = (int)syscall(SYS_newfstatat, at, path, ret, flags);
	const struct file_times *t = r == 0 ? times_of(ret) : NULL;

	if (t) {
		ret->st_ctim = ts_of(t->changed);
		if (!t->set)
			ret->st_mtim = ts_of(t->modified);
	}
	return r;
}

/*
 * The daemon looks at its log, by name and by descriptor, thousands of times for each line of it:
 * what it saw is kept for as long as nothing was written. [0] by name, [1] by descriptor.
 */
static struct {
	uint64_t writes;
	int fd;
	struct stat st;
} log_seen[2] = {{.writes = UINT64_MAX}, {.writes = UINT64_MAX}};

static int look_at(int at, const char *path, struct stat *ret, int flags)
{
	int which = !*path;
	bool may = !outside && role == ROLE_DAEMON &&
		(*path ? strcmp(path, world_log()) == 0 : log_seen[1].fd == at);
	int r;

	if (may && log_seen[which].writes == shared->log_writes) {
		*ret = log_seen[which].st;
		return 0;
	}
	r = look_at_file(at, path, ret, flags);
	if (r < 0 || outside || role != ROLE_DAEMON)
		return r;
	if (*path ? may
		  : log_seen[0].writes == shared->log_writes &&
				ret->st_ino == log_seen[0].st.st_ino) {
		log_seen[which].writes = shared->log_writes;
		log_seen[which].st = *ret;
		log_seen[which].fd = at;
	}
	return r;
}

EXPORT int close(int fd)
{
	if (fd == log_seen[1].fd)
		log_seen[1].writes = UINT64_MAX;
	return (int)syscall(SYS_close, fd);
}

/* With 64 bits struct stat64 is the same. */
#define STAT(name, type, arguments, at, path, flags)                                               \
	EXPORT int name arguments                                                                  \
	{                                                                                          \
		return look_at(at, path, (struct stat *)ret, flags);                               \
	}
STAT(stat, struct stat, (const char *path, struct stat *ret), AT_FDCWD, path, 0)
STAT(stat64, struct stat64, (const char *path, struct stat64 *ret), AT_FDCWD, path, 0)
STAT(lstat, struct stat, (const char *path, struct stat *ret), AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
STAT(lstat64, struct stat64, (const char *path, struct stat64 *ret), AT_FDCWD, path,
	AT_SYMLINK_NOFOLLOW)
STAT(fstat, struct stat, (int fd, struct stat *ret), fd, "", AT_EMPTY_PATH)
STAT(fstat64, struct stat64, (int fd, struct stat64 *ret), fd, "", AT_EMPTY_PATH)
STAT(fstatat, struct stat, (int at, const char *path, struct stat *ret, int flags), at, path, flags)
STAT(fstatat64, struct stat64, (int at, const char *path, struct stat64 *ret, int flags), at, path,
	flags)
