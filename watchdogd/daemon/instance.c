/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "watchdogd/daemon/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/daemon/progress.h"

#define STUCK_LOOKS 30
#define MESSAGES_MAX 2000000 /* open at one time: 600 MiB */
#define KEEP_SETTLED MQW_MINUTE
#define SWEEP_AGAIN MQW_MINUTE
#define VAULT_AGAIN (10 * MQW_SECOND)
#define QUEUE_PATIENCE MQW_MINUTE /* with a queue that cannot be read: the log alone tells then */

static void say_error(const struct mqw_instance *i, const char *what, int error)
{
	mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, i->act.name, "%s: %s", what, strerror(-error));
}

/* What the configuration says, then what the MTA says, then its defaults. */
static void settle_options(struct mqw_instance *i, struct mqw_tracker_options *o)
{
	const struct mqw_instance_config *c = i->config;
	struct mqw_mta_settings told = {0};
	int r = i->act.probe->ask ? i->act.probe->ask(c->config_dir, &told) : -ENOTSUP;

	if (i->act.probe->ask && r < 0 && (!c->lifetime || !c->queue))
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name,
			"%s does not tell its settings (%s): its defaults are assumed; lifetime: "
			"and "
			"queue: in the configuration say better",
			i->act.probe->name, strerror(-r));
	*o = mqw_tracker_defaults();
	o->default_lifetime = i->act.probe->default_lifetime;
	o->lifetime = c->lifetime ? c->lifetime : told.lifetime;
	o->bounce_lifetime = c->lifetime ? c->lifetime : told.bounce_lifetime;
	o->retry_max = c->retry_max ? c->retry_max
		: told.retry_max    ? told.retry_max
				    : i->act.probe->default_retry_max;
	i->retry_max = o->retry_max;
	o->min_lifetime = c->min_lifetime;
	o->slack = c->slack;
	o->keep_settled = KEEP_SETTLED;
	o->max_messages = MESSAGES_MAX;
	o->seed = mqw_map_random_seed();
	o->remedy = i->act.probe->remedy;
	o->removal_unlogged = i->act.probe->removal_unlogged;
	o->answers_alone = i->act.probe->answers_alone;
	if (c->queue)
		i->queue_root = mqw_slice_dup(mqw_slice_of(c->queue));
	else if (told.queue_directory)
		i->queue_root = mqw_slice_dup(mqw_slice_of(told.queue_directory));
	i->log_name = told.log_name;
	told.log_name = NULL;
	mqw_mta_settings_done(&told);
	o->queue_at_hand = i->queue_root != NULL && !i->act.probe->files_unlogged;
}

static int open_tracker(struct mqw_instance *i)
{
	const struct mqw_tracker_ops ops = {.verdict = mqw_instance_verdict,
		.gap = mqw_instance_gap,
		.forget = mqw_instance_forget,
		.ctx = i};
	struct mqw_tracker_options options;
	int r;

	settle_options(i, &options);
	i->act.tracker = mqw_tracker_create(&options, &ops, true);
	i->probe = i->act.probe->create(i->config->next_hops, i->config->next_hop_count);
	if (!i->act.tracker || !i->probe)
		return -ENOMEM;
	mqw_tracker_hold(i->act.tracker, true);
	r = mqw_totals_load(
		&i->totals, i->host.ledger, i->act.name, mqw_clock_now(), i->act.tracker);
	if (r < 0) {
		say_error(i, "the ledger cannot give back its totals", r);
		return r;
	}
	r = mqw_instance_restore(i);
	if (r < 0)
		say_error(i, "the ledger cannot give back the open messages", r);
	return r;
}

static int open_vault(struct mqw_instance *i)
{
	int r;

	if (i->host.keep == MQW_KEEP_NONE)
		return 0;
	r = mqw_vault_open(i->host.state_directory, i->act.name, &i->act.vault);
	if (r < 0 && !i->act.vault_missing)
		say_error(i, "the vault cannot be opened, no copies are kept until it can be", r);
	i->act.vault_missing = r < 0;
	if (r == 0)
		mqw_vault_set_flush(i->act.vault, i->host.flush);
	return 0;
}

/* A disk that is full, or not mounted yet: what waits in the queue is copied when it is back. */
static void open_vault_again(struct mqw_instance *i, int64_t now)
{
	if (!i->act.vault_missing || now - i->vault_tried_at < VAULT_AGAIN)
		return;
	i->vault_tried_at = now;
	open_vault(i);
	if (i->act.vault_missing)
		return;
	mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, i->act.name, "copies are kept again");
	if (i->queue)
		mqw_queue_watch_rescan(i->queue);
}

static int open_queue(struct mqw_instance *i)
{
	const struct mqw_queue_watch_ops ops = {.present = mqw_instance_present,
		.matters = mqw_instance_matters,
		.gone = mqw_instance_gone,
		.scanned = mqw_instance_scanned,
		.ctx = i};
	int r;

	if (!i->queue_root)
		return 0;
	if (i->act.probe->files_unlogged) {
		i->mailroot = mqw_mailroot_create(i, i->queue_root, i->reader);
		return i->mailroot ? 0 : -ENOMEM;
	}
	r = mqw_queue_watch_create(i->host.dirwatch, i->queue_root, i->act.probe, &ops, &i->queue);
	if (r < 0)
		say_error(i, "the queue cannot be watched", r);
	return r;
}

