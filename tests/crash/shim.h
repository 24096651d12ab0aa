/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the shim share: shim.c, file_times.c and clock.c. */
#ifndef MQW_TESTS_CRASH_SHIM_H
#define MQW_TESTS_CRASH_SHIM_H

#include <time.h>

#include "tests/crash/crash.h"

/* Of the names of the C library that are defined here. */
#define EXPORT __attribute__((visibility("default")))

static inline struct timespec ts_of(int64_t us)
{
	return (struct timespec){us / MQW_SECOND, us % MQW_SECOND * 1000};
}

/* What a call changes of a file. */
enum change { CHANGE_MODE, CHANGE_CONTENT, CHANGE_TIMES };

/*
 * file_times.c: a file, named as for fstatat(), is changed now by the world's calendar; "" is the
 * open file itself. Does nothing for what is none of the world's files, and leaves errno alone.
 */
void touch(int at, const char *path, enum change change);

#endif
