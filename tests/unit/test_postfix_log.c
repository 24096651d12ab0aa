/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each line of Postfix's log with the event that it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "log_fixture.h"
#include "probes/postfix/postfix.h"

static int read_line(struct mqw_probe *p, const char *tag, const char *text, struct got *g)
{
	struct mqw_sink sink = {.emit = emit, .ctx = g};
	struct mqw_line line = {.time = MQW_HOUR,
		.host = MQW_LIT("mx"),
		.tag = mqw_slice_of(tag),
		.text = mqw_slice_of(text),
		.pid = 42};

	memset(g, 0, sizeof(*g));
	return mqw_postfix_line(p, &line, &sink);
}

static void test_events(void **state)
{
	static const struct {
		const char *tag, *text;
		int result;
		enum mqw_event_kind kind;
		const char *other_id;
	} rows[] = {
		{"postfix/smtpd", "7EA36ACEA90: client=localhost[127.0.0.1]", MQW_LINE_USED,
			MQW_EVENT_OPENED, ""},
		{"out/pickup", "AB775ACEAA4: uid=100 from=<a@x.test> orig_id=99464ACEAF2",
			MQW_LINE_USED, MQW_EVENT_OPENED, "99464ACEAF2"},
		{"postfix/cleanup", "7EA36ACEA90: message-id=<>", MQW_LINE_USED,
			MQW_EVENT_MESSAGE_ID, ""},
		{"postfix/cleanup", "7EA36ACEA90: discard: header Subject: x", MQW_LINE_USED,
			MQW_EVENT_DISCARDED, ""},
		{"postfix/cleanup", "7EA36ACEA90: removed (canceled)", MQW_LINE_USED,
			MQW_EVENT_REFUSED, ""},
		{"postfix/qmgr", "4jZ5G9037Zz1fPvd: from=<a@b>, size=3, nrcpt=2 (queue active)",
			MQW_LINE_USED, MQW_EVENT_QUEUED, ""},
		{"postfix/qmgr", "7EA36ACEA90: from=<a@b>, status=expired, returned to sender",
			MQW_LINE_USED, MQW_EVENT_GAVE_UP, ""},
		{"postfix/qmgr", "7EA36ACEA90: removed", MQW_LINE_USED, MQW_EVENT_REMOVED, ""},
		{"postfix/postsuper", "7EA36ACEA90: removed", MQW_LINE_USED,
			MQW_EVENT_ADMIN_REMOVED, ""},
		{"postfix/bounce", "7EA36ACEA90: sender non-delivery notification: 8EA36ACEA90",
			MQW_LINE_USED, MQW_EVENT_NDR, "8EA36ACEA90"},
		{"postfix/qmgr",
			"warning: saving corrupt file \"7EA36ACEA90\" from queue \"active\" to "
			"queue \"corrupt\"",
			MQW_LINE_USED, MQW_EVENT_FILE_LOST, ""},
		{"postfix/qmgr", "warning: open active 7EA36ACEA90: No such file or directory",
			MQW_LINE_USED, MQW_EVENT_FILE_LOST, ""},
		{"postfix/smtpd", "connect from x[192.0.2.1]", MQW_LINE_DULL, 0, ""},
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from x", MQW_LINE_DULL, 0, ""},
		{"postfix/qmgr", "7EA36ACEA90: something new", MQW_LINE_STRANGE, 0, ""},
		{"postfix/smtp", "7EA36ACEA90: to=<a@b>, relay=x, delay=1, dsn=4", MQW_LINE_STRANGE,
			0, ""},
		{"dovecot", "7EA36ACEA90: removed", MQW_LINE_FOREIGN, 0, ""},
	};
	struct mqw_probe *p = mqw_postfix_log_create(NULL, 0);
	struct got g;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_line(p, rows[i].tag, rows[i].text, &g), rows[i].result);
		assert_int_equal(g.count, rows[i].result == MQW_LINE_USED);
		if (g.count)
			assert_int_equal(g.e.kind, rows[i].kind);
		assert_string_equal(g.texts[3], rows[i].other_id);
	}
	mqw_postfix_log_free(p);
}

