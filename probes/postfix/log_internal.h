/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files that read Postfix's log, and by nothing else. */
#ifndef MQW_PROBES_POSTFIX_LOG_INTERNAL_H
#define MQW_PROBES_POSTFIX_LOG_INTERNAL_H

#include "probes/postfix/postfix.h"

enum mqw_postfix_program {
	PROGRAM_NONE,
	PROGRAM_OTHER, /* Postfix's, never with a line that matters */
	PROGRAM_AGENT, /* delivers: smtp, lmtp, local, virtual, pipe, error */
	PROGRAM_BOUNCE,
	PROGRAM_CLEANUP,
	PROGRAM_DISCARD,
	PROGRAM_LOCAL,
	PROGRAM_PICKUP,
	PROGRAM_POSTSUPER,
	PROGRAM_QMGR,
	PROGRAM_SMTPD,
};

/* A reply that smtp_reply_filter changed, until the delivery line that quotes it comes. */
struct mqw_postfix_rewrite {
	uint32_t pid;
	int wire_code; /* what the server had said */
	int64_t time;
	size_t len;
	char text[96]; /* the beginning of what Postfix took it for */
};

#define MQW_POSTFIX_REWRITES 256 /* by pid; far more than smtp processes that filter at once */

/* What a tag stands for; those of a log are few, and each line has one. */
struct mqw_postfix_tag {
	char text[24];
	uint8_t len; /* 0: unused */
	uint8_t instance_len; /* of its text */
	uint8_t program; /* enum mqw_postfix_program */
};

#define MQW_POSTFIX_TAGS 16

struct mqw_probe {
	const char *const *next_hops; /* borrowed */
	size_t next_hop_count;
	/* Lines with an id since the last summary of postsuper: what the summary says more is unnamed. */
	uint64_t named_removed, named_held, named_requeued;
	struct mqw_postfix_tag tags[MQW_POSTFIX_TAGS];
	struct mqw_postfix_rewrite rewrites[MQW_POSTFIX_REWRITES];
};

/* The program of a tag "anything/program"; PROGRAM_NONE when it is not Postfix's. */
enum mqw_postfix_program mqw_postfix_program_of(struct mqw_slice tag);

/*
 * attempt.c: reads a delivery line behind its queue id, "to=<...>, ...", into e. False when it is
 * not one or was cut short. The parse is anchored from the left and stops at " (": what follows
 * is the remote server's free text.
 */
bool mqw_postfix_read_attempt(struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_postfix_program program, struct mqw_slice text, struct mqw_event *e);

/* attempt.c: notes a line `host[ip]:25: replacing server reply "450 ..." with "550 ..."`. */
bool mqw_postfix_note_rewrite(struct mqw_probe *p, const struct mqw_line *line);

#endif
