/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the walk, and by nothing else. */
#ifndef MQW_SHARE_WALK_INTERNAL_H
#define MQW_SHARE_WALK_INTERNAL_H

#include "watchdogd/base/clock.h"
#include "watchdogd/share/walk.h"

/* A log of a day is written to for so long, and its time of writing may be told at its end only. */
#define MQW_WALK_LIVE (26 * MQW_HOUR)

struct mqw_walk_file {
	char *name; /* owned; NULL: the place is free */
	struct mqw_share_place place;
	uint64_t size, seen_size; /* by the list: now, and when it was read to its end last */
	int64_t written, seen_written;
	int64_t look_at, pause; /* when it is read whatever the list says */
	int64_t got_at; /* when it gave something last; MQW_TIME_NONE not in this process */
	int64_t short_since, zeros_since; /* 0: it is not */
	bool listed, verified, said;
};

struct mqw_walk_candidate {
	char *name;
	int64_t written;
	uint64_t size;
};

struct mqw_walk {
	struct mqw_share_ops ops;
	char *pattern;
	struct mqw_walk_file files[MQW_SHARE_FILES_MAX];
	struct mqw_walk_candidate *candidates; /* of this pass: listed, and in no place */
	size_t candidate_count, candidate_cap;
	int64_t now, server_now, newest;
	bool out_of_memory, said_many, incomplete;
	char buf[MQW_SHARE_PAYLOAD_MAX];
};

/*
 * walk_file.c: reads what is new in a file. 0, also when it is this file alone that cannot be read,
 * or the negative errno that ends the pass.
 */
int mqw_walk_read(struct mqw_walk *w, struct mqw_walk_file *f);

/* Sends one frame of a kind about a file. */
int mqw_walk_send(struct mqw_walk *w, const struct mqw_walk_file *f, enum mqw_share_kind kind,
	struct mqw_slice payload);

/* Sends a sentence. */
int mqw_walk_send_text(struct mqw_walk *w, enum mqw_share_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The file is read from its beginning, since it is new or another than it was. */
int mqw_walk_begin(struct mqw_walk *w, struct mqw_walk_file *f);

#endif
