/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* asprintf */
#include "probes/source/tail_pieces.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/decompress.h"
#include "probes/source/fileset.h"
#include "watchdogd/base/clock.h"

#define TRIES 5 /* while rotation renames under our hands */

/* Paths in a directory, for mqw_fileset_build(). */
struct names {
	char **items;
	size_t count, cap;
};

static void names_done(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static int names_add(struct names *n, struct mqw_slice folder, const char *name)
{
	char *path;

	if (n->count == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 32;
		char **items = reallocarray(n->items, cap, sizeof(*items));

		if (!items)
			return -ENOMEM;
		n->items = items;
		n->cap = cap;
	}
	if (asprintf(&path, "%.*s%s", (int)folder.len, folder.ptr, name) < 0)
		return -ENOMEM;
	n->items[n->count++] = path;
	return 0;
}

static struct mqw_slice folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return mqw_slice(path, slash ? (size_t)(slash - path) + 1 : 0);
}

/* Regular files beside the live log whose name begins like its own. */
static int list(const char *live, struct names *ret)
{
	struct mqw_slice folder = folder_of(live);
	char *dir_path = mqw_slice_dup(folder.len ? folder : MQW_LIT("."));
	char first = live[folder.len];
	struct dirent *e;
	struct stat st;
	int r = 0;
	DIR *d;

	if (!dir_path)
		return -ENOMEM;
	d = opendir(dir_path);
	free(dir_path);
	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] == first && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
			S_ISREG(st.st_mode))
			r = names_add(ret, folder, e->d_name);
	closedir(d);
	return r;
}

/* While it is being compressed a piece is there twice: the compressed one is not complete. */
static bool has_plain_twin(const struct mqw_log_set *set, size_t at, const char *live)
{
	struct mqw_slice path = mqw_slice_of(set->files[at].path);

	for (size_t i = 0; i < set->count; i++) {
		struct mqw_slice other = mqw_slice_of(set->files[i].path);
		struct mqw_slice tail = path;

		if (other.len < path.len && strcmp(other.ptr, live) != 0 &&
			mqw_slice_skip(&tail, other) && tail.ptr[0] == '.' &&
			mqw_slice_chr(mqw_slice_from(tail, 1), '.') == tail.len - 1 &&
			!(tail.ptr[1] >= '0' && tail.ptr[1] <= '9'))
			return true;
	}
	return false;
}

bool mqw_tail_is_inode(int fd, const struct mqw_tail_position *p)
{
	struct stat st;
	int64_t born;

	if (fstat(fd, &st) < 0 || st.st_ino != p->ino)
		return false;
	born = mqw_tail_born(fd);
	/* The number of a device may be another one after each mount. */
	return born && p->born ? born == p->born : st.st_dev == p->dev;
}

/* What a compressed file holds is compared as well. */
static bool begins_like(int fd, const struct mqw_tail_position *p)
{
	struct mqw_tail_print print;

	if (p->print.len < MQW_TAIL_PRINT_MIN && !mqw_tail_is_inode(fd, p))
		return false;
	return mqw_tail_print_fd(fd, p->print.len, &print) == 0 && print.len == p->print.len &&
		print.hash == p->print.hash;
}

enum mqw_tail_match mqw_tail_match(int fd, const struct mqw_tail_position *p)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return MQW_TAIL_OTHER;
	/* Emptied it can be told by nothing else. */
	if (st.st_size == 0 && p->offset)
		return mqw_tail_is_inode(fd, p) ? MQW_TAIL_SHORT : MQW_TAIL_OTHER;
	if (!begins_like(fd, p))
		return MQW_TAIL_OTHER;
	return (uint64_t)st.st_size < p->offset ? MQW_TAIL_SHORT : MQW_TAIL_SAME;
}

