/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The durable record: positions in the logs, open messages, verdicts, actions with their causes.
 * SQLite in WAL mode; the only place that knows of it. Positions and open messages are committed
 * together, in one transaction; an action is an intent that is committed before anything is done,
 * then a result.
 *
 * What survives what: everything committed survives the death of the process. A batch may be lost
 * to a power cut until the next checkpoint or action (it is read from the log again); an intent
 * and a result are on the disk before their function returns, and so is every batch before them.
 *
 * Text may hold any byte. One thread, not across fork(), and a file only once in one process: POSIX
 * locks would be lost when the second handle is closed. Errors of every function, unless it
 * says otherwise: -ENOSPC (disk full, quota, file size limit), -EROFS, -EBUSY (another process
 * holds the file locked for longer than half a second), -EACCES, -EIO, -ENOMEM, -EMSGSIZE (a row
 * over 16 MiB), -EUCLEAN (damage found on the way). None of them leaves anything half written.
 */
#ifndef MQW_LEDGER_LEDGER_H
#define MQW_LEDGER_LEDGER_H

#include "watchdogd/track/tracker.h"

#define MQW_LEDGER_VERDICTS_KEPT 100000 /* of the history, the newest */

#define MQW_LEDGER_ACTIONS_KEPT (90 * MQW_DAY) /* after they ended */

struct mqw_ledger;

/*
 * Opens or makes the file (mode 0600; its directory must be there) and brings its schema up to
 * date. Reads the whole file once to check it: about a second for a million messages.
 * 0; -EUCLEAN when it is damaged, or empty (then the caller may set it aside and start anew);
 * -ENOTSUP when a newer version of this program wrote it: then nothing in it was changed; -ELOOP
 * for a symbolic link; -EINVAL when it is somebody else's database; or another negative errno. On failure *reterr, when reterr is not
 * NULL, is a sentence for the log, for the caller to free (NULL when memory is out).
 */
int mqw_ledger_open(const char *path, struct mqw_ledger **ret, char **reterr);
struct mqw_ledger *mqw_ledger_close(struct mqw_ledger *l);

/*
 * Renames a damaged, closed ledger and its journals to PATH.damaged-DATE (of now, in UTC) and so on,
 * so that a new one may be opened. A journal left behind would be played into the new file: never
 * rename the ledger alone. *ret_name is the new name, for the caller to free (NULL without memory).
 */
int mqw_ledger_set_aside(const char *path, int64_t now, char **ret_name);

/* What the last failure said, for logs. Borrowed until the next call. */
const char *mqw_ledger_error(const struct mqw_ledger *l);

/*
 * A transaction for a batch: positions and messages in it are kept together or not at all. When a
 * call in it fails, the rest of the batch is refused with the same error and commit gives it too.
 * After a failed commit nothing of the batch is kept and no transaction is open: the caller keeps
 * its batch and puts all of it again, later. begin in a batch: -EINPROGRESS. commit and rollback
 * without one: 0.
 */
int mqw_ledger_begin(struct mqw_ledger *l);
int mqw_ledger_commit(struct mqw_ledger *l);
int mqw_ledger_rollback(struct mqw_ledger *l);

/* Where a source was read to: an opaque text of the source's own (a cursor, or a file position). */
int mqw_ledger_put_position(
	struct mqw_ledger *l, const char *instance, const char *source, struct mqw_slice position);
/* 1 and the text added to ret, 0 when there is none, or a negative errno. */
int mqw_ledger_get_position(
	struct mqw_ledger *l, const char *instance, const char *source, struct mqw_buffer *ret);

/*
 * A number that an instance goes on with after a restart, under a name of the caller's own. In a
 * batch, or else for itself.
 */
int mqw_ledger_put_total(
	struct mqw_ledger *l, const char *instance, const char *name, int64_t value);
/* 1 and the number, 0 when there is none, or a negative errno. */
int mqw_ledger_get_total(
	struct mqw_ledger *l, const char *instance, const char *name, int64_t *ret);

/*
 * Keeps a message with all its recipients, replacing what was kept of the one with its number.
 * instance is the configured one. -EINVAL for a number that is 0 or over 40 bits.
 */
