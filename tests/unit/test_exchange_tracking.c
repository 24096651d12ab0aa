/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Message tracking of Exchange 2000 and 2003, alone and joined with the SMTP service's log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "probes/exchange/exchange.h"
#include "windows_fixture.h"

#define ANN "ann@b.test"
#define M "M1@EXCH1"
#define GREY "450 4.2.0 Greylisted"

static int setup(void **state)
{
	(void)state;
	begin(&mqw_probe_exchange);
	return 0;
}

/* A line at 12:00 and so many seconds; what is behind the id is given. */
static int track_with(
	int seconds, const char *recipient, int event, const char *id, const char *behind)
{
	char raw[1024];

	snprintf(raw, sizeof(raw),
		"2026-5-16\t12:%02d:%02d "
		"GMT\t198.51.100.7\tpc\t-\tEXCH1\t198.51.100.2\t%s\t%d\t%s\t%s",
		seconds / 60, seconds % 60, recipient, event, id, behind);
	return say(raw);
}

static int track(int seconds, const char *recipient, int event, const char *id)
{
	return track_with(seconds, recipient, event, id,
		"0\t0\t1200\t2\t2026-5-16 11:00:00 GMT\t0\tV\t-\tsubject\tinfo@a.test\t-");
}

/* A line of the SMTP service's log, another file. */
static void smtp(int seconds, const char *who, const char *verb, const char *query)
{
	static const char fields[] = "#Fields: date time c-ip cs-username s-sitename s-ip s-port "
				     "cs-method cs-uri-query sc-status";
	struct mqw_syslog_reader tracking = file;
	char raw[1024];

	next_file();
	say(fields);
	snprintf(raw, sizeof(raw),
		"2026-05-16 12:%02d:%02d 192.0.2.9 OutboundConnection%s SMTPSVC1 - 25 %s %s 0",
		seconds / 60, seconds % 60, who, verb, query);
	assert_true(say(raw) >= 0);
	file = tracking;
}

static void answered(int seconds, const char *sender, const char *recipient, const char *reply)
{
	char text[512];

	snprintf(text, sizeof(text), "FROM:<%s>", sender);
	smtp(seconds, "Command", "MAIL", text);
	smtp(seconds, "Response", "-", "250+ok");
	snprintf(text, sizeof(text), "TO:<%s>", recipient);
	smtp(seconds, "Command", "RCPT", text);
	snprintf(text, sizeof(text), "%s", reply);
	for (char *p = text; *p; p++)
		*p = *p == ' ' ? '+' : *p;
	smtp(seconds, "Response", "-", text);
	smtp(seconds, "Command", "QUIT", "-");
}

/* Each event, as the table in the documentation has it. */
static void test_events(void **state)
{
	static const struct {
		int event;
		const char *want;
	} rows[] = {
		{1027, "message_id " M " id=" M "\nqueued " M " from=info@a.test count=2\n"},
		{1019, "message_id " M " id=" M "\nqueued " M " from=info@a.test count=2\n"},
		{1034, "under way " M " to=" ANN "\n"},
		{1020, "under way " M " to=" ANN "\n"},
		{1031, "sent " M " to=" ANN "\n"},
		{1028, "sent " M " to=" ANN "\n"},
		{1023, "sent " M " to=" ANN "\n"},
		{1029, "sent " M " to=" ANN "\n"},
		{9, "sent " M " to=" ANN "\n"},
		{1030, "bounced " M " to=" ANN "\n"},
		{1039, "discarded " M " to=" ANN "\n"},
		{1040, "discarded " M " to=" ANN "\n"},
		{1041, "discarded " M " to=" ANN "\n"},
		{1021, "held " M "\n"},
	};
	static const int dull[] = {1024, 1025, 1033, 1036, 1038, 1042, 0, 43, 999999};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&mqw_probe_exchange);
		assert_int_equal(track(0, ANN, rows[i].event, M), MQW_LINE_USED);
		assert_int_equal(got_time, NOON(0));
		assert_got(rows[i].want);
	}
	for (size_t i = 0; i < sizeof(dull) / sizeof(dull[0]); i++)
		assert_int_equal(track(0, ANN, dull[i], M), MQW_LINE_DULL);
	assert_int_equal(track(0, ANN, 1031, "-"), MQW_LINE_DULL);
	assert_int_equal(track(0, "-", 1031, M), MQW_LINE_DULL);
	assert_got("");
	/* Failures within the server itself: no answer, and said in words. */
	track(0, ANN, 1032, M);
	assert_non_null(strstr(mqw_buffer_str(&got), "skipped " M " to=" ANN ": the categorizer"));
}

