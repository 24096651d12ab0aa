/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, list and show, and the client below them, against the real API with made up answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ANSWER_MAX ((size_t)100000)
#include "watchdogd/cli/client.c"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "watchdogd/cli/commands.h"

#include "watchdogd/base/json_text.h"

#include "api_fixture.h"

#define LONG_REASON                                                                                \
	"left the queue after a temporary failure and nothing in the log says why, which makes "   \
	"it a loss until somebody proves the contrary"

static json_t *message(const char *verdict, json_t *recipient)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:s,s:i,s:s,s:n,s:s,s:s}", "type",
		"verdict", "verdict", verdict, "confidence", "certain", "instance", "outbound",
		"queue_id", "4F3aBcDeFgHz1k", "message_id", "1@example.com", "sender", "",
		"recipient", recipient, "relay", "mx.example.net[192.0.2.1]:25", "reply",
		"451 4.7.1 Try \x1b[2J again", "attempts", 2, "last_seen", "2026-10-03T04:10:00Z",
		"ndr_id", "reason", LONG_REASON, "remedy", "look at it");
}

/* An instance whose folders on another host are looked at. */
static json_t *windows_host(void)
{
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:b,s:i,s:i,s:i,s:i,s:{s:s,s:n,s:i,s:s,s:i,s:n,s:i,s:i}}", "name",
		"exch", "mta", "exchange", "log", "smb://exch1/logs/*.log", "queue",
		"smb://exch1/mailroot", "caught_up", 1, "lines", 1, "unparsed", 0, "open", 0,
		"trouble", 0, "mailroot", "looked_at", "2026-10-03T04:00:00Z", "cannot_be_read",
		"queue", 3, "queue_oldest", "2026-10-02T04:00:00Z", "pickup", 0, "pickup_oldest",
		"badmail", 12, "stuck", 1);
}

static json_t *fake_status(void *ctx)
{
	json_t *j;

	(void)ctx;
	j = json_pack(
		"{s:s,s:s,s:s,s:b,s:{s:i,s:i},s:[{s:s,s:s,s:s,s:s,s:b,s:i,s:i,s:i,s:n,s:i,s:i,"
		"s:{s:s,s:i,s:i,s:{s:i,s:i,s:i}}}],"
		"s:[{s:s,s:s,s:s,s:n,s:s,s:s,s:n,s:s,s:s}]}",
		"version", "1.2.3", "mode", "observe", "started", "2026-10-03T04:00:00Z",
		"config_faulty", 1, "helper", "asked", 12, "refused", 2, "instances", "name",
		"outbound", "mta", "postfix", "log", "/var/log/mail.log", "queue",
		"/var/spool/postfix", "caught_up", 0, "lines", 701185, "unparsed", 3, "queue_files",
		17, "last_line", "open", 5, "trouble", 2, "totals", "since", "2026-09-01T00:00:00Z",
		"messages", 90210, "recipients", 100003, "verdicts", "vanished", 2, "delivered",
		100001, "unknown", 0, "actions", "kind", "restart", "rule", "stuck", "instance",
		"outbound", "queue_id", "recipients", "", "detail", "would have been done", "cause",
		"state", "skipped", "intended", "2026-10-03T04:20:00Z");
	json_array_append_new(json_object_get(j, "instances"), windows_host());
	return j;
}

/* One in trouble and one that is not; nothing for instance "quiet"; too much for "huge". */
static json_t *fake_list(void *ctx, const struct mqw_api_query *q)
{
	json_t *list;

	(void)ctx;
	if (mqw_slice_eq(q->instance, MQW_LIT("no such/one&x=1")))
		return NULL;
	if (mqw_slice_eq(q->instance, MQW_LIT("odd")))
		return json_pack("{s:n}", "messages");
	list = json_array();
	if (q->verdict == MQW_VERDICT_COUNT && q->instance.len == 0)
		json_array_append_new(list, message("vanished", json_string("b@example.net")));
	if (q->verdict == MQW_VERDICT_NONE)
		json_array_append_new(
			list, message("pending", json_stringn_nocheck("a\0b@example.net", 15)));
	while (mqw_slice_eq(q->instance, MQW_LIT("huge")) && json_array_size(list) < 1000)
		json_array_append_new(list, message("vanished", json_null()));
	return json_pack("{s:o}", "messages", list);
}

static json_t *fake_show(void *ctx, struct mqw_slice queue_id)
{
	(void)ctx;
	if (mqw_slice_eq(queue_id, MQW_LIT("GONE")))
		return NULL;
	return json_pack("{s:[o],s:[],s:o}", "messages", message("vanished", json_null()),
		"actions", "asked", mqw_json_text(queue_id));
}

static const struct mqw_api_ops ops = {.status = fake_status, .list = fake_list, .show = fake_show};

/* What a command wrote, and its exit status. */
struct outcome {
	int status;
	char out[16384], err[1024];
};

