/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of act/, and by nothing else. */
#ifndef MQW_ACT_INTERNAL_H
#define MQW_ACT_INTERNAL_H

#include "watchdogd/act/act.h"
#include "watchdogd/act/remote.h"

/* An action that a rule asked for and that is not begun yet. Strings are owned. */
struct mqw_wish {
	struct mqw_wish *next;
	struct mqw_act_instance *instance;
	struct mqw_action action; /* its strings are the configuration's */
	char *rule, *recipient, *cause;
	char *queue_id; /* that the action is about; "" the service */
	char *found_on; /* that the finding is about */
	char *alert_channel, *healthy_smtp; /* copies, so that a reload may come between */
	char *finding; /* JSON, of an alert that is sent; NULL: the journal alone gets it */
	enum mqw_verdict verdict;
	int64_t first_seen; /* of the message */
	int64_t last_attempt;
	int64_t not_before, since;
	bool waited; /* the ledger may have kept its message as not reported */
	unsigned again; /* of a recovery by hand: see mqw_act_recover_key() */
};

/* An action that the helper has been asked for, or is about to be. */
struct mqw_call {
	struct mqw_call *next;
	struct mqw_act *act;
	struct mqw_act_instance *instance;
	int64_t id; /* in the ledger */
	enum mqw_action_kind kind;
	char *rule, *queue_id;
	char *healthy_smtp;
	int64_t healthy_within;
	int64_t deadline; /* by which the service has to be healthy */
	struct mqw_remote_call *remote; /* under way; NULL none */
	char how[240]; /* the service of another host was restarted */
	sd_event_source *timer;
	/* A result that the ledger would not keep yet; detail "" none. */
	enum mqw_action_state state;
	char detail[256];
	bool unasked; /* see mqw_act_ask_all() */
	int64_t first_seen; /* of the message that it was found on, while unasked */
	bool overtaken; /* the result is known from the log: what the helper answers is none */
};

#define MQW_ACT_SAID 256 /* the last so many */

struct mqw_act {
	sd_event *event;
	struct mqw_ledger *ledger;
	struct mqw_helper_client *helper;
	struct mqw_outbox *outbox;
	struct mqw_sender *sender;
	enum mqw_mode mode;
	const struct mqw_rules *rules; /* in force; NULL: none */
	struct mqw_wish *wishes, **last_wish;
	bool out_of_memory; /* a wish could not be noted since mqw_act_begin() */
	struct mqw_call *calls;
	/* Alerts that were said and that the ledger could not conclude: not said again for it. */
	int64_t said[MQW_ACT_SAID];
	size_t said_count;
	struct mqw_tell *tells;
	struct mqw_aftermath *aftermaths;
	int64_t last_intent; /* id of the newest action written; 0 none */
};

/* What an intent is about. */
struct mqw_intent {
	const char *key, *recipients;
	const struct mqw_wish *wish;
};

/* The message of a wish or call, or NULL when it is no longer followed. */
struct mqw_message *mqw_act_message(
	const struct mqw_act_instance *instance, const char *queue_id, int64_t first_seen);

/*
 * Checks the budget and writes the intent. 1 and *ret_id: go on. 0: it is not to be done now (had
 * been done, only observed), which has been said where it matters. -EDQUOT: there is no budget, which
 * has been said. Another negative errno: the ledger cannot keep it, so nothing may be done; try
 * later.
 */
int mqw_act_intend(struct mqw_act *a, const struct mqw_intent *i, int64_t now, int64_t *ret_id);

/*
 * Whether the budget forbids an action of this rule and kind: 1 and why is added, 0, or what the
 * ledger says.
 */
int mqw_act_over_budget(struct mqw_act *a, const char *rule, const struct mqw_action *action,
	int64_t now, struct mqw_buffer *ret_why);

/* Writes a result and says it. 0, or what the ledger says. */
int mqw_act_conclude(struct mqw_act *a, const struct mqw_call *c, enum mqw_action_state state,
	const char *detail);

/*
 * Asks for all whose intents are written. Not before: what is put back is lost no more, so that after a
 * death between two intents of one finding nobody would find it again and make the other one. For the
 * same reason nothing is asked for a message while another action on its finding waits for the ledger.
 */
void mqw_act_ask_all(struct mqw_act *a);

/* A refusal that is worth one record, such as "there is no copy". */
void mqw_act_refuse(
	struct mqw_act *a, const struct mqw_wish *w, const char *key, const char *why, int64_t now);

/* recover.c. 1 done with the wish, 0 try again later (not_before is set). */
int mqw_act_recover(struct mqw_act *a, struct mqw_wish *w, int64_t now);
/* Frees c, whose intent is looked after by mqw_act_resolve() where it cannot be asked for now. */
void mqw_act_ask_recover(struct mqw_call *c);
/*
 * Why there is nothing to put back of a message now; NULL, the narrowed copy in content and the
 * recipients in list, one a line, when there is.
 */
