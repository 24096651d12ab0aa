/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* pipe2, memfd_create, posix_spawn_file_actions_addchdir_np */
#include "watchdogd/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/base/fd.h"

/* How long an end that gave no end of file may go unnoticed, and the pause between two looks. */
#define LOOK_MS 50
#define CHUNK 4096
/* More than a pipe holds: what a program left behind goes on writing is no longer read. */
#define LAST_CHUNKS 32

static const char *const directories[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

struct output {
	int fd; /* our end; -1 closed */
	struct mqw_buffer *to;
};

static int64_t monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* posix_spawnp() would search the PATH of the caller, which a stranger may have set. */
static int find_program(const char *name, char *ret, size_t size)
{
	if (strchr(name, '/')) {
		if (name[0] != '/')
			return -EINVAL;
		if (snprintf(ret, size, "%s", name) >= (int)size)
			return -ENAMETOOLONG;
		return access(ret, X_OK) == 0 ? 0 : -errno;
	}
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		if (snprintf(ret, size, "%s/%s", directories[i], name) < (int)size &&
			access(ret, X_OK) == 0)
			return 0;
	return -ENOENT;
}

/* The input as a file: unlike a pipe it never makes the writer wait. *ret_fd -1 without one. */
static int open_input(struct mqw_slice input, int *ret_fd)
{
	int fd, r;

	*ret_fd = -1;
	if (!input.ptr)
		return 0;
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = mqw_fd_write_all(fd, input);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

static int describe_child(
	posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, int in, int out, int err)
{
	sigset_t all, none;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	/* Ignoring these two cannot be undone or is not possible at all. */
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	r = in < 0 ? posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0)
		   : posix_spawn_file_actions_adddup2(actions, in, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, err, 2);
	if (r == 0)
		r = posix_spawn_file_actions_addchdir_np(actions, "/");
	if (r == 0)
		r = posix_spawnattr_setpgroup(attr, 0);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(attr,
			POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return -r;
}

static int spawn(const char *const *argv, int in, int out, int err, pid_t *ret_pid)
{
	static const char *const environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char path[PATH_MAX];
	int r = find_program(argv[0], path, sizeof(path));

	if (r < 0)
		return r;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	r = describe_child(&actions, &attr, in, out, err);
	/* The casts are of POSIX's making: posix_spawn() changes neither vector. */
	if (r == 0)
		r = -posix_spawn(ret_pid, path, &actions, &attr, (char *const *)argv,
			(char *const *)environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Takes what is there; true when there is more to come, perhaps. */
static bool drain(struct mqw_process *p, struct output *o)
{
	char chunk[CHUNK];
	ssize_t n = read(o->fd, chunk, sizeof(chunk));
	size_t room = p->max_output - o->to->len, keep = n > 0 ? (size_t)n : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		close(o->fd);
		o->fd = -1;
		return false;
	}
	if (keep > room) {
		keep = room;
		p->truncated = true;
	}
	mqw_buffer_add(o->to, mqw_slice(chunk, keep));
	return true;
}

/* Reads until both outputs are closed or the child has ended. */
static int attend(struct mqw_process *p, pid_t pid, struct output *outputs, int64_t deadline)
{
	for (;;) {
		struct pollfd fds[2] = {{outputs[0].fd, POLLIN, 0}, {outputs[1].fd, POLLIN, 0}};
		bool open = outputs[0].fd >= 0 || outputs[1].fd >= 0;
		int status;
		pid_t ended = waitpid(pid, &status, WNOHANG);

		if (ended < 0 && errno != EINTR)
			return -errno;
		if (ended > 0) {
			p->status =
				WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			return 0;
		}
		if (monotonic_us() >= deadline)
			return -ETIMEDOUT;
		/* With both closed the end is near: look again soon. */
		if (poll(fds, 2, open ? LOOK_MS : 2) < 0 && errno != EINTR)
			return -errno;
		for (size_t i = 0; i < 2; i++)
			if (fds[i].revents)
				drain(p, &outputs[i]);
	}
}

static void end(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL); /* in case it left the group */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int mqw_process_run(struct mqw_process *p)
{
	int in = -1, out[2] = {-1, -1}, err[2] = {-1, -1}, r;
	struct output outputs[2];
	pid_t pid;

	mqw_process_done(p);
	if (!p->argv || !p->argv[0])
		return -EINVAL;
	r = open_input(p->input, &in);
	if (r < 0)
		return r;
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
		fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(err[0], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		r = spawn(p->argv, in, out[1], err[1], &pid);
	if (in >= 0)
		close(in);
	for (size_t i = 0; i < 2; i++)
		if ((i ? err : out)[1] >= 0)
			close((i ? err : out)[1]);
	outputs[0] = (struct output){out[0], &p->out};
	outputs[1] = (struct output){err[0], &p->err};
	if (r == 0) {
		r = attend(p, pid, outputs, monotonic_us() + p->timeout);
		if (r < 0)
			end(pid);
	}
	for (size_t i = 0; i < 2; i++) {
		for (int n = 0; r == 0 && n < LAST_CHUNKS && outputs[i].fd >= 0; n++)
			if (!drain(p, &outputs[i]))
				break;
		if (outputs[i].fd >= 0)
			close(outputs[i].fd);
	}
	return r < 0 ? r : p->out.failed || p->err.failed ? -ENOMEM : 0;
}

int mqw_process_start(const char *const *argv, struct mqw_slice input, int out, pid_t *ret_pid)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), in = -1, r;

	r = null < 0 ? -errno : open_input(input, &in);
	if (r == 0)
		r = spawn(argv, in, out, null, ret_pid);
	if (in >= 0)
		close(in);
	if (null >= 0)
		close(null);
	return r;
}

void mqw_process_done(struct mqw_process *p)
{
	mqw_buffer_done(&p->out);
	mqw_buffer_done(&p->err);
	p->status = 0;
	p->truncated = false;
}

struct mqw_slice mqw_process_complaint(const struct mqw_process *p)
{
	struct mqw_slice s = mqw_buffer_slice(p->err.len ? &p->err : &p->out);
	size_t at;

	while (s.len && s.ptr[s.len - 1] == '\n')
		s.len--;
	while ((at = mqw_slice_chr(s, '\n')) < s.len)
		s = mqw_slice_from(s, at + 1);
	return s;
}
