/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walkers of Postfix's lines against slow and obvious ones, on lines that are nearly right. */
/* The first one: it says which of the C library's functions there are. */
#include "probes/postfix/log.c"
#include "probes/postfix/attempt.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static bool slow_take_path(struct mqw_slice *s, struct mqw_slice *ret)
{
	bool quoted = false;

	if (s->len < 2 || s->ptr[0] != '<')
		return false;
	for (size_t i = 1; i < s->len; i++) {
		char c = s->ptr[i];

		if (quoted && c == '\\') {
			i++;
		} else if (c == '"') {
			quoted = quoted ? false : i == 1;
		} else if (c == '>' && !quoted) {
			*ret = mqw_slice(s->ptr + 1, i - 1);
			*s = mqw_slice_from(*s, i + 1);
			return true;
		}
	}
	return false;
}

static bool slow_take_queue_id(struct mqw_slice *s, struct mqw_slice *ret)
{
	bool hex = true, has_digit = false;
	size_t n = 0;

	for (; n < s->len && n < 64; n++) {
		char c = s->ptr[n];

		if (c >= '0' && c <= '9')
			has_digit = true;
		else if ((c >= 'G' && c <= 'Z') || (c >= 'a' && c <= 'z'))
			hex = false;
		else if (c < 'A' || c > 'F')
			break;
	}
	if (n < 6 || n + 1 >= s->len || s->ptr[n] != ':' || s->ptr[n + 1] != ' ')
		return false;
	if (!hex && (n < 10 || !has_digit))
		return false;
	*ret = mqw_slice_head(*s, n);
	*s = mqw_slice_from(*s, n + 2);
	return true;
}

/* The fields of a delivery line up to its status; *ret_status: what is behind "status=". */
static bool slow_fields(struct mqw_slice s, struct mqw_event *e, struct mqw_slice *ret_status)
{
	struct mqw_slice key, value;

	if (!mqw_slice_skip(&s, MQW_LIT("to=")) || !slow_take_path(&s, &e->recipient) ||
		!mqw_slice_skip(&s, MQW_LIT(", ")))
		return false;
	if (mqw_slice_skip(&s, MQW_LIT("orig_to=")) &&
		(!slow_take_path(&s, &value) || !mqw_slice_skip(&s, MQW_LIT(", "))))
		return false;
	while (s.len) {
		size_t equals = 0, end = 0;

		while (equals < s.len && s.ptr[equals] != '=')
			equals++;
		key = mqw_slice_head(s, equals);
		s = mqw_slice_from(s, equals + 1);
		if (mqw_slice_eq(key, MQW_LIT("status"))) {
			*ret_status = s;
			return true;
		}
		while (end < s.len && !mqw_slice_starts(mqw_slice_from(s, end), MQW_LIT(", ")))
			end++;
		value = mqw_slice_head(s, end);
		s = mqw_slice_from(s, end + 2);
		if (mqw_slice_eq(key, MQW_LIT("relay")))
			e->relay = value;
		else if (mqw_slice_eq(key, MQW_LIT("delay")))
			e->delay = seconds_of(value);
		else if (mqw_slice_eq(key, MQW_LIT("dsn")))
			e->status = value;
	}
	return false;
}

static const char *const texts[] = {
	"4414D4C003: to=<a@b.example>, relay=mx[192.0.2.1]:25, delay=1.2, delays=0/0/1/0.2, "
	"dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4414D4C004)",
	"4pws58BhZQzBFPc: to=<\"a>, b\\\"\"@c.example>, orig_to=<x>, relay=none, delay=99, tls=a, "
	"b, "
	"dsn=4.4.1, status=deferred (connect to mx[192.0.2.1]:25: Connection timed out)",
	"ABCDEF: to=<>, relay=private/dovecot, conn_use=2, delay=0.1, dsn=5.1.1, status=bounced "
	"(host "
	"mx[192.0.2.1] said: 450 4.2.0 <a@b>: no, status=sent (250 ok) (in reply to RCPT TO "
	"command))",
	"4414D4C003: from=<a@b.example>, size=123, nrcpt=3 (queue active)",
	"4414D4C003: from=<>, status=expired, returned to sender",
	"warning: 4414D4C003: message rejected: missing end record",
	"NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 5.7.1 no",
	"connect from mx.example[192.0.2.1]",
	"4414D4C003: removed",
};

