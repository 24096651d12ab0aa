/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "watchdogd/daemon/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "probes/check.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/base/zone.h"
#include "watchdogd/daemon/engine_internal.h"
#include "watchdogd/daemon/privileges.h"

#define TICK_US 1000000u
#define RESCAN_US (60u * 1000000u)
#define RESOLVE_EVERY 10 /* ticks */
#define TIDY_EVERY 5

/* The windows of the rules first, or nothing: see mqw_engine_keep_windows(). */
static int keep(struct mqw_engine *e)
{
	int r = mqw_engine_keep_windows(e), more = 0;

	for (size_t i = 0; r >= 0 && i < e->instance_count; i++) {
		r = mqw_instance_keep(e->instances[i]);
		more |= r > 0;
	}
	return r < 0 ? r : more;
}

/* Everything that was fed since the last call is acted on, then kept; whether some of it still waits. */
static bool settle(struct mqw_engine *e)
{
	bool failed;
	int r;

	mqw_act_settle(e->act, mqw_clock_now());
	r = keep(e);
	failed = r < 0;
	/* More than one batch: the next one at the next turn, and lines in between. */
	if (e->keep_more)
		sd_event_source_set_enabled(e->keep_more, r > 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	if (failed && !e->ledger_failed)
		mqw_alert_say(MQW_ALERT_SELF, LOG_ALERT, NULL,
			"the ledger cannot be written (%s): the watch goes on and nothing is lost "
			"as "
			"long as the daemon runs; actions wait",
			mqw_ledger_error(e->ledger));
	if (!failed && e->ledger_failed)
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL, "the ledger can be written again");
	e->ledger_failed = failed;
	return r > 0;
}

static int on_more(sd_event_source *source, void *userdata)
{
	(void)source;
	settle(userdata);
	return 0;
}

static bool all_caught_up(const struct mqw_engine *e)
{
	for (size_t i = 0; i < e->instance_count; i++)
		if (!mqw_instance_parts(e->instances[i])->caught_up)
			return false;
	return true;
}

/* A turn counts as progress only when every log gets on: or else systemd has to step in. */
static void tell_progress(struct mqw_engine *e)
{
	bool stuck = false;
	char status[96];

	for (size_t i = 0; i < e->instance_count; i++)
		if (mqw_instance_is_stuck(e->instances[i]))
			stuck = true;
	if (stuck && !e->stuck)
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL,
			"a log has more to read, and nothing is read of it");
	e->stuck = stuck;
	if (!stuck)
		mqw_progress_turn(&e->progress, mqw_progress_clock());
	snprintf(status, sizeof(status), "%s, mode %s%s",
		all_caught_up(e) ? "watching" : "reading the log",
		e->mode == MQW_MODE_ACT ? "act" : "observe",
		e->config_faulty ? "; the configuration is faulty, the old one is in force" : "");
	mqw_progress_status(&e->progress, status);
}

/* Nothing is missed without inotify, it is only seen later: said when that begins and ends. */
static void tell_polling(struct mqw_engine *e)
{
	int polling = mqw_dirwatch_polling(e->dirwatch);

	if (polling == e->polling)
		return;
	e->polling = polling;
	if (polling)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
			"some queue directories cannot be watched (%s): they are read once a "
			"minute instead, what happens there is seen later; raise "
			"fs.inotify.%s with sysctl",
			strerror(polling),
			polling == ENOSPC ? "max_user_watches" : "max_user_instances");
	else
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL,
			"all queue directories are watched again");
}

static void keep_limits(struct mqw_engine *e, int64_t now)
{
	const struct mqw_act_instance **parts = calloc(e->instance_count + 1, sizeof(*parts));

	for (size_t i = 0; parts && i < e->instance_count; i++)
		parts[i] = mqw_instance_parts(e->instances[i]);
	if (parts)
		mqw_vault_limits_keep(&e->limits, parts, e->instance_count, now);
	free(parts);
}

