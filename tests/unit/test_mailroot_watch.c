/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mailroot that the daemon looks at: what is said of what lies there, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "instance_fixture.h"
#include "told_fixture.h"
#include "watchdogd/daemon/mailroot_internal.h"

#define HOUR 3600

static char root[96];

static void path_of(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", root, name);
}

static void make_folder(const char *name)
{
	char path[256];

	path_of(path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

/* A file as old as that. */
static void lies(int64_t ago, const char *name, const char *content, size_t size)
{
	struct timespec times[2] = {{0}};
	char path[256];
	int fd;

	times[0].tv_sec = times[1].tv_sec = (time_t)(mqw_clock_now() / MQW_SECOND - ago);
	path_of(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), (ssize_t)size);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void mail_lies(int64_t ago, const char *name, const char *to)
{
	char content[200];
	int n = snprintf(content, sizeof(content),
		"From: a@example.com\r\nTo: %s\r\nMessage-ID: <1@example.com>\r\n\r\nhello\r\n",
		to);

	lies(ago, name, content, (size_t)n);
}

static void is_gone(const char *name)
{
	char path[256];

	path_of(path, name);
	assert_int_equal(unlink(path), 0);
}

/* A line of the SMTP service's log about mail that goes out. */
static void smtp(int64_t ago, const char *user, const char *verb, const char *query)
{
	FILE *f = fopen(log_path, "a");
	struct mqw_buffer stamp = {0};

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	if (ftell(f) == 0)
		fputs("#Software: Microsoft Internet Information Services 6.0\r\n#Version: 1.0\r\n"
		      "#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port "
		      "cs-method cs-uri-stem cs-uri-query sc-status\r\n",
			f);
	mqw_time_format(&stamp, mqw_clock_now() - ago * MQW_SECOND);
	fprintf(f, "%.10s %.8s 192.0.2.9 %s SMTPSVC1 EXCH - 25 %s - %s 0\r\n",
		mqw_buffer_str(&stamp), mqw_buffer_str(&stamp) + 11, user, verb, query);
	fclose(f);
	mqw_buffer_done(&stamp);
}

/* One try for a recipient: it is answered so. */
static void was_tried(int64_t ago, const char *to, const char *reply)
{
	char text[200];

	smtp(ago, "OutboundConnectionCommand", "EHLO", "exch.example.com");
	smtp(ago, "OutboundConnectionResponse", "-", "250-mx");
	smtp(ago, "OutboundConnectionCommand", "MAIL", "FROM:<a@example.com>+SIZE=1722");
	smtp(ago, "OutboundConnectionResponse", "-", "250+ok");
	snprintf(text, sizeof(text), "TO:<%s>", to);
	smtp(ago, "OutboundConnectionCommand", "RCPT", text);
	smtp(ago, "OutboundConnectionResponse", "-", reply);
	smtp(ago, "OutboundConnectionCommand", "QUIT", "-");
}

static int setup_mailroot(void **state)
{
	sigset_t child;
	int r = instance_setup(state);

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	snprintf(root, sizeof(root), "%s/mailroot", dir);
	assert_int_equal(mkdir(root, 0755), 0);
	make_folder("Queue");
	make_folder("Pickup");
	make_folder("Badmail");
	config.type = "iis-smtp";
	config.queue = root;
	config.lifetime = 0;
	was_tried(60, "other@example.org", "550+5.1.1+no");
	return r;
}

static int teardown_mailroot(void **state)
{
	mqw_buffer_done(&told);
	return instance_teardown(state);
}

/* One look, whose outcome is waited for. */
static void look(void)
{
	struct mqw_mailroot *m = instance->mailroot;

	m->next_at = 0;
	mqw_instance_tick(instance, mqw_clock_now());
	for (int turn = 0; m->read && turn < 1000; turn++)
		assert_true(sd_event_run(event, 50000) >= 0);
	assert_null(m->read);
	mqw_instance_tick(instance, mqw_clock_now());
}

/* Tried, answered 450, and never again, though others are: it is stuck (KB934709). */
static void a_file_that_nobody_tries(void **state)
{
	(void)state;
	was_tried(9 * HOUR, "b@example.net", "450+4.7.1+Greylisted");
	mail_lies(9 * HOUR, "Queue/NTFS_0a.EML", "B@example.net");
	run();
	mqw_buffer_clear(&told);
	/* That the log has the same is no second finding. */
	look();
	assert_not_told("NTFS_0a.EML");
	assert_int_equal(mqw_mailroot_state(instance->mailroot).queue, 1);
}

/* The log has never named whom it is for, and speaks of others: it may be one of those. */
static void a_file_that_may_be_tried(void **state)
{
	(void)state;
	mail_lies(9 * HOUR, "Queue/NTFS_0a.EML", "list@example.net");
	run();
	look();
	assert_not_told("NTFS_0a.EML");
	assert_int_equal(mqw_mailroot_state(instance->mailroot).stuck, 0);
}

/* Past its lifetime it should be gone, whatever the log says. */
static void a_file_beyond_its_lifetime(void **state)
{
	(void)state;
	mail_lies(52 * HOUR, "Queue/NTFS_0a.EML", "list@example.net");
	run();
	look();
	assert_told("overdue (certain): message NTFS_0a.EML from <a@example.com> to "
		    "<list@example.net>: still in the queue after");
	assert_int_equal(mqw_mailroot_state(instance->mailroot).stuck, 1);
	/* Once, and no more when the next look finds the same. */
	mqw_buffer_clear(&told);
	look();
	assert_not_told("NTFS_0a.EML");
	/* Gone: its lifetime was over. */
	is_gone("Queue/NTFS_0a.EML");
	look();
	assert_told("no longer overdue, now expired: message NTFS_0a.EML");
	assert_not_told("vanished");
	assert_int_equal(mqw_mailroot_state(instance->mailroot).queue, 0);
}

/* The service hangs: its log stands still, and the files lie there. */
static void a_service_that_hangs(void **state)
{
	(void)state;
	unlink(log_path);
	was_tried(8 * HOUR, "other@example.org", "550+5.1.1+no");
	mail_lies(7 * HOUR, "Queue/NTFS_0b.EML", "list@example.net");
	mail_lies(5 * HOUR, "Queue/NTFS_0c.EML", "list@example.net");
	run();
	look();
	assert_told("overdue (certain): message NTFS_0b.EML from <a@example.com> to "
		    "<list@example.net>: still in the queue; a try was due at");
	assert_told("Restart the SMTP service");
	/* Younger than the longest pause between two tries, and slack. */
	assert_not_told("NTFS_0c.EML");
}

/* A copy has the age of what was copied: it counts from when it was seen. */
static void what_is_not_taken_up(void **state)
{
	(void)state;
	mail_lies(30 * HOUR, "Pickup/a.eml", "b@example.net");
	run();
	look();
	assert_not_told("a.eml");
	assert_int_equal(mqw_mailroot_state(instance->mailroot).pickup, 1);
	instance->mailroot->arrivals[0].since -= 11 * MQW_MINUTE;
	look();
	assert_told("overdue (certain): message a.eml from <a@example.com> to <b@example.net>: "
		    "waits to be taken up since");
	mqw_buffer_clear(&told);
	is_gone("Pickup/a.eml");
	look();
	assert_told("no longer overdue");
	/* Another one of that name has its own time. */
	mail_lies(30 * HOUR, "Pickup/a.eml", "b@example.net");
	mqw_buffer_clear(&told);
	look();
	assert_not_told("a.eml");
}

static void assert_held(const char *id)
{
	const struct mqw_message *m =
		mqw_tracker_find(instance->act.tracker, MQW_SLICE_NULL, mqw_slice_of(id));

	assert_non_null(m);
	assert_int_equal(m->recipients->reported, MQW_VERDICT_HELD);
	assert_non_null(strstr(m->recipients->reply, "it could be neither delivered nor returned"));
}

static void what_is_new_in_badmail(void **state)
{
	static const char report[] =
		"From: postmaster@exch.example.com\r\nTo: forged@example.org\r\n"
		"Content-Type: multipart/report; boundary=x\r\n\r\n";
	static const char wide[] = "T\0o\0:\0 \0x\0@\0e\0x\0a\0m\0p\0l\0e\0.\0n\0e\0t\0\r\0\n\0";

	(void)state;
	mail_lies(40 * HOUR, "Badmail/old.BAD", "b@example.net");
	run();
	look();
	/* What lay there when it was looked at first is no news. */
	assert_not_told("old.BAD");
	assert_int_equal(mqw_mailroot_state(instance->mailroot).badmail, 1);
	lies(20, "Badmail/n1.BAD", report, sizeof(report) - 1);
	lies(20, "Badmail/n1.BDP", "Unable to deliver\r\nthis \x1b[2J message", 36);
	lies(20, "Badmail/n1.BDR", wide, sizeof(wide) - 1);
	mail_lies(10, "Badmail/n2.BAD", "c@example.net");
	mqw_buffer_clear(&told);
	look();
	assert_told("n1.BAD, a report of failure to <x@example.net> (Unable to deliver this [2J "
		    "message); n2.BAD from <a@example.com> to <c@example.net>.");
	assert_not_told("old.BAD");
	/* For rules that ask for what is held. */
	assert_held("n1.BAD");
	assert_held("n2.BAD");
	assert_int_equal(mqw_instance_keep(instance), 0);
	/* Not once more, also after a restart. */
	mqw_buffer_clear(&told);
	look();
	stop();
	run();
	look();
	assert_not_told(".BAD");
}

/* Said once, and again when it is read; nothing is gone because nobody can look. */
static void what_cannot_be_read(void **state)
{
	char away[128];

	(void)state;
	mail_lies(52 * HOUR, "Queue/NTFS_0a.EML", "list@example.net");
	run();
	look();
	assert_told("overdue (certain): message NTFS_0a.EML");
	snprintf(away, sizeof(away), "%s.away", root);
	assert_int_equal(rename(root, away), 0);
	mqw_buffer_clear(&told);
	look();
	assert_told("cannot be read: it is no mailroot: neither Queue nor Pickup is in it");
	assert_non_null(mqw_mailroot_state(instance->mailroot).why);
	mqw_buffer_clear(&told);
	look();
	assert_string_equal(mqw_buffer_str(&told), "");
	assert_int_equal(rename(away, root), 0);
	look();
	assert_told("is read again");
	assert_not_told("no longer");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_mailroot, teardown_mailroot)
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_nobody_tries),
		TEST(a_file_that_may_be_tried),
		TEST(a_file_beyond_its_lifetime),
		TEST(a_service_that_hangs),
		TEST(what_is_not_taken_up),
		TEST(what_is_new_in_badmail),
		TEST(what_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
