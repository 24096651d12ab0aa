/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bringing the journal into the file, beside the loop. SQLite does it within a commit, every
 * thousand pages: with a million messages that is a thousand writes all over the file and two
 * flushes, during which no line would be read. A checkpoint neither stops a writer nor is stopped by
 * one (https://www.sqlite.org/wal.html), so a thread with a handle of its own does it. The thread
 * begins when there is work for the first time, and touches nothing but what is in this file.
 */
#include "watchdogd/ledger/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BEGIN_PAGES 1000 /* as SQLite has it */
/* The disk does not keep up, or somebody reads: then it is better to wait than to fill the disk. */
#define WAIT_PAGES 32768

struct mqw_checkpoints {
	char *path;
	pthread_t thread;
	bool running; /* the thread is there */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool wanted, ending; /* under lock */
};

static void checkpoint(sqlite3 *db)
{
	/* What fails here (a full disk) is tried again with the next batch, and told of by it. */
	sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *work(void *arg)
{
	struct mqw_checkpoints *c = arg;
	sqlite3 *db = NULL;
	bool go = true;

	if (sqlite3_open_v2(c->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
		SQLITE_OK)
		sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	while (go) {
		pthread_mutex_lock(&c->lock);
		while (!c->wanted && !c->ending)
			pthread_cond_wait(&c->wake, &c->lock);
		c->wanted = false;
		go = !c->ending;
		pthread_mutex_unlock(&c->lock);
		if (go)
			checkpoint(db);
	}
	sqlite3_close(db);
	return NULL;
}

/* After each commit, with the number of pages in the journal. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct mqw_checkpoints *c = arg;

	(void)name;
	if (pages < BEGIN_PAGES)
		return SQLITE_OK;
	if (!c->running)
		c->running = pthread_create(&c->thread, NULL, work, c) == 0;
	if (!c->running || pages >= WAIT_PAGES)
		checkpoint(db);
	if (!c->running)
		return SQLITE_OK;
	pthread_mutex_lock(&c->lock);
	c->wanted = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	return SQLITE_OK;
}

int mqw_checkpoints_begin(struct mqw_ledger *l, const char *path)
{
	struct mqw_checkpoints *c = calloc(1, sizeof(*c));

	if (c)
		c->path = mqw_slice_dup(mqw_slice_of(path));
	if (!c || !c->path) {
		free(c);
		return mqw_ledger_fail_with(l, -ENOMEM, "out of memory");
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, NULL);
	l->checkpoints = c;
	sqlite3_wal_hook(l->db, on_commit, c);
	return 0;
}

void mqw_checkpoints_end(struct mqw_ledger *l)
{
	struct mqw_checkpoints *c = l->checkpoints;

	if (!c)
		return;
	sqlite3_wal_hook(l->db, NULL, NULL);
	if (c->running) {
		pthread_mutex_lock(&c->lock);
		c->ending = true;
		pthread_cond_signal(&c->wake);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->wake);
	free(c->path);
	free(c);
	l->checkpoints = NULL;
}
