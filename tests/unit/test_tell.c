/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The note to a sender whose mail was reported as failed by mistake: to whom, how, and once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "act_fixture.h"

#define NOW (T0 + 100 * MQW_SECOND)

static pid_t sink_pid;
static char url[64];

/* A server that keeps mail as DIR/1 and so on. */
static void start_sink(const char *option, const char *value)
{
	const char *const argv[] = {"python3", "tests/sink.py", "smtp", dir, option, value, NULL};
	char text[16] = "";
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	sink_pid = fork();
	if (sink_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	snprintf(url, sizeof(url), "smtp://127.0.0.1:%d", atoi(text));
	instance.tell_via = url;
}

static int tell_setup(void **state)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return act_setup(state);
}

static int tell_teardown(void **state)
{
	if (sink_pid > 0) {
		kill(sink_pid, SIGKILL);
		waitpid(sink_pid, NULL, 0);
	}
	sink_pid = 0;
	return act_teardown(state);
}

/* A copy for B with these headers, from this sender. */
static void put_copy(const char *id, const char *sender, const char *header)
{
	struct mqw_buffer b = {0};
	char path[128];
	int fd, root;

	record(&b, 'C', "1");
	record(&b, 'T', "1795572000 0");
	record(&b, 'S', sender);
	record(&b, 'R', B);
	record(&b, 'M', "");
	record(&b, 'N', "Message-ID: <1@example.com>");
	record(&b, 'N', header);
	record(&b, 'N', "Subject: greeting");
	record(&b, 'N', "");
	record(&b, 'N', "List-Id: in the body it means nothing");
	record(&b, 'X', "");
	record(&b, 'E', "");
	snprintf(path, sizeof(path), "%s/%s", dir, id);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, b.ptr, b.len), b.len);
	close(fd);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mqw_vault_copy_in(vault, root, id, mqw_slice_of(id), 0700, 4096), 1);
	close(root);
	mqw_buffer_done(&b);
}

/* A failure report on a 450, and its recovery. */
static void misreport(const char *id, const char *sender, const char *header)
{
	happens(MQW_EVENT_OPENED, id, T0);
	queued(id, sender, T0);
	tried(id, B, MQW_OUTCOME_BOUNCED, 450, T0 + MQW_SECOND);
	if (sender[0])
		happens_with(MQW_EVENT_NDR, id, "D1", T0 + MQW_SECOND);
	happens(MQW_EVENT_REMOVED, id, T0 + MQW_SECOND);
	put_copy(id, sender, header);
	found(id, B, NOW);
}

static bool ends(const char *state)
{
	struct mqw_buffer listed = {0};
	bool yes;

	mqw_ledger_each_action(ledger, false, 1, add_state, &listed);
	yes = strstr(mqw_buffer_str(&listed), state) != NULL;
	mqw_buffer_done(&listed);
	return yes;
}

/* Lets the note be sent, or not. */
static void conclude(int64_t now, const char *state)
{
	int open = 2;

	/* The recovery; the note stays to be told. */
	for (int i = 0; i < 300 && open > 1; i++) {
		assert_true(sd_event_run(event, 100000) >= 0);
		open = 0;
		mqw_ledger_each_action(ledger, true, 100, count_open, &open);
	}
	mqw_act_resolve(act, &instance, now);
	for (int i = 0; i < 300 && !ends(state); i++)
		assert_true(sd_event_run(event, 100000) >= 0);
}

static void read_mail(int n, struct mqw_buffer *ret)
{
	char path[96], chunk[4096];
	ssize_t got;
	int fd;

	mqw_buffer_clear(ret);
	snprintf(path, sizeof(path), "%s/%d", dir, n);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	while ((got = read(fd, chunk, sizeof(chunk))) > 0)
		mqw_buffer_add(ret, mqw_slice(chunk, (size_t)got));
	close(fd);
}

static void assert_holds(const struct mqw_buffer *b, const char *what)
{
	if (!strstr(mqw_buffer_str(b), what))
		fail_msg("\"%s\" is not in:\n%s", what, mqw_buffer_str(b));
}

static void a_person_is_told_once(void **state)
{
	struct mqw_buffer mail = {0};

	(void)state;
	start_helper();
	start_sink(NULL, NULL);
	misreport("A1", "ann@example.com", "X-A: b");
	assert_actions("tell_sender A1 intent\nrecover A1 intent\n");
	conclude(NOW + 20 * MQW_SECOND, "done");
	assert_actions("tell_sender A1 done\nrecover A1 done\n");
	read_mail(1, &mail);
	assert_holds(&mail, "FROM <>"); /* the null sender */
	assert_holds(&mail, "TO <ann@example.com>");
	assert_holds(&mail, "\r\nTo: <ann@example.com>\r\n");
	assert_holds(&mail, "\nFrom: Mail service <postmaster@");
	assert_holds(&mail, "\r\nAuto-Submitted: auto-replied\r\n");
	assert_holds(&mail, "\r\nIn-Reply-To:\r\n <1@example.com>\r\n");
	assert_holds(&mail, "\r\nReferences:\r\n <1@example.com>\r\n");
	assert_holds(&mail, "    " B "\r\n");
	/* Neither another look nor a restart sends it again. */
	mqw_act_resolve(act, &instance, NOW + MQW_MINUTE);
	restart_act();
	found("A1", B, NOW + MQW_MINUTE);
	mqw_act_resolve(act, &instance, NOW + MQW_HOUR);
	run(3);
	read_mail(2, &mail);
	assert_int_equal(mail.len, 0);
	mqw_buffer_done(&mail);
}

