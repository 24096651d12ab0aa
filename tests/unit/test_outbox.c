/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Findings to alerts, with the time and the far side made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/ledger/internal.h"

#define T INT64_C(1795572000000000)
#define S MQW_SECOND

static char dir[64], path[96];
static struct mqw_ledger *l;
static struct mqw_outbox *o;
static struct mqw_alert_config channels[] = {
	{.name = "ops", .channel = MQW_CHANNEL_EMAIL},
	{.name = "hook", .channel = MQW_CHANNEL_WEBHOOK},
	{.name = "quiet", .channel = MQW_CHANNEL_JOURNAL},
};

/* The far side. */
static struct {
	enum { UP, DOWN, MUTE, BROKEN } how;
	size_t tries, accepted; /* by all channels */
	json_t *got[64]; /* what was accepted */
	int64_t under_way; /* of a mute one */
} far_side;

static int64_t now;

static int on_send(void *ctx, int64_t id, const struct mqw_alert_config *c, const json_t *notice)
{
	struct mqw_delivery d = {.accepted = far_side.how == UP, .text = "so it said"};

	(void)ctx;
	(void)c;
	far_side.tries++;
	far_side.under_way = id;
	if (far_side.how == BROKEN)
		return -EAGAIN;
	if (far_side.how == MUTE)
		return 0;
	if (far_side.how == UP) {
		assert_true(far_side.accepted < 64);
		far_side.got[far_side.accepted++] = json_deep_copy(notice);
	}
	/* The answer always comes from the loop. */
	mqw_outbox_answered(o, id, &d, now);
	return 0;
}

/* As after a restart of the daemon: nothing is left but the ledger. */
static void restart(void)
{
	const struct mqw_outbox_ops ops = {.send = on_send};

	mqw_outbox_free(o);
	mqw_ledger_close(l);
	assert_int_equal(mqw_ledger_open(path, &l, NULL), 0);
	o = mqw_outbox_create(l, "mx1", &ops);
	assert_non_null(o);
	mqw_outbox_set_channels(o, channels, 3);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-outbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	memset(&far_side, 0, sizeof(far_side));
	now = T;
	restart();
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	for (size_t i = 0; i < far_side.accepted; i++)
		json_decref(far_side.got[i]);
	o = mqw_outbox_free(o);
	l = mqw_ledger_close(l);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int put_as(const char *channel, const char *rule, int number)
{
	char key[64], content[64];
	const struct mqw_outbox_finding f = {.channel = channel,
		.rule = rule,
		.instance = "out",
		.key = key,
		.verdict = number % 100 ? "vanished" : "overdue",
		.content = content};

	snprintf(key, sizeof(key), "%s/%s/%d", channel, rule, number);
	snprintf(content, sizeof(content), "{\"queue_id\":\"%d\"}", number);
	return mqw_outbox_put(o, &f, now);
}

static void found(int number)
{
	assert_int_equal(put_as("ops", "r", number), 1);
}

/* Lets time pass, second by second as the daemon does. */
static void pass(int64_t span)
{
	for (int64_t end = now + span; now < end;) {
		now += S;
		mqw_outbox_tick(o, now);
	}
}

static uint64_t count_of(size_t i)
{
	return mqw_notice_number(far_side.got[i], "count");
}

#define assert_sent(n) assert_int_equal(far_side.accepted, n)

static void one_is_sent_after_a_moment(void **state)
{
	const json_t *n;

	(void)state;
	found(7);
	pass(S);
	assert_sent(0);
	pass(2 * S);
	assert_sent(1);
	n = far_side.got[0];
	assert_true(mqw_slice_eq(mqw_notice_text(n, "host"), MQW_LIT("mx1")));
	assert_true(mqw_slice_eq(mqw_notice_text(n, "channel"), MQW_LIT("ops")));
	assert_true(mqw_slice_eq(mqw_notice_text(n, "summary"), MQW_LIT("1 vanished (out)")));
	assert_int_equal(mqw_notice_text(n, "id").len, MQW_NOTICE_TOKEN_LEN);
	assert_true(json_is_false(json_object_get(n, "digest")));
	assert_int_equal(json_array_size(json_object_get(n, "findings")), 1);
	pass(MQW_DAY);
	assert_sent(1);
	assert_int_equal(far_side.tries, 1);
}

/* The issue's figure: each is counted, and three mails are all there is. */
static void ten_thousand_make_three(void **state)
{
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		found(i);
		if (i % 10 == 9)
			pass(S); /* over 1,000 seconds */
	}
	pass(2 * MQW_DAY);
	assert_sent(3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *n = far_side.got[i];
		size_t shown = json_array_size(json_object_get(n, "findings"));

		assert_int_equal(shown, 20);
		assert_int_equal(mqw_notice_number(n, "more"), count_of(i) - 20);
		assert_int_equal(json_is_true(json_object_get(n, "digest")), i > 0);
		sum += count_of(i);
	}
	assert_int_equal(sum, 10000);
	/* 2 s, 5 min after the first, 1 h after the second. */
	assert_in_range(count_of(0), 20, 40);
	assert_in_range(count_of(1), 2980, 3020);
	assert_true(mqw_slice_eq(mqw_notice_text(far_side.got[1], "summary"),
			    MQW_LIT("more: 2,970 vanished, 30 overdue (out)")) ||
		count_of(1) != 3000);
}

