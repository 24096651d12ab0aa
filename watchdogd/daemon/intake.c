/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines and queue changes on their way into the tracker. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "probes/source/reader.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/base/bundle.h"
#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/daemon/progress.h"
#include "watchdogd/daemon/vault_limits.h"

#define UNNAMED (2 * MQW_MINUTE) /* so long a waiting file may be there before its lines come */
#define HEAD_MAX 4096
#define LOG_PATIENCE (10 * MQW_MINUTE) /* so long the log may say nothing at all */

/*
 * Whether a deferral tells that the file has to be looked at: where its place in the queue does not
 * tell that a message waits; and where its place was seen before the log named it, since that alone
 * tells after a restart that the message was in this queue.
 */
static bool wants_look(struct mqw_instance *i, const struct mqw_event *e)
{
	const struct mqw_message *m;

	if (!i->queue || !i->act.caught_up || e->kind != MQW_EVENT_ATTEMPT ||
		e->outcome != MQW_OUTCOME_DEFERRED)
		return false;
	m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, e->queue_id);
	return i->act.probe->companion || (m && m->place == MQW_PLACE_NONE);
}

/* One instance has its tracker to itself: ids need no realm, the queue's and the log's are one. */
int mqw_instance_emit(void *ctx, const struct mqw_event *e)
{
	struct mqw_instance *i = ctx;
	struct mqw_event own = *e;
	int64_t now = mqw_clock_now();
	int r;

	/* A stamp of a fast clock or another zone shall make nothing look late before it is. */
	if (own.time > now)
		own.time = now;
	if (own.kind == MQW_EVENT_MESSAGE_ID ||
		(own.kind == MQW_EVENT_ARRIVED && own.message_id.len))
		own.own = mqw_outbox_is_own(i->host.ledger, own.message_id);
	if (own.kind == MQW_EVENT_ATTEMPT && own.time > i->tried_at &&
		(own.outcome == MQW_OUTCOME_SENT || own.outcome == MQW_OUTCOME_DEFERRED ||
			own.outcome == MQW_OUTCOME_BOUNCED))
		i->tried_at = own.time;
	own.realm = MQW_SLICE_NULL;
	if (!own.instance.len)
		own.instance = mqw_slice_of(i->act.name);
	r = mqw_tracker_event(i->act.tracker, &own);
	if (r == 0 && wants_look(i, e))
		mqw_queue_watch_look(i->queue, e->queue_id);
	return r;
}

/* What the line said is missing from then on, until its next one. */
static void note_lost(struct mqw_instance *i, int64_t time)
{
	if (i->lost_from == MQW_TIME_NONE || time < i->lost_from)
		i->lost_from = time;
}

void mqw_instance_note_lost(struct mqw_instance *i)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, mqw_clock_now());

	if (i->lost_from == MQW_TIME_NONE)
		return;
	gap.from = i->lost_from;
	gap.to = gap.time;
	gap.reply = MQW_LIT("memory was out, and lines could not be followed");
	if (mqw_instance_emit(i, &gap) == 0)
		i->lost_from = MQW_TIME_NONE;
}

static void take_line(struct mqw_instance *i, const struct mqw_line *line)
{
	int64_t now = mqw_clock_now();
	struct mqw_event gap;
	int r;

	i->lines++;
	i->totals.now[MQW_TOTAL_LINES]++;
	i->moved = true;
	i->last_line = line->time;
	if (line->time > i->covered)
		i->covered = line->time < now ? line->time : now;
	if (mqw_loss_read(&i->loss, line, i->act.probe->name, &gap)) {
		if (mqw_instance_emit(i, &gap) < 0)
			note_lost(i, gap.from);
		return;
	}
	r = i->act.probe->line(i->probe, line, &i->sink);
	/* A line that is given twice changes nothing more. */
	for (int tries = 0; r == -ENOMEM && tries < 2; tries++)
		r = i->act.probe->line(i->probe, line, &i->sink);
	if (r == MQW_LINE_STRANGE) {
		i->unparsed++;
		i->totals.now[MQW_TOTAL_UNPARSED]++;
	} else if (r < 0) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, i->act.name,
			"a log line could not be followed: %s", strerror(-r));
		note_lost(i, line->time);
	}
}

/*
 * What a log says in its first lines of how the others are to be read: for one that is gone on with in
 * the middle. Of those on a share their reader gives them.
 */
static void read_head(
	const struct mqw_instance *i, struct mqw_syslog_reader *reader, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const struct mqw_probe_ops *mta = i->act.probe;
	struct mqw_slice rest, line;
	struct mqw_line unused;
	char head[HEAD_MAX];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);

	if (fd >= 0)
		close(fd);
	rest = mqw_slice(head, n > 0 ? (size_t)n : 0);
	while (mqw_slice_take_until(&rest, '\n', &line)) {
		mqw_slice_skip(&line, MQW_LIT("\xef\xbb\xbf"));
		if (!mqw_slice_starts(line, MQW_LIT("#")))
			break;
		if (mqw_slice_ends(line, MQW_LIT("\r")))
			line.len--;
		mqw_probe_parse(&mta, reader, line, &unused);
	}
}

