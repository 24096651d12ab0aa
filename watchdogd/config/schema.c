/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/config/schema.h"

#include <errno.h>

#include "watchdogd/base/clock.h"

#define KNOWN_MAX 32 /* keys of one mapping */

struct place {
	struct mqw_arena *arena;
	struct mqw_faults *faults;
	char *base; /* the struct that is filled */
};

/* Adds a, b, c. */
static void add_words(struct mqw_buffer *b, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mqw_buffer_printf(b, "%s%s", i ? ", " : "", words[i]);
}

void mqw_schema_unknown_key(struct mqw_faults *f, const struct mqw_yaml_node *n, const char *what,
	const char *const *known, size_t count)
{
	const char *near = mqw_nearest(n->key, known, count);
	struct mqw_buffer all = {0};

	add_words(&all, known, count);
	if (near)
		mqw_faults_add(f, n->key_line, n->key_column,
			"unknown key %s in %s; did you mean \"%s\"?", mqw_show(n->key).text, what,
			near);
	else
		mqw_faults_add(f, n->key_line, n->key_column, "unknown key %s in %s; known are: %s",
			mqw_show(n->key).text, what, mqw_buffer_str(&all));
	mqw_buffer_done(&all);
}

bool mqw_schema_expect(const struct mqw_yaml_node *n, enum mqw_yaml_kind kind, const char *name,
	struct mqw_faults *f)
{
	if (n->refused)
		return false;
	if (mqw_yaml_is_empty(n)) {
		mqw_faults_add(f, n->line, n->column, "%s: has no value; it must be %s", name,
			mqw_yaml_kind_name(kind));
		return false;
	}
	if (n->kind == kind)
		return true;
	mqw_faults_add(f, n->line, n->column, "%s: must be %s, not %s", name,
		mqw_yaml_kind_name(kind), mqw_yaml_kind_name(n->kind));
	return false;
}

void mqw_schema_reject(
	struct mqw_faults *f, const struct mqw_yaml_node *n, const char *name, const char *allowed)
{
	mqw_faults_add(
		f, n->line, n->column, "%s: %s is not %s", name, mqw_show(n->text).text, allowed);
}

