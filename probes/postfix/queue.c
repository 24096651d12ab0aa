/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue directory and the queue file of Postfix. A queue file is a row of records: a type
 * byte, a length in 7-bit portions with the lowest first, data (global/record.c:190 of Postfix
 * 3.7). It has three parts: the envelope up to M, the content up to X, what was extracted from the
 * content up to E. Programs that edit a file in place (cleanup(8) for milters) leave pointer
 * records behind that lead to the end of the file and back (global/rec_type.h:155).
 */
#include "probes/postfix/postfix.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "probes/common.h"

#define HASH_DEPTH_MAX 16 /* hash_queue_depth: postconf(5) allows 1 to 16 */
#define HEADER_MAX 65536 /* bytes of content that are searched for a Message-ID */
#define MESSAGE_ID_MAX 998 /* a line's length, RFC 5322 section 2.1.1 */

/* In the order in which a message goes through them. */
const char *const mqw_postfix_queue_directories[] = {
	"maildrop", "incoming", "active", "deferred", "hold", "corrupt", NULL};

/* What each of them says of its messages, in the same order. */
static const enum mqw_place places[] = {MQW_PLACE_ARRIVING, MQW_PLACE_ARRIVING, MQW_PLACE_ACTIVE,
	MQW_PLACE_WAITING, MQW_PLACE_HELD, MQW_PLACE_DAMAGED};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The alphabet of long ids: digits and letters without vowels, so that no id is a word. */
static bool is_safe(char c)
{
	bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

	return is_digit(c) || (letter && !memchr("AEIOUaeiou", c, 10));
}

static bool is_short_id(struct mqw_slice id)
{
	/* Five digits of microseconds, then an inode number of 64 bits at most. */
	if (id.len < 6 || id.len > 5 + 16)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!is_digit(id.ptr[i]) && !(id.ptr[i] >= 'A' && id.ptr[i] <= 'F'))
			return false;
	return true;
}

static bool is_long_id(struct mqw_slice id)
{
	size_t z = id.len;

	/* The inode number has base 51, without z: the last z parts it from the time. */
	while (z && id.ptr[z - 1] != 'z')
		z--;
	/* Six digits of seconds or more and four of microseconds; 64 bits are 12 digits. */
	if (z < 6 + 4 + 1 || z > 12 + 4 + 1 || id.len == z || id.len - z > 12)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!is_safe(id.ptr[i]))
			return false;
	return true;
}

bool mqw_postfix_valid_id(struct mqw_slice id)
{
	return is_short_id(id) || is_long_id(id);
}

bool mqw_postfix_queue_name(struct mqw_slice relative_path, struct mqw_queue_name *ret)
{
	struct mqw_slice part, rest = relative_path;
	size_t i = 0, depth = 0;

	if (!mqw_slice_take_until(&rest, '/', &part))
		return false;
	while (!mqw_slice_eq(part, mqw_slice_of(mqw_postfix_queue_directories[i])))
		if (!mqw_postfix_queue_directories[++i])
			return false;
	/* One letter a level. Which one cannot be foreseen: for long ids it is none of the id. */
	while (mqw_slice_take_until(&rest, '/', &part))
		if (part.len != 1 || ++depth > HASH_DEPTH_MAX)
			return false;
	/* Files that are being written are called USEC.PID: no id (global/mail_queue.c:400). */
	if (!mqw_postfix_valid_id(rest))
		return false;
	*ret = (struct mqw_queue_name){rest, places[i]};
	return true;
}

/* Part of a queue file, and the types that may stand in it (global/rec_type.h:93). */
enum part { ENVELOPE, CONTENT, EXTRACTED };

#define TYPES_ENVELOPE "MCTcFILSDRO/WVA>K<ion"
#define TYPES_CONTENT "XLN"
#define TYPES_EXTRACTED "EDRO/PreAFIL>Kon"

/* qmgr(8) takes the types of either envelope in both; pickup(8) does not. */
static const char *const types_loose[] = {
	TYPES_ENVELOPE TYPES_EXTRACTED, TYPES_CONTENT, TYPES_ENVELOPE TYPES_EXTRACTED};
