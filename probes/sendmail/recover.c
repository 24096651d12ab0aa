/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts a message back into the queue under an id of its own, which tells the one that it continues
 * (mqw_sendmail_recovered_id). Not under the old id: its log lines would go on as if nothing had
 * happened, and whether a message was put back has to be seen from the log. The body goes first, then the envelope, each by
 * renaming a finished file, so that a queue run finds a whole message or none. Sendmail takes an
 * envelope only from its own user and if nobody else can write to it (readqf, queue.c:4126 of
 * Sendmail 8.17.1); what it does not trust it sets aside as QfID.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/sendmail/control_internal.h"
#include "probes/sendmail/queue_internal.h"
#include "probes/sendmail/settings_internal.h"
#include "watchdogd/base/bundle.h"
#include "watchdogd/base/fd.h"

#define BUNDLE_MAX ((size_t)1 << 30)
#define SEARCH_DEPTH_MAX 3
#define MODE_QUEUE 0600 /* for root, Sendmail's user and nobody else: fits every QueueFileMode */
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/*
 * Looks for the envelope in this directory and below. 1 and its path relative to the first one, 0
 * or a negative errno. Closes fd.
 */
static int search(int fd, const char *queue_id, int depth, struct mqw_buffer *path)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;
	size_t base = path->len;
	struct stat st;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	/* What is set aside as QfID is out of the queue. */
	for (size_t i = 0; r == 0 && i < 3; i++) {
		mqw_buffer_printf(path, "%cf%s", "qht"[i], queue_id);
		if (path->failed)
			r = -ENOMEM;
		else if (fstatat(dirfd(dir), path->ptr + base, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = 1;
		else if (errno != ENOENT)
			r = -errno;
		else
			path->len = base;
	}
	while (r == 0 && depth < SEARCH_DEPTH_MAX) {
		int sub;

		errno = 0;
		e = readdir(dir);
		if (!e) {
			r = -errno;
			break;
		}
		if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
			continue;
		sub = openat(dirfd(dir), e->d_name, DIRECTORY_FLAGS);
		if (sub < 0) {
			if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
				r = -errno;
			continue;
		}
		mqw_buffer_printf(path, "%s/", e->d_name);
		r = search(sub, queue_id, depth + 1, path);
		if (r == 0)
			path->len = base;
	}
	closedir(dir);
	return r;
}

static int search_queue(int root, const char *queue_id, struct mqw_buffer *path)
{
	int fd = openat(root, ".", DIRECTORY_FLAGS);

	return fd < 0 ? -errno : search(fd, queue_id, 0, path);
}

/* Of the directories that the wildcard names the first by name, or the queue's own. */
static int open_queue(int root, const char *wildcard)
{
	char best[NAME_MAX + 1] = "";
	const struct dirent *e;
	int fd = openat(root, ".", DIRECTORY_FLAGS);
	DIR *dir;

	if (fd < 0 || !wildcard)
		return fd < 0 ? -errno : fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.' && fnmatch(wildcard, e->d_name, 0) == 0 &&
			(e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) &&
			(!best[0] || strcmp(e->d_name, best) < 0))
			snprintf(best, sizeof(best), "%s", e->d_name);
	closedir(dir);
	if (!best[0])
		return -ENOENT;
	fd = openat(root, best, DIRECTORY_FLAGS);
	return fd < 0 ? -errno : fd;
}

/* queue/qf or queue/df where it is there, and queue itself otherwise. */
static int open_part(int queue, const char *name)
{
	int fd = openat(queue, name, DIRECTORY_FLAGS);

	if (fd < 0 && errno == ENOENT)
		fd = openat(queue, ".", DIRECTORY_FLAGS);
	return fd < 0 ? -errno : fd;
}

/*
 * Writes a file of the directory's owner. replace: a body that was left behind is the same as this
 * one. -EEXIST when it is there and is not to be replaced. Sendmail looks at no name that begins with
 * a dot, as the file has until it is whole.
 */
static int put_file(int dir, const char *name, struct mqw_slice content, bool replace)
{
	char temporary[MQW_TEMPORARY_SIZE];
	struct stat st;
	int fd, r;

	if (fstat(dir, &st) < 0)
		return -errno;
	fd = mqw_control_create_temporary(dir, temporary);
	if (fd < 0)
		return fd;
	r = mqw_fd_write_all(fd, content);
	if (r == 0 &&
		(fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, MODE_QUEUE) < 0 ||
			fsync(fd) < 0))
		r = -errno;
	close(fd);
	if (r == 0 && replace)
		r = renameat(dir, temporary, dir, name) == 0 ? 0 : -errno;
	else if (r == 0)
		r = mqw_control_rename_new(dir, temporary, name);
	if (r < 0)
		unlinkat(dir, temporary, 0);
	else
		fsync(dir);
	return r;
}

