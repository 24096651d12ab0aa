/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An alert by HTTP: one POST. 2xx is accepted, whatever becomes of the rest of the answer: who said
 * so has it, and would get it twice. Redirects are not followed.
 */
#include <curl/curl.h>
#include <stdio.h>

#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/act/alerts/tls.h"
#include "watchdogd/base/json_text.h"

#define ANSWER_MAX 200 /* of the answer's body, for the journal */

static json_t *text(const json_t *o, const char *key)
{
	return mqw_json_text(mqw_notice_text(o, key));
}

/* Nobody shall be woken by a test that looks like more. */
static const char *alert_name(const json_t *n)
{
	if (mqw_notice_restart(json_object_get(n, "findings")))
		return "MailAfterRestart";
	return json_is_true(json_object_get(n, "test")) ? "MailqWatchdogTest" : "MailInTrouble";
}

/* What went out has nothing critical any more. */
static const char *severity(const json_t *finding)
{
	if (!mqw_slice_eq(mqw_notice_text(finding, "type"), MQW_LIT("restart")))
		return "critical";
	return json_array_size(json_object_get(finding, "did_not_move")) ? "warning" : "info";
}

/* The same for all alerts of one cause, so that a receiver puts a digest where its first one is. */
static json_t *cause(const json_t *n)
{
	static const char *const keys[] = {"host", "instance", "rule"};
	struct mqw_buffer b = {0};
	json_t *ret;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		mqw_buffer_add_str(&b, i ? "/" : "");
		mqw_buffer_add(&b, mqw_notice_text(n, keys[i]));
	}
	if (mqw_notice_restart(json_object_get(n, "findings")))
		mqw_buffer_add_str(&b, "/restart");
	ret = b.failed ? NULL : mqw_json_text(mqw_buffer_slice(&b));
	mqw_buffer_done(&b);
	return ret;
}

/* What is the same for all of one cause is a label: receivers tell alerts apart by their labels. */
static json_t *alert_json(const json_t *n, const json_t *finding, size_t number)
{
	char fingerprint[MQW_NOTICE_TOKEN_LEN + 24];

	snprintf(fingerprint, sizeof(fingerprint), "%.*s-%zu",
		(int)mqw_slice_head(mqw_notice_text(n, "id"), MQW_NOTICE_TOKEN_LEN).len,
		mqw_notice_text(n, "id").ptr, number);
	return json_pack("{s:s,s:{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o},s:{s:o,s:o,s:o,s:o,s:o,s:o},"
			 "s:o,s:s,s:s,s:s}",
		"status", "firing", "labels", "alertname", alert_name(n), "severity",
		severity(finding), "verdict", text(finding, "verdict"), "host", text(n, "host"),
		"instance", text(n, "instance"), "rule", text(n, "rule"), "queue_id",
		text(finding, "queue_id"), "recipient", text(finding, "recipient"), "annotations",
		"summary", text(n, "summary"), "description", text(finding, "reason"), "sender",
		text(finding, "sender"), "reply", text(finding, "reply"), "confidence",
		text(finding, "confidence"), "remedy", text(finding, "remedy"), "startsAt",
		text(n, "from"), "endsAt", "0001-01-01T00:00:00Z", "generatorURL", "",
		"fingerprint", fingerprint);
}

/*
 * The body that Prometheus' Alertmanager (version "4") sends to a webhook of its own, for the many
 * receivers that read it.
 */
static json_t *alertmanager_json(const json_t *n)
{
	const json_t *findings = json_object_get(n, "findings");
	json_t *alerts = json_array();
	struct mqw_slice rule = mqw_notice_text(n, "rule"),
			 instance = mqw_notice_text(n, "instance");

	for (size_t i = 0; i < json_array_size(findings); i++)
		json_array_append_new(alerts, alert_json(n, json_array_get(findings, i), i));
	return json_pack(
		"{s:s,s:o,s:I,s:s,s:o,s:{s:s,s:o,s:o},s:{s:s,s:o,s:o,s:o},s:{s:o},s:s,s:o}",
		"version", "4", "groupKey", cause(n), "truncatedAlerts",
		(json_int_t)mqw_notice_number(n, "more"), "status", "firing", "receiver",
		text(n, "channel"), "groupLabels", "alertname", alert_name(n), "instance",
		mqw_json_text(instance), "rule", mqw_json_text(rule), "commonLabels", "alertname",
		alert_name(n), "instance", mqw_json_text(instance), "rule", mqw_json_text(rule),
		"host", text(n, "host"), "commonAnnotations", "summary", text(n, "summary"),
		"externalURL", "", "alerts", alerts);
}

