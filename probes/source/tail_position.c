/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/tail_position.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "probes/source/stream.h"

struct mqw_tail_print mqw_tail_print_of(struct mqw_slice head)
{
	head = mqw_slice_head(head, MQW_TAIL_PRINT_MAX);
	/* XXH3's output is fixed since xxHash 0.8.0, so it may be stored. */
	return (struct mqw_tail_print){
		.len = (uint32_t)head.len, .hash = head.len ? XXH3_64bits(head.ptr, head.len) : 0};
}

void mqw_tail_position_add(struct mqw_buffer *b, const struct mqw_tail_position *p)
{
	mqw_buffer_printf(b,
		"1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %" PRIu32 " %" PRIu64
		" %" PRIu64 " ",
		p->dev, p->ino, p->offset, p->line, p->numbered, p->skipping, p->print.len,
		p->print.hash, (uint64_t)p->time);
	mqw_buffer_add(b, p->path);
	mqw_buffer_add(b, MQW_LIT("\n"));
}

static bool parse(struct mqw_slice line, struct mqw_tail_position *ret)
{
	uint64_t v[10];

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		if (!mqw_slice_take_u64(&line, &v[i]) || !mqw_slice_skip(&line, MQW_LIT(" ")))
			return false;
	if (v[0] != 1 || v[5] > 1 || v[6] > 1 || v[7] > MQW_TAIL_PRINT_MAX || v[3] > INT64_MAX ||
		line.len == 0)
		return false;
	*ret = (struct mqw_tail_position){.dev = v[1],
		.ino = v[2],
		.offset = v[3],
		.line = v[4],
		.numbered = v[5],
		.skipping = v[6],
		.print = {.len = (uint32_t)v[7], .hash = v[8]},
		.time = (int64_t)v[9],
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
