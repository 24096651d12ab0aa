/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in Exim's spool, ID-H read and written anew, and messages put back into a spool. */
#define _GNU_SOURCE /* nftw */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/exim/control_internal.h"
#include "probes/exim/queue_internal.h"
#include "watchdogd/base/bundle.h"
#include "exim_fixture.h"

static void test_names(void **state)
{
	static const char *const bad[] = {"input/" ID "-D", "input/" ID "-J", "input/hdr." ID,
		"input/x/" ID "-H", "input/t/t/" ID "-H", "input/tt/" ID "-H", "msglog/" ID,
		"input/-H", "input/" ID, "input//" ID "-H", "", "/input/" ID "-H",
		"a/b/input/" ID "-H", "xinput/" ID "-H", "FFinput/" ID "-H", "Finput" ID "-H"};
	struct mqw_queue_name n;
	char companion[64];

	(void)state;
	assert_true(mqw_exim_queue_name(MQW_LIT("input/" ID "-H"), &n));
	assert_true(mqw_slice_eq(n.queue_id, MQW_LIT(ID)));
	assert_int_equal(n.place, MQW_PLACE_QUEUED);
	assert_true(mqw_exim_queue_name(MQW_LIT("input/t/" ID "-H"), &n));
	assert_true(mqw_exim_queue_name(MQW_LIT("input/t/1xW41t-000000006Lt-002s-H"), &n));
	/* A queue with a name; and what was moved out of the way as frozen. */
	assert_true(mqw_exim_queue_name(MQW_LIT("slow/input/" ID "-H"), &n));
	assert_int_equal(n.place, MQW_PLACE_QUEUED);
	assert_true(mqw_exim_queue_name(MQW_LIT("slow/input/t/" ID "-H"), &n));
	assert_true(mqw_exim_queue_name(MQW_LIT("Finput/t/" ID "-H"), &n));
	assert_int_equal(n.place, MQW_PLACE_HELD);
	assert_true(mqw_slice_eq(n.queue_id, MQW_LIT(ID)));
	assert_true(mqw_exim_queue_name(MQW_LIT("slow/Finput/" ID "-H"), &n));
	assert_int_equal(n.place, MQW_PLACE_HELD);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mqw_exim_queue_name(mqw_slice_of(bad[i]), &n))
			fail_msg("\"%s\" is taken for a message", bad[i]);
	assert_true(
		mqw_exim_companion(MQW_LIT("input/t/" ID "-H"), 0, companion, sizeof(companion)));
	assert_string_equal(companion, "input/t/" ID "-D");
	assert_true(
		mqw_exim_companion(MQW_LIT("input/t/" ID "-H"), 1, companion, sizeof(companion)));
	assert_string_equal(companion, "input/t/" ID "-J");
	assert_false(
		mqw_exim_companion(MQW_LIT("input/t/" ID "-H"), 2, companion, sizeof(companion)));
	assert_false(mqw_exim_companion(MQW_LIT("input/t/" ID "-H"), 0, companion, 8));
}

static void test_read(void **state)
{
	struct mqw_queue_file f;

	(void)state;
	assert_int_equal(mqw_exim_queue_file(MQW_LIT(ENVELOPE), &f), 0);
	assert_int_equal(f.created_at, 1795578645 * MQW_SECOND);
	assert_string_equal(f.sender, "alice@exim.example.com");
	assert_string_equal(f.message_id, "vault@client.example.com");
	assert_null(f.former_id);
	assert_false(f.held);
	assert_int_equal(f.recipient_count, 4);
	assert_string_equal(f.recipients[0].address, "soft9@remote.test");
	assert_false(f.recipients[0].done);
	assert_true(f.recipients[1].done);
	assert_true(f.recipients[2].done);
	assert_string_equal(f.recipients[3].address, "\"a b\"@Remote.test");
	assert_false(f.recipients[3].done);
	mqw_queue_file_done(&f);
	assert_int_equal(mqw_exim_queue_file(MQW_LIT(BACK "-H\nexim 1 1\n<>\n5 0\n-frozen 7\nXX\n"
							  "1\na@b\n\n"),
				 &f),
		0);
	assert_string_equal(f.sender, "");
	assert_string_equal(f.former_id, ID);
	assert_true(f.held);
	assert_null(f.message_id);
	mqw_queue_file_done(&f);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *line, *address;
	} rows[] = {
		{"a@b", "a@b"},
		{"\"a b\"@c", "\"a b\"@c"},
		{"a@b rfc822;x@y 10,3 e@z 3,-1#3", "a@b"},
		{"a@b  0,3  0,-1#3", "a@b"},
		{"a@b e@z 3,0#1", "a@b"},
		/* No data behind it, whatever it looks like. */
		{"a@b 3#1", "a@b 3#1"},
		{"a@b#3", "a@b#3"},
		{"a@b x 99,1#1", "a@b x 99,1#1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(mqw_slice_eq(mqw_exim_recipient_address(mqw_slice_of(rows[i].line)),
			mqw_slice_of(rows[i].address)));
}

