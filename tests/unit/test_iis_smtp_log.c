/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of IIS's SMTP service: sessions out of commands and replies, in its three forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "probes/iis_smtp/iis_smtp.h"
#include "windows_fixture.h"

#define FIELDS "#Fields: date time c-ip cs-username s-sitename s-ip s-port cs-method cs-uri-query"
#define ANN "ann@b.test"
#define BEN "ben@b.test"
#define ID(recipient) "SMTPSVC1/info@a.test/1722/" recipient

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	begin(&mqw_probe_iis_smtp);
	say(FIELDS);
	return 0;
}

static int line(int seconds, const char *ip, const char *who, const char *verb, const char *query)
{
	char raw[2048];

	snprintf(raw, sizeof(raw),
		"2026-05-16 12:%02d:%02d %s OutboundConnection%s SMTPSVC1 - 25 %s %s", seconds / 60,
		seconds % 60, ip, who, verb, query);
	return say(raw);
}

static int command(const char *verb, const char *argument)
{
	return line(0, "192.0.2.9", "Command", verb, argument);
}

static int reply(const char *text)
{
	return line(0, "192.0.2.9", "Response", "-", text);
}

static void begin_mail(void)
{
	command("EHLO", "gw.a.test");
	reply("250-mx.b.test");
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	reply("250+ok");
}

#define QUEUED(recipient) "queued " ID(recipient) " from=info@a.test\n"
#define DEFERRED(recipient, rest)                                                                  \
	QUEUED(recipient) "deferred " ID(recipient) " to=" recipient " " rest "\n"

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(reply("220+mx.b.test+ESMTP"), MQW_LINE_USED);
	begin_mail();
	command("RCPT", "TO:<" ANN ">");
	assert_got("");
	reply("450+4.7.1+Greylisted,+see+a+plus");
	assert_got(DEFERRED(ANN, "450/4.7.1 at=192.0.2.9: 450 4.7.1 Greylisted, see a plus"));
	assert_int_equal(got_time, NOON(0));
	assert_false(got_doubtful);
	command("RCPT", "TO:<" BEN ">");
	reply("550+5.1.1+no");
	assert_got(QUEUED(BEN) "bounced " ID(BEN) " to=" BEN " 550/5.1.1 at=192.0.2.9: 550 5.1.1 "
						  "no\nremoved " ID(BEN) "\n");
	command("QUIT", "-");
	reply("221+bye");
	assert_got("");
}

static void test_sent(void **state)
{
	(void)state;
	begin_mail();
	/* Along with each other: replies come in their order. */
	command("RCPT", "TO:<" ANN ">");
	command("RCPT", "TO:<" BEN ">");
	command("DATA", "-");
	reply("250+ok");
	reply("451+later");
	assert_got(DEFERRED(BEN, "451 at=192.0.2.9: 451 later"));
	reply("354+go");
	assert_got("");
	reply("250+2.6.0+queued");
	assert_got(QUEUED(ANN) "sent " ID(ANN) " to=" ANN
					       " 250/2.6.0 at=192.0.2.9\nremoved " ID(ANN) "\n");
	/* Another transaction of the session, given up at the mail itself; and in chunks. */
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	reply("250+ok");
	command("RCPT", "TO:<" ANN ">");
	reply("250+ok");
	command("DATA", "-");
	reply("354+go");
	reply("452+full");
	assert_got(DEFERRED(ANN, "452 at=192.0.2.9: 452 full"));
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	reply("250+ok");
	command("RCPT", "TO:<" ANN ">");
	reply("250+ok");
	command("BDAT", "1000");
	reply("250+1000+bytes");
	assert_got("");
	command("BDAT", "722+LAST");
	reply("250+queued");
	assert_got(
		QUEUED(ANN) "sent " ID(ANN) " to=" ANN " 250 at=192.0.2.9\nremoved " ID(ANN) "\n");
}

