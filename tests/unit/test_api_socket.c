/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket of the API: whose it is, what it replaces, and what it leaves alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <systemd/sd-event.h>

#include "api_requests_fixture.h"

static int open_here(const char *path, struct mqw_api **ret)
{
	sd_event *event = NULL;
	int r;

	assert_true(sd_event_new(&event) >= 0);
	r = mqw_api_open(event, path, &ops, ret);
	/* Its sources hold the loop as long as they need it. */
	sd_event_unref(event);
	return r;
}

static void mode_is_for_owner_and_group(void **state)
{
	const mode_t masks[] = {0, 077, 0777};
	struct fixture f;
	struct mqw_api *api = NULL;
	struct stat st;
	mode_t saved = umask(0);

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		umask(masks[i]);
		assert_int_equal(open_here(f.socket, &api), 0);
		assert_int_equal(lstat(f.socket, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | 0660);
		assert_null(mqw_api_close(api));
		assert_int_equal(lstat(f.socket, &st), -1);
		assert_int_equal(errno, ENOENT);
	}
	umask(saved);
	assert_null(mqw_api_close(NULL));
	fixture_done(&f);
}

static void stale_socket_is_replaced(void **state)
{
	struct fixture f;
	struct mqw_buffer b = {0};
	struct stat st;

	(void)state;
	fixture_init(&f);
	fixture_start(&f, &ops);
	assert_int_equal(fixture_stop(&f, SIGKILL), SIGKILL);
	assert_int_equal(lstat(f.socket, &st), 0);
	fixture_start(&f, &ops);
	assert_int_equal(ask(f.socket, "GET", "/v1/status", &b), 200);
	mqw_buffer_done(&b);
	fixture_done(&f);
	assert_int_equal(lstat(f.socket, &st), -1);
}

static void second_daemon_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mqw_buffer b = {0};
	struct mqw_api *api = NULL;

	assert_int_equal(open_here(f->socket, &api), -EADDRINUSE);
	assert_null(api);
	assert_int_equal(ask(f->socket, "GET", "/v1/status", &b), 200);
	mqw_buffer_done(&b);
}

/* Whatever lies at the path and is no socket stays, and so does what a symbolic link names. */
static void other_files_are_kept(void **state)
{
	struct fixture f;
	struct mqw_api *api = NULL;
	struct stat st;
	char target[128], longer[256];
	FILE *file;

	(void)state;
	fixture_init(&f);
	file = fopen(f.socket, "we");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(open_here(f.socket, &api), -EEXIST);
	assert_int_equal(lstat(f.socket, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	snprintf(target, sizeof(target), "%s/target", f.directory);
	assert_int_equal(rename(f.socket, target), 0);
	assert_int_equal(symlink(target, f.socket), 0);
	assert_int_equal(open_here(f.socket, &api), -EEXIST);
	assert_int_equal(lstat(target, &st), 0);
	unlink(target);
	snprintf(target, sizeof(target), "%s/none/control.sock", f.directory);
	assert_int_equal(open_here(target, &api), -ENOENT);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(open_here(longer, &api), -ENAMETOOLONG);
	assert_null(api);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode_is_for_owner_and_group),
		cmocka_unit_test(stale_socket_is_replaced),
		cmocka_unit_test(second_daemon_is_refused),
		cmocka_unit_test(other_files_are_kept),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
