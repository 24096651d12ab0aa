/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The API with answers made up here, served from a child process in a temporary directory. */
#ifndef MQW_TESTS_UNIT_API_FIXTURE_H
#define MQW_TESTS_UNIT_API_FIXTURE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watchdogd/api/api.h"

struct fixture {
	char directory[64], socket[100];
	pid_t pid; /* of the server; 0: none runs */
};

static inline void fixture_init(struct fixture *f)
{
	*f = (struct fixture){.directory = "/tmp/mqw-test-api-XXXXXX"};
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->socket, sizeof(f->socket), "%s/control.sock", f->directory);
}

/* The child's whole life: exit status 0 only after a clean end by SIGTERM. */
static inline int fixture_serve(const char *path, const struct mqw_api_ops *ops, int ready)
{
	struct mqw_api *api = NULL;
	sd_event *event = NULL;
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	if (sd_event_new(&event) < 0 || sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0)
		return 90;
	if (mqw_api_open(event, path, ops, &api) < 0)
		return 91;
	if (write(ready, "r", 1) != 1)
		return 92;
	close(ready);
	if (sd_event_loop(event) < 0)
		return 93;
	mqw_api_close(api);
	sd_event_unref(event);
	return 0;
}

static inline void fixture_start(struct fixture *f, const struct mqw_api_ops *ops)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		/* Nothing of a test that fails stays behind. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		exit(fixture_serve(f->socket, ops, ready[1]));
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

static inline int fixture_stop(struct fixture *f, int sig)
{
	int status = -1;

	kill(f->pid, sig);
	waitpid(f->pid, &status, 0);
	f->pid = 0;
	return status;
}

static inline void fixture_done(struct fixture *f)
{
	if (f->pid)
		assert_int_equal(fixture_stop(f, SIGTERM), 0);
	unlink(f->socket);
	assert_int_equal(rmdir(f->directory), 0);
}

/* One server for a group of tests. */
static inline int fixture_setup(void **state, const struct mqw_api_ops *ops)
{
	static struct fixture f;

	fixture_init(&f);
	fixture_start(&f, ops);
	*state = &f;
	return 0;
}

static inline int stop_server(void **state)
{
	fixture_done(*state);
	return 0;
}

#endif
