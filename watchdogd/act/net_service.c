/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/net_service.h"

#include <errno.h>
#include <stdio.h>

#include "watchdogd/base/clock.h"

#define PAUSE MQW_SECOND
/* Windows gives a service 20 s to stop, and services ask for more; one that is stopping is waited for,
 * since nobody else would start it again. */
#define STOP_LIMIT MQW_MINUTE
#define STOPPING_LIMIT (3 * MQW_MINUTE)
#define START_LIMIT (2 * MQW_MINUTE)
#define LOOK_LIMIT (40 * MQW_SECOND)

/* The words of Samba's svc_status_string(), source3/utils/net_rpc_service.c. */
static const char *const state_names[MQW_SERVICE_STATE_COUNT] = {
	[MQW_SERVICE_UNKNOWN] = "in a state that is not known",
	[MQW_SERVICE_STOPPED] = "stopped",
	[MQW_SERVICE_START_PENDING] = "start pending",
	[MQW_SERVICE_STOP_PENDING] = "stop pending",
	[MQW_SERVICE_RUNNING] = "running",
	[MQW_SERVICE_CONTINUE_PENDING] = "resume pending",
	[MQW_SERVICE_PAUSE_PENDING] = "pause pending",
	[MQW_SERVICE_PAUSED] = "paused",
};

enum meaning {
	REFUSED, /* nothing was done */
	MISSING, /* there is no such service */
	UNSURE, /* it may have been done, and the answer is missing */
};

/* Errors that a person can do something about; the first that occurs in the output counts. */
static const struct {
	const char *word;
	enum meaning meaning;
	const char *means;
} errors[] = {
	{"WERR_SERVICE_DOES_NOT_EXIST", MISSING, "there is no such service"},
	{"WERR_ACCESS_DENIED", REFUSED,
		"the user of the credentials may not stop and start services: it has to be in "
		"Administrators there"},
	{"WERR_DEPENDENT_SERVICES_RUNNING", REFUSED,
		"other services depend on it, and run: name the one that they all depend on, or "
		"use "
		"restart_command:"},
	{"WERR_SERVICE_DISABLED", REFUSED, "the service is disabled there"},
	{"WERR_SERVICE_LOGON_FAILED", REFUSED, "the service's own account cannot log on there"},
	{"WERR_SERVICE_REQUEST_TIMEOUT", UNSURE, "the service does not answer its own host"},
	{"NT_STATUS_LOGON_FAILURE", REFUSED, "user name or password of the credentials are wrong"},
	{"NT_STATUS_WRONG_PASSWORD", REFUSED, "the password of the credentials is wrong"},
	{"NT_STATUS_ACCOUNT_LOCKED_OUT", REFUSED, "the account of the credentials is locked out"},
	{"NT_STATUS_ACCOUNT_DISABLED", REFUSED, "the account of the credentials is disabled"},
	{"NT_STATUS_PASSWORD_EXPIRED", REFUSED, "the password of the credentials has expired"},
	{"NT_STATUS_PASSWORD_MUST_CHANGE", REFUSED,
		"the password of the credentials must be changed"},
	{"NT_STATUS_ACCESS_DENIED", REFUSED, "the user of the credentials is not let in"},
	{"NT_STATUS_CONNECTION_REFUSED", REFUSED, "the host refuses the connection on port 445"},
	{"NT_STATUS_HOST_UNREACHABLE", REFUSED, "the host cannot be reached"},
	{"NT_STATUS_NETWORK_UNREACHABLE", REFUSED, "there is no way to the network of the host"},
	{"NT_STATUS_IO_TIMEOUT", UNSURE, "the host does not answer"},
	{"NT_STATUS_CONNECTION_RESET", UNSURE, "the host ended the connection"},
	{"NT_STATUS_CONNECTION_DISCONNECTED", UNSURE,
		"the host ended the connection: a Windows of before 2008 needs smb_min_protocol: "
		"NT1"},
	{"NT_STATUS_INVALID_NETWORK_RESPONSE", UNSURE,
		"the host speaks another protocol: a Windows of before 2008 needs "
		"smb_min_protocol: "
		"NT1"},
	{"NT_STATUS_BAD_NETWORK_NAME", REFUSED, "the name of the host is not known"},
	{"NT_STATUS_UNSUCCESSFUL", UNSURE, "the host cannot be reached by this name"},
	{"Failed to open credentials", REFUSED, "the file with the credentials cannot be read"},
};

