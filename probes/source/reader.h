/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a log from its beginning to its end, plain or compressed, a file or standard input, and yields
 * its lines. Memory is bounded whatever the file holds; nothing is allocated for a line.
 */
#ifndef MQW_PROBES_SOURCE_READER_H
#define MQW_PROBES_SOURCE_READER_H

#include "probes/source/lines.h"

#define MQW_READER_LINE_MAX MQW_LINE_MAX

struct mqw_reader;

/*
 * Opens a file, or standard input for "-". Nothing is read yet. 0 or -errno: -EISDIR for a
 * directory, -EACCES for one that may not be read, -ENOMEM, and what else open(2) says.
 */
int mqw_reader_open(const char *path, struct mqw_reader **ret);

/*
 * Before the first line: a compressed file is decompressed in a thread of its own, where one can be
 * had. What comes out is the same. No effect on what is no regular file.
 */
void mqw_reader_read_ahead(struct mqw_reader *r);

/* Closes (not standard input) and frees; NULL is taken. Returns NULL. */
struct mqw_reader *mqw_reader_close(struct mqw_reader *r);

/*
 * The next line: 1, 0 at the end, or -errno, which then stays. From a damaged or truncated
 * compressed file the whole lines before the damage come first, then the error: -EBADMSG damaged,
 * -ENODATA ends early, -E2BIG wants an insane amount of memory; the half line there is not yielded.
 * May block on a pipe.
 */
int mqw_reader_next(struct mqw_reader *r, struct mqw_raw_line *ret);

/* What went wrong, as a clause to put behind "PATH: "; "" while nothing did. Borrowed. */
const char *mqw_reader_error(const struct mqw_reader *r);

/*
 * For progress: bytes taken from the file so far, as they are on disk, and its size when it was
 * opened, 0 when unknown. The former passes the latter when the log grows.
 */
uint64_t mqw_reader_consumed(const struct mqw_reader *r);
uint64_t mqw_reader_size(const struct mqw_reader *r);

/*
 * When the file was last written, in microseconds since 1970: what the year of RFC 3164 stamps is
 * taken from. MQW_TIME_NONE for standard input and whatever is no regular file.
 */
int64_t mqw_reader_mtime(const struct mqw_reader *r);

#endif
