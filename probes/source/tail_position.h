/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a followed log was read to. Names and inodes change by rotation, compression and restored
 * backups, so a file is known again by its first bytes; the inode decides only while it is empty,
 * and then with the time of its birth, since a new file is often given a deleted one's number.
 */
#ifndef MQW_PROBES_SOURCE_TAIL_POSITION_H
#define MQW_PROBES_SOURCE_TAIL_POSITION_H

#include "watchdogd/base/buffer.h"

#define MQW_TAIL_PRINT_MAX 256 /* first bytes that a fingerprint is of */
#define MQW_TAIL_PRINT_MIN 16 /* a stamp's length: many a log begins with the same few bytes */

struct mqw_tail_print {
	uint32_t len; /* bytes it is of, MQW_TAIL_PRINT_MAX at most; 0: there was nothing yet */
	uint64_t hash;
};

struct mqw_tail_position {
	uint64_t dev, ino;
	int64_t born; /* of that inode; 0: the file system does not tell */
	uint64_t offset; /* in the decompressed file: of the first byte not given yet */
	uint64_t line; /* number of the last line given; 0 unknown or none */
	bool numbered; /* line is known */
	bool skipping; /* offset is within a line of which nothing more is wanted */
	bool cut; /* it is the end of a copy; that its log was cut then has been told */
	struct mqw_tail_print print;
	int64_t time; /* all that was written until then has been given; by the clock, 0 none */
	struct mqw_slice path; /* of the live log */
};

/* Up to a NUL: zeros are what a file system shows of bytes that it has not got yet. */
struct mqw_tail_print mqw_tail_print_of(struct mqw_slice head);

/* When an open file was made, microseconds; 0 where that is not known. */
int64_t mqw_tail_born(int fd);

/* Adds the position as one line of text. path must hold no newline. */
void mqw_tail_position_add(struct mqw_buffer *b, const struct mqw_tail_position *p);

/*
 * Takes the next well-formed line out of *text; false when there is none. Lines of another form
 * (a newer version's) are passed over. path points into the text.
 */
bool mqw_tail_position_take(struct mqw_slice *text, struct mqw_tail_position *ret);

/*
 * The fingerprint of the first (at most max) bytes of an open file, decompressed; the descriptor's
 * offset is back at 0 afterwards. 0 or -errno; a file that is damaged early on has a short one.
 */
int mqw_tail_print_fd(int fd, uint32_t max, struct mqw_tail_print *ret);

/* The end of what is in a plain file; within a line, that line is not wanted. */
struct mqw_tail_position mqw_tail_position_at_end(int fd);

#endif