static void nobody_else_is(void **state)
{
	static const struct {
		const char *sender, *header;
	} rows[] = {
		{"ann@example.com", "List-Id: <l.example.com>"},
		{"ann@example.com", "list-unsubscribe: <mailto:x@example.com>"},
		{"ann@example.com", "Precedence:\tBulk"},
		{"ann@example.com", "Auto-Submitted: auto-generated"},
		{"owner-list@example.com", "X-A: b"},
		{"list-owner@example.com", "X-A: b"},
		{"list-bounces+b=example.net@example.com", "X-A: b"},
		{"MAILER-DAEMON@example.com", "X-A: b"},
		{"no-reply@example.com", "X-A: b"},
		{"ann", "X-A: b"},
		{"\"a b\"@example.com", "X-A: b"},
		{"a>b@example.com", "X-A: b"},
	};
	struct mqw_buffer mail = {0};
	char id[8];

	(void)state;
	start_helper();
	start_sink(NULL, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(id, sizeof(id), "A%zu", i);
		misreport(id, rows[i].sender, rows[i].header);
		conclude(NOW + 20 * MQW_SECOND, "refused");
		if (!ends("refused"))
			fail_msg("%s, %s is told", rows[i].sender, rows[i].header);
	}
	/* What a program says of itself in so many words. */
	misreport("AB", "ann@example.com", "Auto-Submitted: no");
	conclude(NOW + 20 * MQW_SECOND, "done");
	assert_true(ends("done"));
	read_mail(1, &mail);
	assert_holds(&mail, "ann@example.com");
	read_mail(2, &mail);
	assert_int_equal(mail.len, 0);
	mqw_buffer_done(&mail);
}

/* There was no report, or nobody to get one, or it is not asked for. */
static void nothing_to_tell(void **state)
{
	(void)state;
	start_helper();
	start_sink(NULL, NULL);
	accepted("A1", T0);
	keep_copy("A1", T0);
	deferred("A1", T0 + MQW_SECOND);
	happens(MQW_EVENT_QUEUE_GONE, "A1", T0 + 2 * MQW_SECOND);
	found("A1", B, NOW);
	misreport("A2", "", "X-A: b");
	instance.tell_via = NULL;
	misreport("A3", "ann@example.com", "X-A: b");
	run(50);
	assert_actions("recover A3 done\nrecover A2 done\nrecover A1 done\n");
}

static void not_after_a_recovery_that_failed(void **state)
{
	(void)state;
	start_helper();
	start_sink(NULL, NULL);
	helper->status[MQW_HELPER_RECOVER] = MQW_HELPER_REFUSED;
	misreport("A1", "ann@example.com", "X-A: b");
	conclude(NOW + 20 * MQW_SECOND, "refused");
	assert_actions("tell_sender A1 refused\nrecover A1 refused\n");
}

/* A relay that certainly did not take it is asked again; one that may have is not. */
static void a_relay_that_says_no(void **state)
{
	struct mqw_buffer mail = {0};

	(void)state;
	start_helper();
	start_sink("--status", "451");
	misreport("A1", "ann@example.com", "X-A: b");
	conclude(NOW + 20 * MQW_SECOND, "unclear");
	assert_actions("tell_sender A1 unclear\nrecover A1 done\n");
	/* Time goes by. */
	for (int i = 0; i < 900 && !ends("failed"); i++) {
		mqw_act_resolve(act, &instance, mqw_clock_now() + MQW_DAY);
		assert_true(sd_event_run(event, 100000) >= 0);
	}
	assert_actions("tell_sender A1 failed\nrecover A1 done\n");
	read_mail(1, &mail);
	assert_int_equal(mail.len, 0);
	mqw_buffer_done(&mail);
}

static void a_relay_that_hangs_up(void **state)
{
	struct mqw_buffer mail = {0};

	(void)state;
	start_helper();
	start_sink("--drop", NULL);
	misreport("A1", "ann@example.com", "X-A: b");
	conclude(NOW + 20 * MQW_SECOND, "failed");
	assert_actions("tell_sender A1 failed\nrecover A1 done\n");
	mqw_act_resolve(act, &instance, mqw_clock_now() + MQW_DAY);
	run(3);
	read_mail(1, &mail);
	assert_true(mail.len > 0);
	read_mail(2, &mail);
	assert_int_equal(mail.len, 0);
	mqw_buffer_done(&mail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_person_is_told_once, tell_setup, tell_teardown),
		cmocka_unit_test_setup_teardown(nobody_else_is, tell_setup, tell_teardown),
		cmocka_unit_test_setup_teardown(nothing_to_tell, tell_setup, tell_teardown),
		cmocka_unit_test_setup_teardown(
			not_after_a_recovery_that_failed, tell_setup, tell_teardown),
		cmocka_unit_test_setup_teardown(a_relay_that_says_no, tell_setup, tell_teardown),
		cmocka_unit_test_setup_teardown(a_relay_that_hangs_up, tell_setup, tell_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
