/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "probes/source/lines.h"

/* Entries given in one go, before the loop may turn to something else. */
#define BUDGET 1024
/* SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h; _TRANSPORT=driver is journald itself. */
#define DROPPED "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e"

/*
 * inotify is a hint here too. Without it: entries in the files that are open are looked for so often,
 * new files so often. With it only when it has kept silent for long, as it does when libsystemd got
 * no watch (fs.inotify.max_user_watches), which it does not tell.
 */
#define LOOK_EVERY ((uint64_t)MQW_SECOND)
#define REOPEN_EVERY (4 * (uint64_t)MQW_SECOND)
#define SILENCE (60 * (uint64_t)MQW_SECOND)

struct mqw_journal {
	sd_journal *journal;
	sd_event *loop; /* borrowed; NULL: not attached */
	char *directory; /* owned; NULL: this host's own journal */
	enum mqw_journal_start start;
	int facility;
	int64_t opened_at;
	uint64_t stirred_at; /* CLOCK_MONOTONIC: when news came last, or it was opened anew */
	bool polling; /* no inotify is to be had */
	bool anew; /* the files were opened anew since the start */
	int64_t files_at, sure_at; /* when they were opened; when that showed that all was given */
	struct mqw_source_ops ops;
	struct mqw_journal_fields fields;
	char *cursor; /* owned, malloc: of the last entry given, or the stored one; NULL none */
	bool resuming; /* cursor was sought: the next entry tells whether it is still there */
	bool said_unreadable, said_error;
	uint32_t source;
	uint64_t work;
	bool busy; /* the last turn left something to do */
	sd_event_source *io, *more, *recheck;
};

static int add_match(sd_journal *j, const char *match)
{
	return sd_journal_add_match(j, match, 0);
}

static int add_matches(struct mqw_journal *j, int facility)
{
	char match[32];
	int r;

	snprintf(match, sizeof(match), "SYSLOG_FACILITY=%d", facility);
	r = add_match(j->journal, match);
	if (r >= 0)
		r = sd_journal_add_disjunction(j->journal);
	if (r >= 0)
		r = add_match(j->journal, DROPPED);
	if (r >= 0)
		r = add_match(j->journal, "_TRANSPORT=driver");
	return r;
}

/* The end, in a way that sees what comes later also when there is nothing yet. */
static int seek_tail(sd_journal *j)
{
	int r = sd_journal_seek_tail(j);

	if (r >= 0)
		r = sd_journal_previous(j);
	/* Sought at the tail of nothing, it would stay there for ever. */
	if (r == 0)
		r = sd_journal_seek_realtime_usec(j, (uint64_t)mqw_clock_now());
	return r;
}

static int seek(struct mqw_journal *j, enum mqw_journal_start start)
{
	sd_id128_t boot;
	int r;

	if (j->cursor) {
		j->resuming = true;
		return sd_journal_seek_cursor(j->journal, j->cursor);
	}
	switch (start) {
	case MQW_JOURNAL_START_TAIL:
		/* Opened anew before there was an entry: what has come since is new. */
		if (j->opened_at)
			return sd_journal_seek_realtime_usec(j->journal, (uint64_t)j->opened_at);
		return seek_tail(j->journal);
	case MQW_JOURNAL_START_BOOT:
		r = sd_id128_get_boot(&boot);
		return r < 0 ? r : sd_journal_seek_monotonic_usec(j->journal, boot, 0);
	default:
		return sd_journal_seek_head(j->journal);
	}
}

/* Opens the journal's files and seeks the place to go on from. */
static int open_files(struct mqw_journal *j)
{
	/* LOCAL_ONLY: entries that systemd-journal-remote brought from elsewhere are not ours. */
	int r = j->directory ? sd_journal_open_directory(&j->journal, j->directory, 0)
			     : sd_journal_open(&j->journal, SD_JOURNAL_LOCAL_ONLY);

	if (r < 0)
		return r;
	j->files_at = mqw_clock_now();
	/* One byte more than is kept, and the name: so that a cut can be seen. */
	r = sd_journal_set_data_threshold(j->journal, MQW_LINE_MAX + sizeof("MESSAGE=") + 1);
	if (r >= 0)
		r = add_matches(j, j->facility);
	return r < 0 ? r : seek(j, j->start);
}

