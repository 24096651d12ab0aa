/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "watchdogd/config/faults.h"
#include "watchdogd/config/yaml.h"

struct read {
	struct mqw_arena arena;
	struct mqw_yaml_node *root;
	struct mqw_diag diag;
	int result;
};

static struct read read_bytes(struct mqw_slice text)
{
	struct read r = {0};
	struct mqw_faults f = {0};

	r.result = mqw_yaml_parse(&r.arena, text, &r.root, &f);
	mqw_faults_flush(&f, "f", &r.diag);
	return r;
}

static struct read read_text(const char *text)
{
	return read_bytes(mqw_slice_of(text));
}

static void done(struct read *r)
{
	mqw_arena_done(&r->arena);
	mqw_diag_done(&r->diag);
}

/* The text is read and gives exactly these faults. */
static void assert_faults_of(struct mqw_slice text, int result, const char *faults)
{
	struct read r = read_bytes(text);

	assert_string_equal(mqw_buffer_str(&r.diag.text), faults);
	assert_int_equal(r.result, result);
	done(&r);
}

static void assert_faults(const char *text, int result, const char *faults)
{
	assert_faults_of(mqw_slice_of(text), result, faults);
}

static void assert_place(const struct mqw_yaml_node *n, size_t line, size_t column)
{
	assert_non_null(n);
	assert_int_equal(n->line, line);
	assert_int_equal(n->column, column);
}

static const struct mqw_yaml_node *get(const struct mqw_yaml_node *n, const char *key)
{
	return mqw_yaml_get(n, mqw_slice_of(key));
}

static void every_node_knows_its_place(void **state)
{
	(void)state;
	struct read r = read_text("version: 1\n"
				  "list:\n"
				  "  - a\n"
				  "  - {k: 'v', \"q\": [x, y]}\n"
				  "block: |\n"
				  "  two\n"
				  "  lines\n"
				  "nothing:\n");
	const struct mqw_yaml_node *n, *flow;

	assert_int_equal(r.result, 0);
	assert_int_equal(r.diag.count, 0);
	assert_int_equal(r.root->kind, MQW_YAML_MAP);
	assert_int_equal(r.root->count, 4);
	assert_place(r.root, 1, 1);
	n = get(r.root, "version");
	assert_place(n, 1, 10);
	assert_int_equal(n->key_line, 1);
	assert_int_equal(n->key_column, 1);
	assert_true(n->plain);
	n = get(r.root, "list");
	assert_int_equal(n->kind, MQW_YAML_LIST);
	assert_int_equal(n->count, 2);
	assert_place(n, 3, 3);
	assert_place(n->first, 3, 5);
	assert_null(n->first->key.ptr);
	flow = n->first->next;
	assert_place(flow, 4, 5);
	n = get(flow, "k");
	assert_place(n, 4, 9);
	assert_int_equal(n->key_column, 6);
	assert_false(n->plain);
	assert_string_equal(n->text.ptr, "v");
	n = get(flow, "q");
	assert_place(n, 4, 19);
	assert_int_equal(n->key_column, 14);
	assert_place(n->last, 4, 23);
	n = get(r.root, "block");
	assert_string_equal(n->text.ptr, "two\nlines\n");
	assert_false(n->plain);
	n = get(r.root, "nothing");
	assert_true(mqw_yaml_is_empty(n));
	assert_place(n, 8, 9);
	assert_null(get(r.root, "none"));
	assert_null(get(n, "none"));
	assert_null(mqw_yaml_get(NULL, MQW_LIT("none")));
	done(&r);
}

static void scalars_stay_text(void **state)
{
	(void)state;
	struct read r = read_text("{a: no, b: 0755, c: 1:30, d: ~, e: \"\", f: 1e3}");

	assert_int_equal(r.result, 0);
	assert_string_equal(get(r.root, "a")->text.ptr, "no");
	assert_string_equal(get(r.root, "b")->text.ptr, "0755");
	assert_string_equal(get(r.root, "c")->text.ptr, "1:30");
	assert_string_equal(get(r.root, "d")->text.ptr, "~");
	assert_false(mqw_yaml_is_empty(get(r.root, "e")));
	assert_string_equal(get(r.root, "f")->text.ptr, "1e3");
	done(&r);
}

static void columns_count_characters(void **state)
{
	(void)state;
	struct read r = read_text("{\"\xc3\xa4\xe2\x82\xac\": v}");

	assert_int_equal(r.result, 0);
	assert_place(r.root->first, 1, 8);
	done(&r);
}

