/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes ID-H anew: with more recipients done, or as another message. */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "probes/exim/queue_internal.h"

/* Of balanced trees; a million recipients are 20 deep. */
#define DEPTH_MAX 64

static bool address_eq(struct mqw_slice a, struct mqw_slice b)
{
	size_t at = a.len;

	if (a.len != b.len)
		return false;
	while (at && a.ptr[at - 1] != '@')
		at--;
	return mqw_slice_eq(mqw_slice_head(a, at), mqw_slice_head(b, at)) &&
		mqw_slice_eq_nocase(mqw_slice_from(a, at), mqw_slice_from(b, at));
}

static bool is_in(struct mqw_slice address, const struct mqw_slice *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (address_eq(address, list[i]))
			return true;
	return false;
}

/*
 * A sorted list as Exim writes its tree: the middle first, then what is left of it, then what is
 * right. Exim finds an address in it by comparing bytes.
 */
static void add_tree(struct mqw_buffer *b, const struct mqw_slice *sorted, size_t count)
{
	struct {
		size_t from, to;
	} todo[DEPTH_MAX] = {{0, count}};
	size_t depth = 1;

	if (count == 0)
		mqw_buffer_add_str(b, "XX\n");
	while (count && depth) {
		size_t from = todo[--depth].from, to = todo[depth].to, middle = (from + to) / 2;

		mqw_buffer_printf(
			b, "%c%c ", middle > from ? 'Y' : 'N', to > middle + 1 ? 'Y' : 'N');
		mqw_buffer_add(b, sorted[middle]);
		mqw_buffer_add_str(b, "\n");
		if (to > middle + 1) {
			todo[depth].from = middle + 1;
			todo[depth++].to = to;
		}
		if (middle > from) {
			todo[depth].from = from;
			todo[depth++].to = middle;
		}
	}
}

static int compare_slices(const void *a, const void *b)
{
	return mqw_slice_cmp(*(const struct mqw_slice *)a, *(const struct mqw_slice *)b);
}

/* Each once; how many these are. */
static size_t sort_unique(struct mqw_slice *list, size_t count)
{
	size_t unique = 0;

	qsort(list, count, sizeof(*list), compare_slices);
	for (size_t i = 0; i < count; i++)
		if (unique == 0 || !mqw_slice_eq(list[unique - 1], list[i]))
			list[unique++] = list[i];
	return unique;
}

/*
 * Makes the list that of all but those to be kept; how many of these there are. One that is kept is
 * to do even if the file says that it is done: so it says of what was reported as failed, too, and
 * the caller knows which of them was reported falsely.
 */
static int mark_done(const struct mqw_exim_envelope *e, const struct mqw_slice *keep,
	size_t keep_count, struct mqw_slice *done, size_t *done_count)
{
	struct mqw_slice s = e->recipients, line;
	size_t n = 0;
	int left = 0;

	while (mqw_slice_take_until(&s, '\n', &line)) {
		struct mqw_slice address = mqw_exim_recipient_address(line);

		if (is_in(address, keep, keep_count))
			left++;
		else
			done[(*done_count)++] = address;
	}
	for (size_t i = 0; i < *done_count; i++)
		if (!is_in(done[i], keep, keep_count))
			done[n++] = done[i];
	*done_count = sort_unique(done, n);
	return left;
}

/* Writes the file anew with this tree, sorted and without doubles. 0 or -ENOMEM; then it is as before. */
static int set_tree(struct mqw_buffer *file, const struct mqw_exim_envelope *e,
	const struct mqw_slice *done, size_t done_count)
{
	struct mqw_slice content = mqw_buffer_slice(file);
	struct mqw_buffer changed = {0};

	mqw_buffer_add(&changed,
		mqw_slice(content.ptr, (size_t)(e->options.ptr + e->options.len - content.ptr)));
	add_tree(&changed, done, done_count);
	mqw_buffer_printf(&changed, "%zu\n", e->recipient_count);
	mqw_buffer_add(&changed,
		mqw_slice(e->recipients.ptr,
			(size_t)(content.ptr + content.len - e->recipients.ptr)));
	if (changed.failed) {
		mqw_buffer_done(&changed);
		return -ENOMEM;
	}
	mqw_buffer_done(file);
	*file = changed;
	return 0;
}

