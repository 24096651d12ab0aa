/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each form of line of Exim's log with the event that it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "log_fixture.h"
#include "probes/exim/exim.h"
#include "probes/syslog/header.h"

#define OLD "1xW3sp-0006bQ-0U"
#define NEW "1xW3sp-000000006bQ-00A7"
#define BACK "1xW3sp-z006bQ-0U" /* OLD, put back */
/* Seconds of these ids: base 62 "1xW3sp". */
#define ID_TIME (1795578083 * MQW_SECOND)

static struct mqw_syslog_reader stamps;

/* A line of the main log's own form, stamp and all. */
static int read_raw(struct mqw_probe *p, const char *raw, struct got *g)
{
	struct mqw_sink sink = {.emit = emit, .ctx = g};
	struct mqw_line line = {0};

	memset(g, 0, sizeof(*g));
	assert_int_not_equal(mqw_exim_own_form(&stamps, mqw_slice_of(raw), &line), MQW_FORM_NONE);
	return mqw_exim_line(p, &line, &sink);
}

static int read_line(struct mqw_probe *p, const char *text, struct got *g)
{
	char raw[2048];

	snprintf(raw, sizeof(raw), "2026-11-25 03:42:00 %s", text);
	return read_raw(p, raw, g);
}

static int read_syslog(struct mqw_probe *p, uint32_t pid, const char *text, struct got *g)
{
	struct mqw_sink sink = {.emit = emit, .ctx = g};
	struct mqw_line line = {.time = MQW_HOUR,
		.host = MQW_LIT("mx"),
		.tag = MQW_LIT("exim"),
		.text = mqw_slice_of(text),
		.pid = pid};

	memset(g, 0, sizeof(*g));
	return mqw_exim_line(p, &line, &sink);
}

static int setup(void **state)
{
	setenv("TZ", "UTC", 1);
	tzset();
	mqw_syslog_reader_init(&stamps, 0, MQW_TIME_NONE);
	*state = mqw_exim_log_create(NULL, 0);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	mqw_exim_log_free(*state);
	return 0;
}

