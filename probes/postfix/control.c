/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that make Postfix act. */
#define _GNU_SOURCE /* O_PATH */
#include "probes/postfix/control_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/base/beneath.h"

#define COMMAND_TIMEOUT (60 * MQW_SECOND)
#define COMMAND_OUTPUT_MAX 16384
#define ARGUMENTS_MAX 8
#define EX_UNAVAILABLE 69 /* sysexits.h; postqueue(1): the mail system is down */
/* A queue manager that `postfix reload` replaces is away for a moment. */
#define LOOKS 4
#define LOOK_PAUSE_MS 300

int mqw_postfix_command(const struct mqw_control *c, const char *program,
	const char *const *arguments, struct mqw_process *ret, char *ret_text, size_t size)
{
	const char *argv[ARGUMENTS_MAX + 4] = {program};
	size_t n = 1;
	int r;

	*ret = (struct mqw_process){
		.argv = argv, .timeout = COMMAND_TIMEOUT, .max_output = COMMAND_OUTPUT_MAX};
	if (c->config_dir) {
		argv[n++] = "-c";
		argv[n++] = c->config_dir;
	}
	for (size_t i = 0; arguments[i]; i++) {
		if (i == ARGUMENTS_MAX)
			return -E2BIG;
		argv[n++] = arguments[i];
	}
	r = mqw_process_run(ret);
	ret->argv = NULL;
	r = mqw_control_conclude(program, r, ret, ret_text, size);
	return r == -EIO && ret->status == EX_UNAVAILABLE ? -EAGAIN : r;
}

static int run(const struct mqw_control *c, const char *const *argv, char *ret_text, size_t size)
{
	struct mqw_process p;
	int r = mqw_postfix_command(c, argv[0], argv + 1, &p, ret_text, size);

	mqw_process_done(&p);
	return r;
}

static int requeue(const struct mqw_control *c, const char *queue_id, char *ret_text, size_t size)
{
	const char *argv[] = {"postqueue", "-i", queue_id, NULL};

	return run(c, argv, ret_text, size);
}

static int flush(const struct mqw_control *c, char *ret_text, size_t size)
{
	static const char *const argv[] = {"postqueue", "-f", NULL};

	return run(c, argv, ret_text, size);
}

/* Reads the beginning of a small file. How much, or a negative errno. */
static int read_head(int dir, const char *path, char *ret, size_t size)
{
	int fd = mqw_open_beneath(dir, path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, ret, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return (int)n;
}

/* "PID (NAME) STATE PARENT ...": the name may hold anything, so the last ')' counts. */
static bool parse_stat(const char *stat, struct mqw_slice *ret_name, long *ret_parent)
{
	const char *open = strchr(stat, '('), *close = strrchr(stat, ')');
	char state;

	if (!open || !close || close < open || sscanf(close, ") %c %ld", &state, ret_parent) != 2 ||
		state == 'Z')
		return false;
	*ret_name = mqw_slice(open + 1, (size_t)(close - open - 1));
	return true;
}

struct alive {
	bool master, queue_manager;
};

static int look_at_processes(long master, struct alive *ret)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	if (!proc)
		return -errno;
	while ((e = readdir(proc))) {
		char path[sizeof(e->d_name) + 8], stat[512];
		struct mqw_slice name;
		long parent;

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/stat", e->d_name);
		/* A process may end between any two calls. */
		if (read_head(dirfd(proc), path, stat, sizeof(stat)) <= 0 ||
			!parse_stat(stat, &name, &parent))
			continue;
		if (strtol(stat, NULL, 10) == master)
			ret->master = mqw_slice_eq(name, MQW_LIT("master"));
		/* "qmgr", or "nqmgr" and "oqmgr" where master.cf says so. */
		if (parent == master && mqw_slice_ends(name, MQW_LIT("qmgr")))
			ret->queue_manager = true;
	}
	closedir(proc);
	return 0;
}

/* The pid file outlives a master that was killed: what it names must be one, too. */
static int look(const char *queue_directory, struct alive *ret)
{
	int dir = open(queue_directory, O_PATH | O_DIRECTORY | O_CLOEXEC), r;
	char text[64]; /* a number in a field of 32 (master/master.c:504) */

	*ret = (struct alive){0};
	if (dir < 0)
		return -errno;
	r = read_head(dir, "pid/master.pid", text, sizeof(text));
	close(dir);
	if (r > 0)
		r = look_at_processes(strtol(text, NULL, 10), ret);
	return r == -ENOENT ? 0 : r;
}

static int look_patiently(const char *queue_directory, char *ret_text, size_t size)
{
	struct alive alive = {0};
	int r = 0;

	for (int i = 0; i < LOOKS; i++) {
		struct timespec pause = {0, LOOK_PAUSE_MS * 1000000L};

		if (i)
			nanosleep(&pause, NULL);
		r = look(queue_directory, &alive);
		if (r < 0 || !alive.master || alive.queue_manager)
			break;
	}
	if (r < 0)
		snprintf(ret_text, size, "Postfix's processes could not be looked at: %s",
			strerror(-r));
	else if (!alive.master)
		snprintf(ret_text, size, "Postfix is not running");
	else if (!alive.queue_manager)
		snprintf(ret_text, size, "Postfix runs without a queue manager");
	return r < 0 ? r : alive.queue_manager ? 0 : -ESRCH;
}

/*
 * Not by `postfix status`: it leaves a line in the mail log each time and speaks for every
 * instance of the host.
 */
int mqw_postfix_healthy(const struct mqw_control *c, char *ret_text, size_t size)
{
	struct mqw_process p = {0};
	char *asked = NULL;
	int r = 0;

	if (!c->queue_directory) {
		static const char *const arguments[] = {"-hx", "queue_directory", NULL};

		r = mqw_postfix_command(c, "postconf", arguments, &p, ret_text, size);
		if (r == 0) {
			struct mqw_slice s = mqw_buffer_slice(&p.out);

			asked = mqw_slice_dup(mqw_slice_head(s, mqw_slice_chr(s, '\n')));
			r = asked ? 0 : -ENOMEM;
		}
		mqw_process_done(&p);
	}
	if (r == 0)
		r = look_patiently(asked ? asked : c->queue_directory, ret_text, size);
	free(asked);
	return r;
}

const struct mqw_control_ops mqw_postfix_control = {
	.recover_how = "its queue file is put before Postfix in maildrop, as postsuper -r does: "
		       "envelope sender, headers, body and DSN parameters stay, the lifetime "
		       "begins anew",
	.recover_loses = "it gets a new queue id and one more Received: header; header and body "
			 "checks, address rewriting and content_filter are gone through again",
	.requeue = requeue,
	.flush = flush,
	.healthy = mqw_postfix_healthy,
	.recover = mqw_postfix_recover,
};
