/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of one file of a followed log on their way into the line cutter. A live file may change
 * under the reader: it is compared with what it began with after each read, so that bytes of
 * another life of it are never taken for the continuation; and zeros are not taken at all, because
 * that is how a network file system or a crash shows bytes that are not there (yet).
 */
#ifndef MQW_PROBES_SOURCE_TAIL_INPUT_H
#define MQW_PROBES_SOURCE_TAIL_INPUT_H

#include <sys/types.h>

#include "probes/source/lines.h"
#include "probes/source/tail_position.h"

struct mqw_stream;

enum mqw_tail_fill {
	MQW_TAIL_FILL_BYTES,
	MQW_TAIL_FILL_END, /* all that is there has been taken */
	MQW_TAIL_FILL_ERROR,
	MQW_TAIL_FILL_REWRITTEN, /* it does not begin any more as it did */
	MQW_TAIL_FILL_SHORT, /* it begins as it did, and is shorter than what was taken */
	MQW_TAIL_FILL_ZEROS, /* the next bytes are zeros */
};

struct mqw_tail_input {
	int fd; /* of a file that may change; -1: none. Owned */
	struct mqw_stream *stream; /* of a piece that does not; NULL: none. Owned */
	uint64_t to_skip; /* bytes of the stream that were taken before */
	uint64_t zeros_to; /* of the zeros that follow, so far are known */
	bool had_zeros; /* there were some in the stream */
	uint32_t head_len;
	/* What the file at fd began with, up to a NUL. Without it the print alone is known, if any. */
	char head[MQW_TAIL_PRINT_MAX];
	struct mqw_tail_print print;
	int error; /* -errno, with MQW_TAIL_FILL_ERROR */
};

/*
 * Takes over fd, of a plain file. What it begins with now is what it is known by; of one that does
 * not hold so much as the print is of, what it has to begin with. print may be NULL.
 */
void mqw_tail_input_live(struct mqw_tail_input *in, int fd, const struct mqw_tail_print *print);

/*
 * Takes over fd, of a piece at its beginning; skip: bytes, decompressed, that are not wanted. print
 * NULL: it is found out. 0, -ENOMEM or what fstat(2) says; fd is closed then.
 */
int mqw_tail_input_piece(
	struct mqw_tail_input *in, int fd, uint64_t skip, const struct mqw_tail_print *print);

void mqw_tail_input_close(struct mqw_tail_input *in);

/* More bytes into l; *ret_len: how many were read, those to skip and zeros included. */
enum mqw_tail_fill mqw_tail_input_fill(
	struct mqw_tail_input *in, struct mqw_lines *l, uint64_t *ret_len);

/*
 * After MQW_TAIL_FILL_ZEROS: the offset of the first byte behind them. -EAGAIN: not found yet, and
 * there is more to look through; -ENODATA: there are but zeros up to the end of the file.
 */
int64_t mqw_tail_input_behind_zeros(struct mqw_tail_input *in, const struct mqw_lines *l);

#endif