static void test_forms(void **state)
{
	static const struct {
		const char *raw;
		enum mqw_form form;
		int64_t time;
		uint32_t pid;
		const char *text;
	} rows[] = {
		{"2026-11-25 03:41:23 " OLD " Completed", MQW_FORM_CERTAIN, ID_TIME, 0,
			OLD " Completed"},
		{"2026-11-25 03:41:23.500 " NEW " <= a@b U=x P=local S=1", MQW_FORM_CERTAIN,
			ID_TIME + MQW_SECOND / 2, 0, NEW " <= a@b U=x P=local S=1"},
		{"2026-11-25 04:41:23 +0100 [77] " OLD " == a@b: x", MQW_FORM_CERTAIN, ID_TIME, 77,
			OLD " == a@b: x"},
		{"2026-11-25 02:41:23.250 -0100 Start queue run: pid=5", MQW_FORM_CERTAIN,
			ID_TIME + MQW_SECOND / 4, 0, "Start queue run: pid=5"},
		{"2026-11-25 03:41:23 [77] no MAIL in SMTP connection from x", MQW_FORM_POSSIBLE,
			ID_TIME, 77, "no MAIL in SMTP connection from x"},
		{"2026-11-25 03:41:23 " OLD " H=x [192.0.2.1] Connection refused",
			MQW_FORM_POSSIBLE, ID_TIME, 0, OLD " H=x [192.0.2.1] Connection refused"},
		/* With a syslog header, and no stamp at all. */
		{"2026-11-25 03:41:23 mx exim[77]: " OLD " Completed", MQW_FORM_NONE, 0, 0, ""},
		{"2026-11-25T03:41:23+00:00 mx exim[77]: " OLD " Completed", MQW_FORM_NONE, 0, 0,
			""},
		{"Nov 25 03:41:23 mx exim[77]: " OLD " Completed", MQW_FORM_NONE, 0, 0, ""},
		{"2026-11-25 03:41", MQW_FORM_NONE, 0, 0, ""},
		{"", MQW_FORM_NONE, 0, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_line line = {0};

		if (mqw_exim_own_form(&stamps, mqw_slice_of(rows[i].raw), &line) != rows[i].form)
			fail_msg("form of \"%s\"", rows[i].raw);
		if (rows[i].form == MQW_FORM_NONE)
			continue;
		assert_int_equal(line.time, rows[i].time);
		assert_int_equal(line.pid, rows[i].pid);
		assert_true(mqw_slice_eq(line.text, mqw_slice_of(rows[i].text)));
		assert_int_equal(line.host.len, 0);
	}
}

static void test_ids(void **state)
{
	static const char *const bad[] = {"", "1xW3sp-0006bQ-0", "1xW3sp-0006bQ-0U1",
		"1xW3sp-0006bQ_0U", "1xW3s--0006bQ-0U", "1xW3sp-00000006bQ-00A7",
		"1xW3sp-000000006bQ-00A", "../../-0006bQ-0U"};
	char id[MQW_EXIM_ID_MAX + 1];

	(void)state;
	assert_true(mqw_exim_valid_id(MQW_LIT(OLD)));
	assert_true(mqw_exim_valid_id(MQW_LIT(NEW)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mqw_exim_valid_id(mqw_slice_of(bad[i])))
			fail_msg("\"%s\" is taken for an id", bad[i]);
	assert_int_equal(mqw_exim_id_time(MQW_LIT(OLD)), ID_TIME);
	assert_true(mqw_exim_recovered_id(MQW_LIT(OLD), id));
	assert_string_equal(id, BACK);
	assert_true(mqw_exim_original_id(mqw_slice_of(id), id));
	assert_string_equal(id, OLD);
	assert_true(mqw_exim_recovered_id(MQW_LIT(NEW), id));
	assert_string_equal(id, "1xW3sp-z00000006bQ-00A7");
	/* Once only, and not where the digits are taken. */
	assert_false(mqw_exim_recovered_id(MQW_LIT(BACK), id));
	assert_false(mqw_exim_recovered_id(MQW_LIT("1xW3sp-DueMxt-0U"), id));
	assert_false(mqw_exim_original_id(MQW_LIT("1xW3sp-zueMxt-0U"), id));
}

static void test_sayings(void **state)
{
	static const struct {
		const char *text;
		enum mqw_event_kind kind;
		bool forced;
	} rows[] = {
		{OLD " Completed", MQW_EVENT_REMOVED, false},
		{NEW " Completed QT=3s", MQW_EVENT_REMOVED, false},
		{OLD " removed by root", MQW_EVENT_ADMIN_REMOVED, false},
		{OLD " cancelled by root", MQW_EVENT_GAVE_UP, true},
		{OLD " cancelled by timeout_frozen_after", MQW_EVENT_DISCARDED, false},
		{OLD " cancelled by system filter: no", MQW_EVENT_DISCARDED, false},
		{OLD " Frozen", MQW_EVENT_HELD, false},
		{OLD " Frozen (delivery error message)", MQW_EVENT_HELD, false},
		{OLD " *** Frozen (message created with -f <>)", MQW_EVENT_HELD, false},
		{OLD " frozen by root", MQW_EVENT_HELD, false},
		{OLD " Message is frozen", MQW_EVENT_HELD, false},
		{OLD " moved from input, msglog to Finput, Fmsglog", MQW_EVENT_HELD, false},
		{OLD " unfrozen by root", MQW_EVENT_RELEASED, false},
		{OLD " Unfrozen by forced delivery", MQW_EVENT_RELEASED, false},
		{OLD " => blackhole (DATA ACL discarded recipients): why", MQW_EVENT_DISCARDED,
			false},
		{OLD " => discarded (system filter)", MQW_EVENT_DISCARDED, false},
		{OLD " Spool file " OLD "-D not found", MQW_EVENT_FILE_LOST, false},
		{OLD " Format error in spool file " OLD "-H: size=200", MQW_EVENT_FILE_LOST, false},
		{OLD " Message removed because older than 4d", MQW_EVENT_FILE_LOST, false},
	};
	static const char *const dull[] = {"Start queue run: pid=1",
		OLD " Spool file for " OLD " is locked (another process is handling this message)",
		OLD " H=x [192.0.2.1]: SMTP error from remote mail server after end of data: 451 x",
		OLD " no immediate delivery: queued by ACL", OLD " recipient <a@b> added by root",
		OLD " moved from input, msglog to (slow) input, msglog", OLD " Frozenish",
		OLD "Completed", "rejected RCPT <" OLD " Completed>"};
	struct got g;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_line(*state, rows[i].text, &g), MQW_LINE_USED);
		if (g.count != 1 || g.e.kind != rows[i].kind || g.e.forced != rows[i].forced)
			fail_msg("\"%s\"", rows[i].text);
		assert_true(g.e.whole_log);
	}
	for (size_t i = 0; i < sizeof(dull) / sizeof(dull[0]); i++) {
		if (read_line(*state, dull[i], &g) != MQW_LINE_DULL || g.count)
			fail_msg("\"%s\" is not dull", dull[i]);
	}
}