/* A copy of its very length, damaged here and there. */
static struct mqw_slice some_text(char **ret)
{
	const char *text = texts[(size_t)rand() % (sizeof(texts) / sizeof(*texts))];
	size_t len = rand() % 8 ? strlen(text) : (size_t)rand() % strlen(text);
	int damage = rand() % 4;

	*ret = malloc(len + 1);
	memcpy(*ret, text, len);
	for (; damage > 0 && len; damage--)
		(*ret)[(size_t)rand() % len] = rand() % 16 ? "=, <>\"\\:()F9z["[rand() % 14] : '\0';
	*ret = realloc(*ret, len ? len : 1);
	return mqw_slice(*ret, len);
}

static void assert_same(struct mqw_slice a, struct mqw_slice b)
{
	assert_int_equal(a.len, b.len);
	assert_true(a.len == 0 || a.ptr == b.ptr);
}

static void test_parts(void **state)
{
	int paths = 0, ids = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < 300000; i++) {
		char *memory;
		struct mqw_slice text = some_text(&memory), a, b, got_a = MQW_SLICE_NULL,
				 got_b = MQW_SLICE_NULL;
		bool good;

		a = b = text;
		good = slow_take_queue_id(&b, &got_b);
		assert_int_equal(take_queue_id(&a, &got_a), good);
		assert_same(a, b);
		assert_same(got_a, got_b);
		ids += good;
		a = b = mqw_slice_from(text, mqw_slice_chr(text, '<'));
		good = slow_take_path(&b, &got_b);
		assert_int_equal(mqw_take_path(&a, &got_a), good);
		assert_same(a, b);
		assert_same(got_a, got_b);
		paths += good;
		free(memory);
	}
	assert_true(ids > 50000 && paths > 50000);
}

static void test_delivery_lines(void **state)
{
	struct mqw_probe *p = mqw_postfix_log_create(NULL, 0);
	const struct mqw_line line = {.time = 1, .host = MQW_LIT("mx"), .pid = 7};
	int read = 0;

	(void)state;
	srand(2);
	for (int i = 0; i < 300000; i++) {
		char *memory;
		struct mqw_slice text = some_text(&memory), id, status = MQW_SLICE_NULL;
		struct mqw_event fast = mqw_event(MQW_EVENT_ATTEMPT, 1), slow = fast;
		bool good;

		slow_take_queue_id(&text, &id);
		good = slow_fields(text, &slow, &status) &&
			read_status(p, &line, PROGRAM_AGENT, status, &slow);
		assert_int_equal(
			mqw_postfix_read_attempt(p, &line, PROGRAM_AGENT, text, &fast), good);
		if (good) {
			assert_same(fast.recipient, slow.recipient);
			assert_same(fast.relay, slow.relay);
			assert_same(fast.status, slow.status);
			assert_same(fast.reply, slow.reply);
			assert_same(fast.other_id, slow.other_id);
			assert_true(fast.delay == slow.delay && fast.outcome == slow.outcome &&
				fast.code == slow.code);
			read++;
		}
		free(memory);
	}
	assert_true(read > 30000);
	mqw_postfix_log_free(p);
}

/* Whichever tags came before, a tag stands for what it stands for. */
static void test_tags(void **state)
{
	static const char *const tags[] = {"postfix/smtp", "postfix/qmgr", "postfix/smtpd",
		"postfix-out/smtp", "postfix/relay/smtp", "postfix", "dovecot", "a/qmgr", "smtp",
		"", "postfix/submission/smtpd", "a-very-long-syslog-name/with/slashes/cleanup",
		"postfix/xmtpd", "qostfix/smtpd", "postfix/anvil", "/smtp", "x/unknown"};
	struct mqw_probe *p = mqw_postfix_log_create(NULL, 0);

	(void)state;
	srand(3);
	for (int i = 0; i < 100000; i++) {
		struct mqw_slice tag = mqw_slice_of(
					 tags[(size_t)rand() % (sizeof(tags) / sizeof(*tags))]),
				 instance;

		assert_int_equal(know_tag(p, tag, &instance), mqw_postfix_program_of(tag));
		assert_same(instance, mqw_slice_head(tag, mqw_slice_chr(tag, '/')));
	}
	mqw_postfix_log_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_delivery_lines),
		cmocka_unit_test(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
