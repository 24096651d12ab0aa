/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Against a stand-in for systemd at the other end of a socket pair, which plays one unit a name. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/helper/service.h"

#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNITS MANAGER_PATH "/unit"
#define TIMEOUT (20 * MQW_SECOND)

static const struct part {
	const char *name, *load, *active, *sub, *result, *type, *program, *consists_of;
	const char *job; /* result of a restart; NULL: it never ends */
	bool forbidden;
	int ago; /* seconds since it was started, and became what it is; 0 never */
	uint32_t restarts, burst; /* its own; burst in interval seconds */
	int interval;
} parts[] = {
	{"good", "loaded", "active", "running", "success", "forking", "/usr/sbin/x", NULL, "done",
		false, 0, 0, 0, 0},
	{"worker", "loaded", "active", "exited", "success", "oneshot", "/usr/sbin/x", NULL, "done",
		false, 0, 0, 0, 0},
	{"limited", "loaded", "failed", "failed", "start-limit-hit", "simple", "/usr/sbin/x", NULL,
		"done", false, 5, 0, 5, 10},
	{"hopeless", "loaded", "failed", "failed", "start-limit-hit", "simple", "/usr/sbin/x", NULL,
		"failed", false, 11, 0, 5, 10},
	{"single", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, "done",
		false, 3500, 0, 1, 3600},
	{"restless", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL,
		"done", false, 5, 4, 5, 10},
	{"busy", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, "done",
		false, 5, 3, 5, 10},
	{"calm", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, "done",
		false, 11, 400, 5, 10},
	{"free", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, "done",
		false, 1, 400, 5, 0},
	{"stopped", "loaded", "inactive", "dead", "success", "simple", "/usr/sbin/x", NULL, "done",
		false, 60, 0, 5, 10},
	{"stopping", "loaded", "deactivating", "stop-sigterm", "success", "simple", "/usr/sbin/x",
		NULL, "done", false, 60, 0, 5, 10},
	{"dies", "loaded", "failed", "failed", "exit-code", "simple", "/usr/sbin/x", NULL, "done",
		false, 0, 0, 0, 0},
	{"starting", "loaded", "activating", "start", "success", "notify", "/usr/sbin/x", NULL,
		"done", false, 0, 0, 0, 0},
	{"slow", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, NULL,
		false, 0, 0, 0, 0},
	{"shell", "loaded", "active", "exited", "success", "oneshot", "/bin/true", "real@-.service",
		"done", false, 0, 0, 0, 0},
	{"bare", "loaded", "active", "exited", "success", "oneshot", NULL, NULL, "done", false, 0,
		0, 0, 0},
	{"plain@-", "not-found", "inactive", "dead", "success", "", NULL, NULL, "done", false, 0, 0,
		0, 0},
	{"plain", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, "done",
		false, 0, 0, 0, 0},
	{"ghost", "not-found", "inactive", "dead", "success", "", NULL, NULL, "done", false, 0, 0,
		0, 0},
	{"masked", "masked", "inactive", "dead", "success", "", NULL, NULL, "done", false, 0, 0, 0,
		0},
	{"denied", "loaded", "active", "running", "success", "simple", "/usr/sbin/x", NULL, "done",
		true, 0, 0, 0, 0},
};

static const struct part *find_part(const char *text)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strncmp(text, parts[i].name, strlen(parts[i].name)) == 0)
			return &parts[i];
	return NULL;
}

static const struct part *part_at(const char *path)
{
	return &parts[strtoul(strrchr(path, '/') + sizeof("/part") - 1, NULL, 10)];
}

static int load_unit(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	const struct part *p;
	const char *name;
	char path[128];

	(void)ctx;
	if (sd_bus_message_read(m, "s", &name) < 0 || !(p = find_part(name)))
		return sd_bus_error_setf(error, "org.example.NoPart", "no such part");
	/* An object's path takes neither "@" nor "-". */
	snprintf(path, sizeof(path), UNITS "/part%zu", (size_t)(p - parts));
	return sd_bus_reply_method_return(m, "o", path);
}

static int subscribe(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	(void)ctx;
	(void)error;
	return sd_bus_reply_method_return(m, NULL);
}

static int job_removed(sd_bus *bus, uint32_t id, const char *unit, const char *result)
{
	char path[64];

	snprintf(path, sizeof(path), MANAGER_PATH "/job/%u", id);
	return sd_bus_emit_signal(
		bus, MANAGER_PATH, MANAGER, "JobRemoved", "uoss", id, path, unit, result);
}

