/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is put into the ledger comes out as it was. What becomes of its file: test_ledger_file.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "ledger_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_every_field, setup, teardown),
		cmocka_unit_test_setup_teardown(replaces_and_deletes, setup, teardown),
		cmocka_unit_test_setup_teardown(batch_is_whole_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(history_is_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_values_are_damage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