/* What a file says of its stamps and columns holds for no other. offset: of its line at hand. */
static struct mqw_syslog_reader *reader_of(struct mqw_instance *i, uint32_t source, uint64_t offset)
{
	struct mqw_syslog_reader **r;

	if (source >= i->name_count)
		return &i->syslog;
	r = &i->readers[source];
	if (!*r) {
		*r = malloc(sizeof(**r));
		if (!*r)
			return &i->syslog;
		mqw_syslog_reader_init(*r, 0, MQW_TIME_NONE);
		if (offset > 0 && i->act.probe->own_form)
			read_head(i, *r, i->names[source]);
	}
	return *r;
}

static void on_line(void *ctx, const struct mqw_raw_line *raw, struct mqw_evidence evidence)
{
	struct mqw_instance_log *log = ctx;
	struct mqw_instance *i = log->instance;
	const struct mqw_probe_ops *mta = i->act.probe;
	struct mqw_syslog_reader *reader = reader_of(i, evidence.source, raw->offset);
	struct mqw_line line = {.evidence = evidence};

	reader->now = mqw_clock_now();
	if (mqw_form_is_line(mqw_probe_parse(&mta, reader, raw->text, &line))) {
		/* Stamps of another host's clock. */
		if (log->share && line.time != MQW_TIME_NONE)
			line.time -= mqw_share_tail_ahead(log->share);
		log->given_at = reader->now;
		if (line.time != MQW_TIME_NONE && line.time > log->time)
			log->time = line.time;
		if (mta->server && mqw_instance_is_of_other_server(i, &line, evidence.source))
			i->moved = true;
		else
			take_line(i, &line);
		if (!i->act.caught_up)
			mqw_instance_logs_pace(i);
	} else
		i->moved = true;
}

static void add_gap(struct mqw_instance *i, int64_t from, int64_t to, const char *why)
{
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, mqw_clock_now());

	gap.from = from == MQW_TIME_NONE ? 0 : from;
	gap.to = to == MQW_TIME_NONE ? gap.time : to;
	gap.reply = mqw_slice_of(why);
	/* With a place behind it, so that the next start does not find it again. */
	i->moved = true;
	if (mqw_instance_emit(i, &gap) < 0)
		note_lost(i, gap.from);
}

static void on_entry(void *ctx, const struct mqw_journal_entry *entry, struct mqw_evidence evidence)
{
	struct mqw_instance *i = ((const struct mqw_instance_log *)ctx)->instance;
	struct mqw_line line = {.time = entry->time,
		.host = entry->host,
		.tag = entry->identifier,
		.text = entry->message,
		.pid = entry->pid,
		.evidence = evidence};

	i->moved = true;
	if (!i->act.probe->is_genuine(i->config->service, entry->unit, entry->uid, entry->exe) &&
		!mqw_slice_starts(entry->unit, MQW_LIT("systemd-journald")))
		return;
	if (entry->no_message)
		add_gap(i, entry->time, entry->time,
			"an entry of the journal has lost its message");
	else
		take_line(i, &line);
}

static void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	add_gap(((const struct mqw_instance_log *)ctx)->instance, from, to, why);
}

static bool all_caught_up(const struct mqw_instance *i)
{
	for (size_t n = 0; n < i->log_count; n++)
		if (!i->logs[n].caught_up)
			return false;
	return true;
}

static void on_caught_up(void *ctx)
{
	struct mqw_instance_log *log = ctx;
	struct mqw_instance *i = log->instance;

	log->caught_up = true;
	mqw_instance_logs_pace(i);
	if (i->act.caught_up || !all_caught_up(i))
		return;
	i->act.caught_up = true;
	/* A log that is empty has a place too: what is rotated away before the next start is missed. */
	i->moved = true;
	i->caught_up_at = mqw_clock_now();
	mqw_tracker_tick(i->act.tracker, i->caught_up_at);
	/* What is there already at the first start ever is said, not acted on: before the queue. */
	if (i->history)
		mqw_instance_tell(i);
	if (i->queue)
		i->awaited = mqw_queue_watch_rescan(i->queue);
}

static void on_say(void *ctx, const char *text)
{
	const struct mqw_instance *i = ((const struct mqw_instance_log *)ctx)->instance;

	mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name, "%s", text);
}