static void test_forms(void **state)
{
	(void)state;
	assert_int_equal(say("# Message Tracking Log File"), ABOUT_OTHERS);
	assert_int_equal(say("# Date\tTime\tclient-ip"), ABOUT_OTHERS);
	/* Of 20 and of 21 fields, with tabs in the subject, with the null sender, with none. */
	track_with(0, ANN, 1027, M, "0\t0\t1\t1\to\t0\tV\t-\ts\tx@a.test");
	assert_got("message_id " M " id=" M "\nqueued " M " from=x@a.test count=1\n");
	track_with(0, ANN, 1027, M, "0\t0\t1\t1\to\t0\tV\t-\tone\ttwo\t\tx@a.test\t-");
	assert_got("message_id " M " id=" M "\nqueued " M " from=x@a.test count=1\n");
	track_with(0, ANN, 1027, M, "0\t0\t1\tmany\to\t0\tV\t-\ts\t<>\t-");
	assert_got("message_id " M " id=" M "\nqueued " M " from=\n");
	track_with(0, ANN, 1027, M, "0\t0\t1\t1\to\t0\tV\t-\ts\t-\t-");
	assert_got("message_id " M " id=" M "\nqueued " M " count=1\n");
	/* What is no line, and what is one that nobody understands. */
	assert_int_equal(say("second line of a subject\tx"), NO_LINE);
	assert_int_equal(say("2026-5-16\t12:00:00 GMT\tx\ty"), MQW_LINE_STRANGE);
	assert_int_equal(
		say("2026-5-16\t12:00:00 GMT\t3\t4\t5\t6\t7\t8\tsent\t10\t11"), MQW_LINE_STRANGE);
	assert_got("");
}

