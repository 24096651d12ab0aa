/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads whole logs for the offline commands: files of several sets merged by time, through the
 * head of each line and the MTA's probe, into a sink.
 */
#ifndef MQW_CLI_READING_H
#define MQW_CLI_READING_H

#include "probes/probe.h"
#include "probes/source/fileset.h"
#include "watchdogd/cli/outlet.h"

#define MQW_READING_SAMPLES 10

struct mqw_reading {
	/* Set by the caller. */
	const struct mqw_probe_ops *mta; /* NULL: recognised from the lines, and set */
	int year; /* of the first year-less stamp; 0: from the file's time */
	int64_t until; /* lines after it are not read; MQW_TIME_NONE: all are */
	/*
	 * Tell what the lines say in a second thread where one can be had, and decompress in further
	 * ones: all is told in the same order, by one thread at a time.
	 */
	bool threads;
	bool progress; /* show a bar on standard error */

	/* Told afterwards. */
	uint64_t lines, unparsed, used;
	int64_t end; /* newest stamp; MQW_TIME_NONE: there was none */
	struct {
		char *text; /* printable, cut; owned */
		uint32_t source;
		uint64_t line;
	} samples[MQW_READING_SAMPLES]; /* of unparsed lines */
	size_t sample_count;
	const char **names; /* of the numbered sources; borrowed from the fileset */
	size_t name_count;
	struct mqw_buffer errors; /* one "path: why" a line: an input that could not be read */
};

/* Reads everything. 0, or a negative errno (of the sink, or -ENOMEM). Input faults are in errors. */
int mqw_reading_run(
	struct mqw_reading *r, const struct mqw_fileset *files, const struct mqw_outlet *to);

/* Frees what it told; the structure can then be run again. */
void mqw_reading_done(struct mqw_reading *r);

/* The name of a source, for struct mqw_verdict_origin; ctx is the reading. */
const char *mqw_reading_source_name(void *ctx, uint32_t source);

#endif
