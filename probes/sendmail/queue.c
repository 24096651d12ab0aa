/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue directories and the qf file of Sendmail. A message is two files: dfID holds its body,
 * qfID its envelope and header, a line for each thing with its first letter for a name, and "." at
 * the end (queueup, queue.c of Sendmail 8.17.1). A quarantined message has hfID for qfID, one that
 * Sendmail does not trust any more QfID. Recipients that are done are no longer in it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/common.h"
#include "probes/sendmail/log_internal.h"
#include "probes/sendmail/queue_internal.h"

#define MESSAGE_ID_MAX 998 /* a line's length, RFC 5322 section 2.1.1 */
#define DIRECTORIES_MAX 3 /* a wildcard's or a group's, perhaps two, and qf/ */
#define PIECES_MAX 16 /* lines that belong to one recipient; Sendmail writes three at most */

/* Files are in the directory itself, or in those that its wildcard names, or in qf/ below. */
const char *const mqw_sendmail_queue_directories[] = {"", NULL};

const struct mqw_queue_file_form mqw_sendmail_queue_file_forms[] = {
	{"qf", ""}, {"hf", ""}, {"Qf", ""}, {NULL, NULL}};

static const struct {
	const char *prefix;
	enum mqw_place place;
} kinds[] = {
	{"qf", MQW_PLACE_QUEUED},
	{"hf", MQW_PLACE_HELD},
	{"Qf", MQW_PLACE_DAMAGED},
};

bool mqw_sendmail_queue_name(struct mqw_slice relative_path, struct mqw_queue_name *ret)
{
	struct mqw_slice part, rest = relative_path;
	size_t depth = 0;

	while (mqw_slice_take_until(&rest, '/', &part))
		if (part.len == 0 || part.ptr[0] == '.' || ++depth > DIRECTORIES_MAX)
			return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		part = rest;
		if (mqw_slice_skip(&part, mqw_slice_of(kinds[i].prefix)) &&
			mqw_sendmail_valid_id(part)) {
			*ret = (struct mqw_queue_name){part, kinds[i].place};
			return true;
		}
	}
	return false;
}

bool mqw_sendmail_companion(struct mqw_slice path, size_t n, char *ret, size_t size)
{
	struct mqw_slice directory = path, name = path, part;
	const char *below = n ? "df/" : "";

	if (n > 1)
		return false;
	while (mqw_slice_take_until(&name, '/', &part))
		;
	directory.len -= name.len;
	/* "q1/qf/qfID" has "q1/df/dfID" beside it, or "q1/dfID". */
	if (mqw_slice_eq(directory, MQW_LIT("qf/")) || mqw_slice_ends(directory, MQW_LIT("/qf/"))) {
		directory.len -= sizeof("qf/") - 1;
		below = n ? "" : "df/";
	}
	return snprintf(ret, size, "%.*s%sdf%.*s", (int)directory.len,
		       directory.ptr ? directory.ptr : "", below, (int)name.len - 2,
		       name.ptr + 2) < (int)size;
}