int mqw_ledger_put_message(struct mqw_ledger *l, const char *instance, const struct mqw_message *m);
/* Forgets it; 0 also when it was not kept. */
int mqw_ledger_delete_message(struct mqw_ledger *l, const char *instance, uint64_t number);
/*
 * Gives each kept message of the instance to the callback, in order of their numbers, fit for
 * mqw_tracker_restore(); the message lives until it returns. Its links to other messages are NULL
 * and it is not dirty. A negative value from the callback ends it and is returned. The callback may
 * use the ledger, but not begin another walk over the messages (-EINPROGRESS).
 */
int mqw_ledger_each_message(struct mqw_ledger *l, const char *instance,
	int (*each)(void *ctx, const struct mqw_message *m), void *ctx);

/* A verdict that was reported, for `list` and for people; history, not state. */
int mqw_ledger_add_verdict(struct mqw_ledger *l, const char *instance, int64_t time,
	const struct mqw_message *m, const struct mqw_recipient *r, const struct mqw_judgement *j);

/* A row of that history. NULL, 0 and MQW_TIME_NONE mean what they mean in the tracker's structs. */
struct mqw_verdict_record {
	int64_t time; /* of the report */
	const char *instance; /* the configured one */
	const char *realm, *queue_id, *message_id, *sender, *recipient, *relay, *status, *reply;
	const char *ndr_id, *reason, *remedy;
	int64_t first_seen, last_seen;
	uint32_t attempts;
	uint16_t code;
	uint8_t verdict, confidence; /* enum mqw_verdict, enum mqw_confidence */
};

/* Newest first, at most limit. Strings live until the callback returns; rest as each_message. */
int mqw_ledger_each_verdict(struct mqw_ledger *l, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_verdict_record *v), void *ctx);

enum mqw_action_state {
	MQW_ACTION_STATE_INTENT, /* decided, perhaps begun */
	MQW_ACTION_STATE_DONE, /* it worked */
	MQW_ACTION_STATE_FAILED, /* it did not; detail says how */
	MQW_ACTION_STATE_REFUSED, /* no budget, no copy, helper said no: nothing was done */
	MQW_ACTION_STATE_OBSERVED, /* mode observe: only said */
	MQW_ACTION_STATE_UNCLEAR, /* cannot be told whether it was done: a person has to look */
	MQW_ACTION_STATE_COUNT
};

/* Of the strings only queue_id, recipients and detail may be NULL when put; that is "". */
struct mqw_action_record {
	int64_t id; /* given by the ledger, never used twice */
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

/*
 * Writes an intent and commits it: it is on the disk when this returns. id, state and ended_at are
 * not looked at, the state is INTENT. 1 and *ret_id; 0 when the key is there already, whatever
 * became of it; -EINPROGRESS within a batch, which an action must neither wait for nor commit;
 * -EINVAL when a string is missing; or a negative errno: then nothing may be done.
 */
int mqw_ledger_intend(struct mqw_ledger *l, const struct mqw_action_record *a, int64_t *ret_id);
/* 1 and what became of the action of that key, 0 when there is none, or a negative errno. */
int mqw_ledger_find_action(
	struct mqw_ledger *l, const char *key, int64_t *ret_id, enum mqw_action_state *ret_state);
/*
 * Writes the result of an action and commits it as above. detail NULL: "". A result may follow
 * UNCLEAR (a person looked); any other result stands. -ENOENT: no such action, or it has one.
 */
int mqw_ledger_conclude(struct mqw_ledger *l, int64_t id, enum mqw_action_state state, int64_t time,
	const char *detail);
/*
 * How many of a rule's actions of a kind were begun (not refused, not observed) at since or later;
 * for budgets. ret_last: when the newest of all was intended, for cooldowns; MQW_TIME_NONE none.
 */
int mqw_ledger_count_actions(struct mqw_ledger *l, const char *rule, const char *kind,
	int64_t since, uint32_t *ret_count, int64_t *ret_last);
/*
 * Newest first, at most limit; open_only: those without a result. Strings live until the callback
 * returns; it may conclude the action. Rest as each_message.
 */
int mqw_ledger_each_action(struct mqw_ledger *l, bool open_only, uint32_t limit,
	int (*each)(void *ctx, const struct mqw_action_record *a), void *ctx);

/* "intent", "done", ...; NULL for a value that is none. */
const char *mqw_action_state_name(enum mqw_action_state s);

/*
 * Forgets what is older than is kept, and gives room back to the disk: a little in each call, which
 * takes some milliseconds. Call it every few seconds. Nothing within a batch.
 */
int mqw_ledger_tidy(struct mqw_ledger *l, int64_t now);

#endif