/* The founding case: three answers in two minutes, each with the message that it was to. */
static void test_joined(void **state)
{
	(void)state;
	track(2, ANN, 1034, M);
	track(3, ANN, 1020, M);
	mqw_buffer_clear(&got);
	answered(4, "info@a.test", "Ann@B.test", GREY);
	assert_int_equal(got_time, NOON(4));
	assert_false(got_doubtful);
	assert_got("deferred " M " to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
	answered(64, "info@a.test", ANN, "451 please try again later");
	assert_got("deferred " M " to=" ANN " 451 at=192.0.2.9: 451 please try again later\n");
	/* A report upon that is one of a temporary failure. */
	track_with(130, ANN, 1030, M, "0\t0\t1\t1\t2026-5-16 11:00:00 GMT\t0\tV\tN1\ts\tx\t-");
	assert_got("expired " M " to=" ANN " 451\nndr " M " other=N1\n");
	/* It is over: what is answered now is to none. */
	answered(190, "info@a.test", ANN, GREY);
	assert_got("");
}

static void refused(int seconds, const char *sender)
{
	char text[512];

	snprintf(text, sizeof(text), "FROM:<%s>", sender);
	smtp(seconds, "Command", "MAIL", text);
	smtp(seconds, "Response", "-", "450+not+yet");
	smtp(seconds, "Command", "QUIT", "-");
}

/* An answer to MAIL names no recipient: it is to all of the one message that the sender has there. */
static void test_refused_at_mail(void **state)
{
	(void)state;
	track(0, ANN, 1020, M);
	track(0, "ben@b.test", 1020, M);
	track_with(0, "cat@b.test", 1020, "M2", "0\t0\t1\t1\to\t0\tV\t-\ts\tmia@a.test\t-");
	mqw_buffer_clear(&got);
	refused(61, "info@a.test");
	assert_non_null(strstr(mqw_buffer_str(&got), "deferred " M " to=" ANN " 450 "));
	assert_non_null(strstr(mqw_buffer_str(&got), "deferred " M " to=ben@b.test 450 "));
	assert_null(strstr(mqw_buffer_str(&got), "M2"));
	/* Of two messages it is the one that had just begun; or it cannot be told. */
	track(120, "dan@b.test", 1020, "M3");
	mqw_buffer_clear(&got);
	refused(121, "info@a.test");
	assert_got("deferred M3 to=dan@b.test 450 at=192.0.2.9: 450 not yet\n");
	refused(180, "info@a.test");
	refused(180, "nobody@a.test");
	assert_got("");
}

static void test_rejected(void **state)
{
	(void)state;
	track(3, ANN, 1020, M);
	mqw_buffer_clear(&got);
	answered(4, "info@a.test", ANN, "550 5.1.1 no such user");
	assert_got("bounced " M " to=" ANN " 550/5.1.1 at=192.0.2.9: 550 5.1.1 no such user\n");
	track(5, ANN, 1030, M);
	assert_got("bounced " M " to=" ANN " 550\n");
}

/* The report's line may name the report, with the message beside it. */
static void test_report_the_other_way_round(void **state)
{
	(void)state;
	track(3, ANN, 1020, M);
	answered(4, "info@a.test", ANN, GREY);
	mqw_buffer_clear(&got);
	track_with(
		130, ANN, 1030, "N1", "0\t0\t1\t1\t2026-5-16 11:00:00 GMT\t0\tV\t" M "\ts\tx\t-");
	assert_got("expired " M " to=" ANN " 450\nndr " M " other=N1\n");
}

/*
 * A try that began after the last answer that was read: its own is on its way in the other log, and why
 * it was reported is not known before.
 */
static void test_report_before_its_answer(void **state)
{
	(void)state;
	track(3, ANN, 1020, M);
	answered(4, "info@a.test", ANN, GREY);
	track(300, ANN, 1020, M);
	mqw_buffer_clear(&got);
	track(301, ANN, 1030, M);
	assert_got("bounced " M " to=" ANN "\n");
	answered(301, "info@a.test", ANN, "550 5.1.1 no such user");
	assert_got("bounced " M " to=" ANN " 550/5.1.1 at=192.0.2.9: 550 5.1.1 no such user\n");
}

/* What the ledger kept of a message is joined with what comes after a restart. */
static void test_resumed(void **state)
{
	struct mqw_recipient ann = {.address = (char *)(uintptr_t)ANN,
		.state = MQW_RECIPIENT_DEFERRED,
		.attempts = 1,
		.code = 450,
		.last_attempt = NOON(4)};
	struct mqw_message m = {.queue_id = M,
		.sender = (char *)(uintptr_t) "info@a.test",
		.recipients = &ann,
		.first_seen = NOON(2),
		.last_seen = NOON(4),
		.closed_at = MQW_TIME_NONE};

	(void)state;
	mqw_exchange_resume(probe, &m);
	answered(64, "info@a.test", ANN, GREY);
	assert_got("deferred " M " to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
	track(130, ANN, 1030, M);
	assert_got("expired " M " to=" ANN " 450\n");
	/* Of an answer that may have been another's the report is none of a temporary failure. */
	begin(&mqw_probe_exchange);
	ann.doubtful = true;
	mqw_exchange_resume(probe, &m);
	track(130, ANN, 1030, M);
	assert_got("bounced " M " to=" ANN "\n");
	/* What has ended is over. */
	begin(&mqw_probe_exchange);
	m.closed_at = NOON(5);
	mqw_exchange_resume(probe, &m);
	answered(64, "info@a.test", ANN, GREY);
	assert_got("");
}

/* A line that names the sender alone settles the message, and claims nothing of anybody. */
static void test_report_to_the_sender(void **state)
{
	(void)state;
	track(3, ANN, 1020, M);
	answered(4, "info@a.test", ANN, GREY);
	mqw_buffer_clear(&got);
	track(130, "Info@a.test", 1030, M);
	assert_got("removed " M "\n");
}

/* The answer's line may be read first. */
static void test_answer_first(void **state)
{
	(void)state;
	answered(4, "info@a.test", ANN, GREY);
	assert_got("");
	track(3, ANN, 1020, M);
	assert_got("deferred " M " to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\nunder way " M
		   " to=" ANN "\n");
	track(5, ANN, 1020, M);
	assert_got("under way " M " to=" ANN "\n");
	/* One of long before is not this message's. */
	begin(&mqw_probe_exchange);
	answered(4, "info@a.test", ANN, GREY);
	track(600, ANN, 1020, M);
	assert_got("under way " M " to=" ANN "\n");
}

/* Without the SMTP log a failed try shows by the next one. */
static void test_tried_again(void **state)
{
	(void)state;
	track(0, ANN, 1020, M);
	mqw_buffer_clear(&got);
	track(900, ANN, 1020, M);
	assert_got("deferred " M " to=" ANN
		   ": tried again later; what was answered is not in this log\nunder way " M
		   " to=" ANN "\n");
	/* With it the answer is there already. */
	answered(901, "info@a.test", ANN, GREY);
	mqw_buffer_clear(&got);
	track(1800, ANN, 1020, M);
	assert_got("under way " M " to=" ANN "\n");
}

/* Two messages to one recipient: the one that has just begun, that of the sender, else the last. */
static void test_two_messages(void **state)
{
	(void)state;
	track(0, ANN, 1020, M);
	track_with(60, ANN, 1034, "M2", "0\t0\t1\t1\to\t0\tV\t-\ts\tmia@a.test\t-");
	track_with(61, ANN, 1020, "M2", "0\t0\t1\t1\to\t0\tV\t-\ts\tmia@a.test\t-");
	mqw_buffer_clear(&got);
	answered(62, "other@a.test", ANN, GREY);
	assert_false(got_doubtful);
	assert_got("deferred M2 to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
	answered(120, "info@a.test", ANN, GREY);
	assert_false(got_doubtful);
	assert_got("deferred " M " to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
	/* Of somebody else it is to neither. */
	answered(180, "other@a.test", ANN, GREY);
	assert_got("");
	track(240, ANN, 1020, "M3");
	mqw_buffer_clear(&got);
	answered(300, "info@a.test", ANN, GREY);
	assert_true(got_doubtful);
	assert_got("deferred M3 to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
}

/* A sender that is no address there may be any in the other log. */
static void test_sender_without_an_address(void **state)
{
	(void)state;
	track_with(0, ANN, 1020, M, "0\t0\t1\t1\to\t0\tV\t-\ts\t/O=ORG/CN=INFO\t-");
	mqw_buffer_clear(&got);
	answered(60, "info@a.test", ANN, GREY);
	assert_false(got_doubtful);
	assert_got("deferred " M " to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
}

/* Stamps have whole seconds: the end of a delivery may be read before the answer that ended it. */
static void test_answer_of_the_same_second(void **state)
{
	(void)state;
	track(0, ANN, 1020, "OLD");
	track(100, ANN, 1020, M);
	track(101, ANN, 1031, M);
	mqw_buffer_clear(&got);
	answered(101, "info@a.test", ANN, GREY);
	answered(101, "info@a.test", ANN, "550 no");
	assert_got("");
	/* The cause of a report that had none until then. */
	track(200, ANN, 1020, M);
	track(201, ANN, 1030, M);
	mqw_buffer_clear(&got);
	answered(201, "info@a.test", ANN, GREY);
	assert_got("bounced " M " to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
	answered(201, "info@a.test", ANN, "550 no");
	assert_got("");
	/* Then it is over, and answers are to whatever else there is. */
	answered(300, "info@a.test", ANN, GREY);
	assert_got("deferred OLD to=" ANN " 450/4.2.0 at=192.0.2.9: " GREY "\n");
}

/* More open deliveries than there is room for: the oldest give way, nothing else. */
static void test_full_tables(void **state)
{
	char recipient[64], id[64];
	int found = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		snprintf(recipient, sizeof(recipient), "u%d@b.test", i);
		snprintf(id, sizeof(id), "I%d", i);
		track(i / 6, recipient, 1020, id);
		mqw_buffer_clear(&got);
		if (i < 1000)
			answered(i / 6, "x@a.test", "nobody@b.test", GREY);
	}
	for (int i = 19000; i < 20000; i++) {
		snprintf(recipient, sizeof(recipient), "u%d@b.test", i);
		mqw_buffer_clear(&got);
		answered(3599, "info@a.test", recipient, GREY);
		found += got.len > 0;
	}
	assert_in_range(found, 900, 1000);
	/* An id that is too long is followed, but not joined. */
	char *longest = malloc(3000);

	memset(longest, 'x', 2999);
	longest[2999] = '\0';
	mqw_buffer_clear(&got);
	track(3, ANN, 1020, longest);
	answered(4, "info@a.test", ANN, GREY);
	assert_null(strstr(mqw_buffer_str(&got), "deferred"));
	free(longest);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_events),
		TEST(test_forms),
		TEST(test_joined),
		TEST(test_refused_at_mail),
		TEST(test_rejected),
		TEST(test_report_the_other_way_round),
		TEST(test_report_to_the_sender),
		TEST(test_report_before_its_answer),
		TEST(test_resumed),
		TEST(test_answer_first),
		TEST(test_tried_again),
		TEST(test_two_messages),
		TEST(test_sender_without_an_address),
		TEST(test_answer_of_the_same_second),
		TEST(test_full_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
