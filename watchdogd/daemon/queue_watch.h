/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in one MTA's queue, by queue id: hints from the directory watch, corrected by its
 * rescans. A file that moves between directories looks missing for a moment, and the log may lag:
 * so a file is called gone only after a time of grace and a look of our own into every directory.
 */
#ifndef MQW_DAEMON_QUEUE_WATCH_H
#define MQW_DAEMON_QUEUE_WATCH_H

#include <sys/stat.h>

#include "probes/probe.h"
#include "probes/source/dirwatch.h"

struct mqw_queue_watch;

struct mqw_queue_watch_ops {
	/*
	 * The file is there: at path, relative to root. True: all is known of it and done about it, and
	 * it need not be given again until it is changed or moved, or for some rescans; otherwise it is
	 * with each.
	 */
	bool (*present)(void *ctx, struct mqw_slice queue_id, enum mqw_place place,
		const char *path, const struct stat *st);
	/*
	 * Whether it matters that this file is missing. Most are: delivered and removed, and the
	 * log has said so; for them no directory is searched.
	 */
	bool (*matters)(void *ctx, struct mqw_slice queue_id);
	/*
	 * It is in no directory of the queue. place: where it was last; since: when it was first
	 * missed. False: not believed yet, asked again with the next tick.
	 */
	bool (*gone)(void *ctx, struct mqw_slice queue_id, enum mqw_place place, int64_t since);
	/* A complete rescan is over; number: see mqw_queue_watch_rescan(). */
	void (*scanned)(void *ctx, uint32_t number);
	void *ctx;
};

/* root is copied. 0, -ENOMEM, or what the watcher says. */
int mqw_queue_watch_create(struct mqw_dirwatch *dirwatch, const char *root,
	const struct mqw_probe_ops *probe, const struct mqw_queue_watch_ops *ops,
	struct mqw_queue_watch **ret);
struct mqw_queue_watch *mqw_queue_watch_free(struct mqw_queue_watch *w);

/*
 * Looks after what seems to be missing, and calls present() for messages whose journal has grown; call
 * about once a second.
 */
void mqw_queue_watch_tick(struct mqw_queue_watch *w, int64_t now);

/*
 * Asks for a rescan soon: present() is called for every file that is there and of which not all is known,
 * a piece at a time. Gives its number; those of later ones are higher.
 */
uint32_t mqw_queue_watch_rescan(struct mqw_queue_watch *w);

/* Whether a rescan is under way. */
bool mqw_queue_watch_scanning(const struct mqw_queue_watch *w);

/* Calls present() for this message, when it is known and there. */
void mqw_queue_watch_look(struct mqw_queue_watch *w, struct mqw_slice queue_id);

/* What was known of this message is no more: its file, if it is there, is given again. */
void mqw_queue_watch_forget(struct mqw_queue_watch *w, struct mqw_slice queue_id);

/*
 * A message that ought to be in the queue: where it is not known here, it is looked for as if it
 * had just been missed. For messages that the log or the ledger tells of. False when there was no memory
 * for that.
 */
bool mqw_queue_watch_expect(
	struct mqw_queue_watch *w, struct mqw_slice queue_id, enum mqw_place place, int64_t now);

/* The queue's root as a directory descriptor, or -1 while it is not there. Borrowed. */
int mqw_queue_watch_root(struct mqw_queue_watch *w);

/* How many files are known. */
size_t mqw_queue_watch_count(const struct mqw_queue_watch *w);

#endif
