/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of every form cut, changed, and put together from pieces of others: what a probe says must
 * stay within the line and within its own tables. With a sanitizer this finds what reads beyond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "probes/exchange/exchange.h"
#include "probes/iis_smtp/iis_smtp.h"
#include "windows_fixture.h"

#define TEXT_MAX 1024 /* no text of an event is longer than the longest line here or a reply */

static const char *const seeds[] = {
	"#Fields: date time c-ip cs-username s-sitename s-ip s-port cs-method cs-uri-query",
	"2026-05-16 12:00:00 192.0.2.9 OutboundConnectionCommand SMTPSVC1 - 25 MAIL "
	"FROM:<info@a.test>+SIZE=1722",
	"2026-05-16 12:00:00 192.0.2.9 OutboundConnectionResponse SMTPSVC1 - 25 - 250+ok",
	"2026-05-16 12:00:00 192.0.2.9 OutboundConnectionCommand SMTPSVC1 - 25 RCPT "
	"TO:<ann@b.test>",
	"2026-05-16 12:00:00 192.0.2.9 OutboundConnectionResponse SMTPSVC1 - 25 - 450+4.7.1+later",
	"2026-05-16 12:00:00 192.0.2.9 OutboundConnectionCommand SMTPSVC1 - 25 DATA -",
	"2026-05-16 12:00:00 192.0.2.9 OutboundConnectionResponse SMTPSVC1 - 25 - 354+go",
	"#Log-type: Message Tracking Log",
	"#Fields: date-time,source-context,source,event-id,message-id,recipient-address,"
	"recipient-status,recipient-count,reference,message-subject,sender-address,return-path",
	"2026-05-16T12:00:00.000Z,,SMTP,RECEIVE,<m1@a.test>,ann@b.test;ben@b.test,,2,,s,i@a.test,",
	"2026-05-16T12:00:01.000Z,,SMTP,FAIL,<m1@a.test>,ann@b.test;ben@b.test,"
	"\"550 5.1.1 A; b;[{LRT=x};{LED=450 4.7.1 c};{IP=1}]\",2,,\"a \"\"b\"\"\",i@a.test,<>",
	"2026-05-16T12:00:02.000Z,,DSN,DSN,<n1@a.test>,i@a.test,,1,<m1@a.test>,s,<>,<>",
	"#Log-type: SMTP Send Protocol Log",
	"#Fields: date-time,session-id,sequence-number,remote-endpoint,event,data,context",
	"2026-05-16T12:00:00.000Z,S1,0,192.0.2.9:25,*,,sending message with RecordId 77 and "
	"InternetMessageId <m1@a.test>",
	"2026-05-16T12:00:00.000Z,S1,1,192.0.2.9:25,>,MAIL FROM:<i@a.test> SIZE=1200,",
	"2026-05-16T12:00:00.000Z,S1,2,192.0.2.9:25,>,RCPT TO:<ann@b.test>,",
	"2026-05-16T12:00:00.000Z,S1,3,192.0.2.9:25,<,\"450-4.7.1 a 450 4.7.1 b\",",
	"2026-05-16T12:00:00.000Z,S1,4,192.0.2.9:25,-,,Remote",
	"# Message Tracking Log File",
	"2026-5-16\t12:00:00 GMT\tip\tpc\t-\tE\tip\tann@b.test\t1034\tM1@E\t0\t0\t1\t1\t"
	"2026-5-16 11:00:00 GMT\t0\tV\t-\ts\ti@a.test\t-",
	"2026-5-16\t12:00:00 GMT\tip\tpc\t-\tE\tip\tann@b.test\t1030\tM1@E\t0\t0\t1\t1\t"
	"2026-5-16 11:00:00 GMT\t0\tV\tN1@E\ts\ti@a.test\t-",
	"192.0.2.9 - OutboundConnectionResponse [16/May/2026:14:00:00 +0200] \"- -?450+x SMTP\" 0 "
	"6",
	"192.0.2.9, OutboundConnectionResponse, 5/16/2026, 12:00:00, SMTPSVC2, GW, -, 0, 0, 0, 0, "
	"0, -, -, 450+later,",
};
#define SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static uint64_t random_state = 88172645463325252u;