static void all_at_once_make_one(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		found(i);
	pass(MQW_DAY);
	assert_sent(1);
	assert_int_equal(count_of(0), 10000);
	assert_true(mqw_slice_eq(mqw_notice_text(far_side.got[0], "summary"),
		MQW_LIT("9,900 vanished, 100 overdue (out)")));
}

static void digests_come_seldomer(void **state)
{
	static const int64_t at[] = {3, 303, 3903, 25503, 111903, 198303};
	size_t seen = 0;
	int number = 0;

	(void)state;
	for (int64_t second = 0; second < 200000; second++) {
		if (second % 50 == 0)
			found(number++);
		pass(S);
		if (far_side.accepted > seen) {
			assert_true(seen < sizeof(at) / sizeof(at[0]));
			assert_in_range(second + 1, at[seen] - 1, at[seen] + 2);
			seen++;
		}
	}
	assert_int_equal(seen, 6);
}

static void after_quiet_it_is_at_once_again(void **state)
{
	(void)state;
	found(1);
	pass(3 * S);
	found(2); /* into the digest of 5 min */
	pass(200 * S);
	assert_sent(1);
	pass(200 * S);
	assert_sent(2);
	pass(MQW_HOUR);
	found(3);
	pass(3 * S);
	assert_sent(3);
	assert_true(json_is_false(json_object_get(far_side.got[2], "digest")));
}

static void causes_are_apart(void **state)
{
	(void)state;
	found(1);
	assert_int_equal(put_as("ops", "other", 1), 1);
	assert_int_equal(put_as("hook", "r", 1), 1);
	pass(10 * S);
	assert_sent(3);
}

static void the_same_is_told_once(void **state)
{
	(void)state;
	found(1);
	assert_int_equal(put_as("ops", "r", 1), 0);
	restart();
	assert_int_equal(put_as("ops", "r", 1), 0);
	pass(10 * S);
	assert_int_equal(put_as("ops", "r", 1), 0);
	pass(MQW_DAY);
	assert_sent(1);
	assert_int_equal(count_of(0), 1);
}

