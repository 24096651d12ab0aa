/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/ledger/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 500 /* the event loop stands still for it */
#define ROW_MAX (16 * 1024 * 1024)

/*
 * synchronous NORMAL: in WAL mode a commit is then a write without a flush, safe against the death
 * of the process and, after a power cut, consistent but perhaps older. actions.c raises it to FULL
 * for its own commits. The cell check catches damaged pages that a query happens upon; views and
 * triggers of a file that somebody tampered with run no functions.
 */
static const char settings[] = "PRAGMA foreign_keys = ON;"
			       "PRAGMA trusted_schema = OFF;"
			       "PRAGMA cell_size_check = ON;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA cache_size = -8192;"
			       "PRAGMA journal_size_limit = 16777216;"
			       "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = NORMAL;";

/*
 * SQLite would make the file with the umask's mode, and open a read-only one without a word. A
 * journal takes the mode of its file.
 */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600), r = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
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
	r = mqw_schema_check(l);
	if (r < 0)
		return r;
	rc = sqlite3_exec(l->db, settings, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return mqw_ledger_fail(l, rc);
	r = check_integrity(l);
	if (r == 0)
		r = mqw_schema_upgrade(l);
	return r < 0 ? r : mqw_statements_prepare(l);
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
	int r = l ? make_file(path) : -ENOMEM;
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
	mqw_statements_finalize(l);
	sqlite3_close(l->db);
	free(l);
	return NULL;
}

int mqw_ledger_set_aside(const char *path)
{
	/* The journals first: whatever is cut short here, none is left beside a new ledger. */
	static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
	char from[PATH_MAX], to[PATH_MAX];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		int n = snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
		int k = snprintf(to, sizeof(to), "%s.damaged%s", path, suffixes[i]);

		if (n < 0 || k < 0 || (size_t)n >= sizeof(from) || (size_t)k >= sizeof(to))
			return -ENAMETOOLONG;
		if (rename(from, to) == 0)
			continue;
		if (errno != ENOENT)
			return -errno;
		/* An older one's journal does not belong to what now takes its place. */
		if (unlink(to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
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
	return r;
}
