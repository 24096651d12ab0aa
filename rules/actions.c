/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `do:` of a rule: which actions, with which budget. */
#include <errno.h>

#include "rules/rule.h"
#include "watchdogd/config/schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ACTIONS_MAX 16 /* of one rule */

static const char *const kind_words[] = {"recover", "requeue", "flush", "restart", "alert", NULL};
_Static_assert(COUNT(kind_words) == MQW_ACTION_COUNT + 1, "a word for each action");

const char *mqw_action_name(enum mqw_action_kind kind)
{
	return kind_words[kind];
}

struct mqw_budget mqw_budget_default(enum mqw_action_kind kind)
{
	static const struct mqw_budget budgets[MQW_ACTION_COUNT] = {
		[MQW_ACTION_RECOVER] = {100, MQW_HOUR, 0},
		[MQW_ACTION_REQUEUE] = {100, MQW_HOUR, 0},
		[MQW_ACTION_FLUSH] = {6, MQW_HOUR, 5 * MQW_MINUTE},
		[MQW_ACTION_RESTART] = {2, MQW_HOUR, 10 * MQW_MINUTE},
		[MQW_ACTION_ALERT] = {60, MQW_HOUR, 0},
	};

	return budgets[kind];
}

/* "2 per 1h" */
static bool parse_at_most(struct mqw_slice s, struct mqw_budget *ret)
{
	uint64_t n;
	int64_t per;

	s = mqw_slice_trim(s);
	if (!mqw_slice_take_u64(&s, &n) || n < 1 || n > 100000)
		return false;
	if (s.len == 0 || (s.ptr[0] != ' ' && s.ptr[0] != '\t'))
		return false;
	s = mqw_slice_trim(s);
	if (!mqw_slice_skip(&s, MQW_LIT("per ")) || !mqw_span_parse(mqw_slice_trim(s), 0, &per) ||
		per < MQW_SECOND || per > 366 * MQW_DAY)
		return false;
	ret->at_most = (uint32_t)n;
	ret->per = per;
	return true;
}

static const char *check_at_most(struct mqw_slice s)
{
	struct mqw_budget b;

	return parse_at_most(s, &b) ? NULL : "a budget such as 2 per 1h, of at least 1";
}

/* HOST:PORT; an IPv6 address stands in brackets. */
static const char *check_host_port(struct mqw_slice s)
{
	size_t colon = s.len;
	struct mqw_slice host, port;
	uint64_t n = 0;

	while (colon > 0 && s.ptr[colon - 1] != ':')
		colon--;
	host = mqw_slice_head(s, colon ? colon - 1 : 0);
	port = mqw_slice_from(s, colon);
	if (host.len == 0 || host.len > 255 || mqw_slice_chr(s, ' ') < s.len ||
		!mqw_slice_take_u64(&port, &n) || port.len || n < 1 || n > 65535)
		return "HOST:PORT such as 127.0.0.1:25";
	if (mqw_slice_chr(host, ':') < host.len &&
		(host.ptr[0] != '[' || host.ptr[host.len - 1] != ']'))
		return "HOST:PORT; an IPv6 address needs brackets, as [::1]:25";
	return NULL;
}

struct options {
	const char *at_most;
	int64_t cooldown;
	const struct mqw_yaml_node *healthy;
};

static const struct mqw_field option_fields[] = {
	{"at_most", MQW_FIELD_TEXT, false, offsetof(struct options, at_most),
		.check = check_at_most},
	{"cooldown", MQW_FIELD_SPAN, false, offsetof(struct options, cooldown),
		.max = 31 * MQW_DAY},
	/* The last one is for restart only. */
	{"healthy", MQW_FIELD_NODE, false, .offset = offsetof(struct options, healthy)},
};

static const struct mqw_field healthy_fields[] = {
	{"smtp", MQW_FIELD_TEXT, true, offsetof(struct mqw_action, healthy_smtp),
		.check = check_host_port},
	{"within", MQW_FIELD_SPAN, false, offsetof(struct mqw_action, healthy_within),
		.min = MQW_SECOND, .max = 10 * MQW_MINUTE, .fallback = "30s"},
};

static int read_options(struct mqw_arena *a, struct mqw_action *action,
	const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	struct options options = {.cooldown = action->budget.cooldown};
	const char *what = mqw_action_name(action->kind);
	size_t count = COUNT(option_fields) - (action->kind != MQW_ACTION_RESTART);
	int err;

	/* `- restart:` with nothing behind it asks for the defaults. */
	if (mqw_yaml_is_empty(n) || !mqw_schema_expect(n, MQW_YAML_MAP, what, f))
		return 0;
	err = mqw_schema_read(a, n, what, option_fields, count, &options, f);
	if (err < 0)
		return err;
	if (options.at_most)
		parse_at_most(mqw_slice_of(options.at_most), &action->budget);
	action->budget.cooldown = options.cooldown;
	if (!options.healthy || !mqw_schema_expect(options.healthy, MQW_YAML_MAP, "healthy", f))
		return 0;
	return mqw_schema_read(
		a, options.healthy, "healthy", healthy_fields, COUNT(healthy_fields), action, f);
}

