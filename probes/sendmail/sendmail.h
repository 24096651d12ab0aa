/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sendmail: everything that is known about it. */
#ifndef MQW_PROBES_SENDMAIL_SENDMAIL_H
#define MQW_PROBES_SENDMAIL_SENDMAIL_H

#include "probes/probe.h"

extern const struct mqw_probe_ops mqw_probe_sendmail;

/*
 * Whether a string has the form of a queue id: eight characters of time and sequence, then the
 * process id, six digits or more since 8.13, five before (queue.c:5514 of Sendmail 8.17.1). For
 * everything that acts, and for names in the queue.
 */
bool mqw_sendmail_valid_id(struct mqw_slice id);

#define MQW_SENDMAIL_ID_MAX 15

/*
 * The id under which a message is put back: with a month that is none, so that Sendmail never
 * gives it to another, and the log tells which message goes on. False when id is none, or was put
 * back four times already.
 */
bool mqw_sendmail_recovered_id(struct mqw_slice id, char ret[MQW_SENDMAIL_ID_MAX + 1]);
/* The inverse: false when id is none under which a message was put back. */
bool mqw_sendmail_original_id(struct mqw_slice id, char ret[MQW_SENDMAIL_ID_MAX + 1]);

/* log.c */
struct mqw_probe *mqw_sendmail_log_create(const char *const *next_hops, size_t next_hop_count);
struct mqw_probe *mqw_sendmail_log_free(struct mqw_probe *p);
int mqw_sendmail_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
/* "sendmail", and what Debian and others name their daemons by -L: "sm-mta", "sm-msp-queue"... */
bool mqw_sendmail_is_mine(struct mqw_slice tag);

/* queue.c */
extern const char *const mqw_sendmail_queue_directories[];
bool mqw_sendmail_queue_name(struct mqw_slice relative_path, struct mqw_queue_name *ret);
extern const struct mqw_queue_file_form mqw_sendmail_queue_file_forms[];
/* The two places of the df file: each of qf and df may be in a directory of that name. */
bool mqw_sendmail_companion(struct mqw_slice path, size_t n, char *ret, size_t size);
int mqw_sendmail_queue_file(struct mqw_slice content, struct mqw_queue_file *ret);
/* envelope.c: of qfID and dfID. */
int mqw_sendmail_mail(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret);
/* Takes the lines of all other recipients out: what is not in a qf file counts as done. */
int mqw_sendmail_keep_recipients(
	struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count);

/*
 * settings.c: reads sendmail.cf and the daemon's command line. A lifetime set to 0 or "now" comes
 * out as 1 us. On success the caller frees ret->queue_directory, the directory above those that a
 * wildcard names. -ENOENT without Sendmail.
 */
int mqw_sendmail_ask(const char *config_dir, struct mqw_mta_settings *ret);

/*
 * control.c: requeue is `sendmail -qIID`, flush `sendmail -q`, which go on by themselves; healthy
 * looks for the process that the pid file names. recover.c puts the two files of a message back.
 */
extern const struct mqw_control_ops mqw_sendmail_control;

/* remedy.c */
void mqw_sendmail_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret);

#endif
