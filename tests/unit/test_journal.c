/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real journald in a mount namespace of this process, where nothing of the host's journal is
 * touched. That needs root and journald's program.
 */
#define _GNU_SOURCE /* unshare */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "journald_fixture.h"
#include "user_limits.h"

/* SIGUSR2 archives; removes what was archived, as vacuuming does. */
static void rotate_and_vacuum(void)
{
	bool archived = false;

	kill(journald, SIGUSR2);
	for (int i = 0; i < 200 && !archived; i++, sleep_ms(10))
		archived = system("ls /run/log/journal/*/system@* >/dev/null 2>&1") == 0;
	assert_true(archived);
	assert_int_equal(system("rm /run/log/journal/*/system@*"), 0);
}

static void test_offline(void **state)
{
	struct mqw_journal_entry e;
	struct mqw_buffer position = {0}, again = {0};
	struct mqw_journal *j;
	struct got g;

	(void)state;
	need_journald();
	send_lines(0, 4);
	wait_entries(5);
	j = journal(&g, MQW_JOURNAL_START_BOOT, NULL);
	assert_int_equal(mqw_journal_position(j, &position), 0);
	assert_int_equal(position.len, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_true(mqw_slice_eq(e.message, MQW_LIT("line 2")));
	assert_true(mqw_slice_eq(e.identifier, MQW_LIT("postfix/smtp")));
	assert_true(mqw_slice_eq(e.uid, MQW_LIT("0")));
	assert_int_equal(e.pid, 42);
	assert_true(e.exe.len > 0 && e.comm.len > 0 && e.host.len > 0);
	assert_true(mqw_clock_now() - e.time < MQW_MINUTE && e.time <= mqw_clock_now());
	assert_int_equal(mqw_journal_position(j, &position), 0);
	mqw_journal_close(j);
	assert_true(mqw_clock_now() - mqw_journal_position_time(mqw_buffer_slice(&position)) <
		MQW_MINUTE);

	/* From the position on, nothing twice and nothing missing; the end is no error. */
	j = journal(&g, MQW_JOURNAL_START_TAIL, mqw_buffer_str(&position));
	assert_int_equal(mqw_journal_position(j, &again), 0);
	assert_string_equal(mqw_buffer_str(&again), mqw_buffer_str(&position));
	assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_true(mqw_slice_eq(e.message, MQW_LIT("line 3")));
	assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	send_lines(5, 5);
	wait_entries(6);
	mqw_journal_close(j);
	assert_int_equal(g.gaps, 0);
	j = journal(&g, MQW_JOURNAL_START_TAIL, NULL);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	mqw_journal_close(j);
	mqw_buffer_done(&position);
	mqw_buffer_done(&again);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	return sd_event_exit(userdata, 1);
}

/* Runs the loop until so many entries came and it is caught up; 0, or 1 after five seconds. */
static int run_until(struct got *g, size_t want)
{
	sd_event_source *timer = NULL;
	int r;

	g->want = want;
	assert_true(sd_event_add_time_relative(g->loop, &timer, CLOCK_MONOTONIC, 5000000, 0,
			    on_timeout, g->loop) >= 0);
	r = sd_event_loop(g->loop);
	sd_event_source_unref(timer);
	return r;
}

static int send_more(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec, (void)userdata;
	send_lines(3006, 3010);
	return 0;
}

static void test_follow(void **state)
{
	struct mqw_buffer position = {0};
	struct mqw_journal *j;
	struct got g;

	(void)state;
	need_journald();
	send_lines(6, 3005);
	wait_entries(3006);
	j = journal(&g, MQW_JOURNAL_START_OLDEST, NULL);
	assert_true(sd_event_new(&g.loop) >= 0);
	assert_int_equal(mqw_journal_attach(j, g.loop), 0);
	assert_true(sd_event_add_time_relative(
			    g.loop, NULL, CLOCK_MONOTONIC, 50000, 0, send_more, NULL) >= 0);
	assert_int_equal(run_until(&g, 3011), 0);
	assert_int_equal(g.entries, 3011);
	assert_true(g.in_order);
	assert_int_equal(g.gaps + g.says, 0);
	assert_int_equal(mqw_journal_position(j, &position), 0);
	mqw_journal_close(j);
	sd_event_unref(g.loop);

	/* Followed over a restart of the reader, from the stored text. */
	j = journal(&g, MQW_JOURNAL_START_OLDEST, mqw_buffer_str(&position));
	send_lines(3011, 3012);
	assert_true(sd_event_new(&g.loop) >= 0);
	assert_int_equal(mqw_journal_attach(j, g.loop), 0);
	assert_int_equal(run_until(&g, 2), 0);
	assert_string_equal(g.last, "line 3012");
	assert_int_equal(g.entries, 2);
	assert_int_equal(g.gaps, 0);

	/* And over a rotation that takes away all that was read: nothing is lost by that. */
	rotate_and_vacuum();
	send_lines(3013, 3013);
	sd_event_unref(g.loop);
	mqw_journal_close(j);
	mqw_buffer_done(&position);
}

static int rotate_now(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec, (void)userdata;
	rotate_and_vacuum();
	send_lines(1, 1);
	return 0;
}

static void test_rotation(void **state)
{
	struct mqw_buffer position = {0};
	struct mqw_journal *j;
	struct got g;

	(void)state;
	need_journald();
	j = journal(&g, MQW_JOURNAL_START_TAIL, NULL);
	assert_true(sd_event_new(&g.loop) >= 0);
	assert_int_equal(mqw_journal_attach(j, g.loop), 0);
	send_lines(0, 0);
	assert_int_equal(run_until(&g, 1), 0);
	assert_string_equal(g.last, "line 0");
	sd_event_unref(g.loop);
	mqw_journal_position(j, &position);
	mqw_journal_close(j);

	j = journal(&g, MQW_JOURNAL_START_TAIL, mqw_buffer_str(&position));
	g.entries = 1;
	assert_true(sd_event_new(&g.loop) >= 0);
	assert_int_equal(mqw_journal_attach(j, g.loop), 0);
	assert_true(sd_event_add_time_relative(
			    g.loop, NULL, CLOCK_MONOTONIC, 50000, 0, rotate_now, NULL) >= 0);
	assert_int_equal(run_until(&g, 2), 0);
	assert_string_equal(g.last, "line 1");
	assert_int_equal(g.entries, 2);
	assert_int_equal(g.gaps, 0);
	mqw_journal_close(j);
	sd_event_unref(g.loop);
	mqw_buffer_done(&position);
}

/* What was read last has been vacuumed while nobody read: a gap, then the oldest that is left. */
static void test_vacuumed(void **state)
{
	struct mqw_buffer position = {0};
	struct mqw_journal_entry e;
	struct mqw_journal *j;
	struct got g;

	(void)state;
	need_journald();
	send_lines(100, 100);
	wait_entries(2);
	j = journal(&g, MQW_JOURNAL_START_OLDEST, NULL);
	while (mqw_journal_next(j, &e) == 1)
		;
	assert_int_equal(mqw_journal_position(j, &position), 0);
	mqw_journal_close(j);
	rotate_and_vacuum();

	/* Nothing at all is left of the mail system's. */
	j = journal(&g, MQW_JOURNAL_START_OLDEST, mqw_buffer_str(&position));
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(g.gaps, 1);
	assert_true(g.gap_from == mqw_journal_position_time(mqw_buffer_slice(&position)));
	assert_true(g.gap_to > g.gap_from);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(g.gaps, 1);
	mqw_journal_close(j);

	send_lines(101, 102);
	wait_entries(2);
	j = journal(&g, MQW_JOURNAL_START_TAIL, mqw_buffer_str(&position));
	assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_true(mqw_slice_eq(e.message, MQW_LIT("line 101")));
	assert_int_equal(g.gaps, 1);
	assert_true(g.gap_to >= g.gap_from && g.gap_to <= mqw_clock_now());
	assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(g.gaps, 1);
	mqw_journal_close(j);
	mqw_buffer_done(&position);
}

static void on_entry_vacuum(void *ctx, const struct mqw_journal_entry *e, struct mqw_evidence v)
{
	struct got *g = ctx;

	(void)e, (void)v;
	if (g->entries++ == 0) {
		rotate_and_vacuum();
		send_lines(9999, 9999);
	}
}

/* Files are taken away while entries in them still wait to be given: none is lost. */
static void test_vacuumed_behind(void **state)
{
	struct mqw_journal_options o = {.facility = MQW_JOURNAL_MAIL};
	struct mqw_source_ops to;
	struct mqw_journal *j;
	struct got g;

	(void)state;
	need_journald();
	rotate_and_vacuum();
	send_lines(0, 7999);
	wait_entries(8000);
	to = ops(&g);
	to.entry = on_entry_vacuum;
	assert_int_equal(mqw_journal_open(&o, &to, &j), 0);
	assert_true(sd_event_new(&g.loop) >= 0);
	assert_int_equal(mqw_journal_attach(j, g.loop), 0);
	assert_int_equal(run_until(&g, 8001), 0);
	assert_int_equal(g.entries, 8001);
	assert_int_equal(g.gaps, 0);
	mqw_journal_close(j);
	sd_event_unref(g.loop);
}

/* The host was booted since: its older entries are still there, or they are a gap. */
static void test_other_boot(void **state)
{
	static const char boot[] = "11111111-2222-3333-4444-555555555555\n";
	struct mqw_buffer position = {0};
	struct mqw_journal_entry e;
	struct mqw_journal *j;
	struct got g;
	char *id;

	(void)state;
	need_journald();
	rotate_and_vacuum();
	send_lines(0, 4);
	wait_entries(5);
	j = journal(&g, MQW_JOURNAL_START_OLDEST, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_int_equal(mqw_journal_position(j, &position), 0);
	mqw_journal_close(j);
	stop_journald();
	unlink(SOCKET);
	assert_true(limit_write("/run/boot_id", "") || creat("/run/boot_id", 0644) >= 0);
	assert_true(limit_write("/run/boot_id", boot));
	assert_int_equal(
		mount("/run/boot_id", "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL), 0);
	start_journald();
	send_lines(5, 6);
	wait_entries(7);
	j = journal(&g, MQW_JOURNAL_START_OLDEST, mqw_buffer_str(&position));
	for (int i = 3; i < 7; i++) {
		char want[32];

		snprintf(want, sizeof(want), "line %d", i);
		assert_int_equal(mqw_journal_next(j, &e), 1);
		assert_true(mqw_slice_eq(e.message, mqw_slice_of(want)));
	}
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(g.gaps, 0);
	mqw_journal_close(j);
	/* A position of a boot whose entries are gone, by its number and by its place in it. */
	id = strstr(position.ptr, "b=");
	assert_non_null(id);
	memset(id + 2, '7', 32);
	id = strstr(position.ptr, "s=");
	assert_non_null(id);
	memset(id + 2, '7', 32);
	j = journal(&g, MQW_JOURNAL_START_OLDEST, mqw_buffer_str(&position));
	assert_int_equal(mqw_journal_next(j, &e), 1);
	assert_int_equal(g.gaps, 1);
	assert_true(g.gap_from <= g.gap_to && g.gap_to <= mqw_clock_now());
	mqw_journal_close(j);
	mqw_buffer_done(&position);
}

/* The child's part: 0, or the number of what went wrong. */
static int follow_by_polling(void)
{
	struct mqw_journal *j;
	struct got g;

	if (!limit_inotify("0", "0"))
		return 77;
	j = journal(&g, MQW_JOURNAL_START_TAIL, NULL);
	g.in_order = true;
	if (sd_event_new(&g.loop) < 0 || mqw_journal_attach(j, g.loop) < 0)
		return 1;
	if (g.says != 1)
		return 2;
	send_lines(0, 0);
	if (run_until(&g, 1) != 0)
		return 3;
	sd_event_unref(g.loop);
	mqw_journal_close(j);

	/* New files are found as well, and nothing comes twice. */
	j = journal(&g, MQW_JOURNAL_START_TAIL, NULL);
	if (sd_event_new(&g.loop) < 0 || mqw_journal_attach(j, g.loop) < 0)
		return 4;
	kill(journald, SIGUSR2);
	sleep_ms(300);
	send_lines(0, 1);
	g.want = 2;
	for (int i = 0; i < 200 && g.entries < 2; i++)
		sd_event_run(g.loop, 100000);
	for (int i = 0; i < 60; i++)
		sd_event_run(g.loop, 100000);
	return g.entries != 2 ? 5 : !g.in_order ? 6 : g.gaps ? 7 : g.says != 1 ? 8 : 0;
}

/* No inotify is to be had: looked at by time, and said once. */
static void test_without_inotify(void **state)
{
	int status;
	pid_t child;

	(void)state;
	need_journald();
	child = fork();
	if (child == 0)
		_exit(follow_by_polling());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_no_journal(void **state)
{
	const struct mqw_journal_options wrong = {.facility = 24};
	struct mqw_journal_options o = {.facility = 2, .directory = "/nonexistent"};
	char dir[] = "/tmp/mqw-journal-XXXXXX";
	struct mqw_journal_entry e;
	struct mqw_source_ops to;
	struct mqw_journal *j;
	struct got g;

	(void)state;
	to = ops(&g);
	assert_int_equal(mqw_journal_open(&wrong, &to, &j), -EINVAL);
	assert_int_equal(mqw_journal_open(&o, &to, &j), -ENOENT);
	assert_non_null(mkdtemp(dir));
	o.directory = dir;
	assert_int_equal(mqw_journal_open(&o, &to, &j), 0);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(mqw_journal_next(j, &e), 0);
	assert_int_equal(g.says, 1);
	assert_int_equal(g.gaps, 0);
	/* Nothing read is not everything read. */
	assert_true(sd_event_new(&g.loop) >= 0);
	assert_int_equal(mqw_journal_attach(j, g.loop), 0);
	for (int i = 0; i < 5; i++)
		assert_true(sd_event_run(g.loop, 10000) >= 0);
	assert_int_equal(g.caught_up, 0);
	assert_int_equal(g.says, 1);
	mqw_journal_close(j);
	sd_event_unref(g.loop);
	assert_null(mqw_journal_close(NULL));
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_journal),
		cmocka_unit_test(test_offline),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_vacuumed),
		cmocka_unit_test(test_vacuumed_behind),
		cmocka_unit_test(test_without_inotify),
		cmocka_unit_test(test_other_boot),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