/* The job ends before its number is told, and another one just after: both happen. */
static int restart_unit(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	sd_bus *bus = sd_bus_message_get_bus(m);
	const char *name, *mode;
	const struct part *p;
	int r;

	(void)ctx;
	if (sd_bus_message_read(m, "ss", &name, &mode) < 0 || strcmp(mode, "fail") != 0 ||
		!(p = find_part(name)))
		return sd_bus_error_setf(error, "org.example.NoPart", "no such part");
	if (p->forbidden)
		return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "Access\ndenied");
	r = job_removed(bus, 6, name, "canceled");
	if (r >= 0 && p->job)
		r = job_removed(bus, 7, name, p->job);
	if (r >= 0)
		r = job_removed(bus, 8, "other.service", "dependency");
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", MANAGER_PATH "/job/7");
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *ctx, sd_bus_error *error)
{
	const struct part *p = part_at(path);

	(void)bus;
	(void)interface;
	(void)ctx;
	(void)error;
	if (!strcmp(property, "ConsistsOf"))
		return p->consists_of ? sd_bus_message_append(reply, "as", 1, p->consists_of)
				      : sd_bus_message_append(reply, "as", 0);
	if (!strcmp(property, "ExecStart"))
		return p->program ? sd_bus_message_append(reply, "a(sasbttttuii)", 1, p->program, 1,
					    p->program, 0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
					    (uint64_t)0, 0u, 0, 0)
				  : sd_bus_message_append(reply, "a(sasbttttuii)", 0);
	return sd_bus_message_append(reply, "s",
		!strcmp(property, "LoadState")             ? p->load
			: !strcmp(property, "ActiveState") ? p->active
			: !strcmp(property, "SubState")    ? p->sub
			: !strcmp(property, "Result")      ? p->result
							   : p->type);
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *ctx, sd_bus_error *error)
{
	const struct part *p = part_at(path);
	struct timespec now;

	(void)bus;
	(void)interface;
	(void)ctx;
	(void)error;
	if (!strcmp(property, "StartLimitBurst"))
		return sd_bus_message_append(reply, "u", p->burst);
	if (!strcmp(property, "NRestarts"))
		return sd_bus_message_append(reply, "u", p->restarts);
	if (!strcmp(property, "StartLimitIntervalUSec"))
		return sd_bus_message_append(reply, "t", (uint64_t)(p->interval * MQW_SECOND));
	clock_gettime(CLOCK_MONOTONIC, &now);
	return sd_bus_message_append(
		reply, "t", p->ago ? (uint64_t)((now.tv_sec - p->ago) * MQW_SECOND) : (uint64_t)0);
}

