/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* O_PATH */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watchdogd/base/bundle.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/vault/vault.h"

#define ID MQW_LIT("4F3aBcDeFgHz1k")
#define NO_LIMIT UINT64_MAX
#define SETTLE_US 150000 /* until a change is old enough for its copy to be fresh */

static char dir[64];
static int root;
static struct mqw_vault *v;

/* "STATE/rest"; good until the next call but three. */
static const char *in(const char *rest)
{
	static char names[4][256];
	static int at;
	char *name = names[at++ % 4];

	snprintf(name, sizeof(names[0]), "%s/%s", dir, rest);
	return name;
}

static void put_file(const char *name, struct mqw_slice content, mode_t mode)
{
	int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.ptr, content.len), content.len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-vault-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(mkdir(in("queue"), 0755), 0);
	assert_int_equal(mkdir(in("queue/deferred"), 0755), 0);
	root = open(in("queue"), O_PATH | O_DIRECTORY);
	assert_true(root >= 0);
	assert_int_equal(mqw_vault_open(dir, "postfix-out", &v), 0);
	return 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)st;
	(void)type;
	(void)place;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	v = mqw_vault_close(v);
	close(root);
	return nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void assert_copy(struct mqw_slice want)
{
	struct mqw_buffer b = {0};

	mqw_buffer_add_str(&b, ">");
	assert_int_equal(mqw_vault_read_all(v, ID, want.len, &b), 0);
	assert_true(mqw_slice_eq(mqw_slice_from(mqw_buffer_slice(&b), 1), want));
	if (want.len) {
		assert_int_equal(mqw_vault_read_all(v, ID, want.len - 1, &b), -EFBIG);
		assert_int_equal(b.len, want.len + 1);
	}
	mqw_buffer_done(&b);
}

static void copies_and_tells_what_is_fresh(void **state)
{
	static const char path[] = "deferred/4F3aBcDeFgHz1k";
	struct stat st;

	(void)state;
	put_file(path, MQW_LIT("one\0\xff"), 0700);
	assert_int_equal(fstatat(root, path, &st, 0), 0);
	assert_false(mqw_vault_fresh(v, ID, &st));
	assert_int_equal(mqw_vault_copy_in(v, root, path, ID, 0700, 5), 1);
	assert_false(mqw_vault_fresh(v, ID, &st)); /* too young to be sure of */
	assert_copy(MQW_LIT("one\0\xff"));
	usleep(SETTLE_US);
	assert_int_equal(mqw_vault_copy_in(v, root, path, ID, 0700, 5), 1);
	assert_true(mqw_vault_fresh(v, ID, &st));
	assert_copy(MQW_LIT("one\0\xff"));
	assert_int_equal(mqw_vault_copy_in(v, root, path, ID, 0700, 5), 0);
	assert_int_equal(mode_of(in("vault")), 0700);
	assert_int_equal(mode_of(in("vault/postfix-out")), 0700);
	assert_int_equal(mode_of(in("vault/postfix-out/4F3aBcDeFgHz1k")), 0600);
	put_file(path, MQW_LIT("two\0\xff"), 0700);
	assert_int_equal(fstatat(root, path, &st, 0), 0);
	assert_false(mqw_vault_fresh(v, ID, &st));
	assert_int_equal(mqw_vault_copy_in(v, root, path, ID, 0, NO_LIMIT), 1);
	assert_copy(MQW_LIT("two\0\xff"));
	assert_int_equal(unlinkat(root, path, 0), 0);
	assert_int_equal(mqw_vault_copy_in(v, root, path, ID, 0, NO_LIMIT), -ENOENT);
	assert_copy(MQW_LIT("two\0\xff")); /* what it is kept for */
	assert_int_equal(mqw_vault_remove(v, ID), 0);
	assert_int_equal(mqw_vault_remove(v, ID), 0);
	assert_false(mqw_vault_fresh(v, ID, &st));
}

static void copies_large_and_empty(void **state)
{
	size_t n = 3 * 1024 * 1024 + 17;
	char *bytes = malloc(n);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 31 >> 3);
	put_file("large", mqw_slice(bytes, n), 0600);
	assert_int_equal(mqw_vault_copy_in(v, root, "large", ID, 0600, n), 1);
	assert_copy(mqw_slice(bytes, n));
	free(bytes);
	put_file("empty", MQW_LIT(""), 0600);
	assert_int_equal(mqw_vault_copy_in(v, root, "empty", ID, 0600, 0), 1);
	assert_copy(MQW_LIT(""));
}

