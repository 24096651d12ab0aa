/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/base/process.h"

static int64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

/* Runs a shell script: of the tests alone, which need something to run. */
static int run_script(struct mqw_process *p, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};

	p->argv = argv;
	if (!p->timeout)
		p->timeout = 20 * MQW_SECOND;
	if (!p->max_output)
		p->max_output = 4096;
	return mqw_process_run(p);
}

static void test_outputs_and_status(void **state)
{
	struct mqw_process p = {0};

	(void)state;
	assert_int_equal(run_script(&p, "echo to out; echo to err >&2; echo more >&2; exit 7"), 0);
	assert_int_equal(p.status, 7);
	assert_string_equal(mqw_buffer_str(&p.out), "to out\n");
	assert_string_equal(mqw_buffer_str(&p.err), "to err\nmore\n");
	assert_false(p.truncated);
	assert_true(mqw_slice_eq(mqw_process_complaint(&p), MQW_LIT("more")));
	/* A second run starts from nothing. */
	assert_int_equal(run_script(&p, "echo only"), 0);
	assert_int_equal(p.status, 0);
	assert_string_equal(mqw_buffer_str(&p.out), "only\n");
	assert_true(mqw_slice_eq(mqw_process_complaint(&p), MQW_LIT("only")));
	mqw_process_done(&p);
	assert_true(mqw_slice_eq(mqw_process_complaint(&p), MQW_SLICE_NULL));
}

static void test_signal(void **state)
{
	struct mqw_process p = {0};

	(void)state;
	assert_int_equal(run_script(&p, "kill -TERM $$"), 0);
	assert_int_equal(p.status, 128 + SIGTERM);
	mqw_process_done(&p);
}

/* Nothing of the caller's surroundings reaches the child. */
static void test_surroundings(void **state)
{
	struct mqw_process p = {0};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

	(void)state;
	setenv("MQW_SECRET", "x", 1);
	setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
	sigaction(SIGTERM, &ignore, &before);
	assert_int_equal(run_script(&p,
				 "env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= | sort; pwd;"
				 " wc -c;"
				 "kill -TERM $$; echo ignored"),
		0);
	sigaction(SIGTERM, &before, NULL);
	assert_string_equal(
		mqw_buffer_str(&p.out), "LC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n/\n0\n");
	assert_int_equal(p.status, 128 + SIGTERM);
	unsetenv("MQW_SECRET");
	unsetenv("LD_LIBRARY_PATH");
	mqw_process_done(&p);
}

static void test_no_shell(void **state)
{
	static const char *const argv[] = {"echo", "$HOME;", "`id`", "a b", NULL};
	struct mqw_process p = {.argv = argv, .timeout = MQW_MINUTE, .max_output = 100};

	(void)state;
	assert_int_equal(mqw_process_run(&p), 0);
	assert_string_equal(mqw_buffer_str(&p.out), "$HOME; `id` a b\n");
	mqw_process_done(&p);
}

/* More than a pipe holds, to a program that reads it late or not at all. */
static void test_input(void **state)
{
	struct mqw_process p = {0};
	char *much = malloc(300000);

	(void)state;
	memset(much, 'x', 300000);
	p.input = mqw_slice(much, 300000);
	assert_int_equal(run_script(&p, "sleep 0.1; wc -c"), 0);
	assert_string_equal(mqw_buffer_str(&p.out), "300000\n");
	assert_int_equal(run_script(&p, "exit 3"), 0);
	assert_int_equal(p.status, 3);
	p.input = mqw_slice("", 0);
	assert_int_equal(run_script(&p, "wc -c"), 0);
	assert_string_equal(mqw_buffer_str(&p.out), "0\n");
	mqw_process_done(&p);
	free(much);
}

static void test_not_there(void **state)
{
	static const char *const rows[] = {
		"mqw-no-such-program", "/nonexistent/program", "/etc/passwd", "./sh", "bin/sh"};
	static const int want[] = {-ENOENT, -ENOENT, -EACCES, -EINVAL, -EINVAL};

	(void)state;
	setenv("PATH", ".", 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *argv[] = {rows[i], NULL};
		struct mqw_process p = {.argv = argv, .timeout = MQW_MINUTE, .max_output = 100};
		int r = mqw_process_run(&p);

		if (r != want[i])
			fail_msg("%s: %d", rows[i], r);
		mqw_process_done(&p);
	}
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	assert_int_equal(mqw_process_run(&(struct mqw_process){0}), -EINVAL);
}

static void test_much_output(void **state)
{
	struct mqw_process p = {.max_output = 1000};

	(void)state;
	assert_int_equal(
		run_script(&p, "head -c 3000000 /dev/zero | tr '\\0' x; echo short >&2"), 0);
	assert_int_equal(p.status, 0);
	assert_int_equal(p.out.len, 1000);
	assert_true(p.truncated);
	assert_string_equal(mqw_buffer_str(&p.err), "short\n");
	mqw_process_done(&p);
}

/* The children of what is killed go with it. */
static void test_timeout(void **state)
{
	struct mqw_process p = {.timeout = MQW_SECOND / 2};
	int64_t begun = monotonic();
	long child = 0;

	(void)state;
	assert_int_equal(run_script(&p, "sleep 987 & echo $!; wait"), -ETIMEDOUT);
	assert_in_range(monotonic() - begun, MQW_SECOND / 2, 10 * MQW_SECOND);
	child = strtol(mqw_buffer_str(&p.out), NULL, 10);
	assert_true(child > 1);
	/* Whoever adopted it may take a moment to reap it. */
	for (int i = 0; i < 100 && kill((pid_t)child, 0) == 0; i++) {
		char path[64], state_line[256] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%ld/stat", child);
		f = fopen(path, "re");
		if (!f || !fgets(state_line, sizeof(state_line), f) || strstr(state_line, ") Z "))
			child = 0;
		if (f)
			fclose(f);
		if (!child)
			break;
		usleep(20000);
	}
	assert_true(child == 0 || kill((pid_t)child, 0) < 0);
	mqw_process_done(&p);
}

/* A program that closes its outputs is not yet at its end. */
static void test_closed_outputs(void **state)
{
	struct mqw_process p = {0};

	(void)state;
	assert_int_equal(run_script(&p, "exec >&- 2>&-; sleep 0.3; exit 3"), 0);
	assert_int_equal(p.status, 3);
	mqw_process_done(&p);
}

/* A daemon that was started keeps the outputs open. */
static void test_left_behind(void **state)
{
	struct mqw_process p = {0};
	int64_t begun = monotonic();
	long child;

	(void)state;
	assert_int_equal(run_script(&p, "sleep 30 & echo $!; exit 0"), 0);
	assert_int_equal(p.status, 0);
	assert_in_range(monotonic() - begun, 0, 10 * MQW_SECOND);
	child = strtol(mqw_buffer_str(&p.out), NULL, 10);
	assert_true(child > 1);
	assert_int_equal(kill((pid_t)child, SIGKILL), 0);
	mqw_process_done(&p);
}

static void test_no_descriptor_left(void **state)
{
	int before = dup(0), after;

	(void)state;
	close(before);
	for (int i = 0; i < 20; i++) {
		struct mqw_process p = {.timeout = 1 + (i % 2) * MQW_MINUTE};

		run_script(&p, "exit 0");
		mqw_process_done(&p);
	}
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outputs_and_status),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_no_shell),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_much_output),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_closed_outputs),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_no_descriptor_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
