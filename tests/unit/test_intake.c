/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an instance believes of log and queue together; what the ledger keeps: test_intake_kept.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "intake_fixture.h"
#include "memory_fixture.h"
#include "watchdogd/daemon/vault_limits.h"

static bool gone(enum mqw_place place, int64_t ago)
{
	return mqw_instance_gone(&instance, MQW_LIT(ID), place, mqw_clock_now() - ago * MQW_SECOND);
}

static void test_deleted_while_it_waits(void **state)
{
	(void)state;
	/* Postfix does not delete there: that was somebody else, whatever the log does. */
	deferred(3600);
	assert_true(gone(MQW_PLACE_WAITING, 11));
	assert_said("vanished(certain) ");
}

/* Two instances that write one log, and a third word that no instance is called by. */
static void test_messages_of_the_other_instance(void **state)
{
	struct mqw_instance in = {.act = {.name = "inbound", .probe = instance.act.probe}};
	struct mqw_instance *both[] = {&instance, &in};
	static const struct {
		const char *tag, *line;
		const char *queue_id;
		bool others;
	} rows[] = {
		{"postfix/smtpd", "4F3AB0001: client=localhost[127.0.0.1]", "4F3AB0001", false},
		{"postfix-in/smtpd", "4F3AB0002: client=localhost[127.0.0.1]", "4F3AB0002", true},
		{"postfix-in/submission/smtpd", "4F3AB0003: client=localhost[127.0.0.1]",
			"4F3AB0003", true},
		{"postfix-infra/smtpd", "4F3AB0004: client=localhost[127.0.0.1]", "4F3AB0004",
			false},
	};

	(void)state;
	instance.log_name = strdup("postfix");
	in.log_name = strdup("postfix-in");
	assert_int_equal(mqw_instances_meet(both, 2), 0);
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		const struct mqw_message *m;

		logged_as(1, rows[n].tag, rows[n].line);
		m = mqw_tracker_find(
			instance.act.tracker, MQW_SLICE_NULL, mqw_slice_of(rows[n].queue_id));
		assert_non_null(m);
		if (mqw_instance_is_others(&instance, m) != rows[n].others)
			fail_msg("%s", rows[n].tag);
	}
	for (size_t n = 0; n < 2; n++) {
		free(both[n]->others);
		free(both[n]->log_name);
	}
}

/* What was first met in the queue is ours, whatever the log says of that id. */
static void test_messages_of_our_own_queue(void **state)
{
	const char *others[] = {"postfix-in", NULL};

	(void)state;
	instance.others = others;
	mqw_instance_emit(&instance,
		&(struct mqw_event){.kind = MQW_EVENT_QUEUE_PRESENT,
			.queue_id = MQW_LIT(ID),
			.time = mqw_clock_now(),
			.place = MQW_PLACE_WAITING});
	logged_as(1, "postfix-in/smtpd", ID ": client=localhost[127.0.0.1]");
	assert_false(mqw_instance_is_others(
		&instance, mqw_tracker_find(instance.act.tracker, MQW_SLICE_NULL, MQW_LIT(ID))));
}