static size_t words_count(const char *const *words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

static int word_index(struct mqw_slice text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (mqw_slice_eq(text, mqw_slice_of(words[i])))
			return i;
	return -1;
}

int mqw_schema_word(struct mqw_faults *f, const struct mqw_yaml_node *n, const char *name,
	const char *const *words)
{
	size_t count = words_count(words);
	int i = word_index(n->text, words);
	const char *near;
	struct mqw_buffer all = {0};

	if (i >= 0)
		return i;
	near = mqw_nearest(n->text, words, count);
	add_words(&all, words, count);
	mqw_faults_add(f, n->line, n->column, "%s: unknown word %s; %s%s%sallowed: %s", name,
		mqw_show(n->text).text, near ? "did you mean \"" : "", near ? near : "",
		near ? "\"? " : "", mqw_buffer_str(&all));
	mqw_buffer_done(&all);
	return -1;
}

static void put(const struct place *p, size_t offset, const void *value, size_t size)
{
	memcpy(p->base + offset, value, size);
}

static void out_of_range(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	int64_t max = d->max ? d->max : d->kind == MQW_FIELD_NUMBER ? UINT32_MAX : INT64_MAX;
	struct mqw_buffer range = {0};

	if (d->kind == MQW_FIELD_SPAN) {
		mqw_span_format(&range, d->min);
		mqw_buffer_add_str(&range, " to ");
		mqw_span_format(&range, max);
	} else if (d->min == max) {
		mqw_buffer_printf(&range, "%lld", (long long)max);
	} else {
		mqw_buffer_printf(&range, "%lld to %lld", (long long)d->min, (long long)max);
	}
	mqw_faults_add(p->faults, n->line, n->column, "%s: %s is out of range; allowed is %s",
		d->name, mqw_show(n->text).text, mqw_buffer_str(&range));
	mqw_buffer_done(&range);
}

static bool in_range(const struct mqw_field *d, int64_t value)
{
	return d->max == 0 || (value >= d->min && value <= d->max);
}

static void read_span(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	int64_t span;

	if (!mqw_span_parse(n->text, 0, &span))
		mqw_schema_reject(p->faults, n, d->name, "a span of time such as 30s, 10m, 4h, 5d");
	else if (!in_range(d, span))
		out_of_range(p, d, n);
	else
		put(p, d->offset, &span, sizeof(span));
}

static void read_size(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	uint64_t size;

	if (!mqw_size_parse(n->text, &size))
		mqw_schema_reject(p->faults, n, d->name, "a size such as 512M or 2G");
	else if (size > INT64_MAX || !in_range(d, (int64_t)size))
		out_of_range(p, d, n);
	else
		put(p, d->offset, &size, sizeof(size));
}

static void read_number(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	struct mqw_slice rest = n->text;
	uint64_t number;
	uint32_t narrow;

	if (!mqw_slice_take_u64(&rest, &number) || rest.len) {
		mqw_schema_reject(p->faults, n, d->name, "a whole number");
	} else if (number > UINT32_MAX || !in_range(d, (int64_t)number)) {
		out_of_range(p, d, n);
	} else {
		narrow = (uint32_t)number;
		put(p, d->offset, &narrow, sizeof(narrow));
	}
}

static void read_flag(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	static const char *const words[] = {"false", "true", "no", "yes", NULL};
	int i = word_index(n->text, words);
	bool flag = i == 1 || i == 3;

	if (i < 0)
		mqw_schema_reject(p->faults, n, d->name, "true or false");
	else
		put(p, d->offset, &flag, sizeof(flag));
}

static void read_word(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	int i = mqw_schema_word(p->faults, n, d->name, d->words);

	if (i >= 0)
		put(p, d->offset, &i, sizeof(i));
}

/* Texts end up in logs, file names and argument vectors: none of these takes a line break well. */
static const char *check_text(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return "a text of one line without control characters";
	return s.len ? NULL : "a text that is not empty";
}

static bool text_is_good(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	const char *allowed = check_text(n->text);

	if (!allowed && d->check)
		allowed = d->check(n->text);
	if (allowed)
		mqw_schema_reject(p->faults, n, d->name, allowed);
	return !allowed;
}

/* The first of the one or many values of a field that takes both. */
static const struct mqw_yaml_node *first_value(const struct mqw_yaml_node *n)
{
	return n->kind == MQW_YAML_LIST ? n->first : n;
}

static int read_texts(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	size_t room = n->kind == MQW_YAML_LIST ? n->count : 1, count = 0;
	const char **texts = mqw_arena_array(p->arena, room + 1, sizeof(*texts));

	if (!texts)
		return -ENOMEM;
	for (const struct mqw_yaml_node *v = first_value(n); v; v = n == v ? NULL : v->next)
		if (mqw_schema_expect(v, MQW_YAML_SCALAR, d->name, p->faults) &&
			text_is_good(p, d, v))
			texts[count++] = v->text.ptr;
	put(p, d->offset, &texts, sizeof(texts));
	if (d->count_offset != SIZE_MAX)
		put(p, d->count_offset, &count, sizeof(count));
	return 0;
}

static void read_words(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	uint32_t bits = 0;

	for (const struct mqw_yaml_node *v = first_value(n); v; v = n == v ? NULL : v->next) {
		int i;

		if (!mqw_schema_expect(v, MQW_YAML_SCALAR, d->name, p->faults))
			continue;
		i = mqw_schema_word(p->faults, v, d->name, d->words);
		if (i >= 0)
			bits |= UINT32_C(1) << i;
	}
	put(p, d->offset, &bits, sizeof(bits));
}

static int read_scalar(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	switch (d->kind) {
	case MQW_FIELD_TEXT:
		if (text_is_good(p, d, n))
			put(p, d->offset, &n->text.ptr, sizeof(n->text.ptr));
		break;
	case MQW_FIELD_SPAN:
		read_span(p, d, n);
		break;
	case MQW_FIELD_SIZE:
		read_size(p, d, n);
		break;
	case MQW_FIELD_NUMBER:
		read_number(p, d, n);
		break;
	case MQW_FIELD_FLAG:
		read_flag(p, d, n);
		break;
	case MQW_FIELD_WORD:
		read_word(p, d, n);
		break;
	case MQW_FIELD_WORDS:
		read_words(p, d, n);
		break;
	case MQW_FIELD_TEXTS:
		return read_texts(p, d, n);
	case MQW_FIELD_NODE:
		break;
	}
	return 0;
}

static int read_field(
	const struct place *p, const struct mqw_field *d, const struct mqw_yaml_node *n)
{
	bool many = d->kind == MQW_FIELD_TEXTS || d->kind == MQW_FIELD_WORDS;

	if (d->kind == MQW_FIELD_NODE) {
		if (!n->refused)
			put(p, d->offset, &n, sizeof(n));
		return 0;
	}
	if (many && n->kind == MQW_YAML_LIST) {
		if (n->count == 0)
			mqw_faults_add(
				p->faults, n->line, n->column, "%s: the list is empty", d->name);
		else if (d->kind == MQW_FIELD_TEXTS)
			return read_texts(p, d, n);
		else
			read_words(p, d, n);
		return 0;
	}
	if (!mqw_schema_expect(n, MQW_YAML_SCALAR, d->name, p->faults))
		return 0;
	return read_scalar(p, d, n);
}

static int read_known(const struct place *p, const struct mqw_yaml_node *map, const char *what,
	const struct mqw_field *d)
{
	const struct mqw_yaml_node *n = mqw_yaml_get(map, mqw_slice_of(d->name));

	if (d->fallback) {
		struct mqw_yaml_node stand_in = {.kind = MQW_YAML_SCALAR,
			.line = map->line,
			.column = map->column,
			.text = mqw_slice_of(d->fallback)};
		int err = read_scalar(p, d, &stand_in);

		if (err < 0)
			return err;
	}
	if (n)
		return read_field(p, d, n);
	if (d->required)
		mqw_faults_add(p->faults, map->line, map->column, "%s needs the key \"%s\"", what,
			d->name);
	return 0;
}

int mqw_schema_read(struct mqw_arena *a, const struct mqw_yaml_node *map, const char *what,
	const struct mqw_field *fields, size_t count, void *ret, struct mqw_faults *f)
{
	const struct place p = {a, f, ret};
	const char *known[KNOWN_MAX];

	for (size_t i = 0; i < count && i < KNOWN_MAX; i++)
		known[i] = fields[i].name;
	for (const struct mqw_yaml_node *n = map->first; n; n = n->next) {
		size_t i = 0;

		while (i < count && !mqw_slice_eq(n->key, mqw_slice_of(fields[i].name)))
			i++;
		if (i == count)
			mqw_schema_unknown_key(f, n, what, known, count);
	}
	for (size_t i = 0; i < count; i++) {
		int err = read_known(&p, map, what, &fields[i]);

		if (err < 0)
			return err;
	}
	return 0;
}
