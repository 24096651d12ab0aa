/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a rule that fires to a program that gets the alert. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <sqlite3.h>

#include "act_fixture.h"

#define NOW (T0 + 100 * MQW_SECOND)

static char out[96];

static const char *source_name(void *ctx, uint32_t source)
{
	(void)ctx;
	return source == 0 ? "mail.log" : NULL;
}

/* One JSON object a line goes to the file that out names. */
static int setup_alerts(void **state)
{
	char text[400];
	sigset_t mask;
	int r = act_setup(state);

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	snprintf(out, sizeof(out), "%s/out", dir);
	snprintf(text, sizeof(text),
		"  - {name: tell, when: {verdict: vanished}, do: [{alert: sms}, {alert: ops}]}\n"
		"alerts:\n"
		"  sms: {command: [/usr/bin/tee, -a, %s]}\n"
		"  ops: {journal: true}\n",
		out);
	load_rules(text);
	mqw_act_set_alerts(act, config);
	instance.source_name = source_name;
	return r;
}

static void lose(const char *id)
{
	accepted(id, T0);
	deferred(id, T0 + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, id, T0 + 2 * MQW_SECOND);
}

/* The alert in this line of the output, counted from 0; NULL when there are not so many. */
static json_t *got(int line)
{
	FILE *f = fopen(out, "re");
	json_t *j = NULL;

	for (int i = 0; f && i <= line; i++) {
		json_decref(j);
		j = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	}
	if (f)
		fclose(f);
	return j;
}

static void a_rule_tells_the_channel(void **state)
{
	json_t *j, *f;

	(void)state;
	mqw_act_set_mode(act, MQW_MODE_OBSERVE);
	lose("A1");
	found("A1", B, NOW);
	found("A1", B, NOW);
	send_all(NOW);
	assert_null(got(0));
	send_all(NOW + 3 * MQW_SECOND);
	j = got(0);
	assert_string_equal(json_string_value(json_object_get(j, "rule")), "tell");
	assert_string_equal(json_string_value(json_object_get(j, "instance")), "out");
	assert_int_equal(json_integer_value(json_object_get(j, "count")), 1);
	f = json_array_get(json_object_get(j, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(f, "queue_id")), "A1");
	assert_string_equal(json_string_value(json_object_get(f, "recipient")), B);
	assert_string_equal(json_string_value(json_object_get(f, "mta")), "postfix");
	f = json_array_get(json_object_get(f, "evidence"), 0);
	assert_string_equal(json_string_value(json_object_get(f, "source")), "mail.log");
	assert_int_equal(json_integer_value(json_object_get(f, "line")), 1);
	json_decref(j);
	/* Once, whatever is found again; and once in the journal, for two channels. */
	restart_act();
	mqw_act_set_alerts(act, config);
	found("A1", B, NOW + MQW_HOUR);
	send_all(NOW + MQW_DAY);
	assert_null(got(1));
	assert_actions("alert A1 done\n");
}

static void ten_thousand_are_counted_past_the_budget(void **state)
{
	uint64_t sum = 0;
	char id[16];
	json_t *j;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t now = NOW + i * MQW_SECOND / 10;

		snprintf(id, sizeof(id), "A%d", i);
		lose(id);
		found(id, B, now);
		if (i % 100 == 0)
			send_all(now);
	}
	for (int minute = 0; minute < 48 * 60; minute += 5)
		send_all(NOW + 1000 * MQW_SECOND + minute * MQW_MINUTE);
	for (int i = 0; i < 3; i++) {
		j = got(i);
		assert_non_null(j);
		sum += (uint64_t)json_integer_value(json_object_get(j, "count"));
		json_decref(j);
	}
	assert_int_equal(sum, 10000);
	assert_null(got(3));
}

/* The ledger is locked: the finding waits and is told later. */
static void a_locked_ledger_delays_only(void **state)
{
	char path[96];
	struct mqw_ledger *other = NULL;
	json_t *j;

	(void)state;
	lose("A1");
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	if (fork() == 0) {
		if (mqw_ledger_open(path, &other, NULL) < 0 || mqw_ledger_begin(other) < 0)
			_exit(1);
		usleep(900000);
		_exit(0);
	}
	usleep(300000);
	found("A1", B, NOW);
	assert_true(mqw_act_waiting(act));
	wait(NULL);
	mqw_act_settle(act, NOW + MQW_MINUTE);
	assert_false(mqw_act_waiting(act));
	send_all(NOW + 2 * MQW_MINUTE);
	j = got(0);
	assert_int_equal(json_integer_value(json_object_get(j, "count")), 1);
	json_decref(j);
	assert_null(got(1));
}

/* What is said on standard error from here on goes to the file. */
static int begin_listening(const char *file)
{
	int before = dup(2), fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(before >= 0 && fd >= 0);
	fflush(stderr);
	assert_int_equal(dup2(fd, 2), 2);
	close(fd);
	return before;
}

static void end_listening(int before, const char *file, char *ret, size_t size)
{
	ssize_t n;
	int fd;

	fflush(stderr);
	assert_int_equal(dup2(before, 2), 2);
	close(before);
	fd = open(file, O_RDONLY);
	n = read(fd, ret, size - 1);
	close(fd);
	assert_true(n >= 0);
	ret[n] = '\0';
}

/* While it is so no action gets a result. */
static void keep_open(bool keep)
{
	char path[96];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				 keep ? "CREATE TRIGGER no BEFORE UPDATE ON action"
					" BEGIN SELECT RAISE(FAIL, 'no'); END"
				      : "DROP TRIGGER no",
				 NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
}

/* Died before it was known as said: it is said once more, in the same words, of the same life of the id. */
static void said_late_in_the_same_words(void **state)
{
	char file[96], first[600], late[600];
	int before;

	(void)state;
	snprintf(file, sizeof(file), "%s/said", dir);
	lose("A1");
	keep_open(true);
	before = begin_listening(file);
	found("A1", B, NOW);
	end_listening(before, file, first, sizeof(first));
	assert_non_null(
		strstr(first, "vanished: message A1 from <a@example.com> to <" B ">: last answer"));
	/* The id was given to another message since. */
	happens(MQW_EVENT_OPENED, "A1", NOW);
	queued("A1", "else@example.com", NOW);
	keep_open(false);
	restart_act();
	before = begin_listening(file);
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	end_listening(before, file, late, sizeof(late));
	assert_string_equal(late, first);
	assert_actions("alert A1 done\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_alerts, act_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_rule_tells_the_channel),
		TEST(ten_thousand_are_counted_past_the_budget),
		TEST(a_locked_ledger_delays_only),
		TEST(said_late_in_the_same_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
