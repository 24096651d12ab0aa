/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/daemon/queue_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/base/clock.h"

#define ID "4F3AB1234"
#define WAITING "deferred/4/" ID
#define ACTIVE "active/" ID

static char root[64];
static sd_event *event;
static struct mqw_dirwatch *dirwatch;
static struct mqw_queue_watch *watch;
static struct mqw_buffer said;
static bool believes, knows;
static unsigned scans;

static bool on_present(void *ctx, struct mqw_slice id, enum mqw_place place, const char *path,
	const struct stat *st)
{
	(void)ctx, (void)id, (void)place, (void)st;
	mqw_buffer_printf(&said, "+%s ", path);
	return knows;
}

static bool on_matters(void *ctx, struct mqw_slice id)
{
	(void)ctx, (void)id;
	return true;
}

static bool on_gone(void *ctx, struct mqw_slice id, enum mqw_place place, int64_t since)
{
	(void)ctx;
	assert_true(since <= mqw_clock_now());
	mqw_buffer_printf(&said, "-%.*s@%d ", (int)id.len, id.ptr, (int)place);
	return believes;
}

static void on_scanned(void *ctx, uint32_t number)
{
	(void)ctx;
	assert_true(number > scans);
	scans++;
}

static const struct mqw_queue_watch_ops ops = {on_present, on_matters, on_gone, on_scanned, NULL};

static void sh(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	assert_int_equal(system(line), 0);
}

static void run(void)
{
	int r;

	while ((r = sd_event_run(event, 50000)) > 0)
		;
	assert_int_equal(r, 0);
}

/* A look so many seconds from now. */
static void look_in(int64_t seconds)
{
	mqw_queue_watch_tick(watch, mqw_clock_now() + seconds * MQW_SECOND);
}

#define assert_said(want)                                                                          \
	do {                                                                                       \
		assert_string_equal(mqw_buffer_str(&said), want);                                  \
		mqw_buffer_clear(&said);                                                           \
	} while (0)

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/mqw-queue-watch.XXXXXX");
	assert_non_null(mkdtemp(root));
	sh("mkdir -p maildrop incoming active deferred/4 deferred/5 hold corrupt");
	believes = true;
	knows = false;
	scans = 0;
	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(mqw_dirwatch_create(event, 3600 * 1000000u, &dirwatch), 0);
	assert_int_equal(mqw_queue_watch_create(
				 dirwatch, root, mqw_probe_find(MQW_LIT("postfix")), &ops, &watch),
		0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mqw_dirwatch_free(dirwatch);
	watch = mqw_queue_watch_free(watch);
	event = sd_event_unref(event);
	mqw_buffer_done(&said);
	sh("rm -rf \"$PWD\" ");
	return 0;
}

static void begin_with(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "touch %s", path);
	sh(command);
	run();
	assert_int_equal(scans, 1);
	mqw_buffer_clear(&said);
}

static void test_gone_from_where(void **state)
{
	(void)state;
	begin_with(WAITING);
	sh("rm " WAITING);
	run();
	look_in(9);
	assert_said("");
	look_in(11);
	assert_said("-" ID "@3 "); /* MQW_PLACE_WAITING */
	look_in(3600);
	assert_said("");
	sh("touch " ACTIVE);
	run();
	assert_said("+" ACTIVE " ");
	sh("rm " ACTIVE);
	run();
	look_in(59);
	assert_said("");
	look_in(61);
	assert_said("-" ID "@2 "); /* MQW_PLACE_ACTIVE */
}

static void test_asked_again_until_believed(void **state)
{
	(void)state;
	begin_with(ACTIVE);
	sh("rm " ACTIVE);
	run();
	believes = false;
	look_in(61);
	assert_said("-" ID "@2 ");
	/* Not at each tick: a look goes through the whole queue. */
	look_in(65);
	assert_said("");
	look_in(72);
	assert_said("-" ID "@2 ");
	/* It had only moved, unseen. */
	sh("mv maildrop m && touch m/" ID " && mv m maildrop");
	look_in(83);
	assert_said("+maildrop/" ID " ");
	believes = true;
	look_in(3600);
	assert_said("");
}

static void test_expected(void **state)
{
	(void)state;
	begin_with(WAITING);
	/* What is known is not missed. */
	mqw_queue_watch_expect(watch, MQW_LIT(ID), MQW_PLACE_WAITING, mqw_clock_now());
	look_in(3600);
	assert_said("");
	mqw_queue_watch_expect(watch, MQW_LIT("5F3AB1234"), MQW_PLACE_WAITING, mqw_clock_now());
	look_in(11);
	assert_said("-5F3AB1234@3 ");
	mqw_queue_watch_expect(watch, MQW_LIT("5F3AB1234"), MQW_PLACE_ACTIVE, mqw_clock_now());
	look_in(59);
	assert_said("");
	look_in(61);
	assert_said("-5F3AB1234@2 ");
	/* Seen before its time of grace is over. */
	mqw_queue_watch_expect(watch, MQW_LIT("5F3AB1234"), MQW_PLACE_ACTIVE, mqw_clock_now());
	sh("touch active/5F3AB1234");
	run();
	assert_said("+active/5F3AB1234 ");
	look_in(3600);
	assert_said("");
}

