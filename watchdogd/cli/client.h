/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks the running daemon over its Unix socket. */
#ifndef MQW_CLI_CLIENT_H
#define MQW_CLI_CLIENT_H

#include <jansson.h>

/*
 * GET path ("/v1/status") from the daemon at socket. A new reference, or NULL after a message on
 * standard error that says what to do. An answer with {"error":...} counts as a failure.
 */
json_t *mqw_client_get(const char *socket, const char *path);

#endif
