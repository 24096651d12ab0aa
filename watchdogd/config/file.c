/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/config/read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watchdogd/config/yaml.h"

/* Who can write the configuration can have a service restarted: it has to be a trusted hand. */
static int file_check(int fd, struct mqw_faults *f)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		mqw_faults_add(f, 0, 0, "is not a regular file");
		return -EINVAL;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		mqw_faults_add(f, 0, 0,
			"belongs to user %ju; it must belong to root or to the user who reads it",
			(uintmax_t)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		mqw_faults_add(f, 0, 0, "is writable for %s (mode %04o); chmod go-w",
			st.st_mode & S_IWOTH ? "everyone" : "its group",
			(unsigned int)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

static int read_all(int fd, struct mqw_buffer *b, struct mqw_faults *f)
{
	char chunk[16384];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return b->failed ? -ENOMEM : 0;
		mqw_buffer_add(b, mqw_slice(chunk, (size_t)n));
		if (b->len > MQW_YAML_SIZE_MAX) {
			mqw_faults_add(f, 0, 0, "longer than 1 MiB");
			return -EINVAL;
		}
	}
}

int mqw_config_file_read(const char *path, struct mqw_buffer *ret, struct mqw_faults *f)
{
	/* O_NONBLOCK: a FIFO in its place shall not hold the daemon up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int err = fd < 0 ? -errno : file_check(fd, f);

	if (err == 0)
		err = read_all(fd, ret, f);
	if (err < 0 && f->count == 0)
		mqw_faults_add(f, 0, 0, "cannot be read: %s", strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}