static void take(FILE *from, int saved, int fd, char *ret, size_t size)
{
	dup2(saved, fd);
	close(saved);
	rewind(from);
	ret[fread(ret, 1, size - 1, from)] = '\0';
	fclose(from);
}

static struct outcome run(int (*command)(int, char **), const char *socket, const char *first,
	const char *second, const char *third)
{
	char *argv[] = {(char *)(uintptr_t) "test", (char *)(uintptr_t) "--socket",
		(char *)(uintptr_t)socket, (char *)(uintptr_t)first, (char *)(uintptr_t)second,
		(char *)(uintptr_t)third, NULL};
	FILE *out = tmpfile(), *err = tmpfile();
	int argc = 3 + !!first + !!second + !!third, saved_out, saved_err;
	struct outcome o;

	assert_non_null(out);
	assert_non_null(err);
	fflush(NULL);
	saved_out = dup(1);
	saved_err = dup(2);
	dup2(fileno(out), 1);
	dup2(fileno(err), 2);
	o.status = command(argc, argv);
	fflush(NULL);
	take(out, saved_out, 1, o.out, sizeof(o.out));
	take(err, saved_err, 2, o.err, sizeof(o.err));
	return o;
}

static void status_is_for_a_person(void **state)
{
	struct fixture *f = *state;
	struct outcome o = run(mqw_cli_status, f->socket, NULL, NULL, NULL);

	assert_int_equal(o.status, 0);
	assert_string_equal(o.err, "");
	assert_string_equal(o.out,
		"mailq-watchdogd 1.2.3, mode observe, since 2026-10-03T04:00:00Z\n"
		"the configuration is faulty: the one before it is in force (journal: where)\n"
		"the helper refused 2 of 12 requests (journal: which)\n"
		"\noutbound (postfix)\n"
		"  log        /var/log/mail.log: 701185 lines, 3 not understood; still reading\n"
		"  queue      /var/spool/postfix: 17 files\n"
		"  messages   5 open, 2 recipients in trouble\n"
		"  in all     90210 messages, 100003 recipients: 100001 delivered, 2 vanished;\n"
		"             since 2026-09-01T00:00:00Z\n"
		"\nexch (exchange)\n"
		"  log        smb://exch1/logs/*.log: 1 lines, 0 not understood\n"
		"  queue      smb://exch1/mailroot: 3 in Queue since 2026-10-02T04:00:00Z, 0 in\n"
		"             Pickup, 1 stuck; 12 in Badmail\n"
		"  messages   0 open, 0 recipients in trouble\n"
		"\nactions, newest first\n"
		"  2026-10-03T04:20:00Z  restart skipped\n"
		"    for      outbound\n"
		"    rule     stuck\n"
		"    detail   would have been done\n");
	o = run(mqw_cli_status, f->socket, "--json", NULL, NULL);
	assert_int_equal(o.status, 0);
	assert_int_equal(strncmp(o.out, "{\"version\":\"1.2.3\",", 19), 0);
}

static const char vanished[] =
	"  message    4F3aBcDeFgHz1k from <>, outbound\n"
	"  Msg-ID     1@example.com\n"
	"  last seen  2026-10-03T04:10:00Z, attempt 2 at mx.example.net[192.0.2.1]:25\n"
	"  answer     451 4.7.1 Try \\x1b[2J again\n"
	"  why        left the queue after a temporary failure and nothing in the log\n"
	"             says why, which makes it a loss until somebody proves the contrary\n"
	"  do         look at it\n"
	"\n";

static void list_says_by_status_whether_there_is_trouble(void **state)
{
	struct fixture *f = *state;
	struct outcome o = run(mqw_cli_list, f->socket, NULL, NULL, NULL);
	char wanted[4096];

	assert_int_equal(o.status, 1);
	snprintf(wanted, sizeof(wanted), "vanished (certain)  <b@example.net>\n%s", vanished);
	assert_string_equal(o.out, wanted);
	assert_int_equal(run(mqw_cli_list, f->socket, "--json", NULL, NULL).status, 1);
	o = run(mqw_cli_list, f->socket, "--instance", "quiet", NULL);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.out, "nothing in trouble\n");
}

/* A message that is merely pending is no trouble, in either form; a NUL byte in it is shown. */
static void list_of_any_is_no_trouble(void **state)
{
	struct fixture *f = *state;
	struct outcome o = run(mqw_cli_list, f->socket, "--verdict", "any", NULL);

	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.out, "pending (certain)  <a\\x00b@example.net>\n"));
	o = run(mqw_cli_list, f->socket, "--verdict", "any", "--json");
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.out, "\"a\\u0000b@example.net\""));
	o = run(mqw_cli_list, f->socket, "--verdict", "held", NULL);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.out, "none\n");
}

