/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What scan and trace take on the command line: how logs are to be read and judged. */
#ifndef MQW_CLI_OPTIONS_H
#define MQW_CLI_OPTIONS_H

#include "probes/probe.h"

enum mqw_format { MQW_FORMAT_TEXT, MQW_FORMAT_JSON };

struct mqw_cli_options {
	const struct mqw_probe_ops *mta; /* NULL: recognised from the lines */
	const char *queue; /* NULL: none */
	enum mqw_format format;
	bool all, no_progress, help;
	int64_t since, until; /* MQW_TIME_NONE: not given */
	int64_t lifetime, min_lifetime, slack;
	int year; /* 0: not given */
	int jobs; /* threads to work with; 0: not given */
};

/*
 * Reads options from argv (getopt_long, permuting), sets TZ for --timezone. Returns the index of
 * the first other argument, or -1 after a message on standard error.
 */
int mqw_cli_options_read(struct mqw_cli_options *o, int argc, char **argv);

/* The options as a tracker takes them. */
struct mqw_tracker_options mqw_cli_tracker_options(const struct mqw_cli_options *o);

/* The part of a --help text that lists these options. */
extern const char mqw_cli_options_help[];

#endif
