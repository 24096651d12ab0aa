/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines and queue changes on their way into the tracker. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "probes/source/reader.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/daemon/instance_internal.h"

#define UNNAMED (2 * MQW_MINUTE) /* so long a waiting file may be there before its lines come */
#define QUEUE_FILE_MAX ((off_t)256 * 1024 * 1024)

/* One instance has its tracker to itself: ids need no realm, the queue's and the log's are one. */
int mqw_instance_emit(void *ctx, const struct mqw_event *e)
{
	struct mqw_instance *i = ctx;
	struct mqw_event own = *e;
	int64_t now = mqw_clock_now();

	/* A stamp of a fast clock or another zone shall make nothing look late before it is. */
	if (own.time > now)
		own.time = now;
	if (own.kind == MQW_EVENT_MESSAGE_ID)
		own.own = mqw_outbox_is_own(i->host.ledger, own.message_id);
	own.realm = MQW_SLICE_NULL;
	own.instance = mqw_slice_of(i->act.name);
	return mqw_tracker_event(i->act.tracker, &own);
}

static void take_line(struct mqw_instance *i, const struct mqw_line *line)
{
	struct mqw_event gap;
	int r;

	i->lines++;
	i->moved = true;
	i->last_line = line->time;
	if (mqw_loss_read(&i->loss, line, i->act.probe->name, &gap)) {
		mqw_instance_emit(i, &gap);
		return;
	}
	r = i->act.probe->line(i->probe, line, &i->sink);
	if (r == MQW_LINE_STRANGE)
		i->unparsed++;
	else if (r < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, i->act.name,
			"a log line could not be followed: %s", strerror(-r));
}

static void on_line(void *ctx, const struct mqw_raw_line *raw, struct mqw_evidence evidence)
{
	struct mqw_instance *i = ctx;
	struct mqw_line line = {.evidence = evidence};

	/* A year-less stamp is of the year that makes it the latest not in the future. */
	if (i->syslog.year == 0)
		i->syslog.reference = mqw_clock_now();
	if (mqw_syslog_parse(&i->syslog, raw->text, &line))
		take_line(i, &line);
	else
		i->moved = true;
}

static void on_entry(void *ctx, const struct mqw_journal_entry *entry, struct mqw_evidence evidence)
{
	struct mqw_instance *i = ctx;
	struct mqw_line line = {.time = entry->time,
		.host = entry->host,
		.tag = entry->identifier,
		.text = entry->message,
		.pid = entry->pid,
		.evidence = evidence};

	i->moved = true;
	if (i->act.probe->is_genuine(i->config->service, entry->unit, entry->uid, entry->exe) ||
		mqw_slice_starts(entry->unit, MQW_LIT("systemd-journald")))
		take_line(i, &line);
}

static void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	struct mqw_instance *i = ctx;
	struct mqw_event gap = mqw_event(MQW_EVENT_GAP, mqw_clock_now());

	gap.from = from == MQW_TIME_NONE ? 0 : from;
	gap.to = to == MQW_TIME_NONE ? gap.time : to;
	gap.reply = mqw_slice_of(why);
	mqw_instance_emit(i, &gap);
}

static void on_caught_up(void *ctx)
{
	struct mqw_instance *i = ctx;

	if (i->act.caught_up)
		return;
	i->act.caught_up = true;
	mqw_tracker_tick(i->act.tracker, mqw_clock_now());
	mqw_instance_early_findings(i);
	if (i->queue)
		mqw_queue_watch_repeat(i->queue);
}

static void on_say(void *ctx, const char *text)
{
	const struct mqw_instance *i = ctx;

	mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name, "%s", text);
}

static uint32_t on_number(void *ctx, const char *name)
{
	struct mqw_instance *i = ctx;

	for (uint32_t n = 0; n < i->name_count; n++)
		if (!strcmp(i->names[n], name))
			return n;
	if (i->name_count == MQW_INSTANCE_SOURCES)
		return UINT32_MAX;
	i->names[i->name_count] = mqw_slice_dup(mqw_slice_of(name));
	return i->names[i->name_count] ? i->name_count++ : UINT32_MAX;
}

const struct mqw_source_ops mqw_instance_source_ops = {
	.line = on_line,
	.entry = on_entry,
	.gap = on_gap,
	.caught_up = on_caught_up,
	.say = on_say,
	.number = on_number,
};

/* Reads a queue file whole; ENOENT is normal. */
static int read_file(struct mqw_instance *i, const char *path, struct mqw_buffer *ret)
{
	int root = mqw_queue_watch_root(i->queue), fd, r = 0;
	struct stat st;

	fd = root < 0 ? -1 : openat(root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > QUEUE_FILE_MAX)
		r = -EFBIG;
	while (r == 0 && mqw_buffer_reserve(ret, 65536)) {
		ssize_t n = read(fd, ret->ptr + ret->len, 65536);

		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		ret->len += (size_t)n;
		if (ret->len > (size_t)QUEUE_FILE_MAX)
			r = -EFBIG;
	}
	close(fd);
	return ret->failed ? -ENOMEM : r;
}

