/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/share_frame.h"

#include <errno.h>
#include <sys/socket.h>

/* What a kind has to have. */
static const struct {
	bool file; /* a file's number */
	size_t least, most; /* bytes of payload */
} forms[MQW_SHARE_KIND_END] = {
	[MQW_SHARE_FILE] = {true, 1, MQW_SHARE_NAME_MAX},
	[MQW_SHARE_LINES] = {true, 1, MQW_SHARE_PAYLOAD_MAX},
	[MQW_SHARE_CUT] = {true, 1, MQW_LINE_MAX},
	[MQW_SHARE_SKIP] = {true, 0, 0},
	[MQW_SHARE_HEAD] = {true, 1, MQW_SHARE_PAYLOAD_MAX},
	[MQW_SHARE_FORGET] = {true, 0, 0},
	[MQW_SHARE_GAP] = {false, 1, 512},
	[MQW_SHARE_PASS] = {false, 0, 0},
	[MQW_SHARE_ALIVE] = {false, 0, 0},
	[MQW_SHARE_SAY] = {false, 1, 512},
	[MQW_SHARE_FAIL] = {false, 1, 512},
};

/* A name is one line of a position, and shown to people. */
static bool is_name(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '/')
			return false;
	return true;
}

static bool has_form(const struct mqw_share_frame *f, struct mqw_slice payload)
{
	const struct mqw_share_place *p = &f->place;

	if (f->kind == MQW_SHARE_FILE)
		return is_name(payload) && p->print.len <= MQW_TAIL_PRINT_MAX;
	if (f->kind == MQW_SHARE_LINES || f->kind == MQW_SHARE_HEAD)
		return payload.ptr[payload.len - 1] == '\n';
	return true;
}

int mqw_share_frame_check(const struct mqw_share_frame *f, struct mqw_slice payload, size_t n)
{
	const struct mqw_share_place *p = &f->place;

	if (n < sizeof(*f) || f->magic != MQW_SHARE_MAGIC || f->kind == 0 ||
		f->kind >= MQW_SHARE_KIND_END || f->length != n - sizeof(*f) ||
		f->length != payload.len || payload.len < forms[f->kind].least ||
		payload.len > forms[f->kind].most)
		return -EBADMSG;
	if (forms[f->kind].file ? f->number >= MQW_SHARE_FILES_MAX : f->number != 0)
		return -EBADMSG;
	/* So that no sum with a payload goes over. */
	if (p->offset > INT64_MAX / 2 || p->line > INT64_MAX / 2 || p->written < 0 ||
		f->skip > INT64_MAX / 2 || p->skipping > 1)
		return -EBADMSG;
	return has_form(f, payload) ? 0 : -EBADMSG;
}

int mqw_share_frame_send(int fd, struct mqw_share_frame *f, struct mqw_slice payload)
{
	struct iovec parts[] = {{f, sizeof(*f)}, {(void *)(uintptr_t)payload.ptr, payload.len}};
	const struct msghdr m = {.msg_iov = parts, .msg_iovlen = payload.len ? 2 : 1};
	ssize_t n;

	f->magic = MQW_SHARE_MAGIC;
	f->length = (uint32_t)payload.len;
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int mqw_share_frame_receive(
	int fd, int flags, struct mqw_share_frame *f, char *buf, struct mqw_slice *ret_payload)
{
	struct iovec parts[] = {{f, sizeof(*f)}, {buf, MQW_SHARE_PAYLOAD_MAX}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	do
		n = recvmsg(fd, &m, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	if ((size_t)n < sizeof(*f) || (m.msg_flags & MSG_TRUNC))
		return -EBADMSG;
	*ret_payload = mqw_slice(buf, (size_t)n - sizeof(*f));
	return mqw_share_frame_check(f, *ret_payload, (size_t)n) < 0 ? -EBADMSG : 1;
}

void mqw_share_place_add(struct mqw_buffer *b, struct mqw_slice name,
	const struct mqw_share_place *place, int64_t known)
{
	const struct mqw_tail_position p = {.born = place->written,
		.offset = place->offset,
		.line = place->line,
		.numbered = true,
		.skipping = place->skipping,
		.print = place->print,
		.time = known < 0 ? 0 : known,
		.path = name};

	mqw_tail_position_add(b, &p);
}

bool mqw_share_place_take(struct mqw_slice *text, struct mqw_slice *ret_name,
	struct mqw_share_place *ret, int64_t *ret_known)
{
	struct mqw_tail_position p;

	if (!mqw_tail_position_take(text, &p))
		return false;
	*ret = (struct mqw_share_place){.offset = p.offset,
		.line = p.line,
		.written = p.born,
		.print = p.print,
		.skipping = p.skipping};
	*ret_name = p.path;
	*ret_known = p.time;
	return true;
}
