/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/helper/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "watchdogd/base/clock.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define UNIT SYSTEMD ".Unit"
#define SERVICE SYSTEMD ".Service"
#define CALL_TIMEOUT (10 * MQW_SECOND)
#define REAL_UNITS_MAX 3 /* named in a text */

/* What a unit is and does; the strings are those of systemd's D-Bus interface. */
struct unit {
	const char *name;
	char *path; /* of its object */
	char *load_state, *active_state, *sub_state, *result;
	bool shell;
};

struct job {
	const char *path;
	char result[32]; /* "" while it runs */
};

static void unit_done(struct unit *u)
{
	free(u->path);
	free(u->load_state);
	free(u->active_state);
	free(u->sub_state);
	free(u->result);
	*u = (struct unit){0};
}

static const char *or_unknown(const char *s)
{
	return s && *s ? s : "unknown";
}

static int complain(struct mqw_buffer *text, const char *what, const char *unit,
	const sd_bus_error *error, int r)
{
	mqw_buffer_printf(text, "%s %s: ", what, unit);
	mqw_buffer_add_printable(
		text, mqw_slice_of(error && error->message ? error->message : strerror(-r)));
	return r;
}

/* Without a bus in between (systemd's private socket, tests) nobody has a name. */
static const char *destination(sd_bus *bus)
{
	return sd_bus_is_bus_client(bus) > 0 ? SYSTEMD : NULL;
}

static int get_string(
	sd_bus *bus, const struct unit *u, const char *interface, const char *name, char **ret)
{
	return sd_bus_get_property_string(
		bus, destination(bus), u->path, interface, name, NULL, ret);
}

static bool runs_nothing(const char *program)
{
	return !strcmp(program, "/bin/true") || !strcmp(program, "/usr/bin/true");
}

/* Whether each command of ExecStart is true(1); there may be none. */
static int starts_nothing(sd_bus *bus, const struct unit *u)
{
	sd_bus_message *m = NULL;
	const char *program;
	bool nothing = true;
	int r = sd_bus_get_property(
		bus, destination(bus), u->path, SERVICE, "ExecStart", NULL, &m, "a(sasbttttuii)");

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(sasbttttuii)");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sasbttttuii")) > 0) {
		r = sd_bus_message_read(m, "s", &program);
		if (r >= 0) {
			nothing &= runs_nothing(program);
			r = sd_bus_message_skip(m, "asbttttuii");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	sd_bus_message_unref(m);
	return r < 0 ? r : nothing;
}

static int look_at_service(sd_bus *bus, struct unit *u)
{
	char *type = NULL;
	int r = get_string(bus, u, UNIT, "ActiveState", &u->active_state);

	if (r >= 0)
		r = get_string(bus, u, UNIT, "SubState", &u->sub_state);
	if (r >= 0)
		r = get_string(bus, u, SERVICE, "Result", &u->result);
	if (r >= 0)
		r = get_string(bus, u, SERVICE, "Type", &type);
	if (r >= 0 && !strcmp(type, "oneshot")) {
		r = starts_nothing(bus, u);
		u->shell = r > 0;
	}
	free(type);
	return r;
}

/* 0 and the unit, for unit_done(); -ENOENT when there is none; or another negative errno. */
static int unit_load(sd_bus *bus, const char *name, struct unit *ret, struct mqw_buffer *text)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	const char *path;
	int r;

	*ret = (struct unit){.name = name};
	sd_bus_set_method_call_timeout(bus, (uint64_t)CALL_TIMEOUT);
	r = sd_bus_call_method(
		bus, destination(bus), MANAGER_PATH, MANAGER, "LoadUnit", &error, &m, "s", name);
	if (r >= 0)
		r = sd_bus_message_read(m, "o", &path);
	if (r >= 0) {
		ret->path = mqw_slice_dup(mqw_slice_of(path));
		r = ret->path ? get_string(bus, ret, UNIT, "LoadState", &ret->load_state) : -ENOMEM;
	}
	if (r >= 0 && strcmp(ret->load_state, "loaded") != 0) {
		mqw_buffer_printf(text, "%s cannot be used: systemd says that it is %s", name,
			or_unknown(ret->load_state));
		r = -ENOENT;
	} else {
		if (r >= 0)
			r = look_at_service(bus, ret);
		if (r < 0)
			complain(text, "systemd did not tell about", name, &error, r);
	}
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	if (r < 0)
		unit_done(ret);
	return r < 0 ? r : 0;
}

