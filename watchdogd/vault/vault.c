/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/base/fd.h"
#include "watchdogd/vault/internal.h"

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool mqw_vault_is_name(struct mqw_slice s, const char *also)
{
	if (s.len == 0 || s.len > MQW_VAULT_NAME_MAX || !is_alnum(s.ptr[0]))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr(also, s.ptr[i])))
			return false;
	return true;
}

bool mqw_vault_make_name(
	struct mqw_slice queue_id, size_t n, const char *suffix, struct mqw_vault_name *ret)
{
	char part[4] = "";

	if (!mqw_vault_is_name(queue_id, "-") || n >= MQW_BUNDLE_MAX)
		return false;
	if (n)
		snprintf(part, sizeof(part), ".%u", (unsigned)n);
	snprintf(ret->text, sizeof(ret->text), "%.*s%s%s", (int)queue_id.len, queue_id.ptr, part,
		suffix);
	return true;
}

/* Opens a folder within at; make: makes it where need be, and sees to its mode. */
static int open_folder(int at, const char *name, bool make)
{
	int fd, r;

	if (make && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!make || fchmod(fd, 0700) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/*
 * Asks ext4 to put the folders in here away from their parent and its neighbours (ext4(5), chattr(1),
 * flag T). Else the copies get inodes of the same group as the queue's, of which most were freed a
 * moment ago: ext4 steps over each of them for 5 s, which takes a third of what a copy costs. Where
 * that is unknown, nothing changes.
 */
static void set_apart(int dir)
{
	int flags;

	if (ioctl(dir, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
		flags |= FS_TOPDIR_FL;
		(void)ioctl(dir, FS_IOC_SETFLAGS, &flags);
	}
}

static int open_dir(const char *state, const char *instance, bool make)
{
	int top = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC), vault, fd;

	if (top < 0)
		return -errno;
	vault = open_folder(top, "vault", make);
	close(top);
	if (vault < 0)
		return vault;
	if (make)
		set_apart(vault);
	fd = open_folder(vault, instance, make);
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

uint64_t mqw_vault_size_of(const struct mqw_vault *v, const char *name)
{
	struct stat st;

	return fstatat(v->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

/* The queue id of a further file's name, QUEUE_ID.1; false for any other name. */
static bool is_part(struct mqw_slice name, struct mqw_slice *ret_id)
{
	size_t n = name.len;

	if (n < 3 || name.ptr[n - 2] != '.' || name.ptr[n - 1] < '1' ||
		name.ptr[n - 1] >= '0' + MQW_BUNDLE_MAX)
		return false;
	*ret_id = mqw_slice_head(name, n - 2);
	return mqw_vault_is_name(*ret_id, "-");
}

/* What a former run left half made goes; the rest is counted. */
static int take_stock(struct mqw_vault *v, const char *name, void *ctx)
{
	struct mqw_slice s = mqw_slice_of(name), id;
	struct mqw_vault_name first;
	bool part = is_part(s, &id);

	(void)ctx;
	if (mqw_slice_ends(s, MQW_LIT(MQW_VAULT_TEMPORARY)))
		return remove_name(v, name);
	/* The envelope comes last and goes first: a body without it belongs to no message. */
	if (part && mqw_vault_make_name(id, 0, "", &first) &&
		faccessat(v->dir, first.text, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return remove_name(v, name);
	if (part || mqw_vault_is_name(s, "-"))
		v->size += mqw_vault_size_of(v, name);
	return 0;
}

static int open_vault(const char *state, const char *instance, bool make, struct mqw_vault **ret)
{
	struct mqw_vault *v;
	int r;

	if (!mqw_vault_is_name(mqw_slice_of(instance), "-_."))
		return -EINVAL;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->dir = open_dir(state, instance, make);
	r = v->dir;
	if (r >= 0)
		r = make ? walk(v, take_stock, NULL) : 0;
	if (r < 0) {
		mqw_vault_close(v);
		return r;
	}
	*ret = v;
	return 0;
}

int mqw_vault_open(const char *state, const char *instance, struct mqw_vault **ret)
{
	return open_vault(state, instance, true, ret);
}

int mqw_vault_open_to_read(const char *state, const char *instance, struct mqw_vault **ret)
{
	return open_vault(state, instance, false, ret);
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

void mqw_vault_set_flush(struct mqw_vault *v, bool flush)
{
	v->flush = flush;
}

uint64_t mqw_vault_size(const struct mqw_vault *v)
{
	return v->size;
}

int mqw_vault_make_file(struct mqw_vault *v, const char *name)
{
	int fd;

	/* Where that fails it need not be there. */
	(void)remove_name(v, name);
	fd = openat(v->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int mqw_vault_settle(struct mqw_vault *v, int fd, const struct mqw_vault_name *from,
	const struct mqw_vault_name *to, bool flush, bool counted, int r)
{
	uint64_t before = counted ? mqw_vault_size_of(v, to->text) : 0;

	if (r == 0 && flush && fsync(fd) < 0)
		r = -errno;
	/* Some file systems tell of a full disk only here. */
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(v->dir, from->text, v->dir, to->text) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(v->dir, from->text, 0);
		return r;
	}
	if (counted)
		v->size += mqw_vault_size_of(v, to->text) - before;
	/* The name too has to be on the disk. */
	return flush && fsync(v->dir) < 0 ? -errno : 0;
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

/* The files of a copy, one behind the other. How many there are, or a negative errno. */
static int read_files(const struct mqw_vault *v, struct mqw_slice queue_id, uint64_t max,
	uint64_t lengths[MQW_BUNDLE_MAX], struct mqw_buffer *ret)
{
	struct mqw_vault_name name;
	int count = 0, r = 0;

	while (count < MQW_BUNDLE_MAX) {
		size_t before = ret->len;
		int fd;

		if (!mqw_vault_make_name(queue_id, (size_t)count, "", &name))
			return -EINVAL;
		fd = openat(v->dir, name.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT && count)
			break;
		if (fd < 0)
			return -errno;
		r = read_fd(fd, max - (ret->len < max ? ret->len : max), ret);
		close(fd);
		if (r < 0)
			return r;
		lengths[count++] = ret->len - before;
	}
	return count;
}

int mqw_vault_read_all(
	const struct mqw_vault *v, struct mqw_slice queue_id, uint64_t max, struct mqw_buffer *ret)
{
	uint64_t lengths[MQW_BUNDLE_MAX];
	struct mqw_buffer files = {0}, head = {0};
	int r = read_files(v, queue_id, max, lengths, &files);

	if (r > 1)
		mqw_bundle_add_head(&head, lengths, (size_t)r);
	if (r == 1 && ret->len == 0) { /* spares the second copy of what may be large */
		mqw_buffer_done(ret);
		*ret = files;
		return 0;
	}
	if (r > 0 && (head.failed || !mqw_buffer_reserve(ret, head.len + files.len + 1)))
		r = -ENOMEM;
	if (r > 0) {
		mqw_buffer_add(ret, mqw_buffer_slice(&head));
		mqw_buffer_add(ret, mqw_buffer_slice(&files));
	}
	mqw_buffer_done(&head);
	mqw_buffer_done(&files);
	return r < 0 ? r : 0;
}

/* The envelope goes first: what is left of a broken-off removal is removed at the next start. */
int mqw_vault_remove(struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct mqw_vault_name name;

	for (size_t n = 0; n < MQW_BUNDLE_MAX; n++) {
		uint64_t size;

		if (!mqw_vault_make_name(queue_id, n, "", &name))
			return -EINVAL;
		size = mqw_vault_size_of(v, name.text);
		if (unlinkat(v->dir, name.text, 0) < 0) {
			if (errno != ENOENT)
				return -errno;
			if (n)
				break;
			continue;
		}
		v->size -= size < v->size ? size : v->size;
	}
	return 0;
}

bool mqw_vault_has_recover(const struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct mqw_vault_name name;
	struct stat st;

	return mqw_vault_make_name(queue_id, 0, MQW_VAULT_RECOVER, &name) &&
		fstatat(v->dir, name.text, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int mqw_vault_remove_recover(struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct mqw_vault_name name;

	return mqw_vault_make_name(queue_id, 0, MQW_VAULT_RECOVER, &name)
		? remove_name(v, name.text)
		: -EINVAL;
}

int64_t mqw_vault_done_at(const struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct mqw_vault_name name;
	struct stat st;

	if (!mqw_vault_make_name(queue_id, 0, MQW_VAULT_DONE, &name) ||
		fstatat(v->dir, name.text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return MQW_TIME_NONE;
	return st.st_ctim.tv_sec * MQW_SECOND + st.st_ctim.tv_nsec / 1000;
}

int mqw_vault_remove_done(struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct mqw_vault_name name;

	return mqw_vault_make_name(queue_id, 0, MQW_VAULT_DONE, &name) ? remove_name(v, name.text)
								       : -EINVAL;
}

int mqw_vault_write_recover(
	struct mqw_vault *v, struct mqw_slice queue_id, struct mqw_slice content)
{
	struct mqw_vault_name name, temporary;
	int fd;

	if (!mqw_vault_make_name(queue_id, 0, MQW_VAULT_RECOVER, &name) ||
		!mqw_vault_make_name(queue_id, 0, MQW_VAULT_TEMPORARY, &temporary))
		return -EINVAL;
	fd = mqw_vault_make_file(v, temporary.text);
	if (fd < 0)
		return fd;
	return mqw_vault_settle(
		v, fd, &temporary, &name, true, false, mqw_fd_write_all(fd, content));
}

struct walk_each {
	int (*each)(void *ctx, const struct mqw_vault_entry *entry);
	void *ctx;
};

static uint64_t size_of_parts(const struct mqw_vault *v, struct mqw_slice queue_id)
{
	struct mqw_vault_name name;
	uint64_t sum = 0, size = 1;

	for (size_t n = 1; n < MQW_BUNDLE_MAX && size; n++) {
		if (!mqw_vault_make_name(queue_id, n, "", &name))
			break;
		size = mqw_vault_size_of(v, name.text);
		sum += size;
	}
	return sum;
}

static int give_entry(struct mqw_vault *v, const char *name, void *ctx)
{
	const struct walk_each *w = ctx;
	struct mqw_vault_entry e = {.queue_id = mqw_slice_of(name), .kind = MQW_VAULT_COPY};
	struct stat st;

	if (mqw_slice_ends(e.queue_id, MQW_LIT(MQW_VAULT_RECOVER))) {
		e.kind = MQW_VAULT_FOR_RECOVERY;
		e.queue_id.len -= sizeof(MQW_VAULT_RECOVER) - 1;
	} else if (mqw_slice_ends(e.queue_id, MQW_LIT(MQW_VAULT_DONE))) {
		e.kind = MQW_VAULT_RECOVERED;
		e.queue_id.len -= sizeof(MQW_VAULT_DONE) - 1;
	}
	if (!mqw_vault_is_name(e.queue_id, "-") ||
		fstatat(v->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	e.size = (uint64_t)st.st_size;
	if (e.kind == MQW_VAULT_COPY)
		e.size += size_of_parts(v, e.queue_id);
	e.changed_at = st.st_mtim.tv_sec * MQW_SECOND + st.st_mtim.tv_nsec / 1000;
	return w->each(w->ctx, &e);
}

int mqw_vault_each(
	struct mqw_vault *v, int (*each)(void *ctx, const struct mqw_vault_entry *entry), void *ctx)
{
	struct walk_each w = {each, ctx};

	return walk(v, give_entry, &w);
}