static void an_empty_file_has_no_root(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "\n\n", "# only a comment\n", "\xef\xbb\xbf"};

	for (size_t i = 0; i < 4; i++) {
		struct read r = read_text(texts[i]);

		assert_int_equal(r.result, 0);
		assert_null(r.root);
		assert_int_equal(r.diag.count, 0);
		done(&r);
	}
	struct read r = read_bytes(MQW_SLICE_NULL);

	assert_int_equal(r.result, 0);
	assert_null(r.root);
	done(&r);
}

static void a_byte_order_mark_moves_nothing(void **state)
{
	(void)state;
	struct read r = read_text("\xef\xbb\xbf"
				  "a: b\n");

	assert_int_equal(r.result, 0);
	assert_int_equal(r.root->first->key_column, 1);
	assert_place(r.root->first, 1, 4);
	done(&r);
	assert_faults_of(MQW_LIT("\xff\xfe"
				 "a\0:\0"),
		-EINVAL, "f:1:1: UTF-16 text: save the file as UTF-8\n");
	assert_faults_of(
		MQW_LIT("\xfe\xff\0a\0:"), -EINVAL, "f:1:1: UTF-16 text: save the file as UTF-8\n");
}

static void line_ends_of_windows_are_read(void **state)
{
	(void)state;
	struct read r = read_text("a: b\r\nc:\r\n  - d\r\n");

	assert_int_equal(r.result, 0);
	assert_string_equal(get(r.root, "a")->text.ptr, "b");
	assert_place(get(r.root, "c")->first, 3, 5);
	done(&r);
}

static void faults_of_the_encoding_have_a_line(void **state)
{
	(void)state;
	assert_faults("a: b\nc: \xff\n", -EINVAL,
		"f:2:4: not UTF-8 text: invalid leading UTF-8 octet (0xff)\n");
	assert_faults("a: b\r\nc: \xc3\xa4\xc3x\n", -EINVAL,
		"f:2:6: not UTF-8 text: invalid trailing UTF-8 octet (0x78)\n");
	assert_faults("\xef\xbb\xbf"
		      "a: \x07\n",
		-EINVAL, "f:1:4: not UTF-8 text: control characters are not allowed (0x07)\n");
	assert_faults(
		"a: \xe2\x82", -EINVAL, "f:1:4: not UTF-8 text: incomplete UTF-8 octet sequence\n");
	assert_faults_of(MQW_LIT("a: b\n\0\n"), -EINVAL,
		"f:2:1: not UTF-8 text: control characters are not allowed (0x00)\n");
}

static void syntax_errors_show_where_and_since_where(void **state)
{
	(void)state;
	assert_faults("a: 1\nb: [x,\nc: y\n", -EINVAL,
		"f:4:1: did not find expected ',' or ']' "
		"(while parsing a flow sequence that begins at 2:4)\n");
	assert_faults("a: b: c\n", -EINVAL,
		"f:1:5: mapping values are not allowed in this context; "
		"a value that contains \": \" needs quotes\n");
	assert_faults("a:\n\tb: c\n", -EINVAL,
		"f:2:1: found character that cannot start any token (while scanning for the next "
		"token that begins at 2:1); indent with blanks, not tabs, and quote what begins "
		"with @ ` or %\n");
	assert_faults("a: 'b\n", -EINVAL,
		"f:2:1: found unexpected end of stream (while scanning a quoted scalar that begins "
		"at 1:4)\n");
}

static void what_hides_meaning_is_refused_all_at_once(void **state)
{
	(void)state;
	assert_faults("a: &x 1\n"
		      "b: *x\n"
		      "c: !!int 3\n"
		      "d:\n"
		      "  <<: {e: 1}\n"
		      "*x : 4\n",
		0,
		"f:1:4: anchors (&name) are not supported: write out what is meant\n"
		"f:2:4: aliases (*name) are not supported: write out what is meant\n"
		"f:3:4: tags (!name) are not supported: write out what is meant\n"
		"f:5:3: merge keys (<<) are not supported: write out what is meant\n"
		"f:6:1: aliases (*name) are not supported: write out what is meant\n");
	assert_faults("- &a [x]\n- ! {y: z}\n- '<<'\n", 0,
		"f:1:3: anchors (&name) are not supported: write out what is meant\n"
		"f:2:3: tags (!name) are not supported: write out what is meant\n");
	/* Quoted it is a key like others. */
	assert_faults("'<<': 1\n", 0, "");
}