int mqw_service_exists(sd_bus *bus, const char *unit, struct mqw_buffer *ret_text)
{
	struct unit u;
	int r = unit_load(bus, unit, &u, ret_text);

	unit_done(&u);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* Units that are restarted with this one by their PartOf=: those that do the work. */
static void name_real_units(
	sd_bus *bus, const struct unit *u, const char *hint, struct mqw_buffer *text)
{
	sd_bus_message *m = NULL;
	const char *name;
	int count = 0;

	mqw_buffer_printf(text, "%s is only a shell that runs nothing itself", u->name);
	if (sd_bus_get_property(
		    bus, destination(bus), u->path, UNIT, "ConsistsOf", NULL, &m, "as") >= 0 &&
		sd_bus_message_enter_container(m, 'a', "s") > 0)
		while (count < REAL_UNITS_MAX && sd_bus_message_read(m, "s", &name) > 0) {
			mqw_buffer_add_str(
				text, count++ ? ", " : "; let service: name the real unit: ");
			mqw_buffer_add_printable(text, mqw_slice_of(name));
		}
	sd_bus_message_unref(m);
	if (!count && hint && strcmp(hint, u->name) != 0)
		mqw_buffer_printf(text, "; let service: name the real unit, such as %s", hint);
}

/* JobRemoved(u id, o job, s unit, s result) */
static int take_signal(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	struct job *job = ctx;
	const char *path, *unit, *result;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && job->path &&
		!strcmp(path, job->path))
		snprintf(job->result, sizeof(job->result), "%s", result);
	return 0;
}

static int64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

static int wait_for_job(sd_bus *bus, const struct job *job, int64_t timeout)
{
	int64_t deadline = monotonic() + timeout, left;

	while (!job->result[0]) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0)
			return r;
		if (r > 0)
			continue;
		left = deadline - monotonic();
		if (left <= 0)
			return -ETIMEDOUT;
		r = sd_bus_wait(bus, (uint64_t)left);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

/* 0 when systemd says that the job is done. job's result says what else it says. */
static int run_job(sd_bus *bus, const struct unit *u, struct job *job, int64_t timeout,
	struct mqw_buffer *text)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	sd_bus_slot *slot = NULL;
	/* First of all the ear: the job may end before its number is known here. */
	int r = sd_bus_match_signal(bus, &slot, destination(bus), MANAGER_PATH, MANAGER,
		"JobRemoved", take_signal, job);

	if (r >= 0)
		r = sd_bus_call_method(bus, destination(bus), MANAGER_PATH, MANAGER, "Subscribe",
			&error, NULL, NULL);
	if (r >= 0)
		r = sd_bus_call_method(bus, destination(bus), MANAGER_PATH, MANAGER, "RestartUnit",
			&error, &m, "ss", u->name, "replace");
	if (r >= 0)
		r = sd_bus_message_read(m, "o", &job->path);
	if (r >= 0)
		r = wait_for_job(bus, job, timeout);
	if (r == -ETIMEDOUT)
		mqw_buffer_printf(text, "%s: the restart did not end within %lld s", u->name,
			(long long)(timeout / MQW_SECOND));
	else if (r < 0)
		complain(text, "systemd did not restart", u->name, &error, r);
	job->path = NULL;
	sd_bus_slot_unref(slot);
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	return r < 0 ? r : 0;
}

static bool is_active(const struct unit *u)
{
	return !strcmp(u->active_state, "active") || !strcmp(u->active_state, "reloading");
}

int mqw_service_restart(sd_bus *bus, const char *unit, const char *hint, int64_t timeout,
	struct mqw_buffer *ret_text)
{
	struct job job = {0};
	struct unit u;
	int r = unit_load(bus, unit, &u, ret_text);

	if (r == 0 && u.shell) {
		name_real_units(bus, &u, hint, ret_text);
		r = -EPERM;
	}
	if (r == 0)
		r = run_job(bus, &u, &job, timeout, ret_text);
	unit_done(&u);
	if (r == 0)
		r = unit_load(bus, unit, &u, ret_text);
	if (r < 0)
		return r;
	/* "failed" comes with the unit's own reason, such as start-limit-hit or exit-code. */
	if (strcmp(job.result, "done") != 0 || !is_active(&u)) {
		mqw_buffer_printf(ret_text, "%s was not restarted: job %s, unit %s (%s), result %s",
			unit, job.result, or_unknown(u.active_state), or_unknown(u.sub_state),
			or_unknown(u.result));
		r = -EIO;
	} else {
		mqw_buffer_printf(ret_text, "%s was restarted and is %s (%s)", unit, u.active_state,
			or_unknown(u.sub_state));
	}
	unit_done(&u);
	return r;
}

int mqw_service_healthy(sd_bus *bus, const char *unit, struct mqw_buffer *ret_text)
{
	struct unit u;
	int r = unit_load(bus, unit, &u, ret_text);

	if (r < 0)
		return r;
	mqw_buffer_printf(ret_text, "%s is %s (%s)", unit, or_unknown(u.active_state),
		or_unknown(u.sub_state));
	if (u.shell)
		r = 1;
	else if (!is_active(&u))
		r = -ESRCH;
	if (r < 0 && u.result && strcmp(u.result, "success") != 0)
		mqw_buffer_printf(ret_text, ", result %s", u.result);
	unit_done(&u);
	return r;
}