int mqw_exim_keep_recipients(
	struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count)
{
	struct mqw_slice *done = NULL;
	struct mqw_exim_envelope e;
	size_t done_count = 0;
	int r = mqw_exim_read_envelope(mqw_buffer_slice(file), &e), left;

	if (r == 0)
		r = mqw_exim_done_list(&e, e.recipient_count, &done, &done_count);
	if (r < 0 || !done)
		return r < 0 ? r : -ENOMEM;
	left = mark_done(&e, keep, keep_count, done, &done_count);
	r = set_tree(file, &e, done, done_count);
	free(done);
	return r < 0 ? r : left;
}

static size_t count_lines(struct mqw_slice s)
{
	struct mqw_slice line;
	size_t n = 0;

	while (mqw_slice_take_until(&s, '\n', &line))
		n++;
	return n;
}

static int compare_nocase(const void *a, const void *b)
{
	const struct mqw_slice *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int r = len ? strncasecmp(x->ptr, y->ptr, len) : 0;

	return r ? r : (x->len > y->len) - (x->len < y->len);
}

/*
 * Exim writes there what it compares addresses by, which has the domain and sometimes the local part in
 * small letters: each recipient that it may stand for is done in its own spelling, too.
 */
int mqw_exim_add_journal(struct mqw_buffer *file, struct mqw_slice journal)
{
	struct mqw_slice *done = NULL, *named, s = journal, line;
	size_t named_count = 0, done_count = 0;
	struct mqw_exim_envelope e;
	int r = mqw_exim_read_envelope(mqw_buffer_slice(file), &e);

	if (r < 0)
		return r;
	named = calloc(count_lines(journal) + 1, sizeof(*named));
	if (!named)
		return -ENOMEM;
	/* Without a NUL, which would be the end of it for Exim; a last line without an end is not whole. */
	while (mqw_slice_take_until(&s, '\n', &line))
		if (line.len && mqw_slice_chr(line, '\0') == line.len)
			named[named_count++] = line;
	qsort(named, named_count, sizeof(*named), compare_nocase);
	r = mqw_exim_done_list(&e, named_count + e.recipient_count, &done, &done_count);
	for (size_t i = 0; r == 0 && i < named_count; i++)
		done[done_count++] = named[i];
	s = e.recipients;
	while (r == 0 && mqw_slice_take_until(&s, '\n', &line)) {
		line = mqw_exim_recipient_address(line);
		if (named_count &&
			bsearch(&line, named, named_count, sizeof(*named), compare_nocase))
			done[done_count++] = line;
	}
	if (r == 0) {
		done_count = sort_unique(done, done_count);
		r = set_tree(file, &e, done, done_count);
	}
	free(done);
	free(named);
	return r;
}

static int count_left(
	const struct mqw_exim_envelope *e, const struct mqw_slice *done, size_t done_count)
{
	struct mqw_slice s = e->recipients, line;
	int left = 0;

	while (mqw_slice_take_until(&s, '\n', &line))
		left += !mqw_exim_is_done(done, done_count, mqw_exim_recipient_address(line));
	return left;
}

/*
 * The second line names who submitted the message. Exim lets a pipe run as that user
 * (pipe_as_creator), so that it cannot be believed: like what came by SMTP the message is of Exim's
 * own user. For a local user's mail that changes $originator_uid and $originator_gid; the sender and
 * -ident stay. The login name is only shown (exim -bp), and so is not looked up.
 */
int mqw_exim_renew_file(struct mqw_slice content, const char *new_id, int64_t now,
	const struct mqw_exim_user *user, struct mqw_buffer *ret)
{
	struct mqw_slice *done = NULL;
	size_t done_count = 0;
	struct mqw_exim_envelope e;
	int r = mqw_exim_read_envelope(content, &e), left = 0;

	if (r == 0)
		r = mqw_exim_done_list(&e, 0, &done, &done_count);
	if (r == 0 && !mqw_exim_is_safe(&e, done, done_count))
		r = -EBADMSG;
	if (r == 0) {
		mqw_buffer_printf(ret, "%s-H\nexim %u %u\n<", new_id, user->uid, user->gid);
		mqw_buffer_add(ret, e.sender);
		mqw_buffer_printf(ret, ">\n%lld 0\n", (long long)(now / MQW_SECOND));
		r = mqw_exim_add_options(e.options, ret);
	}
	if (r == 0) {
		left = count_left(&e, done, done_count);
		/* Balanced anew: Exim reads the tree by calling itself, as deep as it is. */
		add_tree(ret, done, sort_unique(done, done_count));
		mqw_buffer_printf(ret, "%zu\n", e.recipient_count);
		mqw_buffer_add(ret,
			mqw_slice(e.recipients.ptr,
				(size_t)(content.ptr + content.len - e.recipients.ptr)));
		r = ret->failed ? -ENOMEM : left;
	}
	free(done);
	return r;
}
