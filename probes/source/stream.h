/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a file from its beginning, decompressed where its first bytes say that it is
 * compressed. Works on anything that can be read: files, pipes, standard input.
 */
#ifndef MQW_PROBES_SOURCE_STREAM_H
#define MQW_PROBES_SOURCE_STREAM_H

#include <sys/types.h>

#include "watchdogd/base/slice.h"

struct mqw_stream;

/*
 * path "-" is standard input, which is not closed in the end. 0, or a negative errno from opening
 * (-EISDIR for a directory) or reading the first bytes.
 */
int mqw_stream_open(const char *path, struct mqw_stream **ret);

/* The same for a descriptor at the beginning of a file. Owns fd from here on, also on failure. */
int mqw_stream_open_fd(int fd, struct mqw_stream **ret);

struct mqw_stream *mqw_stream_close(struct mqw_stream *s);

/*
 * Up to len bytes; fewer only at the end. 0 at the end, or a negative errno: of read(2), or one of
 * mqw_decompressor_run(), or -EPROTONOSUPPORT for a compression that is not read here. An error
 * comes only after all bytes before it were given, and then again at each call.
 */
ssize_t mqw_stream_read(struct mqw_stream *s, char *buf, size_t len);

/* A clause that says what the error was; "" when there was none. Lives as long as the stream. */
const char *mqw_stream_error(const struct mqw_stream *s);

bool mqw_stream_is_compressed(const struct mqw_stream *s);

/* Bytes of the file itself: read so far, and all (0 when not known, as for a pipe). */
void mqw_stream_progress(const struct mqw_stream *s, uint64_t *ret_done, uint64_t *ret_total);

#endif
