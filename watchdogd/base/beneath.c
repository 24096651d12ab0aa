/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include "watchdogd/base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watchdogd/base/slice.h"

#define ADDED (O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
#define STEP_MAX 255 /* a file name's */

/* The next step of a path, of which *path is then the rest. */
static bool take_step(struct mqw_slice *path, char ret[STEP_MAX + 1])
{
	size_t n = mqw_slice_chr(*path, '/');
	struct mqw_slice step = mqw_slice_head(*path, n);

	if (n == 0 || n > STEP_MAX || mqw_slice_eq(step, MQW_LIT(".")) ||
		mqw_slice_eq(step, MQW_LIT("..")))
		return false;
	memcpy(ret, step.ptr, n);
	ret[n] = '\0';
	*path = n == path->len ? MQW_SLICE_NULL : mqw_slice_from(*path, n + 1);
	return true;
}

static bool is_plain(struct mqw_slice path)
{
	char step[STEP_MAX + 1];

	/* A "/" at the end leaves no empty step behind. */
	if (path.len == 0 || path.ptr[path.len - 1] == '/')
		return false;
	while (path.len)
		if (!take_step(&path, step))
			return false;
	return true;
}

/* What openat2() does, one step after the other. */
static int open_steps(int root, struct mqw_slice path, int flags)
{
	char step[STEP_MAX + 1];
	int at = root, fd;

	do {
		take_step(&path, step);
		fd = openat(at, step,
			path.len ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
				 : flags | ADDED | O_NOFOLLOW);
		if (fd < 0)
			fd = -errno;
		if (at != root)
			close(at);
		at = fd;
	} while (fd >= 0 && path.len);
	return fd;
}

int mqw_open_beneath(int root, const char *path, int flags)
{
	/* Without O_NOFOLLOW, which would call a link in a directory's place no directory. */
	const struct open_how how = {.flags = (unsigned int)(flags | ADDED),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd = -1;

	if (!is_plain(mqw_slice_of(path)))
		return -EINVAL;
	/* EAGAIN: something on the way was renamed meanwhile, openat2(2). */
	for (int tries = 0; tries < 8; tries++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd >= 0)
		return (int)fd;
	/* The daemon's unit takes it away, by RestrictSUIDSGID=. */
	return errno == ENOSYS || errno == EPERM ? open_steps(root, mqw_slice_of(path), flags)
						 : -errno;
}
