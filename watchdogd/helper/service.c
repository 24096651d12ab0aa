/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/helper/service.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/helper/unit.h"

#define SYSTEMD_SOCKET "unix:path=/run/systemd/private"

struct job {
	const char *path;
	char result[32]; /* "" while it runs */
};

/* As systemctl does it: systemd's own socket, for root alone, does not need the message bus. */
static int open_private(sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, SYSTEMD_SOCKET);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		*ret = bus;
	else
		sd_bus_unref(bus);
	return r;
}

int mqw_service_open(sd_bus **ret)
{
	int r = geteuid() == 0 ? open_private(ret) : -EPERM;

	if (r < 0)
		r = sd_bus_open_system(ret);
	return r < 0 ? r : 0;
}

static const char *or_unknown(const char *s)
{
	return s && *s ? s : "unknown";
}

/* 1 when the unit can be used, 0 when not, or a negative errno. */
static int exists(sd_bus *bus, const char *unit, struct mqw_buffer *text)
{
	struct mqw_unit u;
	int r = mqw_unit_load(bus, unit, &u, text);

	mqw_unit_done(&u);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int mqw_service_find(sd_bus *bus, const char *configured, const char *usual, char *ret, size_t size,
	struct mqw_buffer *ret_text)
{
	const char *at = usual ? strstr(usual, "@-.") : NULL;
	struct mqw_buffer why = {0};
	int r;

	if (configured)
		return snprintf(ret, size, "%s", configured) < (int)size ? 1 : -ENAMETOOLONG;
	if (!usual) {
		mqw_buffer_add_str(ret_text, "no unit is known to restart: configure service:");
		return 0;
	}
	snprintf(ret, size, "%s", usual);
	r = exists(bus, ret, &why);
	if (r == 0 && at) {
		snprintf(ret, size, "%.*s%s", (int)(at - usual), usual, at + 2);
		mqw_buffer_clear(&why);
		r = exists(bus, ret, &why);
	}
	mqw_buffer_add(ret_text, mqw_buffer_slice(&why));
	mqw_buffer_done(&why);
	return r;
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

/* The clock that systemd stamps its units with. */
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

/*
 * 0 when the job has ended; job's result says how. Mode "fail": a job that somebody else has queued,
 * such as a stop, is not replaced by ours.
 */
static int run_job(sd_bus *bus, const struct mqw_unit *u, struct job *job, int64_t timeout,
	struct mqw_buffer *text)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	sd_bus_slot *slot = NULL;
	/* First of all the ear: the job may end before its number is known here. */
	int r = sd_bus_match_signal(bus, &slot, mqw_unit_destination(bus), MQW_SYSTEMD_PATH,
		MQW_SYSTEMD_MANAGER, "JobRemoved", take_signal, job);

	if (r >= 0)
		r = sd_bus_call_method(bus, mqw_unit_destination(bus), MQW_SYSTEMD_PATH,
			MQW_SYSTEMD_MANAGER, "Subscribe", &error, NULL, NULL);
	if (r >= 0)
		r = sd_bus_call_method(bus, mqw_unit_destination(bus), MQW_SYSTEMD_PATH,
			MQW_SYSTEMD_MANAGER, "RestartUnit", &error, &m, "ss", u->name, "fail");
	if (r >= 0)
		r = sd_bus_message_read(m, "o", &job->path);
	if (r >= 0)
		r = wait_for_job(bus, job, timeout);
	if (r == -ETIMEDOUT)
		mqw_buffer_printf(text, "%s: the restart did not end within %lld s", u->name,
			(long long)(timeout / MQW_SECOND));
	else if (r < 0) {
		mqw_buffer_printf(text, "systemd did not restart %s: ", u->name);
		mqw_buffer_add_printable(
			text, mqw_slice_of(error.message ? error.message : strerror(-r)));
	}
	job->path = NULL;
	sd_bus_slot_unref(slot);
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	return r < 0 ? r : 0;
}

/* "failed" comes with the unit's own reason, such as start-limit-hit or exit-code. */
static void say_failed(const struct mqw_unit *u, const struct job *job, struct mqw_buffer *text)
{
	mqw_buffer_printf(text, "%s was not restarted: job %s, unit %s (%s), result %s", u->name,
		job->result, or_unknown(u->active_state), or_unknown(u->sub_state),
		or_unknown(u->result));
	if (!strcmp(or_unknown(u->result), "start-limit-hit"))
		mqw_unit_add_reset(u, text);
}

int mqw_service_restart(sd_bus *bus, const char *unit, const char *hint, int64_t timeout,
	struct mqw_buffer *ret_text)
{
	struct job job = {0};
	struct mqw_unit u;
	int r = mqw_unit_load(bus, unit, &u, ret_text);

	if (r == 0)
		r = mqw_unit_may_restart(bus, &u, hint, (uint64_t)monotonic(), ret_text);
	if (r == 0)
		r = run_job(bus, &u, &job, timeout, ret_text);
	mqw_unit_done(&u);
	if (r == 0)
		r = mqw_unit_load(bus, unit, &u, ret_text);
	if (r < 0)
		return r;
	if (strcmp(job.result, "done") != 0 || !mqw_unit_is_active(&u)) {
		say_failed(&u, &job, ret_text);
		r = -EIO;
	} else {
		mqw_buffer_printf(ret_text, "%s was restarted and is %s (%s)", unit, u.active_state,
			or_unknown(u.sub_state));
	}
	mqw_unit_done(&u);
	return r;
}

int mqw_service_healthy(sd_bus *bus, const char *unit, struct mqw_buffer *ret_text)
{
	struct mqw_unit u;
	int r = mqw_unit_load(bus, unit, &u, ret_text);

	if (r < 0)
		return r;
	mqw_buffer_printf(ret_text, "%s is %s (%s)", unit, or_unknown(u.active_state),
		or_unknown(u.sub_state));
	if (u.shell)
		r = 1;
	else if (!mqw_unit_is_active(&u))
		r = -ESRCH;
	if (r < 0 && u.result && strcmp(u.result, "success") != 0)
		mqw_buffer_printf(ret_text, ", result %s", u.result);
	mqw_unit_done(&u);
	return r;
}

int mqw_service_advise(sd_bus *bus, const char *unit, const char *hint, struct mqw_buffer *ret_text)
{
	struct mqw_unit u;
	int r = mqw_unit_load(bus, unit, &u, ret_text);

	if (r == 0)
		r = mqw_unit_may_restart(bus, &u, hint, (uint64_t)monotonic(), ret_text);
	mqw_unit_done(&u);
	return r == -ENOENT || r == -EPERM ? 1 : r;
}
