/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* pipe2, close_range */
#include "watchdogd/daemon/mailroot_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probes/windows/mailroot_look.h"
#include "watchdogd/base/fd.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/base/process.h"
#include "watchdogd/base/share_url.h"

#define LIMIT (2 * MQW_MINUTE)
#define ANSWER_MAX ((size_t)8 * 1024 * 1024)
#define READER_ARGS_MAX 4

struct mqw_mailroot_read {
	mqw_mailroot_done *done;
	void *ctx;
	pid_t pid;
	int fd; /* its answer comes here */
	bool late; /* killed at its limit */
	struct mqw_buffer answer;
	sd_event_source *io, *child, *timer;
};

/* A folder of a mounted mailroot, opened for the process that looks. */
static DIR *open_folder(const char *root, const char *folder)
{
	int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	DIR *dir;

	if (top < 0)
		return NULL;
	fd = openat(top, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	close(top);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

static int list_local(void *ctx, const char *folder, mqw_mailroot_each *each, void *arg)
{
	DIR *dir = open_folder(ctx, folder);
	const struct dirent *entry;
	struct stat st;

	if (!dir)
		return errno ? -errno : -EIO;
	while ((errno = 0, entry = readdir(dir)))
		/* What vanishes meanwhile is normal. */
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			each(arg, entry->d_name, (int64_t)st.st_mtim.tv_sec * MQW_SECOND);
	closedir(dir);
	return errno ? -errno : 0;
}

static ssize_t head_local(void *ctx, const char *folder, const char *name, char *buf, size_t size)
{
	DIR *dir = open_folder(ctx, folder);
	ssize_t n = -1;
	int fd =
		dir ? openat(dirfd(dir), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) : -1;

	if (fd >= 0)
		n = pread(fd, buf, size, 0);
	if (n < 0)
		n = -errno;
	if (fd >= 0)
		close(fd);
	if (dir)
		closedir(dir);
	return n;
}

/* Stamps of a mounted folder are the server's too, but nothing tells its clock. */
static json_t *look_local(const struct mqw_mailroot_request *q)
{
	const struct mqw_mailroot_ops ops = {
		.list = list_local, .head = head_local, .ctx = (void *)(uintptr_t)q->root};
	int64_t now = mqw_clock_now();
	const struct mqw_mailroot_wish wish = {
		.now = now, .queued_before = now - q->age, .bad_since = q->bad_since};
	json_t *j = NULL;
	int r = mqw_mailroot_look(&ops, &wish, &j);

	if (r == -ENOTDIR)
		return json_pack(
			"{s:s}", "error", "it is no mailroot: neither Queue nor Pickup is in it");
	return r < 0 ? json_pack("{s:s}", "error", strerror(-r)) : j;
}

/* Nothing of the daemon's goes with it but what it may read. */
static void run_local(const struct mqw_mailroot_request *q, int fd)
{
	struct mqw_buffer text = {0};
	json_t *j;

	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
	if (fd != 3 && dup3(fd, 3, O_CLOEXEC) < 0)
		_exit(1);
	close_range(4, ~0U, 0);
	signal(SIGPIPE, SIG_IGN);
	j = look_local(q);
	mqw_json_add(&text, j);
	_exit(j && !text.failed && mqw_fd_write_all(3, mqw_buffer_slice(&text)) == 0 ? 0 : 1);
}

static int start_remote(const struct mqw_mailroot_request *q, int fd, pid_t *ret)
{
	const char *argv[READER_ARGS_MAX + 4] = {NULL};
	char age[24], since[24];
	size_t n = 0;

	snprintf(age, sizeof(age), "%lld", (long long)(q->age / MQW_SECOND));
	snprintf(since, sizeof(since), "%lld", (long long)q->bad_since);
	for (; n < READER_ARGS_MAX && q->reader[n]; n++)
		argv[n] = q->reader[n];
	if (n == 0)
		return -ENOENT;
	argv[n++] = q->root;
	argv[n++] = age;
	argv[n] = since;
	return mqw_process_start(argv, MQW_SLICE_NULL, fd, ret);
}

struct mqw_mailroot_read *mqw_mailroot_read_cancel(struct mqw_mailroot_read *r)
{
	if (!r)
		return NULL;
	sd_event_source_disable_unref(r->io);
	sd_event_source_disable_unref(r->timer);
	r->child = sd_event_source_disable_unref(r->child);
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		/* One that hangs in the kernel becomes init's when the daemon ends. */
		waitpid(r->pid, NULL, WNOHANG);
	}
	if (r->fd >= 0)
		close(r->fd);
	mqw_buffer_done(&r->answer);
	free(r);
	return NULL;
}

static void read_on(struct mqw_mailroot_read *r)
{
	char buf[16384];
	ssize_t n;

	while (r->answer.len < ANSWER_MAX && (n = read(r->fd, buf, sizeof(buf))) > 0)
		mqw_buffer_add(&r->answer, mqw_slice(buf, (size_t)n));
}

static int on_data(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)fd;
	read_on(userdata);
	if (events & (EPOLLHUP | EPOLLERR))
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct mqw_mailroot_read *r = userdata;
	struct mqw_slice text;
	json_t *j;
	const char *why = NULL;
	char words[64];

	(void)source;
	r->pid = 0;
	read_on(r);
	text = mqw_buffer_slice(&r->answer);
	j = text.len && !r->answer.failed ? json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL)
					  : NULL;
	if (j)
		why = json_string_value(json_object_get(j, "error"));
	snprintf(words, sizeof(words), "the process that reads it ended by %s %d",
		info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
	if (r->late)
		why = "the server has not answered for too long";
	else if (!json_is_object(j))
		why = words;
	r->done(r->ctx, why ? NULL : j, why);
	json_decref(j);
	mqw_mailroot_read_cancel(r);
	return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqw_mailroot_read *r = userdata;

	(void)source;
	(void)usec;
	r->late = true;
	kill(r->pid, SIGKILL);
	return 0;
}