static int set_up(struct mqw_journal *j, const struct mqw_journal_options *o)
{
	int r;

	j->facility = o->facility;
	j->start = o->start;
	if (o->position && *o->position) {
		j->cursor = mqw_slice_dup(mqw_slice_of(o->position));
		if (!j->cursor)
			return -ENOMEM;
	}
	if (o->directory) {
		j->directory = mqw_slice_dup(mqw_slice_of(o->directory));
		if (!j->directory)
			return -ENOMEM;
	}
	r = open_files(j);
	j->opened_at = mqw_clock_now();
	return r;
}

int mqw_journal_open(const struct mqw_journal_options *options, const struct mqw_source_ops *ops,
	struct mqw_journal **ret)
{
	struct mqw_journal *j;
	int r;

	if (options->facility < 0 || options->facility > 23)
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->ops = *ops;
	r = set_up(j, options);
	if (r < 0) {
		mqw_journal_close(j);
		return r;
	}
	if (ops->number)
		j->source = ops->number(ops->ctx, "journal");
	*ret = j;
	return 0;
}

struct mqw_journal *mqw_journal_close(struct mqw_journal *j)
{
	if (!j)
		return NULL;
	sd_event_source_disable_unref(j->io);
	sd_event_source_disable_unref(j->more);
	sd_event_source_disable_unref(j->recheck);
	sd_journal_close(j->journal);
	mqw_buffer_done(&j->fields.text);
	free(j->cursor);
	free(j->directory);
	free(j);
	return NULL;
}

static void say(struct mqw_journal *j, const char *text)
{
	if (j->ops.say)
		j->ops.say(j->ops.ctx, text);
}

static void gap(struct mqw_journal *j, int64_t to)
{
	int64_t from = mqw_journal_position_time(mqw_slice_of(j->cursor));

	if (j->anew && j->sure_at > from)
		from = j->sure_at;
	if (j->ops.gap)
		j->ops.gap(j->ops.ctx, from, to, "the journal no longer holds what was read last");
}

/* Of the entry that is current; without its time since the one given last. */
static void entry_gap(struct mqw_journal *j, int64_t at)
{
	if (j->ops.gap)
		j->ops.gap(j->ops.ctx,
			at == MQW_TIME_NONE ? mqw_journal_position_time(mqw_slice_of(j->cursor))
					    : at,
			at, "an entry of the journal could not be read");
}

/* Without any file that may be read there is nothing, which looks like a quiet day. */
static bool has_files(struct mqw_journal *j)
{
	uint64_t bytes = 0;
	bool any = sd_journal_get_usage(j->journal, &bytes) >= 0 && bytes > 0;

	if (!any && !j->said_unreadable)
		say(j,
			"no file of the journal can be read: is there one, and is this user in the "
			"group systemd-journal?");
	j->said_unreadable = !any;
	return any;
}

static int64_t received_at(struct mqw_journal *j)
{
	uint64_t usec;

	return sd_journal_get_realtime_usec(j->journal, &usec) < 0 ? MQW_TIME_NONE : (int64_t)usec;
}

/*
 * After seeking a cursor: 1 when the entry that is current now has to be given, 0 when it is the
 * one that was given before.
 */
static int check_resumed(struct mqw_journal *j)
{
	int r = sd_journal_test_cursor(j->journal, j->cursor);

	if (r < 0)
		return r;
	j->resuming = false;
	if (r == 0)
		gap(j, received_at(j));
	return r == 0;
}

