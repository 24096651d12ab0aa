/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/helper/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "watchdogd/base/clock.h"

#define UNIT MQW_SYSTEMD ".Unit"
#define SERVICE MQW_SYSTEMD ".Service"
#define CALL_TIMEOUT (10 * MQW_SECOND)
#define REAL_UNITS_MAX 3 /* named in a text */

void mqw_unit_done(struct mqw_unit *u)
{
	free(u->path);
	free(u->load_state);
	free(u->active_state);
	free(u->sub_state);
	free(u->result);
	*u = (struct mqw_unit){0};
}

const char *mqw_unit_destination(sd_bus *bus)
{
	return sd_bus_is_bus_client(bus) > 0 ? MQW_SYSTEMD : NULL;
}

static int get_string(
	sd_bus *bus, const struct mqw_unit *u, const char *interface, const char *name, char **ret)
{
	return sd_bus_get_property_string(
		bus, mqw_unit_destination(bus), u->path, interface, name, NULL, ret);
}

/* type: 't' for uint64_t, 'u' for uint32_t. */
static int get_number(sd_bus *bus, const struct mqw_unit *u, const char *interface,
	const char *name, char type, void *ret)
{
	return sd_bus_get_property_trivial(
		bus, mqw_unit_destination(bus), u->path, interface, name, NULL, type, ret);
}

static bool runs_nothing(const char *program)
{
	return !strcmp(program, "/bin/true") || !strcmp(program, "/usr/bin/true");
}

/* Whether each command of ExecStart is true(1); there may be none. */
static int starts_nothing(sd_bus *bus, const struct mqw_unit *u)
{
	sd_bus_message *m = NULL;
	const char *program;
	bool nothing = true;
	int r = sd_bus_get_property(bus, mqw_unit_destination(bus), u->path, SERVICE, "ExecStart",
		NULL, &m, "a(sasbttttuii)");

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

static int look_at_state(sd_bus *bus, struct mqw_unit *u)
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

static int look_at_starts(sd_bus *bus, struct mqw_unit *u)
{
	int r = get_number(bus, u, UNIT, "StartLimitIntervalUSec", 't', &u->limit_interval);

	if (r >= 0)
		r = get_number(bus, u, UNIT, "StartLimitBurst", 'u', &u->limit_burst);
	if (r >= 0)
		r = get_number(bus, u, SERVICE, "NRestarts", 'u', &u->restarts);
	if (r >= 0)
		r = get_number(
			bus, u, UNIT, "InactiveExitTimestampMonotonic", 't', &u->left_inactive_at);
	if (r >= 0)
		r = get_number(bus, u, UNIT, "StateChangeTimestampMonotonic", 't', &u->changed_at);
	if (r >= 0)
		r = get_number(
			bus, u, SERVICE, "ExecMainStartTimestampMonotonic", 't', &u->started_at);
	return r;
}

static void say_unusable(const struct mqw_unit *u, struct mqw_buffer *text)
{
	mqw_buffer_printf(text, "%s cannot be used: systemd says that it is %s", u->name,
		u->load_state[0] ? u->load_state : "unknown");
	if (!strcmp(u->load_state, "masked"))
		mqw_buffer_printf(text,
			", which an administrator made it (`systemctl unmask %s` undoes that)",
			u->name);
}

/* What the unit is: -ENOENT, said, when it is nothing that could be restarted. */
static int look_at(sd_bus *bus, struct mqw_unit *u, struct mqw_buffer *text)
{
	int r = get_string(bus, u, UNIT, "LoadState", &u->load_state);

	if (r >= 0 && strcmp(u->load_state, "loaded") != 0) {
		say_unusable(u, text);
		return -ENOENT;
	}
	if (r >= 0)
		r = look_at_state(bus, u);
	return r < 0 ? r : look_at_starts(bus, u);
}

int mqw_unit_load(sd_bus *bus, const char *name, struct mqw_unit *ret, struct mqw_buffer *text)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	const char *path;
	int r;

	*ret = (struct mqw_unit){.name = name};
	sd_bus_set_method_call_timeout(bus, (uint64_t)CALL_TIMEOUT);
	r = sd_bus_call_method(bus, mqw_unit_destination(bus), MQW_SYSTEMD_PATH,
		MQW_SYSTEMD_MANAGER, "LoadUnit", &error, &m, "s", name);
	if (r >= 0)
		r = sd_bus_message_read(m, "o", &path);
	if (r >= 0) {
		ret->path = mqw_slice_dup(mqw_slice_of(path));
		r = ret->path ? look_at(bus, ret, text) : -ENOMEM;
	}
	if (r < 0 && r != -ENOENT) {
		mqw_buffer_printf(text, "systemd did not tell about %s: ", name);
		mqw_buffer_add_printable(
			text, mqw_slice_of(error.message ? error.message : strerror(-r)));
	}
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	if (r < 0)
		mqw_unit_done(ret);
	return r < 0 ? r : 0;
}

