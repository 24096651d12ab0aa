/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include "watchdogd/vault/vault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "watchdogd/base/beneath.h"
#include "watchdogd/base/bundle.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/base/fd.h"
#include "watchdogd/vault/copy.h"

#define NAME_MAX_LEN 64
#define TRIES 3
#define UNSURE (MQW_SECOND / 10)

/* Names that no queue id has, so that neither is ever taken for a copy. */
#define TEMPORARY ".new"
#define RECOVER ".recover"
#define DONE ".done"

struct mqw_vault {
	int dir;
};

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_name(struct mqw_slice s, const char *also)
{
	if (s.len == 0 || s.len > NAME_MAX_LEN || !is_alnum(s.ptr[0]))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr(also, s.ptr[i])))
			return false;
	return true;
}

struct file_name {
	char text[NAME_MAX_LEN + sizeof(RECOVER)];
};

static bool make_name(struct mqw_slice queue_id, const char *suffix, struct file_name *ret)
{
	if (!is_name(queue_id, "-"))
		return false;
	snprintf(ret->text, sizeof(ret->text), "%.*s%s", (int)queue_id.len, queue_id.ptr, suffix);
	return true;
}

/* Opens a folder within at, making it where need be. */
static int open_folder(int at, const char *name)
{
	int fd, r;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0700) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int open_dir(const char *state, const char *instance)
{
	int top = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC), vault, fd;

	if (top < 0)
		return -errno;
	vault = open_folder(top, "vault");
	close(top);
	if (vault < 0)
		return vault;
	fd = open_folder(vault, instance);
	close(vault);
	return fd;
}

/* One file of the folder, by name. */
typedef int visit(struct mqw_vault *v, const char *name, void *ctx);

static int walk(struct mqw_vault *v, visit *each, void *ctx)
{
	/* A descriptor of its own: the walk must not move another one's place. */
	int fd = openat(v->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r >= 0 && (errno = 0, e = readdir(d)))
		r = each(v, e->d_name, ctx);
	if (r >= 0)
		r = -errno;
	closedir(d);
	return r;
}