/* Moves to the next entry that has to be given. */
static int step(struct mqw_journal *j)
{
	int r = sd_journal_next(j->journal);

	if (r > 0 && j->resuming) {
		r = check_resumed(j);
		if (r == 0)
			r = sd_journal_next(j->journal);
	} else if (r == 0 && has_files(j) && j->resuming) {
		/*
		 * Neither the entry nor anything newer: it was taken away, and is not awaited. At the
		 * start that says nothing of what came after it; later that nothing did.
		 */
		j->resuming = false;
		if (!j->anew)
			gap(j, mqw_clock_now());
	}
	return r;
}

static int read_fields(struct mqw_journal *j)
{
	const void *data;
	size_t len;
	int r;

	mqw_journal_fields_clear(&j->fields);
	sd_journal_restart_data(j->journal);
	while ((r = sd_journal_enumerate_available_data(j->journal, &data, &len)) > 0)
		mqw_journal_fields_add(&j->fields, mqw_slice(data, len));
	return r;
}

/*
 * One that cannot be read may have settled a message. libsystemd has moved on from it by then.
 */
int mqw_journal_next(struct mqw_journal *j, struct mqw_journal_entry *ret)
{
	int r;

	while ((r = step(j)) > 0) {
		j->work++;
		if (read_fields(j) >= 0 &&
			mqw_journal_fields_entry(&j->fields, received_at(j), ret))
			return 1;
		entry_gap(j, received_at(j));
	}
	return r;
}

/*
 * Keeps the cursor of the entry that was given last: libsystemd forgets where it is when the file
 * is taken away.
 */
static void keep_cursor(struct mqw_journal *j)
{
	char *cursor;

	if (j->resuming || sd_journal_get_cursor(j->journal, &cursor) < 0)
		return;
	free(j->cursor);
	j->cursor = cursor;
}

bool mqw_journal_busy(const struct mqw_journal *j, uint64_t *ret_work)
{
	*ret_work = j->work;
	return j->busy;
}

int mqw_journal_position(struct mqw_journal *j, struct mqw_buffer *ret)
{
	keep_cursor(j);
	if (j->cursor)
		mqw_buffer_add_str(ret, j->cursor);
	return ret->failed ? -ENOMEM : 0;
}

/* An error is said once, and tried again when the journal next stirs. */
static void say_error(struct mqw_journal *j, int error)
{
	char text[160];

	if (error == 0) {
		j->said_error = false;
	} else if (!j->said_error) {
		snprintf(text, sizeof(text), "the journal cannot be read: %s", strerror(-error));
		j->said_error = true;
		say(j, text);
	}
}

/*
 * Files that inotify does not cover, on a network file system, have to be looked at by time; and all
 * of them where there is no inotify, or where it may have nothing to say.
 */
static int arm_recheck(struct mqw_journal *j)
{
	uint64_t asked = UINT64_MAX, now, at;
	int r = j->polling ? 0 : sd_journal_get_timeout(j->journal, &asked);

	if (r >= 0)
		r = sd_event_now(j->loop, CLOCK_MONOTONIC, &now);
	if (r < 0)
		return r;
	at = now + (j->polling ? LOOK_EVERY : REOPEN_EVERY);
	r = sd_event_source_set_time(j->recheck, asked < at ? asked : at);
	return r < 0 ? r : sd_event_source_set_enabled(j->recheck, SD_EVENT_ONESHOT);
}

/* What has stirred: entries, or files that came and went. */
static int process(struct mqw_journal *j)
{
	int r = sd_journal_process(j->journal);

	if (r < 0)
		say_error(j, r);
	if (r > SD_JOURNAL_NOP) {
		r = sd_event_source_set_enabled(j->more, SD_EVENT_ONESHOT);
		if (r < 0)
			return r;
	}
	return arm_recheck(j);
}

/*
 * Gives a batch. News of files is not looked at before all entries are given: a file that was
 * vacuumed meanwhile can be read until libsystemd hears of it.
 */