static const char *const types_strict[] = {TYPES_ENVELOPE, TYPES_CONTENT, TYPES_EXTRACTED};

struct record {
	char type;
	size_t at; /* offset of the type byte */
	struct mqw_slice data;
};

struct walk {
	struct mqw_slice file;
	const char *const *types;
	size_t at;
	/*
	 * Each record is read once in a sound file, wherever pointers lead. Bytes read beyond the
	 * file's length mean a loop, and the work is bounded by that length.
	 */
	size_t read;
	size_t max_record; /* longest record that is sound; 0: no limit but the file */
	enum part part;
	bool all; /* give out the content's records too, do not jump over them */
	uint64_t content_size, content_offset; /* 0: not said, content has to be read */
};

static struct walk walk_start(struct mqw_slice file, const char *const *types, bool all)
{
	return (struct walk){.file = file, .types = types, .all = all};
}

static int record_read(struct walk *w, struct record *ret)
{
	size_t at = w->at;
	uint64_t len = 0;
	unsigned char byte;
	unsigned shift = 0;

	if (at >= w->file.len)
		return -EBADMSG;
	ret->at = at;
	ret->type = w->file.ptr[at++];
	do {
		/* As many portions as Postfix reads: those that begin within an int. */
		if (at >= w->file.len || shift >= CHAR_BIT * sizeof(int))
			return -EBADMSG;
		byte = (unsigned char)w->file.ptr[at++];
		len |= (uint64_t)(byte & 0x7fu) << shift;
		shift += 7;
	} while (byte & 0x80u);
	if (len > INT_MAX || len > w->file.len - at || (w->max_record && len > w->max_record))
		return -EBADMSG;
	ret->data = mqw_slice(w->file.ptr + at, (size_t)len);
	w->at = at + (size_t)len;
	w->read += w->at - ret->at;
	return w->read > w->file.len ? -EBADMSG : 0;
}

/* Takes a number as the fields of C and p records have it: blanks, then digits. */
static bool take_number(struct mqw_slice *s, uint64_t *ret)
{
	while (s->len && s->ptr[0] == ' ')
		*s = mqw_slice_from(*s, 1);
	return mqw_slice_take_u64(s, ret);
}

static int pointer_follow(struct walk *w, struct mqw_slice data)
{
	uint64_t target;

	if (!take_number(&data, &target) || data.len)
		return -EBADMSG;
	if (target == 0)
		return 0; /* a place kept free for a later edit */
	if (target >= w->file.len)
		return -EBADMSG;
	w->at = (size_t)target;
	return 0;
}

static int size_take(struct walk *w, struct mqw_slice data)
{
	uint64_t size, offset;

	if (w->content_offset || !take_number(&data, &size) || !take_number(&data, &offset))
		return 0; /* Postfix before 1.0 wrote no offset */
	if (size == 0 || offset == 0 || offset > w->file.len || size > w->file.len - offset)
		return -EBADMSG;
	w->content_size = size;
	w->content_offset = offset;
	return 0;
}

/* 1 and the next record, 0 at the end record, -EBADMSG. */
static int walk_next(struct walk *w, struct record *ret)
{
	for (;;) {
		int r;

		/* Behind M, and where the content ends is known: that is not worth reading. */
		if (w->part == CONTENT && !w->all && w->at == w->content_offset)
			w->at += (size_t)w->content_size;
		r = record_read(w, ret);
		if (r < 0)
			return r;
		if (ret->type == 'p') {
			r = pointer_follow(w, ret->data);
			if (r < 0)
				return r;
			continue;
		}
		if (ret->type == 'w') /* padding */
			continue;
		if (ret->type == '\0' || !strchr(w->types[w->part], ret->type))
			return -EBADMSG;
		if (ret->type == 'E')
			return w->part == EXTRACTED ? 0 : -EBADMSG;
		if (ret->type == 'M') {
			if (w->part != ENVELOPE)
				return -EBADMSG;
			w->part = CONTENT;
		} else if (ret->type == 'X') {
			w->part = EXTRACTED;
		} else if (ret->type == 'C') {
			r = size_take(w, ret->data);
			if (r < 0)
				return r;
		} else if (w->part == CONTENT && !w->all) {
			continue;
		}
		return 1;
	}
}

