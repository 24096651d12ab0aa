/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts a copy of ID-H and ID-D back into the spool under an id of its own, which tells the one that
 * it continues (mqw_exim_recovered_id), and has it tried at once. Not under the old id: its log
 * lines would go on as if nothing had happened, and whether a message was put back has to be seen
 * from the log. The body goes first: a message is there for Exim when its ID-H is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/exim/control_internal.h"
#include "probes/source/places.h"
#include "watchdogd/base/bundle.h"
#include "watchdogd/base/fd.h"

#define FILE_MAX ((size_t)256 * 1024 * 1024)
#define MODE 0640 /* SPOOL_MODE of Exim's build, Debian's and upstream's */
#define NAME_SIZE 64
#define SPLIT_DIGIT 5

static int open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Whether a file "ID-H" or "ID-D" is there: 1, 0 or a negative errno. */
static int has(int dir, const char *id, char kind)
{
	char name[NAME_SIZE];
	struct stat st;

	snprintf(name, sizeof(name), "%s-%c", id, kind);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

/* Where a message may lie: input/ itself, and its directory for ids of this kind, -1 without. */
struct places {
	int flat, split;
	struct mqw_exim_user user;
};

static int open_places(int root, const char *id, struct places *ret)
{
	char name[2] = {id[SPLIT_DIGIT], '\0'};
	struct stat st;

	ret->split = -1;
	ret->flat = open_directory(root, "input");
	if (ret->flat < 0)
		return ret->flat;
	if (fstat(ret->flat, &st) < 0)
		return -errno;
	/* What is written there is Exim's, and Exim does not run as root for long. */
	if (st.st_uid == 0)
		return -EPERM;
	ret->user.uid = st.st_uid;
	ret->user.gid = st.st_gid;
	ret->split = open_directory(ret->flat, name);
	return ret->split >= 0 || ret->split == -ENOENT ? 0 : ret->split;
}

static void close_places(struct places *p)
{
	if (p->flat >= 0)
		close(p->flat);
	if (p->split >= 0)
		close(p->split);
}

/* Whether both files of a message are in the directory: 1, 0 or a negative errno. */
static int has_both(int dir, const char *id)
{
	int r = has(dir, id, 'H');

	return r > 0 ? has(dir, id, 'D') : r;
}

/* The same of a directory of the queue, or of that in it which is for ids of this kind. */
struct look {
	int root;
	const char *id;
	char directory[256]; /* where it was looked last */
};

static int look_into(void *ctx, const char *directory)
{
	struct look *l = ctx;
	char split[2] = {l->id[SPLIT_DIGIT], '\0'};
	int dir = open_directory(l->root, directory), sub, r;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	snprintf(l->directory, sizeof(l->directory), "%s", directory);
	r = has_both(dir, l->id);
	sub = r == 0 ? open_directory(dir, split) : -ENOENT;
	close(dir);
	if (sub < 0)
		return r == 0 && sub != -ENOENT ? sub : r;
	r = has_both(sub, l->id);
	close(sub);
	return r;
}

/* Whether a message is in any of the queues. */
static int is_there(int root, const char *id)
{
	struct look l = {.root = root, .id = id};

	return mqw_places_each(root, mqw_exim_queue_directories, look_into, &l);
}

int mqw_exim_queue_of(const char *queue_directory, const char *id, char *ret_name, size_t size)
{
	int root = open(queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	struct look l = {.root = root, .id = id};
	struct mqw_slice rest, name = MQW_SLICE_NULL;

	if (root < 0)
		return -errno;
	r = mqw_places_each(root, mqw_exim_queue_directories, look_into, &l);
	close(root);
	if (r <= 0)
		return r;
	rest = mqw_slice_of(l.directory);
	mqw_slice_take_until(&rest, '/', &name);
	if (name.len >= size)
		return -ENAMETOOLONG;
	snprintf(ret_name, size, "%.*s", (int)name.len, name.len ? name.ptr : "");
	return 1;
}

/*
 * Nobody else makes a file of this id, so that it need not be taken with RENAME_NOREPLACE: ID-H was
 * looked for, and an ID-D without it is of a try that was broken off. Until it has its name Exim takes
 * it for no message's.
 */
static int put_file(const struct places *p, int dir, const char *id, char kind,
	struct mqw_slice head, struct mqw_slice rest)
{
	char temporary[MQW_TEMPORARY_SIZE], name[NAME_SIZE];
	int fd = mqw_control_create_temporary(dir, temporary), r;

	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "%s-%c", id, kind);
	r = mqw_fd_write_all(fd, head);
	if (r == 0)
		r = mqw_fd_write_all(fd, rest);
	if (r == 0 &&
		(fchown(fd, p->user.uid, p->user.gid) < 0 || fchmod(fd, MODE) < 0 ||
			fsync(fd) < 0 || renameat(dir, temporary, dir, name) < 0))
		r = -errno;
	close(fd);
	if (r < 0)
		unlinkat(dir, temporary, 0);
	return r;
}

/* The body's file without its first line, which names the message; -EBADMSG when it does not. */
static int body_of(struct mqw_slice file, const char *id, struct mqw_slice *ret)
{
	struct mqw_slice line;

	if (!mqw_slice_take_until(&file, '\n', &line) || !mqw_slice_ends(line, MQW_LIT("-D")) ||
		!mqw_slice_eq(mqw_slice_head(line, line.len - 2), mqw_slice_of(id)))
		return -EBADMSG;
	*ret = file;
	return 0;
}

static int put(const struct places *p, const char *old_id, const char *new_id,
	struct mqw_slice content, char *ret_text, size_t size)
{
	int dir = p->split >= 0 ? p->split : p->flat, r;
	struct mqw_slice files[MQW_BUNDLE_MAX], body;
	struct mqw_buffer envelope = {0};
	char head[NAME_SIZE];

	r = mqw_bundle_split(content, files) == 2 ? 0 : -EBADMSG;
	if (r == 0)
		r = body_of(files[1], old_id, &body);
	if (r == 0)
		r = mqw_exim_renew_file(files[0], new_id, mqw_clock_now(), &p->user, &envelope);
	if (r <= 0) {
		mqw_buffer_done(&envelope);
		r = r == 0 ? -ENODATA : r;
		return mqw_control_fail(r, ret_text, size,
			r == -ENODATA ? "every recipient in the queue file is done"
				      : "the queue file is not sound");
	}
	snprintf(head, sizeof(head), "%s-D\n", new_id);
	r = put_file(p, dir, new_id, 'D', mqw_slice_of(head), body);
	if (r == 0)
		r = put_file(p, dir, new_id, 'H', mqw_buffer_slice(&envelope), MQW_SLICE_NULL);
	mqw_buffer_done(&envelope);
	if (r < 0)
		return mqw_control_fail(r, ret_text, size, "the files in the spool");
	/* Its failure is not told: the files are in place, and must not be put there again. */
	fsync(dir);
	return 0;
}

static int recover_into(const struct mqw_control *c, int root, const struct places *p,
	const char *old_id, int file_fd, char *ret_text, size_t size)
{
	char new_id[MQW_EXIM_ID_MAX + 1], unheard[256];
	const char *const arguments[] = {"-M", new_id, NULL};
	struct mqw_buffer content = {0};
	int r;

	if (!mqw_exim_recovered_id(mqw_slice_of(old_id), new_id)) {
		snprintf(ret_text, size, "%s was put back once already, or is no id of Linux",
			old_id);
		return -EBADMSG;
	}
	r = is_there(root, old_id);
	if (r > 0) {
		snprintf(ret_text, size, "%s is in the queue: it was not lost", old_id);
		return -EBUSY;
	}
	if (r == 0)
		r = is_there(root, new_id);
	if (r < 0)
		return mqw_control_fail(r, ret_text, size, "a look through the queue");
	if (r == 0) {
		r = mqw_fd_read_all(file_fd, FILE_MAX, &content);
		if (r < 0)
			mqw_control_fail(r, ret_text, size, "the copy");
		else
			r = put(p, old_id, new_id, mqw_buffer_slice(&content), ret_text, size);
		mqw_buffer_done(&content);
	}
	/* Otherwise the next queue run takes it. */
	if (r >= 0)
		mqw_exim_start(c, arguments, unheard, sizeof(unheard));
	return r;
}

int mqw_exim_recover(
	const struct mqw_control *c, const char *queue_id, int file_fd, char *ret_text, size_t size)
{
	struct places p = {.flat = -1, .split = -1};
	int root, r;

	if (!mqw_exim_valid_id(mqw_slice_of(queue_id)))
		return mqw_control_fail(-EINVAL, ret_text, size, "the queue id");
	if (!c->queue_directory || c->queue_directory[0] != '/')
		return mqw_control_fail(-EINVAL, ret_text, size, "the spool directory");
	root = open(c->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return mqw_control_fail(-errno, ret_text, size, "the spool directory");
	r = open_places(root, queue_id, &p);
	if (r < 0)
		mqw_control_fail(r, ret_text, size, "input/ of the spool directory");
	else
		r = recover_into(c, root, &p, queue_id, file_fd, ret_text, size);
	close_places(&p);
	close(root);
	return r;
}
