/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told: the object, the text, the mail and the requests made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdogd/act/alerts/notice.h"
#include "watchdogd/base/json_text.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define T INT64_C(1795572000000000) /* 2026-11-25T02:00:00Z */

static const char *const to[] = {"postmaster@example.com", "night@example.com", NULL};
static const struct mqw_alert_config mail_config = {
	.name = "ops", .channel = MQW_CHANNEL_EMAIL, .email = to, .email_count = 2};

static struct mqw_notice head(uint64_t count)
{
	return (struct mqw_notice){.token = TOKEN,
		.host = "mx1.example.com",
		.channel = "ops",
		.rule = "tell",
		.instance = "out",
		.count = count,
		.time = T,
		.from = T - MQW_MINUTE,
		.to = T};
}

static json_t *finding(const char *id, const char *hostile)
{
	return json_pack(
		"{s:s,s:s,s:s,s:o,s:o,s:o,s:s,s:o,s:o,s:i,s:s,s:s,s:[{s:s,s:i},{s:s,s:n}]}",
		"verdict", "vanished", "confidence", "certain", "queue_id", id, "message_id",
		mqw_json_text(mqw_slice_of(hostile)), "sender",
		mqw_json_text(mqw_slice_of(hostile)), "recipient",
		mqw_json_text(mqw_slice_of(hostile)), "relay", "mx[192.0.2.1]:25", "reply",
		mqw_json_text(mqw_slice_of(hostile)), "reason",
		mqw_json_text(mqw_slice_of(hostile)), "attempts", 2, "last_seen",
		"2026-11-25T10:00:00Z", "remedy", "look at it", "evidence", "source",
		"/var/log/mail.log", "line", 12, "source", "queue", "line");
}

static json_t *notice_of(const struct mqw_notice *n, const char *id, const char *hostile)
{
	json_t *j = mqw_notice_json(n, json_pack("{s:i}", "vanished", (int)n->count),
		json_pack("[o]", finding(id, hostile)));

	assert_non_null(j);
	return j;
}

/* A mail, as text. */
static struct mqw_buffer mail_of(const json_t *n, const struct mqw_alert_config *c)
{
	struct mqw_buffer b = {0};

	mqw_notice_add_mail(&b, n, c, "mx1.example.com");
	assert_false(b.failed);
	return b;
}

