/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What acting on an MTA takes, whichever it is: for the control folders of the probes alone. */
#ifndef MQW_PROBES_CONTROL_H
#define MQW_PROBES_CONTROL_H

#include "watchdogd/base/process.h"

/* Puts "WHAT: reason of r" into ret_text. Returns r. */
int mqw_control_fail(int r, char *ret_text, size_t size, const char *what);

/*
 * What mqw_process_run() said and the program's exit status come to: 0, r with a sentence when it
 * could not be run, -EIO with its complaint when it ended with another status than 0.
 */
int mqw_control_conclude(
	const char *program, int r, const struct mqw_process *p, char *ret_text, size_t size);

#define MQW_TEMPORARY_SIZE 24 /* of a name with its NUL */

/*
 * Makes a file in an MTA's directory that the MTA takes for no message's, as its name begins with a
 * dot: open for reading and writing, its mode 0600. The descriptor, or a negative errno.
 */
int mqw_control_create_temporary(int dir, char ret_name[MQW_TEMPORARY_SIZE]);

/* Gives it its name. -EEXIST when that is taken. 0 or a negative errno. */
int mqw_control_rename_new(int dir, const char *from, const char *to);

#endif
