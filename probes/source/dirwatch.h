/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches queue directories. A rescan is the truth: it runs at the start, by a timer, on request,
 * and whenever the kernel lost events. Between rescans inotify gives hints, which may come twice,
 * and late, but not for names that were never there. Single-threaded, in sd-event; one watcher a
 * process, since libinotifytools has but one state.
 */
#ifndef MQW_PROBES_SOURCE_DIRWATCH_H
#define MQW_PROBES_SOURCE_DIRWATCH_H

#include "watchdogd/base/slice.h"

struct sd_event;
struct stat;
struct mqw_dirwatch;

/*
 * What one tree tells its owner. A rescan of many names goes a piece at a time, and hints come between the
 * pieces. Paths are relative to its root and live until the call returns.
 */
struct mqw_dirwatch_ops {
	/* A name that is no directory came (or was found), or went. */
	void (*name)(void *userdata, struct mqw_slice relative_path, bool present);
	void (*rescan_begin)(void *userdata);
	/* One name that is no directory, as lstat(2) shows it. */
	void (*scanned)(void *userdata, struct mqw_slice relative_path, const struct stat *st);
	/*
	 * What was neither scanned nor hinted at as present since rescan_begin is gone, provided
	 * that complete: false when a directory could not be read or the root is not there, and
	 * then the absence of a name proves nothing. Hints that came up during the scan are given
	 * before this call, so that a file which moved meanwhile is not taken for gone.
	 */
	void (*rescan_end)(void *userdata, bool complete);
};

/*
 * Call early, while few descriptors are open: the library waits with select(2). interval: the most
 * microseconds between two rescans. 0, -EBUSY when there is one already, -ENOMEM, or what sd-event
 * says. Where inotify is not to be had the watcher lives by rescans alone: see _polling().
 */
int mqw_dirwatch_create(struct sd_event *event, uint64_t interval, struct mqw_dirwatch **ret);
struct mqw_dirwatch *mqw_dirwatch_free(struct mqw_dirwatch *w);

/*
 * Whether hints are given as they come. Otherwise they wait a few hundredths of a second for more of
 * them, so that a busy queue does not wake the process for each name; one that is gone by then is not
 * met.
 */
void mqw_dirwatch_set_at_once(struct mqw_dirwatch *w, bool at_once);

/*
 * Adds a tree: root is absolute; directories, NULL-terminated, are those below it to watch with
 * all that is in them, as patterns of places.h; one that is missing is looked for at each rescan.
 * The array, its strings and ops are borrowed for the watcher's life. Its first rescan comes from
 * the event loop. 0, -EINVAL, -ENOMEM.
 */
int mqw_dirwatch_add(struct mqw_dirwatch *w, const char *root, const char *const *directories,
	const struct mqw_dirwatch_ops *ops, void *userdata);

/* Asks for a rescan of all trees soon; never within a second of the last. 0 or -errno. */
int mqw_dirwatch_rescan(struct mqw_dirwatch *w);

/*
 * 0 while every directory is watched; otherwise the errno why some are seen by rescans alone:
 * ENOSPC when fs.inotify.max_user_watches is used up, EMFILE for max_user_instances.
 */
int mqw_dirwatch_polling(const struct mqw_dirwatch *w);

/* For status: times that the kernel dropped events, and rescans run. */
uint64_t mqw_dirwatch_overflows(const struct mqw_dirwatch *w);
uint64_t mqw_dirwatch_rescans(const struct mqw_dirwatch *w);

#endif
