/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files that read and write Sendmail's queue files, and by nothing else. */
#ifndef MQW_PROBES_SENDMAIL_QUEUE_INTERNAL_H
#define MQW_PROBES_SENDMAIL_QUEUE_INTERNAL_H

#include "probes/sendmail/sendmail.h"

/* A line of a qf file with the lines that continue it, which begin with a blank or a tab. */
struct mqw_sendmail_qf_line {
	char type; /* its first character */
	struct mqw_slice text; /* behind it, the first line alone, without the line's end */
	struct mqw_slice whole; /* with all, to its last line's end */
};

/*
 * Takes the next line off *rest. 1, 0 at the end; -EBADMSG when a line does not end, is empty or
 * holds a NUL, all of which Sendmail never writes.
 */
int mqw_sendmail_qf_next(struct mqw_slice *rest, struct mqw_sendmail_qf_line *ret);

/*
 * envelope.c: writes the qf file anew for putting it back, its lifetime beginning at now. How many
 * recipients are in it; -EBADMSG when it is not sound, or has in it what only Sendmail itself may
 * write (see there); -ENOMEM.
 */
int mqw_sendmail_renew_envelope(struct mqw_slice qf, int64_t now, struct mqw_buffer *ret);

#endif