const char *mqw_act_prepare(struct mqw_act_instance *i, const struct mqw_message *m,
	struct mqw_buffer *content, struct mqw_buffer *list);
/*
 * The key by which a message is recovered once; again: for the n-th time by hand after tries that
 * came to nothing. It ends with first_seen.
 */
#define MQW_RECOVER_KEY_SIZE 200
void mqw_act_recover_key(char key[MQW_RECOVER_KEY_SIZE], const struct mqw_act_instance *i,
	const char *queue_id, unsigned again, int64_t first_seen);
/* Whether the MTA is done with a message, or has lost it or a part of it: only then it can be put back. */
bool mqw_act_is_over(const struct mqw_act_instance *i, const struct mqw_message *m, int64_t now);
/*
 * Makes the file of a recovery whose intent is written, for who is lost as of now, and asks the
 * helper. NULL, or why there is nothing to put back. NULL too when that is not known now.
 */
const char *mqw_act_put_back(struct mqw_act *a, struct mqw_act_instance *i,
	const struct mqw_message *m, int64_t id, const char *rule);
/* Forgets what there is between intent and result of a recovery. */
void mqw_act_forget_files(const struct mqw_act_instance *i, const char *queue_id);
/* Writes the result that a recovery has; frees the call unless the ledger cannot keep it now. */
void mqw_act_conclude_recover(struct mqw_call *c);

/* tell.c: notes to senders. */

struct mqw_delivery;
/* Writes that the sender is to be told, where there is one and a recipient's report was wrong. */
void mqw_tell_intend(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_message *m, const char *recover_key, int64_t now);
/* Looks after such a record: begins to send when its recovery is done. */
void mqw_tell_resolve(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_action_record *record, int64_t now);
/* Tries again what is due. */
void mqw_tell_again(struct mqw_act *a, int64_t now);
/* What became of one: id is of its record. */
void mqw_tell_answered(struct mqw_act *a, int64_t id, const struct mqw_delivery *d);
void mqw_tells_free(struct mqw_act *a);

/* wish.c */

/* A wish for an action that a rule asked for; NULL when memory is out. */
struct mqw_wish *mqw_wish_create(struct mqw_act *a, struct mqw_act_instance *instance,
	const struct mqw_action *action, const struct mqw_rule *rule, const struct mqw_finding *f);
struct mqw_wish *mqw_wish_free(struct mqw_wish *w);

/* alerting.c: an alert. As recover, but a negative errno from the ledger says later too. */
int mqw_act_alert(struct mqw_act *a, const struct mqw_wish *w, int64_t now);

/* service.c: requeue, flush and restart. As recover. */
int mqw_act_service(struct mqw_act *a, struct mqw_wish *w, int64_t now);
void mqw_act_ask_service(struct mqw_call *c);

/*
 * A restart of another host's service that was cut off by the end of the last process: starts the
 * service if it was left stopped, and writes the result.
 */
void mqw_act_finish_restart(
	struct mqw_act *a, struct mqw_act_instance *i, const struct mqw_action_record *record);

/*
 * aftermath.c: what became of the messages that were stuck when a service was restarted. _begin()
 * before the restart, _end() with what came of it, _concluded() when its result is written; _look()
 * now and then: when the fate of all is known, or five minutes after the end, it is said to the
 * journal and to the channels that the restart's rule names. The ledger keeps it until then, and
 * _restore() takes it back. _farewell(): a message that the ledger keeps is about to be let go.
 */
void mqw_aftermath_restore(struct mqw_act *a);
void mqw_aftermath_begin(struct mqw_act *a, const struct mqw_call *c);
void mqw_aftermath_end(struct mqw_act *a, const struct mqw_call *c, bool restarted, int64_t now);
void mqw_aftermath_concluded(struct mqw_act *a, const struct mqw_call *c, int64_t now);
void mqw_aftermath_look(struct mqw_act *a, const struct mqw_act_instance *i, int64_t now);
void mqw_aftermath_farewell(
	struct mqw_act *a, const struct mqw_act_instance *i, const struct mqw_message *m);
void mqw_aftermaths_free(struct mqw_act *a);

/* A call for an action, linked in; NULL when memory is out. */
struct mqw_call *mqw_call_create(struct mqw_act *a, struct mqw_act_instance *instance, int64_t id,
	enum mqw_action_kind kind, const char *rule, const char *queue_id);
void mqw_call_free(struct mqw_call *c);

/* An alert was said: concludes its intent, or remembers that it was said. */
void mqw_act_alert_said(struct mqw_act *a, int64_t id, int64_t now, const char *detail);
/* Says the alert of an open intent, as it would have been; false when memory was out. */
bool mqw_act_say_late(const struct mqw_act_instance *i, const struct mqw_action_record *record);
/* Whether it was said by this process. */
bool mqw_act_was_said(const struct mqw_act *a, int64_t id);

#endif
