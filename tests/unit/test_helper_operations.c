/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the helper does for a sound request, and where configuration or queue speak against it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "helper_wire_fixture.h"

static void test_observe(void **state)
{
	const struct fixture *f = *state;
	static const uint32_t acting[] = {
		MQW_HELPER_REQUEUE, MQW_HELPER_FLUSH, MQW_HELPER_RESTART, MQW_HELPER_RECOVER};

	fixture_configure(f, "observe");
	for (size_t i = 0; i < 4; i++)
		expect_op(f, acting[i], "good", i % 3 ? "" : "7EA36ACEA90", MQW_HELPER_REFUSED,
			"mode: observe");
	expect_serving(f);
	fixture_configure(f, "act");
	expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_OK, "/bin/sh was run");
}

static void test_config_not_trusted(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(chmod(f->config, 0620), 0);
	expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_REFUSED, "writable for its group");
	assert_int_equal(chmod(f->config, 0602), 0);
	expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_REFUSED, "writable for everyone");
	if (getuid() == 0) {
		assert_int_equal(chmod(f->config, 0600), 0);
		assert_int_equal(chown(f->config, 12345, 0), 0);
		expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_REFUSED, "belongs to user");
	}
	fixture_write(f->config, "version: 1\ninstances: [\n", 0600);
	if (getuid() == 0)
		assert_int_equal(chown(f->config, 0, 0), 0);
	expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_REFUSED, "is not taken");
	assert_int_equal(unlink(f->config), 0);
	expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_REFUSED, "cannot be read");
	expect_serving(f);
	fixture_configure(f, "act");
}

static void test_restart_by_command(void **state)
{
	const struct fixture *f = *state;

	expect_op(f, MQW_HELPER_RESTART, "good", "", MQW_HELPER_OK, "/bin/sh was run");
	expect_op(f, MQW_HELPER_RESTART, "bad", "", MQW_HELPER_FAILED, "ended with status 3: no");
}

static void put_copy(const struct fixture *f, const char *name, const char *bytes, size_t n)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/state/vault/outbound/%s", f->directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	fclose(file);
}

/* Without a Postfix: up to where one would be needed. */
static void test_recover_copy(void **state)
{
	static const char sound[] = "S\7a@x.orgR\7b@x.orgM\0X\0E";
	const struct fixture *f = *state;
	char path[256], target[256];

	snprintf(path, sizeof(path), "%s/state/vault/outbound/7EA36ACEA90.recover", f->directory);
	snprintf(target, sizeof(target), "%s/state/vault/outbound/target", f->directory);
	expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA90", MQW_HELPER_REFUSED,
		"vault: No such file");
	put_copy(f, "target", sound, sizeof(sound));
	assert_int_equal(symlink("target", path), 0);
	expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA90", MQW_HELPER_REFUSED,
		"vault: Too many levels of symbolic links");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA90", MQW_HELPER_REFUSED, "vault:");
	assert_int_equal(unlink(path), 0);
	put_copy(f, "7EA36ACEA90.recover", sound, sizeof(sound));
	if (getuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA90", MQW_HELPER_REFUSED,
			"vault: Operation not permitted");
		assert_int_equal(chown(path, 0, 0), 0);
	}
	expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA90", MQW_HELPER_FAILED, "maildrop:");
	/* The vault's directory itself is a link. */
	snprintf(path, sizeof(path), "%s/state/vault/good", f->directory);
	assert_int_equal(symlink("outbound", path), 0);
	expect_op(f, MQW_HELPER_RECOVER, "good", "7EA36ACEA90", MQW_HELPER_REFUSED,
		"vault: Too many levels of symbolic links");
	expect_serving(f);
}

static void make_queue(const struct fixture *f)
{
	static const char *const names[] = {"maildrop", "incoming", "active", "deferred",
		"deferred/7", "deferred/A", "hold", NULL};
	char path[256];

	for (size_t i = 0; names[i]; i++) {
		snprintf(path, sizeof(path), "%s/queue/%s", f->directory, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
}

static void test_recover_queue(void **state)
{
	static const struct {
		const char *place, *id, *text;
		enum mqw_helper_status status;
	} rows[] = {
		{"maildrop/7EA36ACEA90", "7EA36ACEA90", "done already", MQW_HELPER_ALREADY},
		{"deferred/7/7EA36ACEA90", "7EA36ACEA90", "not lost", MQW_HELPER_REFUSED},
		{"deferred/7EA36ACEA90", "7EA36ACEA90", "not lost", MQW_HELPER_REFUSED},
		{"deferred/A/7EA36ACEA90", "7EA36ACEA90", "not running", MQW_HELPER_FAILED},
		{"deferred/A/4jZ5G9037Zz1fPvd", "4jZ5G9037Zz1fPvd", "not lost", MQW_HELPER_REFUSED},
		{"active/7EA36ACEA90", "7EA36ACEA90", "not lost", MQW_HELPER_REFUSED},
		{"hold/7EA36ACEA90", "7EA36ACEA90", "not lost", MQW_HELPER_REFUSED},
		{"incoming/7EA36ACEA90", "7EA36ACEA90", "not lost", MQW_HELPER_REFUSED},
		{"hold/7EA36ACEA91", "7EA36ACEA90", "not running", MQW_HELPER_FAILED},
	};
	const struct fixture *f = *state;
	char path[256];

	make_queue(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(path, sizeof(path), "%s.recover", rows[i].id);
		put_copy(f, path, "x", 1);
		snprintf(path, sizeof(path), "%s/queue/%s", f->directory, rows[i].place);
		fixture_write(path, "", 0700);
		expect_op(f, MQW_HELPER_RECOVER, "outbound", rows[i].id, rows[i].status,
			rows[i].text);
		assert_int_equal(unlink(path), 0);
	}
	/* What is put back is put back once, although its name is free again. */
	put_copy(f, "7EA36ACEA92.recover", "x", 1);
	snprintf(path, sizeof(path), "%s/queue/maildrop/7EA36ACEA92", f->directory);
	fixture_write(path, "", 0700);
	expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA92", MQW_HELPER_ALREADY, "already");
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/state/vault/outbound/7EA36ACEA92.recover", f->directory);
	assert_int_equal(access(path, F_OK), -1);
	expect_op(f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA92", MQW_HELPER_ALREADY, "already");
	/* Asked for anew. */
	put_copy(f, "7EA36ACEA92.recover", "x", 1);
	expect_op(
		f, MQW_HELPER_RECOVER, "outbound", "7EA36ACEA92", MQW_HELPER_FAILED, "not running");
	assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_observe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_config_not_trusted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_by_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_queue, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