static int wait_for_tick(struct mqw_engine *e, sd_event_source *source)
{
	uint64_t now;
	int r = sd_event_now(e->event, CLOCK_MONOTONIC, &now);

	if (r >= 0)
		r = sd_event_source_set_time(source, mqw_clock_next_second(now));
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqw_engine *e = userdata;
	int64_t now = mqw_clock_now();

	for (size_t i = 0; i < e->instance_count; i++)
		mqw_instance_tick(e->instances[i], now);
	settle(e);
	tell_polling(e);
	keep_limits(e, now);
	mqw_act_send_alerts(e->act, now);
	/* What fails here fails with the next batch too, which says so. */
	if (!e->ledger_failed && e->ticks % TIDY_EVERY == 0)
		mqw_ledger_tidy(e->ledger, now);
	if (++e->ticks % RESOLVE_EVERY == 0)
		for (size_t i = 0; i < e->instance_count; i++)
			mqw_act_resolve(e->act,
				(struct mqw_act_instance *)(uintptr_t)mqw_instance_parts(
					e->instances[i]),
				now);
	tell_progress(e);
	(void)usec;
	return wait_for_tick(e, source);
}

/* After each turn of the loop that did something: intents come before anything is kept. */
static int on_turn(sd_event_source *source, void *userdata)
{
	struct mqw_engine *e = userdata;

	(void)source;
	mqw_act_settle(e->act, mqw_clock_now());
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(const char *const *a, const char *const *b)
{
	while (a && b && *a && *b && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return (!a || !*a) && (!b || !*b);
}

static bool same_instance(const struct mqw_instance_config *a, const struct mqw_instance_config *b)
{
	/* restart_command of this host is the helper's, which reads the configuration each time. */
	return same_text(a->name, b->name) && same_text(a->type, b->type) &&
		same_list(a->logs, b->logs) && same_text(a->queue, b->queue) &&
		same_text(a->config_dir, b->config_dir) && same_text(a->service, b->service) &&
		same_text(a->host, b->host) && same_text(a->credentials, b->credentials) &&
		same_text(a->restart_credentials, b->restart_credentials) &&
		same_text(a->smb_min_protocol, b->smb_min_protocol) &&
		(!a->host || same_list(a->restart_command, b->restart_command)) &&
		same_list(a->next_hops, b->next_hops) && a->lifetime == b->lifetime &&
		a->tell_sender == b->tell_sender &&
		same_text(a->tell_sender_via, b->tell_sender_via) && a->retry_max == b->retry_max &&
		a->min_lifetime == b->min_lifetime && a->slack == b->slack;
}

/* Whether a reload can take over all that differs: rules, alerts and the mode. */
static bool differs_in_rules_only(const struct mqw_config *a, const struct mqw_config *b)
{
	bool same = a->instance_count == b->instance_count && a->vault.keep == b->vault.keep &&
		a->vault.size == b->vault.size && a->vault.age == b->vault.age &&
		same_text(a->timezone, b->timezone) && a->vault.flush == b->vault.flush &&
		same_text(a->state_directory, b->state_directory) &&
		same_text(a->control_socket, b->control_socket) &&
		same_text(a->operators, b->operators) &&
		same_text(a->helper_socket, b->helper_socket);

	for (size_t i = 0; same && i < a->instance_count; i++)
		same = same_instance(&a->instances[i], &b->instances[i]);
	return same;
}

/* One message for each fault: it tells the place in the file. */
static void say_faults(const struct mqw_diag *faults, int error)
{
	struct mqw_slice rest = mqw_buffer_slice(&faults->text), line;

	if (!rest.len)
		rest = mqw_slice_of(strerror(-error));
	while (rest.len) {
		size_t end = mqw_slice_chr(rest, '\n');

		line = mqw_slice_head(rest, end);
		rest = mqw_slice_from(rest, end < rest.len ? end + 1 : end);
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL,
			"the new configuration is faulty, the old one stays: %.*s", (int)line.len,
			line.ptr);
	}
}

/* Said at the start and at each reload, so that it is read before the night in which it matters. */
static void warn_of_relays(const struct mqw_config *c)
{
	for (size_t i = 0; i < c->alert_count; i++)
		if (c->alerts[i].via && mqw_alert_is_own_host(&c->alerts[i]))
			mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
				"the alert \"%s\" goes via %s, which is this host: when its mail "
				"service is the patient, the alert about it waits in the same "
				"queue",
				c->alerts[i].name, c->alerts[i].via);
}

