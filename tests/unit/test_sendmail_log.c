/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each line of Sendmail's log with the events that it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "probes/sendmail/sendmail.h"

#define ID "6AP3heg3032427"
#define ID2 "6AP3hoWv000620"
#define BACK "6MP3heg3032427" /* ID, put back */
#define TO ID ": to="
#define FIELDS                                                                                     \
	", delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30183, relay=mx.b. [192.0.2.1], "

/* What came, one event a line. */
static struct mqw_buffer got;
static struct mqw_event last;

static void add(const char *name, struct mqw_slice s)
{
	if (!s.ptr)
		return;
	mqw_buffer_printf(&got, " %s=", name);
	mqw_buffer_add(&got, s);
}

static int emit(void *ctx, const struct mqw_event *e)
{
	(void)ctx;
	last = *e;
	mqw_buffer_printf(&got, "%s%s", got.len ? "\n" : "", mqw_event_name(e->kind));
	if (e->kind == MQW_EVENT_ATTEMPT)
		mqw_buffer_printf(&got, " %s %d", mqw_outcome_name(e->outcome), e->code);
	if (!mqw_slice_eq(e->queue_id, mqw_slice_of(ID)))
		add("id", e->queue_id);
	if (e->kind == MQW_EVENT_ATTEMPT)
		add("to", e->recipient);
	if (e->kind == MQW_EVENT_ARRIVED)
		mqw_buffer_printf(&got, " count=%d", (int)e->count);
	if (e->kind == MQW_EVENT_OPENED || e->kind == MQW_EVENT_ARRIVED)
		add("from", e->sender);
	if (e->kind == MQW_EVENT_ARRIVED && e->message_id.len)
		add("msgid", e->message_id);
	add("other", e->other_id);
	add("reply", e->reply);
	return 0;
}

static int read_line(struct mqw_probe *p, const char *tag, const char *text)
{
	struct mqw_sink sink = {.emit = emit};
	struct mqw_line line = {.time = MQW_HOUR,
		.host = MQW_LIT("mx"),
		.tag = mqw_slice_of(tag),
		.text = mqw_slice_of(text),
		.pid = 42};

	mqw_buffer_clear(&got);
	return mqw_sendmail_line(p, &line, &sink);
}

struct row {
	const char *text, *events;
};

