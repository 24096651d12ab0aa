/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "rules/rule.h"
#include "watchdogd/base/map.h"
#include "watchdogd/config/read.h"
#include "watchdogd/config/schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RULES_MAX 200 /* each finding is held against all of them */
#define NAME_LEN_MAX 100

#define TROUBLE                                                                                    \
	(1u << MQW_VERDICT_VANISHED | 1u << MQW_VERDICT_FALSE_NDR | 1u << MQW_VERDICT_OVERDUE |    \
		1u << MQW_VERDICT_LOST_DOWNSTREAM)
/*
 * What is surely not in a queue any more, nor delivered: to send it again makes no duplicate. What a
 * next hop lost is not in it: our copy went when that hop took the message, and the hop's own has a
 * finding of its own, vanished.
 */
#define RECOVERABLE (1u << MQW_VERDICT_VANISHED | 1u << MQW_VERDICT_FALSE_NDR)

/* In the order of enum mqw_verdict, without MQW_VERDICT_NONE. */
static const char *const verdict_words[] = {"delivered", "handed_off", "pending", "bounced",
	"expired", "discarded", "removed", "held", "relocated", "vanished", "false_ndr", "overdue",
	"lost_downstream", "unknown", NULL};
_Static_assert(COUNT(verdict_words) == MQW_VERDICT_COUNT, "a word for each verdict");

static const char *const confidence_words[] = {"unproven", "probable", "certain", NULL};
_Static_assert(COUNT(confidence_words) == MQW_CONFIDENCE_COUNT + 1, "a word for each confidence");

static const char *const per_words[] = {"instance", "rule", "relay", "recipient_domain", NULL};

static const char *check_rule_name(struct mqw_slice s)
{
	if (s.len > NAME_LEN_MAX)
		return "a name of at most 100 bytes";
	/* The ledger writes this in place of a rule. */
	return mqw_slice_eq(s, MQW_LIT("by hand")) ? "free for a rule; choose another name" : NULL;
}

static const char *check_code(struct mqw_slice s)
{
	bool good = s.len == 3 && s.ptr[0] >= '2' && s.ptr[0] <= '5';

	for (size_t i = 1; good && i < 3; i++)
		good = s.ptr[i] == 'x' || (s.ptr[i] >= '0' && s.ptr[i] <= '9');
	return good ? NULL : "a reply code such as 450, 45x or 4xx";
}

static const char *check_status(struct mqw_slice s)
{
	size_t dots = 0;

	for (size_t i = 0; i < s.len; i++) {
		dots += s.ptr[i] == '.';
		if (!memchr("0123456789.*", s.ptr[i], 12))
			dots = 3;
	}
	return dots >= 1 && dots <= 2 && memchr("245", s.ptr[0], 3)
		? NULL
		: "an enhanced status code such as 4.7.1, 4.7.* or 4.*";
}

#define RULE(member) offsetof(struct mqw_rule, member)
#define ANY_OF(member) RULE(member.items), RULE(member.count)

static const struct mqw_field when_fields[] = {
	{"verdict", MQW_FIELD_WORDS, false, RULE(verdicts), .words = verdict_words},
	{"code", MQW_FIELD_TEXTS, false, ANY_OF(codes), .check = check_code},
	{"status", MQW_FIELD_TEXTS, false, ANY_OF(statuses), .check = check_status},
	{"sender", MQW_FIELD_TEXTS, false, ANY_OF(senders), .check = NULL},
	{"recipient", MQW_FIELD_TEXTS, false, ANY_OF(recipients), .check = NULL},
	{"relay", MQW_FIELD_TEXTS, false, ANY_OF(relays), .check = NULL},
	{"instance", MQW_FIELD_TEXTS, false, ANY_OF(instances), .check = NULL},
	{"mta", MQW_FIELD_TEXTS, false, ANY_OF(mtas), .check = NULL},
	{"confidence", MQW_FIELD_WORD, false, RULE(confidence), .words = confidence_words},
	{"greylisting", MQW_FIELD_TEXTS, false, ANY_OF(greylisting), .check = NULL},
	{"attempts", MQW_FIELD_NUMBER, false, RULE(attempts), .min = 1, .max = 100000},
	{"hasty_retries", MQW_FIELD_FLAG, false, .offset = RULE(hasty)},
	{"count", MQW_FIELD_NUMBER, false, RULE(count), .min = 1, .max = MQW_WINDOW_COUNT_MAX},
	{"within", MQW_FIELD_SPAN, false, RULE(within), .min = MQW_SECOND, .max = 31 * MQW_DAY},
	{"per", MQW_FIELD_WORD, false, RULE(per), .words = per_words},
};

struct rule_nodes {
	const char *name;
	const struct mqw_yaml_node *when, *actions;
};

static const struct mqw_field rule_fields[] = {
	{"name", MQW_FIELD_TEXT, true, offsetof(struct rule_nodes, name), .check = check_rule_name},
	{"when", MQW_FIELD_NODE, true, .offset = offsetof(struct rule_nodes, when)},
	{"do", MQW_FIELD_NODE, true, .offset = offsetof(struct rule_nodes, actions)},
};

