/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/daemon/progress.h"

static char path[64];
static int fd;

/* What systemd was told since the last call, one word a line; "" nothing. */
static const char *heard(void)
{
	static char text[1024];
	size_t at = 0;
	ssize_t n;

	text[0] = '\0';
	while ((n = recv(fd, text + at, sizeof(text) - at - 2, MSG_DONTWAIT)) > 0) {
		at += (size_t)n;
		memcpy(text + at, "\n", 2);
		at++;
	}
	return text;
}

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)state;
	snprintf(path, sizeof(path), "/tmp/mqw-notify-%d.sock", (int)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		setenv("NOTIFY_SOCKET", path, 1) < 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(fd);
	return unlink(path);
}

static void test_start(void **state)
{
	int64_t now = mqw_progress_clock();
	struct mqw_progress p;

	(void)state;
	setenv("WATCHDOG_USEC", "120000000", 1);
	mqw_progress_init(&p, now);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=60000000\n");
	mqw_progress_step(&p);
	assert_string_equal(heard(), "");
	/* Eleven seconds later, as the clock has it. */
	p.said_at -= 11 * MQW_SECOND;
	mqw_progress_step(&p);
	mqw_progress_step(&p);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=60000000\n");
	mqw_progress_ready(&p);
	assert_string_equal(heard(), "READY=1\n");
	mqw_progress_step(NULL);
}

static void test_turns(void **state)
{
	struct mqw_progress p;
	int64_t now = mqw_progress_clock();
	int words = 0;

	(void)state;
	setenv("WATCHDOG_USEC", "120000000", 1);
	mqw_progress_init(&p, now);
	mqw_progress_ready(&p);
	heard();
	for (int tick = 1; tick <= 3600; tick++) {
		mqw_progress_turn(&p, now + tick * MQW_SECOND);
		if (strcmp(heard(), "WATCHDOG=1\n") == 0)
			words++;
	}
	/* Every thirty seconds, of the 120 that systemd waits. */
	assert_int_equal(words, 120);
}

/* Long work in one turn of the loop keeps it alive. */
static void test_step(void **state)
{
	struct mqw_progress p;

	(void)state;
	setenv("WATCHDOG_USEC", "4000000", 1);
	mqw_progress_init(&p, mqw_progress_clock());
	mqw_progress_ready(&p);
	heard();
	p.said_at = mqw_progress_clock() - 2 * MQW_SECOND;
	mqw_progress_step(&p);
	mqw_progress_step(&p);
	assert_string_equal(heard(), "WATCHDOG=1\n");
}

static void test_nobody_waits(void **state)
{
	struct mqw_progress p;
	int64_t now = mqw_progress_clock();

	(void)state;
	unsetenv("WATCHDOG_USEC");
	mqw_progress_init(&p, now);
	mqw_progress_ready(&p);
	heard();
	mqw_progress_turn(&p, now + MQW_DAY);
	mqw_progress_step(&p);
	assert_string_equal(heard(), "");
}

static void test_status(void **state)
{
	struct mqw_progress p;
	char longer[400];

	(void)state;
	mqw_progress_init(&p, mqw_progress_clock());
	heard();
	mqw_progress_status(&p, "reading");
	mqw_progress_status(&p, "reading");
	assert_string_equal(heard(), "STATUS=reading\n");
	mqw_progress_status(&p, "reading the log");
	assert_string_equal(heard(), "STATUS=reading the log\n");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	mqw_progress_status(&p, longer);
	assert_int_equal(strlen(heard()), strlen("STATUS=\n") + sizeof(p.status) - 1);
	mqw_progress_status(&p, longer);
	assert_string_equal(heard(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
