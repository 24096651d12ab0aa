/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/mailroot_look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/windows/mailroot.h"
#include "watchdogd/base/json_text.h"

#define HEAD_MAX ((size_t)64 * 1024)
#define RECIPIENTS_MAX 50 /* of one file */
#define WHY_MAX 300
#define FILES_MAX 200000 /* of a folder that are looked at; further ones are counted */

struct file {
	char *name; /* owned */
	int64_t written;
};

struct folder {
	const char *name;
	enum mqw_place place;
	struct file *files; /* those that are messages */
	size_t count, cap, more;
	bool out_of_memory;
};

static void add_file(void *arg, const char *name, int64_t written)
{
	struct folder *f = arg;
	char path[300];
	struct mqw_queue_name known;

	if (snprintf(path, sizeof(path), "%s/%s", f->name, name) >= (int)sizeof(path) ||
		!mqw_mailroot_name(mqw_slice_of(path), &known) || known.place != f->place)
		return;
	if (f->count == FILES_MAX) {
		f->more++;
		return;
	}
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct file *p = realloc(f->files, cap * sizeof(*p));

		if (!p) {
			f->out_of_memory = true;
			return;
		}
		f->files = p;
		f->cap = cap;
	}
	f->files[f->count] = (struct file){mqw_slice_dup(mqw_slice_of(name)), written};
	if (f->files[f->count].name)
		f->count++;
	else
		f->out_of_memory = true;
}

static int by_time(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->written != y->written)
		return x->written < y->written ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void drop_folder(struct folder *f)
{
	while (f->count)
		free(f->files[--f->count].name);
	free(f->files);
}

static int list_folder(const struct mqw_mailroot_ops *ops, struct folder *f)
{
	int r = ops->list(ops->ctx, f->name, add_file, f);

	if (f->count)
		qsort(f->files, f->count, sizeof(*f->files), by_time);
	return r == 0 && f->out_of_memory ? -ENOMEM : r;
}

bool mqw_mailroot_is_report(struct mqw_slice content)
{
	size_t end = mqw_slice_find(content, MQW_LIT("\n\r\n")), bare;

	bare = mqw_slice_find(content, MQW_LIT("\n\n"));
	content = mqw_slice_head(content, bare < end ? bare : end);
	return mqw_slice_find_nocase(content, MQW_LIT("multipart/report")) < content.len ||
		mqw_slice_find_nocase(content, MQW_LIT("Return-Path: <>")) < content.len ||
		mqw_slice_find_nocase(content, MQW_LIT("From: postmaster@")) < content.len ||
		mqw_slice_find_nocase(content, MQW_LIT("From: <postmaster@")) < content.len;
}

/* UTF-16 as Windows writes it, as far as it is ASCII; other text stays as it is. Changes buf. */
static struct mqw_slice narrow(char *buf, size_t n)
{
	size_t begin =
		n >= 2 && (unsigned char)buf[0] == 0xff && (unsigned char)buf[1] == 0xfe ? 2 : 0;
	size_t used = 0;

	if (n < 4 || buf[begin + 1] != '\0')
		return mqw_slice(buf, n);
	for (size_t i = begin; i + 1 < n; i += 2)
		buf[used++] = buf[i + 1] ? '?' : buf[i];
	return mqw_slice(buf, used);
}

static bool is_word(char c)
{
	return (unsigned char)c > ' ' && !strchr("<>;,\"'[]()=", c);
}

/* The words of a text that have an "@" in the middle. */
static void add_addresses(json_t *list, struct mqw_slice s)
{
	while (s.len && json_array_size(list) < RECIPIENTS_MAX) {
		struct mqw_slice word;
		size_t n = 0, at;

		while (n < s.len && is_word(s.ptr[n]))
			n++;
		word = mqw_slice_head(s, n);
		s = mqw_slice_from(s, n + 1);
		at = mqw_slice_chr(word, ':');
		if (at < word.len) /* "rfc822:a@b.test" */
			word = mqw_slice_from(word, at + 1);
		at = mqw_slice_chr(word, '@');
		if (at > 0 && at + 1 < word.len)
			json_array_append_new(list, mqw_json_text(word));
	}
}