static uint32_t pick(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % below;
}

static size_t longest, events;

static void measure(struct mqw_slice s)
{
	volatile unsigned char sum = 0;

	for (size_t i = 0; i < s.len; i++)
		sum ^= (unsigned char)s.ptr[i];
	if (s.len > longest)
		longest = s.len;
}

static int take(void *ctx, const struct mqw_event *e)
{
	(void)ctx;
	measure(e->queue_id);
	measure(e->other_id);
	measure(e->sender);
	measure(e->recipient);
	measure(e->message_id);
	measure(e->relay);
	measure(e->status);
	measure(e->reply);
	assert_true(e->kind < MQW_EVENT_COUNT && e->outcome < MQW_OUTCOME_COUNT);
	assert_true(e->code == 0 || (e->code >= 200 && e->code < 600));
	assert_true(e->queue_id.len > 0);
	events++;
	return 0;
}

/* The line in a piece of memory of just its size. */
static void read_bytes(const char *p, size_t len)
{
	struct mqw_sink sink = {.emit = take};
	struct mqw_line line = {0};
	const struct mqw_probe_ops *mta = ops;
	char *copy = malloc(len ? len : 1);
	enum mqw_form form;

	assert_non_null(copy);
	memcpy(copy, p, len);
	form = mqw_probe_parse(&mta, &file, mqw_slice(copy, len), &line);
	if (mqw_form_is_line(form))
		assert_in_range(ops->line(probe, &line, &sink), MQW_LINE_FOREIGN, MQW_LINE_STRANGE);
	free(copy);
}

static void test_cut(const struct mqw_probe_ops *mta)
{
	begin(mta);
	for (size_t i = 0; i < SEEDS; i++)
		for (size_t len = 0; len <= strlen(seeds[i]); len++) {
			read_bytes(seeds[i], len);
			/* What came before it in its file stays as it was. */
			for (size_t k = 0; k < i && len == strlen(seeds[i]); k++)
				if (seeds[k][0] == '#')
					read_bytes(seeds[k], strlen(seeds[k]));
		}
}

static size_t change(char *text, size_t len)
{
	static const char marks[] = "\t ,;\"<>[]{}#:+-\0\xff\n45";

	for (uint32_t n = pick(4); n > 0 && len > 0; n--) {
		uint32_t at = pick((uint32_t)len), what = pick(4);
		size_t other = pick(SEEDS), from = pick((uint32_t)strlen(seeds[other]));

		if (what == 0) {
			text[at] = marks[pick(sizeof(marks) - 1)];
		} else if (what == 1) {
			text[at] = (char)pick(256);
		} else if (what == 2) {
			memmove(text + at, text + at + 1, --len - at);
		} else {
			size_t add = strlen(seeds[other]) - from;

			if (len + add < 900) {
				memmove(text + at + add, text + at, len - at);
				memcpy(text + at, seeds[other] + from, add);
				len += add;
			}
		}
	}
	return len;
}

static void test_changed(const struct mqw_probe_ops *mta)
{
	char text[1024];

	begin(mta);
	for (int i = 0; i < 60000; i++) {
		/* Mostly in their order, so that sessions come about. */
		const char *seed = seeds[pick(8) ? (size_t)i % SEEDS : pick(SEEDS)];
		size_t len = strlen(seed);

		memcpy(text, seed, len);
		if (pick(3) == 0)
			len = change(text, len);
		if (pick(500) == 0)
			next_file();
		read_bytes(text, len);
	}
}

static void test_hostile(void **state)
{
	static const struct mqw_probe_ops *const both[] = {
		&mqw_probe_exchange, &mqw_probe_iis_smtp};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		longest = events = 0;
		test_cut(both[i]);
		test_changed(both[i]);
		assert_in_range(longest, 1, TEXT_MAX);
		/* It got far enough to have something to say. */
		assert_true(events > 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_hostile, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