void mqw_notice_add_body(
	struct mqw_buffer *b, const json_t *notice, const struct mqw_alert_config *c)
{
	json_t *other;

	if (c->format == MQW_WEBHOOK_JSON) {
		mqw_json_add(b, notice);
		return;
	}
	other = alertmanager_json(notice);
	mqw_json_add(b, other);
	json_decref(other);
}

static size_t on_answer(char *data, size_t size, size_t count, void *userdata)
{
	struct mqw_buffer *b = userdata;
	size_t n = size * count; /* size is 1 by libcurl's contract */

	if (b->len < ANSWER_MAX)
		mqw_buffer_add(b, mqw_slice_head(mqw_slice(data, n), ANSWER_MAX - b->len));
	return n;
}

static struct curl_slist *make_headers(const struct mqw_alert_config *c, const json_t *notice,
	struct mqw_delivery *d, bool *ret_good)
{
	struct mqw_slice token = mqw_notice_text(notice, "id");
	struct mqw_buffer line = {0}, secret = {0};
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");

	*ret_good = true;
	mqw_buffer_printf(&line, "Idempotency-Key: %.*s", (int)token.len, token.ptr);
	list = curl_slist_append(list, mqw_buffer_str(&line));
	/* No "100 Continue" is waited for. */
	list = curl_slist_append(list, "Expect:");
	if (c->bearer_file || c->credential) {
		*ret_good = mqw_secret_read(c->bearer_file, c->credential, &secret, d);
		mqw_buffer_clear(&line);
		mqw_buffer_printf(&line, "Authorization: Bearer %s", mqw_buffer_str(&secret));
		list = curl_slist_append(list, mqw_buffer_str(&line));
	}
	mqw_buffer_done(&line);
	mqw_buffer_done(&secret);
	return list;
}

static bool was_sent_whole(CURL *curl, size_t size)
{
	curl_off_t sent = 0;

	curl_easy_getinfo(curl, CURLINFO_SIZE_UPLOAD_T, &sent);
	return (size_t)sent == size;
}

static void post(
	CURL *curl, const struct mqw_alert_config *c, struct mqw_slice body, struct mqw_delivery *d)
{
	struct mqw_buffer answer = {0}, said = {0};
	char error[CURL_ERROR_SIZE] = "";
	struct mqw_slice first;
	long status = 0;
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, c->webhook);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "mailq-watchdog/" MQW_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(c->timeout / 1000));
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	mqw_tls_trust(curl, c);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	d->accepted = status >= 200 && status < 300 && was_sent_whole(curl, body.len);
	if (code != CURLE_OK && !d->accepted) {
		mqw_buffer_add_str(&said, error[0] ? error : curl_easy_strerror(code));
		mqw_tls_explain(&said, code, c);
	} else {
		mqw_buffer_printf(&said, "status %ld", status);
		if (answer.len) {
			mqw_buffer_add_str(&said, ": ");
			first = mqw_buffer_slice(&answer);
			mqw_buffer_add(&said, mqw_slice_head(first, strcspn(answer.ptr, "\r\n")));
		}
	}
	mqw_delivery_say(d, mqw_buffer_slice(&said));
	mqw_buffer_done(&answer);
	mqw_buffer_done(&said);
}

void mqw_deliver_webhook(
	const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *d)
{
	struct mqw_buffer body = {0};
	CURL *curl = curl_easy_init();
	struct curl_slist *headers;
	bool good;

	headers = make_headers(c, notice, d, &good);
	mqw_notice_add_body(&body, notice, c);
	if (!curl || body.failed) {
		mqw_delivery_say(d, MQW_LIT("out of memory"));
	} else if (good) {
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		post(curl, c, mqw_buffer_slice(&body), d);
	}
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	mqw_buffer_done(&body);
}
