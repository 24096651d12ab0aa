/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What settings.c, control.c and recover.c share. */
#ifndef MQW_PROBES_EXIM_CONTROL_INTERNAL_H
#define MQW_PROBES_EXIM_CONTROL_INTERNAL_H

#include "probes/control.h"
#include "probes/exim/exim.h"

/*
 * Runs exim4 (Debian's name) or exim: [-C FILE] ARGUMENTS. 0 when it ended with status 0; otherwise
 * a negative errno (-EIO for other exit statuses) and a sentence. The caller frees ret by
 * mqw_process_done() in any case.
 */
int mqw_exim_command(const struct mqw_control *c, const char *const *arguments, size_t max_output,
	struct mqw_process *ret, char *ret_text, size_t size);

/* Has a delivery started by systemd, with arguments as above; not waited for. 0 or as above. */
int mqw_exim_start(
	const struct mqw_control *c, const char *const *arguments, char *ret_text, size_t size);

/*
 * Whether the words of a command line, each with a NUL behind it, are those of a daemon of Exim with
 * this configuration file (-C), NULL for the one that it was built with.
 */
bool mqw_exim_is_daemon(struct mqw_slice words, const char *config);

/*
 * recover.c: the name of the queue in which a message is, "" for the usual one, into ret_name (size
 * bytes). 1 when it is in one, 0 when it is nowhere, or a negative errno.
 */
int mqw_exim_queue_of(const char *queue_directory, const char *id, char *ret_name, size_t size);

/* recover.c: see struct mqw_control_ops. */
int mqw_exim_recover(const struct mqw_control *c, const char *queue_id, int file_fd, char *ret_text,
	size_t size);

#endif
