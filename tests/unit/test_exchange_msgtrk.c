/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Message tracking since Exchange 2007, and the SmtpSend log beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "probes/exchange/exchange.h"
#include "windows_fixture.h"

#define ANN "ann@b.test"
#define BEN "ben@b.test"
#define M "<m1@a.test>"

static struct mqw_syslog_reader send_log;

static int setup(void **state)
{
	(void)state;
	begin(&mqw_probe_exchange);
	send_log = file;
	say("#Log-type: Message Tracking Log");
	say("#Fields: date-time,server-hostname,source-context,source,event-id,message-id,"
	    "recipient-address,recipient-status,recipient-count,reference,message-subject,"
	    "sender-address,return-path");
	return 0;
}

/* A line at 12:00 and so many seconds. */
static int track(int seconds, const char *event, const char *recipients, const char *status)
{
	char raw[2048];

	snprintf(raw, sizeof(raw),
		"2026-05-16T12:%02d:%02d.000Z,EXCH2,,SMTP,%s," M
		",%s,%s,2,,\"a, subject\",info@a.test,info@a.test",
		seconds / 60, seconds % 60, event, recipients, status);
	return say(raw);
}

/* A row of SmtpSend, of session S1: its event, data and context. */
static int row(int seconds, const char *event, const char *data, const char *context)
{
	struct mqw_syslog_reader tracking = file;
	char raw[1024];
	int r;

	file = send_log;
	say("#Log-type: SMTP Send Protocol Log");
	say("#Fields: date-time,session-id,sequence-number,remote-endpoint,event,data,context");
	snprintf(raw, sizeof(raw), "2026-05-16T12:%02d:%02d.000Z,S1,0,192.0.2.9:25,%s,%s,%s",
		seconds / 60, seconds % 60, event, data, context);
	r = say(raw);
	file = tracking;
	return r;
}

static void begin_session(int seconds, bool named)
{
	row(seconds, "+", "", "");
	row(seconds, "<", "220 mx ESMTP", "");
	row(seconds, ">", "EHLO exch2", "");
	row(seconds, "<", "250-mx Hello 250-SIZE 250 PIPELINING", "");
	if (named)
		row(seconds, "*", "", "sending message with RecordId 77 and InternetMessageId " M);
	row(seconds, ">", "MAIL FROM:<info@a.test> SIZE=1200", "");
}

static void test_events(void **state)
{
	static const struct {
		const char *event, *status, *want;
	} rows[] = {
		{"RECEIVE", "",
			"message_id " M " id=m1@a.test\nqueued " M " from=info@a.test count=2\n"},
		{"SEND", "250 2.1.5 Recipient OK", "sent " M " to=" ANN " 250/2.1.5 at=EXCH2\n"},
		{"SENDEXTERNAL", "250 2.1.5 OK", "sent " M " to=" ANN " 250/2.1.5 at=EXCH2\n"},
		{"DELIVER", "", "sent " M " to=" ANN " at=EXCH2\n"},
		{"DUPLICATEDELIVER", "", "sent " M " to=" ANN " at=EXCH2\n"},
		{"DEFER", "\"451 4.7.1 Grey, later\"",
			"deferred " M " to=" ANN " 451/4.7.1: 451 4.7.1 Grey, later\n"},
		{"DEFER", "", "deferred " M " to=" ANN "\n"},
		{"DEFER",
			"\"[{LRT=5/16/2026 10:10:06 AM};{LED=450 4.7.1 a {b} [c]; d};{FQDN=mx};"
			"{IP=192.0.2.9}]\"",
			"deferred " M " to=" ANN " 450/4.7.1: 450 4.7.1 a {b} [c]; d\n"},
		{"FAIL", "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
			"bounced " M " to=" ANN
			" 550/5.1.1: 550 5.1.1 RESOLVER.ADR.RecipNotFound; not found\n"},
		{"FAIL", "450 4.7.1 Grey",
			"deferred " M " to=" ANN " 450/4.7.1: 450 4.7.1 Grey\nexpired " M " to=" ANN
			" 450/4.7.1: 450 4.7.1 Grey\n"},
		{"FAIL", "550 4.4.7 QUEUE.Expired; message expired",
			"expired " M " to=" ANN
			" 550/4.4.7: 550 4.4.7 QUEUE.Expired; message expired\n"},
		{"BADMAIL", "", "held " M "\n"},
		{"POISONMESSAGE", "", "held " M "\n"},
		{"HADISCARD", "", "removed " M "\n"},
		{"HAREDIRECT", "", "removed " M "\n"},
		{"RESUBMIT", "", "queued " M " from=info@a.test\n"},
		{"DROP", "", "discarded " M " to=" ANN "\n"},
	};
	static const char *const dull[] = {"HARECEIVE", "TRANSFER", "SUBMIT", "NOTIFYMAPI",
		"AGENTINFO", "SUBMITDEFER", "unheard-of", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(track(0, rows[i].event, ANN, rows[i].status), MQW_LINE_USED);
		assert_int_equal(got_time, NOON(0));
		assert_got(rows[i].want);
	}
	for (size_t i = 0; i < sizeof(dull) / sizeof(dull[0]); i++)
		assert_int_equal(track(0, dull[i], ANN, ""), MQW_LINE_DULL);
	assert_int_equal(say("2026-05-16T12:00:00.000Z,EXCH2,,SMTP,FAIL," M), MQW_LINE_STRANGE);
	assert_int_equal(say("2026-05-16,EXCH2"), NO_LINE);
	assert_got("");
}