static void test_attempts(void **state)
{
	static const struct {
		const char *tag, *text;
		enum mqw_outcome outcome;
		int code;
		const char *recipient, *reply, *other_id;
	} rows[] = {
		{"postfix/smtp",
			"7EA36ACEA90: to=<a@b>, relay=h[192.0.2.1]:25, delay=0.1, delays=0/0/0/0, "
			"dsn=4.2.0, status=deferred (host h[192.0.2.1] said: 450 4.2.0 later, "
			"status=sent (250 ok) (in reply to RCPT TO command))",
			MQW_OUTCOME_DEFERRED, 450, "a@b", "450 4.2.0 later, status=sent (250 ok)",
			""},
		{"postfix/relay/smtp",
			"7EA36ACEA90: to=<\"x>, relay=evil, dsn=2.0.0, status=sent (y\"@b>, "
			"relay=none, delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect "
			"to "
			"h[192.0.2.1]:25: Connection refused)",
			MQW_OUTCOME_DEFERRED, 0, "\"x>, relay=evil, dsn=2.0.0, status=sent (y\"@b",
			"connect to h[192.0.2.1]:25: Connection refused", ""},
		{"postfix/smtp",
			"7EA36ACEA90: to=<a@b>, orig_to=<o>, relay=127.0.0.1[127.0.0.1]:10024, "
			"delay=1, "
			"delays=0/0/0/0, tls=none, dsn=2.0.0, status=sent (250 2.0.0 from "
			"MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 8EA36ACEA90)",
			MQW_OUTCOME_HANDED_OFF, 250, "a@b", "", "8EA36ACEA90"},
		/* A stranger's "queued as" is no id of ours. */
		{"postfix/smtp",
			"7EA36ACEA90: to=<a@b>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, "
			"dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 8EA36ACEA90)",
			MQW_OUTCOME_SENT, 250, "a@b", "", ""},
		{"postfix/smtp",
			"7EA36ACEA90: to=<a@b>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, "
			"dsn=5.2.0, status=bounced (host h[192.0.2.1] said: 450 4.2.0 x (in reply "
			"to "
			"RCPT TO command))",
			MQW_OUTCOME_BOUNCED, 450, "a@b", "450 4.2.0 x", ""},
		{"postfix/smtp",
			"7EA36ACEA90: to=<a@b>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, "
			"dsn=4.7.1, status=deferred (host h[192.0.2.1] refused to talk to me: 554 "
			"no)",
			MQW_OUTCOME_DEFERRED, 554, "a@b", "554 no", ""},
		{"postfix/local",
			"7EA36ACEA90: to=<a@b>, relay=local, delay=1, delays=0/0/0/0, dsn=2.0.0, "
			"status=sent (forwarded as 8EA36ACEA90)",
			MQW_OUTCOME_HANDED_OFF, 0, "a@b", "", "8EA36ACEA90"},
		{"postfix/smtp",
			"7EA36ACEA90: to=<a@b>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, "
			"dsn=4.1.1, status=SOFTBOUNCE (host h[192.0.2.1] said: 550 no (in reply to "
			"RCPT TO command))",
			MQW_OUTCOME_DEFERRED, 550, "a@b", "550 no", ""},
		{"postfix/discard",
			"7EA36ACEA90: to=<a@b>, relay=none, delay=1, delays=0/0/0/0, dsn=2.0.0, "
			"status=sent (b)",
			MQW_OUTCOME_DISCARDED, 0, "a@b", "", ""},
	};
	struct mqw_probe *p = mqw_postfix_log_create(NULL, 0);
	struct got g;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_line(p, rows[i].tag, rows[i].text, &g), MQW_LINE_USED);
		assert_int_equal(g.e.kind, MQW_EVENT_ATTEMPT);
		assert_int_equal(g.e.outcome, rows[i].outcome);
		assert_int_equal(g.e.code, rows[i].code);
		assert_string_equal(g.texts[0], rows[i].recipient);
		assert_string_equal(g.texts[1], rows[i].reply);
		assert_string_equal(g.texts[3], rows[i].other_id);
	}
	mqw_postfix_log_free(p);
}

/* smtp_reply_filter: the code on the wire is the one before the change. */
static void test_reply_filter(void **state)
{
	struct mqw_probe *p = mqw_postfix_log_create(NULL, 0);
	struct got g;

	(void)state;
	read_line(p, "postfix/smtp",
		"h[192.0.2.1]:25: replacing server reply \"450 4.2.0 later\" with \"550 5.2.0 "
		"later\"",
		&g);
	assert_int_equal(g.count, 0);
	read_line(p, "postfix/smtp",
		"7EA36ACEA90: to=<a@b>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, dsn=5.2.0, "
		"status=bounced (host h[192.0.2.1] said: 550 5.2.0 later (in reply to RCPT TO "
		"command))",
		&g);
	assert_int_equal(g.e.code, 450);
	/* A true 550 of the same process stays one. */
	read_line(p, "postfix/smtp",
		"7EA36ACEA90: to=<c@b>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, dsn=5.1.1, "
		"status=bounced (host h[192.0.2.1] said: 550 5.1.1 unknown (in reply to RCPT TO "
		"command))",
		&g);
	assert_int_equal(g.e.code, 550);
	mqw_postfix_log_free(p);
}

/* A summary of postsuper matters only for what no line named. */
static void test_summaries(void **state)
{
	struct mqw_probe *p = mqw_postfix_log_create(NULL, 0);
	struct got g;

	(void)state;
	read_line(p, "postfix/postsuper", "7EA36ACEA90: removed", &g);
	assert_int_equal(
		read_line(p, "postfix/postsuper", "Deleted: 1 message", &g), MQW_LINE_DULL);
	assert_int_equal(
		read_line(p, "postfix/postsuper", "Deleted: 3 messages", &g), MQW_LINE_USED);
	assert_int_equal(g.e.kind, MQW_EVENT_BULK);
	assert_int_equal(g.e.count, 3);
	mqw_postfix_log_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_reply_filter),
		cmocka_unit_test(test_summaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
