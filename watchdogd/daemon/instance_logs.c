/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The logs of an instance: opened one after the other, followed side by side. */
#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/base/credentials.h"
#include "watchdogd/base/share_url.h"
#include "watchdogd/daemon/instance_internal.h"

/* So long a log is waited for that does not get to its end, before the next one is begun. */
#define NEXT_PATIENCE MQW_MINUTE

/* The log is read from its beginning: the first time ever, or another one than before. */
static void begin_history(struct mqw_instance *i)
{
	i->history = true;
	mqw_totals_restart(&i->totals, mqw_clock_now(), i->act.tracker);
}

static int open_share(
	struct mqw_instance_log *l, const char *position, const struct mqw_source_ops *ops)
{
	const struct mqw_instance *i = l->instance;
	const struct mqw_share_tail_options share = {
		.url = l->name, .reader = i->reader, .position = position};

	return mqw_share_tail_open(&share, ops, i->host.event, &l->share);
}

/* Opens a log at a position, "" for none. */
static int open_log(struct mqw_instance_log *l, const char *position)
{
	struct mqw_source_ops ops = mqw_instance_source_ops;
	sd_event *event = l->instance->host.event;
	const struct mqw_journal_options journal = {.position = position,
		.start = MQW_JOURNAL_START_BOOT,
		.facility = MQW_JOURNAL_MAIL};
	const struct mqw_file_tail_options file = {.path = l->name, .position = position};
	int r;

	ops.ctx = l;
	if (mqw_share_url_is(mqw_slice_of(l->name)))
		return open_share(l, position, &ops);
	if (strcmp(l->name, "journal") != 0)
		return mqw_file_tail_open(&file, &ops, event, &l->tail);
	r = mqw_journal_open(&journal, &ops, &l->journal);
	return r < 0 ? r : mqw_journal_attach(l->journal, event);
}

static void close_log(struct mqw_instance_log *l)
{
	l->tail = mqw_file_tail_close(l->tail);
	l->journal = mqw_journal_close(l->journal);
	l->share = mqw_share_tail_close(l->share);
}

static int open_where_it_was(struct mqw_instance_log *l)
{
	struct mqw_instance *i = l->instance;
	struct mqw_buffer position = {0};
	/* A position belongs to its log: the configuration may name another one by now. */
	int r = mqw_ledger_get_position(i->host.ledger, i->act.name, l->name, &position);

	if (r == 0)
		begin_history(i);
	if (r >= 0)
		r = open_log(l, mqw_buffer_str(&position));
	if (r == -EINVAL && position.len) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name,
			"the position kept for %s makes no sense: it is read from its beginning",
			l->name);
		begin_history(i);
		close_log(l);
		r = open_log(l, "");
	}
	mqw_buffer_done(&position);
	if (r < 0)
		mqw_alert_say(
			MQW_ALERT_SELF, LOG_ERR, i->act.name, "%s: %s", l->name, strerror(-r));
	return r < 0 ? r : 0;
}

/* What the reader of shares is started with. */
static int settle_reader(struct mqw_instance *i)
{
	if (!i->config->credentials)
		return 0;
	if (!mqw_credentials_path(i->config->credentials, &i->credentials))
		return -ENOMEM;
	i->reader[0] = MQW_LIBEXEC "/mailq-watchdog-smb";
	i->reader[1] = mqw_buffer_str(&i->credentials);
	i->reader[2] = i->config->smb_min_protocol ? i->config->smb_min_protocol : "";
	return 0;
}

int mqw_instance_logs_open(struct mqw_instance *i)
{
	const char *const usual[] = {i->act.probe->default_log, NULL};
	const char *const *names = i->config->logs ? i->config->logs : usual;
	int r = settle_reader(i);

	for (; *names && i->log_count < MQW_INSTANCE_LOGS; names++) {
		i->logs[i->log_count] = (struct mqw_instance_log){.instance = i, .name = *names};
		mqw_buffer_printf(&i->shown, "%s%s", i->log_count++ ? ", " : "", *names);
	}
	return r < 0 || i->shown.failed ? -ENOMEM : mqw_instance_logs_next(i, true);
}

int mqw_instance_logs_next(struct mqw_instance *i, bool now)
{
	int64_t time = mqw_clock_now();
	int r;

	if (i->log_open == i->log_count || (!now && time - i->log_opened_at < NEXT_PATIENCE))
		return 0;
	i->log_opened_at = time;
	r = open_where_it_was(&i->logs[i->log_open]);
	i->log_open++;
	return r;
}

void mqw_instance_logs_close(struct mqw_instance *i)
{
	for (size_t n = 0; n < i->log_count; n++)
		close_log(&i->logs[n]);
	mqw_buffer_done(&i->credentials);
	mqw_buffer_done(&i->shown);
}

static int put_position(struct mqw_instance_log *l)
{
	struct mqw_instance *i = l->instance;
	struct mqw_buffer position = {0};
	int r = l->tail    ? mqw_file_tail_position(l->tail, &position)
		: l->share ? mqw_share_tail_position(l->share, &position)
			   : mqw_journal_position(l->journal, &position);

	if (r == 0 && position.len)
		r = mqw_ledger_put_position(
			i->host.ledger, i->act.name, l->name, mqw_buffer_slice(&position));
	mqw_buffer_done(&position);
	return r;
}

int mqw_instance_logs_keep(struct mqw_instance *i)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->log_open; n++)
		if (i->logs[n].tail || i->logs[n].share || i->logs[n].journal)
			r = put_position(&i->logs[n]);
	return r;
}

bool mqw_instance_logs_busy(const struct mqw_instance *i, uint64_t *ret_work)
{
	bool busy = false;

	*ret_work = 0;
	for (size_t n = 0; n < i->log_open; n++) {
		const struct mqw_instance_log *l = &i->logs[n];
		uint64_t work = 0;

		busy |= l->tail ? mqw_file_tail_busy(l->tail, &work)
				: l->journal && mqw_journal_busy(l->journal, &work);
		*ret_work += work;
	}
	return busy;
}

int64_t mqw_instance_logs_known(const struct mqw_instance *i, int64_t now)
{
	for (size_t n = 0; n < i->log_open; n++) {
		int64_t known = i->logs[n].share ? mqw_share_tail_known(i->logs[n].share) : now;

		now = known < now ? known : now;
	}
	return now;
}
