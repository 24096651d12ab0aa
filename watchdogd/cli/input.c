/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/input.h"

#include <errno.h>
#include <string.h>

void mqw_input_init(struct mqw_input *s, const struct mqw_log_set *set, uint32_t first_source,
	int year, const struct mqw_probe_ops **mta, struct mqw_buffer *errors)
{
	*s = (struct mqw_input){.set = set,
		.first_source = first_source,
		.at.before = MQW_TIME_NONE,
		.mta = mta,
		.errors = errors};
	mqw_syslog_reader_init(&s->syslog, year, MQW_TIME_NONE);
}

void mqw_input_done(struct mqw_input *s)
{
	s->reader = mqw_reader_close(s->reader);
	s->journal = mqw_journal_close(s->journal);
}

static const char *current_path(const struct mqw_input *s)
{
	return s->set->files[s->next_file - 1].path;
}

static void say_error(struct mqw_input *s, const char *why)
{
	mqw_buffer_add_printable(s->errors, mqw_slice_of(current_path(s)));
	mqw_buffer_printf(s->errors, ": %s\n", why);
}

static void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	struct mqw_input *s = ctx;

	(void)from, (void)to;
	s->at.hole = why;
}

static void on_say(void *ctx, const char *text)
{
	say_error(ctx, text);
}

static int open_journal(struct mqw_input *s, const char *path)
{
	const struct mqw_journal_options options = {
		.directory = mqw_fileset_journal_directory(path),
		.start = MQW_JOURNAL_START_OLDEST,
		.facility = MQW_JOURNAL_MAIL};
	const struct mqw_source_ops ops = {.gap = on_gap, .say = on_say, .ctx = s};

	return mqw_journal_open(&options, &ops, &s->journal);
}

static int open_file(struct mqw_input *s, const struct mqw_log_file *f)
{
	int r = mqw_reader_open(f->path, &s->reader);

	if (r < 0)
		return r;
	if (s->ahead)
		mqw_reader_read_ahead(s->reader);
	if (f->hole_before)
		s->at.hole = "a rotated file of the set is missing";
	mqw_syslog_reader_next_file(&s->syslog, mqw_reader_mtime(s->reader));
	if (s->syslog.reference == MQW_TIME_NONE)
		s->syslog.reference = mqw_clock_now();
	return 0;
}

/* Opens the next file of the set that can be opened; false at the end. */
static bool open_next(struct mqw_input *s)
{
	while (s->next_file < s->set->count) {
		const struct mqw_log_file *f = &s->set->files[s->next_file++];
		int r = mqw_fileset_is_journal(f->path) ? open_journal(s, f->path)
							: open_file(s, f);

		s->file_lines = s->stamped = 0;
		s->is_log = false;
		s->at.is_scattered = s->journal;
		s->at.is_genuine = s->at.is_loggers = !s->journal;
		if (r == 0)
			return true;
		say_error(s, strerror(-r));
		s->at.hole = "a rotated file of the set could not be read";
	}
	return false;
}

/* Ends a file; says so when it was no log at all. */
static void close_file(struct mqw_input *s)
{
	if (s->reader && s->file_lines > 0 && !s->is_log)
		say_error(s, "not a mail log: no line begins with a known time stamp");
	if (s->reader)
		s->done_bytes += mqw_reader_size(s->reader);
	mqw_input_done(s);
}

/* 1 a line, stamped or not, 0 the end, -errno. *ret_stamped when it is in s->line. */
static int read_file(struct mqw_input *s, bool *ret_stamped)
{
	struct mqw_raw_line raw;
	int n = mqw_reader_next(s->reader, &raw);
	enum mqw_form form;

	if (n < 0)
		say_error(s, mqw_reader_error(s->reader));
	if (n <= 0)
		return n;
	s->at.text = raw.text;
	form = mqw_probe_parse(s->mta, &s->syslog, raw.text, &s->at.line);
	*ret_stamped = mqw_form_is_line(form);
	s->is_log = s->is_log || form != MQW_FORM_NONE;
	s->at.line.evidence.line = raw.number;
	return 1;
}

/* An entry has no number by which a person would find it: its time has to do. */
static int read_journal(struct mqw_input *s, bool *ret_stamped)
{
	struct mqw_journal_entry *e = &s->entry;
	int n = mqw_journal_next(s->journal, e);

	if (n < 0)
		say_error(s, strerror(-n));
	if (n <= 0)
		return n;
	s->at.text = e->message;
	s->at.line = (struct mqw_line){.time = e->time,
		.host = e->host,
		.tag = e->identifier,
		.text = e->message,
		.pid = e->pid};
	*ret_stamped = !e->no_message;
	if (e->no_message)
		s->at.hole = "an entry of the journal has lost its message";
	return 1;
}

bool mqw_input_advance(struct mqw_input *s)
{
	if (s->stamped)
		s->at.before = s->at.line.time;
	s->at.hole = NULL;
	for (;;) {
		bool stamped = false;
		int n;

		if (!s->reader && !s->journal && !open_next(s)) {
			s->set = NULL;
			return false;
		}
		n = s->journal ? read_journal(s, &stamped) : read_file(s, &stamped);
		if (n <= 0) {
			close_file(s);
			continue;
		}
		s->lines++;
		s->file_lines++;
		if (!stamped)
			continue;
		s->stamped++;
		s->at.line.evidence.source = s->first_source + (uint32_t)s->next_file - 1;
		return true;
	}
}

void mqw_input_vouch(struct mqw_input *s)
{
	const struct mqw_journal_entry *e = &s->entry;
	const struct mqw_probe_ops *mta = s->at.mta;

	s->at.is_genuine = mta && mta->is_genuine(NULL, e->unit, e->uid, e->exe);
	s->at.is_loggers = mqw_slice_starts(e->unit, MQW_LIT("systemd-journald"));
}

uint64_t mqw_input_consumed(const struct mqw_input *s)
{
	return s->done_bytes + (s->reader ? mqw_reader_consumed(s->reader) : 0);
}