static void test_delivered_while_the_log_is_late(void **state)
{
	(void)state;
	deferred(3600);
	assert_false(gone(MQW_PLACE_ACTIVE, 61));
	assert_said("");
	/* The log comes after all. */
	logged(61, "smtp",
		ID ": to=<b@example.net>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		   "dsn=2.0.0, status=sent (250 2.0.0 Ok)");
	assert_said("delivered(certain) ");
	logged(61, "qmgr", ID ": removed");
	assert_true(gone(MQW_PLACE_ACTIVE, 61));
	assert_said("");
}

static void test_silent_log(void **state)
{
	(void)state;
	deferred(3600);
	assert_false(gone(MQW_PLACE_ACTIVE, 599));
	assert_false(gone(MQW_PLACE_ARRIVING, 599));
	assert_said("");
	assert_true(gone(MQW_PLACE_ACTIVE, 601));
	assert_said("gap unknown(unproven) ");
}

static void test_log_goes_on(void **state)
{
	(void)state;
	deferred(3600);
	/* A line from before it went proves nothing. */
	logged(62, "anvil", "statistics: max connection count 1");
	assert_false(gone(MQW_PLACE_ACTIVE, 61));
	logged(30, "anvil", "statistics: max connection count 1");
	assert_true(gone(MQW_PLACE_ACTIVE, 61));
	assert_said("vanished(certain) ");
}

/* Lines are being dropped, and the gap is told of only when that has ended. */
static void test_log_is_rate_limited(void **state)
{
	(void)state;
	deferred(3600);
	logged_as(70, "rsyslogd", "imuxsock[pid 9]: begin to drop messages due to rate-limiting");
	logged(30, "anvil", "statistics: max connection count 1");
	assert_false(gone(MQW_PLACE_ACTIVE, 61));
	logged_as(20, "rsyslogd", "imuxsock[pid 9]: 312 messages lost due to rate-limiting");
	assert_said("gap ");
	logged(10, "anvil", "statistics: max connection count 1");
	assert_true(gone(MQW_PLACE_ACTIVE, 61));
	assert_said("unknown(unproven) ");
}

/* As after a restart: the ledger knew of its file, or only the log knows of the message. */
static void test_expected(void **state)
{
	char dir[] = "/tmp/mqw-intake-XXXXXX", command[128];
	const struct mqw_queue_watch_ops ops = {.present = mqw_instance_present,
		.matters = mqw_instance_matters,
		.gone = mqw_instance_gone,
		.scanned = mqw_instance_scanned,
		.ctx = &instance};
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_PRESENT, mqw_clock_now());
	struct mqw_dirwatch *dirwatch;
	sd_event *event;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "mkdir -p %s/deferred/4 %s/active", dir, dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(mqw_dirwatch_create(event, 3600 * MQW_SECOND, &dirwatch), 0);
	assert_int_equal(
		mqw_queue_watch_create(dirwatch, dir, instance.act.probe, &ops, &instance.queue),
		0);
	deferred(3600);
	mqw_instance_expect(&instance);
	mqw_queue_watch_tick(instance.queue, mqw_clock_now() + MQW_HOUR);
	assert_said("");
	e.queue_id = MQW_LIT(ID);
	e.place = MQW_PLACE_WAITING;
	e.retry_at = mqw_clock_now() + MQW_MINUTE;
	mqw_instance_emit(&instance, &e);
	mqw_instance_expect(&instance);
	mqw_queue_watch_tick(instance.queue, mqw_clock_now() + 9 * MQW_SECOND);
	assert_said("");
	mqw_queue_watch_tick(instance.queue, mqw_clock_now() + 11 * MQW_SECOND);
	assert_said("vanished(certain) ");
	mqw_queue_watch_free(instance.queue);
	mqw_dirwatch_free(dirwatch);
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

/* Its file is seen before its lines are read, and not again: its place is known all the same. */
static void test_seen_before_its_lines(void **state)
{
	char dir[] = "/tmp/mqw-intake-XXXXXX", command[256];
	const struct mqw_queue_watch_ops ops = {.present = mqw_instance_present,
		.matters = mqw_instance_matters,
		.gone = mqw_instance_gone,
		.scanned = mqw_instance_scanned,
		.ctx = &instance};
	struct mqw_dirwatch *dirwatch;
	sd_event *event;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "mkdir -p %s/deferred/4 && echo > %s/deferred/4/%s", dir,
		dir, ID);
	assert_int_equal(system(command), 0);
	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(mqw_dirwatch_create(event, 3600 * MQW_SECOND, &dirwatch), 0);
	assert_int_equal(
		mqw_queue_watch_create(dirwatch, dir, instance.act.probe, &ops, &instance.queue),
		0);
	instance.adopted = true;
	for (int i = 0; i < 100 && mqw_queue_watch_count(instance.queue) == 0; i++)
		assert_true(sd_event_run(event, 100000) >= 0);
	assert_null(mqw_tracker_find(instance.act.tracker, MQW_SLICE_NULL, MQW_LIT(ID)));
	deferred(1);
	assert_int_equal(mqw_tracker_find(instance.act.tracker, MQW_SLICE_NULL, MQW_LIT(ID))->place,
		MQW_PLACE_WAITING);
	mqw_queue_watch_free(instance.queue);
	mqw_dirwatch_free(dirwatch);
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void test_no_copy_is_said_once(void **state)
{
	char dir[] = "/tmp/mqw-intake-XXXXXX", command[256];
	const struct mqw_queue_watch_ops ops = {.present = mqw_instance_present,
		.matters = mqw_instance_matters,
		.gone = mqw_instance_gone,
		.scanned = mqw_instance_scanned,
		.ctx = &instance};
	struct mqw_dirwatch *dirwatch;
	sd_event *event;
	struct mqw_vault_limits limits;
	struct stat st = {.st_mode = S_IFREG | 0700};
	const char *path = "deferred/4/" ID;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command),
		"mkdir -p %s/deferred/4 && cd %s && truncate -s 300M %s && chmod 700 %s", dir, dir,
		path, path);
	assert_int_equal(system(command), 0);
	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(mqw_dirwatch_create(event, 3600 * MQW_SECOND, &dirwatch), 0);
	assert_int_equal(
		mqw_queue_watch_create(dirwatch, dir, instance.act.probe, &ops, &instance.queue),
		0);
	instance.host.keep = MQW_KEEP_DEFERRED;
	mqw_vault_limits_init(&limits, UINT64_C(2) << 30, MQW_DAY);
	instance.host.limits = &limits;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &st.st_ctim), 0);
	assert_int_equal(mqw_vault_open(dir, "outbound", &instance.act.vault), 0);
	mqw_instance_present(&instance, MQW_LIT(ID), MQW_PLACE_WAITING, path, &st);
	mqw_instance_present(&instance, MQW_LIT(ID), MQW_PLACE_WAITING, path, &st);
	assert_true(instance.said_no_copy);
	snprintf(command, sizeof(command), "truncate -s 5 %s/%s", dir, path);
	assert_int_equal(system(command), 0);
	mqw_instance_present(&instance, MQW_LIT(ID), MQW_PLACE_WAITING, path, &st);
	assert_false(instance.said_no_copy);
	mqw_vault_close(instance.act.vault);
	mqw_queue_watch_free(instance.queue);
	mqw_dirwatch_free(dirwatch);
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