static void what_is_down_is_tried_again(void **state)
{
	char token[MQW_NOTICE_TOKEN_LEN + 1] = "";

	(void)state;
	far_side.how = DOWN;
	found(1);
	pass(4 * S);
	assert_int_equal(far_side.tries, 1);
	pass(25 * S);
	assert_int_equal(far_side.tries, 1);
	pass(8 * S); /* 30 s after the first */
	assert_int_equal(far_side.tries, 2);
	restart();
	pass(23 * S);
	assert_int_equal(far_side.tries, 2);
	far_side.how = UP; /* after a minute */
	pass(2 * MQW_MINUTE);
	assert_int_equal(far_side.tries, 3);
	assert_sent(1);
	snprintf(token, sizeof(token), "%s",
		json_string_value(json_object_get(far_side.got[0], "id")));
	pass(MQW_DAY);
	assert_sent(1);
	assert_true(mqw_outbox_is_own(l, MQW_SLICE_NULL) == false);
}

static void given_up_after_a_day(void **state)
{
	(void)state;
	far_side.how = DOWN;
	found(1);
	pass(MQW_DAY + MQW_HOUR);
	/* 6 tries in the first 31 min, one each 15 min after that. */
	assert_in_range(far_side.tries, 95, 110);
	far_side.how = UP;
	pass(MQW_DAY);
	assert_sent(0);
	found(2);
	pass(3 * S);
	assert_sent(1);
}

static void an_answer_under_way_is_awaited(void **state)
{
	const struct mqw_delivery d = {.accepted = true};

	(void)state;
	far_side.how = MUTE;
	found(1);
	assert_int_equal(put_as("ops", "other", 1), 1);
	assert_int_equal(put_as("hook", "r", 1), 1);
	pass(MQW_MINUTE);
	/* One a channel: the second of "ops" waits for the first. */
	assert_int_equal(far_side.tries, 2);
	mqw_outbox_answered(o, far_side.under_way, &d, now);
	mqw_outbox_answered(o, 4711, &d, now);
	pass(MQW_MINUTE);
	assert_int_equal(far_side.tries, far_side.under_way == 3 ? 2 : 3);
	/* What was under way when the daemon ended is sent again: as itself. */
	restart();
	far_side.how = UP;
	pass(3 * S);
	assert_sent(2);
}

static void a_failed_start_is_a_failed_try(void **state)
{
	(void)state;
	far_side.how = BROKEN;
	found(1);
	pass(20 * S);
	assert_int_equal(far_side.tries, 1);
	far_side.how = UP;
	pass(20 * S);
	assert_sent(1);
}

static void a_channel_may_go_and_come_back(void **state)
{
	(void)state;
	found(1);
	assert_true(mqw_outbox_takes(o, "ops"));
	assert_false(mqw_outbox_takes(o, "quiet"));
	assert_false(mqw_outbox_takes(o, "journal"));
	mqw_outbox_set_channels(o, channels + 1, 2);
	assert_false(mqw_outbox_takes(o, "ops"));
	pass(MQW_MINUTE);
	assert_int_equal(far_side.tries, 0);
	mqw_outbox_set_channels(o, channels, 3);
	pass(MQW_MINUTE);
	assert_sent(1);
}

/* Another process holds the file: nothing is lost, nothing is sent twice. */
static void a_locked_ledger_delays_only(void **state)
{
	sqlite3 *other;

	(void)state;
	found(1);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(put_as("ops", "r", 2), -EBUSY);
	now += 3 * S;
	mqw_outbox_tick(o, now);
	assert_int_equal(far_side.tries, 0);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	found(2);
	far_side.how = MUTE;
	pass(S);
	assert_int_equal(far_side.tries, 1);
	/* Accepted, and that cannot be written down for a while. */
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	mqw_outbox_answered(o, far_side.under_way, &(struct mqw_delivery){.accepted = true}, now);
	now += MQW_HOUR;
	mqw_outbox_tick(o, now);
	assert_int_equal(far_side.tries, 1);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	pass(2 * S);
	restart();
	pass(MQW_DAY);
	assert_int_equal(far_side.tries, 1);
}

