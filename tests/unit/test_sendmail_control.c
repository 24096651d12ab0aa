/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sendmail's settings as read from files, and a message put back into a queue of our own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "probes/sendmail/control_internal.h"
#include "probes/sendmail/settings_internal.h"
#include "watchdogd/base/bundle.h"

#define ID "6AP3muHw021087"
#define BACK "6MP3muHw021087" /* the same, put back */
#define QF "V8\nT5\nK6\nN2\nS<a@b>\nRP:<c@d>\n.\n"
#define DF "Body\n"

static char dir[64];

static const char *path_of(const char *name)
{
	static char paths[2][160]; /* two can be used at a time */
	static int turn;

	turn = !turn;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", dir, name);
	return paths[turn];
}

static void write_file(const char *name, const char *format, ...)
{
	FILE *f = fopen(path_of(name), "we");
	va_list ap;

	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
}

static void read_back(const char *name, char *ret, size_t size)
{
	FILE *f = fopen(path_of(name), "re");

	assert_non_null(f);
	ret[fread(ret, 1, size - 1, f)] = '\0';
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-sendmail-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void test_cf(void **state)
{
	struct mqw_sendmail_settings s = {0};

	(void)state;
	assert_int_equal(mqw_sendmail_read_cf(MQW_LIT("# O Timeout.queuereturn=1d\n"
						      "#O Timeout.queuereturn=2d\n"
						      "O Timeout.queuewarn=4h\n"
						      "O Timeout.queuereturn=3\n"
						      "O Timeout.queuereturn.urgent=12h\n"
						      "O Timeout.QueueReturn.DSN = now\n"
						      "O QueueDirectory=/var/spool/mqueue/q*\n"
						      "O PidFile=$j/x\nO LogLevel=9\nS5d\n"
						      "O PidFile=/run/p"),
				 &s),
		0);
	assert_true(s.lifetime[MQW_SENDMAIL_NORMAL] == 3 * MQW_DAY);
	assert_true(s.lifetime[MQW_SENDMAIL_URGENT] == 12 * MQW_HOUR);
	assert_true(s.lifetime[MQW_SENDMAIL_NON_URGENT] == 3 * MQW_DAY);
	assert_true(s.lifetime[MQW_SENDMAIL_DSN] == 1);
	assert_string_equal(s.queue_directory, "/var/spool/mqueue/q*");
	assert_string_equal(s.pid_file, "/run/p");
	/* What is not understood changes nothing. */
	assert_int_equal(mqw_sendmail_read_cf(MQW_LIT("O Timeout.queuereturn=soon\nO\nO x\n"
						      "O QueueDirectory=relative\n"),
				 &s),
		0);
	assert_true(s.lifetime[MQW_SENDMAIL_NORMAL] == 3 * MQW_DAY);
	assert_string_equal(s.queue_directory, "/var/spool/mqueue/q*");
	mqw_sendmail_settings_done(&s);
	assert_int_equal(mqw_sendmail_read_cf(MQW_LIT("OT2d/4h\nOQ/q\n"), &s), 0);
	assert_true(s.lifetime[MQW_SENDMAIL_URGENT] == 2 * MQW_DAY);
	assert_string_equal(s.queue_directory, "/q");
	mqw_sendmail_settings_done(&s);
}

static void test_command_line(void **state)
{
	struct mqw_sendmail_settings s = {0};

	(void)state;
	assert_int_equal(mqw_sendmail_read_command_line(
				 MQW_LIT("/usr/sbin/sendmail-mta -Am -L sm-mta -bd -qf -qp10m "
					 "-OTimeout.queuereturn=6s -O Timeout.queuereturn.dsn=1h "
					 "-O QueueDirectory=/var/q -qIabc"),
				 &s),
		0);
	assert_true(s.lifetime[MQW_SENDMAIL_NORMAL] == 6 * MQW_SECOND);
	assert_true(s.lifetime[MQW_SENDMAIL_DSN] == MQW_HOUR);
	assert_true(s.queue_interval == 10 * MQW_MINUTE);
	assert_string_equal(s.queue_directory, "/var/q");
	/* An option's word is its value, whatever it looks like. */
	assert_int_equal(mqw_sendmail_read_command_line(MQW_LIT("x -O -q5m -q1h"), &s), 0);
	assert_true(s.queue_interval == MQW_HOUR);
	mqw_sendmail_settings_done(&s);
}

static void test_ask(void **state)
{
	struct mqw_mta_settings s;

	(void)state;
	assert_int_equal(mqw_sendmail_ask(dir, &s), -ENOENT);
	assert_null(s.queue_directory);
	write_file("sendmail.cf",
		"O Timeout.queuereturn=5d\nO Timeout.queuereturn.urgent=2d\n"
		"O QueueDirectory=/var/spool/mqueue/q*\nO PidFile=%s\n",
		path_of("pid"));
	assert_int_equal(mqw_sendmail_ask(dir, &s), 0);
	assert_true(s.lifetime == 2 * MQW_DAY && s.bounce_lifetime == 5 * MQW_DAY);
	assert_true(s.retry_max == 0);
	assert_string_equal(s.queue_directory, "/var/spool/mqueue");
	free(s.queue_directory);
	/* The daemon was started with a lifetime of its own. */
	write_file("pid", "4194303\n/usr/sbin/sendmail -bd -q15m -OTimeout.queuereturn=0s\n");
	assert_int_equal(mqw_sendmail_ask(dir, &s), 0);
	assert_true(s.lifetime == 1 && s.bounce_lifetime == 1);
	assert_true(s.retry_max == 15 * MQW_MINUTE);
	free(s.queue_directory);
}

static void test_health(void **state)
{
	struct mqw_control c = {.config_dir = dir};
	char text[200];

	(void)state;
	write_file("sendmail.cf", "O PidFile=%s\n", path_of("pid"));
	write_file("pid", "%d\nwhatever\n", (int)getpid());
	/* We are alive, and not called sendmail. */
	assert_int_equal(mqw_sendmail_healthy(&c, text, sizeof(text)), -ESRCH);
	assert_string_equal(text, "Sendmail is not running");
	unlink(path_of("pid"));
	assert_int_equal(mqw_sendmail_healthy(&c, text, sizeof(text)), -ESRCH);
	unlink(path_of("sendmail.cf"));
	assert_int_equal(mqw_sendmail_healthy(&c, text, sizeof(text)), -ENOENT);
}

static int bundle_of(const char *qf, const char *df)
{
	uint64_t lengths[] = {strlen(qf), strlen(df)};
	struct mqw_buffer b = {0};
	int fd = open(path_of("bundle"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	mqw_bundle_add_head(&b, lengths, 2);
	mqw_buffer_add_str(&b, qf);
	mqw_buffer_add_str(&b, df);
	assert_int_equal(write(fd, b.ptr, b.len), b.len);
	mqw_buffer_done(&b);
	return fd;
}

static int recover(const char *qf, char *ret_text)
{
	char queue[100];
	struct mqw_control c = {.config_dir = dir, .queue_directory = queue};
	int fd = bundle_of(qf, DF), r;

	snprintf(queue, sizeof(queue), "%s/queue", dir);
	r = mqw_sendmail_recover(&c, ID, fd, ret_text, 200);
	close(fd);
	return r;
}

static void test_recover(void **state)
{
	char text[200], got[200];
	struct stat st;

	(void)state;
	write_file("sendmail.cf", "O PidFile=/nowhere\nO QueueDirectory=%s/*\n", path_of("queue"));
	mkdir(path_of("queue"), 0700);
	/* No directory that the wildcard fits. */
	write_file("sendmail.cf", "O PidFile=/nowhere\nO QueueDirectory=%s/q*\n", path_of("queue"));
	assert_int_equal(recover(QF, text), -ENOENT);
	mkdir(path_of("queue/q2"), 0700);
	mkdir(path_of("queue/q1"), 0700);
	mkdir(path_of("queue/q1/df"), 0700);
	/* A body that was left behind is written over. */
	write_file("queue/q1/df/df" BACK, "left");
	assert_int_equal(recover(QF, text), 0);
	read_back("queue/q1/df/df" BACK, got, sizeof(got));
	assert_string_equal(got, DF);
	read_back("queue/q1/qf" BACK, got, sizeof(got));
	assert_memory_equal(got, "V8\nT1", 5);
	assert_non_null(strstr(got, "\nK0\nN0\nS<a@b>\nRP:<c@d>\n.\n"));
	assert_int_equal(stat(path_of("queue/q1/qf" BACK), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* It is there now, wherever it lies and whatever became of it. */
	assert_int_equal(recover(QF, text), 1);
	assert_int_equal(rename(path_of("queue/q1/qf" BACK), path_of("queue/q2/hf" BACK)), 0);
	assert_int_equal(recover(QF, text), 1);
	unlink(path_of("queue/q2/hf" BACK));
	/* What Sendmail has set aside is out of the queue. */
	write_file("queue/q1/Qf" ID, QF);
	assert_int_equal(recover(QF, text), 0);
}

/* The envelope is in the queue yet. */
static void test_recover_body(void **state)
{
	char text[200], got[200];
	int fd;

	(void)state;
	write_file("sendmail.cf", "O PidFile=/nowhere\nO QueueDirectory=%s/q*\n", path_of("queue"));
	mkdir(path_of("queue"), 0700);
	mkdir(path_of("queue/q1"), 0700);
	mkdir(path_of("queue/q1/df"), 0700);
	write_file("queue/q1/qf" ID, "as it was");
	write_file("queue/q1/df/df" ID, DF);
	assert_int_equal(recover(QF, text), -EBUSY);
	assert_string_equal(text, ID " is in the queue: it was not lost");
	/* Without its body it is as good as lost: that is put back, and the envelope stays. */
	unlink(path_of("queue/q1/df/df" ID));
	assert_int_equal(recover(QF, text), 0);
	read_back("queue/q1/df/df" ID, got, sizeof(got));
	assert_string_equal(got, DF);
	read_back("queue/q1/qf" ID, got, sizeof(got));
	assert_string_equal(got, "as it was");
	/* A run has missed it before, and made an empty one; but not while a run is at work. */
	write_file("queue/q1/df/df" ID, "\n");
	fd = open(path_of("queue/q1/qf" ID), O_RDONLY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(recover(QF, text), -EAGAIN);
	read_back("queue/q1/df/df" ID, got, sizeof(got));
	assert_string_equal(got, "\n");
	close(fd);
	assert_int_equal(recover(QF, text), 0);
	read_back("queue/q1/df/df" ID, got, sizeof(got));
	assert_string_equal(got, DF);
	assert_int_equal(recover(QF, text), -EBUSY);
	/* The same where envelopes have a directory, and bodies have none. */
	unlink(path_of("queue/q1/df/df" ID));
	assert_int_equal(rmdir(path_of("queue/q1/df")), 0);
	mkdir(path_of("queue/q1/qf"), 0700);
	assert_int_equal(rename(path_of("queue/q1/qf" ID), path_of("queue/q1/qf/qf" ID)), 0);
	assert_int_equal(recover(QF, text), 0);
	read_back("queue/q1/df" ID, got, sizeof(got));
	assert_string_equal(got, DF);
	assert_int_equal(recover(QF, text), -EBUSY);
}

static void test_recover_refused(void **state)
{
	struct mqw_control c = {.config_dir = dir, .queue_directory = "relative"};
	char text[200];

	(void)state;
	write_file("sendmail.cf", "O PidFile=/nowhere\n");
	mkdir(path_of("queue"), 0700);
	assert_int_equal(recover("V8\nT5\nS<a@b>\n.\n", text), -ENODATA);
	assert_int_equal(recover("V8\nT5\nS<a@b>\nRPA:|/bin/sh\n.\n", text), -EBADMSG);
	assert_string_equal(text, "the queue file is not sound: Bad message");
	assert_int_equal(rmdir(path_of("queue")), 0); /* nothing was left in it */
	assert_int_equal(mqw_sendmail_recover(&c, ID, -1, text, sizeof(text)), -EINVAL);
	assert_int_equal(mqw_sendmail_recover(&c, "../../x", -1, text, sizeof(text)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cf),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test_setup_teardown(test_ask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_health, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recover_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
