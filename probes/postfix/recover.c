/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts a copy of a queue file back the way that `postsuper -r` does: into maildrop, owned by the
 * mail owner. pickup(8) then hands it to cleanup(8) as a new message (pickup/pickup.c:368 of
 * Postfix 3.7): new id, orig_id= in the log, no milters, one more Received: header.
 */
#include "probes/postfix/control_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/base/beneath.h"

#define FILE_MAX ((off_t)1 << 30)
#define CHUNK 16384
#define MODE_READY 0700 /* global/mail_queue.h:48: only then does anyone look at it */
/* Directories of long ids are searched, 16 a level; nobody has reason to go deeper. */
#define SEARCH_DEPTH_MAX 4
#define PICKUP_LOOKS 60
#define PICKUP_PAUSE_MS 50

struct wanted {
	uid_t uid;
	gid_t gid;
	size_t max_record;
};

static int find_owner(struct mqw_slice name, struct wanted *ret)
{
	char *user = mqw_slice_dup(name), buffer[8192];
	struct passwd pw, *found = NULL;
	int r = user ? -getpwnam_r(user, &pw, buffer, sizeof(buffer), &found) : -ENOMEM;

	free(user);
	if (r < 0)
		return r;
	/* pickup(8) trusts what root has put there less than what the mail owner has: never root. */
	if (!found || found->pw_uid == 0)
		return -ENOENT;
	ret->uid = found->pw_uid;
	ret->gid = found->pw_gid;
	return 0;
}

static int ask_wanted(const struct mqw_control *c, struct wanted *ret, char *ret_text, size_t size)
{
	static const char *const arguments[] = {"-hx", "mail_owner", "line_length_limit", NULL};
	struct mqw_slice text, owner, limit;
	struct mqw_process p;
	uint64_t n = 0;
	int r = mqw_postfix_command(c, "postconf", arguments, &p, ret_text, size);

	if (r == 0) {
		text = mqw_buffer_slice(&p.out);
		if (!mqw_slice_take_until(&text, '\n', &owner) ||
			!mqw_slice_take_until(&text, '\n', &limit) ||
			!mqw_slice_take_u64(&limit, &n) || n == 0)
			r = mqw_control_fail(-EBADMSG, ret_text, size, "postconf's answer");
	}
	if (r == 0) {
		ret->max_record = (size_t)n;
		r = find_owner(owner, ret);
		if (r < 0)
			mqw_control_fail(r, ret_text, size, "Postfix's mail_owner");
	}
	mqw_process_done(&p);
	return r;
}

/* Whether a name is there: 1, 0 or a negative errno. */
static int has(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

/*
 * Whether the id is in this directory or in one that a letter of hashing leads to: the id's own
 * letters for short ids; for long ones any hex digit (global/mail_queue.c:189).
 */
static int search(int dir, const char *queue_id, bool is_long, size_t depth)
{
	static const char digits[] = "0123456789ABCDEF";
	int r = has(dir, queue_id);

	if (r != 0 || !queue_id[depth] || (is_long && depth == SEARCH_DEPTH_MAX))
		return r;
	for (size_t i = 0; r == 0 && digits[i]; i++) {
		char name[2] = {is_long ? digits[i] : queue_id[depth], '\0'};
		int sub = mqw_open_beneath(dir, name, O_RDONLY | O_DIRECTORY);

		if (sub >= 0) {
			r = search(sub, queue_id, is_long, depth + 1);
			close(sub);
		} else if (sub != -ENOENT && sub != -ENOTDIR && sub != -ELOOP) {
			r = sub;
		}
		if (!is_long)
			break;
	}
	return r;
}

/* A message on its way from one directory to the next is missed by one look, not by two. */
static int search_queue(int root, const char *queue_id)
{
	static const char *const directories[] = {"incoming", "active", "deferred", "hold"};
	bool is_long = strchr(queue_id, 'z') != NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < 8; i++) {
		int dir = mqw_open_beneath(root, directories[i % 4], O_RDONLY | O_DIRECTORY);

		if (dir < 0)
			return dir;
		r = search(dir, queue_id, is_long, 0);
		close(dir);
	}
	return r;
}

static int copy(int from, int to)
{
	char chunk[CHUNK];
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(from, chunk, sizeof(chunk), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		at += n;
		if (at > FILE_MAX)
			return -EFBIG;
		for (char *p = chunk; n > 0;) {
			ssize_t done = write(to, p, (size_t)n);

			if (done < 0 && errno == EINTR)
				continue;
			if (done < 0)
				return -errno;
			p += done;
			n -= done;
		}
	}
}

