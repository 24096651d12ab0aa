/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A helper that listens in a temporary directory, for the tests of both ends of the wire. */
#ifndef MQW_TESTS_UNIT_HELPER_FIXTURE_H
#define MQW_TESTS_UNIT_HELPER_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watchdogd/helper/serve.h"

/* Sanitizers and valgrind make calls of their own. */
#if defined(__SANITIZE_ADDRESS__)
#define FIXTURE_FILTER MQW_FILTER_OFF
#else
#define FIXTURE_FILTER                                                                             \
	(getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "valgrind") ? MQW_FILTER_OFF         \
									  : MQW_FILTER_STRICT)
#endif

struct fixture {
	char directory[64], config[128], socket[100], log[128];
	pid_t pid;
};

static inline void fixture_write(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* A configuration whose queues and state are below the directory. */
static inline void fixture_configure(const struct fixture *f, const char *mode)
{
	char text[2048];

	snprintf(text, sizeof(text),
		"version: 1\nmode: %s\nstate_directory: %s/state\ninstances:\n"
		"  - {name: outbound, type: postfix, queue: %s/queue}\n"
		"  - {name: good, type: postfix, restart_command: [/bin/sh, -c, \"exit 0\"]}\n"
		"  - {name: bad, type: postfix, restart_command: [/bin/sh, -c, \"echo no; exit "
		"3\"]}\n"
		"  - {name: foreign, type: nosuchmta, queue: %s/queue}\n",
		mode, f->directory, f->directory, f->directory);
	fixture_write(f->config, text, 0600);
}

static inline void fixture_start(struct fixture *f, uid_t allowed, int64_t receive_timeout)
{
	struct mqw_helper h = {.policy = {f->config, allowed, FIXTURE_FILTER},
		.allowed_user = allowed,
		.receive_timeout = receive_timeout};
	struct stat st;

	fflush(NULL);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		if (!freopen(f->log, "ae", stderr))
			_exit(99);
		setvbuf(stderr, NULL, _IOLBF, 0);
		_exit(mqw_helper_listen(&h, f->socket, getgid()) < 0);
	}
	for (int i = 0; i < 500 && (stat(f->socket, &st) < 0 || (st.st_mode & 0777) != 0660); i++)
		usleep(10000);
	assert_int_equal(stat(f->socket, &st), 0);
	/* From mode to listen() it is a moment yet; connect() is tried again by the tests. */
	usleep(20000);
}

static inline void fixture_stop(struct fixture *f)
{
	int status;

	if (!f->pid)
		return;
	kill(f->pid, SIGTERM);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	/* Ended by our signal, its socket taken away; not by a fault before. */
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
	assert_int_equal(access(f->socket, F_OK), -1);
	f->pid = 0;
}

static inline void fixture_make(struct fixture *f)
{
	char path[128];

	*f = (struct fixture){.directory = "/tmp/mqw-helper-XXXXXX"};
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->config, sizeof(f->config), "%s/watchdog.yaml", f->directory);
	snprintf(f->socket, sizeof(f->socket), "%s/helper.sock", f->directory);
	snprintf(f->log, sizeof(f->log), "%s/log", f->directory);
	for (const char *const *d = (const char *const[]){"queue", "state", "state/vault",
		     "state/vault/outbound", NULL};
		*d; d++) {
		snprintf(path, sizeof(path), "%s/%s", f->directory, *d);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	fixture_configure(f, "act");
}

static inline void fixture_remove(struct fixture *f)
{
	char command[128];

	fixture_stop(f);
	snprintf(command, sizeof(command), "rm -rf %s", f->directory);
	assert_int_equal(system(command), 0);
}

#endif
