/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules map verdicts to actions: conditions, counts in windows. Pure: time comes in, actions come
 * out; budgets are kept by act/, which remembers them in the ledger.
 */
#ifndef MQW_RULES_RULES_H
#define MQW_RULES_RULES_H

#include "rules/window_record.h"
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

struct mqw_faults;

/*
 * "at_most: 2 per 1h" and "cooldown: 10m". Where a rule says nothing of one of them, the default
 * of its action holds, which lets a disaster be repaired and keeps a wrong rule from making one:
 *
 *   recover 100 per 1h, requeue 100 per 1h, alert 60 per 1h: no cooldown
 *   flush 6 per 1h, cooldown 5m: a flush tries every deferred message at once
 *   restart 2 per 1h, cooldown 10m: a service that two restarts did not cure needs a person
 */
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

/*
 * Reads and checks a whole file, configuration and rules; the faults of both come in one list in
 * the order of the file. check may add faults of what layers above know (that a type has a probe);
 * it is called whenever there is a configuration, which may be incomplete: names can be NULL. Both
 * results are set on success only; free the rules first. Errors as mqw_config_load().
 */
int mqw_rules_load_file(const char *path,
	void (*check)(const struct mqw_config *c, struct mqw_faults *f),
	struct mqw_config **ret_config, struct mqw_rules **ret_rules, struct mqw_diag *reterr);

size_t mqw_rules_count(const struct mqw_rules *r);
/* The rules in the order of the file; i below the count. */
const struct mqw_rule *mqw_rules_get(const struct mqw_rules *r, size_t i);
const char *mqw_rule_name(const struct mqw_rule *rule);
const struct mqw_action *mqw_rule_actions(const struct mqw_rule *rule, size_t *ret_count);

/*
 * Runs a finding through all rules, in order. fire() is called for each rule whose conditions hold
 * and, where it has a count, whose window is full; the window then starts anew. Windows count
 * recipients: the same recipient of the same message counts once, at its latest time.
 */
void mqw_rules_match(struct mqw_rules *r, const struct mqw_finding *f,
	void (*fire)(void *ctx, const struct mqw_rule *rule, const struct mqw_finding *f),
	void *ctx);

/* Where records of windows (rules/window_record.h) are kept. Each returns 0 or a negative errno. */
struct mqw_window_store {
	/* Forgets the records of a rule; NULL: of all. */
	int (*forget)(void *ctx, const char *rule);
	/* Keeps a record, in place of an older one of the same key. */
	int (*keep)(void *ctx, const struct mqw_window_record *w);
	void *ctx;
};

/*
 * Gives the store what changed since mqw_rules_saved(), which the caller calls when all of it is
 * safe; mqw_rules_unsaved() tells whether anything has. 1: something was given; 0: nothing had changed; or the store's error, or -ENOMEM.
 */
bool mqw_rules_unsaved(const struct mqw_rules *r);
int mqw_rules_save(const struct mqw_rules *r, const struct mqw_window_store *store);
void mqw_rules_saved(struct mqw_rules *r);

/*
 * Takes a record back, but for what was seen too long before now. 1 when it was, 0 when it is of no
 * use any more, -EBADMSG when it is none.
 */
int mqw_rules_restore(struct mqw_rules *r, const struct mqw_window_record *w, int64_t now);

/* Moves windows out of rules that were in force before, where name and conditions are the same. */
void mqw_rules_take_over(struct mqw_rules *r, struct mqw_rules *former);

/* Adds what a rule does in plain words, several lines, each indented by two blanks. */
void mqw_rule_explain(const struct mqw_rule *rule, struct mqw_buffer *ret);

/* The default above; for actions asked for by hand too. */
struct mqw_budget mqw_budget_default(enum mqw_action_kind kind);

/* "recover", "requeue", "flush", "restart", "alert". */
const char *mqw_action_name(enum mqw_action_kind kind);

#endif