int mqw_tail_open(const char *path)
{
	/* O_NONBLOCK: what has taken the log's place may be a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

/* -ENOENT: renamed since it was listed; -ENOMEM, -EMFILE, -ENFILE. Other errors are the piece's. */
static int open_piece(const char *path, struct mqw_tail_piece *ret)
{
	int fd = mqw_tail_open(path);
	struct stat st = {0};

	if (fd == -ENOENT || fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE)
		return fd;
	*ret = (struct mqw_tail_piece){.path = strdup(path), .fd = fd};
	if (!ret->path) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	if (fd < 0) {
		ret->error = fd;
		ret->fd = -1;
		return 0;
	}
	(void)fstat(fd, &st);
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	if (mqw_tail_print_fd(fd, MQW_TAIL_PRINT_MAX, &ret->print) < 0)
		ret->print = (struct mqw_tail_print){0};
	return 0;
}

static bool is_plain(int fd)
{
	char head[MQW_COMPRESSION_MAGIC];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n >= 0 && mqw_compression_of(mqw_slice(head, (size_t)n)) == MQW_COMPRESSION_NONE;
}

static int64_t microseconds(struct timespec ts)
{
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

bool mqw_tail_piece_may_grow(const struct mqw_tail_pieces *p, size_t at, int64_t now, int64_t span)
{
	struct stat st;

	if (p->items[at].fd < 0 || fstat(p->items[at].fd, &st) < 0 || !is_plain(p->items[at].fd))
		return false;
	/* A rename changes ctime. */
	if (microseconds(st.st_mtim) > now - span || microseconds(st.st_ctim) > now - span)
		return true;
	for (size_t i = at + 1; i < p->count; i++)
		if (fstat(p->items[i].fd, &st) < 0 || st.st_size > 0)
			return false;
	return true;
}

static void turn(struct mqw_tail_pieces *p)
{
	for (size_t i = 0; i < p->count / 2; i++) {
		struct mqw_tail_piece swap = p->items[i];

		p->items[i] = p->items[p->count - 1 - i];
		p->items[p->count - 1 - i] = swap;
	}
}

static void drop(struct mqw_tail_piece *piece)
{
	if (piece->fd >= 0)
		close(piece->fd);
	free(piece->path);
}

/* Of pieces, the newest first, keeps the live log and what may hold lines of after a time. */
static void keep_newer(struct mqw_tail_pieces *p, const char *live, int64_t time)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct mqw_tail_piece *piece = &p->items[i];
		struct stat st;
		int r = piece->fd < 0 ? stat(piece->path, &st) : fstat(piece->fd, &st);

		if (r < 0 || strcmp(piece->path, live) == 0 || microseconds(st.st_mtim) > time)
			p->items[kept++] = *piece;
		else
			drop(piece);
	}
	p->count = kept;
}

/*
 * Between the copy and the cut of `copytruncate` the same lines are there twice: the live log has
 * all of them, and more.
 */
static bool is_copy_of_live(const struct mqw_tail_pieces *p, const char *live)
{
	const struct mqw_tail_piece *newest = &p->items[0], *piece = &p->items[p->count - 1];
	struct mqw_tail_print print;

	return piece != newest && strcmp(newest->path, live) == 0 && newest->fd >= 0 &&
		piece->print.len >= MQW_TAIL_PRINT_MIN && piece->print.len <= newest->print.len &&
		mqw_tail_print_fd(newest->fd, piece->print.len, &print) == 0 &&
		print.hash == piece->print.hash;
}

static bool is_of(const struct mqw_tail_piece *piece, const struct mqw_tail_position *p)
{
	if (p->print.len == piece->print.len && p->print.len >= MQW_TAIL_PRINT_MIN)
		return p->print.hash == piece->print.hash;
	return p->print.len <= piece->print.len && begins_like(piece->fd, p);
}

