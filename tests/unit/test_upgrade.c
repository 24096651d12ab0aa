/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ledgers that earlier versions wrote, as text under tests/unit/ledgers: what was kept is read as it
 * was. And those that cannot be read: what the daemon does with them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "instance_fixture.h"
#include "watchdogd/base/fd.h"
#include "watchdogd/daemon/engine_internal.h"
#include "watchdogd/ledger/memory.h"
#include "watchdogd/ledger/outbox.h"
#include "watchdogd/ledger/windows.h"

#define NEWEST 7
#define T INT64_C(1796000000000000)

static void read_file(const char *path, struct mqw_buffer *ret)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail_msg("%s cannot be read", path);
	assert_int_equal(mqw_fd_read_all(fd, 64 * 1024 * 1024, ret), 0);
	close(fd);
}

/* Makes the ledger that a version wrote. */
static void write_ledger(int version)
{
	struct mqw_buffer sql = {0};
	char name[96], *error = NULL;
	sqlite3 *db;

	snprintf(name, sizeof(name), "tests/unit/ledgers/schema-%d.sql", version);
	read_file(name, &sql);
	assert_int_equal(sqlite3_open(ledger_path, &db), SQLITE_OK);
	if (sqlite3_exec(db, mqw_buffer_str(&sql), NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", name, error);
	sqlite3_close(db);
	mqw_buffer_done(&sql);
}

static void add_time(struct mqw_buffer *b, const char *name, int64_t time)
{
	if (time != MQW_TIME_NONE)
		mqw_buffer_printf(b, " %s=%lld", name, (long long)(time - T));
}

static void add_text(struct mqw_buffer *b, const char *name, const char *text)
{
	if (text)
		mqw_buffer_printf(b, " %s=<%s>", name, text);
}

static void add_flag(struct mqw_buffer *b, const char *name, bool set)
{
	if (set)
		mqw_buffer_printf(b, " %s", name);
}

static void add_recipient(struct mqw_buffer *b, const struct mqw_recipient *r)
{
	mqw_buffer_printf(b, "  %s:", r->address);
	add_text(b, "relay", r->relay);
	add_text(b, "reply", r->reply);
	add_text(b, "successor", r->successor);
	add_flag(b, "successor_known", r->successor_known);
	add_flag(b, "hasty", r->hasty);
	mqw_buffer_printf(b, " status=<%s> code=%u state=%u attempts=%u reported=%u", r->status,
		r->code, r->state, r->attempts, r->reported);
	add_time(b, "first", r->first_attempt);
	add_time(b, "last", r->last_attempt);
	mqw_buffer_printf(b, " at %u:%llu-%u:%llu\n", r->first_seen_at.source,
		(unsigned long long)r->first_seen_at.line, r->last_seen_at.source,
		(unsigned long long)r->last_seen_at.line);
}

static int add_message(void *ctx, const struct mqw_message *m)
{
	struct mqw_buffer *b = ctx;

	mqw_buffer_printf(b, "%llu %s/%s of %s", (unsigned long long)m->number, m->realm,
		m->queue_id, m->instance);
	add_text(b, "sender", m->sender);
	add_text(b, "message_id", m->message_id);
	add_text(b, "ndr", m->ndr_id);
	add_text(b, "lost_how", m->lost_how);
	add_flag(b, "opening_seen", m->opening_seen);
	add_flag(b, "age_known", m->age_known);
	add_flag(b, "queued", m->queued);
	add_flag(b, "held", m->held);
	add_flag(b, "removed", m->removed);
	add_flag(b, "admin_removed", m->admin_removed);
	add_flag(b, "admin_requeued", m->admin_requeued);
	add_flag(b, "discarded", m->discarded);
	add_flag(b, "refused", m->refused);
	add_flag(b, "probe", m->probe);
	add_flag(b, "gave_up", m->gave_up);
	add_flag(b, "gave_up_forced", m->gave_up_forced);
	add_flag(b, "file_lost", m->file_lost);
	add_flag(b, "queue_gone", m->queue_gone);
	mqw_buffer_printf(
		b, " place=%u reported=%u announced=%u", m->place, m->reported, m->announced);
	add_time(b, "opened", m->opened_at);
	add_time(b, "first", m->first_seen);
	add_time(b, "last", m->last_seen);
	add_time(b, "deferred", m->deferred_at);
	add_time(b, "gave_up", m->gave_up_at);
	add_time(b, "requeued", m->requeued_at);
	add_time(b, "gone", m->gone_at);
	add_time(b, "closed", m->closed_at);
	add_time(b, "retry", m->retry_at);
	mqw_buffer_add_str(b, "\n");
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		add_recipient(b, r);
	return 0;
}

static int add_action(void *ctx, const struct mqw_action_record *a)
{
	mqw_buffer_printf(ctx, "action %lld %s %s %s %s <%s> <%s> %s %s <%s>", (long long)a->id,
		a->key, a->kind, a->rule, a->instance, a->queue_id, a->recipients, a->cause,
		mqw_action_state_name(a->state), a->detail);
	add_time(ctx, "intended", a->intended_at);
	add_time(ctx, "ended", a->ended_at);
	mqw_buffer_add_str(ctx, "\n");
	return 0;
}

static int add_verdict(void *ctx, const struct mqw_verdict_record *v)
{
	mqw_buffer_printf(ctx, "verdict %s %s %s %s %u\n", v->queue_id, v->recipient,
		mqw_verdict_name((enum mqw_verdict)v->verdict), v->reply, v->code);
	return 0;
}

static int add_finding(void *ctx, const char *content)
{
	mqw_buffer_printf(ctx, "finding %s\n", content);
	return 0;
}

static int add_alert(void *ctx, const struct mqw_outbox_record *r)
{
	mqw_buffer_printf(ctx, "alert %lld %s %s %s %s %s <%s> %u %llu", (long long)r->id,
		r->channel, r->rule, r->instance, r->token, mqw_outbox_state_name(r->state),
		r->detail, r->attempts, (unsigned long long)r->findings);
	add_time(ctx, "due", r->due_at);
	mqw_buffer_add_str(ctx, "\n");
	return mqw_ledger_outbox_each_finding(ledger, r->id, add_finding, ctx);
}

static int add_window(void *ctx, const struct mqw_window_record *w)
{
	mqw_buffer_printf(ctx, "window %s %llx %.*s %.*s\n", w->rule,
		(unsigned long long)w->conditions, (int)w->key.len, w->key.ptr, (int)w->entries.len,
		w->entries.ptr);
	return 0;
}

static void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx, (void)m, (void)r, (void)j, (void)previous;
}

static void add_memory(struct mqw_buffer *b)
{
	const struct mqw_tracker_options options = mqw_tracker_defaults();
	const struct mqw_tracker_ops ops = {.verdict = on_verdict};
	struct mqw_tracker *t = mqw_tracker_create(&options, &ops, true);
	const struct mqw_gap *gap;
	int64_t since;

	assert_int_equal(mqw_ledger_restore_memory(ledger, "out", t), 0);
	for (size_t i = 0; (gap = mqw_tracker_gap(t, i)); i++) {
		mqw_buffer_add_str(b, "gap");
		add_time(b, "from", gap->from);
		add_time(b, "to", gap->to);
		mqw_buffer_printf(b, " %s\n", gap->why);
	}
	assert_int_equal(mqw_ledger_get_dropping(ledger, "out", &since), 0);
	mqw_buffer_add_str(b, "dropping");
	add_time(b, "since", since);
	mqw_buffer_add_str(b, "\n");
	mqw_tracker_free(t);
}

#define EXIM                                                                                       \
	" of exim sender=<> lost_how=<spool file is locked> queued held admin_requeued gave_up "   \
	"gave_up_forced file_lost place=4 reported=8 announced=1 opened="

static const char messages[] =
	"1 mx2.example/1tABcd-000000001Xy-2abc" EXIM
	"-1000 first=-900 last=-800 gave_up=-700 requeued=-600\n"
	"2 /4GAAA of out sender=<a@example.com> message_id=<1@example.com> ndr=<4Gndr> "
	"opening_seen "
	"age_known queued queue_gone place=0 reported=0 announced=3 opened=0 first=0 last=4 "
	"deferred=3 gone=9 retry=100\n"
	"  one@example.net: relay=<mx.example.net[192.0.2.1]:25> reply=<451 4.7.1 'later' \xff\n> "
	"hasty status=<4.7.1> code=451 state=1 attempts=3 reported=10 first=1 last=3 at 1:11-2:12\n"
	"  two@example.net: successor=<4Gnext> successor_known status=<2.0.0> code=250 state=3 "
	"attempts=1 reported=2 first=4 last=4 at 1:13-1:13\n"
	"  three@example.net: status=<> code=0 state=0 attempts=0 reported=0 at 0:0-0:0\n"
	"in:\n1 mx2.example/4GBBB" EXIM "-5 first=-900 last=-800 gave_up=-700 requeued=-600\n"
	"position dev 1 inode 2 offset 3\n"
	"action 2 restart/out/1 restart resend out <> <> vanished intent <> intended=10\n"
	"action 1 recover/out/4GAAA recover resend out <4GAAA> <one@example.net> vanished done "
	"<re-injected as 4GCCC> intended=10 ended=11\n"
	"verdict 4GAAA one@example.net vanished 451 4.7.1 'later' \xff\n 451\n";
static const char alerts[] =
	"alert 1 ops resend out 0123456789abcdef0123456789abcdef waiting <421 not now> 1 1 "
	"due=3000000\nfinding {\"queue_id\":\"4GAAA\"}\n";
static const char windows[] = "window stuck fedcba9876543210 out 1796000000000000 1\n";
static const char memory[] = "gap from=-60000000 to=0 312 messages lost\ndropping since=-7\n";

static void assert_reads(int version)
{
	struct mqw_buffer got = {0}, want = {0};

	assert_int_equal(mqw_ledger_open(ledger_path, &ledger, NULL), 0);
	assert_int_equal(mqw_ledger_each_message(ledger, "out", add_message, &got), 0);
	mqw_buffer_add_str(&got, "in:\n");
	assert_int_equal(mqw_ledger_each_message(ledger, "in", add_message, &got), 0);
	mqw_buffer_add_str(&got, "position ");
	assert_int_equal(mqw_ledger_get_position(ledger, "out", "/var/log/mail.log", &got), 1);
	mqw_buffer_add_str(&got, "\n");
	assert_int_equal(mqw_ledger_each_action(ledger, false, 10, add_action, &got), 0);
	assert_int_equal(mqw_ledger_each_verdict(ledger, 10, add_verdict, &got), 0);
	assert_int_equal(mqw_ledger_outbox_each_due(ledger, INT64_MAX, 0, 10, add_alert, &got), 0);
	assert_int_equal(mqw_ledger_each_window(ledger, add_window, &got), 0);
	add_memory(&got);
	mqw_buffer_add_str(&want, messages);
	mqw_buffer_add_str(&want, version >= 2 ? alerts : "");
	mqw_buffer_add_str(&want, version >= 3 ? windows : "");
	mqw_buffer_add_str(&want, version >= 4 ? memory : "dropping\n");
	assert_string_equal(mqw_buffer_str(&got), mqw_buffer_str(&want));
	ledger = mqw_ledger_close(ledger);
	mqw_buffer_done(&got);
	mqw_buffer_done(&want);
}

static void test_every_version(void **state)
{
	(void)state;
	for (int version = 1; version < NEWEST; version++) {
		write_ledger(version);
		assert_reads(version);
		assert_reads(version); /* and as it was written then */
		unlink(ledger_path);
	}
}

/* What a message of an older ledger becomes takes the place of what was there. */
static void test_goes_on(void **state)
{
	struct mqw_buffer got = {0};
	struct mqw_message m = {
		.number = 2, .realm = "", .queue_id = "4GAAA", .instance = "out", .opened_at = T};

	(void)state;
	write_ledger(1);
	assert_int_equal(mqw_ledger_open(ledger_path, &ledger, NULL), 0);
	assert_int_equal(mqw_ledger_put_message(ledger, "out", &m), 0);
	assert_int_equal(mqw_ledger_delete_message(ledger, "out", 1), 0);
	assert_int_equal(mqw_ledger_each_message(ledger, "out", add_message, &got), 0);
	assert_string_equal(mqw_buffer_str(&got),
		"2 /4GAAA of out place=0 reported=0 announced=0 opened=0 first=-1796000000000000 "
		"last=-1796000000000000 deferred=-1796000000000000 gave_up=-1796000000000000 "
		"requeued=-1796000000000000 gone=-1796000000000000 closed=-1796000000000000 "
		"retry=-1796000000000000\n");
	mqw_buffer_done(&got);
}

/* Newer than the program: it says which, and leaves file and journal alone. */
static void test_newer(void **state)
{
	struct mqw_buffer before = {0}, after = {0};
	char wal[128], *error = NULL;
	sqlite3 *db;

	(void)state;
	write_ledger(4);
	assert_int_equal(mqw_ledger_open(ledger_path, &ledger, NULL), 0);
	ledger = mqw_ledger_close(ledger);
	/* Its own program was killed: a part of it is in the journal. */
	assert_int_equal(sqlite3_open(ledger_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				 "PRAGMA user_version = 99; CREATE TABLE newer (a);"
				 "INSERT INTO newer VALUES (1)",
				 NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(db);
	snprintf(wal, sizeof(wal), "%s-wal", ledger_path);
	read_file(ledger_path, &before);
	read_file(wal, &before);
	assert_int_equal(mqw_ledger_open(ledger_path, &ledger, &error), -ENOTSUP);
	assert_non_null(strstr(error, "schema 99 and this program knows up to 7: a newer version"));
	read_file(ledger_path, &after);
	read_file(wal, &after);
	assert_true(mqw_slice_eq(mqw_buffer_slice(&before), mqw_buffer_slice(&after)));
	free(error);
	mqw_buffer_done(&before);
	mqw_buffer_done(&after);
}

static void run_sql(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(ledger_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void garbage(off_t at)
{
	char junk[4096];
	int fd = open(ledger_path, O_WRONLY);

	memset(junk, 0xa5, sizeof(junk));
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	close(fd);
}

static void break_it(const char *how)
{
	struct stat st;

	assert_int_equal(stat(ledger_path, &st), 0);
	if (!strcmp(how, "truncated"))
		assert_int_equal(truncate(ledger_path, st.st_size / 2), 0);
	else if (!strcmp(how, "garbage page"))
		garbage(4096);
	else if (!strcmp(how, "garbage header"))
		garbage(0);
	else if (!strcmp(how, "empty"))
		assert_int_equal(truncate(ledger_path, 0), 0);
	else
		run_sql("PRAGMA application_id = 7");
}

/* Whatever it is, the daemon goes on, and knows again what log and queue tell. */
static void test_begun_anew(void **state)
{
	static const char *const ways[] = {
		"truncated", "garbage page", "garbage header", "empty", "another program's"};
	struct mqw_config where = {.state_directory = dir};
	struct mqw_engine e = {.config = &where};
	char pattern[128], *before, *after;
	size_t count;
	glob_t found;

	(void)state;
	was_accepted(6 * 3600, "4F3AB1001");
	was_deferred(6 * 3600, "4F3AB1001");
	logged(5 * 3600, "rsyslogd", "imuxsock[pid 9]: 312 messages lost due to rate-limiting");
	was_accepted(4 * 3600, "4F3AB1002");
	was_deferred(4 * 3600, "4F3AB1002");
	logged(60, "postfix/anvil", "statistics: max connection count 1");
	run();
	before = verdicts();
	stop();
	snprintf(pattern, sizeof(pattern), "%s.damaged-*", ledger_path);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		break_it(ways[i]);
		assert_int_equal(mqw_engine_open_ledger(&e), 0);
		e.ledger = mqw_ledger_close(e.ledger);
		assert_int_equal(glob(pattern, 0, NULL, &found), 0);
		for (size_t n = count = 0; n < found.gl_pathc; n++)
			count += !strstr(found.gl_pathv[n], "-wal") &&
				!strstr(found.gl_pathv[n], "-shm");
		if (count != i + 1)
			fail_msg("%s: %zu set aside", ways[i], count);
		globfree(&found);
		run();
		after = verdicts();
		assert_string_equal(after, before);
		free(after);
		stop();
	}
	free(before);
	run_sql("PRAGMA user_version = 99");
	assert_int_equal(mqw_engine_open_ledger(&e), -ENOTSUP);
	assert_null(e.ledger);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, instance_setup, instance_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_version),
		TEST(test_goes_on),
		TEST(test_newer),
		TEST(test_begun_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
