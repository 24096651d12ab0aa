/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One look into a mailroot that is made up: what is told of it, whatever is in its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/windows/mailroot_look.h"
#include "watchdogd/base/clock.h"

#define NOW (INT64_C(1796000000) * MQW_SECOND)

static int missing; /* so many folders are not there, from Queue on */
static const char *content; /* of every file */
static size_t content_len;

static int list(void *ctx, const char *folder, mqw_mailroot_each *each, void *arg)
{
	char name[32];

	(void)ctx;
	if (missing > (strcmp(folder, "Queue") == 0 ? 0 : strcmp(folder, "Pickup") == 0 ? 1 : 2))
		return -ENOENT;
	for (int n = 0; n < 150; n++) {
		snprintf(name, sizeof(name), folder[0] == 'B' ? "%d.BAD" : "NTFS_%d.EML", n);
		each(arg, name, NOW - n * MQW_MINUTE);
	}
	each(arg, "other.txt", NOW - 1000 * MQW_MINUTE);
	each(arg, ".hidden", NOW - 1000 * MQW_MINUTE);
	return 0;
}

static ssize_t head(void *ctx, const char *folder, const char *name, char *buf, size_t size)
{
	(void)ctx;
	(void)folder;
	(void)name;
	if (!content)
		return -EACCES;
	assert_true(content_len <= size);
	memcpy(buf, content, content_len);
	return (ssize_t)content_len;
}

static const struct mqw_mailroot_ops ops = {.list = list, .head = head};
static const struct mqw_mailroot_wish wish = {
	.now = NOW, .queued_before = NOW - 10 * MQW_MINUTE, .bad_since = NOW - 30 * MQW_MINUTE};

static long long number(const json_t *j, const char *folder, const char *key)
{
	return (long long)json_integer_value(json_object_get(json_object_get(j, folder), key));
}

static size_t count_told(const json_t *j, const char *folder)
{
	const json_t *files = json_object_get(j, "files");
	size_t count = 0;

	for (size_t n = 0; n < json_array_size(files); n++)
		count += strcmp(json_string_value(
					json_object_get(json_array_get(files, n), "folder")),
				 folder) == 0;
	return count;
}

/* Those that lie there for longest, and no more than can be looked after. */
static void the_oldest_are_told_of(void **state)
{
	json_t *j = NULL;
	const json_t *first;

	(void)state;
	missing = 0;
	content = "From: a@example.com\r\nTo: b@example.net, c@example.net\r\n\r\n";
	content_len = strlen(content);
	assert_int_equal(mqw_mailroot_look(&ops, &wish, &j), 0);
	assert_int_equal(number(j, "queue", "count"), 150);
	assert_int_equal(number(j, "queue", "oldest"), NOW - 149 * MQW_MINUTE);
	/* In Pickup any name is a mail's but that of a hidden file. */
	assert_int_equal(number(j, "pickup", "count"), 151);
	assert_int_equal(number(j, "badmail", "newest"), NOW);
	assert_int_equal(count_told(j, "queue"), MQW_MAILROOT_TOLD);
	assert_int_equal(count_told(j, "pickup"), MQW_MAILROOT_TOLD);
	assert_int_equal(count_told(j, "badmail"), MQW_MAILROOT_BAD_TOLD);
	first = json_array_get(json_object_get(j, "files"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "name")), "NTFS_149.EML");
	assert_string_equal(json_string_value(json_object_get(first, "sender")), "a@example.com");
	assert_int_equal(json_array_size(json_object_get(first, "recipients")), 2);
	json_decref(j);
}

/* Locked by the server: name and age are known all the same. */
static void what_cannot_be_opened_is_told_of(void **state)
{
	json_t *j = NULL;
	const json_t *first;

	(void)state;
	content = NULL;
	assert_int_equal(mqw_mailroot_look(&ops, &wish, &j), 0);
	first = json_array_get(json_object_get(j, "files"), 0);
	assert_true(json_is_null(json_object_get(first, "sender")));
	assert_int_equal(json_array_size(json_object_get(first, "recipients")), 0);
	json_decref(j);
}

static void a_folder_that_is_no_mailroot(void **state)
{
	json_t *j = NULL;

	(void)state;
	content = NULL;
	missing = 1;
	assert_int_equal(mqw_mailroot_look(&ops, &wish, &j), 0);
	assert_int_equal(number(j, "queue", "count"), 0);
	json_decref(j);
	missing = 2;
	assert_int_equal(mqw_mailroot_look(&ops, &wish, &j), -ENOTDIR);
	missing = 0;
}

/* Any bytes at all, as what a stranger mailed: text comes of it that JSON can hold. */
static void any_bytes_are_taken(void **state)
{
	static const char *const pieces[] = {"From: ", "To: ", "<", ">", "@", "a@b.test", "\r\n",
		"\n\n", ",", "\"", "(", "\\", "\xff\xfe", "Content-Type: multipart/report", ":",
		" "};
	uint32_t seed = 12345;
	static char text[400];

	(void)state;
	content = text;
	for (int turn = 0; turn < 300; turn++) {
		json_t *j = NULL;

		content_len = 0;
		while (content_len < sizeof(text) - 40) {
			seed = seed * 1664525 + 1013904223;
			if (seed >> 24 < 40) {
				text[content_len++] = (char)(seed >> 8);
				text[content_len++] = '\0';
			} else {
				const char *piece = pieces[seed >> 28];

				memcpy(text + content_len, piece, strlen(piece));
				content_len += strlen(piece);
			}
		}
		content_len -= seed % 40;
		assert_int_equal(mqw_mailroot_look(&ops, &wish, &j), 0);
		assert_int_equal(count_told(j, "badmail"), MQW_MAILROOT_BAD_TOLD);
		json_decref(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_are_told_of),
		cmocka_unit_test(what_cannot_be_opened_is_told_of),
		cmocka_unit_test(a_folder_that_is_no_mailroot),
		cmocka_unit_test(any_bytes_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