static const sd_bus_vtable manager_table[] = {SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("LoadUnit", "s", "o", load_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Subscribe", "", "", subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("RestartUnit", "ss", "o", restart_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("JobRemoved", "uoss", 0), SD_BUS_VTABLE_END};

static const sd_bus_vtable unit_table[] = {SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("LoadState", "s", get_property, 0, 0),
	SD_BUS_PROPERTY("ActiveState", "s", get_property, 0, 0),
	SD_BUS_PROPERTY("SubState", "s", get_property, 0, 0),
	SD_BUS_PROPERTY("ConsistsOf", "as", get_property, 0, 0),
	SD_BUS_PROPERTY("StartLimitIntervalUSec", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("StartLimitBurst", "u", get_number, 0, 0),
	SD_BUS_PROPERTY("InactiveExitTimestampMonotonic", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("StateChangeTimestampMonotonic", "t", get_number, 0, 0), SD_BUS_VTABLE_END};

static const sd_bus_vtable service_table[] = {SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Type", "s", get_property, 0, 0),
	SD_BUS_PROPERTY("Result", "s", get_property, 0, 0),
	SD_BUS_PROPERTY("ExecStart", "a(sasbttttuii)", get_property, 0, 0),
	SD_BUS_PROPERTY("NRestarts", "u", get_number, 0, 0),
	SD_BUS_PROPERTY("ExecMainStartTimestampMonotonic", "t", get_number, 0, 0),
	SD_BUS_VTABLE_END};

static int always(sd_bus *bus, const char *path, const char *interface, void *ctx, void **ret,
	sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)error;
	*ret = ctx;
	return 1;
}

static int play(int fd)
{
	sd_id128_t id =
		SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
	static int something;
	sd_bus *bus;
	int r = sd_bus_new(&bus);

	if (r < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, 1, id) < 0 ||
		sd_bus_set_anonymous(bus, 1) < 0 ||
		sd_bus_add_object_vtable(bus, NULL, MANAGER_PATH, MANAGER, manager_table, NULL) <
			0 ||
		sd_bus_add_fallback_vtable(bus, NULL, UNITS, "org.freedesktop.systemd1.Unit",
			unit_table, always, &something) < 0 ||
		sd_bus_add_fallback_vtable(bus, NULL, UNITS, "org.freedesktop.systemd1.Service",
			service_table, always, &something) < 0 ||
		sd_bus_start(bus) < 0)
		return 1;
	while ((r = sd_bus_process(bus, NULL)) >= 0)
		if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
			break;
	return 0;
}

struct stage {
	sd_bus *bus;
	pid_t pid;
};

static int setup(void **state)
{
	static struct stage s;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	s.pid = fork();
	if (s.pid == 0) {
		close(fds[1]);
		_exit(play(fds[0]));
	}
	close(fds[0]);
	assert_true(sd_bus_new(&s.bus) >= 0);
	assert_true(sd_bus_set_fd(s.bus, fds[1], fds[1]) >= 0);
	assert_true(sd_bus_set_anonymous(s.bus, 1) >= 0);
	assert_true(sd_bus_start(s.bus) >= 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	sd_bus_flush_close_unref(s->bus);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	return 0;
}

static void test_restart(void **state)
{
	static const struct {
		const char *unit, *hint;
		int want;
		const char *text;
	} rows[] = {
		{"good.service", NULL, 0, "good.service was restarted and is active (running)"},
		{"worker.service", NULL, 0, "worker.service was restarted and is active (exited)"},
		{"limited.service", NULL, -EPERM,
			"limited.service is not restarted: systemd would refuse the start and "
			"leave it down, by its limit of 5 in 10 s; `systemctl reset-failed "
			"limited.service` clears it"},
		{"hopeless.service", NULL, -EIO,
			"hopeless.service was not restarted: job failed, unit failed (failed), "
			"result start-limit-hit; `systemctl reset-failed hopeless.service` clears "
			"it"},
		{"single.service", NULL, -EPERM,
			"single.service is not restarted: systemd would refuse the start and leave "
			"it down, by its limit of 1 in 60 min; `systemctl reset-failed "
			"single.service` clears it"},
		{"restless.service", NULL, -EPERM,
			"restless.service is not restarted: systemd would refuse the start and "
			"leave it down, by its limit of 5 in 10 s; `systemctl reset-failed "
			"restless.service` clears it"},
		{"busy.service", NULL, 0, "busy.service was restarted and is active (running)"},
		{"calm.service", NULL, 0, "calm.service was restarted and is active (running)"},
		{"free.service", NULL, 0, "free.service was restarted and is active (running)"},
		{"stopped.service", NULL, -EPERM,
			"stopped.service is stopped, and that was nobody's failure: what somebody "
			"stopped is not started from here"},
		{"stopping.service", NULL, -EPERM, "stopping.service is being stopped just now"},
		{"dies.service", NULL, -EIO,
			"dies.service was not restarted: job done, unit failed (failed), result "
			"exit-code"},
		{"starting.service", NULL, -EIO,
			"starting.service was not restarted: job done, unit activating (start), "
			"result "
			"success"},
		{"shell.service", "other.service", -EPERM,
			"shell.service is only a shell that runs nothing itself; let service: name "
			"the "
			"real unit: real@-.service"},
		{"bare.service", "other.service", -EPERM,
			"bare.service is only a shell that runs nothing itself; let service: name "
			"the "
			"real unit, such as other.service"},
		{"bare.service", "bare.service", -EPERM,
			"bare.service is only a shell that runs nothing itself"},
		{"ghost.service", NULL, -ENOENT,
			"ghost.service cannot be used: systemd says that it is not-found"},
		{"masked.service", NULL, -ENOENT,
			"masked.service cannot be used: systemd says that it is masked, which an "
			"administrator made it (`systemctl unmask masked.service` undoes that)"},
		{"denied.service", NULL, -EACCES,
			"systemd did not restart denied.service: Access\\x0adenied"},
	};
	struct stage *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_buffer text = {0};
		int r = mqw_service_restart(s->bus, rows[i].unit, rows[i].hint, TIMEOUT, &text);

		if (r != rows[i].want || strcmp(mqw_buffer_str(&text), rows[i].text) != 0)
			fail_msg("%s: %d, \"%s\"", rows[i].unit, r, mqw_buffer_str(&text));
		mqw_buffer_done(&text);
	}
}

static void test_restart_without_end(void **state)
{
	struct stage *s = *state;
	struct mqw_buffer text = {0};

	assert_int_equal(
		mqw_service_restart(s->bus, "slow.service", NULL, MQW_SECOND, &text), -ETIMEDOUT);
	assert_string_equal(
		mqw_buffer_str(&text), "slow.service: the restart did not end within 1 s");
	mqw_buffer_clear(&text);
	/* The connection is as good as before. */
	assert_int_equal(mqw_service_restart(s->bus, "good.service", NULL, TIMEOUT, &text), 0);
	mqw_buffer_done(&text);
}

static void test_healthy(void **state)
{
	static const struct {
		const char *unit;
		int want;
		const char *text;
	} rows[] = {
		{"good.service", 0, "good.service is active (running)"},
		{"limited.service", -ESRCH,
			"limited.service is failed (failed), result start-limit-hit"},
		{"starting.service", -ESRCH, "starting.service is activating (start)"},
		{"shell.service", 1, "shell.service is active (exited)"},
		{"ghost.service", -ENOENT,
			"ghost.service cannot be used: systemd says that it is not-found"},
	};
	struct stage *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_buffer text = {0};
		int r = mqw_service_healthy(s->bus, rows[i].unit, &text);

		if (r != rows[i].want || strcmp(mqw_buffer_str(&text), rows[i].text) != 0)
			fail_msg("%s: %d, \"%s\"", rows[i].unit, r, mqw_buffer_str(&text));
		mqw_buffer_done(&text);
	}
}

static void test_find(void **state)
{
	static const struct {
		const char *configured, *usual;
		int want;
		const char *unit;
	} rows[] = {
		{"ghost.service", "good.service", 1, "ghost.service"},
		{NULL, "good@-.service", 1, "good@-.service"},
		{NULL, "ghost@-.service", 0, NULL},
		{NULL, "masked.service", 0, NULL},
		{NULL, NULL, 0, NULL},
	};
	struct stage *s = *state;
	struct mqw_buffer text = {0};
	char unit[32];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mqw_buffer_clear(&text);
		assert_int_equal(mqw_service_find(s->bus, rows[i].configured, rows[i].usual, unit,
					 sizeof(unit), &text),
			rows[i].want);
		assert_int_equal(text.len == 0, rows[i].want);
		if (rows[i].unit)
			assert_string_equal(unit, rows[i].unit);
	}
	kill(s->pid, SIGKILL);
	assert_true(mqw_service_find(s->bus, NULL, "good.service", unit, sizeof(unit), &text) < 0);
	mqw_buffer_done(&text);
}

