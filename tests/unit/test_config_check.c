/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/base/buffer.h"
#include "watchdogd/cli/commands.h"

/* Runs the command with its outputs in files; adds each to a buffer. */
static int run(char **argv, struct mqw_buffer *ret_out, struct mqw_buffer *ret_err)
{
	struct mqw_buffer *rets[] = {ret_out, ret_err};
	FILE *files[] = {tmpfile(), tmpfile()};
	int saved[2], argc = 0, status;

	while (argv[argc])
		argc++;
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		assert_non_null(files[i]);
		saved[i] = dup(i + 1);
		dup2(fileno(files[i]), i + 1);
	}
	status = mqw_cli_config_check(argc, argv);
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		char chunk[8192];
		size_t n;

		dup2(saved[i], i + 1);
		close(saved[i]);
		rewind(files[i]);
		while ((n = fread(chunk, 1, sizeof(chunk), files[i])) > 0)
			mqw_buffer_add(rets[i], mqw_slice(chunk, n));
		fclose(files[i]);
	}
	return status;
}

static int run_on(const char *text, struct mqw_buffer *out, struct mqw_buffer *err)
{
	char path[] = "/tmp/mqw-test-check-XXXXXX", command[] = "check";
	char *argv[] = {command, path, NULL};
	int fd = mkstemp(path), status;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	status = run(argv, out, err);
	unlink(path);
	return status;
}

static bool contains(const struct mqw_buffer *b, const char *what)
{
	return mqw_slice_find(mqw_buffer_slice(b), mqw_slice_of(what)) < b->len;
}

static void faults_go_to_standard_error(void **state)
{
	(void)state;
	struct mqw_buffer out = {0}, err = {0};

	assert_int_equal(run_on("version: 1\n"
				"mode: atc\n"
				"instances: [{name: a, type: pstfix}]\n"
				"rules: [{name: r, when: {verdit: vanished}, do: recover}]\n",
				 &out, &err),
		2);
	assert_string_equal(mqw_buffer_str(&out), "");
	assert_true(contains(&err, ":2:7: mode: unknown word \"atc\"; did you mean \"act\"?"));
	assert_true(contains(&err,
		":3:13: type: \"pstfix\" is no MTA that this version knows; "
		"known: postfix, "));
	assert_true(contains(&err,
		":4:26: unknown key \"verdit\" in when; did you mean "
		"\"verdict\"?\n"));
	mqw_buffer_done(&out);
	mqw_buffer_done(&err);
}

/* What has no log on this host has none by default either. */
static void a_log_elsewhere_has_to_be_named(void **state)
{
	(void)state;
	struct mqw_buffer out = {0}, err = {0};

	assert_int_equal(run_on("version: 1\n"
				"instances: [{name: a, type: exchange}, {name: b, type: iis-smtp, "
				"log: /x, queue: /y}, {name: c, type: postfix, credentials: /c, "
				"queue: 'smb://h/s/q'}]\n",
				 &out, &err),
		2);
	assert_true(contains(&err, ":2:13: log: exchange has no usual place on this host"));
	assert_false(contains(&err, "iis-smtp has"));
	assert_false(contains(&err, "queue: /y"));
	assert_true(
		contains(&err, "queue: a folder on a share is of use for exchange and iis-smtp"));
	mqw_buffer_done(&out);
	mqw_buffer_done(&err);
}

static void what_is_not_shown_is_counted(void **state)
{
	(void)state;
	struct mqw_buffer out = {0}, err = {0}, text = {0};

	mqw_buffer_add_str(&text, "version: 1\ninstances: [{name: a, type: postfix}]\n");
	for (int i = 0; i < 25; i++)
		mqw_buffer_printf(&text, "wrong_%d: 1\n", i);
	assert_int_equal(run_on(mqw_buffer_str(&text), &out, &err), 2);
	assert_true(contains(&err, "wrong_19"));
	assert_false(contains(&err, "wrong_20"));
	assert_true(contains(&err, "\nand 5 more\n"));
	mqw_buffer_done(&out);
	mqw_buffer_done(&err);
	mqw_buffer_done(&text);
}