/* Names under `key:` that are none of those known would keep a rule from ever firing. */
static void check_known(const struct mqw_yaml_node *when, const char *key, const char *kind,
	const char *const *known, size_t count, struct mqw_faults *f)
{
	const struct mqw_yaml_node *n = mqw_yaml_get(when, mqw_slice_of(key)), *v;

	for (v = n && n->kind == MQW_YAML_LIST ? n->first : n; v; v = v == n ? NULL : v->next) {
		const char *near;
		bool found = v->kind != MQW_YAML_SCALAR || v->refused || v->text.len == 0;

		for (size_t i = 0; !found && i < count; i++)
			found = mqw_slice_eq(v->text, mqw_slice_of(known[i]));
		if (found)
			continue;
		near = mqw_nearest(v->text, known, count);
		mqw_faults_add(f, v->line, v->column, "%s: no instance has the %s %s%s%s%s", key,
			kind, mqw_show(v->text).text, near ? "; did you mean \"" : "",
			near ? near : "", near ? "\"?" : "");
	}
}

static int check_names(struct mqw_arena *a, const struct mqw_config *c,
	const struct mqw_yaml_node *when, struct mqw_faults *f)
{
	const char **names = mqw_arena_array(a, c->instance_count * 2 + 1, sizeof(*names));
	const char **types = names ? names + c->instance_count : NULL;
	size_t name_count = 0, type_count = 0;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < c->instance_count; i++) {
		if (c->instances[i].name)
			names[name_count++] = c->instances[i].name;
		if (c->instances[i].type)
			types[type_count++] = c->instances[i].type;
	}
	/* Faulty instances are told already. */
	if (name_count)
		check_known(when, "instance", "name", names, name_count, f);
	if (type_count)
		check_known(when, "mta", "type", types, type_count, f);
	return 0;
}

static void check_window(const struct mqw_yaml_node *when, struct mqw_faults *f)
{
	const struct mqw_yaml_node *count = mqw_yaml_get(when, MQW_LIT("count"));
	const struct mqw_yaml_node *within = mqw_yaml_get(when, MQW_LIT("within"));
	const struct mqw_yaml_node *per = mqw_yaml_get(when, MQW_LIT("per"));

	if (count && !within)
		mqw_faults_add(f, count->key_line, count->key_column,
			"count needs within: the span of time in which so many happen");
	if (within && !count)
		mqw_faults_add(f, within->key_line, within->key_column,
			"within needs count: how many have to happen in that time");
	if (per && !count)
		mqw_faults_add(f, per->key_line, per->key_column,
			"per needs count and within: it says what is counted together");
}

static int read_when(struct mqw_arena *a, const struct mqw_config *c, struct mqw_rule *rule,
	const struct mqw_yaml_node *when, struct mqw_faults *f)
{
	int err;

	if (!mqw_schema_expect(when, MQW_YAML_MAP, "when", f))
		return 0;
	err = mqw_schema_read(a, when, "when", when_fields, COUNT(when_fields), rule, f);
	if (err < 0)
		return err;
	/* Bit 0 is MQW_VERDICT_NONE, which has no word. */
	rule->verdicts = mqw_yaml_get(when, MQW_LIT("verdict")) ? rule->verdicts << 1 : TROUBLE;
	rule->confidence_asked = mqw_yaml_get(when, MQW_LIT("confidence")) != NULL;
	rule->hasty_asked = mqw_yaml_get(when, MQW_LIT("hasty_retries")) != NULL;
	check_window(when, f);
	return check_names(a, c, when, f);
}

/* recover mails again: what may still be delivered otherwise would come twice. */
static void check_recover(
	const struct mqw_rule *rule, const struct mqw_yaml_node *when, struct mqw_faults *f)
{
	unsigned int others = rule->verdicts & ~RECOVERABLE;
	const char *fault = others == 1u << MQW_VERDICT_LOST_DOWNSTREAM
		? "recover has no copy of what a next hop lost: the message there is found as "
		  "vanished, "
		  "which a rule can recover; lost_downstream has to go from the rule's verdict"
		: "recover could mail twice here: the rule's verdict may only be vanished or "
		  "false_ndr";

	if (!when || when->kind != MQW_YAML_MAP || !others)
		return;
	for (size_t i = 0; i < rule->action_count; i++)
		if (rule->actions[i].kind == MQW_ACTION_RECOVER)
			mqw_faults_add(
				f, rule->actions[i].line, rule->actions[i].column, "%s", fault);
}