/* RFC 5322 in its limits: every line ends by CRLF, none is long, nothing beyond ASCII. */
static void assert_well_formed(const struct mqw_buffer *mail)
{
	size_t column = 0;

	for (size_t i = 0; i < mail->len; i++) {
		char c = mail->ptr[i];

		if (c == '\n') {
			assert_true(i > 0 && mail->ptr[i - 1] == '\r');
			column = 0;
			continue;
		}
		if (c == '\r')
			assert_true(i + 1 < mail->len && mail->ptr[i + 1] == '\n');
		else
			assert_true(c == '\t' || (c >= 0x20 && c < 0x7f));
		if (column == 0)
			assert_int_not_equal(c, '.');
		assert_true(++column <= 998);
	}
	assert_int_equal(column, 0);
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* The body of a mail, decoded (RFC 2045 section 6.7). */
static struct mqw_buffer body_of(const struct mqw_buffer *mail)
{
	struct mqw_slice s = mqw_buffer_slice(mail);
	struct mqw_buffer b = {0};
	char c;

	s = mqw_slice_from(s, mqw_slice_find(s, MQW_LIT("\r\n\r\n")) + 4);
	while (s.len) {
		if (mqw_slice_skip(&s, MQW_LIT("=\r\n")))
			continue;
		if (mqw_slice_skip(&s, MQW_LIT("\r\n"))) {
			mqw_buffer_add_str(&b, "\n");
		} else if (s.ptr[0] == '=') {
			c = (char)(hex(s.ptr[1]) * 16 + hex(s.ptr[2]));
			mqw_buffer_add(&b, mqw_slice(&c, 1));
			s = mqw_slice_from(s, 3);
		} else {
			mqw_buffer_add(&b, mqw_slice_head(s, 1));
			s = mqw_slice_from(s, 1);
		}
	}
	return b;
}

static void the_mail_is_as_it_should_be(void **state)
{
	static const char want[] = "Date: Wed, 25 Nov 2026 02:00:00 +0000\r\n"
				   "From: mailq-watchdog <mailq-watchdog@mx1.example.com>\r\n"
				   "To: <postmaster@example.com>,\r\n\t<night@example.com>\r\n"
				   "Subject: [mailq-watchdog] mx1.example.com: 1 vanished (out)\r\n"
				   "Message-ID: <mqw." TOKEN "@mx1.example.com>\r\n"
				   "Auto-Submitted: auto-generated\r\n"
				   "X-Mailq-Watchdog: alert; count=1\r\n"
				   "MIME-Version: 1.0\r\n"
				   "Content-Type: text/plain; charset=UTF-8\r\n"
				   "Content-Transfer-Encoding: quoted-printable\r\n"
				   "\r\n";
	const struct mqw_notice n = head(1);
	struct mqw_alert_config c = mail_config;
	json_t *j = notice_of(&n, "4F3aBcDeFgHz1k", "b@example.net");
	struct mqw_buffer mail = mail_of(j, &c), again, body = body_of(&mail), text = {0};

	(void)state;
	assert_well_formed(&mail);
	assert_true(mail.len > sizeof(want));
	assert_memory_equal(mail.ptr, want, sizeof(want) - 1);
	mqw_notice_add_text(&text, j);
	assert_string_equal(mqw_buffer_str(&body), mqw_buffer_str(&text));
	/* What is sent again is the same, byte for byte. */
	again = mail_of(j, &c);
	assert_string_equal(mqw_buffer_str(&mail), mqw_buffer_str(&again));
	mqw_buffer_done(&again);
	c.from = "watch@example.org";
	again = mail_of(j, &c);
	assert_non_null(strstr(again.ptr, "\r\nFrom: mailq-watchdog <watch@example.org>\r\n"));
	mqw_buffer_done(&again);
	mqw_buffer_done(&mail);
	mqw_buffer_done(&body);
	mqw_buffer_done(&text);
	json_decref(j);
}

static void the_text_says_all(void **state)
{
	const struct mqw_notice n = head(10000);
	json_t *j = notice_of(&n, "4F3aBcDeFgHz1k", "b@example.net");
	struct mqw_buffer text = {0};

	(void)state;
	mqw_notice_add_text(&text, j);
	assert_string_equal(mqw_buffer_str(&text),
		"mailq-watchdog on mx1.example.com found this:\n\n"
		"   10,000 vanished (out)\n\n"
		"   instance   out\n"
		"   rule       tell\n"
		"   recipients 10,000, found 2026-11-25T01:59:00Z to 2026-11-25T02:00:00Z\n\n"
		"vanished: The message left the queue after a temporary failure. It was not "
		"delivered, and its sender was told nothing.\n"
		"What to do: See whether it was brought back (mailq-watchdog show ID). If not, its "
		"sender has to send it again.\n\n"
		"1. vanished (certain)  <b@example.net>\n"
		"   message    4F3aBcDeFgHz1k from <b@example.net>\n"
		"   Message-ID b@example.net\n"
		"   last try   2026-11-25T10:00:00Z, attempt 2 at mx[192.0.2.1]:25\n"
		"   answer     b@example.net\n"
		"   why        b@example.net\n"
		"   do         look at it\n"
		"   see        /var/log/mail.log:12 queue\n"
		"   look       mailq-watchdog show 4F3aBcDeFgHz1k\n\n"
		"and 9,999 more: mailq-watchdog list\n\n"
		"What is found and done stands in the journal: journalctl -t mailq-watchdogd\n");
	mqw_buffer_done(&text);
	json_decref(j);
}

/* Addresses and replies that strangers write. */
static void nothing_gets_out_of_its_place(void **state)
{
	static const char *const hostile[] = {
		"x\r\nBcc: victim@example.org\r\n\r\nbody",
		"x\r\n.\r\nMAIL FROM:<>\r\n",
		"\n\n-- \n",
		"\x1b[2J\x1b]0;title\x07",
		"\xff\xfe broken \xc3",
		"\xe2\x80\xae"
		"esrever",
		"=?UTF-8?B?QmNjOg==?=",
		"From here\n.\n..",
	};
	const struct mqw_notice n = head(1);

	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		json_t *j = notice_of(&n, "4F3a; rm -rf /\n", hostile[i]);
		struct mqw_buffer mail = mail_of(j, &mail_config), body = body_of(&mail);
		size_t headers = 0;

		assert_well_formed(&mail);
		for (const char *p = mail.ptr; strncmp(p, "\r\n", 2) != 0;
			p = strstr(p, "\r\n") + 2)
			headers += *p != '\t' && *p != ' ';
		assert_int_equal(headers, 10);
		/* The body has its lines and no more. */
		for (const char *p = body.ptr; *p; p++)
			assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
		assert_null(strstr(body.ptr, "\nBcc"));
		assert_null(strstr(body.ptr, "\xe2\x80\xae"));
		/* No command that a shell would take for two. */
		assert_null(strstr(body.ptr, "mailq-watchdog show 4F"));
		mqw_buffer_done(&mail);
		mqw_buffer_done(&body);
		json_decref(j);
	}
}

