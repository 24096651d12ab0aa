/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* copy_file_range */
#include "watchdogd/vault/copy.h"
#include "watchdogd/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
		r = mqw_fd_write_all(to, mqw_slice(buffer, (size_t)n));
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