static void test_attempts(void **state)
{
	static const struct {
		const char *text;
		enum mqw_outcome outcome;
		int code;
		const char *recipient, *status, *relay, *reply;
	} rows[] = {
		{"=> ok1@r.test R=dns T=remote_smtp H=mail.r.test [192.0.2.1]:26 C=\"250 2.0.0 Ok: "
		 "queued as X\"",
			MQW_OUTCOME_SENT, 250, "ok1@r.test", "2.0.0", "mail.r.test [192.0.2.1]:26",
			""},
		{"-> ok1@r.test R=dns T=remote_smtp H=(x) [2001:db8::1] C=\"250-a\\n250 b\"",
			MQW_OUTCOME_SENT, 250, "ok1@r.test", "", "(x) [2001:db8::1]", ""},
		{">> ok1@r.test R=dns T=t H=h [192.0.2.1] C=\"250 ok\"", MQW_OUTCOME_SENT, 250,
			"ok1@r.test", "", "h [192.0.2.1]", ""},
		{"=> q@x.test Q=slow R=dns T=t H=h [192.0.2.1]", MQW_OUTCOME_SENT, 0, "q@x.test",
			"", "h [192.0.2.1]", ""},
		{"*> ok1@r.test R=dns T=t", MQW_OUTCOME_DISCARDED, 0, "ok1@r.test", "", "", ""},
		{"=> alice <alice@x.test> R=local T=local_delivery", MQW_OUTCOME_SENT, 0,
			"alice@x.test", "", "", ""},
		{"=> b@y.test (list@x.test) <all@x.test> F=<s@x.test> R=dns T=t H=h [192.0.2.1]",
			MQW_OUTCOME_SENT, 0, "all@x.test", "", "h [192.0.2.1]", ""},
		{"=> |/bin/sh -c 'echo \"R=x: y\"' <p@x.test> R=pipe T=address_pipe",
			MQW_OUTCOME_SENT, 0, "p@x.test", "", "", ""},
		{"=> \"odd R=x: >\"@x.test R=dns T=t H=h [192.0.2.1]", MQW_OUTCOME_SENT, 0,
			"\"odd R=x: >\"@x.test", "", "h [192.0.2.1]", ""},
		{"=> :blackhole: <x@void.test> R=blackhole", MQW_OUTCOME_DISCARDED, 0,
			"x@void.test", "", "", ""},
		{"=> /dev/null <x@void.test> R=r T=t", MQW_OUTCOME_DISCARDED, 0, "x@void.test", "",
			"", ""},
		{"=> blackhole <blackhole@x.test> R=local T=t", MQW_OUTCOME_SENT, 0,
			"blackhole@x.test", "", "", ""},
		{"== s@r.test R=dns T=remote_smtp defer (-44) H=m.r.test [192.0.2.1]: SMTP error "
		 "from remote mail server after RCPT TO:<s@r.test>: 450 4.2.0 <s@r.test>: later",
			MQW_OUTCOME_DEFERRED, 450, "s@r.test", "4.2.0", "m.r.test [192.0.2.1]",
			"450 4.2.0 <s@r.test>: later"},
		/* The server's words pretend to be Exim's. */
		{"== s@r.test R=dns T=t defer (-44) H=m [192.0.2.1]: SMTP error from remote mail "
		 "server after RCPT TO:<s@r.test>: 451 SMTP error from remote mail server after "
		 "DATA: 550 no H=evil [192.0.2.9] C=\"250",
			MQW_OUTCOME_DEFERRED, 451, "s@r.test", "", "m [192.0.2.1]",
			"451 SMTP error from remote mail server after DATA: 550 no H=evil "
			"[192.0.2.9] C=\"250"},
		/* So does an address. */
		{"== \"x: 550 y\"@r.test R=dns T=t defer (-44) H=m [192.0.2.1]: SMTP error from "
		 "remote mail server after RCPT TO:<\"x: 550 y\"@r.test>: 450 no",
			MQW_OUTCOME_DEFERRED, 450, "\"x: 550 y\"@r.test", "", "m [192.0.2.1]",
			"450 no"},
		{"== x@r.test R=dns T=t defer (-45) H=m [192.0.2.1]: SMTP error from remote mail "
		 "server after pipelined MAIL FROM:<a@b> SIZE=9: 421-a\\n421 b\\351",
			MQW_OUTCOME_DEFERRED, 421, "x@r.test", "", "m [192.0.2.1]",
			"421-a\\n421 b\\351"},
		{"== x@r.test R=dns T=t defer (-44): SMTP error from remote mail server after RCPT "
		 "TO:<x@r.test>: host m [192.0.2.1]: 451 no",
			MQW_OUTCOME_DEFERRED, 451, "x@r.test", "", "", "451 no"},
		{"== x@r.test R=l T=lmtp defer (0) H=m [192.0.2.1]: LMTP error after DATA: 450 T",
			MQW_OUTCOME_DEFERRED, 450, "x@r.test", "", "m [192.0.2.1]", "450 T"},
		{"== x@r.test R=dns T=t defer (110): Connection timed out H=m [192.0.2.1]: SMTP "
		 "timeout after initial connection",
			MQW_OUTCOME_DEFERRED, 0, "x@r.test", "", "m [192.0.2.1]",
			"Connection timed out H=m [192.0.2.1]: SMTP timeout after initial "
			"connection"},
		{"== x@r.test R=dns defer (-1): host lookup did not complete", MQW_OUTCOME_DEFERRED,
			0, "x@r.test", "", "", "host lookup did not complete"},
		{"== x@r.test routing defer (-52): retry time not reached", MQW_OUTCOME_SKIPPED, 0,
			"x@r.test", "", "", "retry time not reached"},
		{"== x@r.test R=dns T=t defer (-54): retry time not reached for any host for 'r'",
			MQW_OUTCOME_SKIPPED, 0, "x@r.test", "", "",
			"retry time not reached for any host for 'r'"},
		{"== x@r.test defer (-23): domain is held", MQW_OUTCOME_SKIPPED, 0, "x@r.test", "",
			"", "domain is held"},
		{"** x@r.test: retry timeout exceeded", MQW_OUTCOME_EXPIRED, 0, "x@r.test", "", "",
			"retry timeout exceeded"},
		{"** c@r.test <x@r.test>: retry timeout exceeded", MQW_OUTCOME_EXPIRED, 0,
			"x@r.test", "", "", "retry timeout exceeded"},
		{"** x@r.test R=r T=t: all hosts for 'r.test' have been failing for a long time "
		 "(and retry time not reached)",
			MQW_OUTCOME_EXPIRED, 0, "x@r.test", "", "",
			"all hosts for 'r.test' have been failing for a long time (and retry time "
			"not reached)"},
		{"** x@r.test R=dns T=t H=m [192.0.2.1]: SMTP error from remote mail server after "
		 "RCPT TO:<x@r.test>: 550 5.1.1 retry timeout exceeded",
			MQW_OUTCOME_BOUNCED, 550, "x@r.test", "5.1.1", "m [192.0.2.1]",
			"550 5.1.1 retry timeout exceeded"},
		{"** x@r.test R=dns T=t H=m [192.0.2.1]: SMTP error from remote mail server after "
		 "RCPT TO:<x@r.test>: 450 4.7.1 Greylisted",
			MQW_OUTCOME_BOUNCED, 450, "x@r.test", "4.7.1", "m [192.0.2.1]",
			"450 4.7.1 Greylisted"},
		{"** x@r.test: Unrouteable address", MQW_OUTCOME_BOUNCED, 0, "x@r.test", "", "",
			"Unrouteable address"},
		{"** x@r.test mua_wrapper forced failure for deferred delivery",
			MQW_OUTCOME_BOUNCED, 0, "x@r.test", "", "",
			"mua_wrapper forced failure for deferred delivery"},
		{"x@r.test: error ignored", MQW_OUTCOME_DISCARDED, 0, "x@r.test", "", "", ""},
		{"c@r.test <x@r.test>: error ignored", MQW_OUTCOME_DISCARDED, 0, "x@r.test", "", "",
			""},
		{"address <x@r.test> marked delivered by root", MQW_OUTCOME_WITHDRAWN, 0,
			"x@r.test", "", "", ""},
	};
	char text[1024];
	struct got g;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), NEW " %s", rows[i].text);
		if (read_line(*state, text, &g) != MQW_LINE_USED || g.count != 1 ||
			g.e.kind != MQW_EVENT_ATTEMPT || g.e.outcome != rows[i].outcome ||
			g.e.code != rows[i].code)
			fail_msg("\"%s\": %s, code %d", text, mqw_outcome_name(g.e.outcome),
				g.e.code);
		assert_string_equal(g.texts[0], rows[i].recipient);
		assert_string_equal(g.texts[7], rows[i].status);
		assert_string_equal(g.texts[2], rows[i].relay);
		assert_string_equal(g.texts[1], rows[i].reply);
	}
	assert_int_equal(read_line(*state, OLD " == ", &g), MQW_LINE_STRANGE);
	assert_int_equal(read_line(*state, OLD " == \"a", &g), MQW_LINE_STRANGE);
}