static int read_rule(struct mqw_rules *rules, const struct mqw_config *c, struct mqw_rule *rule,
	const struct mqw_yaml_node *n, struct mqw_faults *f)
{
	struct rule_nodes nodes = {0};
	const struct mqw_yaml_node *name = mqw_yaml_get(n, MQW_LIT("name"));
	int err = mqw_schema_read(
		&rules->arena, n, "a rule", rule_fields, COUNT(rule_fields), &nodes, f);

	rule->name = nodes.name;
	rule->line = n->line;
	rule->column = n->column;
	for (const struct mqw_rule *other = rules->rules; rule->name && other < rule; other++)
		if (other->name && strcmp(other->name, rule->name) == 0) {
			mqw_faults_add(f, name->line, name->column,
				"name: %s is taken by the rule at %zu:%zu",
				mqw_show(name->text).text, other->line, other->column);
			break;
		}
	if (err == 0 && nodes.when)
		err = read_when(&rules->arena, c, rule, nodes.when, f);
	if (err == 0 && nodes.actions)
		err = mqw_rule_read_actions(&rules->arena, c, rule, nodes.actions, f);
	if (err == 0)
		check_recover(rule, nodes.when, f);
	return err;
}

static int read_rules(struct mqw_rules *r, const struct mqw_config *c, struct mqw_faults *f)
{
	const struct mqw_yaml_node *list = c->rules;
	int err = 0;

	if (!list || !mqw_schema_expect(list, MQW_YAML_LIST, "rules", f))
		return 0;
	if (list->count > RULES_MAX) {
		mqw_faults_add(f, list->line, list->column, "rules: %zu of them; allowed are %d",
			list->count, RULES_MAX);
		return 0;
	}
	r->rules = mqw_arena_array(&r->arena, list->count, sizeof(*r->rules));
	if (!r->rules)
		return -ENOMEM;
	for (const struct mqw_yaml_node *n = list->first; err == 0 && n; n = n->next)
		if (mqw_schema_expect(n, MQW_YAML_MAP, "a rule", f))
			err = read_rule(r, c, &r->rules[r->count++], n, f);
	return err;
}

/* Only a faultless set gets windows: it alone will be matched against. */
static int open_windows(struct mqw_rules *r)
{
	uint64_t seed = mqw_map_random_seed();

	for (size_t i = 0; i < r->count; i++) {
		struct mqw_rule *rule = &r->rules[i];

		if (rule->count == 0)
			continue;
		rule->windows = mqw_windows_create(rule->count, rule->within, seed);
		if (!rule->windows || mqw_rule_number_conditions(rule) < 0)
			return -ENOMEM;
	}
	return 0;
}

int mqw_rules_build(const struct mqw_config *c, struct mqw_rules **ret, struct mqw_faults *f)
{
	struct mqw_rules *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	err = read_rules(r, c, f);
	if (err == 0 && f->count == 0)
		err = open_windows(r);
	if (err < 0)
		mqw_rules_free(r);
	else
		*ret = r;
	return err;
}

int mqw_rules_load(const struct mqw_config *c, struct mqw_rules **ret, struct mqw_diag *reterr)
{
	struct mqw_rules *r = NULL;
	struct mqw_faults f = {0};
	int err = mqw_rules_build(c, &r, &f);

	if (err == 0 && f.count)
		err = f.failed ? -ENOMEM : -EINVAL;
	mqw_faults_flush(&f, c->path, reterr);
	if (err < 0)
		mqw_rules_free(r);
	else
		*ret = r;
	return err;
}

/* Everything that reads the same file adds to f. 0 or a negative errno; faults are for the caller. */
static int load_all(const char *path,
	void (*check)(const struct mqw_config *c, struct mqw_faults *f), struct mqw_config **ret_c,
	struct mqw_rules **ret_r, struct mqw_faults *f)
{
	struct mqw_buffer text = {0};
	int err = mqw_config_file_read(path, &text, f);

	if (err == 0)
		err = mqw_config_read(mqw_buffer_slice(&text), path, ret_c, f);
	mqw_buffer_done(&text);
	if (err == 0 && check)
		check(*ret_c, f);
	if (err == 0)
		err = mqw_rules_build(*ret_c, ret_r, f);
	if (err == 0 && f->count)
		err = f->failed ? -ENOMEM : -EINVAL;
	return err;
}

int mqw_rules_load_file(const char *path,
	void (*check)(const struct mqw_config *c, struct mqw_faults *f),
	struct mqw_config **ret_config, struct mqw_rules **ret_rules, struct mqw_diag *reterr)
{
	struct mqw_config *c = NULL;
	struct mqw_rules *r = NULL;
	struct mqw_faults f = {0};
	int err = load_all(path, check, &c, &r, &f);

	mqw_faults_flush(&f, path, reterr);
	if (err < 0) {
		mqw_rules_free(r);
		mqw_config_free(c);
		return err;
	}
	*ret_config = c;
	*ret_rules = r;
	return 0;
}

struct mqw_rules *mqw_rules_free(struct mqw_rules *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->count; i++)
		mqw_windows_free(r->rules[i].windows);
	mqw_arena_done(&r->arena);
	free(r);
	return NULL;
}

size_t mqw_rules_count(const struct mqw_rules *r)
{
	return r->count;
}

const struct mqw_rule *mqw_rules_get(const struct mqw_rules *r, size_t i)
{
	return &r->rules[i];
}

const char *mqw_rule_name(const struct mqw_rule *rule)
{
	return rule->name;
}

const struct mqw_action *mqw_rule_actions(const struct mqw_rule *rule, size_t *ret_count)
{
	*ret_count = rule->action_count;
	return rule->actions;
}