/* Of our own copy, which no one but root can shorten under the mapping. */
static int check(int fd, size_t max_record)
{
	struct stat st;
	void *map;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -EBADMSG;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	r = mqw_postfix_check_file(mqw_slice(map, (size_t)st.st_size), max_record);
	munmap(map, (size_t)st.st_size);
	return r == 0 ? -ENODATA : r;
}

static int make_ready(int fd, const struct wanted *w)
{
	if (fchown(fd, w->uid, w->gid) < 0 || fchmod(fd, MODE_READY) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/*
 * A name with a dot is no id: until it has its own, Postfix leaves the file alone, and `postsuper -p`
 * removes it in the end.
 */
static int put(int maildrop, const char *queue_id, int file_fd, const struct wanted *w,
	char *ret_text, size_t size)
{
	char name[MQW_TEMPORARY_SIZE];
	int fd = mqw_control_create_temporary(maildrop, name), r;

	if (fd < 0)
		return mqw_control_fail(fd, ret_text, size, "a file in maildrop");
	r = copy(file_fd, fd);
	if (r < 0)
		mqw_control_fail(r, ret_text, size, "the copy into maildrop");
	else if ((r = check(fd, w->max_record)) < 0)
		mqw_control_fail(r, ret_text, size,
			r == -ENODATA ? "every recipient in the queue file is done"
				      : "the queue file is not sound");
	else if ((r = make_ready(fd, w)) < 0 ||
		(r = mqw_control_rename_new(maildrop, name, queue_id)) < 0)
		mqw_control_fail(r, ret_text, size, "the file in maildrop");
	else
		/* Its failure is not told: the file is in place, and must not be put there again. */
		fsync(maildrop);
	close(fd);
	if (r < 0)
		unlinkat(maildrop, name, 0);
	return r == -EEXIST ? 1 : r < 0 ? r : 0;
}

/*
 * Wakes pickup(8) and waits for it a little. Not by `postqueue -f`, which would also send every
 * deferred message on its way. If it does not come, master(8) wakes it within a minute.
 */
static void wake_pickup(const struct mqw_control *c, int maildrop, const char *queue_id)
{
	static const char *const arguments[] = {"public", "pickup", "W", NULL};
	struct timespec pause = {0, PICKUP_PAUSE_MS * 1000000L};
	struct mqw_process p;
	char text[256];
	int r = mqw_postfix_command(c, "postkick", arguments, &p, text, sizeof(text));

	mqw_process_done(&p);
	for (int i = 0; r == 0 && i < PICKUP_LOOKS && has(maildrop, queue_id) == 1; i++)
		nanosleep(&pause, NULL);
}

static int recover_into(const struct mqw_control *c, int root, int maildrop, const char *queue_id,
	int file_fd, char *ret_text, size_t size)
{
	struct wanted w;
	int r = has(maildrop, queue_id);

	if (r > 0)
		return 1;
	if (r == 0)
		r = search_queue(root, queue_id);
	if (r > 0) {
		snprintf(ret_text, size, "%s is in the queue: it was not lost", queue_id);
		return -EBUSY;
	}
	if (r < 0)
		return mqw_control_fail(r, ret_text, size, "a look through the queue");
	/*
	 * A start would run postsuper(1), which gives files the id that their inode asks for
	 * (conf/postfix-script:224); then the log would never name the id that we gave.
	 */
	r = mqw_postfix_healthy(c, ret_text, size);
	if (r == -ESRCH)
		return -EAGAIN;
	if (r == 0)
		r = ask_wanted(c, &w, ret_text, size);
	if (r == 0)
		r = put(maildrop, queue_id, file_fd, &w, ret_text, size);
	if (r == 0)
		wake_pickup(c, maildrop, queue_id);
	return r;
}

int mqw_postfix_recover(
	const struct mqw_control *c, const char *queue_id, int file_fd, char *ret_text, size_t size)
{
	int root, maildrop, r;

	if (!mqw_postfix_valid_id(mqw_slice_of(queue_id)))
		return mqw_control_fail(-EINVAL, ret_text, size, "the queue id");
	if (!c->queue_directory || c->queue_directory[0] != '/')
		return mqw_control_fail(-EINVAL, ret_text, size, "the queue directory");
	root = open(c->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return mqw_control_fail(-errno, ret_text, size, "the queue directory");
	maildrop = mqw_open_beneath(root, "maildrop", O_RDONLY | O_DIRECTORY);
	if (maildrop < 0)
		r = mqw_control_fail(maildrop, ret_text, size, "maildrop");
	else
		r = recover_into(c, root, maildrop, queue_id, file_fd, ret_text, size);
	if (maildrop >= 0)
		close(maildrop);
	close(root);
	return r;
}