static void set_pages(const char *sql)
{
	assert_int_equal(sqlite3_exec(l->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* SQLite takes a file that may not grow for a full disk. */
static void a_full_disk_delays_only(void **state)
{
	int n = 0, r = 1;

	(void)state;
	found(n++);
	set_pages("PRAGMA max_page_count = 60");
	while (r == 1 && n < 10000)
		r = put_as("ops", "r", n++);
	assert_int_equal(r, -ENOSPC);
	set_pages("PRAGMA max_page_count = 4294967294");
	found(n - 1);
	pass(MQW_MINUTE);
	assert_sent(1);
	assert_int_equal(count_of(0), n);
}

static void a_clock_set_back_holds_nothing_up(void **state)
{
	(void)state;
	far_side.how = DOWN;
	found(1);
	pass(5 * S);
	now -= 30 * MQW_DAY;
	far_side.how = UP;
	pass(2 * S);
	assert_sent(1);
	/* Its companions wait for a window, not for a month. */
	found(2);
	pass(MQW_DAY);
	assert_sent(2);
}

static void own_mail_is_known(void **state)
{
	char id[80], token[MQW_NOTICE_TOKEN_LEN + 1];
	struct mqw_slice got;

	(void)state;
	assert_true(mqw_notice_token(token));
	snprintf(id, sizeof(id), "mqw.%s@mx1", token);
	assert_false(mqw_outbox_is_own(l, mqw_slice_of(id)));
	assert_int_equal(mqw_outbox_note_test(l, "ops", token, now), 0);
	assert_true(mqw_outbox_is_own(l, mqw_slice_of(id)));
	id[10] = id[10] == '0' ? '1' : '0';
	assert_false(mqw_outbox_is_own(l, mqw_slice_of(id)));
	/* What a stranger may write for a Message-ID. */
	assert_false(mqw_notice_token_of(MQW_LIT("mqw.@mx1"), &got));
	assert_false(mqw_notice_token_of(MQW_LIT("mqw."), &got));
	assert_false(
		mqw_notice_token_of(MQW_LIT("mqw.0123456789abcdef0123456789abcde%@mx1"), &got));
	assert_false(
		mqw_notice_token_of(MQW_LIT("mqw.0123456789abcdef0123456789abcde\0@mx1"), &got));
	assert_true(mqw_notice_token_of(MQW_LIT("mqw.0123456789abcdef0123456789abcdef@"), &got));
	/* A test is not sent by the daemon. */
	pass(MQW_MINUTE);
	assert_int_equal(far_side.tries, 0);
	/* Known for a week. */
	found(1);
	pass(10 * S);
	snprintf(id, sizeof(id), "mqw.%s@mx1",
		json_string_value(json_object_get(far_side.got[0], "id")));
	assert_true(mqw_outbox_is_own(l, mqw_slice_of(id)));
	now += 8 * MQW_DAY;
	found(2);
	pass(10 * S);
	assert_false(mqw_outbox_is_own(l, mqw_slice_of(id)));
}

/* It waits for no digest, and is none of those that make the next one wait. */
static void an_alert_apart_waits_for_nothing(void **state)
{
	const struct mqw_outbox_finding f = {"ops", "r", "out", "apart", "restart", NULL, true};
	(void)state;
	found(1);
	pass(3 * S);
	found(2);
	assert_true(mqw_outbox_put(o, &f, now) == 1);
	pass(5 * MQW_MINUTE - 10 * S);
	assert_sent(2);
	pass(10 * S);
	assert_sent(3);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_is_sent_after_a_moment),
		TEST(ten_thousand_make_three),
		TEST(all_at_once_make_one),
		TEST(digests_come_seldomer),
		TEST(after_quiet_it_is_at_once_again),
		TEST(causes_are_apart),
		TEST(the_same_is_told_once),
		TEST(what_is_down_is_tried_again),
		TEST(given_up_after_a_day),
		TEST(an_answer_under_way_is_awaited),
		TEST(a_failed_start_is_a_failed_try),
		TEST(a_channel_may_go_and_come_back),
		TEST(a_locked_ledger_delays_only),
		TEST(a_full_disk_delays_only),
		TEST(a_clock_set_back_holds_nothing_up),
		TEST(own_mail_is_known),
		TEST(an_alert_apart_waits_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
