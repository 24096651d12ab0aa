/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Alerts that are still to be sent, and those that were sent lately. An alert gathers findings,
 * is sealed, and then waits until the far side has accepted it; what is sealed changes no more,
 * so that it can be sent again word for word. When it is sealed and what became of it is on the
 * disk before the function returns; a finding that is added is as durable as a batch.
 *
 * Errors as in ledger.h.
 */
#ifndef MQW_LEDGER_OUTBOX_H
#define MQW_LEDGER_OUTBOX_H

#include "watchdogd/ledger/ledger.h"

enum mqw_outbox_state {
	MQW_OUTBOX_GATHERING, /* takes findings until due_at */
	MQW_OUTBOX_WAITING, /* sealed; the next try is at due_at */
	MQW_OUTBOX_SENT,
	MQW_OUTBOX_GIVEN_UP,
	MQW_OUTBOX_STATE_COUNT
};

/* As stage: an alert of its own, which is no digest of others and none counts it as one before it. */
#define MQW_OUTBOX_APART UINT32_MAX

/* Strings are borrowed until the callback returns. */
struct mqw_outbox_record {
	int64_t id; /* given by the ledger */
	const char *channel, *rule, *instance; /* together: the cause that it is about */
	const char *token; /* unique and not to be guessed: in its Message-ID */
	const char *detail; /* what the last try said; "" none */
	enum mqw_outbox_state state;
	uint32_t stage; /* how many alerts of this cause went before it in one go */
	uint32_t attempts; /* that failed */
	uint64_t findings;
	int64_t opened_at, latest_at; /* its first and last finding */
	int64_t sealed_at, ended_at; /* MQW_TIME_NONE: not yet */
	int64_t due_at;
};

/* Adds an alert without findings; state, stage, times and strings are taken, the rest is not. */
int mqw_ledger_outbox_add(struct mqw_ledger *l, const struct mqw_outbox_record *r, int64_t *ret_id);
/*
 * Adds a finding to an alert. key is unique: 1, or 0 when it is in an alert already, this or
 * another. content NULL: it is only counted.
 */
int mqw_ledger_outbox_add_finding(struct mqw_ledger *l, int64_t id, const char *key, int64_t time,
	const char *verdict, const char *content);

/* GATHERING becomes WAITING, due at once. -ENOENT when it was not. Durable. */
int mqw_ledger_outbox_seal(struct mqw_ledger *l, int64_t id, int64_t now);
/* A try failed: the next one is at due_at. */
int mqw_ledger_outbox_postpone(
	struct mqw_ledger *l, int64_t id, int64_t due_at, const char *detail);
/* WAITING becomes SENT or GIVEN_UP. -ENOENT when it was not. Durable. */
int mqw_ledger_outbox_end(struct mqw_ledger *l, int64_t id, enum mqw_outbox_state state,
	int64_t now, const char *detail);
/* Forgets what ended before this time, with its findings. */
int mqw_ledger_outbox_expire(struct mqw_ledger *l, int64_t before);

/* The newest alert of a cause that is not apart, its strings NULL. 1; 0 when there is none. */
int mqw_ledger_outbox_newest(struct mqw_ledger *l, const char *channel, const char *rule,
	const char *instance, struct mqw_outbox_record *ret);
/*
 * Alerts that gather or wait and are due at now, or, since a clock may be set back, later than
 * now + far; the earliest first, at most limit. now INT64_MAX: all of them. The callback must not
 * change an alert; rest as mqw_ledger_each_message().
 */
int mqw_ledger_outbox_each_due(struct mqw_ledger *l, int64_t now, int64_t far, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_outbox_record *r), void *ctx);
/* Each finding with a content, in order. */
int mqw_ledger_outbox_each_finding(
	struct mqw_ledger *l, int64_t id, int (*each)(void *ctx, const char *content), void *ctx);
/* How many findings there are of each verdict, the most frequent first. */
int mqw_ledger_outbox_each_verdict(struct mqw_ledger *l, int64_t id,
	int (*each)(void *ctx, const char *verdict, uint64_t count), void *ctx);
/* 1 when an alert has this token, 0 when none has. */
int mqw_ledger_outbox_knows(struct mqw_ledger *l, struct mqw_slice token);

/* "gathering", "waiting", "sent", "given up". */
const char *mqw_outbox_state_name(enum mqw_outbox_state s);

#endif
