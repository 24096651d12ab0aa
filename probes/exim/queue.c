/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exim's spool: input/ID-H with the envelope and the headers, input/ID-D with the body, or both in
 * input/C/ where C is the sixth character of the id (split_spool_directory); Exim looks in either.
 * The layout of ID-H (spool_in.c and spool_out.c of 4.96):
 *   ID-H
 *   LOGIN UID GID
 *   <SENDER>
 *   RECEIVED-AT WARNINGS-SENT           seconds, decimal
 *   -NAME VALUE                         any number; --NAME for tainted values
 *   XX, or a tree of those done         "YN ADDRESS": has a left child, has no right one
 *   COUNT, and as many recipients       done ones included
 *   (empty), and headers "NNNF text"    NNN bytes, flag F
 * While a delivery runs, ID-J has a line for each address that is delivered to. It is merged into the tree
 * and removed when the run ends; after a death it is there until the next run takes it into the tree,
 * which says no more of them in the log (deliver.c of 4.96).
 */
#include "probes/exim/queue_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RECIPIENTS_MAX 1000000
#define MESSAGE_ID_MAX 998
#define SPLIT_DIGIT 5

const char *const mqw_exim_queue_directories[] = {"input", "Finput", "*/input", "*/Finput", NULL};
const struct mqw_queue_file_form mqw_exim_queue_file_forms[] = {{"", "-H"}, {NULL, NULL}};

/* "input/" or "Finput/", perhaps in a directory of its own, off the front. */
static bool skip_queue(struct mqw_slice *s, enum mqw_place *ret)
{
	struct mqw_slice rest = *s, named;

	if (!mqw_slice_starts(rest, MQW_LIT("input/")) &&
		!mqw_slice_starts(rest, MQW_LIT("Finput/")) &&
		!(mqw_slice_take_until(&rest, '/', &named) && named.len))
		return false;
	*ret = mqw_slice_starts(rest, MQW_LIT("F")) ? MQW_PLACE_HELD : MQW_PLACE_QUEUED;
	mqw_slice_skip(&rest, MQW_LIT("F"));
	if (!mqw_slice_skip(&rest, MQW_LIT("input/")))
		return false;
	*s = rest;
	return true;
}

/* A file of a message, named by its id and this ending. */
static bool take_name(struct mqw_slice path, struct mqw_slice ending, struct mqw_queue_name *ret)
{
	struct mqw_slice s = path, split, id;
	enum mqw_place place;

	if (!skip_queue(&s, &place) || !mqw_slice_ends(s, ending))
		return false;
	if (!mqw_slice_take_until(&s, '/', &split))
		split = MQW_SLICE_NULL;
	id = mqw_slice_head(s, s.len - ending.len);
	if (!mqw_exim_valid_id(id) ||
		(split.ptr && (split.len != 1 || split.ptr[0] != id.ptr[SPLIT_DIGIT])))
		return false;
	*ret = (struct mqw_queue_name){id, place};
	return true;
}

bool mqw_exim_queue_name(struct mqw_slice relative_path, struct mqw_queue_name *ret)
{
	return take_name(relative_path, MQW_LIT("-H"), ret);
}

bool mqw_exim_journal_name(struct mqw_slice relative_path, struct mqw_slice *ret_id)
{
	struct mqw_queue_name name;

	if (!take_name(relative_path, MQW_LIT("-J"), &name))
		return false;
	*ret_id = name.queue_id;
	return true;
}

bool mqw_exim_companion(struct mqw_slice path, size_t n, char *ret, size_t size)
{
	if (n > MQW_EXIM_JOURNAL || path.len == 0 || path.len >= size)
		return false;
	memcpy(ret, path.ptr, path.len);
	ret[path.len - 1] = n == MQW_EXIM_JOURNAL ? 'J' : 'D';
	ret[path.len] = '\0';
	return true;
}

static bool take_line(struct mqw_slice *s, struct mqw_slice *ret)
{
	return mqw_slice_take_until(s, '\n', ret) && mqw_slice_chr(*ret, '\0') == ret->len;
}