/* An id in a reply is followed only where this host, or a hop that the operator named, gave it. */
static void test_handed_off(void **state)
{
	static const char *const hops[] = {"filter.test"};
	struct mqw_probe *p = mqw_exim_log_create(hops, 1);
	struct got g;

	(void)state;
	read_line(
		p, OLD " => a@b R=r T=t H=localhost [127.0.0.1]:10025 C=\"250 OK id=" NEW "\"", &g);
	assert_int_equal(g.e.outcome, MQW_OUTCOME_HANDED_OFF);
	assert_string_equal(g.texts[3], NEW);
	read_line(p, OLD " => a@b R=r T=t H=filter.test [192.0.2.1] C=\"250 OK id=" OLD "\"", &g);
	assert_int_equal(g.e.outcome, MQW_OUTCOME_HANDED_OFF);
	read_line(p, OLD " => a@b R=r T=t H=mx.test [192.0.2.1] C=\"250 OK id=" NEW "\"", &g);
	assert_int_equal(g.e.outcome, MQW_OUTCOME_SENT);
	read_line(p, OLD " => a@b R=r T=t H=localhost [127.0.0.1] C=\"250 OK id=nonsense\"", &g);
	assert_int_equal(g.e.outcome, MQW_OUTCOME_SENT);
	mqw_exim_log_free(p);
}

