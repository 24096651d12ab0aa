/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's limits on inotify, lowered for one process by a user namespace of its own. */
#ifndef MQW_TESTS_UNIT_USER_LIMITS_H
#define MQW_TESTS_UNIT_USER_LIMITS_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static inline bool limit_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* For the rest of the process's life; call it in a child. False when that is not allowed here. */
static inline bool limit_inotify(const char *instances, const char *watches)
{
	return unshare(CLONE_NEWUSER) == 0 && limit_write("/proc/self/uid_map", "0 0 1") &&
		limit_write("/proc/sys/user/max_inotify_instances", instances) &&
		limit_write("/proc/sys/user/max_inotify_watches", watches);
}

#endif
