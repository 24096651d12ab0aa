/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens what lies below a directory, and nothing else: where root works in directories that others
 * can write to, a symbolic link or a ".." in the path would lead it elsewhere.
 */
#ifndef MQW_BASE_BENEATH_H
#define MQW_BASE_BENEATH_H

/*
 * Opens root/path by openat2(2): no step of it may be a symbolic link (-ELOOP or -ENOTDIR), "." or
 * ".." or empty (-EINVAL), so that the path stays within root. flags as for open(2), without
 * O_CREAT; O_CLOEXEC, O_NOFOLLOW, O_NOCTTY and O_NONBLOCK (what lies there may be a FIFO) are
 * added. The descriptor, or a negative errno. Before Linux 5.6 each step is opened for itself.
 */
int mqw_open_beneath(int root, const char *path, int flags);

#endif
