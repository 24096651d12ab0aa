/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/config/yaml.h"

#include <errno.h>

#include <yaml.h>

#include "watchdogd/base/map.h"
#include "watchdogd/config/faults.h"

/* The messages below say these numbers. */
_Static_assert(MQW_YAML_SCALAR_MAX == 65536 && MQW_YAML_DEPTH_MAX == 32 &&
		MQW_YAML_NODES_MAX == 100000 && MQW_YAML_SIZE_MAX == 1048576,
	"limits and messages");

/* A key that was seen: map and text are one run of bytes, the key of reader.keys. */
struct seen_key {
	size_t line, column;
	const struct mqw_yaml_node *map;
	char text[];
};

/* A mapping or list that is being filled. */
struct frame {
	struct mqw_yaml_node *node;
	const struct seen_key *key; /* of a mapping: waits for its value */
	bool discard; /* the value of this key is read and dropped */
};

struct reader {
	yaml_parser_t parser;
	struct mqw_arena *arena;
	struct mqw_faults *faults;
	struct mqw_slice text;
	struct mqw_map keys; /* all keys of all mappings, to find those that stand twice */
	struct frame stack[MQW_YAML_DEPTH_MAX];
	size_t depth;
	size_t nodes;
	size_t documents;
	struct mqw_yaml_node *root;
};

static size_t line_of(yaml_mark_t mark)
{
	return mark.line + 1;
}

static size_t column_of(yaml_mark_t mark)
{
	return mark.column + 1;
}

/* libyaml gives faults of the encoding as a byte offset only. */
static void place_of_offset(
	struct mqw_slice text, size_t offset, size_t *ret_line, size_t *ret_column)
{
	*ret_line = *ret_column = 1;
	for (size_t i = 0; i < offset && i < text.len; i++) {
		bool crlf = text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n';

		if (text.ptr[i] == '\n' || (text.ptr[i] == '\r' && !crlf)) {
			++*ret_line;
			*ret_column = 1;
		} else if (((unsigned char)text.ptr[i] & 0xc0) != 0x80) {
			++*ret_column;
		}
	}
}

/* What libyaml's words mean for the person who wrote the line. */
static const char *hint(const char *problem)
{
	static const struct {
		const char *problem, *hint;
	} hints[] = {
		{"mapping values are not allowed in this context",
			"; a value that contains \": \" needs quotes"},
		{"found character that cannot start any token",
			"; indent with blanks, not tabs, and quote what begins with @ ` or %"},
		{"did not find expected key", "; is the line indented like its neighbours?"},
		{"could not find expected ':'", "; is a \": \" or a quote missing?"},
	};

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strcmp(problem, hints[i].problem) == 0)
			return hints[i].hint;
	return "";
}

static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "not understood";
	size_t line, column;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR) {
		place_of_offset(r->text, p->problem_offset, &line, &column);
		if (p->problem_value == -1)
			mqw_faults_add(r->faults, line, column, "not UTF-8 text: %s", problem);
		else
			mqw_faults_add(r->faults, line, column, "not UTF-8 text: %s (0x%02x)",
				problem, (unsigned int)p->problem_value);
		return -EINVAL;
	}
	line = line_of(p->problem_mark);
	column = column_of(p->problem_mark);
	if (p->context)
		mqw_faults_add(r->faults, line, column, "%s (%s that begins at %zu:%zu)%s", problem,
			p->context, line_of(p->context_mark), column_of(p->context_mark),
			hint(problem));
	else
		mqw_faults_add(r->faults, line, column, "%s%s", problem, hint(problem));
	return -EINVAL;
}

/* Faults that end the reading. */
static int stop(struct reader *r, const yaml_event_t *e, const char *why)
{
	mqw_faults_add(r->faults, line_of(e->start_mark), column_of(e->start_mark), "%s", why);
	return -EINVAL;
}

/* Faults after which reading goes on. */
static void refuse(struct reader *r, const yaml_event_t *e, const char *what)
{
	mqw_faults_add(r->faults, line_of(e->start_mark), column_of(e->start_mark),
		"%s not supported: write out what is meant", what);
}