static int attend(sd_event *event, struct mqw_mailroot_read *r, int64_t limit)
{
	int e = sd_event_add_time_relative(
		event, &r->timer, CLOCK_MONOTONIC, (uint64_t)limit, 0, on_limit, r);

	if (e >= 0)
		e = sd_event_add_io(event, &r->io, r->fd, EPOLLIN, on_data, r);
	if (e >= 0)
		e = sd_event_add_child(event, &r->child, r->pid, WEXITED, on_child, r);
	/* What it wrote last is read before its end is looked at. */
	return e < 0 ? e : sd_event_source_set_priority(r->child, SD_EVENT_PRIORITY_NORMAL + 1);
}

int mqw_mailroot_read_begin(sd_event *event, const struct mqw_mailroot_request *request,
	mqw_mailroot_done *done, void *ctx, struct mqw_mailroot_read **ret)
{
	struct mqw_mailroot_read *r = calloc(1, sizeof(*r));
	int fds[2], e = 0;

	if (!r)
		return -ENOMEM;
	*r = (struct mqw_mailroot_read){.done = done, .ctx = ctx, .fd = -1};
	if (pipe2(fds, O_CLOEXEC) < 0) {
		e = -errno;
		free(r);
		return e;
	}
	r->fd = fds[0];
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	if (mqw_share_url_is(mqw_slice_of(request->root))) {
		e = start_remote(request, fds[1], &r->pid);
	} else {
		fflush(NULL);
		r->pid = fork();
		if (r->pid == 0)
			run_local(request, fds[1]);
		e = r->pid < 0 ? -errno : 0;
	}
	close(fds[1]);
	if (e == 0)
		e = attend(event, r, request->limit ? request->limit : LIMIT);
	else
		r->pid = 0;
	if (e < 0)
		mqw_mailroot_read_cancel(r);
	else
		*ret = r;
	return e < 0 ? e : 0;
}
