/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ID-H taken apart; shared by the files that read and write it, and by nothing else. */
#ifndef MQW_PROBES_EXIM_QUEUE_INTERNAL_H
#define MQW_PROBES_EXIM_QUEUE_INTERNAL_H

#include "probes/exim/exim.h"

/* Parts of the file, borrowed from its bytes; each with the line ends that belong to it. */
struct mqw_exim_envelope {
	struct mqw_slice id, login, sender;
	int64_t received_at; /* whole seconds */
	struct mqw_slice options; /* the lines that begin with '-' */
	bool frozen;
	struct mqw_slice tree; /* empty: nobody is done */
	size_t done_count;
	struct mqw_slice recipients; /* one a line, without their count */
	size_t recipient_count;
	struct mqw_slice headers;
	struct mqw_slice message_id; /* without brackets; empty unknown */
};

/* 0, or -EBADMSG where Exim would say "Format error in spool file". */
int mqw_exim_read_envelope(struct mqw_slice content, struct mqw_exim_envelope *ret);

/* The address in a recipient's line. */
struct mqw_slice mqw_exim_recipient_address(struct mqw_slice line);

/*
 * The addresses that are done, sorted bytewise as Exim compares them, in memory from malloc with
 * room for so many more. 0 or -ENOMEM.
 */
int mqw_exim_done_list(
	const struct mqw_exim_envelope *e, size_t room, struct mqw_slice **ret, size_t *ret_count);
bool mqw_exim_is_done(const struct mqw_slice *done, size_t count, struct mqw_slice address);

#endif