static uint32_t on_number(void *ctx, const char *name)
{
	struct mqw_instance *i = ((const struct mqw_instance_log *)ctx)->instance;
	uint32_t n;
	char *copy;

	for (n = 0; n < i->name_count; n++)
		if (!strcmp(i->names[n], name))
			return n;
	copy = mqw_slice_dup(mqw_slice_of(name));
	if (!copy)
		return UINT32_MAX;
	n = i->name_next;
	i->name_next = (n + 1) % MQW_INSTANCE_SOURCES;
	i->name_count += n == i->name_count;
	free(i->names[n]);
	free(i->readers[n]);
	i->names[n] = copy;
	i->readers[n] = NULL;
	i->servers[n] = 0;
	return n;
}

static int64_t on_stamp(void *ctx, struct mqw_slice text)
{
	const struct mqw_instance *i = ((const struct mqw_instance_log *)ctx)->instance;
	const struct mqw_probe_ops *mta = i->act.probe;
	/* Out of turn: the reader of those that come in order must not be led astray. */
	struct mqw_syslog_reader stamps = i->syslog;
	struct mqw_line line = {0};

	stamps.now = mqw_clock_now();
	return mqw_form_is_line(mqw_probe_parse(&mta, &stamps, text, &line)) ? line.time
									     : MQW_TIME_NONE;
}

const struct mqw_source_ops mqw_instance_source_ops = {
	.line = on_line,
	.entry = on_entry,
	.gap = on_gap,
	.caught_up = on_caught_up,
	.say = on_say,
	.stamp = on_stamp,
	.number = on_number,
};

static int copy_files(struct mqw_instance *i, struct mqw_slice id, const char *path)
{
	const struct mqw_probe_ops *probe = i->act.probe;
	char further[MQW_BUNDLE_MAX - 1][PATH_MAX];
	const char *paths[MQW_BUNDLE_MAX] = {path};
	size_t n = 0;
	int r;

	if (!probe->companion)
		return mqw_vault_copy_in(i->act.vault, mqw_queue_watch_root(i->queue), path, id,
			probe->complete_mode, i->host.limits->largest);
	while (n < MQW_BUNDLE_MAX - 1 &&
		mqw_probe_companion(probe, mqw_queue_watch_root(i->queue), mqw_slice_of(path), n,
			further[n], sizeof(further[n]))) {
		paths[n + 1] = further[n];
		n++;
	}
	r = mqw_vault_copy_bundle_in(i->act.vault, mqw_queue_watch_root(i->queue), paths, n + 1, id,
		probe->complete_mode, i->host.limits->largest);
	/* Mostly there is no journal, which is the last. */
	if (r == -ENOENT && probe->journal)
		r = mqw_vault_copy_bundle_in(i->act.vault, mqw_queue_watch_root(i->queue), paths, n,
			id, probe->complete_mode, i->host.limits->largest);
	return r;
}

/*
 * deferred: the message had a temporary failure, where its place in the queue does not tell. False: there
 * has to be a copy, and there is none yet.
 */
static bool keep_copy(struct mqw_instance *i, struct mqw_slice id, enum mqw_place place,
	bool deferred, const char *path, int64_t changed)
{
	bool waits = place == MQW_PLACE_WAITING || (place == MQW_PLACE_QUEUED && deferred);
	bool wanted = i->host.keep == MQW_KEEP_ALL
		? waits || place == MQW_PLACE_ACTIVE || place == MQW_PLACE_QUEUED
		: i->host.keep == MQW_KEEP_DEFERRED && waits;
	int r;

	if (!wanted)
		return true;
	if (!i->act.vault || !mqw_vault_limits_allow(i->host.limits, changed, mqw_clock_now()))
		return false;
	r = copy_files(i, id, path);
	if (r == 1)
		i->said_no_copy = false;
	if (r >= 0 || r == -ENOENT || r == -EAGAIN || r == -EPERM || i->said_no_copy)
		return r >= 0;
	/* A full disk concerns every message, at each look: it is said once. */
	i->said_no_copy = true;
	mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name,
		"no copy of message %.*s could be kept: %s; of others that fail nothing is said "
		"until a copy is made again",
		(int)id.len, id.ptr, strerror(-r));
	return false;
}