/* Postfix keeps the data as a C string: it sees nothing of what is behind a NUL. */
static struct mqw_slice as_string(struct mqw_slice data)
{
	return mqw_slice_head(data, mqw_slice_chr(data, '\0'));
}

static bool take_seconds(struct mqw_slice *s, int64_t *ret)
{
	uint64_t n;

	if (!take_number(s, &n) || n > (uint64_t)(INT64_MAX / MQW_SECOND) - 1)
		return false;
	*ret = (int64_t)n * MQW_SECOND;
	return true;
}

/* "sec usec"; the microseconds came with Postfix 2.2. */
static int64_t parse_time(struct mqw_slice s)
{
	int64_t t;
	uint64_t us;

	if (!take_seconds(&s, &t))
		return MQW_TIME_NONE;
	if (take_number(&s, &us) && us < 1000000)
		t += (int64_t)us;
	return t;
}

/* One header field, unfolded, without its line ends. */
static int take_message_id(struct mqw_slice field, char **ret)
{
	size_t open;

	if (!mqw_slice_eq_nocase(mqw_slice_head(field, 11), MQW_LIT("Message-ID:")))
		return 0;
	field = mqw_slice_trim(as_string(mqw_slice_from(field, 11)));
	open = mqw_slice_chr(field, '<');
	if (open < field.len) {
		field = mqw_slice_from(field, open + 1);
		field = mqw_slice_head(field, mqw_slice_chr(field, '>'));
	}
	if (field.len == 0)
		return 0;
	*ret = mqw_slice_dup(mqw_slice_head(field, MESSAGE_ID_MAX));
	return *ret ? 1 : -ENOMEM;
}

/*
 * Looks through the header for a Message-ID. w stands behind M and is a copy of the walk; a fault
 * in here is left for the walk itself to find. 0 or -ENOMEM.
 */
static int find_message_id(struct walk w, char **ret)
{
	struct mqw_buffer field = {0};
	struct record rec;
	bool begun = false; /* the record before was an L: its line goes on */
	size_t seen = 0;
	int r = 0;

	w.all = true;
	while (seen < HEADER_MAX && walk_next(&w, &rec) > 0 && w.part == CONTENT) {
		bool folded = rec.data.len && (rec.data.ptr[0] == ' ' || rec.data.ptr[0] == '\t');

		if (!begun && !folded) {
			r = take_message_id(mqw_buffer_slice(&field), ret);
			mqw_buffer_clear(&field);
			if (r != 0 || rec.data.len == 0)
				break;
		}
		if (field.len < 2 * MESSAGE_ID_MAX)
			mqw_buffer_add(&field, rec.data);
		begun = rec.type == 'L';
		seen += rec.data.len + 1;
	}
	if (r == 0 && field.len)
		r = take_message_id(mqw_buffer_slice(&field), ret);
	if (field.failed)
		r = -ENOMEM;
	mqw_buffer_done(&field);
	return r < 0 ? r : 0;
}

static int take_attribute(struct mqw_slice data, struct mqw_queue_file *ret)
{
	struct mqw_slice name;

	data = as_string(data);
	if (!mqw_slice_take_until(&data, '=', &name))
		return -EBADMSG;
	if (mqw_slice_eq(mqw_slice_trim(name), MQW_LIT("create_time")) &&
		ret->created_at == MQW_TIME_NONE)
		ret->created_at = parse_time(data);
	return 0;
}

static int take_record(const struct walk *w, const struct record *r, struct mqw_queue_file *ret)
{
	switch (r->type) {
	case 'T':
		if (ret->arrived_at == MQW_TIME_NONE)
			ret->arrived_at = parse_time(as_string(r->data));
		return 0;
	case 'c':
		if (ret->created_at == MQW_TIME_NONE)
			ret->created_at = parse_time(as_string(r->data));
		return 0;
	case 'A':
		return take_attribute(r->data, ret);
	case 'S':
		if (!ret->sender)
			ret->sender = mqw_slice_dup(as_string(r->data));
		return ret->sender ? 0 : -ENOMEM;
	case 'R':
	case 'D':
		return mqw_queue_file_add(ret, as_string(r->data), r->type == 'D', r->at);
	case 'M':
		return ret->message_id ? 0 : find_message_id(*w, &ret->message_id);
	default:
		return 0;
	}
}