/* Cut anywhere it is no sound file, and reading it is safe. */
static void test_cut(void **state)
{
	const size_t len = sizeof(ENVELOPE) - 1;
	struct mqw_queue_file f;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		char *copy = malloc(n + 1);
		int r;

		memcpy(copy, ENVELOPE, n);
		r = mqw_exim_queue_file(mqw_slice(copy, n), &f);
		if (r == 0)
			mqw_queue_file_done(&f);
		/* Whole headers may be missing: nobody counts them. */
		if (r != -EBADMSG && n < len - strlen(MAIL_HEADERS) + 1)
			fail_msg("cut at %zu: %d", n, r);
		free(copy);
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {
		ID "-D\nexim 1 1\n<>\n5 0\nXX\n1\na@b\n\n",
		ID "-H\nexim 1 1\n>\n5 0\nXX\n1\na@b\n\n",
		ID "-H\nexim 1 1\n<>\nx 0\nXX\n1\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\nXY\n1\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\nYN a@b\n1\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\nXX\n0\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\nXX\n99999999999\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\nXX\n2\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\n-aclm 0 99\nXX\n1\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\n-aclm 0 18446744073709551615\nXX\n1\na@b\n\n",
		ID "-H\nexim 1 1\n<>\n5 0\nXX\n1\na@b\n\n099 x\n",
		ID "-H\nexim 1 1\n<>\n5 0\nXX\n1\na@b\n\nFrom: x\n",
	};
	struct mqw_queue_file f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mqw_exim_queue_file(mqw_slice_of(rows[i]), &f) != -EBADMSG)
			fail_msg("row %zu is taken", i);
}

static void add_all(struct mqw_buffer *b, struct mqw_slice s)
{
	mqw_buffer_clear(b);
	mqw_buffer_add(b, s);
}

/* Which of the recipients are still to do, "1001" in their order. */
static const char *left_in(struct mqw_slice content)
{
	static char text[64];
	struct mqw_queue_file f;

	assert_int_equal(mqw_exim_queue_file(content, &f), 0);
	for (size_t i = 0; i < f.recipient_count && i < 63; i++) {
		text[i] = f.recipients[i].done ? '0' : '1';
		text[i + 1] = '\0';
	}
	mqw_queue_file_done(&f);
	return text;
}

static void test_keep(void **state)
{
	const struct mqw_slice soft = MQW_LIT("soft9@REMOTE.test"),
			       odd = MQW_LIT("\"a b\"@remote.test"),
			       hard[] = {MQW_LIT("hard9@remote.test")},
			       none[] = {MQW_LIT("Soft9@remote.test")};
	struct mqw_buffer b = {0};

	(void)state;
	add_all(&b, MQW_LIT(ENVELOPE));
	assert_int_equal(mqw_exim_keep_recipients(&b, &soft, 1), 1);
	assert_string_equal(left_in(mqw_buffer_slice(&b)), "1000");
	/* In the order of bytes, and balanced, or Exim would not find them. */
	assert_non_null(strstr(b.ptr,
		"\nYY hard9@remote.test\nNN \"a b\"@Remote.test\n"
		"NN ok9@remote.test\n4\nsoft9@remote.test\n"));
	assert_non_null(strstr(b.ptr, "-aclm 0 9\nab\n-x\nXX\n\n"));
	add_all(&b, MQW_LIT(ENVELOPE));
	assert_int_equal(mqw_exim_keep_recipients(&b, &odd, 1), 1);
	assert_string_equal(left_in(mqw_buffer_slice(&b)), "0001");
	/* What was reported as failed counts as done in the file, and is to do once more. */
	add_all(&b, MQW_LIT(ENVELOPE));
	assert_int_equal(mqw_exim_keep_recipients(&b, hard, 1), 1);
	assert_string_equal(left_in(mqw_buffer_slice(&b)), "0010");
	add_all(&b, MQW_LIT(ENVELOPE));
	assert_int_equal(mqw_exim_keep_recipients(&b, none, 1), 0);
	assert_string_equal(left_in(mqw_buffer_slice(&b)), "0000");
	add_all(&b, MQW_LIT("no queue file"));
	assert_int_equal(mqw_exim_keep_recipients(&b, &soft, 1), -EBADMSG);
	mqw_buffer_done(&b);
}

