/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/decompress.h"

#include <bzlib.h>
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* `xz -9` needs 65 MiB; a header that asks for much more is damaged or meant to hurt. */
#define XZ_MEMORY_MAX ((uint64_t)256 << 20)

enum step {
	STEP_GO_ON,
	STEP_MEMBER_END,
	STEP_DAMAGED,
	STEP_TOO_BIG,
	STEP_NO_MEMORY,
};

struct mqw_decompress {
	const struct codec *codec;
	bool in_member; /* between the begin and the end of one compressed stream */
	bool any_member; /* one was read whole: zero bytes are padding from here */
	union {
		z_stream zlib;
		lzma_stream xz;
		ZSTD_DStream *zstd;
		bz_stream bzip2;
	} u;
};

/* Bytes in and out of one step, moved on by it. The lengths fit an unsigned int. */
struct window {
	const char *in;
	char *out;
	size_t in_len, out_len;
};

struct codec {
	const char *name;
	int (*begin)(struct mqw_decompress *d); /* of a member, also after another; 0 or -ENOMEM */
	enum step (*step)(struct mqw_decompress *d, struct window *w);
	void (*end)(struct mqw_decompress *d);
};

static int gzip_begin(struct mqw_decompress *d)
{
	/* 16 + MAX_WBITS: a gzip header and trailer are expected, and their checksum is checked. */
	if (d->any_member)
		return inflateReset(&d->u.zlib) == Z_OK ? 0 : -ENOMEM;
	return inflateInit2(&d->u.zlib, 16 + MAX_WBITS) == Z_OK ? 0 : -ENOMEM;
}

static enum step gzip_step(struct mqw_decompress *d, struct window *w)
{
	z_stream *z = &d->u.zlib;
	int r;

	/* zlib takes a pointer to non-const and does not write there. */
	z->next_in = (Bytef *)(uintptr_t)w->in;
	z->avail_in = (uInt)w->in_len;
	z->next_out = (Bytef *)w->out;
	z->avail_out = (uInt)w->out_len;
	r = inflate(z, Z_NO_FLUSH);
	w->in_len = z->avail_in;
	w->out_len = z->avail_out;
	switch (r) {
	case Z_OK:
	case Z_BUF_ERROR: /* no progress possible: the caller sees that by the lengths */
		return STEP_GO_ON;
	case Z_STREAM_END:
		return STEP_MEMBER_END;
	case Z_MEM_ERROR:
		return STEP_NO_MEMORY;
	default:
		return STEP_DAMAGED;
	}
}

static void gzip_end(struct mqw_decompress *d)
{
	inflateEnd(&d->u.zlib);
}

static int xz_begin(struct mqw_decompress *d)
{
	return lzma_stream_decoder(&d->u.xz, XZ_MEMORY_MAX, 0) == LZMA_OK ? 0 : -ENOMEM;
}

static enum step xz_step(struct mqw_decompress *d, struct window *w)
{
	lzma_stream *x = &d->u.xz;
	lzma_ret r;

	x->next_in = (const uint8_t *)w->in;
	x->avail_in = w->in_len;
	x->next_out = (uint8_t *)w->out;
	x->avail_out = w->out_len;
	r = lzma_code(x, LZMA_RUN);
	w->in_len = x->avail_in;
	w->out_len = x->avail_out;
	switch (r) {
	case LZMA_OK:
	case LZMA_BUF_ERROR:
		return STEP_GO_ON;
	case LZMA_STREAM_END:
		return STEP_MEMBER_END;
	case LZMA_MEM_ERROR:
		return STEP_NO_MEMORY;
	case LZMA_MEMLIMIT_ERROR:
		return STEP_TOO_BIG;
	default:
		return STEP_DAMAGED;
	}
}

static void xz_end(struct mqw_decompress *d)
{
	lzma_end(&d->u.xz);
}

static int zstd_begin(struct mqw_decompress *d)
{
	if (!d->u.zstd)
		d->u.zstd = ZSTD_createDStream();
	if (!d->u.zstd || ZSTD_isError(ZSTD_initDStream(d->u.zstd)))
		return -ENOMEM;
	return 0;
}

static enum step zstd_step(struct mqw_decompress *d, struct window *w)
{
	ZSTD_inBuffer in = {w->in, w->in_len, 0};
	ZSTD_outBuffer out = {w->out, w->out_len, 0};
	size_t r = ZSTD_decompressStream(d->u.zstd, &out, &in);

	w->in_len -= in.pos;
	w->out_len -= out.pos;
	if (!ZSTD_isError(r))
		return r == 0 ? STEP_MEMBER_END : STEP_GO_ON;
	/* No public code tells the reasons apart in every version: a window past 128 MiB is rare. */
	return STEP_DAMAGED;
}

static void zstd_end(struct mqw_decompress *d)
{
	ZSTD_freeDStream(d->u.zstd);
}

static int bzip2_begin(struct mqw_decompress *d)
{
	if (d->any_member)
		BZ2_bzDecompressEnd(&d->u.bzip2);
	d->u.bzip2 = (bz_stream){0};
	return BZ2_bzDecompressInit(&d->u.bzip2, 0, 0) == BZ_OK ? 0 : -ENOMEM;
}

static enum step bzip2_step(struct mqw_decompress *d, struct window *w)
{
	bz_stream *b = &d->u.bzip2;
	int r;