static void refuse_properties(struct reader *r, const yaml_event_t *e)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		refuse(r, e, "anchors (&name) are");
	if (tag)
		refuse(r, e, "tags (!name) are");
}

/* 1 with the text, 0 when it was refused and reading can go on; or a negative errno. */
static int scalar_text(struct reader *r, const yaml_event_t *e, struct mqw_slice *ret)
{
	struct mqw_slice s = mqw_slice((const char *)e->data.scalar.value, e->data.scalar.length);

	if (s.len > MQW_YAML_SCALAR_MAX)
		return stop(r, e, "a value longer than 64 KiB");
	if (mqw_slice_chr(s, '\0') < s.len) {
		mqw_faults_add(r->faults, line_of(e->start_mark), column_of(e->start_mark),
			"NUL bytes cannot be part of a value");
		return 0;
	}
	*ret = s;
	return 1;
}

static int take_key(struct reader *r, struct frame *f, const yaml_event_t *e)
{
	struct mqw_slice text = MQW_SLICE_NULL, bytes;
	struct seen_key *k;
	const struct seen_key *earlier;
	int taken = 0;

	if (e->type == YAML_ALIAS_EVENT)
		refuse(r, e, "aliases (*name) are");
	else if (e->type != YAML_SCALAR_EVENT)
		return stop(r, e, "a key must be a single word");
	else if ((taken = scalar_text(r, e, &text)) < 0)
		return taken;
	k = mqw_arena_alloc(r->arena, sizeof(*k) + text.len + 1);
	if (!k)
		return -ENOMEM;
	*k = (struct seen_key){line_of(e->start_mark), column_of(e->start_mark), f->node};
	if (text.len)
		memcpy(k->text, text.ptr, text.len);
	f->key = k;
	f->discard = !taken;
	if (!taken)
		return 0;
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && mqw_slice_eq(text, MQW_LIT("<<"))) {
		refuse(r, e, "merge keys (<<) are");
		f->discard = true;
		return 0;
	}
	bytes = mqw_slice((const char *)&k->map, sizeof(k->map) + text.len);
	earlier = mqw_map_get(&r->keys, bytes);
	if (earlier) {
		mqw_faults_add(r->faults, k->line, k->column,
			"key %s stands twice in this mapping; first at %zu:%zu",
			mqw_show(text).text, earlier->line, earlier->column);
		f->discard = true;
		return 0;
	}
	return mqw_map_put(&r->keys, bytes, k);
}

static void attach(struct reader *r, struct mqw_yaml_node *n)
{
	struct frame *f = r->depth ? &r->stack[r->depth - 1] : NULL;
	bool discard = false;

	if (!f) {
		r->root = n;
		return;
	}
	if (f->node->kind == MQW_YAML_MAP) {
		n->key = mqw_slice_of(f->key->text);
		n->key_line = f->key->line;
		n->key_column = f->key->column;
		discard = f->discard;
		f->key = NULL;
	}
	if (discard)
		return;
	if (f->node->last)
		f->node->last->next = n;
	else
		f->node->first = n;
	f->node->last = n;
	f->node->count++;
}

static int fill_scalar(struct reader *r, struct mqw_yaml_node *n, const yaml_event_t *e)
{
	struct mqw_slice text = MQW_SLICE_NULL;
	char *copy;
	int taken = scalar_text(r, e, &text);

	if (taken < 0)
		return taken;
	copy = mqw_arena_strdup(r->arena, text);
	if (!copy)
		return -ENOMEM;
	n->text = mqw_slice(copy, text.len);
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->refused = !taken;
	return 0;
}

