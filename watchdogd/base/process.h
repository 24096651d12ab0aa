/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a program and waits for it: an argument vector, never a shell; a fixed environment, so that
 * nothing of the caller's reaches a command that may run as root; bounded output, bounded time.
 * It blocks: for the helper, the command line and the daemon's start, never inside an event loop.
 */
#ifndef MQW_BASE_PROCESS_H
#define MQW_BASE_PROCESS_H

#include <sys/types.h>

#include "watchdogd/base/buffer.h"

struct mqw_process {
	const char *const *argv; /* NULL-terminated; argv[0] without "/" is looked up in the PATH */
	int64_t timeout; /* microseconds; the whole process group is killed after it */
	size_t max_output; /* bytes kept of each of both outputs; what is beyond is thrown away */
	struct mqw_slice input; /* what it reads from its standard input; ptr NULL: /dev/null */

	/* Filled by mqw_process_run(). */
	int status; /* exit status, or 128 + n where signal n ended it, as a shell would say */
	bool truncated; /* an output was longer than max_output */
	struct mqw_buffer out, err; /* for mqw_process_done() */
};

/*
 * Runs it to its end, with PATH=/usr/sbin:/usr/bin:/sbin:/bin and LC_ALL=C for an environment and
 * "/" as directory. 0 when it ended, whatever its status; -ENOENT or -EACCES
 * when it could not be started, -ETIMEDOUT when it was killed, -EINVAL for a relative path with a
 * "/" in it, -ENOMEM, or another negative errno. A child that it leaves behind in the background
 * with its outputs open is not waited for.
 */
int mqw_process_run(struct mqw_process *p);

/*
 * Starts a program that runs beside ours, as above but for its streams: it reads input, writes to
 * out (a socket, say; our copy stays ours to close), and its errors are thrown away. It leads a
 * process group of its own; the caller waits for it. 0, or a negative errno as above.
 */
int mqw_process_start(const char *const *argv, struct mqw_slice input, int out, pid_t *ret_pid);

/* Frees the outputs. */
void mqw_process_done(struct mqw_process *p);

/*
 * The last line of the standard error, or else of the standard output, without the line's end:
 * why a program failed, after what it only warned of. Borrowed from p.
 */
struct mqw_slice mqw_process_complaint(const struct mqw_process *p);

#endif