/* "aclm NAME LENGTH": the value is of that many bytes and may hold line ends. */
static bool take_variable(struct mqw_slice *s, struct mqw_exim_option *o)
{
	struct mqw_slice number = o->value;
	uint64_t len;
	size_t blank = number.len;

	while (blank && number.ptr[blank - 1] != ' ')
		blank--;
	number = mqw_slice_from(number, blank);
	if (!mqw_slice_take_u64(&number, &len) || number.len || len >= s->len ||
		s->ptr[len] != '\n')
		return false;
	o->variable = mqw_slice_head(*s, (size_t)len);
	*s = mqw_slice_from(*s, (size_t)len + 1);
	return true;
}

bool mqw_exim_take_option(struct mqw_slice *s, struct mqw_exim_option *ret)
{
	struct mqw_slice rest = *s, line, lookup;
	size_t blank;

	*ret = (struct mqw_exim_option){0};
	if (!mqw_slice_starts(rest, MQW_LIT("-")) || !take_line(&rest, &line))
		return false;
	line = mqw_slice_from(line, 1);
	/* Tainted; since 4.96 with the lookup that it is quoted for. */
	if (mqw_slice_skip(&line, MQW_LIT("-")) && mqw_slice_skip(&line, MQW_LIT("(")) &&
		!mqw_slice_take_until(&line, ')', &lookup))
		return false;
	blank = mqw_slice_chr(line, ' ');
	ret->name = mqw_slice_head(line, blank);
	if (blank < line.len)
		ret->value = mqw_slice_from(line, blank + 1);
	if (mqw_slice_starts(ret->name, MQW_LIT("acl")) && !take_variable(&rest, ret))
		return false;
	*s = rest;
	return true;
}

static bool take_options(struct mqw_slice *s, struct mqw_exim_envelope *ret)
{
	struct mqw_exim_option o;

	ret->options = *s;
	while (mqw_exim_take_option(s, &o))
		if (mqw_slice_eq(o.name, MQW_LIT("frozen")) && o.value.ptr)
			ret->frozen = true;
	ret->options.len -= s->len;
	return !mqw_slice_starts(*s, MQW_LIT("-"));
}

/* The tree in the order of the file: each node before its left, then its right children. */
static bool take_tree(struct mqw_slice *s, struct mqw_exim_envelope *ret)
{
	struct mqw_slice line;
	size_t expected = 1;

	ret->tree = *s;
	if (mqw_slice_skip(s, MQW_LIT("XX\n"))) {
		ret->tree.len = 0;
		return true;
	}
	while (expected) {
		if (!take_line(s, &line) || line.len < 4 || line.ptr[2] != ' ' ||
			(line.ptr[0] != 'Y' && line.ptr[0] != 'N') ||
			(line.ptr[1] != 'Y' && line.ptr[1] != 'N') ||
			ret->done_count++ == RECIPIENTS_MAX)
			return false;
		expected += (size_t)(line.ptr[0] == 'Y') + (size_t)(line.ptr[1] == 'Y') - 1;
	}
	ret->tree.len -= s->len;
	return true;
}

static bool take_recipients(struct mqw_slice *s, struct mqw_exim_envelope *ret)
{
	struct mqw_slice line, number;
	uint64_t count;

	if (!take_line(s, &number) || !mqw_slice_take_u64(&number, &count) || number.len ||
		count == 0 || count > RECIPIENTS_MAX)
		return false;
	ret->recipients = *s;
	ret->recipient_count = (size_t)count;
	for (uint64_t i = 0; i < count; i++)
		if (!take_line(s, &line) || line.len == 0)
			return false;
	ret->recipients.len -= s->len;
	return mqw_slice_skip(s, MQW_LIT("\n"));
}

static bool take_header(struct mqw_slice *s, char *ret_flag, struct mqw_slice *ret)
{
	uint64_t len;

	if (!mqw_slice_take_u64(s, &len) || s->len < 2 || s->ptr[1] != ' ')
		return false;
	*ret_flag = s->ptr[0];
	*s = mqw_slice_from(*s, 2);
	if (len > s->len)
		return false;
	*ret = mqw_slice_head(*s, (size_t)len);
	*s = mqw_slice_from(*s, (size_t)len);
	return true;
}

static void note_message_id(struct mqw_slice header, struct mqw_exim_envelope *ret)
{
	size_t open;

	if (ret->message_id.len ||
		!mqw_slice_eq_nocase(mqw_slice_head(header, 11), MQW_LIT("Message-ID:")))
		return;
	header = mqw_slice_from(header, 11);
	open = mqw_slice_chr(header, '<');
	header = mqw_slice_from(header, open + 1);
	ret->message_id = mqw_slice_head(header, mqw_slice_chr(header, '>'));
	ret->message_id = mqw_slice_head(ret->message_id, MESSAGE_ID_MAX);
	if (mqw_slice_chr(ret->message_id, '\0') < ret->message_id.len)
		ret->message_id = MQW_SLICE_NULL;
}