static void read_channel(const struct mqw_config *c, struct mqw_action *action,
	const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	const char *known[65] = {"journal"};
	size_t count = 1;
	const char *near;

	if (!mqw_schema_expect(n, MQW_YAML_SCALAR, "alert", f))
		return;
	for (size_t i = 0; i < c->alert_count && count < COUNT(known); i++)
		known[count++] = c->alerts[i].name;
	for (size_t i = 0; i < count; i++)
		if (mqw_slice_eq(n->text, mqw_slice_of(known[i]))) {
			action->alert = known[i];
			return;
		}
	near = mqw_nearest(n->text, known, count);
	mqw_faults_add(f, n->line, n->column,
		"alert: %s is not among the alerts of this file, nor \"journal\"%s%s%s",
		mqw_show(n->text).text, near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

/* The kind that a word names, or MQW_ACTION_COUNT and a fault. */
static enum mqw_action_kind kind_of_word(const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	int i = mqw_schema_word(f, n, "do", kind_words);

	if (i == MQW_ACTION_ALERT) {
		mqw_faults_add(f, n->line, n->column, "alert needs a channel, as {alert: journal}");
		return MQW_ACTION_COUNT;
	}
	return i < 0 ? MQW_ACTION_COUNT : (enum mqw_action_kind)i;
}

static enum mqw_action_kind kind_of_key(const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	for (size_t i = 0; i < MQW_ACTION_COUNT; i++)
		if (mqw_slice_eq(n->key, mqw_slice_of(kind_words[i])))
			return (enum mqw_action_kind)i;
	mqw_schema_unknown_key(f, n, "do", kind_words, MQW_ACTION_COUNT);
	return MQW_ACTION_COUNT;
}

/* Budgets are kept by rule and action, so that one action cannot stand twice with two of them. */
static void check_twice(
	const struct mqw_rule *rule, const struct mqw_action *action, struct mqw_faults *f)
{
	for (size_t i = 0; i < rule->action_count; i++) {
		const struct mqw_action *other = &rule->actions[i];

		if (other->kind != action->kind)
			continue;
		/* Alerts of one rule go to different channels; one without is a fault already. */
		if (action->kind == MQW_ACTION_ALERT &&
			(!other->alert || !action->alert ||
				strcmp(other->alert, action->alert) != 0))
			continue;
		mqw_faults_add(f, action->line, action->column,
			"%s stands twice in this rule; first at %zu:%zu",
			mqw_action_name(action->kind), other->line, other->column);
		return;
	}
}

static int read_action(struct mqw_arena *a, const struct mqw_config *c, struct mqw_rule *rule,
	const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	struct mqw_action action = {.line = n->line, .column = n->column};
	int err = 0;

	if (n->refused)
		return 0;
	if (n->kind == MQW_YAML_LIST || mqw_yaml_is_empty(n) ||
		(n->kind == MQW_YAML_MAP && n->count != 1)) {
		mqw_faults_add(f, n->line, n->column,
			"an action must be a word, or one key with its options, in an entry of "
			"its own");
		return 0;
	}
	action.kind = n->kind == MQW_YAML_MAP ? kind_of_key(n->first, f) : kind_of_word(n, f);
	if (action.kind == MQW_ACTION_COUNT)
		return 0;
	action.budget = mqw_budget_default(action.kind);
	if (action.kind == MQW_ACTION_ALERT)
		read_channel(c, &action, n->first, f);
	else if (n->kind == MQW_YAML_MAP)
		err = read_options(a, &action, n->first, f);
	check_twice(rule, &action, f);
	rule->actions[rule->action_count++] = action;
	return err;
}

int mqw_rule_read_actions(struct mqw_arena *a, const struct mqw_config *c, struct mqw_rule *rule,
	const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	bool list = n->kind == MQW_YAML_LIST;
	int err = 0;

	if (n->refused)
		return 0;
	if (list && (n->count == 0 || n->count > ACTIONS_MAX)) {
		mqw_faults_add(f, n->line, n->column, "do: %zu actions; allowed are 1 to %d",
			n->count, ACTIONS_MAX);
		return 0;
	}
	rule->actions = mqw_arena_array(a, list ? n->count : 1, sizeof(*rule->actions));
	if (!rule->actions)
		return -ENOMEM;
	if (!list)
		return read_action(a, c, rule, n, f);
	for (const struct mqw_yaml_node *v = n->first; err == 0 && v; v = v->next)
		err = read_action(a, c, rule, v, f);
	return err;
}
