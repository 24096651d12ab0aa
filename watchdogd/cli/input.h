/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One log being read from its beginning to its end, its next line in hand: a set of files, oldest
 * first, or the systemd journal.
 */
#ifndef MQW_CLI_INPUT_H
#define MQW_CLI_INPUT_H

#include "probes/probe.h"
#include "probes/source/fileset.h"
#include "probes/source/journal.h"
#include "probes/source/reader.h"
#include "probes/syslog/header.h"

/* A line, and what is known of the place where it stood. Slices live until the next one is taken. */
struct mqw_input_line {
	struct mqw_line line;
	struct mqw_slice text; /* the whole of it, as it was read */
	int64_t before; /* time of the line before; MQW_TIME_NONE: there was none */
	const char *hole; /* why lines may be missing between the two; NULL: none are */
	const struct mqw_probe_ops *mta; /* whose lines are looked for; NULL: not known yet */
	/* Whether it may be the MTA's, and whether it may be one in which the logging confesses a loss. */
	bool is_genuine, is_loggers;
	bool is_scattered; /* host and tag are no part of text: an entry of the journal */
};

struct mqw_input {
	const struct mqw_log_set *set; /* NULL: at its end */
	size_t next_file; /* in the set */
	uint32_t first_source;
	struct mqw_reader
		*reader; /* of the file at hand; NULL between files, and for the journal */
	struct mqw_journal *journal;
	struct mqw_journal_entry entry; /* the line's, where it comes from the journal */
	struct mqw_syslog_reader syslog;
	struct mqw_input_line at; /* the line in hand */
	uint64_t lines; /* read so far, also such without a stamp */
	uint64_t done_bytes; /* of the files before this one */
	uint64_t stamped; /* lines of this file that had a stamp */
	uint64_t file_lines;
	bool ahead; /* set by the caller: compressed files are decompressed in a thread of their own */
	bool is_log; /* a line of this file had a form that is known */
	const struct mqw_probe_ops **mta; /* the MTA, *mta NULL until a line told it; borrowed */
	struct mqw_buffer *errors; /* one "path: why" a line; borrowed */
};

/*
 * Nothing is opened yet. first_source is the number of the set's first file. year as in
 * mqw_syslog_reader_init(). set, mta and errors are borrowed.
 */
void mqw_input_init(struct mqw_input *s, const struct mqw_log_set *set, uint32_t first_source,
	int year, const struct mqw_probe_ops **mta, struct mqw_buffer *errors);
void mqw_input_done(struct mqw_input *s);

/*
 * Takes the next line that has a stamp into s->at, but for its mta. False at the end: s->set is NULL
 * then. What cannot be read is noted in errors and is a hole in the log.
 */
bool mqw_input_advance(struct mqw_input *s);

/*
 * What journald saw of the line in hand, which is an entry of the journal. Anybody can write there under
 * any name: it counts only when the MTA sent it, which s->at.mta tells; NULL is taken.
 */
void mqw_input_vouch(struct mqw_input *s);

/* Says of the line in hand whose it is looked at as; mta may be NULL. Of a file no more is known. */
static inline void mqw_input_look_for(struct mqw_input *s, const struct mqw_probe_ops *mta)
{
	s->at.mta = mta;
	if (s->at.is_scattered)
		mqw_input_vouch(s);
}

/* Bytes taken from files so far, for progress. */
uint64_t mqw_input_consumed(const struct mqw_input *s);

#endif
