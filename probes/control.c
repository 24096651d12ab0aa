/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* renameat2 */
#include "probes/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPLAINT_MAX 200

int mqw_control_fail(int r, char *ret_text, size_t size, const char *what)
{
	snprintf(ret_text, size, "%s: %s", what, strerror(-r));
	return r;
}

int mqw_control_conclude(
	const char *program, int r, const struct mqw_process *p, char *ret_text, size_t size)
{
	struct mqw_slice complaint;

	if (r < 0) {
		snprintf(ret_text, size, "%s could not be run: %s", program, strerror(-r));
		return r;
	}
	if (p->status == 0)
		return 0;
	complaint = mqw_slice_head(mqw_process_complaint(p), COMPLAINT_MAX);
	snprintf(ret_text, size, "%s ended with status %d: %.*s", program, p->status,
		(int)complaint.len, complaint.len ? complaint.ptr : "");
	return -EIO;
}

int mqw_control_create_temporary(int dir, char ret_name[MQW_TEMPORARY_SIZE])
{
	for (int tries = 0; tries < 8; tries++) {
		uint64_t n;
		int fd;

		if (getrandom(&n, sizeof(n), 0) != sizeof(n))
			return -EIO;
		snprintf(ret_name, MQW_TEMPORARY_SIZE, ".mqw.%016llx", (unsigned long long)n);
		fd = openat(
			dir, ret_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

int mqw_control_rename_new(int dir, const char *from, const char *to)
{
	struct stat st;

	if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without it (ZFS before 2.2, NFS). Nobody else makes a file of this id. */
	if (fstatat(dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	return renameat(dir, from, dir, to) == 0 ? 0 : -errno;
}