/* Many recipients, of which each third is kept: a tree of any size is read back as written. */
static void test_keep_many(void **state)
{
	struct mqw_slice keep[100];
	char names[100][32];

	(void)state;
	for (size_t count = 1; count <= 100; count++) {
		struct mqw_buffer b = {0};
		struct mqw_queue_file f;
		size_t kept = 0;

		mqw_buffer_printf(&b, ID "-H\nexim 1 1\n<>\n5 0\nXX\n%zu\n", count);
		for (size_t i = 0; i < count; i++) {
			snprintf(names[i], sizeof(names[i]), "user%zu@b%zu", i * 7919 % 101, i);
			mqw_buffer_printf(&b, "%s\n", names[i]);
			if (i % 3 == 0)
				keep[kept++] = mqw_slice_of(names[i]);
		}
		mqw_buffer_add_str(&b, "\n");
		assert_int_equal(mqw_exim_keep_recipients(&b, keep, kept), kept);
		assert_int_equal(mqw_exim_queue_file(mqw_buffer_slice(&b), &f), 0);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(f.recipients[i].done, i % 3 != 0);
		mqw_queue_file_done(&f);
		mqw_buffer_done(&b);
	}
}

/* --- a spool ------------------------------------------------------------------------------- */

static char spool[64];

static const char *in(const char *name)
{
	static char paths[4][128];
	static int at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", spool, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	snprintf(spool, sizeof(spool), "/tmp/mqw-exim-XXXXXX");
	assert_non_null(mkdtemp(spool));
	assert_int_equal(mkdir(in("input"), 0755), 0);
	/* Root may not own it; whoever runs the test without being root does. */
	if (geteuid() == 0)
		assert_int_equal(chown(in("input"), 12345, 12345), 0);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(spool, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_file(const char *name, const char *text)
{
	int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int bundle_of(const char *envelope, const char *body)
{
	const uint64_t lengths[] = {strlen(envelope), strlen(body)};
	struct mqw_buffer b = {0};
	int fd;

	mqw_bundle_add_head(&b, lengths, 2);
	mqw_buffer_add_str(&b, envelope);
	mqw_buffer_add_str(&b, body);
	put_file("copy", b.ptr);
	mqw_buffer_done(&b);
	fd = open(in("copy"), O_RDONLY);
	assert_true(fd >= 0);
	return fd;
}

static int recover(const char *id, const char *envelope, const char *body)
{
	/* A configuration that is not there: no Exim of this host shall be told anything. */
	const struct mqw_control c = {.queue_directory = spool, .config_dir = "/nonexistent"};
	char text[256] = "";
	int fd = bundle_of(envelope, body), r;

	r = mqw_exim_recover(&c, id, fd, text, sizeof(text));
	close(fd);
	if (r < 0)
		assert_true(text[0] != '\0');
	return r;
}

static bool there(const char *name)
{
	return access(in(name), F_OK) == 0;
}

static void test_recover(void **state)
{
	struct mqw_buffer b = {0};
	struct stat st;
	char text[1024];
	int fd;

	(void)state;
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), 0);
	fd = open(in("input/" BACK "-D"), O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 24);
	assert_memory_equal(text, BACK "-D\nBody\n", 24);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() == 0)
		assert_int_equal(st.st_uid, 12345);
	close(fd);
	assert_true(there("input/" BACK "-H"));
	/* Asked for again it is there already. */
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), 1);
	/* A second time under yet another id it is not put back. */
	assert_int_equal(unlink(in("input/" BACK "-H")), 0);
	assert_int_equal(recover(BACK, ENVELOPE, BACK "-D\nBody\n"), -EBADMSG);
	/* A body that a try broken off has left is no hindrance. */
	put_file("input/" BACK "-D", "half");
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), 0);
	mqw_buffer_done(&b);
}

static void test_recover_split(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in("input/t"), 0755), 0);
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), 0);
	assert_true(there("input/t/" BACK "-H"));
	assert_true(there("input/t/" BACK "-D"));
	assert_false(there("input/" BACK "-D"));
}

/* In another queue, or set aside there as frozen: it was not lost. */
static void test_recover_named(void **state)
{
	char name[16];

	(void)state;
	assert_int_equal(mkdir(in("slow"), 0755), 0);
	assert_int_equal(mkdir(in("slow/Finput"), 0755), 0);
	assert_int_equal(mkdir(in("slow/Finput/t"), 0755), 0);
	put_file("slow/Finput/t/" ID "-H", "");
	put_file("slow/Finput/t/" ID "-D", "");
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), -EBUSY);
	assert_int_equal(mqw_exim_queue_of(spool, ID, name, sizeof(name)), 1);
	assert_string_equal(name, "slow");
	assert_int_equal(mqw_exim_queue_of(spool, ID, name, 4), -ENAMETOOLONG);
	/* One file alone is no message. */
	assert_int_equal(unlink(in("slow/Finput/t/" ID "-D")), 0);
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), 0);
	assert_true(there("input/" BACK "-H"));
	assert_int_equal(mqw_exim_queue_of(spool, ID, name, sizeof(name)), 0);
	assert_int_equal(mqw_exim_queue_of(spool, BACK, name, sizeof(name)), 1);
	assert_string_equal(name, "");
	assert_int_equal(mqw_exim_queue_of("/nonexistent", ID, name, sizeof(name)), -ENOENT);
}

