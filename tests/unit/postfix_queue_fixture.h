/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue files of Postfix, made record by record. */
#ifndef MQW_TESTS_UNIT_POSTFIX_QUEUE_FIXTURE_H
#define MQW_TESTS_UNIT_POSTFIX_QUEUE_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "probes/postfix/postfix.h"

#define LINE_LIMIT 2048

/* Adds a record as rec_put() of Postfix writes it. */
static inline void record_add(struct mqw_buffer *b, char type, const char *data, size_t len)
{
	size_t rest = len;
	char byte;

	mqw_buffer_add(b, mqw_slice(&type, 1));
	do {
		byte = (char)(rest & 0x7f);
		rest >>= 7;
		if (rest)
			byte = (char)(byte | 0x80);
		mqw_buffer_add(b, mqw_slice(&byte, 1));
	} while (rest);
	mqw_buffer_add(b, mqw_slice(data, len));
}

static inline void add(struct mqw_buffer *b, char type, const char *data)
{
	record_add(b, type, data, strlen(data));
}

/* The envelope of every file made here; its C record is 17 * 6 bytes later than byte 0. */
static inline void add_envelope(struct mqw_buffer *b)
{
	/* Content size and offset are set by set_size(). */
	add(b, 'C',
		"              1               1               2               0"
		"               0               0");
	add(b, 'T', "1795578315 84783");
	add(b, 'A', "create_time=1795578400");
	add(b, 'S', "alice@example.com");
	add(b, 'O', "b@example.net");
	add(b, 'R', "b@example.net");
	add(b, 'D', "c@example.net");
}

static inline void set_size(struct mqw_buffer *b, size_t size, size_t offset)
{
	char text[32];

	snprintf(text, sizeof(text), "%15zu %15zu", size, offset);
	memcpy(b->ptr + 2, text, 31);
}

static inline void whole_file(struct mqw_buffer *b)
{
	size_t offset;

	add_envelope(b);
	add(b, 'M', "");
	offset = b->len;
	add(b, 'N', "From: <alice@example.com>");
	add(b, 'N', "Message-Id: <1@example.com>");
	add(b, 'N', "");
	add(b, 'N', "Message-Id: <body@example.com>");
	set_size(b, b->len - offset, offset);
	add(b, 'X', "");
	add(b, 'R', "d@example.org");
	add(b, 'E', "");
}

#endif
