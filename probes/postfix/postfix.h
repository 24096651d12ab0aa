/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Postfix: everything that is known about it. */
#ifndef MQW_PROBES_POSTFIX_POSTFIX_H
#define MQW_PROBES_POSTFIX_POSTFIX_H

#include "probes/probe.h"

extern const struct mqw_probe_ops mqw_probe_postfix;

/*
 * Whether a string has the form of a queue id: short (upper hex, 6 or more) or long
 * (global/mail_queue.h:85 of Postfix 3.7). This form is for everything that acts; log lines are
 * also read with ids that a log anonymiser has changed.
 */
bool mqw_postfix_valid_id(struct mqw_slice id);

/* log.c */
struct mqw_probe *mqw_postfix_log_create(const char *const *next_hops, size_t next_hop_count);
struct mqw_probe *mqw_postfix_log_free(struct mqw_probe *p);
int mqw_postfix_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out);
bool mqw_postfix_is_mine(struct mqw_slice tag);

/* queue.c */
extern const char *const mqw_postfix_queue_directories[];
bool mqw_postfix_queue_name(struct mqw_slice relative_path, struct mqw_queue_name *ret);
int mqw_postfix_queue_file(struct mqw_slice content, struct mqw_queue_file *ret);

/* See probe.h: what `postcat -bh` prints. */
int mqw_postfix_mail(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret);

/*
 * Marks recipients of a queue file as done, in the bytes: every recipient still to do whose
 * address is not in keep (keep_count addresses, compared without case in the domain, and exactly
 * in the local part) gets its record type R changed to D, as the delivery agents do
 * (global/deliver_completed.c:57). Returns how many are left to do, -EBADMSG or -ENOMEM.
 */
int mqw_postfix_keep_recipients(
	char *content, size_t len, const struct mqw_slice *keep, size_t keep_count);

/*
 * Whether pickup(8) would take the whole file, content and all: it deletes one that it does not
 * understand (pickup.c:182 of Postfix 3.7), so nothing else may be put before it. max_record is
 * line_length_limit, the longest record that it reads. Returns how many recipients are left to
 * do, or -EBADMSG.
 */
int mqw_postfix_check_file(struct mqw_slice content, size_t max_record);

/*
 * settings.c: runs postconf(1), at most twice 20 s. A lifetime set to 0 comes out as 1 us. On
 * success the caller frees ret->queue_directory. -ENOENT without Postfix, -EIO when postconf
 * fails, -ETIMEDOUT, -EBADMSG when its answer has not the form that is known.
 */
int mqw_postfix_ask(const char *config_dir, struct mqw_mta_settings *ret);

/* remedy.c */
void mqw_postfix_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret);

/*
 * control.c: requeue is `postqueue -i`, which says 0 for ids that are not there, too; flush is
 * `postqueue -f`; healthy looks for the processes of master(8) and the queue manager.
 */
extern const struct mqw_control_ops mqw_postfix_control;

/*
 * recover.c: puts the file into maildrop/ under queue_id, as `postsuper -r` would: pickup(8) reads
 * it again, gives a new id and logs orig_id=queue_id; only recipients marked R are kept; the
 * lifetime starts anew. The name is taken with RENAME_NOREPLACE: 1 when it is there. -EAGAIN while
 * Postfix is down, as its start would rename the file; -EBADMSG for no sound queue file, -ENODATA
 * when all of its recipients are done, -EBUSY when the id is in another directory of the queue.
 */
int mqw_postfix_recover(const struct mqw_control *c, const char *queue_id, int file_fd,
	char *ret_text, size_t size);

#endif
