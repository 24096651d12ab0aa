/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* copy_file_range */
#include "watchdogd/vault/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
	/* A "/" at the end leaves an empty step, which is refused. */
	*path = n == path->len ? MQW_SLICE_NULL : mqw_slice_from(*path, n + 1);
	return true;
}

int mqw_open_beneath(int root, const char *path)
{
	struct mqw_slice rest = mqw_slice_of(path);
	char step[STEP_MAX + 1];
	int at = root, fd;

	if (rest.len == 0 || rest.ptr[rest.len - 1] == '/')
		return -EINVAL;
	do {
		bool good = take_step(&rest, step);

		fd = !good ? -1
			   : openat(at, step,
				     rest.len ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
					      : O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
						     O_CLOEXEC);
		if (fd < 0)
			fd = good ? -errno : -EINVAL;
		if (at != root)
			close(at);
		at = fd;
	} while (fd >= 0 && rest.len);
	return fd;
}

int mqw_write_bytes(int fd, struct mqw_slice s)
{
	while (s.len) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s = mqw_slice_from(s, (size_t)n);
	}
	return 0;
}

static int copy_by_hand(int from, int to, uint64_t at, uint64_t size)
{
	char buffer[16384];

	while (at < size) {
		size_t want = size - at < sizeof(buffer) ? (size_t)(size - at) : sizeof(buffer);
		ssize_t n = pread(from, buffer, want, (off_t)at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EAGAIN;
		r = mqw_write_bytes(to, mqw_slice(buffer, (size_t)n));
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

int mqw_copy_append(int from, int to, uint64_t size)
{
	uint64_t done = 0;
	off_t at = 0;

	while (done < size) {
		ssize_t n = copy_file_range(from, &at, to, NULL, (size_t)(size - done), 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* Not between these file systems, or an old kernel: go on by hand, where it is. */
		if (n <= 0)
			return copy_by_hand(from, to, done, size);
		done += (uint64_t)n;
	}
	return 0;
}

int mqw_copy_bytes(int from, int to, uint64_t size)
{
	/* Takes the whole file as it is; a size that is another one shows in the caller's check. */
	if (size && ioctl(to, FICLONE, from) == 0)
		return 0;
	return mqw_copy_append(from, to, size);
}
