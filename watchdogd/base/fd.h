/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing all of it, over interruptions and short counts. */
#ifndef MQW_BASE_FD_H
#define MQW_BASE_FD_H

#include "watchdogd/base/buffer.h"

/*
 * Adds a file's bytes, from its first to its last wherever its descriptor stands, to ret. 0,
 * -ENOMEM, -EFBIG when ret gets longer than max, or what pread(2) says (-ESPIPE for a pipe).
 */
int mqw_fd_read_all(int fd, size_t max, struct mqw_buffer *ret);

/* Writes all of s where fd stands. 0, or what write(2) says; some of it may be written then. */
int mqw_fd_write_all(int fd, struct mqw_slice s);

#endif
