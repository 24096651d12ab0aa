/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files that read Exim's log, and by nothing else. */
#ifndef MQW_PROBES_EXIM_LOG_INTERNAL_H
#define MQW_PROBES_EXIM_LOG_INTERNAL_H

#include "probes/exim/exim.h"

/* A message some of whose recipients failed just now: the report that follows is about them. */
struct mqw_exim_failure {
	int64_t time;
	size_t len;
	char id[MQW_EXIM_ID_MAX];
};

/* By id, so many whose ids have the same place; reports follow within the same delivery run. */
#define MQW_EXIM_FAILURES 1024
#define MQW_EXIM_FAILURES_TOGETHER 8
#define MQW_EXIM_PIECED 8 /* lines whose pieces come interleaved in syslog */
#define MQW_EXIM_LINE_MAX 8192 /* LOG_BUFFER_SIZE, macros.h:144 */

/* A line that went through syslog in pieces "[1/3] ...", by process. */
struct mqw_exim_pieced {
	uint32_t pid;
	unsigned int next, count; /* of pieces, from 1; next 0: free */
	uint64_t used; /* the least recent one gives way */
	size_t len;
	char text[MQW_EXIM_LINE_MAX];
};

struct mqw_probe {
	const char *const *next_hops; /* borrowed */
	size_t next_hop_count;
	/* How far the stamps are ahead of the ids, whole quarters of an hour; NONE: not seen yet. */
	int64_t id_offset;
	int64_t started; /* when a daemon was, last; NONE: not seen */
	uint64_t pieces_seen;
	char recovered[MQW_EXIM_ID_MAX + 1]; /* the last message put back that was told of */
	struct mqw_exim_failure failures[MQW_EXIM_FAILURES];
	struct mqw_exim_pieced pieced[MQW_EXIM_PIECED];
};

enum mqw_exim_flag {
	FLAG_NONE,
	FLAG_ARRIVED, /* <= and (= */
	FLAG_DELIVERED, /* => -> >> */
	FLAG_SUPPRESSED, /* *> */
	FLAG_FAILED, /* ** */
	FLAG_DEFERRED, /* == */
};

/* failure.c: that a recipient of this message failed, and whether that was just now. */
void mqw_exim_note_failure(struct mqw_probe *p, struct mqw_slice id, int64_t time);
bool mqw_exim_failed_just_now(struct mqw_probe *p, struct mqw_slice id, int64_t time);

/*
 * attempt.c: reads a delivery line behind its flag into e. An event for the whole message comes
 * out where it was dropped as a whole. False when the form is not known.
 */
bool mqw_exim_read_attempt(const struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_exim_flag flag, struct mqw_slice text, struct mqw_event *e);

/*
 * attempt.c: takes "ADDRESS" or "CHILD <ADDRESS>" off the front: the address that the message came
 * with, whatever it was expanded to. What follows begins with a blank or a colon. False when there
 * is none.
 */
bool mqw_exim_take_recipient(
	struct mqw_slice *s, struct mqw_slice *ret_child, struct mqw_slice *ret_original);

/* pieces.c: the process's line in pieces; with first the one to give way where there is none. */
struct mqw_exim_pieced *mqw_exim_pieced_of(struct mqw_probe *p, uint32_t pid, bool first);
void mqw_exim_add_piece(struct mqw_exim_pieced *l, struct mqw_slice s);
/* "[1/3] " and "[2\3] ", the latter where the piece before ended with a line of its own. */
bool mqw_exim_take_piece_head(struct mqw_slice *s, uint64_t *ret_number, uint64_t *ret_count);

#endif
