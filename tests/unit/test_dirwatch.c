/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* unshare */
#include "probes/source/dirwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>
#include <cmocka.h>

#include "watchdogd/base/buffer.h"
#include "watchdogd/base/clock.h"
#include "user_limits.h"

static char root[64];
static sd_event *event;
static struct mqw_dirwatch *watcher;

/* What the callbacks said since the last look: "+a/b", "-a/b", "[", "=a/b:SIZE", "]" or "?". */
static struct mqw_buffer said;
static size_t present_count;
static bool quiet; /* count only */

/* The files that test_made_and_filled_at_once() makes. */
static bool met[300][10];
static size_t met_count;

static void meet(struct mqw_slice path)
{
	char text[64];
	int d, f;

	snprintf(text, sizeof(text), "%.*s", (int)path.len, path.ptr);
	if (sscanf(text, "deferred/D%d/E/F%d", &d, &f) == 2 && d < 300 && f < 10) {
		met_count += !met[d][f];
		met[d][f] = true;
	}
}

static void on_name(void *userdata, struct mqw_slice path, bool present)
{
	(void)userdata;
	if (present && quiet)
		meet(path);
	present_count += present;
	if (!quiet)
		mqw_buffer_printf(&said, "%s%.*s ", present ? "+" : "-", (int)path.len, path.ptr);
}

static void on_begin(void *userdata)
{
	(void)userdata;
	mqw_buffer_add_str(&said, "[ ");
}

static void on_scanned(void *userdata, struct mqw_slice path, const struct stat *st)
{
	(void)userdata;
	present_count++;
	meet(path);
	if (!quiet)
		mqw_buffer_printf(
			&said, "=%.*s:%lld ", (int)path.len, path.ptr, (long long)st->st_size);
}

static void on_end(void *userdata, bool complete)
{
	(void)userdata;
	mqw_buffer_add_str(&said, complete ? "] " : "? ");
}

static const struct mqw_dirwatch_ops ops = {on_name, on_begin, on_scanned, on_end};
static const char *const directories[] = {"active", "deferred", "absent", NULL};

static void sh(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	assert_int_equal(system(line), 0);
}

/* Runs the loop until nothing happens for that long, or a rescan more was run. */
static void run(uint64_t quiet_us)
{
	uint64_t rescans = mqw_dirwatch_rescans(watcher);
	int r;

	while ((r = sd_event_run(event, quiet_us)) > 0)
		if (mqw_dirwatch_rescans(watcher) > rescans)
			break;
	assert_true(r >= 0);
}

static void assert_said(const char *want)
{
	run(50000);
	assert_string_equal(mqw_buffer_str(&said), want);
	mqw_buffer_clear(&said);
}

/* Runs until the next rescan is through; the least gap between two is a second. */
static void run_rescan(void)
{
	uint64_t rescans = mqw_dirwatch_rescans(watcher);

	for (int i = 0; i < 40 && mqw_dirwatch_rescans(watcher) == rescans; i++)
		run(100000);
	assert_int_equal(mqw_dirwatch_rescans(watcher), rescans + 1);
}

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "%s", "/tmp/mqw-dirwatch-XXXXXX");
	if (!mkdtemp(root) || sd_event_new(&event) < 0)
		return -1;
	sh("mkdir -p active deferred/A beside");
	quiet = false;
	present_count = 0;
	return mqw_dirwatch_create(event, 3600 * (uint64_t)MQW_SECOND, &watcher);
}

static int teardown(void **state)
{
	(void)state;
	watcher = mqw_dirwatch_free(watcher);
	event = sd_event_unref(event);
	mqw_buffer_done(&said);
	sh("rm -rf \"$PWD\"");
	return 0;
}

static void add(void)
{
	assert_int_equal(mqw_dirwatch_add(watcher, root, directories, &ops, NULL), 0);
	run(50000);
}

static void test_first_scan_and_hints(void **state)
{
	(void)state;
	sh("printf 12345 > deferred/A/A1; : > beside/B1");
	add();
	assert_said("[ =deferred/A/A1:5 ] ");
	assert_int_equal(mqw_dirwatch_polling(watcher), 0);
	sh(": > active/A2");
	assert_said("+active/A2 ");
	sh("mv active/A2 deferred/A/A2");
	assert_said("-active/A2 +deferred/A/A2 ");
	sh("rm deferred/A/A2; : > beside/B2; : > top");
	assert_said("-deferred/A/A2 ");
}