bool mqw_unit_is_active(const struct mqw_unit *u)
{
	return !strcmp(u->active_state, "active") || !strcmp(u->active_state, "reloading");
}

/* Units that are restarted with this one by their PartOf=: those that do the work. */
static void name_real_units(
	sd_bus *bus, const struct mqw_unit *u, const char *hint, struct mqw_buffer *text)
{
	sd_bus_message *m = NULL;
	const char *name;
	int count = 0;

	mqw_buffer_printf(text, "%s is only a shell that runs nothing itself", u->name);
	if (sd_bus_get_property(bus, mqw_unit_destination(bus), u->path, UNIT, "ConsistsOf", NULL,
		    &m, "as") >= 0 &&
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

/*
 * Why a unit in this state is left alone; what is not here may be restarted. A service that fails
 * is failed, not inactive: inactive is what somebody stopped, or what ended as it should. One that
 * answers a wanted stop with a failure cannot be told from one that failed.
 */
static const struct {
	const char *active_state, *why;
} left_alone[] = {
	{"inactive",
		"is stopped, and that was nobody's failure: what somebody stopped is not "
		"started from here"},
	{"deactivating", "is being stopped just now"},
	{"maintenance", "is in maintenance"},
};

static const char *why_left_alone(const struct mqw_unit *u)
{
	for (size_t i = 0; i < sizeof(left_alone) / sizeof(left_alone[0]); i++)
		if (!strcmp(u->active_state, left_alone[i].active_state))
			return left_alone[i].why;
	return NULL;
}

void mqw_unit_add_reset(const struct mqw_unit *u, struct mqw_buffer *text)
{
	mqw_buffer_printf(text, "; `systemctl reset-failed %s` clears it", u->name);
}

static bool is_within(uint64_t then, uint64_t interval, uint64_t now)
{
	return then && (now < then || now - then <= interval);
}

/*
 * systemd keeps the count of starts to itself. What can be seen: that it has just refused one; and
 * that so many of its own restarts, or the one start that is allowed, may lie in the interval. The
 * interval begins with its first start, so that a last start older than it leaves room in any case.
 */
static bool is_limit_reached(const struct mqw_unit *u, uint64_t now)
{
	uint64_t last = u->started_at > u->left_inactive_at ? u->started_at : u->left_inactive_at;

	if (!u->limit_interval || !u->limit_burst)
		return false;
	if (!strcmp(u->result, "start-limit-hit") && !mqw_unit_is_active(u))
		return is_within(u->changed_at, u->limit_interval, now);
	return u->restarts >= u->limit_burst - 1 && is_within(last, u->limit_interval, now);
}

int mqw_unit_may_restart(sd_bus *bus, const struct mqw_unit *u, const char *hint, uint64_t now,
	struct mqw_buffer *text)
{
	const char *why = why_left_alone(u);

	if (u->shell) {
		name_real_units(bus, u, hint, text);
	} else if (why) {
		mqw_buffer_printf(text, "%s %s", u->name, why);
	} else if (is_limit_reached(u, now)) {
		mqw_buffer_printf(text,
			"%s is not restarted: systemd would refuse the start and leave it down, "
			"by its limit of %u in ",
			u->name, u->limit_burst);
		if (u->limit_interval <= INT64_MAX)
			mqw_span_format(text, (int64_t)u->limit_interval);
		else
			mqw_buffer_add_str(text, "any time");
		mqw_unit_add_reset(u, text);
	} else {
		return 0;
	}
	return -EPERM;
}
