/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules map verdicts to actions: conditions, counts in windows. Pure: time comes in, actions come
 * out; budgets are kept by act/, which remembers them in the ledger.
 */
#ifndef MQW_RULES_RULES_H
#define MQW_RULES_RULES_H

#include "watchdogd/config/config.h"
#include "watchdogd/track/tracker.h"

enum mqw_action_kind {
	MQW_ACTION_RECOVER, /* re-inject the copy, to the lost recipients only */
	MQW_ACTION_REQUEUE, /* ask the MTA to try this message now */
	MQW_ACTION_FLUSH, /* ask the MTA to try all of its queue now */
	MQW_ACTION_RESTART, /* restart the service */
	MQW_ACTION_ALERT,
	MQW_ACTION_COUNT
};

/* "at_most: 2 per 1h" and "cooldown: 10m". */
struct mqw_budget {
	uint32_t at_most;
	int64_t per;
	int64_t cooldown; /* least time between two; 0 none */
};

struct mqw_action {
	enum mqw_action_kind kind;
	struct mqw_budget budget; /* never empty: defaults where none is written */
	const char *alert; /* channel, for ALERT; "journal" is always there */
	const char *
		healthy_smtp; /* "host:port" whose greeting proves health, for RESTART; NULL none */
	int64_t healthy_within;
	size_t line, column;
};

enum mqw_per { MQW_PER_INSTANCE, MQW_PER_RULE, MQW_PER_RELAY, MQW_PER_RECIPIENT_DOMAIN };

struct mqw_rule; /* opaque: conditions are rules/match.c's own */

struct mqw_rules; /* all rules of one generation, with their windows */

/* What a rule is asked about. All borrowed. */
struct mqw_finding {
	const char *instance; /* configured name */
	const char *mta;
	const struct mqw_message *message;
	const struct mqw_recipient *recipient;
	const struct mqw_judgement *judgement;
	int64_t time;
};

/*
 * Builds rules from the configuration's tree. 0 and *ret, or -EINVAL with all faults, or -ENOMEM.
 * A configuration without rules gives an empty set. c must outlive the rules.
 */
int mqw_rules_load(const struct mqw_config *c, struct mqw_rules **ret, struct mqw_diag *reterr);
struct mqw_rules *mqw_rules_free(struct mqw_rules *r);

size_t mqw_rules_count(const struct mqw_rules *r);
const char *mqw_rule_name(const struct mqw_rule *rule);
const struct mqw_action *mqw_rule_actions(const struct mqw_rule *rule, size_t *ret_count);

/*
 * Runs a finding through all rules, in order. fire() is called for each rule whose conditions hold
 * and, where it has a count, whose window is full; the window then starts anew.
 */
void mqw_rules_match(struct mqw_rules *r, const struct mqw_finding *f,
	void (*fire)(void *ctx, const struct mqw_rule *rule, const struct mqw_finding *f),
	void *ctx);

/* "recover", "requeue", "flush", "restart", "alert". */
const char *mqw_action_name(enum mqw_action_kind kind);

#endif
