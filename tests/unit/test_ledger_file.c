/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ledger's file: for us alone, and what is said when it is foreign, damaged, locked or missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_fixture.h"

static int open_error(void)
{
	struct mqw_ledger *l = NULL;
	char *error = NULL;
	int r = mqw_ledger_open(path, &l, &error);

	assert_null(l);
	if (r < 0) {
		assert_non_null(error);
		assert_non_null(strstr(error, path));
	}
	free(error);
	return r;
}

static void file_is_private(void **state)
{
	mode_t mask = umask(0);
	struct stat st;
	char other[128];

	(void)state;
	mqw_ledger_close(must_open());
	umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(path, 0644), 0);
	mqw_ledger_close(must_open());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(other, sizeof(other), "%s.real", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(open_error(), -ELOOP);
	unlink(other);
}

static void newer_and_foreign_are_refused(void **state)
{
	(void)state;
	mqw_ledger_close(must_open());
	run_sql("PRAGMA user_version = 99");
	assert_int_equal(open_error(), -ENOTSUP);
	unlink(path);
	run_sql("CREATE TABLE theirs (a)");
	assert_int_equal(open_error(), -EINVAL);
}

/* Overwrites the file from an offset on. */
static void damage(off_t at, size_t n)
{
	char junk[4096];
	int fd = open(path, O_WRONLY);

	memset(junk, 0xa5, sizeof(junk));
	assert_true(fd >= 0);
	assert_true(n <= sizeof(junk));
	assert_int_equal(pwrite(fd, junk, n, at), n);
	close(fd);
}

/* With its journal, under a name that nothing had. */
static void is_set_aside(const char *want)
{
	char name[200];
	char *aside = NULL;

	snprintf(name, sizeof(name), "%s-wal", path);
	close(open(name, O_WRONLY | O_CREAT, 0600));
	/* 2026-11-30T12:00:01Z */
	assert_int_equal(mqw_ledger_set_aside(path, INT64_C(1796040001) * MQW_SECOND, &aside), 0);
	snprintf(name, sizeof(name), "%s.damaged-20261130T120001Z%s", path, want);
	assert_string_equal(aside, name);
	assert_int_equal(access(name, F_OK), 0);
	strcat(name, "-wal");
	assert_int_equal(access(name, F_OK), 0);
	assert_int_equal(access(path, F_OK), -1);
	free(aside);
}

static void damage_is_told_and_set_aside(void **state)
{
	struct stat st;

	(void)state;
	mqw_ledger_close(must_open());
	damage(4096, 4096); /* the root page of the first table */
	assert_int_equal(open_error(), -EUCLEAN);
	is_set_aside("");
	mqw_ledger_close(must_open());
	damage(0, 100); /* the header */
	assert_int_equal(open_error(), -EUCLEAN);
	is_set_aside("-2");
	mqw_ledger_close(must_open());
	run_sql("DROP TABLE action");
	assert_int_equal(open_error(), -EUCLEAN);
	unlink(path);
	/* Cut short in its middle, and to nothing. */
	mqw_ledger_close(must_open());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2 / 4096 * 4096), 0);
	assert_int_equal(open_error(), -EUCLEAN);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(open_error(), -EUCLEAN);
}

static void locked_forbidden_and_missing(void **state)
{
	char file[sizeof(path)];
	sqlite3 *db;
	struct mqw_message m = full_message(NULL, 0);
	struct mqw_ledger *l = must_open();

	(void)state;
	/* Another process's lock: an error in time, nothing half written, usable afterwards. */
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(mqw_ledger_begin(l), -EBUSY);
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), -EBUSY);
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	mqw_ledger_close(l);
	memcpy(file, path, sizeof(file));
	snprintf(path, sizeof(path), "%s/none/ledger.db", dir);
	assert_int_equal(open_error(), -ENOENT);
	snprintf(path, sizeof(path), "/proc/version");
	assert_true(open_error() < 0);
	memcpy(path, file, sizeof(file));
	if (geteuid() == 0) {
		assert_int_equal(setegid(65534), 0);
		assert_int_equal(seteuid(65534), 0);
		assert_int_equal(open_error(), -EACCES);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(setegid(0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(file_is_private, setup, teardown),
		cmocka_unit_test_setup_teardown(newer_and_foreign_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told_and_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(locked_forbidden_and_missing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