/* Its lines as one, without what is not printable. */
static json_t *one_line(struct mqw_slice s)
{
	struct mqw_buffer b = {0};
	bool blank = true;
	json_t *j;

	for (size_t i = 0; i < s.len && b.len < WHY_MAX; i++) {
		bool is_blank = (unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f;

		if (!is_blank)
			mqw_buffer_add(&b, mqw_slice(&s.ptr[i], 1));
		else if (!blank)
			mqw_buffer_add_str(&b, " ");
		blank = is_blank;
	}
	j = b.len ? mqw_json_text(mqw_slice_trim(mqw_buffer_slice(&b))) : json_null();
	mqw_buffer_done(&b);
	return j;
}

/* What the two files beside a message in Badmail say: the reason, and for whom it was. */
static void read_beside(const struct mqw_mailroot_ops *ops, const char *folder, const char *name,
	char *buf, json_t *ret)
{
	static const char *const suffixes[] = {".BDP", ".BDR"};
	char path[300];
	json_t *found = json_array();

	for (size_t i = 0; i < 2; i++) {
		ssize_t n;

		if (snprintf(path, sizeof(path), "%.*s%s", (int)strlen(name) - 4, name,
			    suffixes[i]) >= (int)sizeof(path))
			continue;
		n = ops->head(ops->ctx, folder, path, buf, HEAD_MAX);
		if (n <= 0)
			continue;
		if (i == 0)
			json_object_set_new(ret, "why", one_line(narrow(buf, (size_t)n)));
		else
			add_addresses(found, narrow(buf, (size_t)n));
	}
	/* These are the envelope's; the header's may be others. */
	if (json_array_size(found))
		json_object_set(ret, "recipients", found);
	json_decref(found);
}

static json_t *file_json(const struct mqw_mailroot_ops *ops, const struct folder *folder,
	const char *key, const struct file *f, char *buf)
{
	ssize_t n = ops->head(ops->ctx, folder->name, f->name, buf, HEAD_MAX);
	struct mqw_slice head = mqw_slice(buf, n > 0 ? (size_t)n : 0);
	struct mqw_queue_file mail = {0};
	json_t *j, *recipients = json_array();

	/* Locked, or gone meanwhile: its name and age are known all the same. */
	if (mqw_mailroot_file(head, &mail) < 0)
		mail = (struct mqw_queue_file){0};
	for (size_t i = 0; i < mail.recipient_count && i < RECIPIENTS_MAX; i++)
		json_array_append_new(
			recipients, mqw_json_text(mqw_slice_of(mail.recipients[i].address)));
	j = json_pack("{s:s,s:o,s:I,s:o,s:o,s:o,s:b,s:n}", "folder", key, "name",
		mqw_json_text(mqw_slice_of(f->name)), "written", (json_int_t)f->written, "sender",
		mqw_json_text_or_null(mail.sender), "message_id",
		mqw_json_text_or_null(mail.message_id), "recipients", recipients, "report",
		mqw_mailroot_is_report(head), "why");
	mqw_queue_file_done(&mail);
	if (j && folder->place == MQW_PLACE_HELD)
		read_beside(ops, folder->name, f->name, buf, j);
	return j;
}

static json_t *folder_json(const struct folder *f)
{
	bool bad = f->place == MQW_PLACE_HELD;
	const struct file *one = !f->count ? NULL : bad ? &f->files[f->count - 1] : &f->files[0];

	return json_pack("{s:I,s:o}", "count", (json_int_t)(f->count + f->more),
		bad ? "newest" : "oldest",
		one ? json_integer((json_int_t)one->written) : json_null());
}

static void add_told(const struct mqw_mailroot_ops *ops, const struct mqw_mailroot_wish *wish,
	const struct folder *f, const char *key, char *buf, json_t *list)
{
	size_t told = 0,
	       max = f->place == MQW_PLACE_HELD ? MQW_MAILROOT_BAD_TOLD : MQW_MAILROOT_TOLD;

	for (size_t i = 0; i < f->count && told < max; i++) {
		int64_t written = f->files[i].written;

		if ((f->place == MQW_PLACE_WAITING && written >= wish->queued_before) ||
			(f->place == MQW_PLACE_HELD && written <= wish->bad_since))
			continue;
		json_array_append_new(list, file_json(ops, f, key, &f->files[i], buf));
		told++;
	}
}

int mqw_mailroot_look(
	const struct mqw_mailroot_ops *ops, const struct mqw_mailroot_wish *wish, json_t **ret)
{
	static const char *const keys[] = {"queue", "pickup", "badmail"};
	struct folder folders[] = {{.name = "Queue", .place = MQW_PLACE_WAITING},
		{.name = "Pickup", .place = MQW_PLACE_ARRIVING},
		{.name = "Badmail", .place = MQW_PLACE_HELD}};
	json_t *j = json_pack("{s:I,s:[]}", "now", (json_int_t)wish->now, "files");
	char *buf = malloc(HEAD_MAX);
	int r = j && buf ? 0 : -ENOMEM, missing = 0;

	for (size_t i = 0; r == 0 && i < 3; i++) {
		r = list_folder(ops, &folders[i]);
		if (r == -ENOENT && i == 2) {
			folders[i].name = "BadMail";
			r = list_folder(ops, &folders[i]);
		}
		missing += r == -ENOENT && i < 2;
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0 && missing == 2)
		r = -ENOTDIR;
	for (size_t i = 0; r == 0 && i < 3; i++) {
		json_object_set_new(j, keys[i], folder_json(&folders[i]));
		add_told(ops, wish, &folders[i], keys[i], buf, json_object_get(j, "files"));
	}
	for (size_t i = 0; i < 3; i++)
		drop_folder(&folders[i]);
	free(buf);
	if (r == 0)
		*ret = j;
	else
		json_decref(j);
	return r;
}