static bool take_head(struct mqw_slice *s, struct mqw_exim_envelope *ret)
{
	struct mqw_slice line;
	uint64_t seconds;

	if (!take_line(s, &line) || !mqw_slice_ends(line, MQW_LIT("-H")))
		return false;
	ret->id = mqw_slice_head(line, line.len - 2);
	if (!mqw_exim_valid_id(ret->id) || !take_line(s, &ret->login) || !take_line(s, &line) ||
		line.len < 2 || line.ptr[0] != '<' || line.ptr[line.len - 1] != '>')
		return false;
	ret->sender = mqw_slice(line.ptr + 1, line.len - 2);
	if (!take_line(s, &line) || !mqw_slice_take_u64(&line, &seconds) ||
		seconds > (uint64_t)(INT64_MAX / MQW_SECOND))
		return false;
	ret->received_at = (int64_t)seconds * MQW_SECOND;
	return true;
}

int mqw_exim_read_envelope(struct mqw_slice content, struct mqw_exim_envelope *ret)
{
	struct mqw_slice s = content, header;
	char flag;

	*ret = (struct mqw_exim_envelope){0};
	if (!take_head(&s, ret) || !take_options(&s, ret) || !take_tree(&s, ret) ||
		!take_recipients(&s, ret))
		return -EBADMSG;
	ret->headers = s;
	while (s.len) {
		if (!take_header(&s, &flag, &header))
			return -EBADMSG;
		if (flag != '*')
			note_message_id(header, ret);
	}
	return 0;
}

/* Cuts " TEXT LENGTH,NUMBER" off the end, where TEXT has LENGTH bytes; the number may be -1. */
static bool cut_annotation(struct mqw_slice *s, int64_t *ret_number)
{
	size_t at = s->len;
	struct mqw_slice numbers;
	uint64_t len, number = 0;
	bool none;

	while (at && s->ptr[at - 1] != ' ')
		at--;
	numbers = mqw_slice_from(*s, at);
	if (at == 0 || !mqw_slice_take_u64(&numbers, &len) ||
		!mqw_slice_skip(&numbers, MQW_LIT(",")))
		return false;
	none = mqw_slice_eq(numbers, MQW_LIT("-1"));
	if (!none && (!mqw_slice_take_u64(&numbers, &number) || numbers.len || number > INT32_MAX))
		return false;
	*ret_number = none ? -1 : (int64_t)number;
	at--;
	if (len + 1 > at || s->ptr[at - len - 1] != ' ')
		return false;
	*s = mqw_slice_head(*s, at - (size_t)len - 1);
	return true;
}

/*
 * "ADDRESS", or with data for delivery reports "ADDRESS ORCPT LENGTH,FLAGS ERRORS-TO LENGTH,PARENT#3"
 * (spool_out.c:327), of which the digit says which parts there are.
 */
bool mqw_exim_split_recipient(
	struct mqw_slice line, struct mqw_slice *ret_address, int64_t *ret_parent)
{
	struct mqw_slice s = line;
	size_t end = line.len;
	int64_t dsn_flags;

	*ret_parent = -1;
	*ret_address = line;
	while (end && line.ptr[end - 1] >= '0' && line.ptr[end - 1] <= '9')
		end--;
	if (end == 0 || line.ptr[end - 1] == ' ' || line.ptr[end - 1] == ',')
		return false;
	if (line.ptr[end - 1] != '#')
		return true;
	s.len = end - 1;
	if (line.len != end + 1 || (line.ptr[end] != '1' && line.ptr[end] != '3') ||
		!cut_annotation(&s, ret_parent) ||
		(line.ptr[end] == '3' && !cut_annotation(&s, &dsn_flags)) || s.len == 0)
		return false;
	*ret_address = s;
	return true;
}

struct mqw_slice mqw_exim_recipient_address(struct mqw_slice line)
{
	struct mqw_slice address;
	int64_t parent;

	return mqw_exim_split_recipient(line, &address, &parent) ? address : line;
}

