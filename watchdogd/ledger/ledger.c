/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 500 /* the event loop stands still for it */
#define ROW_MAX (16 * 1024 * 1024)

/*
 * synchronous NORMAL: in WAL mode a commit is then a write without a flush, safe against the death
 * of the process and, after a power cut, consistent but perhaps older. actions.c raises it to FULL
 * for its own commits. The cell check catches damaged pages that a query happens upon; views and
 * triggers of a file that somebody tampered with run no functions.
 */
static const char settings[] = "PRAGMA auto_vacuum = INCREMENTAL;"
			       "PRAGMA foreign_keys = ON;"
			       "PRAGMA trusted_schema = OFF;"
			       "PRAGMA cell_size_check = ON;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA cache_size = -8192;"
			       "PRAGMA journal_size_limit = 16777216;"
			       "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = NORMAL;";

/*
 * SQLite would make the file with the umask's mode, and open a read-only one without a word. A
 * journal takes the mode of its file. An empty one that was there before is a ledger that lost all
 * it had: it would pass for a new one.
 */
static int make_file(struct mqw_ledger *l, const char *path)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = open(path, flags | O_CREAT | O_EXCL, 0600), r = 0;
	bool fresh = fd >= 0;
	struct stat st;

	if (fd < 0 && errno == EEXIST)
		fd = open(path, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if (!fresh && st.st_size == 0)
		r = mqw_ledger_fail_with(l, -EUCLEAN, "damaged: the file is empty");
	else if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* One row with "ok", or what is wrong. */
static int check_integrity(struct mqw_ledger *l)
{
	sqlite3_stmt *stmt;
	const char *text;
	int rc = sqlite3_prepare_v2(l->db, "PRAGMA quick_check(1)", -1, &stmt, NULL), r = 0;

	if (rc != SQLITE_OK)
		return mqw_ledger_fail(l, rc);
	rc = sqlite3_step(stmt);
	text = rc == SQLITE_ROW ? mqw_column_text(stmt, 0) : NULL;
	if (!text)
		r = mqw_ledger_fail(l, rc == SQLITE_ROW ? SQLITE_NOMEM : rc);
	else if (strcmp(text, "ok") != 0)
		r = mqw_ledger_fail_with(l, -EUCLEAN, "damaged: %s", text);
	sqlite3_finalize(stmt);
	return r;
}

static int open_database(struct mqw_ledger *l, const char *path)
{
	int rc = sqlite3_open_v2(path, &l->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	int r;

	if (!l->db)
		return mqw_ledger_fail_with(l, -ENOMEM, "out of memory");
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(l->db, BUSY_TIMEOUT_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc != SQLITE_OK)
		return mqw_ledger_fail(l, rc);
	sqlite3_limit(l->db, SQLITE_LIMIT_LENGTH, ROW_MAX);
	/* What turns out not to be ours to open is left as it was, its journal too. */
	sqlite3_db_config(l->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	r = mqw_schema_check(l);
	if (r < 0)
		return r;
	sqlite3_db_config(l->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	rc = sqlite3_exec(l->db, settings, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return mqw_ledger_fail(l, rc);
	r = check_integrity(l);
	if (r == 0)
		r = mqw_schema_upgrade(l);
	if (r == 0)
		r = mqw_statements_prepare(l);
	return r < 0 ? r : mqw_checkpoints_begin(l, path);
}

static char *explain(const char *path, const char *why)
{
	struct mqw_buffer b = {0};

	mqw_buffer_printf(&b, "ledger %s: %s", path, why);
	if (b.failed)
		mqw_buffer_done(&b);
	return b.ptr;
}

int mqw_ledger_open(const char *path, struct mqw_ledger **ret, char **reterr)
{
	struct mqw_ledger *l = calloc(1, sizeof(*l));
	int r = l ? make_file(l, path) : -ENOMEM;
	const char *why;

	if (r == 0) {
		r = open_database(l, path);
		if (r == 0) {
			*ret = l;
			return 0;
		}
	}
	why = l && l->error[0] ? l->error : strerror(-r);
	if (reterr)
		*reterr = explain(path, why);
	mqw_ledger_close(l);
	return r;
}

struct mqw_ledger *mqw_ledger_close(struct mqw_ledger *l)
{
	if (!l)
		return NULL;
	mqw_checkpoints_end(l);
	mqw_statements_finalize(l);
	sqlite3_close(l->db);
	free(l);
	return NULL;
}

/* A name that nothing has yet: an older ledger that was damaged stays for whoever looks into it. */
static int name_aside(const char *path, int64_t now, char name[static PATH_MAX])
{
	time_t seconds = (time_t)(now / MQW_SECOND);
	char stamp[32];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm))
		return -EINVAL;
	for (int i = 1; i < 100; i++) {
		char number[16] = "";
		int n;

		if (i > 1)
			snprintf(number, sizeof(number), "-%d", i);
		n = snprintf(name, PATH_MAX, "%s.damaged-%s%s", path, stamp, number);
		if (n < 0 || n >= PATH_MAX)
			return -ENAMETOOLONG;
		if (access(name, F_OK) < 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -EEXIST;
}

int mqw_ledger_set_aside(const char *path, int64_t now, char **ret_name)
{
	/* The journals first: whatever is cut short here, none is left beside a new ledger. */
	static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
	char name[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	int r = name_aside(path, now, name);

	for (size_t i = 0; r == 0 && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		int n = snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
		int k = snprintf(to, sizeof(to), "%s%s", name, suffixes[i]);

		if (n < 0 || k < 0 || (size_t)n >= sizeof(from) || (size_t)k >= sizeof(to))
			return -ENAMETOOLONG;
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	if (r == 0)
		*ret_name = mqw_slice_dup(mqw_slice_of(name));
	return r;
}

const char *mqw_ledger_error(const struct mqw_ledger *l)
{
	return l->error;
}

static int run_plain(struct mqw_ledger *l, enum mqw_statement which)
{
	struct mqw_binder b = mqw_bind(l, which);

	return mqw_ledger_run(l, &b);
}

int mqw_ledger_begin(struct mqw_ledger *l)
{
	int r;

	if (l->in_batch)
		return -EINPROGRESS;
	/* Left over when a rollback failed. */
	if (!sqlite3_get_autocommit(l->db))
		run_plain(l, MQW_STATEMENT_ROLLBACK);
	r = run_plain(l, MQW_STATEMENT_BEGIN);
	if (r < 0)
		return r;
	l->in_batch = true;
	l->batch_error = 0;
	return 0;
}

int mqw_ledger_commit(struct mqw_ledger *l)
{
	int r;

	if (!l->in_batch)
		return 0;
	r = l->batch_error;
	if (r == 0)
		r = run_plain(l, MQW_STATEMENT_COMMIT);
	if (r < 0)
		mqw_ledger_rollback(l);
	l->in_batch = false;
	return r;
}

/* After some errors SQLite has rolled back by itself; the message of the first failure is kept. */
int mqw_ledger_rollback(struct mqw_ledger *l)
{
	char error[sizeof(l->error)];
	int r = 0;

	if (!l->in_batch)
		return 0;
	memcpy(error, l->error, sizeof(error));
	if (!sqlite3_get_autocommit(l->db))
		r = run_plain(l, MQW_STATEMENT_ROLLBACK);
	if (r == 0)
		memcpy(l->error, error, sizeof(error));
	l->in_batch = false;
	l->batch_error = 0;
	l->instance = 0; /* it may have been made in this batch */
	return r;
}