static int remove_name(struct mqw_vault *v, const char *name)
{
	return unlinkat(v->dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_temporary(struct mqw_vault *v, const char *name, void *ctx)
{
	(void)ctx;
	return mqw_slice_ends(mqw_slice_of(name), MQW_LIT(TEMPORARY)) ? remove_name(v, name) : 0;
}

int mqw_vault_open(const char *state, const char *instance, struct mqw_vault **ret)
{
	struct mqw_vault *v;
	int r;

	if (!is_name(mqw_slice_of(instance), "-_."))
		return -EINVAL;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->dir = open_dir(state, instance);
	r = v->dir < 0 ? v->dir : walk(v, remove_temporary, NULL);
	if (r < 0) {
		mqw_vault_close(v);
		return r;
	}
	*ret = v;
	return 0;
}

struct mqw_vault *mqw_vault_close(struct mqw_vault *v)
{
	if (!v)
		return NULL;
	if (v->dir >= 0)
		close(v->dir);
	free(v);
	return NULL;
}

bool mqw_vault_fresh(const struct mqw_vault *v, struct mqw_slice queue_id, const struct stat *st)
{
	struct file_name name;
	struct stat copy;

	return make_name(queue_id, "", &name) &&
		fstatat(v->dir, name.text, &copy, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(copy.st_mode) && copy.st_size == st->st_size &&
		copy.st_mtim.tv_sec == st->st_ctim.tv_sec &&
		copy.st_mtim.tv_nsec == st->st_ctim.tv_nsec;
}

/* An empty file under the temporary name. */
static int make_temporary(struct mqw_vault *v, const char *name)
{
	int fd;

	/* Where that fails it need not be there. */
	(void)remove_name(v, name);
	fd = openat(v->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* Ends the making of a file: under its name when r says that all went well, gone otherwise. */
static int settle(struct mqw_vault *v, int fd, const char *from, const char *to, int r)
{
	/* Some file systems tell of a full disk only here. */
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(v->dir, from, v->dir, to) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(v->dir, from, 0);
	return r;
}

static int check_source(const struct stat *st, mode_t mode, uint64_t limit)
{
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	if (mode && (st->st_mode & 07777) != mode)
		return -EPERM;
	return (uint64_t)st->st_size > limit ? -EFBIG : 0;
}

/* A rename changes ctime and counts as a change: rare, and the next try sees the new state. */
static bool is_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mode == b->st_mode &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
		a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Marks the copy with the state that it holds. A file system keeps times by the clock's tick, and
 * sets them before it writes: a source that changed just before the copy was begun may have changed
 * after it too and look the same. Then the mark is one that fits no state, and the next look copies
 * again. The copy's own time, before a byte was read, is that same clock.
 */
static int mark_copy(int fd, const struct stat *source, const struct stat *begun)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, source->st_ctim};
	int64_t age = (begun->st_mtim.tv_sec - source->st_ctim.tv_sec) * MQW_SECOND +
		(begun->st_mtim.tv_nsec - source->st_ctim.tv_nsec) / 1000;

	if (age < UNSURE)
		times[1].tv_nsec ^= 1;
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int fill_copy(int source, int fd, const struct stat *before)
{
	struct stat begun, after;
	int r;

	if (fstat(fd, &begun) < 0)
		return -errno;
	r = mqw_copy_bytes(source, fd, (uint64_t)before->st_size);
	if (r < 0)
		return r;
	if (fstat(source, &after) < 0)
		return -errno;
	return is_unchanged(before, &after) ? mark_copy(fd, before, &begun) : -EAGAIN;
}

static int copy_once(
	struct mqw_vault *v, int source, struct mqw_slice queue_id, mode_t mode, uint64_t limit)
{
	struct file_name name, temporary;
	struct stat st;
	int r, fd;

	if (fstat(source, &st) < 0)
		return -errno;
	r = check_source(&st, mode, limit);
	if (r < 0 || mqw_vault_fresh(v, queue_id, &st))
		return r;
	if (!make_name(queue_id, "", &name) || !make_name(queue_id, TEMPORARY, &temporary))
		return -EINVAL;
	fd = make_temporary(v, temporary.text);
	if (fd < 0)
		return fd;
	r = settle(v, fd, temporary.text, name.text, fill_copy(source, fd, &st));
	return r < 0 ? r : 1;
}

int mqw_vault_copy_in(struct mqw_vault *v, int root, const char *path, struct mqw_slice queue_id,
	mode_t mode, uint64_t limit)
{
	int source, r = -EAGAIN;

	if (!is_name(queue_id, "-"))
		return -EINVAL;
	source = mqw_open_beneath(root, path, O_RDONLY);
	if (source < 0)
		return source;
	for (int i = 0; i < TRIES && r == -EAGAIN; i++)
		r = copy_once(v, source, queue_id, mode, limit);
	close(source);
	return r;
}

/* The open files of a message; -1 where none is. */
struct parts {
	int fds[MQW_BUNDLE_MAX];
	struct stat st[MQW_BUNDLE_MAX];
	uint64_t lengths[MQW_BUNDLE_MAX];
	size_t count;
};

static int open_parts(struct parts *p, int root, const char *const *paths)
{
	for (size_t i = 0; i < p->count; i++) {
		p->fds[i] = mqw_open_beneath(root, paths[i], O_RDONLY);
		if (p->fds[i] < 0)
			return p->fds[i];
		if (fstat(p->fds[i], &p->st[i]) < 0)
			return -errno;
		if (!S_ISREG(p->st[i].st_mode))
			return -EINVAL;
		p->lengths[i] = (uint64_t)p->st[i].st_size;
	}
	return 0;
}

static int fill_bundle(const struct parts *p, struct mqw_slice head, int fd)
{
	struct stat begun, after;
	int r = fstat(fd, &begun) < 0 ? -errno : mqw_fd_write_all(fd, head);

	for (size_t i = 0; r == 0 && i < p->count; i++)
		r = mqw_copy_append(p->fds[i], fd, p->lengths[i]);
	for (size_t i = 0; r == 0 && i < p->count; i++)
		if (fstat(p->fds[i], &after) < 0)
			r = -errno;
		else if (!is_unchanged(&p->st[i], &after))
			r = -EAGAIN;
	return r == 0 ? mark_copy(fd, &p->st[0], &begun) : r;
}

static int copy_parts(struct mqw_vault *v, const struct parts *p, struct mqw_slice queue_id,
	mode_t mode, uint64_t limit)
{
	struct file_name name, temporary;
	struct mqw_buffer head = {0};
	struct stat whole = p->st[0];
	int r, fd;

	mqw_bundle_add_head(&head, p->lengths, p->count);
	whole.st_size = (off_t)head.len;
	for (size_t i = 0; i < p->count; i++)
		whole.st_size += p->st[i].st_size;
	r = head.failed ? -ENOMEM : check_source(&whole, mode, limit);
	if (r < 0 || mqw_vault_fresh(v, queue_id, &whole))
		goto out;
	r = -EINVAL;
	if (!make_name(queue_id, "", &name) || !make_name(queue_id, TEMPORARY, &temporary))
		goto out;
	r = fd = make_temporary(v, temporary.text);
	if (fd < 0)
		goto out;
	r = settle(v, fd, temporary.text, name.text, fill_bundle(p, mqw_buffer_slice(&head), fd));
	r = r < 0 ? r : 1;
out:
	mqw_buffer_done(&head);
	return r;
}

int mqw_vault_copy_bundle_in(struct mqw_vault *v, int root, const char *const *paths, size_t count,
	struct mqw_slice queue_id, mode_t mode, uint64_t limit)
{
	int r = -EAGAIN;

	if (!is_name(queue_id, "-") || count == 0 || count > MQW_BUNDLE_MAX)
		return -EINVAL;
	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		struct parts p = {.fds = {-1, -1, -1, -1}, .count = count};

		/* Each time by its name: a file with an envelope is changed by replacing it. */
		r = open_parts(&p, root, paths);
		if (r == 0)
			r = copy_parts(v, &p, queue_id, mode, limit);
		for (size_t n = 0; n < count; n++)
			if (p.fds[n] >= 0)
				close(p.fds[n]);
	}
	return r;
}

static int read_fd(int fd, uint64_t max, struct mqw_buffer *ret)
{
	struct stat st;
	size_t size, done = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	size = (size_t)st.st_size;
	if (!mqw_buffer_reserve(ret, size + 1))
		return -ENOMEM;
	while (done < size) {
		ssize_t n = pread(fd, ret->ptr + ret->len + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO; /* nobody shortens a copy */
		done += (size_t)n;
	}
	ret->len += size;
	ret->ptr[ret->len] = '\0';
	return 0;
}

int mqw_vault_read_all(
	const struct mqw_vault *v, struct mqw_slice queue_id, uint64_t max, struct mqw_buffer *ret)
{
	struct file_name name;
	int fd, r;

	if (!make_name(queue_id, "", &name))
		return -EINVAL;
	fd = openat(v->dir, name.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = read_fd(fd, max, ret);
	close(fd);
	return r;
}

int mqw_vault_remove(struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct file_name name;

	return make_name(queue_id, "", &name) ? remove_name(v, name.text) : -EINVAL;
}

bool mqw_vault_has_recover(const struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct file_name name;
	struct stat st;

	return make_name(queue_id, RECOVER, &name) &&
		fstatat(v->dir, name.text, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int mqw_vault_remove_recover(struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct file_name name;

	return make_name(queue_id, RECOVER, &name) ? remove_name(v, name.text) : -EINVAL;
}

int64_t mqw_vault_done_at(const struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct file_name name;
	struct stat st;

	if (!make_name(queue_id, DONE, &name) ||
		fstatat(v->dir, name.text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return MQW_TIME_NONE;
	return st.st_ctim.tv_sec * MQW_SECOND + st.st_ctim.tv_nsec / 1000;
}

int mqw_vault_remove_done(struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct file_name name;

	return make_name(queue_id, DONE, &name) ? remove_name(v, name.text) : -EINVAL;
}

int mqw_vault_write_recover(
	struct mqw_vault *v, struct mqw_slice queue_id, struct mqw_slice content)
{
	struct file_name name, temporary;
	int fd, r;

	if (!make_name(queue_id, RECOVER, &name) || !make_name(queue_id, TEMPORARY, &temporary))
		return -EINVAL;
	fd = make_temporary(v, temporary.text);
	if (fd < 0)
		return fd;
	r = mqw_fd_write_all(fd, content);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	r = settle(v, fd, temporary.text, name.text, r);
	/* The name too has to be on the disk. */
	return r == 0 && fsync(v->dir) < 0 ? -errno : r;
}

struct walk_each {
	int (*each)(void *ctx, const struct mqw_vault_entry *entry);
	void *ctx;
};

static int give_entry(struct mqw_vault *v, const char *name, void *ctx)
{
	const struct walk_each *w = ctx;
	struct mqw_vault_entry e = {.queue_id = mqw_slice_of(name)};
	struct stat st;

	e.recover = mqw_slice_ends(e.queue_id, MQW_LIT(RECOVER));
	if (e.recover)
		e.queue_id.len -= sizeof(RECOVER) - 1;
	if (!is_name(e.queue_id, "-") || fstatat(v->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return 0;
	e.size = (uint64_t)st.st_size;
	e.changed_at = st.st_mtim.tv_sec * MQW_SECOND + st.st_mtim.tv_nsec / 1000;
	return w->each(w->ctx, &e);
}

int mqw_vault_each(
	struct mqw_vault *v, int (*each)(void *ctx, const struct mqw_vault_entry *entry), void *ctx)
{
	struct walk_each w = {each, ctx};

	return walk(v, give_entry, &w);
}
