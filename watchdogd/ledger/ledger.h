/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The durable record: positions in the logs, open messages, verdicts, actions with their causes.
 * SQLite in WAL mode; the only place that knows of it. Positions and open messages are committed
 * together, in one transaction; an action is an intent that is committed before anything is done,
 * then a result.
 */
#ifndef MQW_LEDGER_LEDGER_H
#define MQW_LEDGER_LEDGER_H

#include "watchdogd/track/tracker.h"

struct mqw_ledger;

/*
 * Opens or makes the file (mode 0600) and brings its schema up to date. 0; -EUCLEAN when it is
 * damaged (then the caller may set it aside and start anew); another negative errno with the
 * SQLite message in *reterr (for the caller to free) otherwise.
 */
int mqw_ledger_open(const char *path, struct mqw_ledger **ret, char **reterr);
struct mqw_ledger *mqw_ledger_close(struct mqw_ledger *l);

/* The last SQLite message, for logs. Borrowed until the next call. */
const char *mqw_ledger_error(const struct mqw_ledger *l);

/* A transaction for a batch. Each 0 or a negative errno (-EIO, -ENOSPC, -EBUSY, -EROFS). */
int mqw_ledger_begin(struct mqw_ledger *l);
int mqw_ledger_commit(struct mqw_ledger *l);
int mqw_ledger_rollback(struct mqw_ledger *l);

/* Where a source was read to: an opaque text of the source's own (a cursor, or a file position). */
int mqw_ledger_put_position(
	struct mqw_ledger *l, const char *instance, const char *source, struct mqw_slice position);
/* 1 and the text added to ret, 0 when there is none, or a negative errno. */
int mqw_ledger_get_position(
	struct mqw_ledger *l, const char *instance, const char *source, struct mqw_buffer *ret);

/* Keeps a message with all its recipients, replacing what was kept of it. */
int mqw_ledger_put_message(struct mqw_ledger *l, const char *instance, const struct mqw_message *m);
int mqw_ledger_delete_message(
	struct mqw_ledger *l, const char *instance, const struct mqw_message *m);
/*
 * Gives each kept message of the instance to the callback, in order of opening; the message is
 * freed afterwards. A negative value from the callback ends it and is returned.
 */
int mqw_ledger_each_message(struct mqw_ledger *l, const char *instance,
	int (*each)(void *ctx, const struct mqw_message *m), void *ctx);

/* A verdict that was reported, for `list` and for people; history, not state. */
int mqw_ledger_add_verdict(struct mqw_ledger *l, const char *instance, int64_t time,
	const struct mqw_message *m, const struct mqw_recipient *r, const struct mqw_judgement *j);

enum mqw_action_state {
	MQW_ACTION_STATE_INTENT, /* decided, perhaps begun */
	MQW_ACTION_STATE_DONE, /* it worked */
	MQW_ACTION_STATE_FAILED, /* it did not; detail says how */
	MQW_ACTION_STATE_REFUSED, /* no budget, no copy, helper said no: nothing was done */
	MQW_ACTION_STATE_OBSERVED, /* mode observe: only said */
	MQW_ACTION_STATE_UNCLEAR, /* cannot be told whether it was done: a person has to look */
	MQW_ACTION_STATE_COUNT
};

struct mqw_action_record {
	int64_t id; /* given by the ledger */
	const char *key; /* unique: the same thing is never intended twice */
	const char *kind; /* "recover", ... */
	const char *rule; /* that asked for it, or "by hand" */
	const char *instance;
	const char *queue_id; /* "" when the action is not about one message */
	const char *recipients; /* those it is for, one a line; "" none */
	const char *cause; /* one sentence */
	const char *detail; /* of the result; "" none yet */
	enum mqw_action_state state;
	int64_t intended_at, ended_at; /* ended_at MQW_TIME_NONE: not yet */
};

/* Writes an intent and commits it. 1 and *ret_id; 0 when the key is there already; negative errno. */
int mqw_ledger_intend(struct mqw_ledger *l, const struct mqw_action_record *a, int64_t *ret_id);
/* Writes the result of an action and commits it. */
int mqw_ledger_conclude(struct mqw_ledger *l, int64_t id, enum mqw_action_state state, int64_t time,
	const char *detail);
/* How many of a rule's actions of a kind were begun (not refused, not observed) since; for budgets.
 * ret_last: when the newest was intended, MQW_TIME_NONE none. */
int mqw_ledger_count_actions(struct mqw_ledger *l, const char *rule, const char *kind,
	int64_t since, uint32_t *ret_count, int64_t *ret_last);
/* Newest first, at most limit; open_only: those without a result. Strings live until it returns. */
int mqw_ledger_each_action(struct mqw_ledger *l, bool open_only, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_action_record *a), void *ctx);

const char *mqw_action_state_name(enum mqw_action_state s);

#endif
