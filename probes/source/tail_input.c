/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* SEEK_DATA */
#include "probes/source/tail_input.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/source/stream.h"

#define LOOK_THROUGH ((uint64_t)64 << 20) /* bytes of zeros in one go */

void mqw_tail_input_close(struct mqw_tail_input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	mqw_stream_close(in->stream);
	*in = (struct mqw_tail_input){.fd = -1};
}

static void know_head(struct mqw_tail_input *in, const char *bytes, size_t len)
{
	struct mqw_slice head = mqw_slice_head(mqw_slice(bytes, len), sizeof(in->head));

	head = mqw_slice_head(head, mqw_slice_chr(head, '\0'));
	in->head_len = (uint32_t)head.len;
	if (head.len)
		memcpy(in->head, head.ptr, head.len);
	in->print = mqw_tail_print_of(head);
}

void mqw_tail_input_live(struct mqw_tail_input *in, int fd, const struct mqw_tail_print *print)
{
	char head[MQW_TAIL_PRINT_MAX];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	mqw_tail_input_close(in);
	in->fd = fd;
	know_head(in, head, n > 0 ? (size_t)n : 0);
	if (print && print->len > in->head_len) {
		in->head_len = 0;
		in->print = *print;
	}
}

int mqw_tail_input_piece(
	struct mqw_tail_input *in, int fd, uint64_t skip, const struct mqw_tail_print *print)
{
	struct mqw_tail_print own = {0};
	int r;

	mqw_tail_input_close(in);
	if (print)
		own = *print;
	else if (mqw_tail_print_fd(fd, MQW_TAIL_PRINT_MAX, &own) < 0)
		own = (struct mqw_tail_print){0};
	r = mqw_stream_open_fd(fd, &in->stream);
	in->print = own;
	in->to_skip = skip;
	return r;
}

static enum mqw_tail_fill fail(struct mqw_tail_input *in, int error)
{
	in->error = error;
	return MQW_TAIL_FILL_ERROR;
}

static enum mqw_tail_fill fill_from_stream(
	struct mqw_tail_input *in, struct mqw_lines *l, char *to, size_t room, uint64_t *ret_len)
{
	bool skip = in->to_skip > 0;
	ssize_t n =
		mqw_stream_read(in->stream, to, skip && in->to_skip < room ? in->to_skip : room);

	if (n <= 0)
		return n < 0 ? fail(in, (int)n) : MQW_TAIL_FILL_END;
	*ret_len = (uint64_t)n;
	if (skip) {
		in->to_skip -= (uint64_t)n;
		return MQW_TAIL_FILL_BYTES;
	}
	in->had_zeros = in->had_zeros || memchr(to, '\0', (size_t)n);
	mqw_lines_filled(l, (size_t)n);
	return MQW_TAIL_FILL_BYTES;
}

/* Whether the file begins as it did. It may have begun to be known by more of it. */
static bool is_same(struct mqw_tail_input *in)
{
	char head[MQW_TAIL_PRINT_MAX];
	ssize_t n = pread(in->fd, head, sizeof(head), 0);
	uint32_t len = n > 0 ? (uint32_t)n : 0;
	struct mqw_tail_print print;

	if (len && in->head_len == 0 && in->print.len) {
		print = mqw_tail_print_of(mqw_slice_head(mqw_slice(head, len), in->print.len));
		if (print.len != in->print.len || print.hash != in->print.hash)
			return false;
		know_head(in, head, len);
	}
	if (memcmp(head, in->head, len < in->head_len ? len : in->head_len) != 0)
		return false;
	/* Of fewer bytes than it had nobody can tell, but of none: it may just have been emptied. */
	if (len < in->head_len)
		return len == 0;
	if (len > in->head_len && in->head_len < sizeof(in->head))
		know_head(in, head, len);
	return true;
}

/* In this order: bytes that were read before the file was seen to be the same are its own. */
static enum mqw_tail_fill fill_from_file(
	struct mqw_tail_input *in, struct mqw_lines *l, char *to, size_t room, uint64_t *ret_len)
{
	uint64_t at = l->offset + mqw_lines_pending(l);
	ssize_t n = pread(in->fd, to, room, (off_t)at);
	struct mqw_slice got;
	struct stat st;

	if (n < 0)
		return fail(in, -errno);
	got = mqw_slice(to, (size_t)n);
	if (at == 0 && in->print.len == 0)
		know_head(in, got.ptr, got.len);
	if (!is_same(in))
		return MQW_TAIL_FILL_REWRITTEN;
	if (n == 0) {
		if (fstat(in->fd, &st) < 0)
			return fail(in, -errno);
		return (uint64_t)st.st_size < at || st.st_size < (off_t)in->print.len
			? MQW_TAIL_FILL_SHORT
			: MQW_TAIL_FILL_END;
	}
	*ret_len = got.len;
	got = mqw_slice_head(got, mqw_slice_chr(got, '\0'));
	if (got.len == 0)
		return MQW_TAIL_FILL_ZEROS;
	in->zeros_to = 0;
	mqw_lines_filled(l, got.len);
	return MQW_TAIL_FILL_BYTES;
}

enum mqw_tail_fill mqw_tail_input_fill(
	struct mqw_tail_input *in, struct mqw_lines *l, uint64_t *ret_len)
{
	size_t room;
	char *to = mqw_lines_room(l, &room);

	*ret_len = 0;
	return in->stream ? fill_from_stream(in, l, to, room, ret_len)
			  : fill_from_file(in, l, to, room, ret_len);
}

/* The first byte that is not zero, or n. */
static size_t first_byte(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] == '\0')
		i++;
	return i;
}

int64_t mqw_tail_input_behind_zeros(struct mqw_tail_input *in, const struct mqw_lines *l)
{
	uint64_t at = l->offset + mqw_lines_pending(l), end;
	char block[16384];

	if (in->zeros_to > at)
		at = in->zeros_to;
	for (end = at + LOOK_THROUGH; at < end;) {
		/* What was never written is jumped over; a file system without that shows zeros. */
		off_t data = lseek(in->fd, (off_t)at, SEEK_DATA);
		ssize_t n;

		if (data > (off_t)at)
			at = (uint64_t)data;
		n = pread(in->fd, block, sizeof(block), (off_t)at);
		if (n <= 0 || (data < 0 && errno == ENXIO))
			return n < 0 ? -errno : -ENODATA;
		if (first_byte(block, (size_t)n) < (size_t)n)
			return (int64_t)(at + first_byte(block, (size_t)n));
		at += (uint64_t)n;
		in->zeros_to = at;
	}
	return -EAGAIN;
}