/* Opens from the newest to the one of the position. -ENOENT: renamed since it was listed. */
static int open_set(const struct mqw_log_set *set, const char *live,
	const struct mqw_tail_position *p, struct mqw_tail_pieces *ret)
{
	ret->items = calloc(set->count, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = set->count; i-- > 0;) {
		struct mqw_tail_piece *piece = &ret->items[ret->count];
		int r;

		if (has_plain_twin(set, i, live))
			continue;
		r = open_piece(set->files[i].path, piece);
		if (r < 0)
			return r;
		ret->count++;
		if (strcmp(set->files[i].path, live) != 0 && piece->fd >= 0 && is_of(piece, p)) {
			turn(ret);
			return 1;
		}
		if (is_copy_of_live(ret, live))
			drop(&ret->items[--ret->count]);
	}
	keep_newer(ret, live, p->time);
	turn(ret);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool same_names(struct names *a, struct names *b)
{
	if (a->count != b->count)
		return false;
	if (a->count == 0)
		return true;
	qsort(a->items, a->count, sizeof(*a->items), compare_names);
	qsort(b->items, b->count, sizeof(*b->items), compare_names);
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* Whether every path still leads to what was opened by it. */
static bool leads_there(const struct mqw_tail_pieces *p)
{
	struct stat st;

	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].fd >= 0 &&
			(stat(p->items[i].path, &st) < 0 || st.st_dev != p->items[i].dev ||
				st.st_ino != p->items[i].ino))
			return false;
	return true;
}

static int open_pieces(const char *live, struct names *names, const struct mqw_tail_position *p,
	struct mqw_tail_pieces *ret)
{
	struct mqw_fileset files = {0};
	int r = mqw_fileset_build(names->items, names->count, &files);

	for (size_t i = 0; r == 0 && i < files.set_count; i++) {
		const struct mqw_log_set *set = &files.sets[i];

		if (strcmp(set->files[set->count - 1].path, live) == 0) {
			r = open_set(set, live, p, ret);
			break;
		}
	}
	mqw_fileset_done(&files);
	return r;
}

/*
 * *ret_stable: no rotation came in between. One between listing and opening leaves the names in
 * place and brings a new one, which would not be missed.
 */
static int find(const char *live, const struct mqw_tail_position *p, struct mqw_tail_pieces *ret,
	bool *ret_stable)
{
	struct names names = {0}, again = {0};
	int r = list(live, &names);

	if (r == 0)
		r = open_pieces(live, &names, p, ret);
	if (r >= 0 && list(live, &again) == 0)
		*ret_stable = same_names(&names, &again) && leads_there(ret);
	names_done(&names);
	names_done(&again);
	return r;
}

int mqw_tail_pieces_find(
	const char *live, const struct mqw_tail_position *p, struct mqw_tail_pieces *ret)
{
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		bool stable = false;

		*ret = (struct mqw_tail_pieces){0};
		r = find(live, p, ret, &stable);
		if (r >= 0 && (stable || i + 1 == TRIES))
			return r;
		mqw_tail_pieces_done(ret);
		if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
			return r;
	}
	/* The folder is gone, or cannot be listed: there is nothing to be found in it. */
	return 0;
}

bool mqw_tail_pieces_between(const char *live, const struct mqw_tail_position *p)
{
	struct mqw_tail_pieces found;
	struct stat st;
	bool any = false;

	if (mqw_tail_pieces_find(live, p, &found) <= 0) {
		mqw_tail_pieces_done(&found);
		return false;
	}
	for (size_t i = 1; i < found.count; i++)
		if (strcmp(found.items[i].path, live) != 0)
			any = any || found.items[i].fd < 0 ||
				(fstat(found.items[i].fd, &st) == 0 && st.st_size > 0);
	mqw_tail_pieces_done(&found);
	return any;
}

void mqw_tail_pieces_done(struct mqw_tail_pieces *p)
{
	for (size_t i = 0; i < p->count; i++)
		drop(&p->items[i]);
	free(p->items);
	*p = (struct mqw_tail_pieces){0};
}
