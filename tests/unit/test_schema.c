/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/config/schema.h"

struct thing {
	const char *text;
	const char *const *texts;
	size_t text_count;
	int64_t span;
	uint64_t size;
	uint32_t number;
	bool flag;
	int word;
	uint32_t words;
	const struct mqw_yaml_node *node;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const char *check_upper(struct mqw_slice s)
{
	return s.ptr[0] >= 'A' && s.ptr[0] <= 'Z' ? NULL : "a word that begins with a capital";
}

#define THING(member) offsetof(struct thing, member)

static const struct mqw_field fields[] = {
	{"text", MQW_FIELD_TEXT, false, THING(text), .check = check_upper, .fallback = "Else"},
	{"texts", MQW_FIELD_TEXTS, false, THING(texts), THING(text_count), .check = check_upper},
	{"span", MQW_FIELD_SPAN, false, THING(span), .min = MQW_SECOND, .max = MQW_DAY},
	{"size", MQW_FIELD_SIZE, false, THING(size), .min = 1024, .max = 1 << 20},
	{"number", MQW_FIELD_NUMBER, false, THING(number), .fallback = "7"},
	{"flag", MQW_FIELD_FLAG, false, THING(flag), .fallback = "true"},
	{"word", MQW_FIELD_WORD, false, THING(word), .words = colours, .fallback = "blue"},
	{"words", MQW_FIELD_WORDS, false, THING(words), .words = colours},
	{"node", MQW_FIELD_NODE, true, .offset = THING(node)},
};

static struct mqw_arena arena;

static int done(void **state)
{
	(void)state;
	mqw_arena_done(&arena);
	return 0;
}

/* Reads text, whose faults are exactly those given. */
static struct thing read_thing(const char *text, const char *faults)
{
	struct mqw_yaml_node *root = NULL;
	struct mqw_faults f = {0};
	struct mqw_diag d = {0};
	struct thing t = {.span = 42};