static int put_message(int queue, const char *queue_id, struct mqw_slice envelope,
	struct mqw_slice body, char *ret_text, size_t size)
{
	int data = open_part(queue, "df"), control = open_part(queue, "qf"), r;
	char name[64];

	r = data < 0 ? data : control < 0 ? control : 0;
	if (r == 0) {
		snprintf(name, sizeof(name), "df%s", queue_id);
		r = put_file(data, name, body, true);
	}
	if (r == 0) {
		snprintf(name, sizeof(name), "qf%s", queue_id);
		r = put_file(control, name, envelope, false);
	}
	if (data >= 0)
		close(data);
	if (control >= 0)
		close(control);
	if (r == -EEXIST)
		return 1;
	return r < 0 ? mqw_control_fail(r, ret_text, size, "the file in the queue") : r;
}

/* Where a body belongs: into df/ if there is one, else into the queue's own directory. */
static bool find_place(int root, struct mqw_slice envelope_path, char *ret, size_t size)
{
	for (size_t n = 0; n < 2; n++) {
		char directory[PATH_MAX], *slash;
		size_t place = mqw_slice_find(envelope_path, MQW_LIT("qf/qf")) == envelope_path.len
			? 1 - n
			: n;

		if (!mqw_sendmail_companion(envelope_path, place, ret, size) ||
			!mqw_sendmail_companion(envelope_path, place, directory, sizeof(directory)))
			return false;
		slash = strrchr(directory, '/');
		if (!slash)
			return true;
		*slash = '\0';
		if (faccessat(root, directory, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/*
 * What is done to a message that is in the queue is done under the lock that Sendmail takes for it, on
 * its envelope. The descriptor, -EAGAIN when Sendmail works on it, or another negative errno.
 */
static int lock_envelope(int root, struct mqw_slice envelope_path)
{
	struct stat is, was;
	char path[PATH_MAX];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%.*s", (int)envelope_path.len, envelope_path.ptr);
	fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &was) < 0)
		r = -errno;
	else if (fstatat(root, path, &is, AT_SYMLINK_NOFOLLOW) < 0 || is.st_ino != was.st_ino)
		r = -EAGAIN; /* it was written anew meanwhile */
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* A run that misses a body makes an empty one, and mails that. */
static bool is_cut(int root, struct mqw_slice envelope_path, struct mqw_slice body)
{
	char path[PATH_MAX];
	struct stat st;

	return mqw_probe_companion(
		       &mqw_probe_sendmail, root, envelope_path, 0, path, sizeof(path)) &&
		fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		(uint64_t)st.st_size < body.len;
}

/*
 * The envelope is in the queue. Where its body is not, or not all of it, the message was as good as
 * lost, and is whole again with the body; the envelope, of which Sendmail has kept the account, stays as
 * it is.
 */
static int restore_body(int root, const char *queue_id, struct mqw_slice envelope_path,
	struct mqw_slice body, char *ret_text, size_t size)
{
	bool cut = is_cut(root, envelope_path, body);
	char path[PATH_MAX], name[64], *slash;
	int dir, lock, r;

	if (!cut && mqw_probe_is_whole(&mqw_probe_sendmail, root, envelope_path)) {
		snprintf(ret_text, size, "%s is in the queue: it was not lost", queue_id);
		return -EBUSY;
	}
	if (!find_place(root, envelope_path, path, sizeof(path)))
		return mqw_control_fail(-ENOENT, ret_text, size, "the directory of the body");
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	dir = openat(root, slash ? path : ".", DIRECTORY_FLAGS);
	if (dir < 0)
		return mqw_control_fail(-errno, ret_text, size, "the directory of the body");
	snprintf(name, sizeof(name), "df%s", queue_id);
	lock = lock_envelope(root, envelope_path);
	/* Under the lock nobody has made it whole since. */
	r = lock < 0 ? lock : put_file(dir, name, body, is_cut(root, envelope_path, body));
	if (lock >= 0)
		close(lock);
	close(dir);
	if (r == -EEXIST)
		return 1;
	return r < 0 ? mqw_control_fail(r, ret_text, size, "the body in the queue") : r;
}

/* Both files, the lifetime beginning anew. */
static int restore_message(int root, const char *wildcard, const char *queue_id,
	const struct mqw_slice files[2], char *ret_text, size_t size)
{
	struct mqw_buffer envelope = {0};
	int queue = -1, r;

	r = mqw_sendmail_renew_envelope(files[0], mqw_clock_now(), &envelope);
	if (r == 0)
		r = mqw_control_fail(
			-ENODATA, ret_text, size, "every recipient in the queue file is done");
	else if (r < 0)
		mqw_control_fail(r, ret_text, size, "the queue file is not sound");
	if (r > 0) {
		queue = open_queue(root, wildcard);
		r = queue < 0 ? mqw_control_fail(queue, ret_text, size, "the queue directory")
			      : put_message(queue, queue_id, mqw_buffer_slice(&envelope), files[1],
					ret_text, size);
	}
	if (queue >= 0)
		close(queue);
	mqw_buffer_done(&envelope);
	return r;
}

static int recover_files(int root, const char *wildcard, const char *queue_id, const char *new_id,
	const struct mqw_slice files[2], char *ret_text, size_t size)
{
	struct mqw_buffer path = {0};
	int r = search_queue(root, new_id, &path);

	if (r == 0) {
		r = search_queue(root, queue_id, &path);
		if (r > 0)
			r = restore_body(
				root, queue_id, mqw_buffer_slice(&path), files[1], ret_text, size);
		else if (r == 0)
			r = restore_message(root, wildcard, new_id, files, ret_text, size);
		else
			mqw_control_fail(r, ret_text, size, "a look through the queue");
	} else if (r < 0) {
		mqw_control_fail(r, ret_text, size, "a look through the queue");
	}
	mqw_buffer_done(&path);
	return r;
}

/* The last part of QueueDirectory where it is a wildcard; owned by the caller. */
static int find_wildcard(const struct mqw_control *c, char **ret)
{
	struct mqw_sendmail_settings s;
	int r = mqw_sendmail_settings_read(c->config_dir, &s);

	*ret = NULL;
	if (r < 0)
		return r;
	*ret = s.wildcard;
	s.wildcard = NULL;
	mqw_sendmail_settings_done(&s);
	return 0;
}

static int recover_into(const struct mqw_control *c, int root, const char *queue_id,
	const char *new_id, int file_fd, char *ret_text, size_t size)
{
	struct mqw_slice files[MQW_BUNDLE_MAX];
	struct mqw_buffer bundle = {0};
	char *wildcard = NULL;
	int r = find_wildcard(c, &wildcard);

	if (r < 0)
		mqw_control_fail(r, ret_text, size, "Sendmail's configuration");
	else if ((r = mqw_fd_read_all(file_fd, BUNDLE_MAX, &bundle)) < 0)
		mqw_control_fail(r, ret_text, size, "the copy");
	else if (mqw_bundle_split(mqw_buffer_slice(&bundle), files) != 2)
		r = mqw_control_fail(-EBADMSG, ret_text, size, "the copy is not of two files");
	else
		r = recover_files(root, wildcard, queue_id, new_id, files, ret_text, size);
	free(wildcard);
	mqw_buffer_done(&bundle);
	return r;
}

int mqw_sendmail_recover(
	const struct mqw_control *c, const char *queue_id, int file_fd, char *ret_text, size_t size)
{
	char new_id[MQW_SENDMAIL_ID_MAX + 1], ignored[256];
	int root, r;

	if (!mqw_sendmail_recovered_id(mqw_slice_of(queue_id), new_id))
		return mqw_control_fail(-EINVAL, ret_text, size, "the queue id");
	if (!c->queue_directory || c->queue_directory[0] != '/')
		return mqw_control_fail(-EINVAL, ret_text, size, "the queue directory");
	root = open(c->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return mqw_control_fail(-errno, ret_text, size, "the queue directory");
	r = recover_into(c, root, queue_id, new_id, file_fd, ret_text, size);
	close(root);
	/*
	 * In the queue it is; where this fails, or nothing shall run now, the next run takes it. What
	 * both ids have in common, behind the month, is enough for the run to find either.
	 */
	if (r == 0 && mqw_sendmail_healthy(c, ignored, sizeof(ignored)) == 0)
		(void)mqw_sendmail_run_queue(c, queue_id + 2, ignored, sizeof(ignored));
	return r;
}
