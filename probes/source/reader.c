/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/decompress.h"
#include "watchdogd/base/clock.h"

#define BUFFER_SIZE ((size_t)256 << 10)

struct mqw_reader {
	int fd;
	bool is_stdin;
	bool begun; /* the compression is known */
	bool fd_end; /* read(2) said 0 */
	bool text_end; /* nothing more comes into text */
	bool skipping; /* in the rest of a line that was cut */
	int fault; /* -errno to say once text is used up */
	uint64_t number, consumed, size;
	int64_t mtime;
	size_t at, len; /* unread text is text[at, len) */
	size_t searched; /* so many bytes from at hold no LF */
	char *text;
	char *raw; /* compressed bytes; NULL while the file is plain */
	struct mqw_slice raw_rest; /* what of them is not yet decompressed */
	struct mqw_decompress *decompress;
	char error[128];
};

static int inspect(struct mqw_reader *r)
{
	struct stat st;

	if (fstat(r->fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return 0;
	r->size = (uint64_t)st.st_size;
	if (!r->is_stdin)
		r->mtime = (int64_t)st.st_mtim.tv_sec * MQW_SECOND + st.st_mtim.tv_nsec / 1000;
	/* Advice only: a file system without read-ahead is no fault. */
	(void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

int mqw_reader_open(const char *path, struct mqw_reader **ret)
{
	struct mqw_reader *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->mtime = MQW_TIME_NONE;
	r->is_stdin = strcmp(path, "-") == 0;
	r->fd = r->is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	e = r->fd < 0 ? -errno : inspect(r);
	if (e == 0) {
		r->text = malloc(BUFFER_SIZE);
		if (!r->text)
			e = -ENOMEM;
	}
	if (e < 0) {
		mqw_reader_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

struct mqw_reader *mqw_reader_close(struct mqw_reader *r)
{
	if (!r)
		return NULL;
	if (r->fd >= 0 && !r->is_stdin)
		close(r->fd);
	mqw_decompress_free(r->decompress);
	free(r->raw);
	free(r->text);
	free(r);
	return NULL;
}

static void fault_set(struct mqw_reader *r, int e)
{
	const char *what = mqw_compression_name(MQW_COMPRESSION_NONE);

	if (r->decompress)
		what = mqw_decompress_name(r->decompress);
	r->fault = e;
	r->text_end = true;
	switch (e) {
	case -EBADMSG:
		snprintf(r->error, sizeof(r->error), "the %s data are damaged", what);
		break;
	case -ENODATA:
		snprintf(r->error, sizeof(r->error), "the %s data end early", what);
		break;
	case -E2BIG:
		snprintf(r->error, sizeof(r->error), "the %s data ask for too much memory", what);
		break;
	default:
		snprintf(r->error, sizeof(r->error), "cannot be read: %s", strerror(-e));
	}
}

/* read(2), waiting where standard input is non-blocking. Number of bytes, 0 end, -errno. */
static ssize_t fd_read(struct mqw_reader *r, char *to, size_t room)
{
	for (;;) {
		ssize_t n = read(r->fd, to, room);

		if (n >= 0) {
			r->consumed += (uint64_t)n;
			r->fd_end = n == 0;
			return n;
		}
		if (errno == EAGAIN) {
			struct pollfd p = {.fd = r->fd, .events = POLLIN};

			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

/* Reads the first bytes and decides whether they are text or have to be decompressed first. */
static int begin(struct mqw_reader *r)
{
	enum mqw_compression c;
	int e;

	while (!r->fd_end && r->len < MQW_COMPRESSION_MAGIC) {
		ssize_t n = fd_read(r, r->text + r->len, BUFFER_SIZE - r->len);

		if (n < 0)
			return (int)n;
		r->len += (size_t)n;
	}
	r->begun = true;
	c = mqw_compression_of(mqw_slice(r->text, r->len));
	if (c == MQW_COMPRESSION_NONE)
		return 0;
	e = mqw_decompress_create(c, &r->decompress);
	if (e < 0)
		return e;
	r->raw = malloc(BUFFER_SIZE);
	if (!r->raw)
		return -ENOMEM;
	memcpy(r->raw, r->text, r->len);
	r->raw_rest = mqw_slice(r->raw, r->len);
	r->len = 0;
	return 0;
}

/* More text from compressed bytes; all that is there before an error counts. */
static int fill_decompressed(struct mqw_reader *r)
{
	size_t got = 0;
	int e = 0;

	while (e == 0 && got == 0) {
		if (r->raw_rest.len == 0 && !r->fd_end) {
			ssize_t n = fd_read(r, r->raw, BUFFER_SIZE);

			if (n < 0)
				return (int)n;
			r->raw_rest = mqw_slice(r->raw, (size_t)n);
		}
		e = mqw_decompress_run(r->decompress, &r->raw_rest, r->fd_end, r->text + r->len,
			BUFFER_SIZE - r->len, &got);
		r->len += got;
		if (e == 0 && got == 0 && r->raw_rest.len == 0 && r->fd_end) {
			r->text_end = true;
			break;
		}
	}
	return e;
}

/* Makes room behind the unread text and puts more there, or sets text_end. */
static void fill(struct mqw_reader *r)
{
	ssize_t n;
	int e = 0;

	memmove(r->text, r->text + r->at, r->len - r->at);
	r->len -= r->at;
	r->at = 0;
	if (!r->begun) {
		e = begin(r);
	} else if (r->decompress) {
		e = fill_decompressed(r);
	} else {
		n = fd_read(r, r->text + r->len, BUFFER_SIZE - r->len);
		e = n < 0 ? (int)n : 0;
		r->len += n > 0 ? (size_t)n : 0;
		r->text_end = r->fd_end;
	}
	if (e < 0)
		fault_set(r, e);
}

static int yield(struct mqw_reader *r, struct mqw_slice text, struct mqw_raw_line *ret)
{
	ret->number = ++r->number;
	ret->cut = text.len > MQW_READER_LINE_MAX;
	ret->text = mqw_slice_head(text, MQW_READER_LINE_MAX);
	ret->unterminated = false;
	return 1;
}

/* What is left when nothing more comes and no LF is there. */
static int last(struct mqw_reader *r, struct mqw_raw_line *ret)
{
	struct mqw_slice text = mqw_slice(r->text + r->at, r->len - r->at);

	r->at = r->len;
	r->searched = 0;
	if (r->fault)
		return r->fault;
	if (text.len == 0 || r->skipping)
		return 0;
	yield(r, text, ret);
	ret->unterminated = true;
	return 1;
}

int mqw_reader_next(struct mqw_reader *r, struct mqw_raw_line *ret)
{
	for (;;) {
		struct mqw_slice rest = mqw_slice(r->text + r->at, r->len - r->at);
		size_t end = r->searched + mqw_slice_chr(mqw_slice_from(rest, r->searched), '\n');

		if (end < rest.len) {
			r->at += end + 1;
			r->searched = 0;
			if (r->skipping) {
				r->skipping = false;
				continue;
			}
			if (end > 0 && rest.ptr[end - 1] == '\r')
				end--;
			return yield(r, mqw_slice_head(rest, end), ret);
		}
		r->searched = rest.len;
		if (r->skipping) {
			r->at = r->len;
			r->searched = 0;
		} else if (rest.len > MQW_READER_LINE_MAX + 1) {
			/* One more than the most: the byte behind might have been the CR. */
			r->at = r->len;
			r->searched = 0;
			r->skipping = true;
			return yield(r, rest, ret);
		}
		if (r->text_end)
			return last(r, ret);
		fill(r);
	}
}

const char *mqw_reader_error(const struct mqw_reader *r)
{
	return r->error;
}

uint64_t mqw_reader_consumed(const struct mqw_reader *r)
{
	return r->consumed;
}

uint64_t mqw_reader_size(const struct mqw_reader *r)
{
	return r->size;
}

int64_t mqw_reader_mtime(const struct mqw_reader *r)
{
	return r->mtime;
}