/* Names of the configuration may hold any letter; a header may not. */
static void other_letters_are_encoded(void **state)
{
	struct mqw_notice n = head(1);
	char instance[64] = "";
	json_t *j;
	struct mqw_buffer mail, body;

	(void)state;
	for (int i = 0; i < 30; i++)
		strcat(instance, "\xc3\xbc");
	n.instance = instance;
	n.rule = "\xe2\x82\xac rule";
	j = notice_of(&n, "4F3a", "\xc3\xbc@example.net");
	mail = mail_of(j, &mail_config);
	body = body_of(&mail);
	assert_well_formed(&mail);
	assert_non_null(strstr(mail.ptr,
		"Subject: =?UTF-8?B?W21haWxxLXdhdGNoZG9nXSBteDEuZXhhbXBsZS5jb206IDEgdmFu?=\r\n"
		" =?UTF-8?B?aXNoZWQgKMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8?=\r\n"
		" =?UTF-8?B?w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvCk=?=\r\n"));
	assert_non_null(strstr(body.ptr, "rule       \xe2\x82\xac rule\n"));
	assert_non_null(strstr(body.ptr, "<\xc3\xbc@example.net>"));
	mqw_buffer_done(&mail);
	mqw_buffer_done(&body);
	json_decref(j);
}

static void a_long_subject_is_folded(void **state)
{
	const struct mqw_notice n = {.token = TOKEN,
		.host = "a-rather-long-host-name.in-a-long-domain.example.com",
		.channel = "ops",
		.rule = "tell",
		.instance = "outbound-with-a-long-name",
		.digest = true,
		.count = 3,
		.time = T,
		.from = T,
		.to = T};
	json_t *j = mqw_notice_json(&n,
		json_pack("{s:i,s:i,s:i}", "vanished", 1234567, "overdue", 1, "false_ndr", 1),
		json_array());
	struct mqw_buffer mail = mail_of(j, &mail_config);

	(void)state;
	assert_well_formed(&mail);
	assert_non_null(strstr(mail.ptr,
		"Subject: [mailq-watchdog]\r\n "
		"a-rather-long-host-name.in-a-long-domain.example.com:"
		" more: 1,234,567\r\n vanished, 1 overdue, 1 false_ndr "
		"(outbound-with-a-long-name)\r\n"));
	mqw_buffer_done(&mail);
	json_decref(j);
}

static void requests_have_their_format(void **state)
{
	const struct mqw_notice n = head(25);
	struct mqw_alert_config c = {.channel = MQW_CHANNEL_WEBHOOK};
	json_t *j = notice_of(&n, "4F3a", "x\"\xff\n@example.net"), *back, *alert;
	struct mqw_buffer b = {0};

	(void)state;
	mqw_notice_add_body(&b, j, &c);
	back = json_loadb(b.ptr, b.len, 0, NULL);
	assert_true(json_equal(j, back));
	assert_int_equal(json_integer_value(json_object_get(back, "more")), 24);
	json_decref(back);
	mqw_buffer_clear(&b);
	c.format = MQW_WEBHOOK_ALERTMANAGER;
	mqw_notice_add_body(&b, j, &c);
	back = json_loadb(b.ptr, b.len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(back, "version")), "4");
	assert_string_equal(
		json_string_value(json_object_get(back, "groupKey")), "mx1.example.com/out/tell");
	assert_int_equal(json_integer_value(json_object_get(back, "truncatedAlerts")), 24);
	assert_string_equal(json_string_value(json_object_get(back, "status")), "firing");
	alert = json_array_get(json_object_get(back, "alerts"), 0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(alert, "labels"), "queue_id")),
		"4F3a");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(alert, "labels"), "recipient")),
		"x\"\xef\xbf\xbd\n@example.net");
	assert_string_equal(
		json_string_value(json_object_get(alert, "startsAt")), "2026-11-25T01:59:00Z");
	json_decref(back);
	json_decref(j);
	mqw_buffer_done(&b);
}