static int compare_slices(const void *a, const void *b)
{
	return mqw_slice_cmp(*(const struct mqw_slice *)a, *(const struct mqw_slice *)b);
}

int mqw_exim_done_list(
	const struct mqw_exim_envelope *e, size_t room, struct mqw_slice **ret, size_t *ret_count)
{
	struct mqw_slice *list = calloc(e->done_count + room + 1, sizeof(*list)), s = e->tree, line;
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	while (n < e->done_count && take_line(&s, &line))
		list[n++] = mqw_slice_from(line, 3);
	qsort(list, n, sizeof(*list), compare_slices);
	*ret = list;
	*ret_count = n;
	return 0;
}

bool mqw_exim_is_done(const struct mqw_slice *done, size_t count, struct mqw_slice address)
{
	return count && bsearch(&address, done, count, sizeof(*done), compare_slices);
}

static int add_recipients(const struct mqw_exim_envelope *e, struct mqw_queue_file *ret)
{
	struct mqw_slice s = e->recipients, line, *done = NULL;
	size_t done_count = 0;
	int r = mqw_exim_done_list(e, 0, &done, &done_count);

	ret->recipients = calloc(e->recipient_count, sizeof(*ret->recipients));
	if (r == 0 && !ret->recipients)
		r = -ENOMEM;
	while (r == 0 && take_line(&s, &line)) {
		struct mqw_slice address = mqw_exim_recipient_address(line);
		char *copy = mqw_slice_dup(address);

		if (!copy) {
			r = -ENOMEM;
			break;
		}
		ret->recipients[ret->recipient_count].address = copy;
		ret->recipients[ret->recipient_count++].done =
			mqw_exim_is_done(done, done_count, address);
	}
	free(done);
	return r;
}

int mqw_exim_queue_file(struct mqw_slice content, struct mqw_queue_file *ret)
{
	struct mqw_exim_envelope e;
	char original[MQW_EXIM_ID_MAX + 1];
	int r = mqw_exim_read_envelope(content, &e);

	*ret = (struct mqw_queue_file){.arrived_at = MQW_TIME_NONE, .created_at = MQW_TIME_NONE};
	if (r < 0)
		return r;
	ret->arrived_at = ret->created_at = e.received_at;
	ret->held = e.frozen;
	if (mqw_exim_original_id(e.id, original))
		ret->former_id = mqw_slice_dup(mqw_slice_of(original));
	ret->sender = mqw_slice_dup(e.sender);
	if (e.message_id.len)
		ret->message_id = mqw_slice_dup(e.message_id);
	if (!ret->sender || (e.message_id.len && !ret->message_id))
		r = -ENOMEM;
	if (r == 0)
		r = add_recipients(&e, ret);
	if (r < 0)
		mqw_queue_file_done(ret);
	return r;
}

/* A body that came by BDAT may be kept with the line ends of the wire, and no dots stuffed. */
static void add_wire_body(struct mqw_buffer *b, struct mqw_slice body)
{
	struct mqw_slice line;

	while (mqw_slice_take_until(&body, '\n', &line)) {
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		mqw_buffer_add(b, line);
		mqw_buffer_add(b, MQW_LIT("\n"));
	}
	mqw_buffer_add(b, body);
}

/* Flag '*' is a header that was taken out (spool_out.c). The first line of ID-D is its name. */
int mqw_exim_mail(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret)
{
	struct mqw_exim_envelope e;
	struct mqw_slice s, header, name, body = count >= 2 ? files[1] : MQW_SLICE_NULL;
	char flag;
	int r = count >= 2 ? mqw_exim_read_envelope(files[0], &e) : -EBADMSG;

	if (r < 0)
		return r;
	if (!mqw_slice_take_until(&body, '\n', &name) || !mqw_slice_ends(name, MQW_LIT("-D")) ||
		!mqw_slice_eq(mqw_slice_head(name, name.len - 2), e.id))
		return -EBADMSG;
	s = e.headers;
	while (s.len && take_header(&s, &flag, &header))
		if (flag != '*')
			mqw_buffer_add(ret, header);
	mqw_buffer_add(ret, MQW_LIT("\n"));
	if (mqw_slice_find(e.options, MQW_LIT("-spool_file_wireformat\n")) < e.options.len)
		add_wire_body(ret, body);
	else
		mqw_buffer_add(ret, body);
	return ret->failed ? -ENOMEM : 0;
}
