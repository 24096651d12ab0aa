/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root helper's host: what systemd does for the helper, which is the real one and runs in a
 * child for each request; and the commands that it would run there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/world.h"
#include "watchdogd/base/process.h"
#include "watchdogd/helper/serve.h"

static int helper_fd = -1;

static int run_helper(void *connection)
{
	char config[PATH_ROOM];
	const struct mqw_helper h = {.policy = {.config_path = path_of(config, "watchdog.yaml"),
					     .vault_owner = getuid(),
					     .filter = MQW_FILTER_OFF},
		.allowed_user = getuid(),
		.receive_timeout = MQW_SECOND};

	role = ROLE_HELPER;
	outside = false;
	_exit(mqw_helper_serve(&h, *(int *)connection));
}

/*
 * The helper has the memory of its host, as after vfork(): a copy of it for each request would be
 * most of what a life costs. It has its own files, and its death is its own.
 */
void host_serve(void)
{
	static char stack[256 * 1024] __attribute__((aligned(64)));
	enum role was = role;
	bool asked = false;
	int connection;
	pid_t pid;

	/* A daemon may have died between connecting and asking. */
	while (!asked && (connection = accept4(helper_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		asked = recv(connection, stack, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
		pid = clone(run_helper, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
			&connection);
		role = was;
		outside = true;
		close(connection);
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	shared->served++;
	shared->asked--;
	shared->serve_at = INT64_MAX;
}

void host_listen(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[PATH_ROOM];

	if (helper_fd >= 0)
		close(helper_fd);
	helper_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, path_of(path, "helper.sock"), sizeof(address.sun_path) - 1);
	check(bind(helper_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
			listen(helper_fd, 64) == 0,
		path);
}

/* Root may give files away, others have their own. */
static const char *mail_owner(void)
{
	const struct passwd *pw = getuid() ? getpwuid(getuid()) : NULL;

	return pw ? pw->pw_name : "nobody";
}

/* The commands of Postfix, in place of base/process.c: nothing is run here. */

int mqw_process_run(struct mqw_process *p)
{
	bool was = outside, overrides = p->argv[1] && strcmp(p->argv[1], "-P") == 0;
	char queue[PATH_ROOM];

	outside = true;
	if (strcmp(p->argv[0], "postkick") == 0)
		world_wake_pickup(shared->served % 5 == 4 ? 25 * MQW_SECOND : MQW_SECOND / 20);
	else if (strcmp(p->argv[0], "postconf") == 0 && p->argv[2] &&
		strcmp(p->argv[2], "mail_owner") == 0)
		mqw_buffer_printf(&p->out, "%s\n2048\n", mail_owner());
	else if (strcmp(p->argv[0], "postconf") == 0 && !overrides)
		mqw_buffer_printf(&p->out, "5h\n5h\n4000s\n%s\n", path_of(queue, "queue"));
	outside = was;
	p->status = 0;
	return 0;
}

void mqw_process_done(struct mqw_process *p)
{
	bool was = outside;

	outside = true;
	mqw_buffer_done(&p->out);
	mqw_buffer_done(&p->err);
	outside = was;
}

struct mqw_slice mqw_process_complaint(const struct mqw_process *p)
{
	return mqw_buffer_slice(&p->err);
}

/* For a share on another host, of which there is none. */
int mqw_process_start(const char *const *argv, struct mqw_slice input, int out, pid_t *ret_pid)
{
	(void)argv;
	(void)input;
	(void)out;
	(void)ret_pid;
	return -ENOSYS;
}