static void rescan(void)
{
	unsigned before = scans;

	assert_int_equal(mqw_queue_watch_rescan(watch), before + 1);
	while (scans == before)
		assert_true(sd_event_run(event, 5000000) > 0);
	assert_false(mqw_queue_watch_scanning(watch));
}

static void test_known_is_given_once(void **state)
{
	(void)state;
	begin_with(WAITING);
	rescan();
	assert_said("+" WAITING " ");
	knows = true;
	rescan();
	assert_said("+" WAITING " ");
	rescan();
	assert_said("");
	/* It is changed, as by the next try. */
	sh("touch -d tomorrow " WAITING);
	rescan();
	assert_said("+" WAITING " ");
	rescan();
	assert_said("");
	/* Whoever asks gets it, and so does who has forgotten it. */
	mqw_queue_watch_look(watch, MQW_LIT(ID));
	assert_said("+" WAITING " ");
	mqw_queue_watch_forget(watch, MQW_LIT(ID));
	rescan();
	assert_said("+" WAITING " ");
	sh("mv " WAITING " hold/");
	run();
	assert_said("+hold/" ID " ");
	/* And that it is gone is seen as ever. */
	sh("rm hold/" ID);
	rescan();
	look_in(11);
	assert_said("-" ID "@4 ");
}

/* What its message went through meanwhile may want it: now and then it is given as it is. */
static void test_known_is_given_again(void **state)
{
	int given = 0;

	(void)state;
	knows = true;
	begin_with(WAITING);
	for (int i = 0; i < 9; i++) {
		rescan();
		given += said.len > 0;
		mqw_buffer_clear(&said);
	}
	assert_int_equal(given, 1);
}

/* The queue's file system is not mounted: nothing is lost by that. */
static void test_no_queue_no_loss(void **state)
{
	(void)state;
	begin_with(WAITING);
	sh("rm " WAITING);
	run();
	sh("mv deferred elsewhere");
	run();
	look_in(3600);
	assert_said("");
	sh("mv elsewhere deferred");
	run();
	look_in(7200);
	assert_said("-" ID "@3 ");
	/* None of its directories is there. */
	sh("mkdir away && mv maildrop incoming active deferred hold corrupt away");
	run();
	mqw_queue_watch_expect(watch, MQW_LIT("5F3AB1234"), MQW_PLACE_WAITING, mqw_clock_now());
	look_in(10000);
	assert_said("");
	sh("mv away/* .");
	run();
	look_in(20000);
	assert_said("-5F3AB1234@3 ");
}

#define NAMED "1xW41t-00068n-1J"

/* The watched queue is one of Exim's from now on. */
static void watch_exim(void)
{
	mqw_dirwatch_free(dirwatch);
	mqw_queue_watch_free(watch);
	sh("mkdir -p input slow/input/t db");
	assert_int_equal(mqw_dirwatch_create(event, 3600 * 1000000u, &dirwatch), 0);
	assert_int_equal(mqw_queue_watch_create(
				 dirwatch, root, mqw_probe_find(MQW_LIT("exim")), &ops, &watch),
		0);
}

/* Queues with names of their own are made while the watch goes on. */
static void test_named_queues(void **state)
{
	(void)state;
	watch_exim();
	sh("touch slow/input/t/" NAMED "-D slow/input/t/" NAMED "-H db/" NAMED "-H");
	run();
	assert_said("+slow/input/t/" NAMED "-H ");
	/* In one that is new and was not seen yet: looked for before it is missed. */
	sh("mkdir -p new/Finput && mv slow/input/t/* new/Finput");
	run();
	look_in(61);
	assert_said("+new/Finput/" NAMED "-H ");
	/* Its file system is not mounted. */
	sh("mv new .away");
	mqw_dirwatch_rescan(dirwatch);
	for (int i = 0; i < 100 && scans < 2; i++)
		run();
	look_in(3600);
	assert_said("");
	sh("mv .away new && rm new/Finput/*");
	look_in(7200);
	assert_said("-" NAMED "@4 "); /* MQW_PLACE_HELD */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_gone_from_where),
		TEST(test_asked_again_until_believed),
		TEST(test_expected),
		TEST(test_known_is_given_once),
		TEST(test_known_is_given_again),
		TEST(test_no_queue_no_loss),
		TEST(test_named_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
