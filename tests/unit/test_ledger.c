/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/ledger/ledger.h"

#define HOSTILE "\xff\xfe'; DROP TABLE message; --\x1b[31m\n\xc3\x28"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-ledger-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct mqw_ledger *must_open(void)
{
	struct mqw_ledger *l = NULL;
	char *error = NULL;
	int r = mqw_ledger_open(path, &l, &error);

	if (r < 0)
		print_error("open: %d %s\n", r, error);
	assert_int_equal(r, 0);
	assert_non_null(l);
	return l;
}

static int open_error(void)
{
	struct mqw_ledger *l = NULL;
	char *error = NULL;
	int r = mqw_ledger_open(path, &l, &error);

	assert_null(l);
	if (r < 0) {
		assert_non_null(error);
		assert_non_null(strstr(error, path));
	}
	free(error);
	return r;
}

static void run_sql(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Each field has a value of its own, so that no two can be mixed up unseen. */
static struct mqw_recipient full_recipient(void)
{
	return (struct mqw_recipient){.address = (char *)HOSTILE "@example.net",
		.relay = (char *)"mx.example.net[192.0.2.1]:25",
		.reply = (char *)"451 4.7.1 " HOSTILE,
		.successor = (char *)"4next",
		.successor_known = true,
		.status = "4.7.12345",
		.code = 65535,
		.state = MQW_RECIPIENT_MISBOUNCED,
		.hasty = true,
		.doubtful = true,
		.attempts = 4000000000U,
		.reported = MQW_VERDICT_FALSE_NDR,
		.counted = MQW_VERDICT_PENDING,
		.first_attempt = 101,
		.last_attempt = -102,
		.first_seen_at = {.source = 7, .line = UINT64_MAX},
		.last_seen_at = {.source = UINT32_MAX, .line = 9}};
}

static struct mqw_message full_message(struct mqw_recipient *recipients, uint32_t count)
{
	return (struct mqw_message){.number = 7,
		.realm = "host.example",
		.queue_id = "4F3aBcDeFgHz1k",
		.instance = "postfix-out",
		.sender = (char *)"",
		.message_id = (char *)HOSTILE "@example.com",
		.ndr_id = (char *)"4ndr",
		.former_id = (char *)"4former",
		.successor = (char *)"4succ",
		.recipients = recipients,
		.last_recipient = recipients ? recipients + count - 1 : NULL,
		.recipient_count = count,
		.announced = 3,
		.opening_seen = true,
		.age_known = true,
		.held = true,
		.admin_removed = true,
		.discarded = true,
		.probe = true,
		.gave_up_forced = true,
		.queue_gone = true,
		.place = MQW_PLACE_COUNT - 1,
		.dirty = true,
		.reported = MQW_VERDICT_VANISHED,
		.counted = MQW_VERDICT_OVERDUE,
		.opened_at = 1,
		.first_seen = 2,
		.last_seen = INT64_MAX,
		.deferred_at = 4,
		.gave_up_at = MQW_TIME_NONE,
		.requeued_at = 6,
		.gone_at = 7,
		.closed_at = MQW_TIME_NONE,
		.retry_at = 9,
		.lost_how = (char *)"lost it"};
}

static void assert_text(const char *got, const char *want)
{
	assert_int_equal(got == NULL, want == NULL);
	if (want)
		assert_string_equal(got, want);
}

static void assert_same_recipient(const struct mqw_recipient *got, const struct mqw_recipient *want)
{
	assert_text(got->address, want->address);
	assert_text(got->relay, want->relay);
	assert_text(got->reply, want->reply);
	assert_text(got->successor, want->successor);
	assert_int_equal(got->successor_known, want->successor_known);
	assert_string_equal(got->status, want->status);
	assert_int_equal(got->code, want->code);
	assert_int_equal(got->state, want->state);
	assert_int_equal(got->hasty, want->hasty);
	assert_int_equal(got->doubtful, want->doubtful);
	assert_int_equal(got->attempts, want->attempts);
	assert_int_equal(got->reported, want->reported);
	assert_int_equal(got->counted, want->counted);
	assert_int_equal(got->first_attempt, want->first_attempt);
	assert_int_equal(got->last_attempt, want->last_attempt);
	assert_int_equal(got->first_seen_at.source, want->first_seen_at.source);
	assert_true(got->first_seen_at.line == want->first_seen_at.line);
	assert_int_equal(got->last_seen_at.source, want->last_seen_at.source);
	assert_true(got->last_seen_at.line == want->last_seen_at.line);
}

static void assert_same_flags(const struct mqw_message *got, const struct mqw_message *want)
{
	assert_int_equal(got->opening_seen, want->opening_seen);
	assert_int_equal(got->age_known, want->age_known);
	assert_int_equal(got->queued, want->queued);
	assert_int_equal(got->held, want->held);
	assert_int_equal(got->removed, want->removed);
	assert_int_equal(got->admin_removed, want->admin_removed);
	assert_int_equal(got->admin_requeued, want->admin_requeued);
	assert_int_equal(got->discarded, want->discarded);
	assert_int_equal(got->refused, want->refused);
	assert_int_equal(got->probe, want->probe);
	assert_int_equal(got->gave_up, want->gave_up);
	assert_int_equal(got->gave_up_forced, want->gave_up_forced);
	assert_int_equal(got->file_lost, want->file_lost);
	assert_int_equal(got->queue_gone, want->queue_gone);
	assert_int_equal(got->place, want->place);
	assert_int_equal(got->reported, want->reported);
	assert_int_equal(got->counted, want->counted);
	assert_false(got->dirty);
}

static void assert_same_message(const struct mqw_message *got, const struct mqw_message *want)
{
	const struct mqw_recipient *r = want->recipients;

	assert_text(got->realm, want->realm);
	assert_text(got->queue_id, want->queue_id);
	assert_text(got->instance, want->instance);
	assert_text(got->sender, want->sender);
	assert_text(got->message_id, want->message_id);
	assert_text(got->ndr_id, want->ndr_id);
	assert_text(got->former_id, want->former_id);
	assert_text(got->successor, want->successor);
	assert_text(got->lost_how, want->lost_how);
	assert_int_equal(got->announced, want->announced);
	assert_same_flags(got, want);
	assert_int_equal(got->opened_at, want->opened_at);
	assert_int_equal(got->first_seen, want->first_seen);
	assert_int_equal(got->last_seen, want->last_seen);
	assert_int_equal(got->deferred_at, want->deferred_at);
	assert_int_equal(got->gave_up_at, want->gave_up_at);
	assert_int_equal(got->requeued_at, want->requeued_at);
	assert_int_equal(got->gone_at, want->gone_at);
	assert_int_equal(got->closed_at, want->closed_at);
	assert_int_equal(got->retry_at, want->retry_at);
	assert_int_equal(got->number, want->number);
	assert_int_equal(got->recipient_count, want->recipient_count);
	for (const struct mqw_recipient *p = got->recipients; p; p = p->next, r = r->next) {
		assert_non_null(r);
		assert_same_recipient(p, r);
	}
	assert_null(r);
}

struct walk {
	const struct mqw_message *want[4];
	int count, stop_at;
};

static int compare(void *ctx, const struct mqw_message *m)
{
	struct walk *w = ctx;

	assert_true(w->count < 4 && w->want[w->count]);
	assert_same_message(m, w->want[w->count]);
	return ++w->count == w->stop_at ? -ECANCELED : 0;
}

static void keeps_every_field(void **state)
{
	struct mqw_recipient to[2] = {
		full_recipient(), {.first_attempt = MQW_TIME_NONE, .last_attempt = MQW_TIME_NONE}};
	struct mqw_message full = full_message(to, 2), bare = full_message(NULL, 0);
	struct walk w = {.want = {&bare, &full}};
	struct mqw_ledger *l = must_open();

	(void)state;
	to[0].next = &to[1];
	bare.queue_id = "OTHER";
	bare.number = 3;
	bare.realm = "";
	bare.opened_at = MQW_TIME_NONE;
	bare.sender = bare.message_id = bare.lost_how = bare.successor = NULL;
	bare.opening_seen = bare.age_known = bare.held = bare.admin_removed = bare.discarded =
		false;
	bare.probe = bare.gave_up_forced = bare.queue_gone = false;
	bare.queued = bare.removed = bare.admin_requeued = bare.refused = true;
	bare.gave_up = bare.file_lost = true;
	assert_int_equal(mqw_ledger_put_message(l, "out", &full), 0);
	assert_int_equal(mqw_ledger_put_message(l, "out", &bare), 0);
	assert_int_equal(mqw_ledger_put_message(l, "in", &bare), 0);
	mqw_ledger_close(l);

	l = must_open();
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), 0);
	assert_int_equal(w.count, 2);
	w.count = 0;
	w.stop_at = 1;
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), -ECANCELED);
	assert_int_equal(w.count, 1);
	mqw_ledger_close(l);
}