/* Refused with MAIL, and recipients sent along with it; the whole connection by 421. */
static void test_refused_as_a_whole(void **state)
{
	(void)state;
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	command("RCPT", "TO:<" ANN ">");
	reply("450+sender+unknown+yet");
	reply("503+need+MAIL");
	assert_got(DEFERRED(ANN, "450 at=192.0.2.9: 450 sender unknown yet"));
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	reply("450+sender+unknown+yet");
	assert_got("");
	begin_mail();
	command("RCPT", "TO:<" ANN ">");
	reply("250+ok");
	command("RCPT", "TO:<" BEN ">");
	reply("421+4.7.0+closing");
	assert_got(DEFERRED(ANN, "421/4.7.0 at=192.0.2.9: 421 4.7.0 closing")
			DEFERRED(BEN, "421/4.7.0 at=192.0.2.9: 421 4.7.0 closing"));
}

/* A server that does not ask for the size is not told it: it is the same mail all the same. */
static void test_size_not_told(void **state)
{
	static const char *const mail[] = {
		"FROM:<info@a.test>+SIZE=1722", "FROM:<info@a.test>", "FROM:<info@a.test>+SIZE=9"};
	/* Which of them, what is answered, and the id that it goes by. */
	static const struct {
		int mail;
		const char *reply, *id;
	} rows[] = {
		{0, "450+later", "1722/"},
		{1, "450+later", "1722/"},
		{1, "550+no", "1722/"},
		/* That is over: the next one is another mail. */
		{1, "450+later", ""},
		{0, "450+later", ""},
		{0, "550+no", ""},
		/* Two sizes are two mails. */
		{0, "450+later", "1722/"},
		{2, "450+later", "9/"},
		{1, "550+no", "9/"},
		{0, "450+later", "1722/"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char want[128];

		command("MAIL", mail[rows[i].mail]);
		reply("250+ok");
		command("RCPT", "TO:<" ANN ">");
		reply(rows[i].reply);
		snprintf(want, sizeof(want), "queued SMTPSVC1/info@a.test/%s" ANN " from",
			rows[i].id);
		if (strncmp(mqw_buffer_str(&got), want, strlen(want)) != 0)
			fail_msg("row %zu: %s, not %s", i, mqw_buffer_str(&got), want);
		mqw_buffer_clear(&got);
	}
}

/* Sessions with one host cannot be told apart where they run at the same time; with two they can. */
static void test_interleaved(void **state)
{
	(void)state;
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	line(0, "192.0.2.10", "Command", "MAIL", "FROM:<info@a.test>+SIZE=1722");
	line(0, "192.0.2.10", "Response", "-", "250+ok");
	line(0, "192.0.2.10", "Command", "RCPT", "TO:<" BEN ">");
	line(0, "192.0.2.10", "Response", "-", "450+later");
	assert_false(got_doubtful);
	assert_got(DEFERRED(BEN, "450 at=192.0.2.10: 450 later"));
	command("MAIL", "FROM:<mia@a.test>+SIZE=10");
	reply("250+ok");
	reply("250+ok");
	command("RCPT", "TO:<" ANN ">");
	reply("450+later");
	assert_true(got_doubtful);
	mqw_buffer_clear(&got);
	/* That is over when both are. */
	begin_mail();
	command("RCPT", "TO:<" ANN ">");
	reply("450+later");
	assert_false(got_doubtful);
	mqw_buffer_clear(&got);
	/* Or when one has been silent for long. */
	command("RCPT", "TO:<" BEN ">");
	line(700, "192.0.2.9", "Command", "MAIL", "FROM:<info@a.test>+SIZE=1722");
	line(700, "192.0.2.9", "Response", "-", "250+ok");
	line(700, "192.0.2.9", "Command", "RCPT", "TO:<" ANN ">");
	line(700, "192.0.2.9", "Response", "-", "450+later");
	assert_false(got_doubtful);
}

static void one_mail(bool doubtful)
{
	command("MAIL", "FROM:<info@a.test>+SIZE=1722");
	reply("250+ok");
	command("RCPT", "TO:<" ANN ">");
	mqw_buffer_clear(&got);
	reply("450+later");
	assert_got(DEFERRED(ANN, "450 at=192.0.2.9: 450 later"));
	assert_int_equal(got_doubtful, doubtful);
}

/* Another connection shows by its greeting, though nothing waits for an answer just then. */
static void test_connections(void **state)
{
	(void)state;
	command("EHLO", "gw.a.test");
	reply("220+mx.b.test");
	command("EHLO", "gw.a.test");
	reply("250-mx.b.test");
	one_mail(true);
	command("QUIT", "-");
	/* One has gone; what the other does now is its own. */
	one_mail(false);
	command("QUIT", "-");
	/* Greeted again within a connection: when TLS has begun, when EHLO was refused. */
	command("EHLO", "gw.a.test");
	reply("250-mx.b.test");
	command("STARTTLS", "-");
	reply("220+ready");
	command("EHLO", "gw.a.test");
	reply("250-mx.b.test");
	one_mail(false);
	command("QUIT", "-");
	command("EHLO", "gw.a.test");
	reply("500+what");
	command("HELO", "gw.a.test");
	reply("250+mx.b.test");
	one_mail(false);
	/* Without leave, as when it is cut: known by 421, and by a minute of silence. */
	command("NOOP", "-");
	reply("421+closing");
	command("EHLO", "gw.a.test");
	reply("250+mx.b.test");
	one_mail(false);
	line(61, "192.0.2.9", "Command", "EHLO", "gw.a.test");
	line(61, "192.0.2.9", "Response", "-", "250+mx.b.test");
	one_mail(false);
}

/* A client's name is what it says: its lines are not of mail that goes out. */
static void test_forged(void **state)
{
	static const char *const rows[] = {
		"2026-05-16 12:00:00 203.0.113.9 OutboundConnectionCommand SMTPSVC1 198.51.100.2 0 "
		"MAIL +FROM:<a@b.test>",
		"2026-05-16 12:00:00 203.0.113.9 OutboundConnectionCommand SMTPSVC1 - 25 RCPT "
		"+TO:<a@b.test>",
		"2026-05-16 12:00:00 203.0.113.9 OutboundConnectionResponse SMTPSVC1 - 25 xxxx "
		"450+no",
		"2026-05-16 12:00:00 203.0.113.9 OutboundConnectionResponse SMTPSVC1 - 0 - 450+no",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(say(rows[i]), MQW_LINE_DULL);
	assert_got("");
	/* Another service of IIS logs in the same form. */
	assert_int_equal(say("2026-05-16 12:00:00 203.0.113.9 - W3SVC1 198.51.100.2 80 GET -"),
		MQW_LINE_FOREIGN);
}

static void test_other_forms(void **state)
{
	static const char *const ncsa[] = {
		"192.0.2.9 - OutboundConnectionCommand [16/May/2026:14:00:00 +0200] "
		"\"MAIL -?FROM:<info@a.test> SMTP\" 0 6",
		"192.0.2.9 - OutboundConnectionResponse [16/May/2026:14:00:00 +0200] "
		"\"- -?250+ok SMTP\" 0 6",
		"192.0.2.9 - OutboundConnectionCommand [16/May/2026:14:00:00 +0200] "
		"\"RCPT -?TO:<" ANN "> SMTP\" 0 6",
		"192.0.2.9 - OutboundConnectionResponse [16/May/2026:14:00:00 +0200] "
		"\"- -?450+say+\"please\"+later SMTP\" 0 6"};
	static const char *const iis[] = {
		"192.0.2.9, OutboundConnectionCommand, 5/16/2026, 12:00:00, SMTPSVC2, GW, -, 0, 0, "
		"0, 0, 0, MAIL, -, FROM:<info@a.test>,",
		"192.0.2.9, OutboundConnectionResponse, 5/16/2026, 12:00:00, SMTPSVC2, GW, -, 0, "
		"0, 0, 0, 0, -, -, 250+ok,",
		"192.0.2.9, OutboundConnectionCommand, 5/16/2026, 12:00:00, SMTPSVC2, GW, -, 0, 0, "
		"0, 0, 0, RCPT, -, TO:<" ANN ">,",
		"192.0.2.9, OutboundConnectionResponse, 5/16/2026, 12:00:00, SMTPSVC2, GW, -, 0, "
		"0, 0, 0, 0, -, -, 450+later,+please,"};

	(void)state;
	next_file();
	for (size_t i = 0; i < 4; i++)
		say(ncsa[i]);
	assert_int_equal(got_time, NOON(0));
	assert_got("queued SMTPSVC/info@a.test/" ANN " from=info@a.test\ndeferred "
		   "SMTPSVC/info@a.test/" ANN " to=" ANN
		   " 450 at=192.0.2.9: 450 say \"please\" later\n");
	next_file();
	for (size_t i = 0; i < 4; i++)
		say(iis[i]);
	assert_int_equal(got_time, NOON(0));
	assert_got("queued SMTPSVC2/info@a.test/" ANN " from=info@a.test\ndeferred "
		   "SMTPSVC2/info@a.test/" ANN " to=" ANN " 450 at=192.0.2.9: 450 later, please\n");
}

/* More of everything than there is room for: then nothing is said, until another one begins. */
static void test_limits(void **state)
{
	static char text[1500];

	(void)state;
	begin_mail();
	for (int i = 0; i < 300; i++)
		command("RCPT", "TO:<" ANN ">");
	for (int i = 0; i < 300; i++)
		reply("450+later");
	mqw_buffer_clear(&got);
	command("NOOP", "-");
	for (int i = 0; i < 300; i++)
		command("NOOP", "-");
	begin_mail();
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "TO:<", 4);
	text[sizeof(text) - 2] = '>';
	for (int i = 0; i < 20; i++)
		command("RCPT", text);
	reply("450+later");
	command("RCPT", "TO:no-path");
	reply("450+later");
	mqw_buffer_clear(&got);
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		line(0, text, "Command", "MAIL", "FROM:<info@a.test>");
	}
	line(700, "192.0.2.9", "Command", "EHLO", "gw.a.test");
	line(700, "192.0.2.9", "Response", "-", "250+mx");
	line(700, "192.0.2.9", "Command", "MAIL", "FROM:<info@a.test>+SIZE=1722");
	line(700, "192.0.2.9", "Response", "-", "250+ok");
	line(700, "192.0.2.9", "Command", "RCPT", "TO:<" ANN ">");
	line(700, "192.0.2.9", "Response", "-", "450+later");
	assert_got(DEFERRED(ANN, "450 at=192.0.2.9: 450 later"));
}