/* What a line would have said is not known: silence proves nothing then. */
static void test_line_without_memory(void **state)
{
	struct mqw_buffer text = {0};
	struct mqw_raw_line raw = {0};

	(void)state;
	if (!MEMORY_CAN_BE_OUT)
		skip();
	mqw_time_format(&text, mqw_clock_now() - MQW_HOUR);
	mqw_buffer_add_str(&text, " mx postfix/smtpd[1]: " ID ": client=localhost[127.0.0.1]");
	raw.text = mqw_buffer_slice(&text);
	memory_left = 0;
	mqw_instance_source_ops.line(&instance.logs[0], &raw, (struct mqw_evidence){0});
	mqw_instance_note_lost(&instance);
	memory_left = -1;
	assert_false(mqw_tracker_has_gap(
		instance.act.tracker, mqw_clock_now() - MQW_HOUR, mqw_clock_now()));
	mqw_buffer_clear(&said);
	mqw_instance_note_lost(&instance);
	assert_said("gap ");
	assert_true(mqw_tracker_has_gap(
		instance.act.tracker, mqw_clock_now() - 2 * MQW_MINUTE, mqw_clock_now()));
	mqw_instance_note_lost(&instance);
	assert_said("");
	mqw_buffer_done(&text);
}

/* An entry that is damaged may have been any line of the MTA's; a stranger's is none. */
static void test_entry_without_message(void **state)
{
	const int64_t at = mqw_clock_now() - MQW_HOUR;
	struct mqw_journal_entry e = {.time = at,
		.no_message = true,
		.unit = MQW_LIT("evil.service"),
		.uid = MQW_LIT("1234")};
	static const struct mqw_instance_config config = {.name = "outbound"};

	(void)state;
	instance.config = &config;
	mqw_instance_source_ops.entry(&instance.logs[0], &e, (struct mqw_evidence){0});
	assert_false(mqw_tracker_has_gap(instance.act.tracker, at, at));
	e.unit = MQW_LIT("postfix@-.service");
	e.uid = MQW_LIT("0");
	mqw_instance_source_ops.entry(&instance.logs[0], &e, (struct mqw_evidence){0});
	assert_true(mqw_tracker_has_gap(instance.act.tracker, at, at));
	assert_false(mqw_tracker_has_gap(instance.act.tracker, at + 1, mqw_clock_now()));
	assert_int_equal(instance.lines, 0);
}