static void replaces_and_deletes(void **state)
{
	struct mqw_recipient to = full_recipient(),
			     more[3] = {full_recipient(), full_recipient(), full_recipient()};
	struct mqw_message m = full_message(&to, 1), again = full_message(NULL, 0);
	struct walk w = {.want = {&m, &again}};
	struct mqw_ledger *l = must_open();

	(void)state;
	more[0].next = &more[1];
	more[1].next = &more[2];
	more[2].code = 421;
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	m.opened_at = 0; /* corrected from the queue file */
	m.held = false;
	m.recipients = m.last_recipient = &more[0]; /* others became known */
	m.recipient_count = 3;
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	again.number = UINT64_C(1) << 39; /* the same queue id used anew */
	assert_int_equal(mqw_ledger_put_message(l, "out", &again), 0);
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), 0);
	assert_int_equal(w.count, 2);
	again.number = UINT64_C(1) << 40;
	assert_int_equal(mqw_ledger_put_message(l, "out", &again), -EINVAL);
	again.number = 0;
	assert_int_equal(mqw_ledger_put_message(l, "out", &again), -EINVAL);
	again.number = UINT64_C(1) << 39;
	assert_int_equal(mqw_ledger_delete_message(l, "another", 7), 0);
	assert_int_equal(mqw_ledger_delete_message(l, "out", 7), 0);
	assert_int_equal(mqw_ledger_delete_message(l, "out", 7), 0);
	w = (struct walk){.want = {&again}};
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), 0);
	assert_int_equal(w.count, 1);
	mqw_ledger_close(l);
}