static void test_recognised(void **state)
{
	const struct mqw_probe_ops *mta = NULL;
	struct mqw_line l = {0};

	(void)state;
	assert_int_equal(
		mqw_probe_parse(&mta, &file,
			MQW_LIT("2026-05-16 12:00:00 203.0.113.9 - W3SVC1 198.51.100.2 80 GET -"),
			&l),
		MQW_FORM_POSSIBLE);
	assert_null(mta);
	/* It may be Exchange's: only a line of message tracking, in another file, tells. */
	assert_int_equal(
		mqw_probe_parse(&mta, &file,
			MQW_LIT("2026-05-16 12:00:00 203.0.113.9 x SMTPSVC1 198.51.100.2 0 "
				"MAIL +FROM:<>"),
			&l),
		MQW_FORM_LIKELY);
	assert_null(mta);
	assert_true(mqw_iis_smtp_is_mine(l.tag));
	next_file();
	assert_int_equal(mqw_probe_parse(&mta, &file, MQW_LIT("2026-5-16\t12:00:00 GMT\tx"), &l),
		MQW_FORM_CERTAIN);
	assert_string_equal(mta->name, "exchange");
	assert_ptr_equal(mqw_probe_find(MQW_LIT("iis-smtp")), &mqw_probe_iis_smtp);
	assert_ptr_equal(mqw_probe_find(MQW_LIT("iis_smtp")), &mqw_probe_iis_smtp);
	assert_null(mqw_probe_find(MQW_LIT("iis")));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_refused),
		TEST(test_sent),
		TEST(test_refused_as_a_whole),
		TEST(test_size_not_told),
		TEST(test_interleaved),
		TEST(test_connections),
		TEST(test_forged),
		TEST(test_other_forms),
		TEST(test_limits),
		TEST(test_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
