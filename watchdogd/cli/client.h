/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks the running daemon over its Unix socket. */
#ifndef MQW_CLI_CLIENT_H
#define MQW_CLI_CLIENT_H

#include <jansson.h>

#include "watchdogd/base/buffer.h"

/*
 * GET path ("/v1/status") from the daemon at socket. A new reference, or NULL after a message on
 * standard error that says what to do. An answer with {"error":...} counts as a failure.
 */
json_t *mqw_client_get(const char *socket, const char *path);

/* Adds a value as it may stand in a URL (RFC 3986 section 2.3). */
void mqw_client_add_escaped(struct mqw_buffer *b, const char *value);

/* POST without a body, for the rest the same. */
json_t *mqw_client_post(const char *socket, const char *path);

#endif
