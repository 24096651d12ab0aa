/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing byte buffer, and the one way in which untrusted text is made fit to be shown.
 * Always NUL-terminated behind len once something was added. Zero-initialise to start.
 * A failed allocation sets .failed, keeps what was there, and makes later additions do nothing,
 * so that a caller adds freely and checks once at the end.
 */
#ifndef MQW_BASE_BUFFER_H
#define MQW_BASE_BUFFER_H

#include "watchdogd/base/slice.h"

struct mqw_buffer {
	char *ptr; /* owned; NULL while nothing was added */
	size_t len;
	size_t cap;
	bool failed;
};

/* Frees the bytes and makes the buffer empty and usable again. */
void mqw_buffer_done(struct mqw_buffer *b);

/* Empties it and keeps the memory for reuse. */
void mqw_buffer_clear(struct mqw_buffer *b);

/* Makes room for n more bytes; false (and .failed) when memory is out. */
bool mqw_buffer_reserve(struct mqw_buffer *b, size_t n);

void mqw_buffer_add(struct mqw_buffer *b, struct mqw_slice s);
void mqw_buffer_add_str(struct mqw_buffer *b, const char *s);
void mqw_buffer_printf(struct mqw_buffer *b, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Adds text that a stranger may have written, printable: control bytes, DEL, C1 controls, bidi
 * overrides and whatever is not UTF-8 come out as \xNN, so that a terminal, a journal or a mail
 * shows what is there and obeys none of it.
 */
void mqw_buffer_add_printable(struct mqw_buffer *b, struct mqw_slice s);

/* Length of the well-formed UTF-8 sequence at the front of s; 0 when there is none (RFC 3629). */
size_t mqw_utf8_sequence(struct mqw_slice s);

/* The content, borrowed until the next change. */
static inline struct mqw_slice mqw_buffer_slice(const struct mqw_buffer *b)
{
	return mqw_slice(b->ptr, b->len);
}

/* The content as a string, "" when nothing was added; borrowed until the next change. */
static inline const char *mqw_buffer_str(const struct mqw_buffer *b)
{
	return b->ptr ? b->ptr : "";
}

#endif
