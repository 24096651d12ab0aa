/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON out of text that a stranger may have written. jansson refuses what is not UTF-8, and a
 * terminal obeys what is: both are settled here, for the scan's output, the API and its client.
 */
#ifndef MQW_BASE_JSON_TEXT_H
#define MQW_BASE_JSON_TEXT_H

#include <jansson.h>

#include "watchdogd/base/buffer.h"

/*
 * A JSON string of any bytes: each byte that is no part of well-formed UTF-8 (RFC 3629) becomes
 * U+FFFD, NUL stays as \u0000. A new reference for the caller; NULL when memory is out.
 */
json_t *mqw_json_text(struct mqw_slice s);

/* The same of a NUL-terminated string; JSON null for NULL. */
json_t *mqw_json_text_or_null(const char *s);

/* "2026-10-03T04:00:00Z"; JSON null for MQW_TIME_NONE. */
json_t *mqw_json_time(int64_t time);

struct mqw_json_member {
	const char *key;
	json_t *value;
};

/*
 * An object of these members, in this order. Takes each value over, also when it fails: NULL when
 * memory is out, and when a value is NULL because memory was.
 */
json_t *mqw_json_object(const struct mqw_json_member *members, size_t count);

/*
 * Adds j on one line without a newline at its end, keys in the order in which they were set, all
 * beyond ASCII as \u escapes: whatever shows the line, it holds nothing that steers a terminal.
 * A failure shows in b->failed.
 */
void mqw_json_add(struct mqw_buffer *b, const json_t *j);

#endif