	b->next_in = (char *)(uintptr_t)w->in;
	b->avail_in = (unsigned)w->in_len;
	b->next_out = w->out;
	b->avail_out = (unsigned)w->out_len;
	r = BZ2_bzDecompress(b);
	w->in_len = b->avail_in;
	w->out_len = b->avail_out;
	switch (r) {
	case BZ_OK:
		return STEP_GO_ON;
	case BZ_STREAM_END:
		return STEP_MEMBER_END;
	case BZ_MEM_ERROR:
		return STEP_NO_MEMORY;
	default:
		return STEP_DAMAGED;
	}
}

static void bzip2_end(struct mqw_decompress *d)
{
	BZ2_bzDecompressEnd(&d->u.bzip2);
}

static const struct codec codecs[MQW_COMPRESSION_COUNT] = {
	[MQW_COMPRESSION_NONE] = {.name = "none"},
	[MQW_COMPRESSION_GZIP] = {"gzip", gzip_begin, gzip_step, gzip_end},
	[MQW_COMPRESSION_XZ] = {"xz", xz_begin, xz_step, xz_end},
	[MQW_COMPRESSION_ZSTD] = {"zstd", zstd_begin, zstd_step, zstd_end},
	[MQW_COMPRESSION_BZIP2] = {"bzip2", bzip2_begin, bzip2_step, bzip2_end},
};

const char *mqw_compression_name(enum mqw_compression c)
{
	return codecs[c].name;
}

enum mqw_compression mqw_compression_of(struct mqw_slice head)
{
	/* RFC 1952 section 2.3.1: two identifying bytes, then method 8, the only one there is. */
	if (mqw_slice_starts(head, MQW_LIT("\x1f\x8b\x08")))
		return MQW_COMPRESSION_GZIP;
	if (mqw_slice_starts(head,
		    MQW_LIT("\xfd"
			    "7zXZ\0")))
		return MQW_COMPRESSION_XZ;
	/* RFC 8878: a frame, or a skippable frame, which pzstd writes first. */
	if (mqw_slice_starts(head, MQW_LIT("\x28\xb5\x2f\xfd")))
		return MQW_COMPRESSION_ZSTD;
	if (head.len >= 4 && ((unsigned char)head.ptr[0] & 0xf0) == 0x50 &&
		mqw_slice_starts(mqw_slice_from(head, 1), MQW_LIT("\x2a\x4d\x18")))
		return MQW_COMPRESSION_ZSTD;
	/* "BZh9" alone might begin a text; the first block's magic (or that of an empty end) not. */
	if (head.len >= 10 && mqw_slice_starts(head, MQW_LIT("BZh")) && head.ptr[3] >= '1' &&
		head.ptr[3] <= '9' &&
		(mqw_slice_starts(mqw_slice_from(head, 4), MQW_LIT("\x31\x41\x59\x26\x53\x59")) ||
			mqw_slice_starts(
				mqw_slice_from(head, 4), MQW_LIT("\x17\x72\x45\x38\x50\x90"))))
		return MQW_COMPRESSION_BZIP2;
	return MQW_COMPRESSION_NONE;
}

int mqw_decompress_create(enum mqw_compression c, struct mqw_decompress **ret)
{
	struct mqw_decompress *d;

	if (c == MQW_COMPRESSION_NONE)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->codec = &codecs[c];
	*ret = d;
	return 0;
}

struct mqw_decompress *mqw_decompress_free(struct mqw_decompress *d)
{
	if (!d)
		return NULL;
	/* Zeroed states are valid to end for all four. */
	d->codec->end(d);
	free(d);
	return NULL;
}

const char *mqw_decompress_name(const struct mqw_decompress *d)
{
	return d->codec->name;
}

/* Before a member: drops padding and sets the decoder up. 1 when there is a member to read. */
static int member_begin(struct mqw_decompress *d, struct mqw_slice *in)
{
	int r;

	while (d->any_member && in->len && in->ptr[0] == '\0')
		*in = mqw_slice_from(*in, 1);
	if (in->len == 0)
		return 0;
	r = d->codec->begin(d);
	if (r < 0)
		return r;
	d->in_member = true;
	return 1;
}

static int step_errno(enum step step)
{
	switch (step) {
	case STEP_DAMAGED:
		return -EBADMSG;
	case STEP_TOO_BIG:
		return -E2BIG;
	case STEP_NO_MEMORY:
		return -ENOMEM;
	default:
		return 0;
	}
}

int mqw_decompress_run(struct mqw_decompress *d, struct mqw_slice *in, bool at_end, char *out,
	size_t cap, size_t *ret_len)
{
	size_t len = 0;
	int r = 0;

	*ret_len = 0;
	while (r == 0 && len < cap) {
		size_t room = cap - len < INT_MAX ? cap - len : INT_MAX;
		size_t take;
		struct window w;
		enum step step;

		if (!d->in_member) {
			r = member_begin(d, in);
			if (r <= 0)
				break;
			r = 0;
		}
		take = in->len < INT_MAX ? in->len : INT_MAX;
		w = (struct window){in->ptr, out + len, take, room};
		step = d->codec->step(d, &w);
		*in = mqw_slice_from(*in, take - w.in_len);
		len += room - w.out_len;
		if (step == STEP_MEMBER_END) {
			d->in_member = false;
			d->any_member = true;
		} else if (step != STEP_GO_ON) {
			r = step_errno(step);
		} else if (w.in_len == take && w.out_len == room) {
			/* It wants more: more than there is, or than it should. */
			if (in->len)
				r = -EBADMSG;
			else if (at_end)
				r = -ENODATA;
			break;
		}
	}
	*ret_len = len;
	return r;
}