static int give_entries(struct mqw_journal *j)
{
	const struct mqw_evidence evidence = {.source = j->source};
	struct mqw_journal_entry entry;
	int r = 1;

	for (int i = 0; i < BUDGET && r > 0; i++) {
		r = mqw_journal_next(j, &entry);
		if (r > 0 && j->ops.entry)
			j->ops.entry(j->ops.ctx, &entry, evidence);
	}
	keep_cursor(j);
	j->busy = r > 0;
	say_error(j, r < 0 ? r : 0);
	if (r > 0)
		return sd_event_source_set_enabled(j->more, SD_EVENT_ONESHOT);
	if (r == 0)
		j->sure_at = j->files_at;
	/* A journal that cannot be read at all has no end to be at. */
	if (r == 0 && !j->said_unreadable && j->ops.caught_up)
		j->ops.caught_up(j->ops.ctx);
	return j->io ? sd_event_source_set_enabled(j->io, SD_EVENT_ON) : 0;
}

static int on_more(sd_event_source *s, void *userdata)
{
	(void)s;
	return give_entries(userdata);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct mqw_journal *j = userdata;
	int enabled, r = process(j);

	(void)fd, (void)revents;
	(void)sd_event_now(j->loop, CLOCK_MONOTONIC, &j->stirred_at);
	if (r >= 0)
		r = sd_event_source_get_enabled(j->more, &enabled);
	if (r > 0)
		r = sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

static int watch(struct mqw_journal *j)
{
	int fd = sd_journal_get_fd(j->journal), events, r;
	char text[192];

	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOSPC) {
		if (!j->polling) {
			snprintf(text, sizeof(text),
				"the journal cannot be watched (%s) and is looked at every second "
				"instead: raise fs.inotify.max_user_instances",
				strerror(-fd));
			say(j, text);
		}
		j->polling = true;
		return sd_event_source_set_enabled(j->more, SD_EVENT_ONESHOT);
	}
	events = fd < 0 ? fd : sd_journal_get_events(j->journal);
	if (events < 0)
		return events;
	j->polling = false;
	r = sd_event_add_io(j->loop, &j->io, fd, (uint32_t)events, on_io, j);
	if (r >= 0)
		r = sd_event_source_set_enabled(j->io, SD_EVENT_OFF);
	return r < 0 ? r : sd_event_source_set_enabled(j->more, SD_EVENT_ONESHOT);
}

/* All files anew, those too that nothing told of. The old ones stay when that fails. */
static int open_anew(struct mqw_journal *j)
{
	sd_journal *before = j->journal;
	int r;

	keep_cursor(j);
	j->anew = true;
	r = open_files(j);
	if (r < 0) {
		if (j->journal != before)
			sd_journal_close(j->journal);
		j->journal = before;
		say_error(j, r);
		return 0;
	}
	j->io = sd_event_source_disable_unref(j->io);
	sd_journal_close(before);
	return watch(j);
}

static int on_recheck(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct mqw_journal *j = userdata;
	uint64_t now, span = j->polling ? REOPEN_EVERY : SILENCE;
	int r = sd_event_now(j->loop, CLOCK_MONOTONIC, &now);

	(void)s, (void)usec;
	if (r < 0)
		return r;
	if (j->busy)
		return arm_recheck(j);
	if (now - j->stirred_at >= span) {
		j->stirred_at = now;
		r = open_anew(j);
		return r < 0 ? r : arm_recheck(j);
	}
	if (!j->polling)
		return process(j);
	r = sd_event_source_set_enabled(j->more, SD_EVENT_ONESHOT);
	return r < 0 ? r : arm_recheck(j);
}

int mqw_journal_attach(struct mqw_journal *j, struct sd_event *loop)
{
	int r = sd_event_now(loop, CLOCK_MONOTONIC, &j->stirred_at);

	j->loop = loop;
	if (r >= 0)
		r = sd_event_add_defer(loop, &j->more, on_more, j);
	if (r >= 0)
		r = sd_event_add_time(loop, &j->recheck, CLOCK_MONOTONIC, 0, 0, on_recheck, j);
	if (r >= 0)
		r = watch(j);
	return r < 0 ? r : arm_recheck(j);
}
