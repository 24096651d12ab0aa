/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each case in a process of its own, which stays confined. */
#define _GNU_SOURCE /* CLONE_NEWUSER */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/base/process.h"
#include "watchdogd/base/syscalls.h"

#define DAEMON (MQW_MAY_READ | MQW_MAY_WRITE | MQW_MAY_CONNECT)
#define ALL (DAEMON | MQW_MAY_CHOWN | MQW_MAY_RUN)

/* Sanitizers and valgrind make calls of their own within this process. */
static bool is_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return true;
#else
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "valgrind");
#endif
}

/* The wait status of a child that is confined and then does something. */
static int status_of(unsigned int may, enum mqw_filter filter, int (*act)(void))
{
	int status;
	pid_t pid;

	if (is_instrumented()) {
		print_message("instrumented: skipped\n");
		skip();
	}
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int r = mqw_syscalls_confine(may, filter);

		_exit(r < 0 ? 200 : act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 200)
		fail_msg("no filter could be loaded");
	return status;
}

static void expect_exit(unsigned int may, enum mqw_filter filter, int (*act)(void), int code)
{
	int status = status_of(may, filter, act);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		fail_msg("status 0x%x, expected exit %d", (unsigned int)status, code);
}

static void expect_killed(unsigned int may, enum mqw_filter filter, int (*act)(void))
{
	int status = status_of(may, filter, act);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("status 0x%x, expected SIGSYS", (unsigned int)status);
}

static int do_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int do_unshare(void)
{
	return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int do_new_namespace(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int do_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

/* syslog(2), which is on no list. */
static int do_unlisted(void)
{
	return syscall(SYS_syslog, 10, NULL, 0) < 0 ? errno : 0;
}

static int do_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int do_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int do_chown(void)
{
	return fchown(-1, 0, 0) < 0 ? errno : 0;
}

static int do_mkdir(void)
{
	return mkdir("/nonexistent/directory", 0700) < 0 ? errno : 0;
}

static int do_open(void)
{
	return open("/nonexistent", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static void *thread(void *ctx)
{
	*(int *)ctx = getpid() > 0 ? 7 : 0;
	return NULL;
}

static int do_thread(void)
{
	pthread_t t;
	int seven = 0;

	return pthread_create(&t, NULL, thread, &seven) != 0 || pthread_join(t, NULL) != 0 ? 1
											   : seven;
}

static int do_lookup(void)
{
	struct addrinfo *found = NULL;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	int r = getaddrinfo("localhost", "25", &hints, &found);

	freeaddrinfo(found);
	return r;
}

/* A shell, pipes, children of children, files. */
static int do_script(void)
{
	const char *const argv[] = {"/bin/sh", "-c",
		"d=$(mktemp -d) && cd $d && date >a && (sort a | cat >b) && cmp a b && chmod 600 a "
		"&& ls -la >c && grep -c a c >/dev/null && rm -r $d && [ $(id -u) -ge 0 ]",
		NULL};
	struct mqw_process p = {.argv = argv, .timeout = 20000000, .max_output = 4096};
	int r = mqw_process_run(&p);

	if (r < 0 || p.status)
		fprintf(stderr, "%d, status %d: %s\n", r, p.status, mqw_buffer_str(&p.err));
	r = r < 0 || p.status != 0;
	mqw_process_done(&p);
	return r;
}

static int do_narrow(void)
{
	int before = do_open();

	if (before != ENOENT || mqw_syscalls_confine(0, MQW_FILTER_ON) < 0)
		return 1;
	return do_open();
}

static void test_hostile(void **state)
{
	(void)state;
	for (int filter = MQW_FILTER_ON; filter < MQW_FILTER_COUNT; filter++) {
		expect_killed(ALL, (enum mqw_filter)filter, do_ptrace);
		expect_killed(ALL, (enum mqw_filter)filter, do_unshare);
		expect_killed(DAEMON, (enum mqw_filter)filter, do_exec);
	}
	expect_exit(ALL, MQW_FILTER_ON, do_new_namespace, ENOSYS);
	expect_killed(ALL, MQW_FILTER_STRICT, do_new_namespace);
}

static void test_unlisted(void **state)
{
	(void)state;
	expect_exit(ALL, MQW_FILTER_ON, do_unlisted, ENOSYS);
	expect_killed(ALL, MQW_FILTER_STRICT, do_unlisted);
	expect_exit(ALL, MQW_FILTER_ON, do_packet_socket, ENOSYS);
	expect_killed(ALL, MQW_FILTER_STRICT, do_packet_socket);
}

/* Each group is there when it is asked for, and only then. */
static void test_groups(void **state)
{
	static const struct {
		unsigned int may;
		int (*act)(void);
		int with;
	} rows[] = {
		{MQW_MAY_READ, do_open, ENOENT},
		{MQW_MAY_WRITE, do_mkdir, ENOENT},
		{MQW_MAY_CONNECT, do_unix_socket, 0},
		{MQW_MAY_CHOWN, do_chown, EBADF},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		expect_exit(rows[i].may, MQW_FILTER_STRICT, rows[i].act, rows[i].with);
		expect_exit(ALL, MQW_FILTER_ON, rows[i].act, rows[i].with);
		expect_exit(ALL & ~rows[i].may, MQW_FILTER_ON, rows[i].act, ENOSYS);
	}
}

static void test_what_goes_on(void **state)
{
	(void)state;
	expect_exit(0, MQW_FILTER_STRICT, do_thread, 7);
	expect_exit(DAEMON, MQW_FILTER_STRICT, do_lookup, 0);
	expect_exit(ALL, MQW_FILTER_STRICT, do_script, 0);
	expect_exit(ALL, MQW_FILTER_ON, do_script, 0);
}

static void test_narrowing(void **state)
{
	(void)state;
	expect_exit(ALL, MQW_FILTER_ON, do_narrow, ENOSYS);
}

static void test_off(void **state)
{
	(void)state;
	expect_exit(0, MQW_FILTER_OFF, do_open, ENOENT);
	expect_exit(0, MQW_FILTER_OFF, do_script, 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(mqw_filter_from_name("off"), MQW_FILTER_OFF);
	assert_int_equal(mqw_filter_from_name("on"), MQW_FILTER_ON);
	assert_int_equal(mqw_filter_from_name("strict"), MQW_FILTER_STRICT);
	assert_int_equal(mqw_filter_from_name("yes"), MQW_FILTER_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_unlisted),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_what_goes_on),
		cmocka_unit_test(test_narrowing),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