/* A sandbox that is too narrow for Samba's programs, which only say that nothing can be reached. */
static void warn_of_sandbox(const struct mqw_config *c)
{
	for (size_t i = 0; i < c->instance_count; i++) {
		int fd = c->instances[i].credentials
			? socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)
			: -1;

		if (fd >= 0)
			close(fd);
		else if (c->instances[i].credentials && errno == EAFNOSUPPORT)
			mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, c->instances[i].name,
				"the service may not list network interfaces, and without that "
				"Samba's programs end at once: copy remote-host.conf, which is in "
				"share/mailq-watchdog, to "
				"/etc/systemd/system/mailq-watchdogd.service.d and start anew");
	}
}

/* Rules and mode are taken over; what instances are watched is settled at the start. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct mqw_engine *e = userdata;
	struct mqw_config *config = NULL;
	struct mqw_rules *rules = NULL;
	struct mqw_diag faults = {0};
	int r;

	(void)source;
	(void)info;
	/* The time is for units of Type=notify-reload. */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mqw_progress_clock());
	r = mqw_rules_load_file(e->config_path, mqw_probes_check, &config, &rules, &faults);
	e->config_faulty = true;
	if (r < 0) {
		say_faults(&faults, r);
	} else if (mqw_privileges_runs_programs(config) && !e->runs_programs) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL,
			"the new configuration has alerts that run a command, which the daemon "
			"gave up at its start: the old one stays until it is restarted");
		mqw_rules_free(rules);
		mqw_config_free(config);
	} else {
		e->config_faulty = false;
		mqw_act_settle(e->act, mqw_clock_now());
		if (!differs_in_rules_only(e->config, config))
			mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
				"not only rules, alerts and mode have changed: the rest takes "
				"effect with a restart");
		mqw_rules_take_over(rules, e->rules);
		e->rules = mqw_rules_free(e->rules);
		e->rules = rules;
		mqw_act_set_rules(e->act, e->rules);
		mqw_act_set_mode(e->act, config->mode);
		mqw_act_set_alerts(e->act, config);
		warn_of_relays(config);
		e->mode = config->mode;
		/* Instances point into the first configuration; rules into theirs. */
		mqw_config_free(e->rules_config);
		e->rules_config = config;
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL, "configuration read again");
	}
	mqw_diag_done(&faults);
	sd_notify(0, "READY=1");
	return 0;
}

static int load(struct mqw_engine *e)
{
	struct mqw_diag faults = {0};
	int r = mqw_rules_load_file(
		e->config_path, mqw_probes_check, &e->config, &e->rules, &faults);

	if (r < 0)
		fprintf(stderr, "%s", faults.text.len ? mqw_buffer_str(&faults.text) : "");
	if (r < 0 && !faults.text.len)
		fprintf(stderr, "%s: %s\n", e->config_path, strerror(-r));
	mqw_diag_done(&faults);
	return r;
}

static int open_instances(struct mqw_engine *e)
{
	const struct mqw_instance_host host = {.event = e->event,
		.dirwatch = e->dirwatch,
		.ledger = e->ledger,
		.act = e->act,
		.rules = &e->rules,
		.state_directory = e->config->state_directory,
		.keep = e->config->vault.keep,
		.flush = e->config->vault.flush == MQW_FLUSH_EACH,
		.limits = &e->limits,
		.progress = &e->progress};
	int r;

	/* A copy of every message wants each to be met, however short its stay. */
	mqw_dirwatch_set_at_once(e->dirwatch, e->config->vault.keep == MQW_KEEP_ALL);
	mqw_vault_limits_init(&e->limits, e->config->vault.size, e->config->vault.age);
	e->instances = calloc(e->config->instance_count, sizeof(struct mqw_instance *));
	if (!e->instances)
		return -ENOMEM;
	for (size_t i = 0; i < e->config->instance_count; i++) {
		mqw_progress_step(&e->progress);
		r = mqw_instance_open(
			&e->config->instances[i], &host, &e->instances[e->instance_count]);
		if (r < 0) {
			mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, e->config->instances[i].name,
				"cannot be watched: %s", strerror(-r));
			return r;
		}
		e->instance_count++;
	}
	return 0;
}