static void a_test_is_seen_as_one(void **state)
{
	struct mqw_alert_config hook = {
		.channel = MQW_CHANNEL_WEBHOOK, .format = MQW_WEBHOOK_ALERTMANAGER};
	json_t *j = mqw_notice_test_json(TOKEN, "mx1", "ops", T);
	struct mqw_buffer b;

	(void)state;
	assert_non_null(j);
	b = mail_of(j, &mail_config);
	assert_well_formed(&b);
	assert_non_null(
		strstr(b.ptr, "Subject: [mailq-watchdog] mx1: test of the alert \"ops\"\r\n"));
	assert_non_null(strstr(b.ptr, "X-Mailq-Watchdog: test; count=1\r\n"));
	assert_non_null(strstr(b.ptr, "This is a test, sent by hand"));
	mqw_buffer_clear(&b);
	mqw_notice_add_body(&b, j, &hook);
	assert_non_null(strstr(b.ptr, "MailqWatchdogTest"));
	assert_null(strstr(b.ptr, "MailInTrouble"));
	mqw_buffer_done(&b);
	json_decref(j);
}

/* What a restart has set free: the counts in the subject, the ids in the body alone. */
static void a_restart_is_told_in_its_own_words(void **state)
{
	static const char hostile[] = "x\r\nBcc: victim@example.org";
	const struct mqw_notice n = head(1);
	struct mqw_alert_config hook = {
		.channel = MQW_CHANNEL_WEBHOOK, .format = MQW_WEBHOOK_ALERTMANAGER};
	json_t *finding = json_pack("{s:s,s:s,s:s,s:s,s:[s],s:[s],s:[],s:[s]}", "type", "restart",
		"summary", "after the restart of out: 1 went out", "reason", "why", "remedy",
		"try the store", "went_out", "A1", "returned_late", "A2", "settled_otherwise",
		"did_not_move", hostile);
	json_t *j = mqw_notice_json(
		       &n, json_pack("{s:i}", "restart", 1), json_pack("[o]", finding)),
	       *back, *labels;
	struct mqw_buffer mail = mail_of(j, &mail_config), text = {0};

	(void)state;
	assert_well_formed(&mail);
	assert_non_null(strstr(mail.ptr,
		"\r\nSubject: [mailq-watchdog] mx1.example.com: after the restart of out: 1 "
		"went\r\n out\r\n"));
	assert_null(strstr(mail.ptr, "\nBcc"));
	mqw_notice_add_text(&text, j);
	assert_string_equal(mqw_buffer_str(&text),
		"mailq-watchdog on mx1.example.com found this:\n\n"
		"   after the restart of out: 1 went out\n\n"
		"   instance   out\n"
		"   rule       tell\n"
		"   known      2026-11-25T01:59:00Z to 2026-11-25T02:00:00Z\n\n"
		"Went out, late; nothing is to be done:\n"
		"   A1\n\n"
		"Returned to the sender, late: the mail did not arrive, and its sender has to send "
		"it again:\n"
		"   A2\n\n"
		"Did not move: the service was not what held these:\n"
		"   x\\x0d\\x0aBcc: victim@example.org\n\n"
		"   do         try the store\n\n"
		"What is found and done stands in the journal: journalctl -t mailq-watchdogd\n");
	mqw_buffer_clear(&text);
	mqw_notice_add_body(&text, j, &hook);
	back = json_loadb(text.ptr, text.len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(back, "groupKey")),
		"mx1.example.com/out/tell/restart");
	labels = json_object_get(json_array_get(json_object_get(back, "alerts"), 0), "labels");
	assert_string_equal(
		json_string_value(json_object_get(labels, "alertname")), "MailAfterRestart");
	assert_string_equal(json_string_value(json_object_get(labels, "severity")), "warning");
	json_decref(back);
	json_decref(j);
	mqw_buffer_done(&mail);
	mqw_buffer_done(&text);
}

static void hosts_and_tokens(void **state)
{
	char host[MQW_NOTICE_HOST_MAX + 1], a[MQW_NOTICE_TOKEN_LEN + 1],
		b[MQW_NOTICE_TOKEN_LEN + 1];

	(void)state;
	mqw_notice_host(host);
	assert_true(strlen(host) > 0);
	assert_true(mqw_notice_token(a));
	assert_true(mqw_notice_token(b));
	assert_int_equal(strspn(a, "0123456789abcdef"), MQW_NOTICE_TOKEN_LEN);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mail_is_as_it_should_be),
		cmocka_unit_test(the_text_says_all),
		cmocka_unit_test(nothing_gets_out_of_its_place),
		cmocka_unit_test(other_letters_are_encoded),
		cmocka_unit_test(a_long_subject_is_folded),
		cmocka_unit_test(requests_have_their_format),
		cmocka_unit_test(a_test_is_seen_as_one),
		cmocka_unit_test(a_restart_is_told_in_its_own_words),
		cmocka_unit_test(hosts_and_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
