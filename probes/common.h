/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several MTAs' probes need in the same form. */
#ifndef MQW_PROBES_COMMON_H
#define MQW_PROBES_COMMON_H

#include "probes/probe.h"

/*
 * The three-digit reply (RFC 5321 section 4.2) at the front of s, 0 when there is none: a class of 2
 * to 5, and behind it the end or one of the bytes in ends.
 */
int mqw_reply_code(struct mqw_slice s, struct mqw_slice ends);

/* The enhanced status code (RFC 3463) behind the code of a reply, "4.7.1"; empty: it has none. */
struct mqw_slice mqw_reply_status(struct mqw_slice reply);

/*
 * Takes "<address>" from the front of s, the address without its brackets into ret; false, and s as it
 * was, when there is none. A bracket inside a quoted local part does not end it.
 */
bool mqw_take_path(struct mqw_slice *s, struct mqw_slice *ret);

/* Whether a relay of that name (without regard to case) or address is one of the next hops. */
bool mqw_is_next_hop(const char *const *next_hops, size_t next_hop_count, struct mqw_slice name,
	struct mqw_slice ip);

/* A user of this host; its number is looked up at the first question and then kept. */
struct mqw_known_user {
	const char *name;
	char uid[16]; /* "" not looked up yet, "-1" no such user */
};

bool mqw_known_user_exists(struct mqw_known_user *u);
/* Whether uid, in decimal as journald has it, is this user's. */
bool mqw_known_user_is(struct mqw_known_user *u, struct mqw_slice uid);

/* Adds a recipient, done or not. 0, -ENOMEM, or -EBADMSG beyond what any MTA takes. */
int mqw_queue_file_add(
	struct mqw_queue_file *f, struct mqw_slice address, bool done, size_t offset);

/* Advice on verdicts for which every MTA has the same; nothing for others. */
void mqw_remedy_of_any(enum mqw_verdict v, struct mqw_buffer *ret);

#endif