static void test_new_directories(void **state)
{
	(void)state;
	add();
	mqw_buffer_clear(&said);
	/* Made at one go: only a listing can see what is in there. */
	sh("mkdir -p deferred/B/C && : > deferred/B/C/B1");
	run(50000);
	assert_non_null(strstr(mqw_buffer_str(&said), "+deferred/B/C/B1 "));
	mqw_buffer_clear(&said);
	sh(": > deferred/B/C/B2");
	assert_said("+deferred/B/C/B2 ");
}

/* What a "*" stands for is watched from the moment it is made, step by step or at one go. */
static void test_new_directory_of_a_pattern(void **state)
{
	static const char *const named[] = {"input", "*/input", NULL};

	(void)state;
	assert_int_equal(mqw_dirwatch_add(watcher, root, named, &ops, NULL), 0);
	run_rescan();
	mqw_buffer_clear(&said);
	sh("mkdir -p slow/input && : > slow/input/A1");
	run(50000);
	assert_non_null(strstr(mqw_buffer_str(&said), "+slow/input/A1 "));
	sh("mkdir quick");
	run(50000);
	sh("mkdir quick/input");
	run(50000);
	mqw_buffer_clear(&said);
	sh(": > quick/input/A2");
	assert_said("+quick/input/A2 ");
	/* Nothing else in the root is a queue: what a pattern does not name, and what is put away. */
	sh("mkdir -p db/A4 .away/input scan");
	run(50000);
	sh(": > db/A4/x; : > .away/input/A5; mkdir scan/A6 && : > scan/A6/x && rm -r scan/A6; mv "
	   "quick .q");
	run(50000);
	assert_null(strstr(mqw_buffer_str(&said), "x"));
	assert_null(strstr(mqw_buffer_str(&said), "A5"));
	assert_null(strstr(mqw_buffer_str(&said), "+.q"));
	mqw_buffer_clear(&said);
}

static void test_directory_made_again(void **state)
{
	(void)state;
	add();
	mqw_buffer_clear(&said);
	sh("rmdir deferred/A; mkdir deferred/A; : > deferred/A/A1");
	run_rescan();
	assert_non_null(strstr(mqw_buffer_str(&said), "=deferred/A/A1:0 ] "));
	mqw_buffer_clear(&said);
	sh(": > deferred/A/A2");
	assert_said("+deferred/A/A2 ");
}

static void test_rescan_on_request(void **state)
{
	uint64_t before, after;

	(void)state;
	add();
	assert_said("[ ] ");
	/* Before what takes its time on a machine that is busy. */
	assert_int_equal(sd_event_now(event, CLOCK_MONOTONIC, &before), 0);
	sh(": > active/A1; mkdir absent; : > absent/A2");
	assert_said("+active/A1 ");
	assert_int_equal(mqw_dirwatch_rescan(watcher), 0);
	assert_int_equal(mqw_dirwatch_rescan(watcher), 0);
	run_rescan();
	assert_int_equal(sd_event_now(event, CLOCK_MONOTONIC, &after), 0);
	assert_true(after - before > 500000);
	assert_said("[ =active/A1:0 =absent/A2:0 ] ");
	/* The directory that was absent is watched from now on. */
	sh("rm absent/A2");
	assert_said("-absent/A2 ");
}

static void test_root_gone_proves_nothing(void **state)
{
	(void)state;
	add();
	mqw_buffer_clear(&said);
	sh("rm -rf active deferred");
	run_rescan();
	assert_non_null(strstr(mqw_buffer_str(&said), "[ ? "));
}

/* A large queue is read in pieces, and whoever else has work gets his turn between them. */
static void test_in_pieces(void **state)
{
	size_t before, most = 0, turns = 0;

	(void)state;
	quiet = true;
	sh("cd deferred/A && seq 3000 | xargs touch");
	assert_int_equal(mqw_dirwatch_add(watcher, root, directories, &ops, NULL), 0);
	while (mqw_dirwatch_rescans(watcher) == 0) {
		before = present_count;
		assert_true(sd_event_run(event, 1000000) > 0);
		most = present_count - before > most ? present_count - before : most;
		turns++;
	}
	assert_int_equal(present_count, 3000);
	assert_true(most <= 300);
	assert_true(turns >= 10);
	assert_string_equal(mqw_buffer_str(&said), "[ ] ");
}

