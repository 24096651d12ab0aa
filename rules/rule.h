/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A rule as load.c builds it and match.c and explain.c read it. Texts borrow from the YAML tree. */
#ifndef MQW_RULES_RULE_H
#define MQW_RULES_RULE_H

#include "rules/rules.h"
#include "rules/window.h"

struct mqw_faults;
struct mqw_yaml_node;

/* A condition of several alternatives; count 0: not asked. */
struct mqw_any_of {
	const char *const *items;
	size_t count;
};

struct mqw_rule {
	const char *name;
	size_t line, column;

	uint32_t verdicts; /* bits 1 << enum mqw_verdict; never 0 */
	struct mqw_any_of codes; /* "4xx", "450" */
	struct mqw_any_of statuses; /* "4.7.*" */
	struct mqw_any_of senders, recipients, relays, greylisting; /* globs */
	struct mqw_any_of instances, mtas; /* words */
	bool confidence_asked;
	enum mqw_confidence confidence; /* the least that is enough */
	bool hasty_asked, hasty;
	uint32_t attempts; /* at least; 0: not asked */

	uint32_t count; /* 0: fires each time */
	int64_t within;
	enum mqw_per per;
	struct mqw_windows *windows; /* owned; NULL without a count */
	uint64_t conditions; /* what they are, as a number; where there are windows */

	struct mqw_action *actions;
	size_t action_count;
};

struct mqw_rules {
	struct mqw_arena arena;
	struct mqw_rule *rules;
	size_t count;
	bool saved_once; /* false: what is kept is of another set of rules */
};

/* Adds the conditions alone, in the plain words of mqw_rule_explain(): all of them, exactly. */
void mqw_rule_explain_conditions(const struct mqw_rule *rule, struct mqw_buffer *ret);

/* Sets rule->conditions: the same number in each run for the same conditions. 0 or -ENOMEM. */
int mqw_rule_number_conditions(struct mqw_rule *rule);

/*
 * As mqw_rules_load(), with the faults left in f: *ret is set where the tree could be walked, and
 * is of use for mqw_rules_free() alone when f has faults. 0 or -ENOMEM.
 */
int mqw_rules_build(const struct mqw_config *c, struct mqw_rules **ret, struct mqw_faults *f);

/* Reads `do:` into rule->actions (actions.c). 0 or -ENOMEM. */
int mqw_rule_read_actions(struct mqw_arena *a, const struct mqw_config *c, struct mqw_rule *rule,
	const struct mqw_yaml_node *n, struct mqw_faults *f);

/*
 * Whether a text is like a pattern in which "*" stands for any run of bytes and "?" for one. No
 * other byte is special: brackets belong to relays ("mx.example.com[192.0.2.1]:25"). Time is at
 * worst the product of both lengths, whatever a stranger made the text.
 */
bool mqw_glob_match(struct mqw_slice pattern, struct mqw_slice text, bool ignore_case);

/* The same for mail addresses: case counts in the local part only. "<>" is the null sender. */
bool mqw_glob_match_address(struct mqw_slice pattern, struct mqw_slice address);

/* The same for relays as logged: the whole of it, or the host before "[", "(" or ":port". */
bool mqw_glob_match_relay(struct mqw_slice pattern, struct mqw_slice relay);

#endif
