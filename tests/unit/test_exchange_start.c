/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several logs of one Exchange host, as they are joined at a start and over a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "instance_fixture.h"

#define HOUR 3600
#define ANN "ann@b.test"

static char smtp_path[96];
static const char *const both[] = {log_path, smtp_path, NULL};

static int setup_exchange(void **state)
{
	int r = instance_setup(state);

	snprintf(smtp_path, sizeof(smtp_path), "%s/ex.log", dir);
	config.type = "exchange";
	config.logs = both;
	config.log_count = 2;
	config.lifetime = 0;
	return r;
}

/* A line of message tracking. */
static void add_track(FILE *f, int64_t ago, const char *recipient, int what, const char *id)
{
	struct mqw_buffer stamp = {0};

	mqw_time_format(&stamp, mqw_clock_now() - ago * MQW_SECOND);
	fprintf(f,
		"%.10s\t%.8s GMT\t-\t-\tSMTP\tEXCH1\t198.51.100.2\t%s\t%d\t%s\t0\t0\t1\t1\t%.10s "
		"%.8s "
		"GMT\t0\tV\t-\ts\tinfo@a.test\t-\r\n",
		mqw_buffer_str(&stamp), mqw_buffer_str(&stamp) + 11, recipient, what, id,
		mqw_buffer_str(&stamp), mqw_buffer_str(&stamp) + 11);
	mqw_buffer_done(&stamp);
}

static void track(int64_t ago, const char *recipient, int what, const char *id)
{
	FILE *f = fopen(log_path, "a");

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	if (ftell(f) == 0)
		fputs("# Message Tracking Log File\r\n", f);
	add_track(f, ago, recipient, what, id);
	fclose(f);
}

/* The SMTP service's log of one try. */
static void answered(int64_t ago, const char *recipient, const char *reply)
{
	FILE *f = fopen(smtp_path, "a");
	struct mqw_buffer stamp = {0};
	const char *const rows[][3] = {{"Command", "MAIL", "FROM:<info@a.test>"},
		{"Response", "-", "250+ok"}, {"Command", "RCPT", NULL}, {"Response", "-", reply},
		{"Command", "QUIT", "-"}};

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	if (ftell(f) == 0)
		fputs("#Software: Microsoft Internet Information Services 6.0\r\n"
		      "#Fields: date time c-ip cs-username s-sitename s-ip s-port cs-method "
		      "cs-uri-query sc-status\r\n",
			f);
	mqw_time_format(&stamp, mqw_clock_now() - ago * MQW_SECOND);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fprintf(f, "%.10s %.8s 192.0.2.9 OutboundConnection%s SMTPSVC1 - 25 %s ",
			mqw_buffer_str(&stamp), mqw_buffer_str(&stamp) + 11, rows[i][0],
			rows[i][1]);
		fprintf(f, rows[i][2] ? "%s 0\r\n" : "TO:<%s> 0\r\n",
			rows[i][2] ? rows[i][2] : recipient);
	}
	fclose(f);
	mqw_buffer_done(&stamp);
}

static void assert_verdict(const char *want)
{
	char *all = verdicts();

	if (!strstr(all, want))
		fail_msg("not \"%s\" in:\n%s", want, all);
	free(all);
}

/*
 * More messages than are remembered come between a report and the end of the log: the answer that tells
 * why it was made has to be read at its time, not after all of message tracking.
 */
static void a_report_and_its_answer_meet(void **state)
{
	FILE *f;
	char id[32], recipient[48];

	(void)state;
	track(9 * HOUR, ANN, 1020, "M1");
	track(9 * HOUR - 60, ANN, 1030, "M1");
	f = fopen(log_path, "a");
	for (int i = 0; i < 30000; i++) {
		snprintf(id, sizeof(id), "O%d", i);
		snprintf(recipient, sizeof(recipient), "r%d@b.test", i);
		add_track(f, 8 * HOUR - i / 2, recipient, 1020, id);
		add_track(f, 8 * HOUR - i / 2, recipient, 1031, id);
	}
	fclose(f);
	/* Days of another log come before it. */
	for (int i = 0; i < 20000; i++)
		answered(40 * HOUR - i * 5, "other@b.test", "550+5.1.1+no");
	answered(9 * HOUR - 1, ANN, "450+4.2.0+Greylisted");
	answered(60, "other@b.test", "550+5.1.1+no");
	run();
	assert_verdict("M1 false_ndr certain");
}

/* Long logs side by side: neither waits for the other for good. */
static void both_are_read_to_their_ends(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		track(5000 - i, ANN, 1027, "M1");
		answered(5000 - i, "other@b.test", "550+5.1.1+no");
	}
	track(20, ANN, 1020, "M2");
	answered(19, ANN, "450+4.2.0+Greylisted");
	run();
	assert_verdict("M2 pending probable");
	for (size_t n = 0; n < instance->log_count; n++) {
		assert_true(instance->logs[n].caught_up);
		assert_false(instance->logs[n].paused);
	}
	/* And live, whichever is first. */
	answered(5, ANN, "450+4.2.0+Greylisted");
	track(4, ANN, 1031, "M2");
	for (int turn = 0; turn < 60; turn++)
		assert_true(sd_event_run(event, 50000) >= 0);
	assert_verdict("M2 delivered certain");
}

