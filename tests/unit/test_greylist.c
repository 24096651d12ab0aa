/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/greylist.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS (sizeof(table) / sizeof(table[0]))

/* All words, one after the other. */
static const struct mqw_greylist *slow_find(struct mqw_slice reply)
{
	const struct mqw_greylist *g = reply.len ? by_figure(reply) : NULL;

	for (size_t i = 0; !g && i < ROWS; i++)
		if (mqw_slice_find_nocase(reply, table[i].words) < reply.len)
			g = &table[i];
	return g;
}

static const char *name_of(const char *reply)
{
	const struct mqw_greylist *g = mqw_greylist_find(mqw_slice_of(reply));

	return g ? g->name : "";
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(name_of("450 4.2.0 <a@b>: Recipient address rejected: Greylisted, see "
				    "http://postgrey.schweikert.ch/help/b.html"),
		"postgrey");
	assert_string_equal(name_of("451 GREYLISTED for 5 minutes"), "SQLgrey");
	assert_string_equal(name_of("451 greylisted for 300 seconds"), "greylisting");
	assert_string_equal(name_of("451 Graylisting"), "greylisting");
	assert_string_equal(name_of("451 Temporary failure, please try again later."), "spamd");
	assert_string_equal(name_of("450 4.3.2 Service currently unavailable"), "postscreen");
	assert_string_equal(name_of("451 4.7.1 This mail is temporarily denied"), "qpsmtpd");
	assert_string_equal(name_of("451 4.3.0 mailbox busy"), "");
	assert_string_equal(name_of(""), "");
	assert_null(mqw_greylist_find(MQW_SLICE_NULL));
	for (size_t i = 0; i < ROWS; i++)
		assert_true(table[i].min_delay <= MQW_GREYLIST_DELAY_MAX);
}

/* Replies made of the beginnings and ends of the words that are known. */
static void test_like_the_slow_one(void **state)
{
	char reply[512];

	(void)state;
	srand(1);
	for (int n = 0; n < 50000; n++) {
		size_t len = 0;

		for (int i = 0; i < 4; i++) {
			struct mqw_slice w = table[(size_t)rand() % ROWS].words;
			size_t cut = (size_t)rand() % (w.len / 4) * ((size_t)rand() % 2);

			w = rand() % 2 ? mqw_slice_from(w, cut) : mqw_slice_head(w, w.len - cut);
			memcpy(reply + len, w.ptr, w.len);
			len += w.len;
			if (rand() % 2 && len)
				reply[(size_t)rand() % len] = rand() % 2 ? 'Y' : ' ';
		}
		assert_ptr_equal(
			mqw_greylist_find(mqw_slice(reply, len)), slow_find(mqw_slice(reply, len)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_like_the_slow_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
