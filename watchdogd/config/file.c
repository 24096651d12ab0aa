/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/config/read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watchdogd/base/fd.h"
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

int mqw_config_file_read(const char *path, struct mqw_buffer *ret, struct mqw_faults *f)
{
	/* O_NONBLOCK: a FIFO in its place shall not hold the daemon up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int err = fd < 0 ? -errno : file_check(fd, f);

	if (err == 0)
		err = mqw_fd_read_all(fd, MQW_YAML_SIZE_MAX, ret);
	if (err == -EFBIG) {
		mqw_faults_add(f, 0, 0, "longer than 1 MiB");
		err = -EINVAL;
	}
	if (err < 0 && f->count == 0)
		mqw_faults_add(f, 0, 0, "cannot be read: %s", strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}
