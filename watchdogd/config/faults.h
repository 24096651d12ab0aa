/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults found in one configuration file, kept in order of their place whatever the order in which
 * they are found. The layers that read the file (tree, schema, configuration, rules, probes) add
 * to one list, and a person gets all of it at once. Zero-initialise to start.
 */
#ifndef MQW_CONFIG_FAULTS_H
#define MQW_CONFIG_FAULTS_H

#include "watchdogd/base/diag.h"

struct mqw_faults {
	struct mqw_fault {
		size_t line, column; /* from 1; line 0: the file as a whole */
		char *message; /* owned */
	} kept[MQW_DIAG_MAX]; /* sorted; the first ones of the file */
	size_t kept_count;
	size_t count; /* all that were added */
	bool failed; /* memory was out for at least one */
};

/* Adds one; the message is a printf format without position and newline. */
void mqw_faults_add(struct mqw_faults *f, size_t line, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Moves all to d, each with file in front, and empties f. d counts those that were not kept too. */
void mqw_faults_flush(struct mqw_faults *f, const char *file, struct mqw_diag *d);

void mqw_faults_done(struct mqw_faults *f);

/* A value as a message shows it: in quotes, cut when it is long. */
struct mqw_shown {
	char text[72];
};
struct mqw_shown mqw_show(struct mqw_slice value);

/*
 * Which of the known words was meant: at most two typing errors away (one for words of up to three
 * letters), a swap of neighbours being one error, case none. NULL when none is that near.
 */
const char *mqw_nearest(struct mqw_slice word, const char *const *known, size_t count);

/* How many typing errors lie between two words; more than limit is given as limit + 1. */
size_t mqw_edit_distance(struct mqw_slice a, struct mqw_slice b, size_t limit);

#endif