static void a_good_file_is_read_back_in_words(void **state)
{
	(void)state;
	struct mqw_buffer out = {0}, err = {0};

	assert_int_equal(run_on("version: 1\n"
				"mode: act\n"
				"instances:\n"
				"  - {name: a, type: postfix, log: journal, lifetime: 5d}\n"
				"rules: [{name: r, when: {verdict: vanished}, do: recover}]\n",
				 &out, &err),
		0);
	assert_string_equal(mqw_buffer_str(&err), "");
	assert_true(contains(&out,
		": no fault\nmode act: actions are done\n"
		"instance a: postfix, log journal, queue as the MTA says, "
		"service "));
	assert_true(contains(&out,
		", lifetime 5 d, least lifetime 4 h, slack 2 h\n"
		"rule \"r\"\n"
		"  when a recipient is vanished\n"
		"  then mail the kept copy again, to the lost recipients only "
		"(at most 100 in 1 h)\n"));
	mqw_buffer_clear(&out);
	assert_int_equal(
		run_on("version: 1\ninstances: [{name: a, type: postfix}]\n", &out, &err), 0);
	assert_true(contains(&out, "\nmode observe: actions are only said, none is done\n"));
	assert_true(contains(&out, "\nno rules: verdicts are kept, nothing is done\n"));
	mqw_buffer_done(&out);
	mqw_buffer_done(&err);
}

static void usage_is_checked(void **state)
{
	(void)state;
	struct mqw_buffer out = {0}, err = {0};
	char check[] = "check", help[] = "--help", odd[] = "--odd", end[] = "--", a[] = "/none/a";

	assert_int_equal(run((char *[]){check, help, NULL}, &out, &err), 0);
	assert_true(contains(&out, "usage: mailq-watchdog config check [--quiet] [FILE]\n"));
	assert_string_equal(mqw_buffer_str(&err), "");
	assert_int_equal(run((char *[]){check, odd, NULL}, &out, &err), 2);
	assert_true(contains(&err, "no option '--odd'\nusage:"));
	mqw_buffer_clear(&err);
	assert_int_equal(run((char *[]){check, a, a, NULL}, &out, &err), 2);
	assert_true(contains(&err, "usage:"));
	mqw_buffer_clear(&err);
	assert_int_equal(run((char *[]){check, end, a, NULL}, &out, &err), 2);
	assert_string_equal(
		mqw_buffer_str(&err), "/none/a: cannot be read: No such file or directory\n");
	mqw_buffer_done(&out);
	mqw_buffer_done(&err);
}

/* What is installed must be faultless, and must not act. */
static void the_installed_file_is_good(void **state)
{
	(void)state;
	struct mqw_buffer out = {0}, err = {0}, text = {0};
	FILE *f = fopen("packaging/watchdog.yaml", "r");
	char chunk[8192];
	size_t n;

	if (!f)
		skip(); /* not run from the top of the tree */
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		mqw_buffer_add(&text, mqw_slice(chunk, n));
	fclose(f);
	assert_int_equal(run_on(mqw_buffer_str(&text), &out, &err), 0);
	assert_string_equal(mqw_buffer_str(&err), "");
	assert_true(contains(&out, "\nmode observe: "));
	assert_true(contains(&out, "\ninstance postfix: postfix, "));
	assert_true(contains(&out, "\nrule \"restart a stuck service\"\n"));
	mqw_buffer_done(&out);
	mqw_buffer_done(&err);
	mqw_buffer_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_go_to_standard_error),
		cmocka_unit_test(a_log_elsewhere_has_to_be_named),
		cmocka_unit_test(what_is_not_shown_is_counted),
		cmocka_unit_test(a_good_file_is_read_back_in_words),
		cmocka_unit_test(usage_is_checked),
		cmocka_unit_test(the_installed_file_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
