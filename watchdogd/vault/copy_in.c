/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies taken of a queue's files, and whether they are of what is there now. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "watchdogd/base/beneath.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/vault/copy.h"
#include "watchdogd/vault/internal.h"

#define TRIES 3
#define BODY 1 /* of the files of a message, the envelope being 0 */
#define UNSURE (MQW_SECOND / 10)

/* Whether the n-th file of the copy holds the source as st says it is. */
static bool is_fresh(
	const struct mqw_vault *v, struct mqw_slice queue_id, size_t n, const struct stat *st)
{
	struct mqw_vault_name name;
	struct stat copy;

	return mqw_vault_make_name(queue_id, n, "", &name) &&
		fstatat(v->dir, name.text, &copy, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(copy.st_mode) && copy.st_size == st->st_size &&
		copy.st_mtim.tv_sec == st->st_ctim.tv_sec &&
		copy.st_mtim.tv_nsec == st->st_ctim.tv_nsec;
}

bool mqw_vault_fresh(const struct mqw_vault *v, struct mqw_slice queue_id, const struct stat *st)
{
	return is_fresh(v, queue_id, 0, st);
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

/* The n-th file, where its copy is not fresh. */
static int copy_file(
	struct mqw_vault *v, int source, const struct stat *st, struct mqw_slice queue_id, size_t n)
{
	struct mqw_vault_name name, temporary;
	int fd;

	if (is_fresh(v, queue_id, n, st))
		return 0;
	if (!mqw_vault_make_name(queue_id, n, "", &name) ||
		!mqw_vault_make_name(queue_id, n, MQW_VAULT_TEMPORARY, &temporary))
		return -EINVAL;
	fd = mqw_vault_make_file(v, temporary.text);
	if (fd < 0)
		return fd;
	return mqw_vault_settle(
		v, fd, &temporary, &name, v->flush, true, fill_copy(source, fd, st));
}

/* The open files of a message; -1 where none is. */
struct parts {
	int fds[MQW_BUNDLE_MAX];
	struct stat st[MQW_BUNDLE_MAX];
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
	}
	return 0;
}

static int check_source(const struct parts *p, mode_t mode, uint64_t limit)
{
	uint64_t sum = 0;

	if (mode && (p->st[0].st_mode & 07777) != mode)
		return -EPERM;
	for (size_t i = 0; i < p->count; i++) {
		if ((uint64_t)p->st[i].st_size > limit - sum)
			return -EFBIG;
		sum += (uint64_t)p->st[i].st_size;
	}
	return 0;
}

/*
 * Whether the copy of the body is to stay: bodies do not change. A shorter one was made by the MTA, which
 * missed its file (Sendmail: readqf, then queueup), and the copy is all that is left of it.
 */
static bool keeps_body(const struct mqw_vault *v, struct mqw_slice queue_id, const struct stat *st)
{
	struct mqw_vault_name name;

	return mqw_vault_make_name(queue_id, BODY, "", &name) &&
		mqw_vault_size_of(v, name.text) > (uint64_t)st->st_size;
}

/* The envelope last: with it the copy is whole. */
static int copy_parts(struct mqw_vault *v, const struct parts *p, struct mqw_slice queue_id,
	mode_t mode, uint64_t limit)
{
	int r = check_source(p, mode, limit);
	bool fresh = r == 0;
	struct stat after;

	for (size_t i = 0; fresh && i < p->count; i++)
		fresh = is_fresh(v, queue_id, i, &p->st[i]);
	if (r < 0 || fresh)
		return r;
	for (size_t i = p->count; r == 0 && i-- > 1;) {
		if (i == BODY && keeps_body(v, queue_id, &p->st[i]))
			continue;
		r = copy_file(v, p->fds[i], &p->st[i], queue_id, i);
		if (r == 0 && fstat(p->fds[0], &after) < 0)
			r = -errno;
		else if (r == 0 && !is_unchanged(&p->st[0], &after))
			r = -EAGAIN; /* the envelope may name another body by now */
	}
	if (r == 0)
		r = copy_file(v, p->fds[0], &p->st[0], queue_id, 0);
	return r < 0 ? r : 1;
}

int mqw_vault_copy_bundle_in(struct mqw_vault *v, int root, const char *const *paths, size_t count,
	struct mqw_slice queue_id, mode_t mode, uint64_t limit)
{
	int r = -EAGAIN;

	if (!mqw_vault_is_name(queue_id, "-") || count == 0 || count > MQW_BUNDLE_MAX)
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

int mqw_vault_copy_in(struct mqw_vault *v, int root, const char *path, struct mqw_slice queue_id,
	mode_t mode, uint64_t limit)
{
	return mqw_vault_copy_bundle_in(v, root, &path, 1, queue_id, mode, limit);
}