static void check(const struct row *rows, size_t count)
{
	struct mqw_probe *p = mqw_sendmail_log_create(NULL, 0);

	assert_non_null(p);
	for (size_t i = 0; i < count; i++) {
		int result = read_line(p, "sm-mta", rows[i].text);

		if (strcmp(mqw_buffer_str(&got), rows[i].events) != 0)
			fail_msg("%s\ngave\n%s\nnot\n%s", rows[i].text, mqw_buffer_str(&got),
				rows[i].events);
		assert_int_equal(result == MQW_LINE_USED, rows[i].events[0] != '\0');
	}
	mqw_sendmail_log_free(p);
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_tags(void **state)
{
	struct mqw_probe *p = mqw_sendmail_log_create(NULL, 0);

	(void)state;
	assert_true(mqw_sendmail_is_mine(MQW_LIT("sm-msp-queue")));
	assert_true(mqw_sendmail_is_mine(MQW_LIT("sendmail-in")));
	assert_false(mqw_sendmail_is_mine(MQW_LIT("sm-notify")));
	assert_false(mqw_sendmail_is_mine(MQW_LIT("postfix/sendmail")));
	assert_int_equal(read_line(p, "sendmail", ID ": unquarantine"), MQW_LINE_USED);
	assert_int_equal(read_line(p, "dovecot", ID ": unquarantine"), MQW_LINE_FOREIGN);
	assert_int_equal(read_line(p, "sm-mta", "NOQUEUE: connect from x"), MQW_LINE_DULL);
	assert_int_equal(
		read_line(p, "sm-mta", TO "<a@b>, delay=00:00:01, stat"), MQW_LINE_STRANGE);
	assert_int_equal(read_line(p, "sm-mta", TO "<a@b>" FIELDS "stat="), MQW_LINE_STRANGE);
	assert_int_equal(read_line(p, "sm-mta", TO "<a@b>" FIELDS "stat=Defer"), MQW_LINE_STRANGE);
	assert_int_equal(read_line(p, "sm-mta", TO "<a@b" FIELDS "stat=Sent"), MQW_LINE_STRANGE);
	assert_int_equal(read_line(p, "sm-mta", ID ": from=<a@b>, size=x"), MQW_LINE_STRANGE);
	mqw_sendmail_log_free(p);
}

static void test_ids(void **state)
{
	(void)state;
	assert_true(mqw_sendmail_valid_id(MQW_LIT(ID)));
	assert_true(mqw_sendmail_valid_id(MQW_LIT("g9FAbCdE12345")));
	assert_true(mqw_sendmail_valid_id(MQW_LIT("6AP3heg34194304")));
	assert_false(mqw_sendmail_valid_id(MQW_LIT("6AP3heg3032427/")));
	assert_false(mqw_sendmail_valid_id(MQW_LIT("6AP3heg303242.")));
	assert_false(mqw_sendmail_valid_id(MQW_LIT("6AP3heg30324")));
	assert_false(mqw_sendmail_valid_id(MQW_LIT("6AP3heg341943041")));
	assert_false(mqw_sendmail_valid_id(MQW_LIT("")));
}

static void test_recovered_ids(void **state)
{
	struct mqw_probe *p = mqw_sendmail_log_create(NULL, 0);
	char id[MQW_SENDMAIL_ID_MAX + 1];

	(void)state;
	assert_true(mqw_sendmail_recovered_id(MQW_LIT(ID), id));
	assert_string_equal(id, BACK);
	assert_true(mqw_sendmail_original_id(MQW_LIT(BACK), id));
	assert_string_equal(id, ID);
	assert_false(mqw_sendmail_original_id(MQW_LIT(ID), id));
	assert_false(mqw_sendmail_recovered_id(MQW_LIT("6xP3heg3032427"), id));
	assert_false(mqw_sendmail_recovered_id(MQW_LIT("6zP3heg3032427"), id));
	assert_false(mqw_sendmail_original_id(MQW_LIT("6z"), id));
	/* Its first line begins its life. */
	read_line(p, "sendmail", BACK ": to=<a@b>, delay=00:00:01, mailer=esmtp, stat=Sent");
	assert_string_equal(mqw_buffer_str(&got),
		"opened id=" BACK " other=" ID "\nattempt sent 0 id=" BACK " to=a@b");
	read_line(p, "sm-mta", BACK ": done; delay=00:00:01, ntries=1");
	assert_string_equal(mqw_buffer_str(&got), "removed id=" BACK);
	mqw_sendmail_log_free(p);
}

static void test_senders(void **state)
{
	static const struct row rows[] = {
		{ID ": from=<a@b>, size=186, class=0, nrcpts=2, msgid=<x@y>, proto=ESMTP, "
		    "daemon=MTA-v4, relay=localhost [127.0.0.1]",
			"arrived count=2 from=a@b msgid=x@y"},
		{ID ": from=<>, size=186, class=-60, nrcpts=1, proto=ESMTP, relay=h [192.0.2.1]",
			"arrived count=1 from="},
		{ID ": from=alice, size=5, class=0, nrcpts=1, msgid=<x@y>, relay=alice@localhost",
			"arrived count=1 from=alice msgid=x@y"},
		/* The sender chose the text in the quotes. */
		{ID ": from=<\"x>, size=1, class=0, nrcpts=9, \"@b>, size=3, class=0, nrcpts=1, "
		    "relay=h",
			"arrived count=1 from=\"x>, size=1, class=0, nrcpts=9, \"@b"},
		/* A client that went away after MAIL or RCPT, or that was refused. */
		{ID ": from=<a@b>, size=0, class=0, nrcpts=0, proto=ESMTP, relay=h", ""},
		{ID ": from=<a@b>, size=0, class=0, nrcpts=1, proto=ESMTP, relay=h", ""},
	};

	(void)state;
	CHECK(rows);
}

static void test_attempts(void **state)
{
	static const struct row rows[] = {
		{TO "<a@b>" FIELDS "dsn=2.0.0, stat=Sent (Ok: queued as 4F3aB)",
			"attempt sent 0 to=a@b"},
		{TO "<a@b>" FIELDS
		    "dsn=4.7.1, reply=451 4.7.1 Greylisted, stat=Deferred: 451 4.7.1 "
		    "Greylisted",
			"attempt deferred 451 to=a@b reply=451 4.7.1 Greylisted"},
		/* Before 8.16 there is no reply=. */
		{TO "<a@b>" FIELDS "dsn=4.2.0, stat=Deferred: 450-4.2.0 later",
			"attempt deferred 450 to=a@b reply=450-4.2.0 later"},
		{TO "<a@b>" FIELDS "dsn=4.4.1, stat=Deferred: Connection refused by mx.b.",
			"attempt deferred 0 to=a@b reply=Connection refused by mx.b."},
		{TO "<a@b>" FIELDS "dsn=4.4.2, stat=Deferred",
			"attempt deferred 0 to=a@b "
			"reply=Deferred"},
		{TO "<a@b>, delay=00:00:00, mailer=esmtp, pri=30187, dsn=4.4.3, stat=queued",
			"attempt deferred 0 to=a@b reply=queued"},
		/* The class of dsn= is the server's; the word of stat= is what is done. */
		{TO "<a@b>" FIELDS "dsn=5.7.1, reply=451 5.7.1 x, stat=Deferred: 451 5.7.1 x",
			"attempt deferred 451 to=a@b reply=451 5.7.1 x"},
		{TO "<a@b>" FIELDS "dsn=5.1.1, reply=550 5.1.1 unknown, stat=User unknown",
			"attempt bounced 550 to=a@b reply=550 5.1.1 unknown"},
		{TO "<a@b>" FIELDS "dsn=5.1.2, stat=Host unknown (Name server: b: host not found)",
			"attempt bounced 0 to=a@b reply=Host unknown (Name server: b: host not "
			"found)"},
		/* These two are tried again (EX_OSERR, EX_IOERR). */
		{TO "<a@b>" FIELDS "dsn=4.5.0, stat=Operating system error",
			"attempt deferred 0 to=a@b reply=Operating system error"},
		{TO "<a@b>" FIELDS "dsn=4.5.0, stat=I/O error: No space left on device",
			"attempt deferred 0 to=a@b reply=I/O error: No space left on device"},
		/* A failure made out of a temporary answer, and an answer left over from another. */
		{TO "<a@b>" FIELDS "dsn=4.7.1, reply=451 4.7.1 x, stat=Service unavailable",
			"attempt bounced 451 to=a@b reply=451 4.7.1 x"},
		{TO "<a@b>" FIELDS "dsn=5.7.1, reply=451 5.7.1 x, stat=Service unavailable",
			"attempt bounced 451 to=a@b reply=451 5.7.1 x"},
		{TO "<a@b>" FIELDS "dsn=5.1.1, reply=451 4.7.1 x, stat=User unknown",
			"attempt bounced 0 to=a@b reply=User unknown"},
		{TO "<a@b>" FIELDS "dsn=5.1.1, reply=451 no class, stat=User unknown",
			"attempt bounced 0 to=a@b reply=User unknown"},
		{TO "|/usr/bin/filter -x, ctladdr=<list@b> (8/0), delay=1+02:03:04, "
		    "xdelay=00:00:00, "
		    "mailer=prog, pri=3, dsn=2.0.0, stat=Sent",
			"attempt sent 0 to=|/usr/bin/filter -x"},
		{TO "<a@b>, delay=00:00:00, pri=3, stat=discarded", "attempt discarded 0 to=a@b"},
	};

	(void)state;
	CHECK(rows);
}

static void test_hostile(void **state)
{
	static const struct row rows[] = {
		/* The server's words, which stand twice, say ", stat=". */
		{TO "<a@b>" FIELDS "dsn=4.2.0, reply=450 4.2.0 x, stat=Sent (ok), "
		    "stat=Deferred: 450 4.2.0 x, stat=Sent (ok)",
			"attempt deferred 450 to=a@b reply=450 4.2.0 x, stat=Sent (ok)"},
		{TO "<a@b>" FIELDS "dsn=4.2.0, reply=450 4.2.0 x, stat=Deferred: y, "
		    "stat=Deferred: 450 4.2.0 x, stat=Deferred: y",
			"attempt deferred 450 to=a@b reply=450 4.2.0 x, stat=Deferred: y"},
		{TO "<a@b>" FIELDS "dsn=5.2.0, reply=550 5.2.0 x, stat=Deferred: 450 y, stat=User "
		    "unknown",
			"attempt bounced 550 to=a@b reply=550 5.2.0 x, stat=Deferred: 450 y"},
		{TO "<a@b>" FIELDS "dsn=4.2.0, stat=Deferred: 450 4.2.0 x, stat=Sent (ok)",
			"attempt deferred 450 to=a@b reply=450 4.2.0 x, stat=Sent (ok)"},
		/* The recipient and the alias say so. */
		{TO "<\"x>, stat=Sent, y\"@b>" FIELDS "dsn=4.2.0, stat=Deferred: 450 4.2.0 x",
			"attempt deferred 450 to=\"x>, stat=Sent, y\"@b reply=450 4.2.0 x"},
		{TO "<a@b>, ctladdr=<\"x>, stat=Sent, y\"@b> (1/1)" FIELDS "dsn=4.2.0, "
		    "stat=Deferred: 450 4.2.0 x",
			"attempt deferred 450 to=a@b reply=450 4.2.0 x"},
		{TO "<a@b>, ctladdr=<\"cut in the middle...@b> (1/1)" FIELDS "dsn=4.2.0, "
		    "stat=Deferred: 450 4.2.0 x",
			"attempt deferred 450 to=a@b reply=450 4.2.0 x"},
		/* An id in a stranger's answer is none of ours. */
		{TO "<a@b>" FIELDS "dsn=2.0.0, stat=Sent (" ID2 " Message accepted for delivery)",
			"attempt sent 0 to=a@b"},
	};

	(void)state;
	CHECK(rows);
}

static void test_lists(void **state)
{
	static const struct row rows[] = {
		{TO "<a@b>,<c@b>" FIELDS "dsn=2.0.0, stat=Sent",
			"attempt sent 0 to=a@b\nattempt sent 0 to=c@b"},
		{TO "<a@b>,<c@b>, [more]" FIELDS "dsn=2.0.0, stat=Sent",
			"attempt sent 0 to=a@b\nattempt sent 0 to=c@b"},
		{TO "alice,\"Bob, Jr\" <b@c>,\\root" FIELDS "dsn=2.0.0, stat=Sent",
			"attempt sent 0 to=alice\nattempt sent 0 to=b@c\nattempt sent 0 to=\\root"},
		{TO "<\"a,<x>\"@b>,<c@b>" FIELDS "dsn=4.2.0, stat=Deferred: 450 x",
			"attempt deferred 450 to=\"a,<x>\"@b reply=450 x\nattempt deferred 450 "
			"to=c@b reply=450 x"},
		{TO "<a@b>,<c@b>, delay=00:00:00, mailer=esmtp, pri=3, quarantine=spam, "
		    "stat=quarantined",
			"attempt deferred 0 to=a@b reply=quarantined\nattempt deferred 0 to=c@b "
			"reply=quarantined\nheld reply=quarantined"},
		/* What a client could not hand over has no mailer=. */
		{TO "<a@b>,<c@b>, delay=00:00:01, pri=3, dsn=4.7.1, stat=Please try again later",
			"refused"},
	};

	(void)state;
	CHECK(rows);
}

static void test_reports(void **state)
{
	static const struct row rows[] = {
		{ID ": " ID2 ": DSN: User unknown", "ndr other=" ID2 "\nopened id=" ID2 " from="},
		{ID ": " ID2 ": DSN: Cannot send message for 5 days",
			"gave_up other=" ID2 "\nndr other=" ID2 "\nremoved other=" ID2
			"\nopened id=" ID2 " from="},
		{ID ": " ID2 ": DSN: Cannot send message for too long",
			"gave_up other=" ID2 "\nndr other=" ID2 "\nremoved other=" ID2
			"\nopened id=" ID2 " from="},
		/* After a warning the word is another, the report is not. */
		{ID ": " ID2 ": sender notify: Cannot send message within 3 days",
			"gave_up other=" ID2 "\nndr other=" ID2 "\nremoved other=" ID2
			"\nopened id=" ID2 " from="},
		{ID ": " ID2 ": sender notify: Warning: could not send message for past 4 hours",
			"notified other=" ID2 "\nopened id=" ID2 " from="},
		{ID ": " ID2 ": DSN: Return receipt",
			"notified other=" ID2 "\nopened id=" ID2 " from="},
		{ID ": " ID2 ": return to sender: User unknown",
			"ndr other=" ID2 "\nopened id=" ID2 " from="},
		{ID ": " ID2 ": postmaster notify: User unknown",
			"notified other=" ID2 "\nopened id=" ID2 " from="},
		{ID ": " ID2 ": clone: owner=owner-list", "split other=" ID2},
		{ID ": split: maxrcpts=2, rcpts=5, count=2, ids=" ID2 "; 6AP3hoWw000620",
			"split other=" ID2 "\nsplit other=6AP3hoWw000620"},
		{ID ": split: count=1, id=" ID2, "split other=" ID2},
	};

	(void)state;
	CHECK(rows);
}

static void test_words(void **state)
{
	static const struct row rows[] = {
		{ID ": done; delay=00:00:03, ntries=2", "removed"},
		{ID ": discarded", "discarded"},
		{ID ": quarantine=by hand", "held"},
		{ID ": unquarantine", "released"},
		{ID ": unquarantined", ""},
		{ID ": collect: premature EOM: Connection reset by h", "refused"},
		{ID ": Milter: data, reject=451 4.7.1 later", "refused"},
		{ID ": Milter: to=<a@b>, reject=451 4.7.1 later", ""},
		{ID ": ruleset=check_rcpt, arg1=<a@b>, relay=h, reject=550 5.7.1 no", ""},
		{ID ": Losing ./qf" ID ": bogus file uid/gid in mqueue",
			"file_lost reply=Losing ./qf" ID ": bogus file uid/gid in mqueue"},
		{ID ": SYSERR(root): readqf: cannot open ./df" ID ": No such file or directory",
			"file_lost reply=readqf: cannot open ./df" ID
			": No such file or directory"},
		{ID ": SYSERR(root): readqf: qf" ID ": incomplete queue file read",
			"file_lost reply=readqf: qf" ID ": incomplete queue file read"},
		{ID ": SYSERR(root): readqf: cannot open ./df" ID2 ": No such file or directory",
			""},
		{ID ": SYSERR(root): hash map \"Alias0\": unsafe map file", ""},
	};

	(void)state;
	CHECK(rows);
}

/* The client program hands on to the daemon of the same host, and names it by its answer. */
static void test_hand_off(void **state)
{
	static const char *const hops[] = {"relay.example.com"};
	struct mqw_probe *p = mqw_sendmail_log_create(hops, 1);
	static const struct {
		const char *relay;
		bool here;
	} rows[] = {
		{"[127.0.0.1] [127.0.0.1]", true},
		{"localhost.localdomain. [127.0.0.1]", true},
		{"[IPv6:::1] [IPv6:::1]", true},
		{"mx. [192.0.2.9]", true},
		{"relay.example.com. [192.0.2.7]", true},
		{"mx.b. [192.0.2.1]", false},
		{"[127.0.0.1].b. [192.0.2.1]", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[300];

		snprintf(text, sizeof(text),
			TO "root, delay=00:00:00, xdelay=00:00:00, mailer=relay, pri=3, relay=%s, "
			   "dsn=2.0.0, stat=Sent (" ID2 " Message accepted for delivery)",
			rows[i].relay);
		assert_int_equal(read_line(p, "sm-msp", text), MQW_LINE_USED);
		assert_int_equal(
			last.outcome, rows[i].here ? MQW_OUTCOME_HANDED_OFF : MQW_OUTCOME_SENT);
		assert_string_equal(mqw_buffer_str(&got),
			rows[i].here ? "attempt handed_off 0 to=root other=" ID2
				     : "attempt sent 0 to=root");
	}
	mqw_sendmail_log_free(p);
}

static void test_delay(void **state)
{
	struct mqw_probe *p = mqw_sendmail_log_create(NULL, 0);

	(void)state;
	read_line(p, "sm-mta", TO "<a@b>, delay=1+02:03:04, mailer=esmtp, stat=Sent");
	assert_true(last.delay == MQW_DAY + 2 * MQW_HOUR + 3 * MQW_MINUTE + 4 * MQW_SECOND);
	read_line(p, "sm-mta", TO "<a@b>, delay=00:01, mailer=esmtp, stat=Sent");
	assert_true(last.delay == MQW_TIME_NONE);
	read_line(p, "sm-mta", TO "<a@b>, delay=99999999999+00:00:01, mailer=esmtp, stat=Sent");
	assert_true(last.delay == MQW_TIME_NONE);
	mqw_sendmail_log_free(p);
}

/* A line may end anywhere, and hold anything. */
static void test_cut(void **state)
{
	static const char line[] = TO "<a@b>,<c@b>, [more], ctladdr=<d@e> (1/1)" FIELDS
				      "dsn=4.2.0, reply=450 4.2.0 x, stat=Deferred: 450 4.2.0 x";
	struct mqw_probe *p = mqw_sendmail_log_create(NULL, 0);
	struct mqw_sink sink = {.emit = emit};

	(void)state;
	for (size_t n = 0; n < sizeof(line); n++) {
		/* A block of its own, so that a read beyond its end is seen. */
		char *copy = malloc(n ? n : 1);
		struct mqw_line l = {.tag = MQW_LIT("sm-mta"), .text = mqw_slice(copy, n)};

		assert_non_null(copy);
		for (int c = -1; c < (int)n; c++) {
			memcpy(copy, line, n);
			if (c >= 0)
				copy[c] = "\0,<\"\\= \377"[c % 8];
			mqw_buffer_clear(&got);
			assert_true(mqw_sendmail_line(p, &l, &sink) >= 0);
		}
		free(copy);
	}
	mqw_sendmail_log_free(p);
}

static int teardown(void **state)
{
	(void)state;
	mqw_buffer_done(&got);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_recovered_ids),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_hand_off),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