static void a_refused_value_is_marked(void **state)
{
	(void)state;
	struct read r = read_text("a: *x\nb: \"\\0\"\nc: 1\n");

	assert_int_equal(r.result, 0);
	assert_true(get(r.root, "a")->refused);
	assert_true(get(r.root, "b")->refused);
	assert_false(get(r.root, "c")->refused);
	assert_string_equal(mqw_buffer_str(&r.diag.text),
		"f:1:4: aliases (*name) are not supported: write out what is meant\n"
		"f:2:4: NUL bytes cannot be part of a value\n");
	done(&r);
}

static void a_key_that_stands_twice_shows_both_places(void **state)
{
	(void)state;
	struct read r = read_text("a: 1\nb: {x: 1, x: [2, {a: 3}]}\n'a': 2\nx: 1\n");

	assert_string_equal(mqw_buffer_str(&r.diag.text),
		"f:2:11: key \"x\" stands twice in this mapping; first at 2:5\n"
		"f:3:1: key \"a\" stands twice in this mapping; first at 1:1\n");
	assert_int_equal(r.result, 0);
	assert_int_equal(r.root->count, 3);
	assert_string_equal(get(r.root, "a")->text.ptr, "1");
	assert_int_equal(get(r.root, "b")->count, 1);
	done(&r);
}

