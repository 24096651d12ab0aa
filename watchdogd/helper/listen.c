/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "watchdogd/helper/serve.h"

/* A restart takes a process for a minute and a half; more than these wait in the backlog. */
#define PROCESSES_MAX 16
#define BACKLOG 64

static char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

static void remove_and_end(int signal_number)
{
	unlink(socket_path);
	_exit(128 + signal_number);
}

static void set_signals(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int bind_socket(const char *path, gid_t gid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* From the first moment for nobody but us; the group comes after. */
	mask = umask(0177);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	umask(mask);
	if (r == 0 &&
		(chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0660) < 0 ||
			listen(fd, BACKLOG) < 0))
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	memcpy(socket_path, address.sun_path, sizeof(socket_path));
	return fd;
}

/* Takes in processes that have ended; at the limit waits for one. */
static void reap(size_t *running)
{
	while (*running) {
		pid_t pid = waitpid(-1, NULL, *running < PROCESSES_MAX ? WNOHANG : 0);

		if (pid > 0)
			(*running)--;
		else if (pid == 0 || errno != EINTR)
			break;
	}
}

static bool is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EMFILE || error == ENFILE ||
		error == ENOMEM || error == ENOBUFS;
}

static int accept_one(const struct mqw_helper *h, int listener, size_t *running)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return is_passing(errno) ? 0 : -errno;
	pid = fork();
	if (pid == 0) {
		set_signals(SIG_DFL);
		close(listener);
		mqw_helper_serve(h, fd);
		_exit(0);
	}
	if (pid < 0)
		fprintf(stderr, SD_ERR "no process for a connection: %s\n", strerror(errno));
	else
		(*running)++;
	close(fd);
	return 0;
}

int mqw_helper_listen(const struct mqw_helper *h, const char *path, gid_t gid)
{
	struct mqw_helper counted = *h;
	size_t running = 0;
	int fd = bind_socket(path, gid), r = 0;

	if (fd < 0)
		return fd;
	counted.counts = mmap(NULL, sizeof(*counted.counts), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counted.counts == MAP_FAILED)
		counted.counts = NULL;
	set_signals(remove_and_end);
	while (r == 0) {
		reap(&running);
		r = accept_one(&counted, fd, &running);
	}
	unlink(path);
	close(fd);
	return r;
}
