/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rotated logs come compressed. This is the one place that knows zlib, liblzma, libzstd and
 * libbz2; it turns a stream of compressed bytes into plain ones in bounded memory, whatever the
 * stream claims about itself.
 */
#ifndef MQW_PROBES_SOURCE_DECOMPRESS_H
#define MQW_PROBES_SOURCE_DECOMPRESS_H

#include "watchdogd/base/slice.h"

enum mqw_compression {
	MQW_COMPRESSION_NONE,
	MQW_COMPRESSION_GZIP,
	MQW_COMPRESSION_XZ,
	MQW_COMPRESSION_ZSTD,
	MQW_COMPRESSION_BZIP2,
	MQW_COMPRESSION_COUNT,
};

/* So many bytes at the front of a file are enough to recognise every compression. */
#define MQW_COMPRESSION_MAGIC 10

struct mqw_decompress;

/* Recognises the compression by a file's first bytes, never by its name. */
enum mqw_compression mqw_compression_of(struct mqw_slice head);

/* "gzip", "xz", "zstd", "bzip2"; "none". */
const char *mqw_compression_name(enum mqw_compression c);

/* 0, -ENOMEM, or -EINVAL for MQW_COMPRESSION_NONE. */
int mqw_decompress_create(enum mqw_compression c, struct mqw_decompress **ret);
struct mqw_decompress *mqw_decompress_free(struct mqw_decompress *d);

/* The name of what it decompresses. */
const char *mqw_decompress_name(const struct mqw_decompress *d);

/*
 * Takes bytes from the front of *in and puts at most cap (not 0) plain ones at out; *ret_len says
 * how many, also beside an error. Concatenated streams are read one after the other; zero bytes
 * between and behind them are padding. at_end: nothing comes after *in.
 * 0: go on (with *ret_len 0: more input is needed, or with at_end all is done). -EBADMSG: the data
 * are damaged. -ENODATA: they end early. -E2BIG: they ask for more memory than is sane. -ENOMEM.
 */
int mqw_decompress_run(struct mqw_decompress *d, struct mqw_slice *in, bool at_end, char *out,
	size_t cap, size_t *ret_len);

#endif
