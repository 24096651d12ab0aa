/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ID-J, in which Exim notes whom it has delivered to before it logs that: what it dies in between is
 * delivered, and no line ever says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "instance_fixture.h"
#include "probes/exim/queue_internal.h"
#include "watchdogd/act/internal.h"
#include "watchdogd/base/bundle.h"
#include "watchdogd/daemon/vault_limits.h"

#define ID "1xW41t-00068n-1J"
#define A "A.Person@example.net"
#define B "b@example.net"

static struct mqw_vault_limits limits;
static char spool[96];
static uint64_t written; /* lines of the log */

static void put(const char *ending, const char *content)
{
	char path[160], new[168];
	FILE *f;

	snprintf(path, sizeof(path), "%s/input/%s-%s", spool, ID, ending);
	snprintf(new, sizeof(new), "%s/db/new", spool);
	f = fopen(new, "w");
	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	fclose(f);
	assert_int_equal(rename(new, path), 0);
}

static void put_envelope(const char *tree)
{
	char content[512];

	snprintf(content, sizeof(content),
		ID "-H\nexim 1 1\n<a@example.com>\n%lld 0\n%s\n2\n" A "\n" B "\n\n",
		(long long)(mqw_clock_now() / MQW_SECOND - 600), tree);
	put("H", content);
}

static void take_out(const char *ending)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/input/%s-%s", spool, ID, ending);
	assert_int_equal(unlink(path), 0);
}

/* A line of Exim's own log, of which none is missing. */
static void wrote(int64_t ago, const char *text)
{
	time_t t = (time_t)(mqw_clock_now() / MQW_SECOND - ago);
	char stamp[32];
	FILE *f = fopen(log_path, "a");
	struct tm tm;

	assert_non_null(f);
	assert_true(strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm)) > 0);
	fprintf(f, "%s " ID " %s\n", stamp, text);
	fclose(f);
	written++;
}

static void was_deferred_to(int64_t ago, const char *address)
{
	char text[300];

	snprintf(text, sizeof(text),
		"== %s R=dns T=smtp defer (-44) H=mx [192.0.2.1]: SMTP error from remote mail "
		"server after RCPT TO:<%s>: 450 4.2.0 later",
		address, address);
	wrote(ago, text);
}

static int setup(void **state)
{
	char command[256];

	/* The log's stamps are in whole seconds, of local time. */
	setenv("TZ", "UTC", 1);
	tzset();
	written = 0;
	assert_int_equal(instance_setup(state), 0);
	snprintf(spool, sizeof(spool), "%s/spool", dir);
	snprintf(command, sizeof(command), "mkdir -p %s/input %s/db", spool, spool);
	assert_int_equal(system(command), 0);
	config.type = "exim";
	config.queue = spool;
	mqw_vault_limits_init(&limits, UINT64_C(2) << 30, MQW_DAY);
	wrote(600, "<= a@example.com H=x [192.0.2.9] P=esmtp S=300 id=1@example.com");
	was_deferred_to(599, A);
	was_deferred_to(599, B);
	put("D", ID "-D\nBody\n");
	put_envelope("XX");
	return 0;
}

/* Lets events come until all lines are read, and a tick. */
static void turn(void)
{
	for (int n = 0; n < 20 || (n < 1000 && instance->lines < written); n++)
		assert_true(sd_event_run(event, 20000) >= 0);
	assert_int_equal(instance->lines, written);
	mqw_instance_tick(instance, mqw_clock_now());
}

static void begin(void)
{
	start();
	instance->host.keep = MQW_KEEP_DEFERRED;
	instance->host.limits = &limits;
	assert_int_equal(mqw_vault_open(dir, "out", &instance->act.vault), 0);
	catch_up();
	turn();
}

static const struct mqw_message *message(void)
{
	return mqw_tracker_find(instance->act.tracker, MQW_SLICE_NULL, MQW_LIT(ID));
}

static enum mqw_verdict verdict_on(const char *address)
{
	const struct mqw_recipient *r = mqw_tracker_recipient(message(), mqw_slice_of(address));

	assert_non_null(r);
	return mqw_tracker_judge(instance->act.tracker, message(), r).verdict;
}

/* Who would be mailed again, one a line; or why nobody. */
static void assert_recovery(const char *want)
{
	struct mqw_buffer content = {0}, list = {0};
	struct mqw_slice files[MQW_BUNDLE_MAX];
	struct mqw_queue_file f;
	const char *why = mqw_act_prepare(&instance->act, message(), &content, &list);

	assert_string_equal(why ? why : mqw_buffer_str(&list), want);
	if (!why) {
		/* What is given to the helper are the two files, for nobody else. */
		mqw_buffer_clear(&list);
		assert_int_equal(mqw_bundle_split(mqw_buffer_slice(&content), files), 2);
		assert_int_equal(mqw_exim_queue_file(files[0], &f), 0);
		for (size_t n = 0; n < f.recipient_count; n++)
			if (!f.recipients[n].done)
				mqw_buffer_printf(&list, "%s\n", f.recipients[n].address);
		assert_string_equal(mqw_buffer_str(&list), want);
		mqw_queue_file_done(&f);
	}
	mqw_buffer_done(&content);
	mqw_buffer_done(&list);
}