int mqw_sendmail_qf_next(struct mqw_slice *rest, struct mqw_sendmail_qf_line *ret)
{
	struct mqw_slice begin = *rest, line;

	if (!rest->len)
		return 0;
	if (!mqw_slice_take_until(rest, '\n', &line) || !line.len ||
		mqw_slice_chr(line, '\0') < line.len)
		return -EBADMSG;
	ret->type = line.ptr[0];
	ret->text = mqw_slice_from(line, 1);
	while (rest->len && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t'))
		if (!mqw_slice_take_until(rest, '\n', &line) ||
			mqw_slice_chr(line, '\0') < line.len)
			return -EBADMSG;
	ret->whole = mqw_slice_head(begin, begin.len - rest->len);
	return 1;
}

static int64_t parse_seconds(struct mqw_slice s)
{
	uint64_t n;

	if (!mqw_slice_take_u64(&s, &n) || s.len || n > (uint64_t)(INT64_MAX / MQW_SECOND) - 1)
		return MQW_TIME_NONE;
	return (int64_t)n * MQW_SECOND;
}

/* The recipient of an R line: "PFD:<a@b>", and before version 3 "<a@b>" alone. */
static bool recipient_of(struct mqw_slice text, struct mqw_slice *ret)
{
	size_t flags = 0;

	while (flags < text.len && text.ptr[flags] >= 'A' && text.ptr[flags] <= 'Z')
		flags++;
	if (flags < text.len && text.ptr[flags] == ':')
		text = mqw_slice_from(text, flags + 1);
	return mqw_sendmail_take_address(&text, ret) && ret->len > 0;
}

static int add_recipient(struct mqw_queue_file *f, struct mqw_slice text, size_t offset)
{
	struct mqw_slice address;

	return recipient_of(text, &address) ? mqw_queue_file_add(f, address, false, offset)
					    : -EBADMSG;
}

static int take_sender(struct mqw_slice text, char **ret)
{
	struct mqw_slice address;

	if (*ret || !mqw_sendmail_take_address(&text, &address))
		return -EBADMSG;
	*ret = mqw_slice_dup(address);
	return *ret ? 0 : -ENOMEM;
}

/* An H line: "?flags?Name: value", where flags may be none. 0 or -ENOMEM. */
static int take_header(const struct mqw_sendmail_qf_line *line, char **ret)
{
	struct mqw_slice s = mqw_slice_from(line->whole, 1), flags;
	size_t open;

	if (mqw_slice_skip(&s, MQW_LIT("?")))
		mqw_slice_take_until(&s, '?', &flags);
	if (*ret || !mqw_slice_eq_nocase(mqw_slice_head(s, 11), MQW_LIT("Message-ID:")))
		return 0;
	open = mqw_slice_chr(s, '<');
	if (open == s.len)
		return 0;
	s = mqw_slice_from(s, open + 1);
	s = mqw_slice_head(s, mqw_slice_chr(s, '>'));
	s = mqw_slice_head(s, mqw_slice_chr(s, '\n'));
	if (s.len == 0)
		return 0;
	*ret = mqw_slice_dup(mqw_slice_head(s, MESSAGE_ID_MAX));
	return *ret ? 0 : -ENOMEM;
}

static int take_line(
	const struct mqw_sendmail_qf_line *line, size_t offset, struct mqw_queue_file *ret)
{
	switch (line->type) {
	case 'T':
		/* Timeout.queuereturn counts from here. */
		ret->arrived_at = ret->created_at = parse_seconds(line->text);
		return 0;
	case 'S':
		return take_sender(line->text, &ret->sender);
	case 'R':
		return add_recipient(ret, line->text, offset);
	case 'H':
		return take_header(line, &ret->message_id);
	default:
		return 0;
	}
}

static bool is_end(const struct mqw_sendmail_qf_line *line)
{
	return mqw_slice_eq(line->whole, MQW_LIT(".\n"));
}

int mqw_sendmail_queue_file(struct mqw_slice content, struct mqw_queue_file *ret)
{
	struct mqw_slice rest = content;
	struct mqw_sendmail_qf_line line = {0};
	bool ended = false;
	int r;

	*ret = (struct mqw_queue_file){.arrived_at = MQW_TIME_NONE, .created_at = MQW_TIME_NONE};
	if (!mqw_slice_starts(content, MQW_LIT("V")))
		return -EBADMSG;
	while ((r = mqw_sendmail_qf_next(&rest, &line)) > 0) {
		/* It is being written, or somebody added to it. */
		if (ended) {
			r = -EBADMSG;
			break;
		}
		ended = is_end(&line);
		r = take_line(&line, (size_t)(line.whole.ptr - content.ptr), ret);
		if (r < 0)
			break;
	}
	if (r == 0 && (!ended || !ret->sender))
		r = -EBADMSG;
	if (r < 0)
		mqw_queue_file_done(ret);
	return r;
}

/* The domain is compared without case, the local part exactly. */
static bool address_eq(struct mqw_slice a, struct mqw_slice b)
{
	size_t at = a.len;

	while (at && a.ptr[at - 1] != '@')
		at--;
	return a.len == b.len && mqw_slice_eq(mqw_slice_head(a, at), mqw_slice_head(b, at)) &&
		mqw_slice_eq_nocase(mqw_slice_from(a, at), mqw_slice_from(b, at));
}

static bool is_kept(struct mqw_slice text, const struct mqw_slice *keep, size_t keep_count)
{
	struct mqw_slice address;

	if (!recipient_of(text, &address))
		return false;
	for (size_t i = 0; i < keep_count; i++)
		if (address_eq(address, keep[i]))
			return true;
	return false;
}

/*
 * The lines of one recipient before its R: M what it was told last, Q and r its addresses for
 * reports. C, the controlling user, counts for all that follow until the next C, and stays.
 */
struct pieces {
	struct {
		size_t at, len;
	} list[PIECES_MAX];
	size_t count;
};

static void take_out(struct mqw_buffer *b, const struct pieces *p)
{
	for (size_t i = p->count; i-- > 0;) {
		size_t end = p->list[i].at + p->list[i].len;

		memmove(b->ptr + p->list[i].at, b->ptr + end, b->len - end);
		b->len -= p->list[i].len;
	}
}

static int filter(const struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count,
	struct mqw_buffer *ret)
{
	struct mqw_slice rest = mqw_slice(file->ptr, file->len);
	struct mqw_sendmail_qf_line line = {0};
	struct pieces pieces = {0};
	bool sender = false, ended = false;
	int r, left = 0;

	while ((r = mqw_sendmail_qf_next(&rest, &line)) > 0) {
		ended = is_end(&line);
		if (line.type == 'S')
			sender = true;
		if (sender && memchr("MQrR", line.type, 4)) {
			if (pieces.count == PIECES_MAX)
				return -EBADMSG;
			pieces.list[pieces.count].at = ret->len;
			pieces.list[pieces.count++].len = line.whole.len;
		}
		mqw_buffer_add(ret, line.whole);
		if (line.type != 'R')
			continue;
		if (is_kept(line.text, keep, keep_count))
			left++;
		else if (!ret->failed)
			take_out(ret, &pieces);
		pieces.count = 0;
	}
	if (r == 0 && ret->failed)
		r = -ENOMEM;
	return r < 0 ? r : sender && ended ? left : -EBADMSG;
}

int mqw_sendmail_keep_recipients(
	struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count)
{
	struct mqw_buffer kept = {0};
	int r = filter(file, keep, keep_count, &kept);

	if (r < 0) {
		mqw_buffer_done(&kept);
		return r;
	}
	mqw_buffer_done(file);
	*file = kept;
	return r;
}