static void test_arrivals(void **state)
{
	struct got g;

	assert_int_equal(read_line(*state,
				 OLD " <= bob@x.test H=(c) [127.0.0.1] P=esmtp S=394 id=m1@c "
				     "T=\"id=no\" for r1@b r2@b",
				 &g),
		MQW_LINE_USED);
	assert_int_equal(g.count, 1);
	assert_int_equal(g.kinds[0], MQW_EVENT_ARRIVED);
	assert_string_equal(g.texts[5], "bob@x.test");
	assert_string_equal(g.texts[6], "m1@c");
	read_line(*state, OLD " <= \"a b\"@x.test U=u P=local S=3 T=\" id=no\"", &g);
	assert_int_equal(g.count, 1);
	assert_string_equal(g.texts[5], "\"a b\"@x.test");
	assert_string_equal(g.texts[6], "");
}

/* A report follows a failure of the message within the same run; a warning of a delay does not. */
static void test_reports(void **state)
{
	struct got g;

	read_line(*state, NEW " <= <> R=" OLD " U=Debian-exim P=local S=9", &g);
	assert_int_equal(g.count, 2);
	assert_int_equal(g.kinds[0], MQW_EVENT_NOTIFIED);
	assert_int_equal(g.kinds[1], MQW_EVENT_ARRIVED);
	assert_non_null(g.e.sender.ptr);
	assert_int_equal(g.e.sender.len, 0);
	read_line(*state, OLD " ** a@b: retry timeout exceeded", &g);
	read_line(*state, NEW " <= <> R=" OLD " U=Debian-exim P=local S=9", &g);
	assert_int_equal(g.kinds[0], MQW_EVENT_NDR);
	/* An hour on it is about something else. */
	read_raw(*state, "2026-11-25 04:42:00 " NEW " <= <> R=" OLD " U=x P=local S=9", &g);
	assert_int_equal(g.kinds[0], MQW_EVENT_NOTIFIED);
	read_line(*state, OLD " cancelled by root", &g);
	read_line(*state, NEW " <= <> R=" OLD " U=Debian-exim P=local S=9", &g);
	assert_int_equal(g.kinds[0], MQW_EVENT_NDR);
}