static void copies_a_pair(void **state)
{
	static const char *const paths[] = {"a-H", "a-D"};
	struct mqw_slice parts[MQW_BUNDLE_MAX];
	struct mqw_buffer b = {0};

	(void)state;
	put_file("a-H", MQW_LIT("envelope"), 0640);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0, NO_LIMIT), -ENOENT);
	put_file("a-D", MQW_LIT("body\n"), 0640);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0, 12), -EFBIG);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0600, NO_LIMIT), -EPERM);
	usleep(SETTLE_US);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0640, NO_LIMIT), 1);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0640, NO_LIMIT), 0);
	assert_int_equal(mqw_vault_read_all(v, ID, 1000, &b), 0);
	assert_int_equal(mqw_bundle_split(mqw_buffer_slice(&b), parts), 2);
	assert_true(mqw_slice_eq(parts[0], MQW_LIT("envelope")));
	assert_true(mqw_slice_eq(parts[1], MQW_LIT("body\n")));
	/* The envelope is replaced, of the same length. */
	put_file("new", MQW_LIT("ENVELOPE"), 0640);
	assert_int_equal(renameat(root, "new", root, "a-H"), 0);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0640, NO_LIMIT), 1);
	mqw_buffer_clear(&b);
	assert_int_equal(mqw_vault_read_all(v, ID, 1000, &b), 0);
	assert_int_equal(mqw_bundle_split(mqw_buffer_slice(&b), parts), 2);
	assert_true(mqw_slice_eq(parts[0], MQW_LIT("ENVELOPE")));
	mqw_buffer_done(&b);
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

/* The MTA has missed the body, and made an empty one: the copy is the only one that there is. */
static void keeps_the_body(void **state)
{
	static const char *const paths[] = {"qf", "df", "more"};
	struct mqw_slice parts[MQW_BUNDLE_MAX];
	struct mqw_buffer b = {0};

	(void)state;
	put_file("qf", MQW_LIT("envelope"), 0640);
	put_file("df", MQW_LIT("a body\n"), 0640);
	put_file("more", MQW_LIT("0123456789"), 0640);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 3, ID, 0, NO_LIMIT), 1);
	assert_int_equal(unlinkat(root, "df", 0), 0);
	put_file("df", MQW_LIT("\n"), 0640);
	put_file("qf", MQW_LIT("ENVELOPE"), 0640);
	put_file("more", MQW_LIT("0"), 0640);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 3, ID, 0, NO_LIMIT), 1);
	assert_int_equal(mqw_vault_read_all(v, ID, 1000, &b), 0);
	assert_int_equal(mqw_bundle_split(mqw_buffer_slice(&b), parts), 3);
	assert_true(mqw_slice_eq(parts[0], MQW_LIT("ENVELOPE")));
	assert_true(mqw_slice_eq(parts[1], MQW_LIT("a body\n")));
	assert_true(mqw_slice_eq(parts[2], MQW_LIT("0")));
	mqw_buffer_done(&b);
}

/* The envelope is rewritten at each try; the body is copied once, and goes with it. */
static void copies_a_body_once(void **state)
{
	static const char *const paths[] = {"a-H", "a-D"};
	static const char body[] = "vault/postfix-out/4F3aBcDeFgHz1k.1";
	ino_t first;

	(void)state;
	put_file("a-H", MQW_LIT("envelope"), 0640);
	put_file("a-D", MQW_LIT("a body\n"), 0640);
	usleep(SETTLE_US);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0, NO_LIMIT), 1);
	assert_int_equal(mqw_vault_size(v), 15);
	assert_int_equal(mode_of(in(body)), 0600);
	first = inode_of(in(body));
	put_file("new", MQW_LIT("a longer envelope"), 0640);
	assert_int_equal(renameat(root, "new", root, "a-H"), 0);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0, NO_LIMIT), 1);
	assert_int_equal(inode_of(in(body)), first);
	assert_int_equal(mqw_vault_size(v), 24);
	/* Known again after a restart, and what was left of a removal is swept. */
	mqw_vault_close(v);
	assert_int_equal(mqw_vault_open(dir, "postfix-out", &v), 0);
	assert_int_equal(mqw_vault_size(v), 24);
	assert_int_equal(unlink(in("vault/postfix-out/4F3aBcDeFgHz1k")), 0);
	mqw_vault_close(v);
	assert_int_equal(mqw_vault_open(dir, "postfix-out", &v), 0);
	assert_int_equal(access(in(body), F_OK), -1);
	assert_int_equal(mqw_vault_size(v), 0);
	mqw_vault_set_flush(v, true);
	assert_int_equal(mqw_vault_copy_bundle_in(v, root, paths, 2, ID, 0, NO_LIMIT), 1);
	assert_int_equal(mqw_vault_remove(v, ID), 0);
	assert_int_equal(mqw_vault_size(v), 0);
	assert_int_equal(access(in(body), F_OK), -1);
}

