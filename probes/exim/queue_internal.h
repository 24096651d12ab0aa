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

/* An option as it stands in the file: "-NAME VALUE", "--NAME VALUE" or "--(LOOKUP)NAME VALUE". */
struct mqw_exim_option {
	struct mqw_slice name; /* up to the first blank */
	struct mqw_slice
		value; /* behind it, without the line's end; its ptr is NULL without a blank */
	struct mqw_slice variable; /* of "acl...": the bytes that follow, without the line's end */
};

/* Takes the next one off the front. False at the end of them, and where they make no sense. */
bool mqw_exim_take_option(struct mqw_slice *s, struct mqw_exim_option *ret);

/*
 * Takes a recipient's line apart as Exim does, from its end. The parent is the number of the recipient
 * that it came from, -1 none. False for what Exim of today does not write; then the address is the line.
 */
bool mqw_exim_split_recipient(
	struct mqw_slice line, struct mqw_slice *ret_address, int64_t *ret_parent);

/* The address in a recipient's line; the line itself where it makes no sense. */
struct mqw_slice mqw_exim_recipient_address(struct mqw_slice line);

/*
 * renew.c: adds those of a copy's options that a message may be put back with. 0, or -EBADMSG when it
 * must not be put back; memory that is out is told by ret.
 */
int mqw_exim_add_options(struct mqw_slice options, struct mqw_buffer *ret);

/* renew.c: whether Exim reads of the sender, of those done and of the recipients what was read here. */
bool mqw_exim_is_safe(
	const struct mqw_exim_envelope *e, const struct mqw_slice *done, size_t done_count);

/*
 * The addresses that are done, sorted bytewise as Exim compares them, in memory from malloc with
 * room for so many more. 0 or -ENOMEM.
 */
int mqw_exim_done_list(
	const struct mqw_exim_envelope *e, size_t room, struct mqw_slice **ret, size_t *ret_count);
bool mqw_exim_is_done(const struct mqw_slice *done, size_t count, struct mqw_slice address);

#endif