/* One of them is not there: the other is not held up by it. */
static void one_alone_goes_on(void **state)
{
	(void)state;
	track(9 * HOUR, ANN, 1020, "M1");
	track(60, ANN, 1027, "M2");
	start();
	for (int turn = 0; turn < 60; turn++) {
		instance->logs[1].given_at -= 10 * MQW_SECOND; /* a minute goes by */
		assert_true(sd_event_run(event, 50000) >= 0);
		mqw_instance_tick(instance, mqw_clock_now());
	}
	assert_true(instance->logs[0].caught_up);
	assert_non_null(
		mqw_tracker_find(instance->act.tracker, MQW_SLICE_NULL, mqw_slice_of("M2")));
}

/* The answer was read before the end of the daemon, the report comes after it. */
static void a_report_after_a_restart(void **state)
{
	(void)state;
	track(2 * HOUR, ANN, 1020, "M1");
	answered(2 * HOUR - 1, ANN, "450+4.2.0+Greylisted");
	run();
	stop();
	track(30, ANN, 1030, "M1");
	run();
	assert_verdict("M1 false_ndr certain");
	stop();
	/* On a rejection it is rightful, then too. */
	track(HOUR, "ben@b.test", 1020, "M2");
	answered(HOUR - 1, "ben@b.test", "450+4.2.0+Greylisted");
	run();
	stop();
	track(21, "ben@b.test", 1020, "M2");
	answered(20, "ben@b.test", "550+5.1.1+no");
	track(10, "ben@b.test", 1030, "M2");
	run();
	assert_verdict("M2 bounced certain");
	assert_int_equal(instance->unparsed, 0);
}

/* An answer after the restart finds the message that was begun before it. */
static void an_answer_after_a_restart(void **state)
{
	(void)state;
	track(300, ANN, 1034, "M1");
	track(299, ANN, 1020, "M1");
	answered(600, "other@b.test", "550+5.1.1+no");
	run();
	/* What waits for its first end for longer than a minute is kept. */
	instance->under_way_at = 0;
	mqw_instance_tick(instance, mqw_clock_now());
	assert_int_equal(mqw_instance_keep(instance), 0);
	stop();
	answered(298, ANN, "450+4.2.0+Greylisted");
	run();
	assert_verdict("M1 pending probable");
	assert_int_equal(mqw_tracker_find(instance->act.tracker, MQW_SLICE_NULL, mqw_slice_of("M1"))
				 ->recipients->code,
		450);
}

/* A line of another server, in a log of its own beside the first one's. */
static void track_of(const char *server, const char *path, const char *id)
{
	FILE *f = fopen(path, "a");
	struct mqw_buffer stamp = {0};

	assert_non_null(f);
	mqw_time_format(&stamp, mqw_clock_now() - 50 * MQW_SECOND);
	fprintf(f, "# Message Tracking Log File\r\n");
	for (int what = 1019; what <= 1020; what++)
		fprintf(f,
			"%.10s\t%.8s GMT\t-\t-\tSMTP\t%s\t-\t" ANN
			"\t%d\t%s\t0\t0\t1\t1\t-\t0\tV\t-\ts\ti@a.test\t-\r\n",
			mqw_buffer_str(&stamp), mqw_buffer_str(&stamp) + 11, server, what, id);
	fclose(f);
	mqw_buffer_done(&stamp);
}

static bool follows(const char *id)
{
	return mqw_tracker_find(instance->act.tracker, MQW_SLICE_NULL, mqw_slice_of(id)) != NULL;
}

/* Two servers in one folder: the first one is followed, the other is not mixed in; also later on. */
static void only_one_server_is_followed(void **state)
{
	static char other[96];
	static const char *const three[] = {log_path, smtp_path, other, NULL};

	(void)state;
	snprintf(other, sizeof(other), "%s/other.log", dir);
	config.logs = three;
	config.log_count = 3;
	fclose(fopen(other, "a"));
	track(60, ANN, 1019, "M1");
	answered(59, ANN, "450+4.2.0+Greylisted");
	run();
	stop();
	/* Its name may have its domain or not. */
	track_of("EXCH2.example.com", other, "M2");
	track_of("exch1.example.com", log_path, "M3");
	run();
	assert_true(follows("M3"));
	assert_false(follows("M2"));
	assert_true(instance->said_servers);
	assert_string_equal(instance->server, "exch1");
}

/* As the server is set: the retry that did not come is missed sooner than by the defaults. */
static void a_server_with_short_pauses(void **state)
{
	(void)state;
	track(90 * 60, ANN, 1020, "M1");
	answered(90 * 60 - 1, ANN, "450+4.2.0+Greylisted");
	track(30, "other@b.test", 1027, "M2");
	run();
	assert_verdict("M1 pending probable");
	stop();
	config.retry_max = 15 * MQW_MINUTE;
	config.slack = MQW_HOUR;
	run();
	assert_verdict("M1 overdue probable: last answer 450, then silence for ");
	assert_verdict("; a try was due within 15 min");
	config.retry_max = 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_exchange, instance_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_report_and_its_answer_meet),
		TEST(both_are_read_to_their_ends),
		TEST(one_alone_goes_on),
		TEST(a_report_after_a_restart),
		TEST(an_answer_after_a_restart),
		TEST(only_one_server_is_followed),
		TEST(a_server_with_short_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
