/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/fd.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK 65536

int mqw_fd_read_all(int fd, size_t max, struct mqw_buffer *ret)
{
	off_t at = 0;

	while (mqw_buffer_reserve(ret, CHUNK)) {
		ssize_t n = pread(fd, ret->ptr + ret->len, CHUNK, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		ret->len += (size_t)n;
		ret->ptr[ret->len] = '\0';
		if (n == 0)
			return 0;
		if (ret->len > max)
			return -EFBIG;
	}
	return -ENOMEM;
}

int mqw_fd_write_all(int fd, struct mqw_slice s)
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