	assert_int_equal(mqw_yaml_parse(&arena, mqw_slice_of(text), &root, &f), 0);
	assert_int_equal(mqw_schema_read(&arena, root, "a thing", fields, 9, &t, &f), 0);
	mqw_faults_flush(&f, NULL, &d);
	assert_string_equal(mqw_buffer_str(&d.text), faults);
	mqw_diag_done(&d);
	return t;
}

static void missing_keys_take_their_fallback(void **state)
{
	(void)state;
	struct thing t = read_thing("node: x", "");

	assert_string_equal(t.text, "Else");
	assert_null(t.texts);
	assert_int_equal(t.span, 42);
	assert_int_equal(t.number, 7);
	assert_true(t.flag);
	assert_int_equal(t.word, 2);
	assert_string_equal(t.node->text.ptr, "x");
	read_thing("{}", "1:1: a thing needs the key \"node\"\n");
}

static void each_kind_is_read(void **state)
{
	(void)state;
	struct thing t = read_thing("{text: \"No\", texts: [A, B], span: 1m30s, size: 4K, number: "
				    "0755, flag: no, word: green, words: [red, blue], node: [1]}",
		"");

	assert_string_equal(t.text, "No");
	assert_int_equal(t.text_count, 2);
	assert_string_equal(t.texts[0], "A");
	assert_string_equal(t.texts[1], "B");
	assert_null(t.texts[2]);
	assert_int_equal(t.span, 90 * MQW_SECOND);
	assert_int_equal(t.size, 4096);
	assert_int_equal(t.number, 755); /* decimal, never octal */
	assert_false(t.flag);
	assert_int_equal(t.word, 1);
	assert_int_equal(t.words, 5);
	assert_int_equal(t.node->kind, MQW_YAML_LIST);
}

static void one_value_is_a_list_of_one(void **state)
{
	(void)state;
	struct thing t = read_thing("{texts: A, words: green, node: 1}", "");

	assert_int_equal(t.text_count, 1);
	assert_string_equal(t.texts[0], "A");
	assert_null(t.texts[1]);
	assert_int_equal(t.words, 2);
}

static void a_faulty_value_leaves_the_fallback(void **state)
{
	(void)state;
	struct thing t = read_thing("node: 1\n"
				    "text: no\n"
				    "number: 1:30\n"
				    "flag: maybe\n"
				    "word: gren\n",
		"2:7: text: \"no\" is not a word that begins with a capital\n"
		"3:9: number: \"1:30\" is not a whole number\n"
		"4:7: flag: \"maybe\" is not true or false\n"
		"5:7: word: unknown word \"gren\"; did you mean \"green\"? "
		"allowed: red, green, blue\n");

	assert_string_equal(t.text, "Else");
	assert_int_equal(t.number, 7);
	assert_true(t.flag);
	assert_int_equal(t.word, 2);
}

static void ranges_hold_at_both_ends(void **state)
{
	(void)state;
	assert_int_equal(read_thing("{node: 1, span: 1s, size: 1024}", "").span, MQW_SECOND);
	assert_int_equal(read_thing("{node: 1, span: 24h, size: 1M}", "").span, MQW_DAY);
	read_thing("node: 1\nspan: 999ms\nsize: 1023\n",
		"2:7: span: \"999ms\" is out of range; allowed is 1 s to 24 h\n"
		"3:7: size: \"1023\" is out of range; allowed is 1024 to 1048576\n");
	read_thing("node: 1\nspan: 86401s\nsize: 1048577\nnumber: 4294967296\n",
		"2:7: span: \"86401s\" is out of range; allowed is 1 s to 24 h\n"
		"3:7: size: \"1048577\" is out of range; allowed is 1024 to 1048576\n"
		"4:9: number: \"4294967296\" is out of range; allowed is 0 to 4294967295\n");
	read_thing("{node: 1, span: 10}",
		"1:17: span: \"10\" is not a span of time such as 30s, 10m, 4h, 5d\n");
	read_thing("{node: 1, number: -1}", "1:19: number: \"-1\" is not a whole number\n");
}

static void wrong_kinds_are_told(void **state)
{
	(void)state;
	read_thing("node: 1\n"
		   "text: [A]\n"
		   "texts: {a: b}\n"
		   "words: []\n"
		   "span: {}\n"
		   "word:\n",
		"2:7: text: must be a single value, not a list\n"
		"3:8: texts: must be a single value, not a mapping\n"
		"4:8: words: the list is empty\n"
		"5:7: span: must be a single value, not a mapping\n"
		"6:6: word: has no value; it must be a single value\n");
	read_thing("node: 1\ntexts: [A, [B], c]\nwords: [red, pink, {a: b}]\n",
		"2:12: texts: must be a single value, not a list\n"
		"2:17: texts: \"c\" is not a word that begins with a capital\n"
		"3:14: words: unknown word \"pink\"; allowed: red, green, blue\n"
		"3:20: words: must be a single value, not a mapping\n");
}

static void unknown_keys_get_the_nearest_or_all(void **state)
{
	(void)state;
	read_thing("{node: 1, txet: A, zzz: 1}",
		"1:11: unknown key \"txet\" in a thing; did you mean \"text\"?\n"
		"1:20: unknown key \"zzz\" in a thing; known are: text, texts, span, size, number, "
		"flag, word, words, node\n");
}

static void hostile_text_is_made_printable(void **state)
{
	(void)state;
	read_thing("{node: 1, word: \"\\e[2J\\n\\u202e\"}",
		"1:17: word: unknown word \"\\x1b[2J\\x0a\\xe2\\x80\\xae\"; "
		"allowed: red, green, blue\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(missing_keys_take_their_fallback, done),
		cmocka_unit_test_teardown(each_kind_is_read, done),
		cmocka_unit_test_teardown(one_value_is_a_list_of_one, done),
		cmocka_unit_test_teardown(a_faulty_value_leaves_the_fallback, done),
		cmocka_unit_test_teardown(ranges_hold_at_both_ends, done),
		cmocka_unit_test_teardown(wrong_kinds_are_told, done),
		cmocka_unit_test_teardown(unknown_keys_get_the_nearest_or_all, done),
		cmocka_unit_test_teardown(hostile_text_is_made_printable, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
