/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue files of a real Postfix and made here, cut short and damaged: refused, or read within bounds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "postfix_queue_fixture.h"

#define SAMPLES "../shared/queue-samples/postfix/"

/* All three readers over a copy that ends where the memory ends, for AddressSanitizer. */
static void try_bytes(const char *bytes, size_t len, bool must_fail)
{
	struct mqw_slice keep = MQW_LIT("soft4@remote.test");
	struct mqw_queue_file f;
	char *copy = malloc(len ? len : 1);
	int r, s, k;

	assert_non_null(copy);
	if (len)
		memcpy(copy, bytes, len);
	r = mqw_postfix_queue_file(mqw_slice(copy, len), &f);
	if (r == 0)
		for (size_t i = 0; i < f.recipient_count; i++)
			assert_true(f.recipients[i].offset < len &&
				copy[f.recipients[i].offset] == (f.recipients[i].done ? 'D' : 'R'));
	mqw_queue_file_done(&f);
	s = mqw_postfix_check_file(mqw_slice(copy, len), LINE_LIMIT);
	k = mqw_postfix_keep_recipients(copy, len, &keep, 1);
	assert_true(r == 0 || r == -EBADMSG);
	assert_true(s >= 0 || s == -EBADMSG);
	assert_true(k >= 0 || k == -EBADMSG);
	if (must_fail) {
		assert_int_equal(r, -EBADMSG);
		assert_int_equal(s, -EBADMSG);
		assert_int_equal(k, -EBADMSG);
	}
	free(copy);
}

static void try_damaged(struct mqw_slice file)
{
	uint64_t seed = 0x9e3779b97f4a7c15u;
	char *copy = malloc(file.len);

	assert_non_null(copy);
	try_bytes(file.ptr, file.len, false);
	for (size_t i = 0; i < file.len; i++)
		try_bytes(file.ptr, i, true);
	for (int round = 0; round < 20000; round++) {
		memcpy(copy, file.ptr, file.len);
		for (int flips = 1 + round % 4; flips; flips--) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			copy[(seed >> 16) % file.len] = (char)seed;
		}
		try_bytes(copy, file.len, false);
	}
	free(copy);
}

static void test_damaged(void **state)
{
	struct mqw_buffer b = {0};

	(void)state;
	whole_file(&b);
	try_damaged(mqw_buffer_slice(&b));
	mqw_buffer_done(&b);
}

static bool read_sample(const char *path, struct mqw_buffer *ret)
{
	char chunk[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f) {
		print_message("no %s: skipped\n", path);
		return false;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		mqw_buffer_add(ret, mqw_slice(chunk, n));
	fclose(f);
	return true;
}

/* Two of three delivered; expected values are those that postcat(1) shows. */
static void test_sample_of_three(void **state)
{
	struct mqw_slice keep = MQW_LIT("soft7@remote.test");
	struct mqw_buffer b = {0};
	struct mqw_queue_file f;

	(void)state;
	if (!read_sample(SAMPLES "queuefile-3rcpt.bin", &b))
		skip();
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
	assert_int_equal(f.arrived_at, 1795578620 * MQW_SECOND + 408336);
	assert_int_equal(f.created_at, 1795578620 * MQW_SECOND);
	assert_string_equal(f.sender, "alice@mx.example.com");
	assert_string_equal(f.message_id, "vault@client.example.com");
	assert_int_equal(f.recipient_count, 3);
	assert_string_equal(f.recipients[0].address, "soft7@remote.test");
	assert_string_equal(f.recipients[1].address, "ok7@remote.test");
	assert_string_equal(f.recipients[2].address, "hard7@remote.test");
	assert_false(f.recipients[0].done);
	assert_true(f.recipients[1].done);
	assert_true(f.recipients[2].done);
	assert_int_equal(f.recipients[0].offset, 0x2c8);
	mqw_queue_file_done(&f);
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT), 1);
	assert_int_equal(mqw_postfix_keep_recipients(b.ptr, b.len, &keep, 1), 1);
	assert_int_equal(mqw_postfix_keep_recipients(b.ptr, b.len, NULL, 0), 0);
	assert_int_equal(b.ptr[0x2c8], 'D');
	assert_int_equal(mqw_postfix_check_file(mqw_buffer_slice(&b), LINE_LIMIT), 0);
	mqw_buffer_done(&b);
}

static void test_sample_damaged(void **state)
{
	struct mqw_buffer b = {0};
	struct mqw_queue_file f;

	(void)state;
	if (!read_sample(SAMPLES "queuefile-partial.bin", &b))
		skip();
	assert_int_equal(mqw_postfix_queue_file(mqw_buffer_slice(&b), &f), 0);
	assert_string_equal(f.message_id, "soft4@client.example.com");
	mqw_queue_file_done(&f);
	try_damaged(mqw_buffer_slice(&b));
	mqw_buffer_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_sample_of_three),
		cmocka_unit_test(test_sample_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
