/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What control.c and recover.c share. */
#ifndef MQW_PROBES_SENDMAIL_CONTROL_INTERNAL_H
#define MQW_PROBES_SENDMAIL_CONTROL_INTERNAL_H

#include "probes/control.h"
#include "probes/sendmail/sendmail.h"

/* Starts a run of the queue, which goes on when this returns; queue_id NULL: of all of it. */
int mqw_sendmail_run_queue(
	const struct mqw_control *c, const char *queue_id, char *ret_text, size_t size);

int mqw_sendmail_healthy(const struct mqw_control *c, char *ret_text, size_t size);

/*
 * recover.c: puts both files back under the same id, for the recipients that are in the envelope.
 * -EBADMSG for no sound envelope, or one with programs or files among the recipients; -ENODATA
 * without a recipient; -EBUSY when the id is in the queue.
 */
int mqw_sendmail_recover(const struct mqw_control *c, const char *queue_id, int file_fd,
	char *ret_text, size_t size);

#endif
