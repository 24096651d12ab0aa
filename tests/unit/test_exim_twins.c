/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walkers of Exim's lines against slow and obvious ones, on lines that are nearly right. */
#include "probes/exim/attempt.c"
#include "probes/exim/id.c"
#include "probes/exim/log.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static bool slow_is_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* By a form with '0' for any digit of base 62. */
static bool slow_has_form(struct mqw_slice s, const char *form)
{
	size_t n = strlen(form);

	if (s.len < n || (s.len > n && slow_is_digit(s.ptr[n])))
		return false;
	for (size_t i = 0; i < n; i++)
		if (form[i] == '0' ? !slow_is_digit(s.ptr[i]) : s.ptr[i] != form[i])
			return false;
	return true;
}

static size_t slow_id_length(struct mqw_slice s)
{
	return slow_has_form(s, "000000-000000-00")           ? 16
		: slow_has_form(s, "000000-00000000000-0000") ? 23
							      : 0;
}

static int64_t slow_id_time(struct mqw_slice id)
{
	static const char digits_of_62[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	int64_t t = 0;

	for (size_t i = 0; i < 6; i++)
		t = t * 62 + (strchr(digits_of_62, id.ptr[i]) - digits_of_62);
	return t * MQW_SECOND;
}

static enum mqw_exim_flag slow_flag(struct mqw_slice s)
{
	static const struct {
		const char *text;
		enum mqw_exim_flag flag;
	} flags[] = {{"<= ", FLAG_ARRIVED}, {"(= ", FLAG_ARRIVED}, {"=> ", FLAG_DELIVERED},
		{"-> ", FLAG_DELIVERED}, {">> ", FLAG_DELIVERED}, {"*> ", FLAG_SUPPRESSED},
		{"** ", FLAG_FAILED}, {"== ", FLAG_DEFERRED}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (mqw_slice_starts(s, mqw_slice_of(flags[i].text)))
			return flags[i].flag;
	return FLAG_NONE;
}

/* Where words are in s, byte by byte. */
static size_t slow_find(struct mqw_slice s, const char *words)
{
	size_t n = strlen(words);

	for (size_t i = 0; i + n <= s.len; i++)
		if (memcmp(s.ptr + i, words, n) == 0)
			return i;
	return s.len;
}

static struct mqw_slice slow_sender(struct mqw_slice *s)
{
	bool quoted = false;
	struct mqw_slice sender;
	size_t i = 0;

	if (s->len >= 2 && s->ptr[0] == '<' && s->ptr[1] == '>') {
		*s = mqw_slice_from(*s, 2);
		return mqw_slice("", 0);
	}
	while (i < s->len && (s->ptr[i] != ' ' || quoted)) {
		if (quoted && s->ptr[i] == '\\')
			i++;
		else if (s->ptr[i] == '"' && (i == 0 || quoted))
			quoted = !quoted;
		i++;
	}
	sender = mqw_slice_head(*s, i);
	*s = mqw_slice_from(*s, i);
	return sender;
}

static struct mqw_slice slow_message_id(struct mqw_slice s)
{
	struct mqw_slice own = mqw_slice_head(s, slow_find(s, " T=\""));
	struct mqw_slice id = mqw_slice_from(own, slow_find(own, " id=") + 4);

	return mqw_slice_head(id, slow_find(id, " "));
}

/* The first end of any of the words that begins before another's. */
static size_t slow_command_at(struct mqw_slice s)
{
	static const char *const words[] = {"SMTP error from remote mail server after ",
		"LMTP error after ", "SMTP error from remote mailer after "};

	for (size_t i = 0; i < s.len; i++)
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			if (mqw_slice_starts(mqw_slice_from(s, i), mqw_slice_of(words[w])))
				return i + strlen(words[w]);
	return s.len;
}

static struct mqw_slice slow_relay(struct mqw_slice s)
{
	size_t at = slow_find(s, " H="), end, port;

	if (at == s.len)
		return MQW_SLICE_NULL;
	s = mqw_slice_from(s, at + 3);
	end = slow_find(s, "]");
	if (end == s.len)
		return mqw_slice_head(s, slow_find(s, " "));
	port = end + 2;
	while (port < s.len && s.ptr[end + 1] == ':' && s.ptr[port] >= '0' && s.ptr[port] <= '9')
		port++;
	return mqw_slice_head(s, port > end + 2 ? port : end + 1);
}

static const char *const texts[] = {
	"1xC57M-00008R-3H Completed",
	"1xC57M-00000000abc-0042 => x@y R=r T=t",
	"1xC57M-z0008R-3H == a@b R=dns T=t defer (-44) H=mx [192.0.2.1]:25: LMTP error after MTP "
	"error SMTP error from remote mail server after RCPT TO:<a@b>: 450 4.2.0 no",
	"1xC57N-00009N-Dp <= user552@example.net H=c.example.net [198.51.100.61] P=esmtps X=TLS "
	"CV=no S=44564 id=9930f4ca1b2a8963.581@example.net T=\"a id=b\" for c@d",
	"1xC57N-00009N-Dp <= \"a b\\\" c\"@x.test H=(c) [127.0.0.1] id=m1@c id=m2",
	"1xC57N-00009N-Dp <= <> R=1xC57M-00008R-3H U=Debian-exim P=local S=9",
	"1xC57N-00009N-Dp ** a@b R=dns T=t: SMTP error from remote mailer after DATA: host mx "
	"[192.0.2.1]: 550 no",
	"1xC57N-00009N-Dp -> a@b <c@d> R=dns T=t H=h [::1]:24 C=\"250 OK id=1xC57M-00008R-3H\"",
	"1xC57N-00009N-Dp *> a@b",
	"1xC57N-00009N-Dp >> a@b (c) H=h",
	"H=x [192.0.2.1] rejected",
};

/* A copy of its very length, damaged here and there, or cut somewhere in front. */
static struct mqw_slice some_text(char **ret)
{
	const char *text = texts[(size_t)rand() % (sizeof(texts) / sizeof(*texts))];
	size_t skip = rand() % 2 ? 0 : (size_t)rand() % strlen(text);
	size_t len = strlen(text + skip);
	int damage = rand() % 4;

	if (rand() % 8 == 0)
		len = (size_t)rand() % (len + 1);
	*ret = malloc(len + 1);
	memcpy(*ret, text + skip, len);
	for (; damage > 0 && len; damage--)
		(*ret)[(size_t)rand() % len] =
			rand() % 16 ? "=, <>\"\\:()[]zZ09-*M"[rand() % 20] : (char)(rand() % 256);
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
	int ids = 0, flags = 0, commands = 0, relays = 0, message_ids = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < 300000; i++) {
		char *memory;
		struct mqw_slice s = some_text(&memory), a = s, b = s, id;
		size_t n = slow_id_length(s);

		assert_int_equal(mqw_exim_id_length(s), n);
		if (n) {
			assert_true(mqw_exim_id_time(s) == slow_id_time(s));
			ids++;
		}
		assert_int_equal(flag_of(s), slow_flag(s));
		flags += slow_flag(s) != FLAG_NONE;
		assert_same(take_sender(&a), slow_sender(&b));
		assert_same(a, b);
		id = slow_message_id(s);
		assert_same(message_id_of(s), id);
		message_ids += id.len > 0;
		assert_int_equal(command_at(s), slow_command_at(s));
		commands += command_at(s) < s.len;
		assert_same(relay_of(s), slow_relay(s));
		relays += slow_relay(s).len > 0;
		free(memory);
	}
	assert_true(ids > 20000 && flags > 1000 && commands > 10000 && relays > 20000 &&
		message_ids > 20000);
}

/* How long the digits from an offset on are. */
static size_t slow_digits(struct mqw_slice s, size_t at)
{
	size_t n = 0;

	for (; at + n < s.len && s.ptr[at + n] >= '0' && s.ptr[at + n] <= '9'; n++)
		;
	return n;
}

static struct mqw_slice slow_status(struct mqw_slice reply)
{
	struct mqw_slice s = mqw_slice_from(reply, 4);
	size_t subject = slow_digits(s, 2), detail = slow_digits(s, 3 + subject);

	return slow_digits(s, 0) == 1 && s.len > 1 && s.ptr[1] == '.' && subject >= 1 &&
			subject <= 3 && 2 + subject < s.len && s.ptr[2 + subject] == '.' &&
			detail >= 1 && detail <= 3
		? mqw_slice_head(s, 3 + subject + detail)
		: MQW_SLICE_NULL;
}

static int slow_code(struct mqw_slice s)
{
	if (slow_digits(mqw_slice_head(s, 3), 0) < 3 || s.ptr[0] < '2' || s.ptr[0] > '5' ||
		(s.len > 3 && !strchr(" -\\\"", s.ptr[3])) || (s.len > 3 && !s.ptr[3]))
		return 0;
	return (s.ptr[0] - '0') * 100 + (s.ptr[1] - '0') * 10 + s.ptr[2] - '0';
}

static void test_replies(void **state)
{
	static const char bytes[] = "0123456789..  -\\\"x";
	int codes = 0, statuses = 0;

	(void)state;
	srand(2);
	for (int i = 0; i < 500000; i++) {
		size_t len = (size_t)rand() % 14;
		char *memory = malloc(len + 1);
		struct mqw_slice s = mqw_slice(memory, len), status;

		/* Half of them begin as they should. */
		for (size_t n = 0; n < len; n++)
			memory[n] = rand() % 2 ? "450 4.2.1 1.1"[n]
					       : bytes[(size_t)rand() % (sizeof(bytes) - 1)];
		assert_int_equal(mqw_reply_code(s, REPLY_ENDS), slow_code(s));
		status = slow_status(s);
		assert_same(mqw_reply_status(s), status);
		codes += slow_code(s) != 0;
		statuses += status.len > 0;
		free(memory);
	}
	assert_true(codes > 10000 && statuses > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