static int tell_of_file(struct mqw_instance *i, struct mqw_slice id, const struct mqw_queue_file *f,
	const struct stat *st)
{
	int64_t seen = (int64_t)st->st_ctim.tv_sec * MQW_SECOND;
	int64_t began = f->created_at != MQW_TIME_NONE ? f->created_at
		: f->arrived_at != MQW_TIME_NONE       ? f->arrived_at
						       : seen;
	struct mqw_event e = mqw_event(MQW_EVENT_OPENED, began);
	int r;

	e.queue_id = id;
	e.sender = mqw_slice_of(f->sender);
	r = mqw_instance_emit(i, &e);
	e.kind = MQW_EVENT_QUEUED;
	e.count = f->recipient_count;
	if (r == 0)
		r = mqw_instance_emit(i, &e);
	if (r == 0 && f->message_id) {
		e.kind = MQW_EVENT_MESSAGE_ID;
		e.message_id = mqw_slice_of(f->message_id);
		r = mqw_instance_emit(i, &e);
	}
	e = mqw_event(MQW_EVENT_ATTEMPT, seen > began ? seen : began);
	e.queue_id = id;
	e.outcome = MQW_OUTCOME_DEFERRED;
	e.reply = MQW_LIT("deferred before the log that is read begins");
	for (size_t n = 0; r == 0 && n < f->recipient_count; n++) {
		e.recipient = mqw_slice_of(f->recipients[n].address);
		if (!f->recipients[n].done)
			r = mqw_instance_emit(i, &e);
	}
	return r;
}

/* A waiting message that no line has named: it came before the log begins. */
static void adopt(
	struct mqw_instance *i, struct mqw_slice id, const char *path, const struct stat *st)
{
	struct mqw_buffer content = {0};
	struct mqw_queue_file f;
	int r = read_file(i, path, &content);

	if (r == 0)
		r = i->act.probe->queue_file(mqw_buffer_slice(&content), &f);
	if (r == 0) {
		tell_of_file(i, id, &f, st);
		mqw_queue_file_done(&f);
	}
	mqw_buffer_done(&content);
}

static void keep_copy(
	struct mqw_instance *i, struct mqw_slice id, enum mqw_place place, const char *path)
{
	bool wanted = i->host.keep == MQW_KEEP_ALL
		? place == MQW_PLACE_WAITING || place == MQW_PLACE_ACTIVE
		: i->host.keep == MQW_KEEP_DEFERRED && place == MQW_PLACE_WAITING;
	int r;

	if (!wanted || !i->act.vault)
		return;
	r = mqw_vault_copy_in(i->act.vault, mqw_queue_watch_root(i->queue), path, id,
		i->act.probe->complete_mode, (uint64_t)QUEUE_FILE_MAX);
	if (r < 0 && r != -ENOENT && r != -EAGAIN && r != -EPERM)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, i->act.name,
			"no copy of message %.*s could be kept: %s", (int)id.len, id.ptr,
			strerror(-r));
}

void mqw_instance_present(void *ctx, struct mqw_slice queue_id, enum mqw_place place,
	const char *path, const struct stat *st)
{
	struct mqw_instance *i = ctx;
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_PRESENT, mqw_clock_now());
	bool rests =
		place == MQW_PLACE_WAITING || place == MQW_PLACE_HELD || place == MQW_PLACE_DAMAGED;
	int64_t changed = (int64_t)st->st_ctim.tv_sec * MQW_SECOND;
	const struct mqw_message *m;

	if (!i->queue)
		return;
	keep_copy(i, queue_id, place, path);
	m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);
	if (!i->act.caught_up)
		return; /* the log first; every file is given again then */
	/* The first time all; later what the log has kept silent about. */
	if (!m && rests && (!i->adopted || e.time - changed > UNNAMED)) {
		adopt(i, queue_id, path, st);
		m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);
	}
	/* What is delivered at the first try shall cost nothing more. */
	if (!m || (!rests && m->deferred_at == MQW_TIME_NONE))
		return;
	e.queue_id = queue_id;
	e.place = place;
	if (place == MQW_PLACE_WAITING)
		e.retry_at = (int64_t)st->st_mtim.tv_sec * MQW_SECOND;
	mqw_instance_emit(i, &e);
}

bool mqw_instance_matters(void *ctx, struct mqw_slice queue_id)
{
	const struct mqw_instance *i = ctx;
	const struct mqw_message *m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);

	/* While the log is read again at the start nobody knows yet. */
	return !i->act.caught_up || (m && m->closed_at == MQW_TIME_NONE);
}

void mqw_instance_gone(void *ctx, struct mqw_slice queue_id)
{
	struct mqw_instance *i = ctx;
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_GONE, mqw_clock_now());
	const struct mqw_message *m = mqw_tracker_find(i->act.tracker, MQW_SLICE_NULL, queue_id);

	/* Nearly always it was delivered at the first try: that shall cost nothing more. */
	if (!m || (m->closed_at != MQW_TIME_NONE && !m->kept && !m->dirty))
		return;
	e.queue_id = queue_id;
	mqw_instance_emit(i, &e);
}

void mqw_instance_scanned(void *ctx)
{
	struct mqw_instance *i = ctx;

	i->scanned = true;
}