bool mqw_instance_present(void *ctx, struct mqw_slice queue_id, enum mqw_place place,
	const char *path, const struct stat *st)
{
	struct mqw_instance *i = ctx;
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_PRESENT, mqw_clock_now());
	bool rests =
		place == MQW_PLACE_WAITING || place == MQW_PLACE_HELD || place == MQW_PLACE_DAMAGED;
	bool may_rest = rests || place == MQW_PLACE_QUEUED;
	int64_t changed = (int64_t)st->st_ctim.tv_sec * MQW_SECOND;
	const struct mqw_message *m;
	bool copied;
	int r;

	mqw_progress_step(i->host.progress);
	if (!i->queue)
		return false;
	m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);
	copied = keep_copy(i, queue_id, place, m && m->deferred_at != MQW_TIME_NONE, path, changed);
	if (!i->act.caught_up)
		return false; /* the log first; every file is given again then */
	/*
	 * The first time ever all; later what the log has kept silent about. A start after that is not
	 * the first: lines of a file that came just now are on their way, and with the lines that were
	 * read before the end of the last process it has been counted.
	 */
	if (!m && may_rest && (!i->totals.now[MQW_TOTAL_ADOPTED] || e.time - changed > UNNAMED)) {
		mqw_instance_adopt(i, queue_id, path, st);
		m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);
	}
	/* What is delivered at the first try shall cost nothing more. */
	if (!m || (!rests && m->deferred_at == MQW_TIME_NONE))
		return false;
	e.queue_id = queue_id;
	e.place = place;
	if (place == MQW_PLACE_WAITING && i->act.probe->mtime_is_retry)
		e.retry_at = (int64_t)st->st_mtim.tv_sec * MQW_SECOND;
	r = mqw_instance_emit(i, &e);
	mqw_instance_take_journal(i, m, path);
	/* Where a file's place says all. What has a journal may change without it. */
	return r == 0 && copied && rests && !i->act.probe->companion;
}

bool mqw_instance_matters(void *ctx, struct mqw_slice queue_id)
{
	const struct mqw_instance *i = ctx;
	const struct mqw_message *m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);

	mqw_progress_step(i->host.progress);
	/* While the log is read again at the start nobody knows yet. */
	return !i->act.caught_up || (m && m->closed_at == MQW_TIME_NONE);
}

/*
 * What the MTA deletes itself it logs: such a file that is gone without a word was delivered as
 * likely as not, unless the log went on after it. A log that stands still is no witness.
 */
static bool log_went_on(const struct mqw_instance *i, enum mqw_place place, int64_t since)
{
	int64_t dropping = i->loss.dropping_since;

	if (place == MQW_PLACE_WAITING || place == MQW_PLACE_HELD || place == MQW_PLACE_DAMAGED)
		return true;
	/* rsyslogd drops lines and has not said yet for how long: its word is waited for. */
	if (dropping != MQW_TIME_NONE && mqw_clock_now() - dropping < LOG_PATIENCE)
		return false;
	return i->covered != MQW_TIME_NONE && i->covered > since;
}

bool mqw_instance_gone(void *ctx, struct mqw_slice queue_id, enum mqw_place place, int64_t since)
{
	struct mqw_instance *i = ctx;
	int64_t now = mqw_clock_now();
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_GONE, now);
	const struct mqw_message *m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);

	/* Nearly always it was delivered at the first try: that shall cost nothing more. */
	if (!m || (m->closed_at != MQW_TIME_NONE && !m->kept && !m->dirty))
		return true;
	if (m->closed_at == MQW_TIME_NONE && !log_went_on(i, place, since)) {
		if (!i->act.caught_up || now - since < LOG_PATIENCE)
			return false;
		if (!mqw_tracker_has_gap(i->act.tracker, since, now))
			add_gap(i, since, now,
				"the MTA went on with its queue and nothing was logged of it");
	}
	e.queue_id = queue_id;
	mqw_instance_emit(i, &e);
	return true;
}

/*
 * Those that were in the queue once and were not met in it now: nobody saw them go. Not what the log
 * alone has: other hosts and instances may log to the same file.
 */
void mqw_instance_expect(struct mqw_instance *i)
{
	int64_t now = mqw_clock_now();

	i->expect_again = false;
	for (const struct mqw_message *m = mqw_tracker_next(i->act.tracker, NULL); m;
		m = mqw_tracker_next(i->act.tracker, m)) {
		struct mqw_slice id = mqw_slice_of(m->queue_id);
		/* Before its next try is due no hand but a stranger's takes it out. */
		bool rests = m->place == MQW_PLACE_HELD ||
			(m->place == MQW_PLACE_WAITING && m->retry_at != MQW_TIME_NONE &&
				m->retry_at > now);

		if (m->closed_at != MQW_TIME_NONE || m->place == MQW_PLACE_NONE || m->probe ||
			(m->deferred_at == MQW_TIME_NONE && !m->held) ||
			mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, id) != m)
			continue;
		if (!mqw_queue_watch_expect(
			    i->queue, id, rests ? (enum mqw_place)m->place : MQW_PLACE_ACTIVE, now))
			i->expect_again = true;
	}
}

void mqw_instance_scanned(void *ctx, uint32_t number)
{
	struct mqw_instance *i = ctx;

	if (i->act.caught_up && (int32_t)(number - i->awaited) >= 0)
		i->scanned = true;
	if (i->adopted && i->expect_again)
		mqw_instance_expect(i);
}
