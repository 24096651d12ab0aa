/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/alerts/notice.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "watchdogd/base/json_text.h"

#define ID_PREFIX "mqw."

bool mqw_notice_token(char ret[MQW_NOTICE_TOKEN_LEN + 1])
{
	unsigned char bytes[MQW_NOTICE_TOKEN_LEN / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

bool mqw_notice_token_of(struct mqw_slice message_id, struct mqw_slice *ret_token)
{
	struct mqw_slice rest = message_id;

	if (!mqw_slice_skip(&rest, MQW_LIT(ID_PREFIX)) ||
		!mqw_slice_take_until(&rest, '@', ret_token) ||
		ret_token->len != MQW_NOTICE_TOKEN_LEN)
		return false;
	for (size_t i = 0; i < ret_token->len; i++)
		if (!memchr("0123456789abcdef", ret_token->ptr[i], 16))
			return false;
	return true;
}

void mqw_notice_host(char ret[MQW_NOTICE_HOST_MAX + 1])
{
	bool good = gethostname(ret, MQW_NOTICE_HOST_MAX) == 0;

	ret[MQW_NOTICE_HOST_MAX] = '\0';
	good = good && ret[0] && ret[0] != '.' && ret[strlen(ret) - 1] != '.' && !strstr(ret, "..");
	for (const char *p = ret; good && *p; p++)
		good = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || *p == '-' || *p == '.';
	if (!good)
		snprintf(ret, MQW_NOTICE_HOST_MAX + 1, "localhost");
}

struct mqw_slice mqw_notice_text(const json_t *o, const char *key)
{
	const json_t *s = json_object_get(o, key);

	return mqw_slice(json_string_value(s), json_string_length(s));
}

uint64_t mqw_notice_number(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

void mqw_notice_add_number(struct mqw_buffer *b, uint64_t n)
{
	if (n >= 1000) {
		mqw_notice_add_number(b, n / 1000);
		mqw_buffer_printf(b, ",%03u", (unsigned)(n % 1000));
	} else {
		mqw_buffer_printf(b, "%u", (unsigned)n);
	}
}

const json_t *mqw_notice_restart(const json_t *findings)
{
	const json_t *first = json_array_get(findings, 0);

	return mqw_slice_eq(mqw_notice_text(first, "type"), MQW_LIT("restart")) ? first : NULL;
}

/* "more: 9,990 vanished, 10 overdue (outbound)" */
static json_t *summary(const struct mqw_notice *n, const json_t *verdicts, const json_t *findings)
{
	const json_t *restart = mqw_notice_restart(findings);
	struct mqw_buffer b = {0};
	const char *name;
	json_t *value, *ret;
	bool begun = false;

	if (restart)
		return mqw_json_text(mqw_notice_text(restart, "summary"));
	if (n->test)
		mqw_buffer_printf(&b, "test of the alert \"%s\"", n->channel);
	else if (n->digest)
		mqw_buffer_add_str(&b, "more: ");
	/* jansson's own loop casts its constness away. */
	for (void *i = n->test ? NULL : json_object_iter((json_t *)(uintptr_t)verdicts); i;
		i = json_object_iter_next((json_t *)(uintptr_t)verdicts, i)) {
		name = json_object_iter_key(i);
		value = json_object_iter_value(i);
		mqw_buffer_add_str(&b, begun ? ", " : "");
		mqw_notice_add_number(&b, (uint64_t)json_integer_value(value));
		mqw_buffer_printf(&b, " %s", name);
		begun = true;
	}
	if (n->instance[0])
		mqw_buffer_printf(&b, " (%s)", n->instance);
	ret = b.failed ? NULL : mqw_json_text(mqw_buffer_slice(&b));
	mqw_buffer_done(&b);
	return ret;
}

json_t *mqw_notice_json(const struct mqw_notice *n, json_t *verdicts, json_t *findings)
{
	uint64_t shown = json_array_size(findings);
	const struct mqw_json_member row[] = {
		{"type", json_string("alert")},
		{"id", json_string(n->token)},
		{"test", json_boolean(n->test)},
		{"host", mqw_json_text_or_null(n->host)},
		{"channel", mqw_json_text_or_null(n->channel)},
		{"rule", mqw_json_text_or_null(n->rule)},
		{"instance", mqw_json_text_or_null(n->instance)},
		{"digest", json_boolean(n->digest)},
		{"time", mqw_json_time(n->time)},
		{"from", mqw_json_time(n->from)},
		{"to", mqw_json_time(n->to)},
		{"count", json_integer((json_int_t)n->count)},
		{"summary", summary(n, verdicts, findings)},
		{"verdicts", verdicts},
		{"findings", findings},
		{"more", json_integer(n->count > shown ? (json_int_t)(n->count - shown) : 0)},
	};

	return mqw_json_object(row, sizeof(row) / sizeof(row[0]));
}

/* Addresses of RFC 2606 and RFC 5737, so that nobody takes them for real ones. */
static json_t *example(int64_t now)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:i,s:o,s:o,s:s,s:s,"
			 "s:[{s:s,s:i},{s:s,s:i}]}",
		"type", "verdict", "verdict", "vanished", "confidence", "certain", "mta", "postfix",
		"instance", "example", "queue_id", "4F3aBcDeFgHz1k", "message_id", "1@example.com",
		"sender", "alice@example.com", "recipient", "bob@example.net", "relay",
		"mx.example.net[192.0.2.1]:25", "code", 451, "reply", "451 4.7.1 Try again later",
		"attempts", 2, "first_seen", mqw_json_time(now - MQW_HOUR), "last_seen",
		mqw_json_time(now - MQW_MINUTE), "reason",
		"this is an example: its file left the queue without a word in the log", "remedy",
		"Nothing: it is an example.", "evidence", "source", "mail.log", "line", 12,
		"source", "mail.log", "line", 90);
}

json_t *mqw_notice_test_json(const char *token, const char *host, const char *channel, int64_t now)
{
	const struct mqw_notice n = {.token = token,
		.host = host,
		.channel = channel,
		.rule = "none: asked for by hand",
		.instance = "",
		.test = true,
		.count = 1,
		.time = now,
		.from = now,
		.to = now};

	return mqw_notice_json(
		&n, json_pack("{s:i}", "vanished", 1), json_pack("[o]", example(now)));
}
