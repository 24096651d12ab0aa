/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a file from its beginning, decompressed where the first of them say that it is
 * compressed. Works on anything that can be read: files, pipes, standard input.
 */
#ifndef MQW_PROBES_SOURCE_STREAM_H
#define MQW_PROBES_SOURCE_STREAM_H

#include <sys/types.h>

#include "watchdogd/base/slice.h"

struct mqw_stream;

/*
 * Opens a file, or standard input for "-", which is not closed in the end. Nothing is read yet.
 * 0, -EISDIR for a directory, -ENOMEM, or what open(2) says.
 */
int mqw_stream_open(const char *path, struct mqw_stream **ret);

/* The same for a descriptor at a file's beginning. Owns fd from here on, also on failure. */
int mqw_stream_open_fd(int fd, struct mqw_stream **ret);

/* NULL is taken. Returns NULL. */
struct mqw_stream *mqw_stream_close(struct mqw_stream *s);

/*
 * Up to len (not 0) bytes, as many as there are without waiting for more than one. 0 at the end,
 * or -errno, which then stays: of read(2), -EBADMSG damaged, -ENODATA ends early, -E2BIG wants an
 * insane amount of memory, -ENOMEM. An error comes only after all bytes before it were given.
 */
ssize_t mqw_stream_read(struct mqw_stream *s, char *buf, size_t len);

/* Whether its bytes have to be decompressed. Reads the first of them where none was read yet. */
bool mqw_stream_is_compressed(struct mqw_stream *s);

/* What went wrong, as a clause to put behind "PATH: "; "" while nothing did. Borrowed. */
const char *mqw_stream_error(const struct mqw_stream *s);

/* Bytes taken from the file so far, as they are on disk, and its size when opened, 0 unknown. */
uint64_t mqw_stream_consumed(const struct mqw_stream *s);
uint64_t mqw_stream_size(const struct mqw_stream *s);

/* Microseconds since 1970; MQW_TIME_NONE for whatever is no regular file, and standard input. */
int64_t mqw_stream_mtime(const struct mqw_stream *s);

#endif