/* Debian has an instance of a template, others a plain unit: whichever is there. */
static void test_find_plain(void **state)
{
	struct stage *s = *state;
	struct mqw_buffer text = {0};
	char unit[32];

	assert_int_equal(
		mqw_service_find(s->bus, NULL, "plain@-.service", unit, sizeof(unit), &text), 1);
	assert_string_equal(unit, "plain.service");
	assert_int_equal(text.len, 0);
	mqw_buffer_done(&text);
}

static void test_advise(void **state)
{
	static const struct {
		const char *unit;
		int want;
		const char *text;
	} rows[] = {
		{"good.service", 0, ""},
		{"dies.service", 0, ""},
		{"shell.service", 1,
			"shell.service is only a shell that runs nothing itself; let service: name "
			"the real unit: real@-.service"},
		{"ghost.service", 1,
			"ghost.service cannot be used: systemd says that it is not-found"},
		{"stopping.service", 1, "stopping.service is being stopped just now"},
		{"nobody.service", -EIO, "systemd did not tell about nobody.service: no such part"},
	};
	struct stage *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_buffer text = {0};
		int r = mqw_service_advise(s->bus, rows[i].unit, NULL, &text);

		if ((r < 0 ? -EIO : r) != rows[i].want ||
			strcmp(mqw_buffer_str(&text), rows[i].text) != 0)
			fail_msg("%s: %d, \"%s\"", rows[i].unit, r, mqw_buffer_str(&text));
		mqw_buffer_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_healthy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_advise, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