static void show_is_one_message(void **state)
{
	static const char *const ids[] = {"<a/b c@example.com>", "..", "%41", "a?limit=1", "#"};
	struct fixture *f = *state;
	struct outcome o = run(mqw_cli_show, f->socket, "4F3aBcDeFgHz1k", NULL, NULL);
	char wanted[4096];

	assert_int_equal(o.status, 0);
	snprintf(wanted, sizeof(wanted),
		"vanished (certain)  all recipients (their addresses were not logged)\n%s",
		vanished);
	assert_string_equal(o.out, wanted);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		o = run(mqw_cli_show, f->socket, "--json", ids[i], NULL);
		assert_int_equal(o.status, 0);
		snprintf(wanted, sizeof(wanted), "\"asked\":\"%s\"}", ids[i]);
		assert_non_null(strstr(o.out, wanted));
	}
	o = run(mqw_cli_show, f->socket, "GONE", NULL, NULL);
	assert_int_equal(o.status, 2);
	assert_string_equal(o.out, "");
	assert_string_equal(o.err, "mailq-watchdog: no message of this queue id is followed\n");
}

static void faults_are_said(void **state)
{
	static const struct {
		int (*command)(int, char **);
		const char *first, *second, *said;
	} rows[] = {
		{mqw_cli_list, "--verdict", "lost", "verdict: neither a verdict nor any\n"},
		{mqw_cli_list, "--limit", "0", "limit: not a number from 1 to 100000\n"},
		{mqw_cli_list, "--instance", "no such/one&x=1",
			"instance: there is none of this name\n"},
		{mqw_cli_list, "--instance", "odd", "the daemon's answer has no messages\n"},
		{mqw_cli_list, "--instance=huge", "--limit=1000",
			"the answer is too large; --limit makes it smaller\n"},
		{mqw_cli_list, "x", NULL, "usage: "},
		{mqw_cli_list, "--nonsense", NULL, "usage: "},
		{mqw_cli_status, "x", NULL, "usage: "},
		{mqw_cli_status, "--limit", "3", "usage: "},
		{mqw_cli_show, NULL, NULL, "usage: "},
		{mqw_cli_show, "", NULL, "usage: "},
		{mqw_cli_show, "A", "B", "usage: "},
		{mqw_cli_show, "--verdict=any", "A", "usage: "},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o =
			run(rows[i].command, f->socket, rows[i].first, rows[i].second, NULL);

		assert_int_equal(o.status, 2);
		assert_non_null(strstr(o.err, rows[i].said));
		assert_string_equal(o.out, "");
	}
	assert_int_equal(run(mqw_cli_show, f->socket, "--help", NULL, NULL).status, 0);
}

static void no_daemon_is_said(void **state)
{
	struct fixture f;
	struct outcome o;
	char wanted[256];

	(void)state;
	fixture_init(&f);
	o = run(mqw_cli_list, f.socket, NULL, NULL, NULL);
	assert_int_equal(o.status, 2);
	snprintf(wanted, sizeof(wanted),
		"mailq-watchdog: the daemon is not running (no socket at %s)\n", f.socket);
	assert_string_equal(o.err, wanted);

	fixture_start(&f, &ops);
	fixture_stop(&f, SIGKILL);
	o = run(mqw_cli_list, f.socket, NULL, NULL, NULL);
	assert_int_equal(o.status, 2);
	snprintf(wanted, sizeof(wanted),
		"mailq-watchdog: the daemon is not running (nobody answers at %s)\n", f.socket);
	assert_string_equal(o.err, wanted);
	fixture_done(&f);
}

static void permission_is_said(void **state)
{
	struct fixture *f = *state;
	struct outcome o;
	char wanted[256];
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->directory, 0755), 0);
	snprintf(wanted, sizeof(wanted),
		"mailq-watchdog: permission denied on %s: run as root or as a member of group "
		"mailq-watchdog\n",
		f->socket);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* Nobody, and in none of root's groups. */
		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(9);
		o = run(mqw_cli_list, f->socket, NULL, NULL, NULL);
		_exit(o.status == 2 && !strcmp(o.err, wanted) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A full disk behind a pipe or a file is no "nothing in trouble". */
static void unwritten_output_is_an_error(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)(uintptr_t) "status", (char *)(uintptr_t) "--socket",
			f->socket, NULL};
		int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(full, 1);
		dup2(null, 2);
		_exit(mqw_cli_status(3, argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

static int start_server(void **state)
{
	return fixture_setup(state, &ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_for_a_person),
		cmocka_unit_test(list_says_by_status_whether_there_is_trouble),
		cmocka_unit_test(list_of_any_is_no_trouble),
		cmocka_unit_test(show_is_one_message),
		cmocka_unit_test(faults_are_said),
		cmocka_unit_test(no_daemon_is_said),
		cmocka_unit_test(permission_is_said),
		cmocka_unit_test(unwritten_output_is_an_error),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