static int open_loop(struct mqw_engine *e)
{
	sigset_t signals;
	sd_event_source *turn = NULL;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_new(&e->event);
	/* The directory watch wants a low descriptor: before anything else is opened. */
	if (r >= 0)
		r = mqw_dirwatch_create(e->event, RESCAN_US, &e->dirwatch);
	if (r >= 0)
		r = sd_event_add_signal(e->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(e->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(e->event, NULL, SIGHUP, on_reload, e);
	if (r >= 0)
		r = sd_event_add_time_relative(
			e->event, NULL, CLOCK_MONOTONIC, TICK_US, 0, on_tick, e);
	if (r >= 0)
		r = sd_event_add_post(e->event, &turn, on_turn, e);
	if (r >= 0)
		r = sd_event_source_set_floating(turn, 1);
	sd_event_source_unref(turn);
	if (r >= 0)
		r = sd_event_add_defer(e->event, &e->keep_more, on_more, e);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->keep_more, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

static int open_all(struct mqw_engine *e)
{
	int r = open_loop(e);

	if (r == 0)
		r = mqw_engine_open_ledger(e);
	if (r < 0)
		return r;
	mqw_engine_restore_windows(e);
	e->act = mqw_act_create(e->event, e->ledger, e->config->helper_socket);
	if (!e->act)
		return -ENOMEM;
	e->mode = e->config->mode;
	mqw_act_set_mode(e->act, e->mode);
	mqw_act_set_rules(e->act, e->rules);
	mqw_act_set_alerts(e->act, e->config);
	warn_of_relays(e->config);
	warn_of_sandbox(e->config);
	r = open_instances(e);
	if (r == 0)
		r = mqw_instances_meet(e->instances, e->instance_count);
	return r < 0 ? r : mqw_engine_open_api(e);
}

static void close_all(struct mqw_engine *e)
{
	mqw_engine_close_api(e);
	e->keep_more = sd_event_source_unref(e->keep_more);
	while (e->act && e->ledger && settle(e))
		;
	mqw_act_free(e->act);
	for (size_t i = 0; i < e->instance_count; i++)
		mqw_instance_free(e->instances[i]);
	free(e->instances);
	mqw_dirwatch_free(e->dirwatch);
	mqw_ledger_close(e->ledger);
	mqw_rules_free(e->rules);
	mqw_config_free(e->rules_config);
	mqw_config_free(e->config);
	sd_event_unref(e->event);
}

static void confine(struct mqw_engine *e, enum mqw_filter filter)
{
	int r;

	e->runs_programs = filter == MQW_FILTER_OFF || mqw_privileges_runs_programs(e->config);
	r = mqw_privileges_confine(e->runs_programs, filter);
	if (r < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
			"system calls could not be given up (%s): the watch goes on with all of "
			"them",
			strerror(-r));
}

int mqw_engine_run(const char *config_path, enum mqw_filter filter)
{
	struct mqw_engine e = {.config_path = config_path, .started = mqw_clock_now()};
	int r;

	mqw_progress_init(&e.progress, mqw_progress_clock());
	r = load(&e);
	if (r < 0)
		return 2;
	r = e.config->timezone ? mqw_zone_set(e.config->timezone) : 0;
	if (r == 0)
		r = open_all(&e);
	if (r == 0) {
		confine(&e, filter);
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL,
			"watching %zu instance(s) by %zu rule(s), mode %s", e.instance_count,
			mqw_rules_count(e.rules), e.mode == MQW_MODE_ACT ? "act" : "observe");
		mqw_progress_ready(&e.progress);
		r = sd_event_loop(e.event);
		sd_notify(0, "STOPPING=1");
	} else if (r == -ECANCELED) {
		r = 0; /* asked to end while it waited for the ledger */
	} else {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL, "cannot start: %s", strerror(-r));
	}
	close_all(&e);
	return r < 0 ? 1 : 0;
}