const char *mqw_service_state_name(enum mqw_service_state s)
{
	return state_names[s];
}

static bool holds(struct mqw_slice s, const char *word)
{
	return mqw_slice_find(s, mqw_slice_of(word)) < s.len;
}

static void find_error(struct mqw_slice text, struct mqw_net_answer *ret)
{
	for (size_t i = 0; !ret->why[0] && i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (!holds(text, errors[i].word))
			continue;
		snprintf(ret->why, sizeof(ret->why), "%s (%s)", errors[i].means, errors[i].word);
		ret->missing = errors[i].meaning == MISSING;
		ret->unsure = errors[i].meaning == UNSURE;
	}
}

/* "SMTPSVC service is running." The last line of the kind counts. */
static void find_state(struct mqw_slice out, struct mqw_net_answer *ret)
{
	struct mqw_slice line;

	while (out.len) {
		size_t at;

		line = mqw_slice_head(out, mqw_slice_chr(out, '\n'));
		out = mqw_slice_from(out, line.len + 1);
		if (mqw_slice_find(line, MQW_LIT("Successfully started service")) < line.len)
			ret->started = true;
		at = mqw_slice_find(line, MQW_LIT(" service is "));
		if (at == line.len)
			continue;
		line = mqw_slice_trim(mqw_slice_from(line, at + sizeof(" service is ") - 1));
		if (mqw_slice_ends(line, MQW_LIT(".")))
			line.len--;
		for (int s = 1; s < MQW_SERVICE_STATE_COUNT; s++)
			if (mqw_slice_eq(line, mqw_slice_of(state_names[s])))
				ret->state = (enum mqw_service_state)s;
	}
}

/* The last line that is none of the dots which net draws while it waits. */
static struct mqw_slice last_words(struct mqw_slice text)
{
	struct mqw_slice last = MQW_SLICE_NULL, line;

	while (text.len) {
		line = mqw_slice_head(text, mqw_slice_chr(text, '\n'));
		text = mqw_slice_from(text, line.len + 1);
		line = mqw_slice_trim(line);
		if (line.len > 1)
			last = line;
	}
	return last;
}

void mqw_net_answer_parse(struct mqw_slice out, struct mqw_slice err, int r, int64_t limit,
	struct mqw_net_answer *ret)
{
	struct mqw_buffer text = {0};

	*ret = (struct mqw_net_answer){.state = MQW_SERVICE_UNKNOWN};
	if (r == -ETIMEDOUT)
		mqw_buffer_printf(&text, "the host does not answer: net was killed after %lld s",
			(long long)(limit / MQW_SECOND));
	else if (r == -ENOENT)
		mqw_buffer_add_str(&text,
			"there is no program net here: install samba-common-bin (Debian) or "
			"samba-common-tools (Fedora)");
	else if (r < 0)
		mqw_buffer_printf(&text, "net could not be run: %s", strerror(-r));
	snprintf(ret->why, sizeof(ret->why), "%s", mqw_buffer_str(&text));
	ret->unsure = r == -ETIMEDOUT;
	if (r == 0) {
		find_state(out, ret);
		/* Old versions say it on the one, newer ones on the other. */
		find_error(err, ret);
		find_error(out, ret);
	}
	if (!ret->why[0] && !ret->started && ret->state == MQW_SERVICE_UNKNOWN) {
		ret->unsure = true;
		mqw_buffer_add_str(&text, "net said what is not understood: ");
		mqw_buffer_add_printable(&text, last_words(err.len ? err : out));
		snprintf(ret->why, sizeof(ret->why), "%s", mqw_buffer_str(&text));
	}
	mqw_buffer_done(&text);
}

/* --- one restart ------------------------------------------------------------------------------- */

struct job {
	const struct mqw_net_target *target;
	const struct mqw_net_ops *ops;
	const char *service; /* of the target's, once it is known */
	struct mqw_net_answer last;
	struct mqw_buffer *text;
};

static void call(struct job *j, const char *verb)
{
	j->ops->call(j->ops->ctx, verb, j->service, &j->last);
}

static int64_t now(const struct job *j)
{
	return j->ops->now(j->ops->ctx);
}

static void say(struct job *j, const char *what)
{
	mqw_buffer_printf(j->text, "%s on %s %s", j->service, j->target->host, what);
}