static void batch_is_whole_or_nothing(void **state)
{
	struct mqw_message m = full_message(NULL, 0);
	struct walk w = {.want = {&m}};
	struct mqw_buffer b = {0};
	struct mqw_ledger *l = must_open();

	(void)state;
	assert_int_equal(mqw_ledger_begin(l), 0);
	assert_int_equal(mqw_ledger_begin(l), -EINPROGRESS);
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	assert_int_equal(mqw_ledger_put_position(l, "out", "log", MQW_LIT("a\0b")), 0);
	assert_int_equal(mqw_ledger_rollback(l), 0);
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), 0);
	assert_int_equal(w.count, 0);
	assert_int_equal(mqw_ledger_get_position(l, "out", "log", &b), 0);
	assert_int_equal(mqw_ledger_begin(l), 0);
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	assert_int_equal(mqw_ledger_put_position(l, "out", "log", MQW_LIT("old")), 0);
	assert_int_equal(mqw_ledger_put_position(l, "out", "log", MQW_LIT("a\0b")), 0);
	assert_int_equal(mqw_ledger_commit(l), 0);
	assert_int_equal(mqw_ledger_commit(l), 0);
	mqw_ledger_close(l);
	l = must_open();
	assert_int_equal(mqw_ledger_get_position(l, "out", "log", &b), 1);
	assert_true(mqw_slice_eq(mqw_buffer_slice(&b), MQW_LIT("a\0b")));
	assert_int_equal(mqw_ledger_get_position(l, "in", "log", &b), 0);
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), 0);
	assert_int_equal(w.count, 1);
	mqw_buffer_done(&b);
	mqw_ledger_close(l);
}

struct history {
	uint32_t count;
	int64_t newest, oldest;
};

static int note_verdict(void *ctx, const struct mqw_verdict_record *v)
{
	struct history *h = ctx;

	if (h->count++ == 0)
		h->newest = v->time;
	h->oldest = v->time;
	assert_string_equal(v->instance, "out");
	assert_string_equal(v->message_id, HOSTILE "@example.com");
	assert_string_equal(v->recipient, HOSTILE "@example.net");
	assert_string_equal(v->reason, "gone");
	assert_null(v->remedy);
	assert_int_equal(v->code, 65535);
	assert_int_equal(v->attempts, 4000000000U);
	assert_int_equal(v->verdict, MQW_VERDICT_VANISHED);
	assert_int_equal(v->confidence, MQW_CONFIDENCE_CERTAIN);
	return 0;
}

static void history_is_capped(void **state)
{
	struct mqw_recipient to = full_recipient();
	struct mqw_message m = full_message(&to, 1);
	struct mqw_judgement j = {.verdict = MQW_VERDICT_VANISHED,
		.confidence = MQW_CONFIDENCE_CERTAIN,
		.reason = "gone"};
	struct history h = {0};
	struct mqw_ledger *l = must_open();

	(void)state;
	assert_int_equal(mqw_ledger_begin(l), 0);
	for (int64_t i = 1; i <= MQW_LEDGER_VERDICTS_KEPT + 3; i++)
		assert_int_equal(mqw_ledger_add_verdict(l, "out", i, &m, &to, &j), 0);
	assert_int_equal(mqw_ledger_commit(l), 0);
	assert_int_equal(mqw_ledger_each_verdict(l, 10, note_verdict, &h), 0);
	assert_int_equal(h.count, 10);
	assert_int_equal(h.newest, MQW_LEDGER_VERDICTS_KEPT + 3);
	h.count = 0;
	assert_int_equal(mqw_ledger_each_verdict(l, UINT32_MAX, note_verdict, &h), 0);
	assert_int_equal(h.count, MQW_LEDGER_VERDICTS_KEPT);
	assert_int_equal(h.oldest, 4);
	mqw_ledger_close(l);
}

