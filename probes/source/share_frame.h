/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the reader of a share (mailq-watchdog-smb, a process of its own: a server that does not answer
 * may hold it up, and what a server sends may break it) and the daemon talk: one frame a datagram on
 * a SOCK_SEQPACKET pair, native byte order, both ends are the same build on one host. The daemon
 * believes nothing that it has not checked.
 *
 * The reader gets the places that are known on its standard input, as lines of tail_position.h, and
 * numbers these files from 0. Then it sends, on its standard output: FILEs that are new, their lines
 * in order, and a PASS when all that there was has been read. After FAIL it ends.
 */
#ifndef MQW_PROBES_SOURCE_SHARE_FRAME_H
#define MQW_PROBES_SOURCE_SHARE_FRAME_H

#include "probes/source/lines.h"
#include "probes/source/tail_position.h"

#define MQW_SHARE_MAGIC 0x4d515753u /* "MQWS" */
/* Files whose place is kept at a time: those of a day or so, hourly ones of several kinds. */
#define MQW_SHARE_FILES_MAX 512
#define MQW_SHARE_NAME_MAX 255
/* The longest line that is given whole, with CR and newline. */
#define MQW_SHARE_PAYLOAD_MAX (MQW_LINE_MAX + 2)

enum mqw_share_kind {
	MQW_SHARE_FILE = 1, /* number; place: where it is read from; payload: its name */
	MQW_SHARE_LINES, /* number; place.offset: of payload, which is whole lines, newlines too */
	MQW_SHARE_CUT, /* number; place.offset: of payload, the beginning of a line too long */
	MQW_SHARE_SKIP, /* number; so many bytes (skip) of no line; place.skipping: more to come */
	/*
	 * number, of a file that is gone on with: payload: its first lines, as far as they begin with
	 * "#"; they say how the others are to be read, and count as none.
	 */
	MQW_SHARE_HEAD,
	MQW_SHARE_FORGET, /* number: it is gone, or was not written to for long */
	MQW_SHARE_GAP, /* payload: why lines may be missing, since the last PASS */
	MQW_SHARE_PASS, /* all is read; ahead */
	MQW_SHARE_ALIVE, /* nothing, in place of a PASS where a file could not be read */
	MQW_SHARE_SAY, /* payload: a sentence for a person */
	MQW_SHARE_FAIL, /* payload: why it cannot go on */
	MQW_SHARE_KIND_END
};

/* Where a file was read to: the part of struct mqw_tail_position that a share has. */
struct mqw_share_place {
	uint64_t offset, line; /* line: number of the last line before offset */
	int64_t written; /* when it was written to last, by the server's clock; 0 unknown */
	struct mqw_tail_print print;
	uint32_t skipping; /* 1: offset is within a line of which nothing more is wanted */
};

struct mqw_share_frame {
	uint32_t magic, kind, number, length; /* length: bytes of payload, which follow */
	struct mqw_share_place place;
	uint64_t skip;
	/* PASS: microseconds by which the server's clock is ahead; MQW_TIME_NONE: not known. */
	int64_t ahead;
};

/*
 * The place of a file as one line of text (tail_position.h), with until when all is known; and the next
 * one out of a text: false when there is none. name points into the text.
 */
void mqw_share_place_add(struct mqw_buffer *b, struct mqw_slice name,
	const struct mqw_share_place *place, int64_t known);
bool mqw_share_place_take(struct mqw_slice *text, struct mqw_slice *ret_name,
	struct mqw_share_place *ret, int64_t *ret_known);

/*
 * Whether n received bytes are a frame: size, magic, kind, a file's number, a payload of the length
 * and the form that the kind has. 0 or -EBADMSG.
 */
int mqw_share_frame_check(const struct mqw_share_frame *f, struct mqw_slice payload, size_t n);

/*
 * Sends one frame, whose length is set here; waits while the other end is busy. 0, or what
 * sendmsg(2) says.
 */
int mqw_share_frame_send(int fd, struct mqw_share_frame *f, struct mqw_slice payload);

/*
 * Receives a frame and its payload (MQW_SHARE_PAYLOAD_MAX bytes at buf) and checks it. flags are of
 * recvmsg(2). 1, 0 at the end, -EAGAIN, -EBADMSG, or what recvmsg(2) says.
 */
int mqw_share_frame_receive(
	int fd, int flags, struct mqw_share_frame *f, char *buf, struct mqw_slice *ret_payload);

#endif
