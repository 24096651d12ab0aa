/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The logs of an instance: read side by side, and in step while they are read for the first time. */
#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/base/credentials.h"
#include "watchdogd/base/share_url.h"
#include "watchdogd/daemon/instance_internal.h"

/* So long a log is waited for that gives nothing and does not get to its end. */
#define PATIENCE MQW_MINUTE
/*
 * A log may be so far ahead of one after it, and of none before it: those tell of messages to which it
 * adds, so that they come first.
 */
#define AHEAD (5 * MQW_MINUTE)
/* So long one that keeps all from being judged may give nothing before that is said. */
#define COMPLAIN_AFTER (10 * MQW_MINUTE)
/* Lines in one go where several logs are to keep in step. */
#define STEP 200

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
	const struct mqw_file_tail_options file = {.path = l->name,
		.position = position,
		.budget = l->instance->log_count > 1 ? STEP : 0};
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
		i->logs[i->log_count] = (struct mqw_instance_log){.instance = i,
			.name = *names,
			.time = MQW_TIME_NONE,
			.given_at = mqw_clock_now()};
		mqw_buffer_printf(&i->shown, "%s%s", i->log_count++ ? ", " : "", *names);
	}
	if (r < 0 || i->shown.failed)
		return -ENOMEM;
	for (; r == 0 && i->log_open < i->log_count; i->log_open++)
		r = open_where_it_was(&i->logs[i->log_open]);
	return r;
}

/* Whether something older than what the others have may still come from a log. */
static bool is_waited_for(const struct mqw_instance_log *l, int64_t now)
{
	return (l->tail || l->share) && !l->caught_up &&
		(l->paused || now - l->given_at < PATIENCE);
}

static bool may_read(const struct mqw_instance *i, size_t n, int64_t now)
{
	const struct mqw_instance_log *l = &i->logs[n];

	if (l->caught_up || l->time == MQW_TIME_NONE)
		return true;
	for (size_t k = 0; k < i->log_open; k++) {
		const struct mqw_instance_log *other = &i->logs[k];

		if (k == n || !is_waited_for(other, now))
			continue;
		if (other->time == MQW_TIME_NONE || l->time > other->time + (k > n ? AHEAD : 0))
			return false;
	}
	return true;
}

void mqw_instance_logs_pace(struct mqw_instance *i)
{
	int64_t now = i->log_open > 1 ? mqw_clock_now() : 0;

	/* The one with the oldest stamp waits for none: some log always goes on. */
	for (size_t n = 0; i->log_open > 1 && n < i->log_open; n++) {
		struct mqw_instance_log *l = &i->logs[n];
		bool pause = !may_read(i, n, now);

		if (pause == l->paused)
			continue;
		l->paused = pause;
		l->given_at = now;
		if (l->tail)
			mqw_file_tail_pause(l->tail, pause);
		else if (l->share)
			mqw_share_tail_pause(l->share, pause);
	}
}

void mqw_instance_logs_complain(struct mqw_instance *i, int64_t now)
{
	for (size_t n = 0; n < i->log_open; n++) {
		struct mqw_instance_log *l = &i->logs[n];

		if (l->caught_up || l->paused || l->said_waiting ||
			now - l->given_at < COMPLAIN_AFTER)
			continue;
		l->said_waiting = true;
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, i->act.name,
			"no message of this instance is judged: %s, one of its logs, has given "
			"nothing for %lld minutes and was not read to its end, so that silence "
			"proves nothing; if nobody writes it, take it out of `log:`",
			l->name, (long long)((now - l->given_at) / MQW_MINUTE));
	}
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