/* Where the service runs elsewhere: how it is restarted. */
static void settle_remote(struct mqw_instance *i)
{
	static const char *const none[] = {NULL};
	const struct mqw_instance_config *c = i->config;
	const char *const *usual = i->act.probe->windows_services;

	if (!c->host)
		return;
	i->services[0] = c->service;
	i->remote = (struct mqw_remote){.host = c->host,
		.services = c->service ? i->services
			: usual        ? usual
				       : none,
		.credentials = c->restart_credentials,
		.min_protocol = c->smb_min_protocol,
		.command = c->restart_command};
	i->act.remote = &i->remote;
}

int mqw_instance_open(const struct mqw_instance_config *c, const struct mqw_instance_host *host,
	struct mqw_instance **ret)
{
	struct mqw_instance *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	i->config = c;
	i->host = *host;
	i->act.name = c->name;
	i->act.probe = mqw_probe_find(mqw_slice_of(c->type));
	i->act.tell_via = c->tell_sender ? c->tell_sender_via : NULL;
	i->act.source_name = mqw_instance_source_name;
	i->act.source_ctx = i;
	i->sink = (struct mqw_sink){.emit = mqw_instance_emit, .ctx = i};
	i->last_line = i->covered = i->lost_from = i->tried_at = MQW_TIME_NONE;
	mqw_loss_reader_init(&i->loss);
	i->kept_dropping = i->loss.dropping_since;
	mqw_syslog_reader_init(&i->syslog, 0, MQW_TIME_NONE);
	r = i->act.probe ? open_tracker(i) : -ENOTSUP;
	if (r == 0)
		settle_remote(i);
	if (r == 0)
		r = open_vault(i);
	if (r == 0)
		r = open_queue(i);
	if (r == 0)
		r = mqw_instance_logs_open(i);
	if (r < 0)
		mqw_instance_free(i);
	else
		*ret = i;
	return r;
}

struct mqw_instance *mqw_instance_free(struct mqw_instance *i)
{
	if (!i)
		return NULL;
	mqw_instance_logs_close(i);
	mqw_queue_watch_free(i->queue);
	mqw_mailroot_free(i->mailroot);
	mqw_tracker_free(i->act.tracker);
	mqw_vault_close(i->act.vault);
	if (i->act.probe && i->probe)
		i->act.probe->free(i->probe);
	for (uint32_t n = 0; n < i->name_count; n++) {
		free(i->names[n]);
		free(i->readers[n]);
	}
	free(i->forgotten);
	free(i->queue_root);
	free(i->log_name);
	free(i->others);
	free(i);
	return NULL;
}

int mqw_instances_meet(struct mqw_instance *const *instances, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		struct mqw_instance *i = instances[n];
		size_t known = 0;

		i->others = calloc(count + 1, sizeof(*i->others));
		if (!i->others)
			return -ENOMEM;
		for (size_t k = 0; k < count; k++)
			if (i->log_name && instances[k]->log_name &&
				instances[k]->act.probe == i->act.probe &&
				strcmp(instances[k]->log_name, i->log_name) != 0)
				i->others[known++] = instances[k]->log_name;
	}
	return 0;
}

bool mqw_instance_is_others(const struct mqw_instance *i, const struct mqw_message *m)
{
	for (size_t n = 0; i->others && m->instance && i->others[n]; n++)
		if (strcmp(i->others[n], m->instance) == 0)
			return true;
	return false;
}

struct orphans {
	struct mqw_instance *instance;
	struct mqw_buffer ids; /* one a line */
	struct mqw_buffer open; /* "ID\n" of each message with an action that has no result yet */
	size_t older; /* copies of which the ledger cannot know what became of their messages */
};

static int note_open(void *ctx, const struct mqw_action_record *record)
{
	struct orphans *o = ctx;

	if (strcmp(record->instance, o->instance->act.name) == 0)
		mqw_buffer_printf(&o->open, "\n%s\n", record->queue_id);
	return 0;
}

/* What is under way is looked after by act/, which needs its files. */
static bool is_under_way(const struct orphans *o, struct mqw_slice queue_id)
{
	struct mqw_buffer line = {0};
	struct mqw_slice all = mqw_buffer_slice(&o->open);
	bool found;

	mqw_buffer_printf(&line, "\n%.*s\n", (int)queue_id.len, queue_id.ptr);
	found = line.failed || mqw_slice_find(all, mqw_buffer_slice(&line)) < all.len;
	mqw_buffer_done(&line);
	return found;
}

static int find_orphan(void *ctx, const struct mqw_vault_entry *entry)
{
	struct orphans *o = ctx;

	if (mqw_tracker_find(o->instance->act.tracker, MQW_SLICE_NULL, entry->queue_id) ||
		is_under_way(o, entry->queue_id))
		return 0;
	/*
	 * The one that knew was set aside as damaged, or taken away: the message may be lost, and this
	 * all that is left of it. It goes by age.
	 */
	if (entry->kind == MQW_VAULT_COPY &&
		entry->changed_at < o->instance->totals.now[MQW_TOTAL_SINCE]) {
		o->older++;
		return 0;
	}
	mqw_buffer_add(&o->ids, entry->queue_id);
	mqw_buffer_add_str(&o->ids, "\n");
	return 0;
}

