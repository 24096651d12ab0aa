/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exim/attempt.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* The slow and obvious twins of what finds the end of an address. */
static bool slow_ends(struct mqw_slice rest)
{
	static const char *const ends[] = {" R=", " T=", " H=", " Q=", " F=<", " P=<", " S=", ": ",
		" : ", " routing ", " defer (", " mua_wrapper ", " QT="};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (mqw_slice_starts(rest, mqw_slice_of(ends[i])))
			return true;
	return false;
}

static size_t slow_length(struct mqw_slice s)
{
	bool quoted = false, angle = false;

	if (s.len && (s.ptr[0] == '|' || s.ptr[0] == '/'))
		return command_length(s);
	for (size_t i = 0; i < s.len; i++) {
		struct mqw_slice here = mqw_slice_from(s, i);
		char c = s.ptr[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"' && (quoted || i == 0 || s.ptr[i - 1] == '<'))
			quoted = !quoted;
		else if (!quoted && c == '<' && i > 0 && s.ptr[i - 1] == ' ')
			angle = true;
		else if (!quoted && c == '>' && angle)
			angle = false;
		else if (!quoted && !angle && i > 0 && slow_ends(here) &&
			!mqw_slice_starts(here, MQW_LIT(": <")))
			return i;
	}
	return quoted || angle ? 0 : s.len;
}

static void test_like_the_slow_one(void **state)
{
	/* Pieces of lines, well-formed and not. */
	static const char *const pieces[] = {"a@b.test", "x", " ", " R=dns", " T=t",
		" H=h [192.0.2.1]", " Q=slow", " Q", " R", " F=<s@x>", " P=<>", " S=1", ": ", " : ",
		":", " routing defer", " defer (-44)", " <a@b.test>", "<", ">", "\"", "\\",
		" QT=3s", "|/bin/x 'a'", "/dev/null", ":blackhole:", ": <a@b>", " mua_wrapper ",
		"="};

	(void)state;
	srand(1);
	for (int n = 0; n < 300000; n++) {
		struct mqw_slice s, all, child, original;
		char text[256];
		size_t len = 0, want;

		for (int i = rand() % 7; i >= 0; i--) {
			const char *p =
				pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(text + len, p, strlen(p));
			len += strlen(p);
		}
		s = all = mqw_slice(text, len);
		want = slow_length(all);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(ends_address(mqw_slice_from(all, i)),
				slow_ends(mqw_slice_from(all, i)));
		assert_int_equal(address_length(all), want);
		assert_true(plain_length(all) == 0 || plain_length(all) == want);
		if (mqw_exim_take_recipient(&s, &child, &original)) {
			assert_ptr_equal(s.ptr, text + want);
			assert_ptr_equal(child.ptr, text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_the_slow_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