/* Each recipient its own state, however many ";" are in the words; else none. */
static void test_lists(void **state)
{
	(void)state;
	track(0, "FAIL", ANN ";" BEN, "\"550 5.1.1 A; b;450 4.7.1 c;d\"");
	assert_got(
		"bounced " M " to=" ANN " 550/5.1.1: 550 5.1.1 A; b\ndeferred " M " to=" BEN
		" 450/4.7.1: 450 4.7.1 c;d\nexpired " M " to=" BEN " 450/4.7.1: 450 4.7.1 c;d\n");
	track(0, "DEFER", ANN ";" BEN,
		"\"[{LRT=x};{LED=450 4.7.1 a};{IP=1}];[{LRT=x};{LED=451 4.7.1 b};{IP=2}]\"");
	assert_got("deferred " M " to=" ANN " 450/4.7.1: 450 4.7.1 a\ndeferred " M " to=" BEN
		   " 451/4.7.1: 451 4.7.1 b\n");
	/* One state of two cannot be given to either. */
	track(0, "DEFER", ANN ";" BEN, "450 4.7.1 a");
	assert_got("deferred " M " to=" ANN "\ndeferred " M " to=" BEN "\n");
	track(0, "SEND", ANN ";;" BEN ";", "");
	assert_got("sent " M " to=" ANN " at=EXCH2\nsent " M " to=" BEN " at=EXCH2\n");
}

/* A list that was deferred goes on as its members; of another nothing was said that has to end. */
static void test_expanded(void **state)
{
	(void)state;
	say("#Fields: date-time,event-id,message-id,recipient-address,recipient-status,"
	    "related-recipient-address");
	say("2026-05-16T12:00:00.000Z,DEFER," M ",list@a.test,451 4.3.0 later,");
	mqw_buffer_clear(&got);
	say("2026-05-16T12:05:00.000Z,EXPAND," M "," ANN ";" BEN ",,list@a.test;other@a.test");
	assert_got("handed_off " M " to=list@a.test\n");
	say("2026-05-16T12:05:00.000Z,REDIRECT," M "," ANN ",,list@a.test");
	assert_got("");
}

/* The state may be in the context alone; what an administrator takes out is no failure. */
static void test_where_it_is_said(void **state)
{
	(void)state;
	say("2026-05-16T12:00:00.000Z,EXCH2,451 4.4.0 ctx,SMTP,DEFER," M "," ANN
	    ",,1,,s,info@a.test,<>");
	assert_got("deferred " M " to=" ANN " 451/4.4.0: 451 4.4.0 ctx\n");
	say("2026-05-16T12:00:00.000Z,EXCH2,,ADMIN,FAIL," M "," ANN ",,1,,s,info@a.test,<>");
	assert_got("withdrawn " M " to=" ANN "\n");
	say("2026-05-16T12:00:00.000Z,EXCH2,,SMTP,RECEIVE," M "," ANN ",,1,,s,info@a.test,<>");
	assert_got("message_id " M " id=m1@a.test\nqueued " M " from= count=1\n");
}

static int report(int seconds)
{
	char raw[512];

	snprintf(raw, sizeof(raw),
		"2026-05-16T12:%02d:%02d.000Z,EXCH2,,DSN,DSN,<n1@a.test>,info@a.test,,1," M
		",s,<>,<>",
		seconds / 60, seconds % 60);
	return say(raw);
}