static void test_recover_not(void **state)
{
	const struct mqw_control c = {.queue_directory = spool};
	char text[256];
	int fd;

	(void)state;
	/* It is in the queue; with one of its files gone it is not. */
	put_file("input/" ID "-H", "x");
	put_file("input/" ID "-D", "x");
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), -EBUSY);
	assert_int_equal(unlink(in("input/" ID "-D")), 0);
	assert_int_equal(recover(ID, "no envelope", ID "-D\nBody\n"), -EBADMSG);
	assert_int_equal(recover(ID, ENVELOPE, "1xW41t-0006Lt-2t-D\nBody\n"), -EBADMSG);
	assert_int_equal(recover(ID, ENVELOPE, "Body\n"), -EBADMSG);
	assert_int_equal(
		recover(ID, ID "-H\nexim 1 1\n<>\n5 0\nNN a@b\n1\na@b\n\n", ID "-D\n"), -ENODATA);
	assert_int_equal(recover("../../etc/passwd", ENVELOPE, ID "-D\n"), -EINVAL);
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(mqw_exim_recover(&c, ID, fd, text, sizeof(text)), -EBADMSG);
	close(fd);
	assert_false(there("input/" BACK "-H"));
	assert_false(there("input/" BACK "-D"));
	/* Where there is no spool, or where a link leads out of it. */
	assert_int_equal(rename(in("input"), in("other")), 0);
	assert_int_equal(recover(ID, ENVELOPE, ID "-D\nBody\n"), -ENOENT);
	assert_int_equal(symlink("other", in("input")), 0);
	assert_true(recover(ID, ENVELOPE, ID "-D\nBody\n") < 0);
}

static void test_daemons(void **state)
{
	static const struct {
		const char *words;
		size_t len;
		const char *config;
		bool is;
	} rows[] = {
#define W(s) s, sizeof(s)
		{W("/usr/sbin/exim4\0-bd\0-q30m"), NULL, true},
		{W("/usr/sbin/exim\0-bdf"), NULL, true},
		{W("exim4\0-q30m"), NULL, true},
		{W("exim4\0-qqf5m"), NULL, false},
		{W("exim4\0-qq5m"), NULL, true},
		{W("exim4\0-q"), NULL, false},
		{W("exim4\0-Mc\0" ID), NULL, false},
		{W("exim4\0-C\0/etc/two\0-bd"), NULL, false},
		{W("exim4\0-C\0/etc/two\0-bd"), "/etc/two", true},
		{W("exim4\0-C\0/etc/two\0-bd"), "/etc/three", false},
		{W("exim4\0-bd"), "/etc/two", false},
		{W("eximon\0-bd"), NULL, false},
		{W("sh\0-c\0exim\0-bd"), NULL, false},
		{"exim", 4, NULL, false},
		{NULL, 0, NULL, false},
#undef W
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mqw_exim_is_daemon(mqw_slice(rows[i].words, rows[i].len), rows[i].config) !=
			rows[i].is)
			fail_msg("row %zu", i);
}

static void test_bundles(void **state)
{
	static const char *const bad[] = {"", "mqw-bundle\n", "mqw-bundle 3\nab",
		"mqw-bundle 1\nab", "mqw-bundle 1 x\na", "mqw-bundle  1\na",
		"mqw-bundle 1 0 0 0 0\na", "mqw-bundle 18446744073709551616\n",
		"mqw-bundle 18446744073709551615 2\na", "x 1\na"};
	struct mqw_slice parts[MQW_BUNDLE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mqw_bundle_split(mqw_slice_of(bad[i]), parts) != -EBADMSG)
			fail_msg("\"%s\" is taken for a bundle", bad[i]);
	assert_int_equal(mqw_bundle_split(MQW_LIT("mqw-bundle 2 0 3\nabcde"), parts), 3);
	assert_true(mqw_slice_eq(parts[0], MQW_LIT("ab")));
	assert_int_equal(parts[1].len, 0);
	assert_true(mqw_slice_eq(parts[2], MQW_LIT("cde")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_keep_many),
		cmocka_unit_test_setup_teardown(test_recover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_named, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_not, setup, teardown),
		cmocka_unit_test(test_daemons),
		cmocka_unit_test(test_bundles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