static void file_is_private(void **state)
{
	mode_t mask = umask(0);
	struct stat st;
	char other[128];

	(void)state;
	mqw_ledger_close(must_open());
	umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(path, 0644), 0);
	mqw_ledger_close(must_open());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(other, sizeof(other), "%s.real", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(open_error(), -ELOOP);
	unlink(other);
}

static void newer_and_foreign_are_refused(void **state)
{
	(void)state;
	mqw_ledger_close(must_open());
	run_sql("PRAGMA user_version = 99");
	assert_int_equal(open_error(), -ENOTSUP);
	unlink(path);
	run_sql("CREATE TABLE theirs (a)");
	assert_int_equal(open_error(), -EINVAL);
}

/* Overwrites the file from an offset on. */
static void damage(off_t at, size_t n)
{
	char junk[4096];
	int fd = open(path, O_WRONLY);

	memset(junk, 0xa5, sizeof(junk));
	assert_true(fd >= 0);
	assert_true(n <= sizeof(junk));
	assert_int_equal(pwrite(fd, junk, n, at), n);
	close(fd);
}

/* With its journal, under a name that nothing had. */
static void is_set_aside(const char *want)
{
	char name[200];
	char *aside = NULL;

	snprintf(name, sizeof(name), "%s-wal", path);
	close(open(name, O_WRONLY | O_CREAT, 0600));
	/* 2026-11-30T12:00:01Z */
	assert_int_equal(mqw_ledger_set_aside(path, INT64_C(1796040001) * MQW_SECOND, &aside), 0);
	snprintf(name, sizeof(name), "%s.damaged-20261130T120001Z%s", path, want);
	assert_string_equal(aside, name);
	assert_int_equal(access(name, F_OK), 0);
	strcat(name, "-wal");
	assert_int_equal(access(name, F_OK), 0);
	assert_int_equal(access(path, F_OK), -1);
	free(aside);
}

static void damage_is_told_and_set_aside(void **state)
{
	struct stat st;

	(void)state;
	mqw_ledger_close(must_open());
	damage(4096, 4096); /* the root page of the first table */
	assert_int_equal(open_error(), -EUCLEAN);
	is_set_aside("");
	mqw_ledger_close(must_open());
	damage(0, 100); /* the header */
	assert_int_equal(open_error(), -EUCLEAN);
	is_set_aside("-2");
	mqw_ledger_close(must_open());
	run_sql("DROP TABLE action");
	assert_int_equal(open_error(), -EUCLEAN);
	unlink(path);
	/* Cut short in its middle, and to nothing. */
	mqw_ledger_close(must_open());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2 / 4096 * 4096), 0);
	assert_int_equal(open_error(), -EUCLEAN);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(open_error(), -EUCLEAN);
}

static void bad_values_are_damage(void **state)
{
	struct mqw_message m = full_message(NULL, 0);
	struct walk w = {.want = {&m}};
	struct mqw_ledger *l = must_open();

	(void)state;
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	mqw_ledger_close(l);
	run_sql("UPDATE message SET place = 77");
	l = must_open();
	assert_int_equal(mqw_ledger_each_message(l, "out", compare, &w), -EUCLEAN);
	assert_non_null(strstr(mqw_ledger_error(l), "out of range"));
	mqw_ledger_close(l);
}

static void locked_forbidden_and_missing(void **state)
{
	char file[sizeof(path)];
	sqlite3 *db;
	struct mqw_message m = full_message(NULL, 0);
	struct mqw_ledger *l = must_open();

	(void)state;
	/* Another process's lock: an error in time, nothing half written, usable afterwards. */
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(mqw_ledger_begin(l), -EBUSY);
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), -EBUSY);
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(mqw_ledger_put_message(l, "out", &m), 0);
	mqw_ledger_close(l);
	memcpy(file, path, sizeof(file));
	snprintf(path, sizeof(path), "%s/none/ledger.db", dir);
	assert_int_equal(open_error(), -ENOENT);
	snprintf(path, sizeof(path), "/proc/version");
	assert_true(open_error() < 0);
	memcpy(path, file, sizeof(file));
	if (geteuid() == 0) {
		assert_int_equal(setegid(65534), 0);
		assert_int_equal(seteuid(65534), 0);
		assert_int_equal(open_error(), -EACCES);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(setegid(0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_every_field, setup, teardown),
		cmocka_unit_test_setup_teardown(replaces_and_deletes, setup, teardown),
		cmocka_unit_test_setup_teardown(batch_is_whole_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(history_is_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_private, setup, teardown),
		cmocka_unit_test_setup_teardown(newer_and_foreign_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told_and_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_values_are_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(locked_forbidden_and_missing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
