/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* statx */
#include "probes/source/tail_position.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "probes/source/stream.h"
#include "watchdogd/base/clock.h"

#define FORM 3 /* of the text; 1 had no time of birth, and up to 2 none told of a cut */

struct mqw_tail_print mqw_tail_print_of(struct mqw_slice head)
{
	head = mqw_slice_head(head, MQW_TAIL_PRINT_MAX);
	head = mqw_slice_head(head, mqw_slice_chr(head, '\0'));
	/* XXH3's output is fixed since xxHash 0.8.0, so it may be stored. */
	return (struct mqw_tail_print){
		.len = (uint32_t)head.len, .hash = head.len ? XXH3_64bits(head.ptr, head.len) : 0};
}

int64_t mqw_tail_born(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BTIME, &stx) < 0 ||
		!(stx.stx_mask & STATX_BTIME) || stx.stx_btime.tv_sec < 0)
		return 0;
	return stx.stx_btime.tv_sec * MQW_SECOND + stx.stx_btime.tv_nsec / 1000;
}

void mqw_tail_position_add(struct mqw_buffer *b, const struct mqw_tail_position *p)
{
	mqw_buffer_printf(b,
		"%d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %" PRIu32
		" %" PRIu64 " %" PRIu64 " %d ",
		FORM, p->dev, p->ino, (uint64_t)p->born, p->offset, p->line, p->numbered,
		p->skipping, p->print.len, p->print.hash, (uint64_t)p->time, p->cut);
	mqw_buffer_add(b, p->path);
	mqw_buffer_add(b, MQW_LIT("\n"));
}

/* One number and the blank behind it, of max at most. */
static bool take(struct mqw_slice *s, uint64_t max, uint64_t *ret)
{
	return mqw_slice_take_u64(s, ret) && mqw_slice_skip(s, MQW_LIT(" ")) && *ret <= max;
}

static bool parse(struct mqw_slice line, struct mqw_tail_position *ret)
{
	uint64_t form, dev, ino, born = 0, offset, number, numbered, skipping, len, hash, time,
				 cut = 0;

	if (!take(&line, FORM, &form) || form == 0 || !take(&line, UINT64_MAX, &dev) ||
		!take(&line, UINT64_MAX, &ino) || (form > 1 && !take(&line, INT64_MAX, &born)) ||
		!take(&line, INT64_MAX, &offset) || !take(&line, UINT64_MAX, &number) ||
		!take(&line, 1, &numbered) || !take(&line, 1, &skipping) ||
		!take(&line, MQW_TAIL_PRINT_MAX, &len) || !take(&line, UINT64_MAX, &hash) ||
		!take(&line, INT64_MAX, &time) || (form > 2 && !take(&line, 1, &cut)) ||
		line.len == 0)
		return false;
	*ret = (struct mqw_tail_position){.dev = dev,
		.ino = ino,
		.born = (int64_t)born,
		.offset = offset,
		.line = number,
		.numbered = numbered,
		.skipping = skipping,
		.cut = cut,
		.print = {.len = (uint32_t)len, .hash = hash},
		.time = (int64_t)time,
		.path = line};
	return true;
}

bool mqw_tail_position_take(struct mqw_slice *text, struct mqw_tail_position *ret)
{
	struct mqw_slice line;

	while (mqw_slice_take_until(text, '\n', &line))
		if (parse(line, ret))
			return true;
	return false;
}

int mqw_tail_print_fd(int fd, uint32_t max, struct mqw_tail_print *ret)
{
	char head[MQW_TAIL_PRINT_MAX];
	struct mqw_stream *s;
	size_t len = 0;
	ssize_t n = 1;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

	if (copy < 0)
		return -errno;
	r = mqw_stream_open_fd(copy, &s);
	if (r < 0)
		return r;
	while (len < max && n > 0) {
		n = mqw_stream_read(s, head + len, max - len);
		len += n > 0 ? (size_t)n : 0;
	}
	mqw_stream_close(s);
	*ret = mqw_tail_print_of(mqw_slice(head, len));
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

struct mqw_tail_position mqw_tail_position_at_end(int fd)
{
	struct mqw_tail_position p = {0};
	struct stat st = {0};
	char last = '\n';

	(void)fstat(fd, &st);
	p.offset = (uint64_t)st.st_size;
	p.numbered = st.st_size == 0;
	/* Where that cannot be told, half a line is worse than none. */
	p.skipping = st.st_size && (pread(fd, &last, 1, st.st_size - 1) != 1 || last != '\n');
	return p;
}
