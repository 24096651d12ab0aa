/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose certificates the channels over a network believe, and what it means when they do not. */
#ifndef MQW_ACT_ALERTS_TLS_H
#define MQW_ACT_ALERTS_TLS_H

#include <curl/curl.h>

#include "watchdogd/base/buffer.h"
#include "watchdogd/config/config.h"

/* The CAs of c->ca_file, borrowed, and no others; where none is named, those of the system. */
void mqw_tls_trust(CURL *curl, const struct mqw_alert_config *c);

/* Adds what to do about a failure of TLS; nothing for any other code. */
void mqw_tls_explain(struct mqw_buffer *b, CURLcode code, const struct mqw_alert_config *c);

#endif
