/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "watchdogd/daemon/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "probes/check.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/daemon/engine_internal.h"

#define TICK_US 1000000u
#define RESCAN_US (60u * 1000000u)
#define RESOLVE_EVERY 10 /* ticks */

/* Everything that was fed since the last call is acted on, then kept. */
static void settle(struct mqw_engine *e)
{
	int64_t now = mqw_clock_now();

	mqw_act_settle(e->act, now);
	for (size_t i = 0; i < e->instance_count; i++) {
		int r = mqw_instance_keep(e->instances[i]);

		if (r < 0 && !e->ledger_failed)
			mqw_alert_say(MQW_ALERT_SELF, LOG_ALERT, NULL,
				"the ledger cannot be written (%s): the watch goes on and nothing "
				"is "
				"lost as long as the daemon runs; actions wait",
				mqw_ledger_error(e->ledger));
		if (r == 0 && e->ledger_failed)
			mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL,
				"the ledger can be written again");
		e->ledger_failed = r < 0;
	}
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqw_engine *e = userdata;
	int64_t now = mqw_clock_now();

	for (size_t i = 0; i < e->instance_count; i++)
		mqw_instance_tick(e->instances[i], now);
	settle(e);
	mqw_act_send_alerts(e->act, now);
	if (++e->ticks % RESOLVE_EVERY == 0)
		for (size_t i = 0; i < e->instance_count; i++)
			mqw_act_resolve(e->act,
				(struct mqw_act_instance *)(uintptr_t)mqw_instance_parts(
					e->instances[i]),
				now);
	(void)usec;
	sd_event_source_set_time_relative(source, TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* After each turn of the loop that did something: intents come before anything is kept. */
static int on_turn(sd_event_source *source, void *userdata)
{
	struct mqw_engine *e = userdata;

	(void)source;
	mqw_act_settle(e->act, mqw_clock_now());
	return 0;
}

static bool same_instances(const struct mqw_config *a, const struct mqw_config *b)
{
	if (a->instance_count != b->instance_count)
		return false;
	for (size_t i = 0; i < a->instance_count; i++)
		if (strcmp(a->instances[i].name, b->instances[i].name) != 0 ||
			strcmp(a->instances[i].type, b->instances[i].type) != 0)
			return false;
	return true;
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
	sd_notify(0, "RELOADING=1");
	r = mqw_rules_load_file(e->config_path, mqw_probes_check, &config, &rules, &faults);
	if (r < 0) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL,
			"the new configuration is faulty, the old one stays: %s",
			faults.text.len ? mqw_buffer_str(&faults.text) : strerror(-r));
	} else {
		mqw_act_settle(e->act, mqw_clock_now());
		if (!same_instances(e->config, config))
			mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
				"the instances have changed: that takes effect with a restart");
		e->rules = mqw_rules_free(e->rules);
		e->rules = rules;
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

static int open_ledger(struct mqw_engine *e)
{
	struct mqw_buffer path = {0};
	char *error = NULL;
	int r;

	mqw_buffer_printf(&path, "%s/ledger.db", e->config->state_directory);
	if (path.failed)
		return -ENOMEM;
	r = mqw_ledger_open(mqw_buffer_str(&path), &e->ledger, &error);
	if (r == -EUCLEAN) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ALERT, NULL,
			"the ledger is damaged (%s): it is set aside as %s.damaged and begun anew; "
			"what was under way then is not known any more",
			error ? error : "", mqw_buffer_str(&path));
		free(error);
		error = NULL;
		r = mqw_ledger_set_aside(mqw_buffer_str(&path));
		if (r >= 0)
			r = mqw_ledger_open(mqw_buffer_str(&path), &e->ledger, &error);
	}
	if (r < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL, "the ledger %s cannot be opened: %s",
			mqw_buffer_str(&path), error ? error : strerror(-r));
	free(error);
	mqw_buffer_done(&path);
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
		.keep = e->config->vault.keep};
	int r;

	e->instances = calloc(e->config->instance_count, sizeof(struct mqw_instance *));
	if (!e->instances)
		return -ENOMEM;
	for (size_t i = 0; i < e->config->instance_count; i++) {
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
		r = sd_event_set_watchdog(e->event, 1);
	return r < 0 ? r : 0;
}

static int open_all(struct mqw_engine *e)
{
	int r = open_loop(e);

	if (r == 0)
		r = open_ledger(e);
	if (r < 0)
		return r;
	e->act = mqw_act_create(e->event, e->ledger, e->config->helper_socket);
	if (!e->act)
		return -ENOMEM;
	e->mode = e->config->mode;
	mqw_act_set_mode(e->act, e->mode);
	mqw_act_set_alerts(e->act, e->config);
	warn_of_relays(e->config);
	r = open_instances(e);
	return r < 0 ? r : mqw_engine_open_api(e);
}

static void close_all(struct mqw_engine *e)
{
	mqw_engine_close_api(e);
	if (e->act && e->ledger)
		settle(e);
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

int mqw_engine_run(const char *config_path)
{
	struct mqw_engine e = {.config_path = config_path, .started = mqw_clock_now()};
	int r = load(&e);

	if (r < 0)
		return 2;
	r = open_all(&e);
	if (r == 0) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL,
			"watching %zu instance(s) by %zu rule(s), mode %s", e.instance_count,
			mqw_rules_count(e.rules), e.mode == MQW_MODE_ACT ? "act" : "observe");
		sd_notify(0, "READY=1");
		r = sd_event_loop(e.event);
		sd_notify(0, "STOPPING=1");
	} else {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL, "cannot start: %s", strerror(-r));
	}
	close_all(&e);
	return r < 0 ? 1 : 0;
}