/* A report of a delay and one of a failure look the same: what came before tells. */
static void test_reports(void **state)
{
	(void)state;
	report(0);
	assert_got("notified " M " other=<n1@a.test>\n");
	track(10, "FAIL", ANN, "550 5.1.1 no");
	mqw_buffer_clear(&got);
	report(11);
	assert_got("ndr " M " other=<n1@a.test>\n");
	report(71);
	assert_got("notified " M " other=<n1@a.test>\n");
}

static void test_session(void **state)
{
	(void)state;
	begin_session(0, true);
	row(0, ">", "RCPT TO:<" ANN ">", "");
	row(0, ">", "RCPT TO:<" BEN ">", "");
	assert_got("");
	row(1, "<", "250 sender ok", "");
	row(1, "<", "\"451 4.7.1 " ANN ", Greylisted\"", "");
	assert_got("deferred " M " to=" ANN
		   " 451/4.7.1 at=192.0.2.9:25: 451 4.7.1 ann@b.test, Greylisted\n");
	/* In several rows: the last one ends it. */
	row(1, "<", "250-ok", "");
	row(1, "<", "250 ok", "");
	row(1, ">", "BDAT 1200 LAST", "");
	assert_got("");
	row(2, "<", "250 2.0.0 queued", "");
	assert_got("sent " M " to=" BEN " 250/2.0.0 at=192.0.2.9:25\n");
	row(2, ">", "QUIT", "");
	row(2, "<", "221 bye", "");
	row(2, "-", "", "Local");
	assert_got("");
	/* The same try in message tracking counts no second time; another one does. */
	track(5, "DEFER", ANN, "451 4.7.1 Greylisted");
	assert_got("skipped " M " to=" ANN " 451/4.7.1: 451 4.7.1 Greylisted\n");
	/* Nor the other way round. */
	track(30, "DEFER", ANN, "451 4.7.1 Greylisted");
	mqw_buffer_clear(&got);
	begin_session(31, true);
	row(31, "<", "250 sender ok", "");
	row(31, ">", "RCPT TO:<" ANN ">", "");
	row(31, "<", "451 4.7.1 Greylisted", "");
	assert_got("skipped " M " to=" ANN " 451/4.7.1 at=192.0.2.9:25: 451 4.7.1 Greylisted\n");
	track(60, "DEFER", ANN, "451 4.7.1 Greylisted");
	assert_got("deferred " M " to=" ANN " 451/4.7.1: 451 4.7.1 Greylisted\n");
}

/* Older versions do not name the message: by its recipient, which message tracking has told. */
static void test_session_without_a_name(void **state)
{
	(void)state;
	track(0, "RECEIVE", ANN ";" BEN, "");
	mqw_buffer_clear(&got);
	begin_session(1, false);
	row(1, "<", "250 ok", "");
	row(1, ">", "RCPT TO:<" BEN ">", "");
	row(1, "<", "450 4.7.1 Grey", "");
	assert_got("deferred " M " to=" BEN " 450/4.7.1 at=192.0.2.9:25: 450 4.7.1 Grey\n");
	row(1, ">", "RCPT TO:<eve@b.test>", "");
	row(1, "<", "450 4.7.1 Grey", "");
	assert_got("");
}

static void test_connection_lost(void **state)
{
	(void)state;
	begin_session(0, true);
	row(0, "<", "250 ok", "");
	row(0, ">", "RCPT TO:<" ANN ">", "");
	row(0, "<", "250 ok", "");
	row(0, ">", "DATA", "");
	row(0, "<", "354 go", "");
	row(9, "-", "", "Remote");
	assert_got("deferred " M " to=" ANN
		   " at=192.0.2.9:25: the connection ended before an answer\n");
	assert_int_equal(row(9, "-", "", "Remote"), MQW_LINE_USED);
	assert_int_equal(
		row(9, "*", "", "\"Failed to connect. Winsock error code: 10061\""), MQW_LINE_DULL);
	assert_int_equal(row(9, "?", "", ""), MQW_LINE_DULL);
	assert_int_equal(row(9, "", "", ""), MQW_LINE_STRANGE);
	assert_got("");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_events),
		TEST(test_lists),
		TEST(test_expanded),
		TEST(test_where_it_is_said),
		TEST(test_reports),
		TEST(test_session),
		TEST(test_session_without_a_name),
		TEST(test_connection_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