/* Flags of chattr(1); -1 where the file system has none. */
static int flags_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), flags = -1;

	assert_true(fd >= 0);
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		flags = -1;
	close(fd);
	return flags;
}

/* The folders of instances lie apart from the queue's, where the file system knows how. */
static void asks_for_a_place_of_its_own(void **state)
{
	(void)state;
	int fd = open(in("queue"), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    flags = flags_of(in("queue"));
	bool known;

	assert_true(fd >= 0);
	flags = flags == -1 ? 0 : flags | FS_TOPDIR_FL;
	known = flags && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0 &&
		(flags_of(in("queue")) & FS_TOPDIR_FL);
	close(fd);
	assert_int_equal(
		known, flags_of(in("vault")) != -1 && (flags_of(in("vault")) & FS_TOPDIR_FL));
}

static void opens_to_read_alone(void **state)
{
	struct mqw_vault *reader = NULL;

	(void)state;
	assert_int_equal(mqw_vault_open_to_read(dir, "none", &reader), -ENOENT);
	assert_int_equal(access(in("vault/none"), F_OK), -1);
	close(open(in("vault/postfix-out/4F3.new"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(mqw_vault_open_to_read(dir, "postfix-out", &reader), 0);
	assert_int_equal(access(in("vault/postfix-out/4F3.new"), F_OK), 0);
	mqw_vault_close(reader);
}

static void refuses_what_is_no_queue_file(void **state)
{
	static const struct {
		const char *path;
		int error;
	} cases[] = {{"deferred", -EINVAL}, {"fifo", -EINVAL}, {"link", -ELOOP},
		{"none/file", -ENOENT}, {"file/file", -ENOTDIR}, {"../queue/file", -EINVAL},
		{"deferred/../file", -EINVAL}, {"/etc/passwd", -EINVAL}, {"", -EINVAL},
		{"file/", -EINVAL}, {"./file", -EINVAL}, {"deferred//x", -EINVAL}};

	int r;

	(void)state;
	put_file("file", MQW_LIT("12345"), 0600);
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	assert_int_equal(symlinkat("file", root, "link"), 0);
	assert_int_equal(symlinkat(".", root, "folder"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			mqw_vault_copy_in(v, root, cases[i].path, ID, 0, NO_LIMIT), cases[i].error);
	/* With openat2(2) and without it. */
	r = mqw_vault_copy_in(v, root, "folder/file", ID, 0, NO_LIMIT);
	assert_true(r == -ELOOP || r == -ENOTDIR);
	assert_int_equal(mqw_vault_copy_in(v, root, "file", ID, 0700, NO_LIMIT), -EPERM);
	assert_int_equal(mqw_vault_copy_in(v, root, "file", ID, 0600, 4), -EFBIG);
	assert_int_equal(mqw_vault_copy_in(v, root, "file", ID, 0600, 5), 1);
}

static void refuses_names(void **state)
{
	static const char long_name[] =
		"01234567890123456789012345678901234567890123456789012345678901234";
	const struct mqw_slice bad[] = {MQW_LIT(""), MQW_LIT(".."), MQW_LIT("a/b"), MQW_LIT("a.b"),
		MQW_LIT("a\0b"), MQW_LIT("-ab"), MQW_LIT("\xc3\xa4"), MQW_LIT("a\n"),
		mqw_slice_of(long_name)};
	struct mqw_vault *other = NULL;
	struct mqw_buffer b = {0};

	(void)state;
	put_file("file", MQW_LIT("x"), 0600);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mqw_vault_copy_in(v, root, "file", bad[i], 0, NO_LIMIT), -EINVAL);
		assert_int_equal(mqw_vault_read_all(v, bad[i], 10, &b), -EINVAL);
		assert_int_equal(mqw_vault_remove(v, bad[i]), -EINVAL);
		assert_int_equal(mqw_vault_write_recover(v, bad[i], MQW_LIT("x")), -EINVAL);
		assert_int_equal(mqw_vault_remove_recover(v, bad[i]), -EINVAL);
	}
	assert_int_equal(mqw_vault_copy_in(v, root, "file", mqw_slice(long_name, 64), 0, 9), 1);
	assert_int_equal(mqw_vault_open(dir, "..", &other), -EINVAL);
	assert_int_equal(mqw_vault_open(dir, "a/b", &other), -EINVAL);
	assert_int_equal(mqw_vault_open(dir, "", &other), -EINVAL);
	assert_int_equal(mqw_vault_open(in("none"), "a", &other), -ENOENT);
	assert_null(other);
	assert_int_equal(symlink("/", in("vault/link")), 0);
	assert_true(mqw_vault_open(dir, "link", &other) < 0);
}

struct seen {
	int copies, recovers;
	uint64_t size;
	int stop;
};

static int note(void *ctx, const struct mqw_vault_entry *e)
{
	struct seen *s = ctx;

	assert_true(mqw_slice_eq(e->queue_id, ID));
	assert_true(e->changed_at > 1000000000 * MQW_SECOND);
	s->copies += e->kind == MQW_VAULT_COPY;
	s->recovers += e->kind == MQW_VAULT_FOR_RECOVERY;
	s->size += e->size;
	return s->stop;
}

static void keeps_files_for_recovery(void **state)
{
	struct seen s = {0};
	char text[17] = "";
	int fd;

	(void)state;
	put_file("file", MQW_LIT("12345"), 0600);
	assert_int_equal(mqw_vault_copy_in(v, root, "file", ID, 0, NO_LIMIT), 1);
	assert_int_equal(mqw_vault_write_recover(v, ID, MQW_LIT("long before")), 0);
	assert_int_equal(mqw_vault_write_recover(v, ID, MQW_LIT("mail")), 0);
	assert_int_equal(mode_of(in("vault/postfix-out/4F3aBcDeFgHz1k.recover")), 0600);
	fd = open(in("vault/postfix-out/4F3aBcDeFgHz1k.recover"), O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
	close(fd);
	assert_string_equal(text, "mail");
	assert_copy(MQW_LIT("12345"));
	/* Strange files are left alone, half-made ones swept at the next start. */
	close(open(in("vault/postfix-out/4F3.new"), O_CREAT | O_WRONLY, 0600));
	close(open(in("vault/postfix-out/x.recover.y"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(symlink("x", in("vault/postfix-out/4link")), 0);
	assert_int_equal(mqw_vault_each(v, note, &s), 0);
	assert_int_equal(s.copies, 1);
	assert_int_equal(s.recovers, 1);
	assert_int_equal(s.size, 9);
	mqw_vault_close(v);
	assert_int_equal(mqw_vault_open(dir, "postfix-out", &v), 0);
	assert_int_equal(access(in("vault/postfix-out/4F3.new"), F_OK), -1);
	assert_int_equal(access(in("vault/postfix-out/x.recover.y"), F_OK), 0);
	assert_int_equal(mqw_vault_remove_recover(v, ID), 0);
	assert_int_equal(mqw_vault_remove_recover(v, ID), 0);
	s = (struct seen){.stop = -ECANCELED};
	assert_int_equal(mqw_vault_each(v, note, &s), -ECANCELED);
	assert_int_equal(s.copies, 1);
	assert_int_equal(s.recovers, 0);
}

/* Another process rewrites the file: in the end the copy holds its last state, whole. */
static void ends_with_the_last_state(void **state)
{
	static char block[2][256 * 1024];
	int copied = 0, r;
	pid_t pid;

	(void)state;
	memset(block[0], 'a', sizeof(block[0]));
	memset(block[1], 'b', sizeof(block[1]));
	put_file("file", mqw_slice(block[0], sizeof(block[0])), 0600);
	pid = fork();
	if (pid == 0) {
		int fd = openat(root, "file", O_WRONLY);

		for (int i = 0; i < 150; i++) {
			if (pwrite(fd, block[i & 1], sizeof(block[0]), 0) < 0)
				_exit(1);
			usleep(8000);
		}
		_exit(0);
	}
	assert_true(pid > 0);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		r = mqw_vault_copy_in(v, root, "file", ID, 0, NO_LIMIT);
		assert_true(r == 0 || r == 1 || r == -EAGAIN);
		copied += r == 1;
	}
	assert_true(copied > 1);
	usleep(SETTLE_US);
	r = mqw_vault_copy_in(v, root, "file", ID, 0, NO_LIMIT);
	assert_true(r == 0 || r == 1);
	assert_int_equal(mqw_vault_copy_in(v, root, "file", ID, 0, NO_LIMIT), 0);
	assert_copy(mqw_slice(block[1], sizeof(block[1])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(copies_and_tells_what_is_fresh, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_large_and_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_a_pair, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_the_body, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_a_body_once, setup, teardown),
		cmocka_unit_test_setup_teardown(opens_to_read_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(asks_for_a_place_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_queue_file, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_names, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_files_for_recovery, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_with_the_last_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