/* The id tells how old a message is, once lines of arrival have told the zone of the stamps. */
static void test_ages(void **state)
{
	struct got g;

	read_raw(*state, "2026-11-25 04:41:23 " OLD " == a@b R=r defer (-1): x", &g);
	assert_int_equal(g.e.delay, MQW_TIME_NONE);
	read_raw(*state, "2026-11-25 05:41:24 " OLD " <= a@b U=u P=local S=3", &g);
	read_raw(*state, "2026-11-25 05:51:23 " OLD " == a@b R=r defer (-1): x", &g);
	assert_int_equal(g.e.delay, 10 * MQW_MINUTE);
	/* Before it was received: another clock. */
	read_raw(*state, "2026-11-25 05:31:23 " OLD " == a@b R=r defer (-1): x", &g);
	assert_int_equal(g.e.delay, MQW_TIME_NONE);
}

static void test_recovered(void **state)
{
	struct got g;

	read_line(*state, BACK " => a@b R=r T=t", &g);
	assert_int_equal(g.count, 2);
	assert_int_equal(g.kinds[0], MQW_EVENT_OPENED);
	assert_int_equal(g.kinds[1], MQW_EVENT_ATTEMPT);
	assert_int_equal(g.e.delay, MQW_TIME_NONE);
	read_line(*state, BACK " Completed", &g);
	assert_int_equal(g.count, 1);
	/* A restart does not know that it was told of already. */
	mqw_exim_log_free(*state);
	*state = mqw_exim_log_create(NULL, 0);
	read_line(*state, BACK " Unfrozen by forced delivery", &g);
	assert_int_equal(g.count, 2);
	assert_int_equal(g.kinds[0], MQW_EVENT_OPENED);
}

