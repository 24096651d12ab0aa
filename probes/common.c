/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/common.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#define RECIPIENTS_MAX 1000000

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Nearly always the first of them. */
static bool is_one_of(char c, struct mqw_slice chars)
{
	size_t i = 0;

	while (i < chars.len && chars.ptr[i] != c)
		i++;
	return i < chars.len;
}

int mqw_reply_code(struct mqw_slice s, struct mqw_slice ends)
{
	if (s.len < 3 || s.ptr[0] < '2' || s.ptr[0] > '5' || !is_digit(s.ptr[1]) ||
		!is_digit(s.ptr[2]) || (s.len > 3 && !is_one_of(s.ptr[3], ends)))
		return 0;
	return (s.ptr[0] - '0') * 100 + (s.ptr[1] - '0') * 10 + (s.ptr[2] - '0');
}

static size_t digits_at(struct mqw_slice s, size_t at)
{
	size_t n = 0;

	while (at + n < s.len && is_digit(s.ptr[at + n]))
		n++;
	return n;
}

struct mqw_slice mqw_reply_status(struct mqw_slice reply)
{
	struct mqw_slice s = mqw_slice_from(reply, 4);
	size_t subject, detail;

	/* "d.d.d", as nearly all are. */
	if (s.len > 5 && s.ptr[1] == '.' && s.ptr[3] == '.' && is_digit(s.ptr[0]) &&
		is_digit(s.ptr[2]) && is_digit(s.ptr[4]) && !is_digit(s.ptr[5]))
		return mqw_slice_head(s, 5);
	subject = digits_at(s, 2);
	if (digits_at(s, 0) != 1 || subject == 0 || subject > 3 || s.ptr[1] != '.' ||
		3 + subject > s.len || s.ptr[2 + subject] != '.')
		return MQW_SLICE_NULL;
	detail = digits_at(s, 3 + subject);
	return detail && detail <= 3 ? mqw_slice_head(s, 3 + subject + detail) : MQW_SLICE_NULL;
}

bool mqw_take_path(struct mqw_slice *s, struct mqw_slice *ret)
{
	bool quoted = false;

	if (s->len < 2 || s->ptr[0] != '<')
		return false;
	/* Only a local part is quoted, and it begins the address (RFC 5321 4.1.2). */
	if (s->ptr[1] != '"') {
		size_t end = mqw_slice_chr(*s, '>');

		if (end == s->len)
			return false;
		*ret = mqw_slice(s->ptr + 1, end - 1);
		*s = mqw_slice_from(*s, end + 1);
		return true;
	}
	for (size_t i = 1; i < s->len; i++) {
		char c = s->ptr[i];

		if (quoted && c == '\\') {
			i++;
		} else if (c == '"') {
			quoted = !quoted && i == 1;
		} else if (c == '>' && !quoted) {
			*ret = mqw_slice(s->ptr + 1, i - 1);
			*s = mqw_slice_from(*s, i + 1);
			return true;
		}
	}
	return false;
}

bool mqw_is_next_hop(const char *const *next_hops, size_t next_hop_count, struct mqw_slice name,
	struct mqw_slice ip)
{
	for (size_t i = 0; i < next_hop_count; i++) {
		struct mqw_slice hop = mqw_slice_of(next_hops[i]);

		if (mqw_slice_eq_nocase(hop, name) || mqw_slice_eq(hop, ip))
			return true;
	}
	return false;
}

static const char *uid_of(struct mqw_known_user *u)
{
	const struct passwd *pw;

	if (!u->uid[0]) {
		pw = getpwnam(u->name);
		snprintf(u->uid, sizeof(u->uid), "%ld", pw ? (long)pw->pw_uid : -1L);
	}
	return u->uid;
}

bool mqw_known_user_exists(struct mqw_known_user *u)
{
	return uid_of(u)[0] != '-';
}

bool mqw_known_user_is(struct mqw_known_user *u, struct mqw_slice uid)
{
	return mqw_slice_eq(uid, mqw_slice_of(uid_of(u)));
}

/* Room is doubled from 8 on, so that the count tells when it is used up. */
static bool make_room(struct mqw_queue_file *f)
{
	size_t n = f->recipient_count;
	void *p;

	if (n && (n < 8 || (n & (n - 1))))
		return true;
	p = realloc(f->recipients, (n ? n * 2 : 8) * sizeof(*f->recipients));
	if (p)
		f->recipients = p;
	return p != NULL;
}

int mqw_queue_file_add(struct mqw_queue_file *f, struct mqw_slice address, bool done, size_t offset)
{
	char *copy;

	if (f->recipient_count == RECIPIENTS_MAX)
		return -EBADMSG;
	if (!make_room(f))
		return -ENOMEM;
	copy = mqw_slice_dup(address);
	if (!copy)
		return -ENOMEM;
	f->recipients[f->recipient_count].address = copy;
	f->recipients[f->recipient_count].done = done;
	f->recipients[f->recipient_count++].offset = offset;
	return 0;
}

void mqw_remedy_of_any(enum mqw_verdict v, struct mqw_buffer *ret)
{
	if (v == MQW_VERDICT_LOST_DOWNSTREAM)
		mqw_buffer_add_str(ret,
			"Look into the content filter or second instance that accepted it, and its "
			"own queue and log.");
	else if (v == MQW_VERDICT_UNKNOWN)
		mqw_buffer_add_str(ret,
			"Run again with --queue on the mail host, or give the missing log files.");
}