/* Without a journal both are lost, and both are put back. */
static void test_without(void **state)
{
	(void)state;
	begin();
	take_out("H");
	take_out("D");
	wrote(0, "Completed");
	turn();
	assert_int_equal(verdict_on(A), MQW_VERDICT_VANISHED);
	assert_recovery(A "\n" B "\n");
}

/* Exim dies behind its note about A; the next run finds B alone to do, and both are done then. */
static void test_died_behind_its_note(void **state)
{
	(void)state;
	begin();
	/* Nothing tells when it grows. */
	put("J", "");
	turn();
	assert_int_equal(verdict_on(A), MQW_VERDICT_PENDING);
	put("J", "A.Person@example.net\n");
	turn();
	assert_int_equal(verdict_on(A), MQW_VERDICT_DELIVERED);
	assert_int_equal(verdict_on(B), MQW_VERDICT_PENDING);
	/* It may only not have come yet. */
	wrote(0, "=> " A " R=dns T=smtp H=mx [192.0.2.1] C=\"250 Ok\"");
	turn();
	assert_int_equal(mqw_tracker_recipient(message(), MQW_LIT(A))->code, 250);
	assert_int_equal(mqw_tracker_recipient(message(), MQW_LIT(A))->attempts, 2);
	take_out("D");
	take_out("H");
	take_out("J");
	wrote(0, "=> " B " R=dns T=smtp H=mx [192.0.2.1] C=\"250 Ok\"");
	wrote(0, "Completed");
	turn();
	assert_int_equal(verdict_on(A), MQW_VERDICT_DELIVERED);
	assert_int_equal(verdict_on(B), MQW_VERDICT_DELIVERED);
	assert_recovery("no recipient of this message is lost any more");
}

/* Exim writes addresses as it compares them, and those that others were expanded to. */
static void test_other_spelling(void **state)
{
	(void)state;
	begin();
	put("J", "a.person@example.net\nchild@example.org\n");
	turn();
	assert_int_equal(verdict_on(A), MQW_VERDICT_DELIVERED);
	take_out("D");
	take_out("H");
	take_out("J");
	wrote(0, "Completed");
	turn();
	assert_int_equal(verdict_on(B), MQW_VERDICT_VANISHED);
	assert_recovery(B "\n");
}

/* The next run took it into the tree, which was copied, before anybody saw it. */
static void test_taken_into_the_tree(void **state)
{
	(void)state;
	begin();
	put_envelope("NN " A);
	turn();
	take_out("D");
	take_out("H");
	wrote(0, "Completed");
	turn();
	assert_int_equal(verdict_on(B), MQW_VERDICT_VANISHED);
	assert_recovery(B "\n");
}

/* It was there before the watchdog, and so was the death. */
static void test_before_the_start(void **state)
{
	(void)state;
	put("J", A "\n" B "\nc@example");
	begin();
	assert_int_equal(verdict_on(A), MQW_VERDICT_DELIVERED);
	assert_int_equal(verdict_on(B), MQW_VERDICT_DELIVERED);
}

/* Who is done in ID-H once it has what ID-J says. */
static void test_merged(void **state)
{
	static const struct {
		const char *journal;
		size_t in_tree;
		bool a_done, b_done;
	} rows[] = {
		{"", 1, false, false},
		{A "\n", 2, true, false},
		{"a.person@EXAMPLE.net\n", 3, true, false},
		{B "\n" A "\n" B "\n", 3, true, true},
		/* Of an alias, and what was there already. */
		{"c@d\nx@y\n", 2, false, false},
		/* Not written to its end; nothing. */
		{A "\n" B, 2, true, false},
		{"\n\n", 1, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mqw_exim_envelope e;
		struct mqw_buffer b = {0};
		struct mqw_queue_file f;

		mqw_buffer_add_str(
			&b, ID "-H\nexim 1 1\n<a@example.com>\n5 0\nNN x@y\n2\n" A "\n" B "\n\n");
		assert_int_equal(mqw_exim_add_journal(&b, mqw_slice_of(rows[i].journal)), 0);
		assert_int_equal(mqw_exim_read_envelope(mqw_buffer_slice(&b), &e), 0);
		assert_int_equal(mqw_exim_queue_file(mqw_buffer_slice(&b), &f), 0);
		if (e.done_count != rows[i].in_tree || f.recipients[0].done != rows[i].a_done ||
			f.recipients[1].done != rows[i].b_done)
			fail_msg("row %zu: %s", i, mqw_buffer_str(&b));
		mqw_queue_file_done(&f);
		mqw_buffer_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without, setup, instance_teardown),
		cmocka_unit_test_setup_teardown(
			test_died_behind_its_note, setup, instance_teardown),
		cmocka_unit_test_setup_teardown(test_other_spelling, setup, instance_teardown),
		cmocka_unit_test_setup_teardown(test_taken_into_the_tree, setup, instance_teardown),
		cmocka_unit_test_setup_teardown(test_before_the_start, setup, instance_teardown),
		cmocka_unit_test(test_merged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
