/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries out what rules ask for. Each action is written to the ledger as an intent before
 * anything is done, then as a result; an intent without a result is resolved by looking at the
 * queue and the log, never by doing it again blindly. Budgets are counted in the ledger, so that a
 * restart of the daemon does not refill them. Nothing here waits: the root helper is asked from the
 * event loop.
 */
#ifndef MQW_ACT_ACT_H
#define MQW_ACT_ACT_H

#include <jansson.h>

#include "probes/probe.h"
#include "rules/rules.h"
#include "watchdogd/helper/client.h"
#include "watchdogd/ledger/ledger.h"
#include "watchdogd/vault/vault.h"

struct mqw_remote;

/* One instance as the actions need it; owned by the daemon, outlives the actions. */
struct mqw_act_instance {
	const char *name;
	const struct mqw_probe_ops *probe;
	struct mqw_tracker *tracker;
	struct mqw_vault *vault; /* NULL: no copies are kept, or not now: */
	bool vault_missing; /* they are to be, and the vault cannot be opened */
	const char *tell_via; /* relay for notes to senders; NULL: they are told nothing */
	const struct mqw_remote *remote; /* how another host's service is restarted; NULL: ours */
	bool caught_up; /* the log has been read to its end at least once */
	/* The name of a numbered source, for evidence in alerts; NULL: it is left out. */
	const char *(*source_name)(void *ctx, uint32_t source);
	void *source_ctx;
};

struct mqw_act;
struct mqw_wish;

/* event and ledger are borrowed, helper_socket copied. NULL when memory is out. */
struct mqw_act *mqw_act_create(
	sd_event *event, struct mqw_ledger *ledger, const char *helper_socket);
struct mqw_act *mqw_act_free(struct mqw_act *a);

void mqw_act_set_mode(struct mqw_act *a, enum mqw_mode mode);

/* Where alerts go from now on; c's alerts are borrowed until the next call. */
void mqw_act_set_alerts(struct mqw_act *a, const struct mqw_config *c);

/* The rules in force, for the channels that they name; borrowed until the next call. */
void mqw_act_set_rules(struct mqw_act *a, const struct mqw_rules *rules);

/*
 * A rule fired on a finding: its actions are noted, and carried out by mqw_act_settle(). Fits the
 * callback of mqw_rules_match() with the pair of act and instance as ctx.
 */
struct mqw_act_context {
	struct mqw_act *act;
	struct mqw_act_instance *instance;
};
void mqw_act_fire(void *context, const struct mqw_rule *rule, const struct mqw_finding *f);
/*
 * Around what the rules do with one finding: _end() is false when memory was out, and then nothing
 * of it is noted, so that the finding can be given to the rules once more.
 */
struct mqw_wish **mqw_act_begin(struct mqw_act *a);
bool mqw_act_end(struct mqw_act *a, struct mqw_wish **begun);

/*
 * Carries out what was noted; call after each batch of events, never from inside one, and before
 * the ledger keeps the verdicts of the batch, so that no reported verdict is without its intent.
 * What waits, for a budget or for the ledger, is in memory alone, and counted in the message's
 * waiting: who keeps that message has to keep its verdicts as not reported yet, so that a restart
 * finds them again. When the waiting is over the message is marked as dirty.
 */
void mqw_act_settle(struct mqw_act *a, int64_t now);

/* How often the helper was asked, and how often it refused: for status. */
struct mqw_helper_tally mqw_act_helper_tally(const struct mqw_act *a);
/* Sends the alerts that are due, and again those that could not be sent; call once a second. */
void mqw_act_send_alerts(struct mqw_act *a, int64_t now);

/* Whether something is noted that waits for its time. */
bool mqw_act_waiting(const struct mqw_act *a);

enum mqw_by_hand {
	MQW_BY_HAND_RECOVER,
	MQW_BY_HAND_REQUEUE,
	MQW_BY_HAND_RESTART,
	MQW_BY_HAND_ACK, /* takes note of what is wrong with a message: nobody is told of it again */
	MQW_BY_HAND_COUNT
};

/* "recover", "requeue", "restart", "ack". */
const char *mqw_by_hand_name(enum mqw_by_hand what);

struct mqw_by_hand_request {
	enum mqw_by_hand what;
	const char *queue_id; /* "" for RESTART */
	bool dry_run;
	unsigned int uid; /* who asked, for the ledger */
};

/*
 * What a person asks for, under the same checks and default budgets as a rule's and as the rule "by
 * hand" in the ledger. A new reference, NULL when memory is out:
 *   {"result": "begun" | "done" | "would" | "refused", "text": one sentence or more,
 *    "action": id of its record or null}
 * and of a recovery that is begun or would be "recipients", "how" and "loses". After "begun" the
 * result comes into the record. Call it from the event loop, not while settling.
 */
json_t *mqw_act_by_hand(struct mqw_act *a, struct mqw_act_instance *instance,
	const struct mqw_by_hand_request *q, int64_t now);

/* Whether a person took note of this verdict on the message as it is now. */
bool mqw_act_is_acked(struct mqw_act *a, const struct mqw_act_instance *instance,
	const struct mqw_message *m, enum mqw_verdict verdict);

/*
 * Looks after intents that have no result: what was under way when the daemon ended, what the
 * helper did not answer. Call now and then, for each instance whose log has been caught up with.
 */
void mqw_act_resolve(struct mqw_act *a, struct mqw_act_instance *instance, int64_t now);

/*
 * m, which the ledger keeps, is about to be let go. An intent about it that has no result gets the
 * one that the log shows: the next look after it would find nothing to tell it by. Not in a batch.
 */
void mqw_act_farewell(struct mqw_act *a, struct mqw_act_instance *instance,
	const struct mqw_message *m, int64_t now);

#endif