static void odd_keys_end_the_reading(void **state)
{
	(void)state;
	assert_faults("? [a]\n: b\n", -EINVAL, "f:1:3: a key must be a single word\n");
	assert_faults("{{a: b}: c}", -EINVAL, "f:1:2: a key must be a single word\n");
	assert_faults("a: 1\n--- \nb: 2\n", -EINVAL,
		"f:2:1: a second document: only one is allowed in a file\n");
	assert_faults("---\na: 1\n...\n", 0, "");
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static char *repeat(const char *unit, size_t n, size_t *ret_len)
{
	size_t len = strlen(unit);
	char *p = malloc(n * len + 1);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		memcpy(p + i * len, unit, len);
	p[n * len] = '\0';
	*ret_len = n * len;
	return p;
}

static void depth_is_limited_before_it_costs(void **state)
{
	(void)state;
	static const struct {
		const char *unit;
		size_t column;
	} bombs[] = {{"[", 33}, {"{a: ", 129}, {"- ", 65}};
	char want[100];

	for (size_t i = 0; i < 3; i++) {
		size_t len;
		char *text = repeat(bombs[i].unit, 100000, &len);
		double start = seconds();

		snprintf(want, sizeof(want), "f:1:%zu: nested deeper than 32 levels\n",
			bombs[i].column);
		assert_faults_of(mqw_slice(text, len), -EINVAL, want);
		assert_true(seconds() - start < 0.05);
		free(text);
	}
	assert_faults("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 0, "");
}

static void nodes_are_limited(void **state)
{
	(void)state;
	size_t len;
	char *text = repeat("- \n", 99999, &len);

	assert_faults_of(mqw_slice(text, len), 0, "");
	free(text);
	text = repeat("- \n", 100000, &len);
	assert_faults_of(
		mqw_slice(text, len), -EINVAL, "f:100000:2: more than 100,000 keys and values\n");
	free(text);
}

static void sizes_are_limited(void **state)
{
	(void)state;
	size_t len;
	char *text = repeat("x", 65537, &len);

	assert_faults_of(mqw_slice(text, 65536), 0, "");
	assert_faults_of(mqw_slice(text, 65537), -EINVAL, "f:1:1: a value longer than 64 KiB\n");
	free(text);
	text = repeat("#\n", MQW_YAML_SIZE_MAX / 2, &len);
	assert_faults_of(mqw_slice(text, len), 0, "");
	free(text);
	text = repeat("#\n", MQW_YAML_SIZE_MAX / 2 + 1, &len);
	assert_faults_of(mqw_slice(text, len), -EINVAL, "f: longer than 1 MiB\n");
	free(text);
}

/* 40,000 different keys and as many maps: finding doubles must not be quadratic. */
static void many_keys_are_cheap(void **state)
{
	(void)state;
	struct mqw_buffer b = {0};
	double start;

	for (int i = 0; i < 33000; i++)
		mqw_buffer_printf(&b, "key%d: {a: 1\n}\n", i);
	start = seconds();
	struct read r = read_bytes(mqw_buffer_slice(&b));

	assert_int_equal(r.result, -EINVAL); /* 132,000 nodes */
	assert_true(seconds() - start < 1.0);
	done(&r);
	mqw_buffer_done(&b);
}

static void faults_come_in_order_and_are_counted(void **state)
{
	(void)state;
	struct mqw_faults f = {0};
	struct mqw_diag d = {0};
	struct mqw_buffer want = {0};

	for (size_t i = 50; i >= 1; i--)
		mqw_faults_add(&f, i, 2, "fault %zu", i);
	mqw_faults_add(&f, 3, 1, "first of its line");
	mqw_faults_add(&f, 3, 2, "behind its equal");
	mqw_faults_flush(&f, "x", &d);
	mqw_buffer_add_str(&want,
		"x:1:2: fault 1\nx:2:2: fault 2\nx:3:1: first of its line\n"
		"x:3:2: fault 3\nx:3:2: behind its equal\n");
	for (int i = 4; i <= 18; i++)
		mqw_buffer_printf(&want, "x:%d:2: fault %d\n", i, i);
	assert_string_equal(mqw_buffer_str(&d.text), mqw_buffer_str(&want));
	assert_int_equal(d.count, 52);
	assert_int_equal(f.count, 0);
	mqw_diag_done(&d);
	mqw_buffer_done(&want);
}

static void words_near_are_found(void **state)
{
	(void)state;
	static const char *const known[] = {"name", "type", "log", "lifetime", "min_lifetime"};

	assert_string_equal(mqw_nearest(MQW_LIT("naem"), known, 5), "name");
	assert_string_equal(mqw_nearest(MQW_LIT("LIFETME"), known, 5), "lifetime");
	assert_string_equal(mqw_nearest(MQW_LIT("min-lifetime"), known, 5), "min_lifetime");
	assert_string_equal(mqw_nearest(MQW_LIT("lg"), known, 5), "log");
	assert_null(mqw_nearest(MQW_LIT("to"), known, 5));
	assert_null(mqw_nearest(MQW_LIT("retries"), known, 5));
	assert_null(mqw_nearest(MQW_LIT(""), known, 5));
	assert_int_equal(mqw_edit_distance(MQW_LIT("ca"), MQW_LIT("abc"), 5), 3);
	assert_int_equal(mqw_edit_distance(MQW_LIT("kitten"), MQW_LIT("sitting"), 5), 3);
	assert_int_equal(mqw_edit_distance(MQW_LIT("kitten"), MQW_LIT("sitting"), 2), 3);
	assert_int_equal(mqw_edit_distance(MQW_LIT(""), MQW_LIT("abc"), 5), 3);
}

static void long_values_are_cut_when_shown(void **state)
{
	(void)state;
	char text[200];

	assert_string_equal(mqw_show(MQW_LIT("short")).text, "\"short\"");
	assert_string_equal(mqw_show(MQW_SLICE_NULL).text, "\"\"");
	memset(text, 'x', sizeof(text));
	assert_int_equal(strlen(mqw_show(mqw_slice(text, sizeof(text))).text), 71);
	/* A two-byte character across the cut is left out whole. */
	text[65] = (char)0xc3;
	text[66] = (char)0xa4;
	assert_int_equal(strlen(mqw_show(mqw_slice(text, sizeof(text))).text), 70);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_node_knows_its_place),
		cmocka_unit_test(scalars_stay_text),
		cmocka_unit_test(columns_count_characters),
		cmocka_unit_test(an_empty_file_has_no_root),
		cmocka_unit_test(a_byte_order_mark_moves_nothing),
		cmocka_unit_test(line_ends_of_windows_are_read),
		cmocka_unit_test(faults_of_the_encoding_have_a_line),
		cmocka_unit_test(syntax_errors_show_where_and_since_where),
		cmocka_unit_test(what_hides_meaning_is_refused_all_at_once),
		cmocka_unit_test(a_refused_value_is_marked),
		cmocka_unit_test(a_key_that_stands_twice_shows_both_places),
		cmocka_unit_test(odd_keys_end_the_reading),
		cmocka_unit_test(depth_is_limited_before_it_costs),
		cmocka_unit_test(nodes_are_limited),
		cmocka_unit_test(sizes_are_limited),
		cmocka_unit_test(many_keys_are_cheap),
		cmocka_unit_test(faults_come_in_order_and_are_counted),
		cmocka_unit_test(words_near_are_found),
		cmocka_unit_test(long_values_are_cut_when_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