int mqw_postfix_queue_file(struct mqw_slice content, struct mqw_queue_file *ret)
{
	struct walk w = walk_start(content, types_loose, false);
	struct record rec;
	int r;

	*ret = (struct mqw_queue_file){.arrived_at = MQW_TIME_NONE, .created_at = MQW_TIME_NONE};
	while ((r = walk_next(&w, &rec)) > 0) {
		r = take_record(&w, &rec, ret);
		if (r < 0)
			break;
	}
	if (r == 0 && !ret->sender)
		r = -EBADMSG;
	if (r < 0)
		mqw_queue_file_done(ret);
	return r;
}

/* Compares a local part with one that a log shows, in quotes with backslashes perhaps. */
static bool local_eq(struct mqw_slice local, struct mqw_slice shown)
{
	size_t at = 0;

	if (mqw_slice_eq(local, shown))
		return true;
	if (shown.len < 2 || shown.ptr[0] != '"' || shown.ptr[shown.len - 1] != '"')
		return false;
	shown = mqw_slice(shown.ptr + 1, shown.len - 2);
	for (size_t i = 0; i < shown.len; i++) {
		if (shown.ptr[i] == '\\' && i + 1 < shown.len)
			i++;
		if (at == local.len || local.ptr[at++] != shown.ptr[i])
			return false;
	}
	return at == local.len;
}

/* Since Postfix 3.5 logs show addresses quoted as RFC 5321 has it; the file has them without. */
static bool address_eq(struct mqw_slice address, struct mqw_slice shown)
{
	size_t a = address.len, b = shown.len;

	while (a && address.ptr[a - 1] != '@')
		a--;
	while (b && shown.ptr[b - 1] != '@')
		b--;
	if (!a || !b) /* a bare user name */
		return !a && !b && local_eq(address, shown);
	return mqw_slice_eq_nocase(mqw_slice_from(address, a), mqw_slice_from(shown, b)) &&
		local_eq(mqw_slice_head(address, a - 1), mqw_slice_head(shown, b - 1));
}

int mqw_postfix_keep_recipients(
	char *content, size_t len, const struct mqw_slice *keep, size_t keep_count)
{
	struct walk w = walk_start(mqw_slice(content, len), types_loose, false);
	struct record rec;
	int r, left = 0;

	while ((r = walk_next(&w, &rec)) > 0) {
		size_t i = 0;

		if (rec.type != 'R')
			continue;
		while (i < keep_count && !address_eq(as_string(rec.data), keep[i]))
			i++;
		if (i < keep_count)
			left++;
		else
			content[rec.at] = 'D';
	}
	return r < 0 ? r : left;
}

int mqw_postfix_check_file(struct mqw_slice content, size_t max_record)
{
	struct walk w = walk_start(content, types_strict, true);
	bool sender = false;
	struct record rec;
	int r, left = 0;

	w.max_record = max_record;
	while ((r = walk_next(&w, &rec)) > 0) {
		struct mqw_slice data = as_string(rec.data);

		/* pickup(8) wants the sender before the content; cleanup(8) wants sound attributes. */
		if (rec.type == 'S')
			sender = true;
		if ((rec.type == 'M' && !sender) ||
			(rec.type == 'A' && mqw_slice_chr(data, '=') == data.len))
			return -EBADMSG;
		left += rec.type == 'R';
	}
	return r < 0 ? r : left;
}

int mqw_postfix_mail(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret)
{
	struct walk w = walk_start(count ? files[0] : MQW_SLICE_NULL, types_loose, true);
	struct record rec;
	int r;

	/* An L is the beginning of a line that is longer than a record. */
	while ((r = walk_next(&w, &rec)) > 0) {
		if (w.part != CONTENT || (rec.type != 'N' && rec.type != 'L'))
			continue;
		mqw_buffer_add(ret, rec.data);
		if (rec.type == 'N')
			mqw_buffer_add(ret, MQW_LIT("\n"));
	}
	return r < 0 ? r : ret->failed ? -ENOMEM : 0;
}