static void test_syslog(void **state)
{
	struct got g;

	assert_int_equal(
		read_syslog(*state, 1, "2026-11-25 03:41:23 " OLD " Completed", &g), MQW_LINE_USED);
	assert_int_equal(g.e.kind, MQW_EVENT_REMOVED);
	assert_false(g.e.whole_log);
	assert_string_equal(g.texts[4], OLD);
	read_syslog(*state, 1, "2026-11-25 03:41:23.125 +0100 [9] " OLD " Completed", &g);
	assert_int_equal(g.count, 1);
	read_syslog(*state, 1, OLD " Completed", &g);
	assert_int_equal(g.count, 1);
	/* Pieces of two processes, interleaved. The first piece is told at once, the whole again. */
	read_syslog(*state, 1,
		"[1/3] 2026-11-25 03:41:23 " OLD " ** a@b R=r T=t H=m [192.0.2.1]: SMTP error from "
		"remote mail server",
		&g);
	assert_int_equal(g.e.outcome, MQW_OUTCOME_BOUNCED);
	assert_int_equal(g.e.code, 0);
	read_syslog(*state, 2, "[1/2] 2026-11-25 03:41:23 " NEW " == c@d R=r T=t defer (0): a", &g);
	assert_int_equal(
		read_syslog(*state, 1, "[2/3]  after RCPT TO:<a@b>: 45", &g), MQW_LINE_DULL);
	assert_int_equal(g.count, 0);
	read_syslog(*state, 2, "[2\\2] b", &g);
	assert_string_equal(g.texts[4], NEW);
	assert_string_equal(g.texts[1], "ab");
	read_syslog(*state, 1, "[3/3] 0 later", &g);
	assert_string_equal(g.texts[4], OLD);
	assert_int_equal(g.e.code, 450);
	/* A piece that never came. */
	read_syslog(*state, 1, "[1/3] " OLD " == a@b R=r defer (-1): x", &g);
	assert_int_equal(read_syslog(*state, 1, "[3/3] y", &g), MQW_LINE_DULL);
	assert_int_equal(read_syslog(*state, 1, "[0/3] y", &g), MQW_LINE_DULL);
	assert_int_equal(read_syslog(*state, 1, "[4/3] y", &g), MQW_LINE_DULL);
}

/* Many processes at once, and lines as long as can be: nothing beyond the buffers. */
static void test_many_pieces(void **state)
{
	static char text[4096];
	struct got g;

	memset(text, 'x', sizeof(text) - 1);
	for (uint32_t pid = 1; pid < 100; pid++) {
		memcpy(text, "[1/9] ", 6);
		read_syslog(*state, pid, text, &g);
		for (char n = '2'; n <= '9'; n++) {
			text[1] = n;
			read_syslog(*state, pid, text, &g);
			assert_int_equal(g.count, 0);
		}
	}
}

static void test_tags(void **state)
{
	(void)state;
	assert_true(mqw_exim_is_mine(MQW_LIT("exim")));
	assert_true(mqw_exim_is_mine(MQW_LIT("exim4")));
	assert_true(mqw_exim_is_mine(MQW_LIT("exim-out")));
	assert_false(mqw_exim_is_mine(MQW_LIT("eximon")));
	assert_false(mqw_exim_is_mine(MQW_LIT("postfix/smtp")));
	assert_false(mqw_exim_is_mine(MQW_SLICE_NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sayings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attempts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handed_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arrivals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_syslog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