static void test_overflow(void **state)
{
	char name[128];

	(void)state;
	add();
	mqw_buffer_clear(&said);
	quiet = true;
	for (int i = 0; i < 20000; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/active/F%d", root, i);
		fd = open(name, O_CREAT | O_WRONLY, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	run_rescan();
	assert_int_equal(mqw_dirwatch_overflows(watcher), 1);
	/* 16,384 hints at most, then all of them by the scan. */
	assert_in_range(present_count, 20001, 20000 + 16384);
	assert_string_equal(mqw_buffer_str(&said), "[ ] ");
}

static bool said_all(const char *what)
{
	bool said_it = strstr(mqw_buffer_str(&said), what);

	mqw_buffer_clear(&said);
	return said_it;
}

/* A child that may have so many: 0, or the number of what went wrong. */
static int watch_within(const char *instances, const char *watches, int error)
{
	uint64_t rescans;

	if (!limit_inotify(instances, watches))
		return 77;
	watcher = mqw_dirwatch_free(watcher);
	event = sd_event_unref(event);
	if (sd_event_new(&event) < 0 || mqw_dirwatch_create(event, MQW_SECOND, &watcher) < 0 ||
		mqw_dirwatch_add(watcher, root, directories, &ops, NULL) < 0)
		return 1;
	run(50000);
	if (mqw_dirwatch_polling(watcher) != error)
		return 2;
	/* Where there is no watch the next rescan sees it. */
	mqw_buffer_clear(&said);
	sh("mkdir -p deferred/B && : > deferred/B/B1 && : > deferred/A/A1");
	rescans = mqw_dirwatch_rescans(watcher);
	for (int i = 0; i < 100 && mqw_dirwatch_rescans(watcher) < rescans + 2; i++)
		run(100000);
	if (!strstr(mqw_buffer_str(&said), "=deferred/B/B1:0") || !said_all("=deferred/A/A1:0"))
		return 3;
	return mqw_dirwatch_polling(watcher) == error ? 0 : 4;
}

static void assert_watches_within(const char *instances, const char *watches, int error)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(watch_within(instances, watches, error));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_limits(void **state)
{
	(void)state;
	assert_watches_within("0", "1000", EMFILE);
	assert_watches_within("10", "2", ENOSPC);
	assert_watches_within("10", "1000", 0);
}

/* Directories that are made and filled at full speed, with directories in them: all is seen. */
static void test_made_and_filled_at_once(void **state)
{
	char name[160];

	(void)state;
	add();
	mqw_buffer_clear(&said);
	quiet = true;
	if (fork() == 0) {
		for (int d = 0; d < 300; d++) {
			snprintf(name, sizeof(name), "%s/deferred/D%d", root, d);
			mkdir(name, 0700);
			snprintf(name, sizeof(name), "%s/deferred/D%d/E", root, d);
			mkdir(name, 0700);
			for (int f = 0; f < 10; f++) {
				snprintf(name, sizeof(name), "%s/deferred/D%d/E/F%d", root, d, f);
				close(open(name, O_CREAT | O_WRONLY, 0600));
			}
		}
		_exit(0);
	}
	/* Some are seen twice, none not at all. */
	for (int i = 0; i < 200 && met_count < 3000; i++)
		run(100000);
	assert_int_equal(met_count, 3000);
	wait(NULL);
}

static void test_arguments(void **state)
{
	struct mqw_dirwatch *second;
	char link[64];

	(void)state;
	assert_int_equal(mqw_dirwatch_create(event, 1, &second), -EBUSY);
	assert_int_equal(mqw_dirwatch_add(watcher, "spool", directories, &ops, NULL), -EINVAL);
	assert_int_equal(mqw_dirwatch_add(watcher, "//", directories, &ops, NULL), -EINVAL);
	assert_null(mqw_dirwatch_free(NULL));
	/* No child inherits the descriptor. */
	for (int fd = 3; fd < 64; fd++) {
		char target[64] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 && strstr(target, "inotify"))
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_first_scan_and_hints),
		TEST(test_new_directories),
		TEST(test_new_directory_of_a_pattern),
		TEST(test_directory_made_again),
		TEST(test_rescan_on_request),
		TEST(test_root_gone_proves_nothing),
		TEST(test_in_pieces),
		TEST(test_overflow),
		TEST(test_limits),
		TEST(test_made_and_filled_at_once),
		TEST(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