/* Copies of messages that were settled while nobody looked, and files of recoveries that are over. */
static void remove_orphans(struct mqw_instance *i)
{
	struct orphans o = {.instance = i};
	struct mqw_slice rest, id;

	if (!i->act.vault)
		return;
	if (mqw_ledger_each_action(i->host.ledger, true, UINT32_MAX, note_open, &o) >= 0 &&
		!o.open.failed && mqw_vault_each(i->act.vault, find_orphan, &o) >= 0) {
		rest = mqw_buffer_slice(&o.ids);
		while (mqw_slice_take_until(&rest, '\n', &id))
			if (mqw_vault_remove(i->act.vault, id) < 0 ||
				mqw_vault_remove_recover(i->act.vault, id) < 0 ||
				mqw_vault_remove_done(i->act.vault, id) < 0)
				i->orphans = true;
	}
	if (o.older && !i->said_older)
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, i->act.name,
			"copies in the vault from before the ledger was begun, of messages that "
			"neither the log nor the queue knows any more: %zu; nothing tells whether "
			"these were delivered, and the copies stay until they reach the vault's "
			"age; `mailq-watchdog vault list` shows them",
			o.older);
	i->said_older = o.older > 0;
	mqw_buffer_done(&o.ids);
	mqw_buffer_done(&o.open);
}

/* Each once: how many it became is shown by `status`. */
static void say_caps(struct mqw_instance *i)
{
	const struct mqw_tracker_counts *c = mqw_tracker_counts(i->act.tracker);

	if (c->dropped && !i->said_dropped)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name,
			"more than %d messages are open: for each further one the oldest is no "
			"longer "
			"followed, and nothing will be said of it; `mailq-watchdog status` tells "
			"how "
			"many these are",
			MESSAGES_MAX);
	if (c->ignored && !i->said_ignored)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name,
			"a message has more recipients than are followed: of the further ones "
			"nothing "
			"will be said");
	i->said_dropped = c->dropped > 0;
	i->said_ignored = c->ignored > 0;
}

void mqw_instance_tick(struct mqw_instance *i, int64_t now)
{
	say_caps(i);
	open_vault_again(i, now);
	mqw_instance_note_lost(i);
	mqw_instance_logs_pace(i);
	mqw_instance_keep_under_way(i, now);
	if (!i->act.caught_up) {
		mqw_instance_logs_complain(i, now);
		return;
	}
	if (i->queue && i->scanned && !i->adopted) {
		i->adopted = true;
		i->totals.now[MQW_TOTAL_ADOPTED] = 1;
		mqw_instance_expect(i);
		i->orphans = true;
	}
	if (i->adopted && i->orphans && now - i->swept_at >= SWEEP_AGAIN) {
		i->swept_at = now;
		i->orphans = false;
		remove_orphans(i);
	}
	/* One that is large takes longer, and nothing of it is missing before it has been read. */
	if (!i->queue || i->adopted ||
		(now - i->caught_up_at > QUEUE_PATIENCE && !mqw_queue_watch_scanning(i->queue)))
		mqw_instance_tell(i);
	if (i->queue)
		mqw_queue_watch_tick(i->queue, now);
	if (i->mailroot)
		mqw_mailroot_tick(i->mailroot, now);
	/* While a share is out of reach its log is not silent, it is not heard. */
	mqw_tracker_tick(i->act.tracker, mqw_instance_logs_known(i, now));
}

bool mqw_instance_is_stuck(struct mqw_instance *i)
{
	uint64_t work;
	bool busy = mqw_instance_logs_busy(i, &work);

	i->idle_looks = busy && work == i->work ? i->idle_looks + 1 : 0;
	i->work = work;
	return i->idle_looks >= STUCK_LOOKS;
}

const struct mqw_act_instance *mqw_instance_parts(const struct mqw_instance *i)
{
	return &i->act;
}

struct mqw_instance_status mqw_instance_status(const struct mqw_instance *i)
{
	return (struct mqw_instance_status){.name = i->act.name,
		.mta = i->act.probe->name,
		.log = mqw_buffer_str(&i->shown),
		.queue = i->queue_root,
		.caught_up = i->act.caught_up,
		.lines = i->lines,
		.unparsed = i->unparsed,
		.queue_files = i->queue ? mqw_queue_watch_count(i->queue) : 0,
		.mailroot = i->mailroot,
		.last_line = i->last_line,
		.dropped = mqw_tracker_counts(i->act.tracker)->dropped,
		.ignored = mqw_tracker_counts(i->act.tracker)->ignored,
		.totals = &i->totals};
}

const char *mqw_instance_source_name(void *ctx, uint32_t source)
{
	const struct mqw_instance *i = ctx;

	return source < i->name_count ? i->names[source] : NULL;
}
