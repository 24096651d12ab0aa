/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One watched MTA in the daemon: its log source, its queue, its tracker and its copies, tied
 * together. Lines and queue changes go in; findings come out, to the rules and to the journal.
 */
#ifndef MQW_DAEMON_INSTANCE_H
#define MQW_DAEMON_INSTANCE_H

#include "probes/source/dirwatch.h"
#include "rules/rules.h"
#include "watchdogd/act/act.h"

struct mqw_instance;
struct mqw_mailroot;
struct mqw_progress;
struct mqw_totals;
struct mqw_vault_limits;

/* What all instances share; borrowed, outlives them. */
struct mqw_instance_host {
	sd_event *event;
	struct mqw_dirwatch *dirwatch;
	struct mqw_ledger *ledger;
	struct mqw_act *act;
	struct mqw_rules **rules; /* the pointer changes at a reload */
	const char *state_directory;
	enum mqw_keep keep;
	bool flush; /* each copy waits for the disk */
	const struct mqw_vault_limits *limits;
	struct mqw_progress *progress; /* told of long work; may be NULL */
};

/*
 * Opens everything, takes back from the ledger what was open, and begins to read where it was left
 * off. c is borrowed until _free(). 0 or a negative errno, which has been said.
 */
int mqw_instance_open(const struct mqw_instance_config *c, const struct mqw_instance_host *host,
	struct mqw_instance **ret);
struct mqw_instance *mqw_instance_free(struct mqw_instance *i);

/*
 * Tells instances of one another. Where several log to one file, each follows all of the file's
 * messages, since they hand them to each other; but what became of a message is reported by the
 * instance alone that the log names. 0 or -ENOMEM.
 */
int mqw_instances_meet(struct mqw_instance *const *instances, size_t count);

/* Whether a message is another instance's, by the name under which it was logged. */
bool mqw_instance_is_others(const struct mqw_instance *i, const struct mqw_message *m);

/* Once a second, with the clock. */
void mqw_instance_tick(struct mqw_instance *i, int64_t now);

/*
 * To be asked once a second. True when the log says for half a minute that there is more of it,
 * and gives nothing: a turn of the loop is no progress then.
 */
bool mqw_instance_is_stuck(struct mqw_instance *i);

/*
 * Writes what changed since the last call, and the position in the log, into the ledger, in a
 * batch of its own. 1: there is more of it than is done in one go, call again soon. Negative
 * errno: nothing is kept, everything comes again with the next call.
 */
int mqw_instance_keep(struct mqw_instance *i);

/* For status. */
const struct mqw_act_instance *mqw_instance_parts(const struct mqw_instance *i);
struct mqw_instance_status {
	const char *name, *mta, *log, *queue;
	bool caught_up;
	uint64_t lines, unparsed, queue_files;
	int64_t last_line; /* MQW_TIME_NONE: none yet */
	const struct mqw_mailroot *mailroot; /* for mqw_mailroot_state(); NULL: none is looked at */
	uint64_t dropped, ignored; /* as in mqw_tracker_counts */
	const struct mqw_totals *totals; /* of lines and since when; the rest the tracker has */
};
struct mqw_instance_status mqw_instance_status(const struct mqw_instance *i);
/* The name of a numbered source, for evidence; ctx is the instance. */
const char *mqw_instance_source_name(void *ctx, uint32_t source);

#endif
