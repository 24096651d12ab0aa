/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is told to a person or a program outside: one JSON object, made from an alert of the
 * ledger. Every channel makes its own form out of it, and the same object gives the same form,
 * byte for byte: so what is sent again is the same thing again.
 *
 *   {"type":"alert","id","test","host","channel","rule","instance","digest","time","from","to",
 *    "count","verdicts":{"vanished":3},"summary","findings":[as `scan --format json`],"more"}
 *
 * What became of messages after a restart is a notice with one finding and "verdicts":{"restart":1}:
 *
 *   {"type":"restart","instance","mta","summary","action","stuck","reason","remedy",
 *    "went_out":[queue ids],"returned_late":[],"settled_otherwise":[],"did_not_move":[]}
 */
#ifndef MQW_ACT_ALERTS_NOTICE_H
#define MQW_ACT_ALERTS_NOTICE_H

#include <jansson.h>

#include "watchdogd/base/buffer.h"
#include "watchdogd/config/config.h"

#define MQW_NOTICE_FINDINGS 20 /* shown one by one; further ones are counted */
#define MQW_NOTICE_TOKEN_LEN 32
#define MQW_NOTICE_HOST_MAX 255

struct mqw_notice {
	const char *token; /* unique; hex digits */
	const char *host, *channel, *rule, *instance;
	bool digest; /* more of what an earlier one told */
	bool test;
	uint64_t count;
	int64_t time; /* when it was sealed */
	int64_t from, to; /* of its findings */
};

/* The object; takes over verdicts (counts by name) and findings, also on failure: NULL. */
json_t *mqw_notice_json(const struct mqw_notice *n, json_t *verdicts, json_t *findings);

/* A notice with an example for a finding, to be sent by hand. */
json_t *mqw_notice_test_json(const char *token, const char *host, const char *channel, int64_t now);

/* A token that nobody can guess. False when the kernel gives no random bytes. */
bool mqw_notice_token(char ret[MQW_NOTICE_TOKEN_LEN + 1]);

/* The token in a Message-ID (without its angle brackets) of the form that a mail of ours has. */
bool mqw_notice_token_of(struct mqw_slice message_id, struct mqw_slice *ret_token);

/* The name of this host, fit for a header; "localhost" when it has none such. */
void mqw_notice_host(char ret[MQW_NOTICE_HOST_MAX + 1]);

/* The finding of a notice that tells what a restart has set free; NULL: it tells of other things. */
const json_t *mqw_notice_restart(const json_t *findings);

/* The text of a key, "" where there is none. For the renderers. */
struct mqw_slice mqw_notice_text(const json_t *o, const char *key);
uint64_t mqw_notice_number(const json_t *o, const char *key);
/* Adds "12,345". */
void mqw_notice_add_number(struct mqw_buffer *b, uint64_t n);

/* text.c: for a person at night, lines ended by "\n", printable, UTF-8. */
void mqw_notice_add_text(struct mqw_buffer *b, const json_t *notice);
/* mail.c: a complete message (RFC 5322) with CRLF line ends. mail_host: for the default sender. */
void mqw_notice_add_mail(struct mqw_buffer *b, const json_t *notice,
	const struct mqw_alert_config *c, const char *mail_host);
/* webhook.c: the body of the request in the format that c asks for. */
void mqw_notice_add_body(
	struct mqw_buffer *b, const json_t *notice, const struct mqw_alert_config *c);

#endif