static int take_value(struct reader *r, const yaml_event_t *e)
{
	struct mqw_yaml_node *n = mqw_arena_alloc(r->arena, sizeof(*n));
	int err = 0;

	if (!n)
		return -ENOMEM;
	n->line = line_of(e->start_mark);
	n->column = column_of(e->start_mark);
	n->kind = e->type == YAML_MAPPING_START_EVENT  ? MQW_YAML_MAP
		: e->type == YAML_SEQUENCE_START_EVENT ? MQW_YAML_LIST
						       : MQW_YAML_SCALAR;
	if (e->type == YAML_ALIAS_EVENT) {
		refuse(r, e, "aliases (*name) are");
		n->refused = true;
	} else if (n->kind == MQW_YAML_SCALAR) {
		err = fill_scalar(r, n, e);
	} else if (r->depth == MQW_YAML_DEPTH_MAX) {
		return stop(r, e, "nested deeper than 32 levels");
	}
	if (err < 0)
		return err;
	attach(r, n);
	if (n->kind != MQW_YAML_SCALAR)
		r->stack[r->depth++] = (struct frame){.node = n};
	return 0;
}

static int take_node(struct reader *r, const yaml_event_t *e)
{
	struct frame *f = r->depth ? &r->stack[r->depth - 1] : NULL;

	if (++r->nodes > MQW_YAML_NODES_MAX)
		return stop(r, e, "more than 100,000 keys and values");
	refuse_properties(r, e);
	if (f && f->node->kind == MQW_YAML_MAP && !f->key)
		return take_key(r, f, e);
	return take_value(r, e);
}

/* 1 go on, 0 at the end, or a negative errno. */
static int take_event(struct reader *r, const yaml_event_t *e)
{
	int err = 0;

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++r->documents > 1)
			err = stop(r, e, "a second document: only one is allowed in a file");
		break;
	case YAML_ALIAS_EVENT:
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		err = take_node(r, e);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		break;
	case YAML_STREAM_END_EVENT:
		return 0;
	default:
		break;
	}
	return err < 0 ? err : 1;
}

static int read_events(struct reader *r)
{
	yaml_event_t event;
	int more;

	do {
		if (!yaml_parser_parse(&r->parser, &event))
			return syntax_error(r);
		more = take_event(r, &event);
		yaml_event_delete(&event);
	} while (more > 0);
	return more;
}

int mqw_yaml_parse(struct mqw_arena *a, struct mqw_slice text, struct mqw_yaml_node **ret,
	struct mqw_faults *f)
{
	struct reader r = {.arena = a, .faults = f};
	int err;

	if (text.len > MQW_YAML_SIZE_MAX) {
		mqw_faults_add(f, 0, 0, "longer than 1 MiB");
		return -EINVAL;
	}
	if (mqw_slice_starts(text, MQW_LIT("\xff\xfe")) ||
		mqw_slice_starts(text, MQW_LIT("\xfe\xff"))) {
		mqw_faults_add(f, 1, 1, "UTF-16 text: save the file as UTF-8");
		return -EINVAL;
	}
	/* libyaml would count the mark as a column. */
	mqw_slice_skip(&text, MQW_LIT("\xef\xbb\xbf"));
	r.text = text;
	if (!yaml_parser_initialize(&r.parser))
		return -ENOMEM;
	mqw_map_init(&r.keys, mqw_map_random_seed());
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
		&r.parser, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
	err = read_events(&r);
	yaml_parser_delete(&r.parser);
	mqw_map_done(&r.keys);
	if (err == 0)
		*ret = r.root;
	return err;
}

const struct mqw_yaml_node *mqw_yaml_get(const struct mqw_yaml_node *map, struct mqw_slice key)
{
	if (!map || map->kind != MQW_YAML_MAP)
		return NULL;
	for (const struct mqw_yaml_node *n = map->first; n; n = n->next)
		if (mqw_slice_eq(n->key, key))
			return n;
	return NULL;
}

bool mqw_yaml_is_empty(const struct mqw_yaml_node *n)
{
	return n->kind == MQW_YAML_SCALAR && n->plain && n->text.len == 0;
}

const char *mqw_yaml_kind_name(enum mqw_yaml_kind kind)
{
	static const char *const names[] = {"a single value", "a list", "a mapping"};

	return names[kind];
}
