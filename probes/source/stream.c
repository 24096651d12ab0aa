/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/decompress.h"
#include "watchdogd/base/clock.h"

#define RAW_SIZE ((size_t)256 << 10)

struct mqw_stream {
	int fd;
	bool is_stdin;
	bool begun; /* the compression is known */
	bool fd_end; /* read(2) said 0 */
	int fault; /* -errno, stays */
	uint64_t consumed, size;
	int64_t mtime;
	char head[MQW_COMPRESSION_MAGIC]; /* what was read to recognise the compression */
	struct mqw_slice head_rest; /* what of it is plain and not given yet */
	char *raw; /* compressed bytes; NULL while the file is plain */
	struct mqw_slice raw_rest; /* what of them is not decompressed yet */
	struct mqw_decompress *decompress;
	char error[128];
};

static int inspect(struct mqw_stream *s)
{
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return 0;
	s->size = (uint64_t)st.st_size;
	if (!s->is_stdin)
		s->mtime = (int64_t)st.st_mtim.tv_sec * MQW_SECOND + st.st_mtim.tv_nsec / 1000;
	/* Advice only: a file system without read-ahead is no fault. */
	(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

static int open_fd(int fd, bool is_stdin, struct mqw_stream **ret)
{
	struct mqw_stream *s = calloc(1, sizeof(*s));
	int e;

	if (!s) {
		if (!is_stdin)
			close(fd);
		return -ENOMEM;
	}
	s->mtime = MQW_TIME_NONE;
	s->is_stdin = is_stdin;
	s->fd = fd;
	e = inspect(s);
	if (e < 0) {
		mqw_stream_close(s);
		return e;
	}
	*ret = s;
	return 0;
}

int mqw_stream_open_fd(int fd, struct mqw_stream **ret)
{
	return open_fd(fd, false, ret);
}

int mqw_stream_open(const char *path, struct mqw_stream **ret)
{
	int fd;

	if (strcmp(path, "-") == 0)
		return open_fd(STDIN_FILENO, true, ret);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : open_fd(fd, false, ret);
}

struct mqw_stream *mqw_stream_close(struct mqw_stream *s)
{
	if (!s)
		return NULL;
	if (!s->is_stdin)
		close(s->fd);
	mqw_decompress_free(s->decompress);
	free(s->raw);
	free(s);
	return NULL;
}

static int fault_set(struct mqw_stream *s, int e)
{
	const char *what = s->decompress ? mqw_decompress_name(s->decompress) : "";

	s->fault = e;
	switch (e) {
	case -EBADMSG:
		snprintf(s->error, sizeof(s->error), "the %s data are damaged", what);
		break;
	case -ENODATA:
		snprintf(s->error, sizeof(s->error), "the %s data end early", what);
		break;
	case -E2BIG:
		snprintf(s->error, sizeof(s->error), "the %s data ask for too much memory", what);
		break;
	default:
		snprintf(s->error, sizeof(s->error), "cannot be read: %s", strerror(-e));
	}
	return e;
}

/* read(2), waiting where standard input is non-blocking. Number of bytes, 0 end, -errno. */
static ssize_t fd_read(struct mqw_stream *s, char *to, size_t room)
{
	for (;;) {
		ssize_t n = read(s->fd, to, room);

		if (n >= 0) {
			s->consumed += (uint64_t)n;
			s->fd_end = n == 0;
			return n;
		}
		if (errno == EAGAIN) {
			struct pollfd p = {.fd = s->fd, .events = POLLIN};

			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

/* Reads the first bytes and decides whether they are text or have to be decompressed first. */
static int begin(struct mqw_stream *s)
{
	enum mqw_compression c;
	size_t len = 0;
	int e;

	while (!s->fd_end && len < sizeof(s->head)) {
		ssize_t n = fd_read(s, s->head + len, sizeof(s->head) - len);

		if (n < 0)
			return (int)n;
		len += (size_t)n;
	}
	s->begun = true;
	c = mqw_compression_of(mqw_slice(s->head, len));
	if (c == MQW_COMPRESSION_NONE) {
		s->head_rest = mqw_slice(s->head, len);
		return 0;
	}
	s->raw_rest = mqw_slice(s->head, len);
	e = mqw_decompress_create(c, &s->decompress);
	if (e < 0)
		return e;
	s->raw = malloc(RAW_SIZE);
	return s->raw ? 0 : -ENOMEM;
}

/* All plain bytes that there are before an error come first, then the error. */
static ssize_t read_decompressed(struct mqw_stream *s, char *buf, size_t len)
{
	size_t got = 0;
	int e = 0;

	while (e == 0 && got == 0) {
		if (s->raw_rest.len == 0 && !s->fd_end) {
			ssize_t n = fd_read(s, s->raw, RAW_SIZE);

			if (n < 0)
				return fault_set(s, (int)n);
			s->raw_rest = mqw_slice(s->raw, (size_t)n);
		}
		e = mqw_decompress_run(s->decompress, &s->raw_rest, s->fd_end, buf, len, &got);
		if (e == 0 && got == 0 && s->raw_rest.len == 0 && s->fd_end)
			break;
	}
	if (e < 0)
		fault_set(s, e);
	return got || e == 0 ? (ssize_t)got : e;
}

bool mqw_stream_is_compressed(struct mqw_stream *s)
{
	int e = s->begun || s->fault ? 0 : begin(s);

	if (e < 0)
		fault_set(s, e);
	return s->decompress != NULL;
}

ssize_t mqw_stream_read(struct mqw_stream *s, char *buf, size_t len)
{
	ssize_t n;
	int e = 0;

	if (s->fault)
		return s->fault;
	if (!s->begun)
		e = begin(s);
	if (e < 0)
		return fault_set(s, e);
	if (s->decompress)
		return read_decompressed(s, buf, len);
	if (s->head_rest.len) {
		struct mqw_slice head = mqw_slice_head(s->head_rest, len);

		memcpy(buf, head.ptr, head.len);
		s->head_rest = mqw_slice_from(s->head_rest, head.len);
		return (ssize_t)head.len;
	}
	n = s->fd_end ? 0 : fd_read(s, buf, len);
	return n < 0 ? fault_set(s, (int)n) : n;
}

const char *mqw_stream_error(const struct mqw_stream *s)
{
	return s->error;
}

uint64_t mqw_stream_consumed(const struct mqw_stream *s)
{
	return s->consumed;
}

uint64_t mqw_stream_size(const struct mqw_stream *s)
{
	return s->size;
}

int64_t mqw_stream_mtime(const struct mqw_stream *s)
{
	return s->mtime;
}