static void take_nothing(void *ctx, const struct mqw_raw_line *line, struct mqw_evidence evidence)
{
	(void)ctx, (void)line, (void)evidence;
}

/* A log that says that there is more and gives nothing: the loop turns, and gets nowhere. */
static void test_stuck(void **state)
{
	const struct mqw_source_ops ops = {.line = take_nothing};
	char path[] = "/tmp/mqw-stuck-XXXXXX";
	const struct mqw_file_tail_options options = {.path = path, .budget = 100};
	sd_event *loop;
	uint64_t work = 0, more;
	int fd = mkstemp(path), looks = 0;

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 5000; i++)
		dprintf(fd, "line %d\n", i);
	close(fd);
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(mqw_file_tail_open(&options, &ops, loop, &instance.logs[0].tail), 0);
	assert_false(mqw_file_tail_busy(instance.logs[0].tail, &work));
	for (int turn = 0; turn < 10; turn++) {
		assert_true(sd_event_run(loop, 1000000) >= 0);
		assert_true(mqw_file_tail_busy(instance.logs[0].tail, &more));
		assert_true(more > work);
		work = more;
		assert_false(mqw_instance_is_stuck(&instance));
	}
	/* Its turn does not come any more. */
	while (!mqw_instance_is_stuck(&instance) && looks < 100)
		looks++;
	assert_int_equal(looks, 29);
	assert_true(mqw_instance_is_stuck(&instance));
	assert_true(sd_event_run(loop, 1000000) >= 0);
	assert_false(mqw_instance_is_stuck(&instance));
	for (int turn = 0; turn < 1000 && mqw_file_tail_busy(instance.logs[0].tail, &more); turn++)
		assert_true(sd_event_run(loop, 1000000) >= 0);
	/* All of it is read: it may rest as long as it wants to. */
	for (looks = 0; looks < 100; looks++)
		assert_false(mqw_instance_is_stuck(&instance));
	instance.logs[0].tail = mqw_file_tail_close(instance.logs[0].tail);
	sd_event_unref(loop);
	unlink(path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_deleted_while_it_waits),
		TEST(test_messages_of_the_other_instance),
		TEST(test_messages_of_our_own_queue),
		TEST(test_delivered_while_the_log_is_late),
		TEST(test_silent_log),
		TEST(test_log_goes_on),
		TEST(test_log_is_rate_limited),
		TEST(test_expected),
		TEST(test_seen_before_its_lines),
		TEST(test_no_copy_is_said_once),
		TEST(test_line_without_memory),
		TEST(test_entry_without_message),
		cmocka_unit_test_setup_teardown(test_stuck, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