static enum mqw_helper_status fail(struct job *j, const char *what)
{
	say(j, what);
	if (j->last.why[0])
		mqw_buffer_printf(j->text, ": %s", j->last.why);
	else
		mqw_buffer_printf(j->text, ": it is %s", state_names[j->last.state]);
	return MQW_HELPER_FAILED;
}

/* Asks until the state is this one. False when it is not within the limit. */
static bool wait_for(struct job *j, enum mqw_service_state state, int64_t limit)
{
	int64_t began = now(j);

	for (;;) {
		call(j, "status");
		if (j->last.state == state)
			return true;
		if (now(j) - began >= limit)
			return false;
		j->ops->sleep(j->ops->ctx, PAUSE);
	}
}

/* Which of the services the host has, and its state in last. False, and said why, when none. */
static bool find_service(struct job *j)
{
	const char *const *s = j->target->services;

	do {
		j->service = *s;
		call(j, "status");
	} while (j->last.missing && *++s);
	return j->last.state != MQW_SERVICE_UNKNOWN;
}

/* Starts it, again and again: it is we who stopped it. */
static bool start(struct job *j)
{
	int64_t began = now(j), left = START_LIMIT;

	while (left > 0) {
		call(j, "start");
		if (wait_for(j, MQW_SERVICE_RUNNING, left < LOOK_LIMIT ? left : LOOK_LIMIT))
			return true;
		left = START_LIMIT - (now(j) - began);
	}
	return false;
}

static enum mqw_helper_status not_started(struct job *j)
{
	return fail(j, "WAS STOPPED AND DOES NOT START: no mail goes out there; start it by hand");
}

/*
 * True when it is stopped. One that is stopping is waited for longer: it will be stopped. That no
 * answer came does not mean that it was not told.
 */
static bool stop(struct job *j)
{
	call(j, "stop");
	if (j->last.state == MQW_SERVICE_STOPPED)
		return true;
	if (j->last.why[0] && !j->last.unsure)
		return false;
	return wait_for(j, MQW_SERVICE_STOPPED, STOP_LIMIT) ||
		(j->last.state != MQW_SERVICE_RUNNING &&
			wait_for(j, MQW_SERVICE_STOPPED, STOPPING_LIMIT));
}

static enum mqw_helper_status restart_found(struct job *j)
{
	int64_t began = now(j), stopped;

	if (j->last.state == MQW_SERVICE_STOPPED) {
		say(j,
			"is stopped, and that was nobody's failure: what somebody stopped is not "
			"started from here");
		return MQW_HELPER_REFUSED;
	}
	if (!stop(j))
		return fail(j,
			!j->last.why[0] ? "was told to stop, and did not; it was not restarted"
				: j->last.unsure ? "may or may not have been stopped: look there"
						 : "cannot be stopped, and was left as it is");
	stopped = now(j);
	if (!start(j))
		return not_started(j);
	say(j, "");
	mqw_buffer_printf(j->text, "was stopped (%lld s) and started (%lld s), and runs",
		(long long)((stopped - began) / MQW_SECOND),
		(long long)((now(j) - stopped) / MQW_SECOND));
	return MQW_HELPER_OK;
}

enum mqw_helper_status mqw_net_restart(
	const struct mqw_net_target *t, const struct mqw_net_ops *ops, struct mqw_buffer *ret_text)
{
	struct job j = {.target = t, .ops = ops, .text = ret_text};

	if (!find_service(&j))
		return fail(&j, "cannot be restarted, and was left as it is");
	return restart_found(&j);
}

enum mqw_helper_status mqw_net_finish(
	const struct mqw_net_target *t, const struct mqw_net_ops *ops, struct mqw_buffer *ret_text)
{
	struct job j = {.target = t, .ops = ops, .text = ret_text};

	if (!find_service(&j))
		return fail(&j, "may or may not have been restarted: look there");
	if (j.last.state == MQW_SERVICE_STOP_PENDING)
		wait_for(&j, MQW_SERVICE_STOPPED, STOPPING_LIMIT);
	if (j.last.state == MQW_SERVICE_STOPPED) {
		if (!start(&j))
			return not_started(&j);
		say(&j, "was found stopped by a restart that was cut off; it is started, and runs");
		return MQW_HELPER_OK;
	}
	say(&j, "runs");
	return MQW_HELPER_ALREADY;
}
