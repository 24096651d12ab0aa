/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's side of a share: a reader of our own making, which is this program once more and does
 * what its first argument says. Its limits are fractions of a second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "probes/source/share_frame.h"
#include "probes/source/share_tail.h"
#include "watchdogd/base/clock.h"
#include "watchdogd/base/fd.h"

#define URL "smb://exch1/tracking/*.log"
#define LIMIT (20 * MQW_SECOND) /* a busy machine starts a process late */
#define PAUSE (MQW_SECOND / 50)

/* --- the reader -------------------------------------------------------------------------------- */

static void send_text(uint32_t kind, uint32_t number, uint64_t offset, const char *text)
{
	struct mqw_share_frame f = {.kind = kind, .number = number, .place.offset = offset};

	f.ahead = kind == MQW_SHARE_PASS ? 5 * MQW_SECOND : 0;
	mqw_share_frame_send(STDOUT_FILENO, &f, mqw_slice_of(text));
}

static void be_quiet(void)
{
	for (;;)
		pause();
}

/* Does something else each time it is started: "at" is a file that says how often it was. */
static int turn(const char *at)
{
	int fd = open(at, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	off_t n = lseek(fd, 0, SEEK_END);

	(void)!write(fd, "x", 1);
	close(fd);
	return (int)n;
}

static void say_position(void)
{
	struct mqw_buffer b = {0};
	struct mqw_tail_position p;
	struct mqw_slice s;
	char text[200];
	uint32_t n = 0;

	mqw_fd_read_all(STDIN_FILENO, 100000, &b);
	s = mqw_buffer_slice(&b);
	while (mqw_tail_position_take(&s, &p)) {
		snprintf(text, sizeof(text), "knows %u %.*s@%llu", n++, (int)p.path.len, p.path.ptr,
			(unsigned long long)p.offset);
		send_text(MQW_SHARE_SAY, 0, 0, text);
	}
	mqw_buffer_done(&b);
}

static int run_reader(const char *what, const char *at)
{
	int times = turn(at);
	struct mqw_share_frame f = {.kind = MQW_SHARE_SKIP};

	say_position();
	if (!strcmp(what, "works")) {
		if (times == 0) {
			send_text(MQW_SHARE_FILE, 0, 0, "a.log");
			send_text(MQW_SHARE_LINES, 0, 0, "one\r\n\ntwo\n");
			send_text(MQW_SHARE_CUT, 0, 10, "a long li");
			f.place.offset = 19;
			f.skip = 6;
			mqw_share_frame_send(STDOUT_FILENO, &f, MQW_SLICE_NULL);
			send_text(MQW_SHARE_LINES, 0, 25, "three\n");
			send_text(MQW_SHARE_FILE, 3, 0, "b.log");
			send_text(MQW_SHARE_LINES, 3, 0, "b\n");
			send_text(MQW_SHARE_FORGET, 3, 2, NULL);
			send_text(MQW_SHARE_FILE, 3, 0, "c.log");
			send_text(MQW_SHARE_GAP, 0, 0, "a reason");
		}
		if (times == 1)
			send_text(MQW_SHARE_HEAD, 0, 31, "#Fields: x\n");
		send_text(MQW_SHARE_PASS, 0, 0, NULL);
		be_quiet();
	} else if (!strcmp(what, "fails")) {
		if (times == 2) {
			send_text(MQW_SHARE_PASS, 0, 0, NULL);
			be_quiet();
		}
		send_text(MQW_SHARE_FAIL, 0, 0, "the server is \x1b[2Jno more");
	} else if (!strcmp(what, "hangs")) {
		if (times == 0)
			be_quiet();
		send_text(MQW_SHARE_PASS, 0, 0, NULL);
		be_quiet();
	} else if (!strcmp(what, "twice")) {
		send_text(MQW_SHARE_FILE, 0, 0, "a.log");
		send_text(MQW_SHARE_LINES, 0, 0, "one\n");
		send_text(MQW_SHARE_LINES, 0, 0, "one\n");
		be_quiet();
	} else if (!strcmp(what, "nofile")) {
		send_text(MQW_SHARE_LINES, 7, 0, "one\n");
		be_quiet();
	} else if (!strcmp(what, "babble")) {
		(void)!write(STDOUT_FILENO, "hello", 5);
		be_quiet();
	} else if (!strcmp(what, "dies")) {
		raise(SIGABRT);
	}
	return 0;
}

/* --- the tests --------------------------------------------------------------------------------- */

static char dir[64], at[96], self[256];
static struct mqw_buffer got;
static sd_event *loop;
static struct mqw_share_tail *tail;

static void on_line(void *ctx, const struct mqw_raw_line *l, struct mqw_evidence e)
{
	(void)ctx;
	mqw_buffer_printf(&got, "%llu@%llu%s %.*s [%u:%llu]\n", (unsigned long long)l->number,
		(unsigned long long)l->offset, l->cut ? " cut" : "", (int)l->text.len, l->text.ptr,
		e.source, (unsigned long long)e.line);
}

static void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	(void)ctx;
	(void)from;
	assert_true(to > 0);
	mqw_buffer_printf(&got, "gap %s\n", why);
}

static void on_caught_up(void *ctx)
{
	(void)ctx;
	mqw_buffer_add_str(&got, "caught up\n");
}

static void on_say(void *ctx, const char *text)
{
	(void)ctx;
	mqw_buffer_printf(&got, "say %s\n", text);
}

static uint32_t on_number(void *ctx, const char *name)
{
	(void)ctx;
	mqw_buffer_printf(&got, "number %s\n", name);
	return 4;
}

static int64_t limit = LIMIT;

static int open_tail(const char *what, const char *position)
{
	static const char *reader[4];
	const struct mqw_source_ops ops = {.line = on_line,
		.gap = on_gap,
		.caught_up = on_caught_up,
		.say = on_say,
		.number = on_number};
	const struct mqw_share_tail_options o = {
		.url = URL, .reader = reader, .position = position, .limit = limit, .pause = PAUSE};

	reader[0] = self;
	reader[1] = what;
	reader[2] = at;
	return mqw_share_tail_open(&o, &ops, loop, &tail);
}

/* Until it said so, or for half a minute. */
static void run_until(const char *text)
{
	for (int i = 0; i < 3000; i++) {
		if (got.len && strstr(mqw_buffer_str(&got), text))
			return;
		assert_true(sd_event_run(loop, 10000) >= 0);
	}
	fail_msg("not \"%s\" but: %s", text, mqw_buffer_str(&got));
}

static int setup(void **state)
{
	sigset_t child;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-share-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(at, sizeof(at), "%s/times", dir);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	return sd_event_new(&loop) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	tail = mqw_share_tail_close(tail);
	sd_event_unref(loop);
	mqw_buffer_done(&got);
	unlink(at);
	return rmdir(dir);
}

static const char wanted[] =
	"number smb://exch1/tracking/a.log\n"
	"1@0 one [4:1]\n2@5  [4:2]\n3@6 two [4:3]\n4@10 cut a long li [4:4]\n5@25 three [4:5]\n"
	"number smb://exch1/tracking/b.log\n1@0 b [4:1]\ngap a reason\ncaught up\n";

/* Lines and their places; and it goes on from them. */
static void test_works(void **state)
{
	struct mqw_buffer position = {0};

	(void)state;
	assert_int_equal(open_tail("works", NULL), 0);
	assert_int_equal(mqw_share_tail_known(tail), MQW_TIME_NONE);
	run_until("caught up");
	assert_string_equal(mqw_buffer_str(&got), wanted);
	assert_true(mqw_share_tail_known(tail) > 0);
	assert_int_equal(mqw_share_tail_ahead(tail), 5 * MQW_SECOND);
	assert_int_equal(mqw_share_tail_position(tail, &position), 0);
	tail = mqw_share_tail_close(tail);
	mqw_buffer_clear(&got);
	assert_int_equal(open_tail("works", mqw_buffer_str(&position)), 0);
	run_until("caught up");
	assert_string_equal(mqw_buffer_str(&got),
		"say " URL " knows 0 a.log@31\nsay " URL " knows 1 c.log@0\n"
		"number smb://exch1/tracking/a.log\n5@31 #Fields: x [4:5]\ncaught up\n");
	mqw_buffer_done(&position);
}

/* Said once, and once that it is over. */
static void test_fails(void **state)
{
	(void)state;
	assert_int_equal(open_tail("fails", NULL), 0);
	run_until("caught up");
	assert_string_equal(mqw_buffer_str(&got),
		"say " URL " cannot be read: the server is \\x1b[2Jno more. It is tried again and "
		"again; what is written there meanwhile is read then, and until then silence "
		"proves nothing\nsay " URL " is read again, after 1 s\ncaught up\n");
}

static void test_hangs(void **state)
{
	(void)state;
	limit = MQW_SECOND / 4;
	assert_int_equal(open_tail("hangs", NULL), 0);
	limit = LIMIT;
	run_until("the server has not answered for 0 s");
	run_until("caught up");
}

static void test_nonsense(void **state)
{
	static const char *const kinds[] = {"twice", "nofile", "babble"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(open_tail(kinds[i], NULL), 0);
		run_until("sent what makes no sense");
		/* Nothing was given twice, and it is not believed again either. */
		if (i == 0)
			assert_null(strstr(strstr(mqw_buffer_str(&got), "one") + 1, "one"));
		tail = mqw_share_tail_close(tail);
		mqw_buffer_clear(&got);
	}
}

static void test_dies(void **state)
{
	(void)state;
	assert_int_equal(open_tail("dies", NULL), 0);
	run_until("the process that reads it ended by signal 6");
}

static void test_no_program(void **state)
{
	(void)state;
	snprintf(self, sizeof(self), "/nonexistent/reader");
	assert_int_equal(open_tail("works", NULL), 0);
	run_until("/nonexistent/reader could not be started: No such file or directory");
}

static void test_no_sense(void **state)
{
	(void)state;
	assert_int_equal(open_tail("works", "no position\n"), -EINVAL);
}

static void test_frames(void **state)
{
	struct mqw_share_frame f = {.magic = MQW_SHARE_MAGIC, .kind = MQW_SHARE_LINES, .length = 2};
	struct mqw_share_frame g;
	const struct mqw_slice text = MQW_LIT("a\n");
	const size_t n = sizeof(f) + 2;

	(void)state;
	assert_int_equal(mqw_share_frame_check(&f, text, n), 0);
	assert_int_equal(mqw_share_frame_check(&f, text, n - 1), -EBADMSG);
	assert_int_equal(mqw_share_frame_check(&f, text, 3), -EBADMSG);
	assert_int_equal(mqw_share_frame_check(&f, MQW_LIT("ab"), n), -EBADMSG);
#define BAD(change)                                                                                \
	g = f;                                                                                     \
	g.change;                                                                                  \
	assert_int_equal(mqw_share_frame_check(&g, text, n), -EBADMSG)
	BAD(magic = 0);
	BAD(kind = 0);
	BAD(kind = MQW_SHARE_KIND_END);
	BAD(kind = UINT32_MAX);
	BAD(kind = MQW_SHARE_PASS);
	BAD(number = MQW_SHARE_FILES_MAX);
	BAD(length = UINT32_MAX);
	BAD(place.offset = UINT64_MAX);
	BAD(place.line = UINT64_MAX);
	BAD(place.skipping = 2);
	BAD(place.written = -1);
	BAD(skip = UINT64_MAX);
	BAD(kind = MQW_SHARE_FILE); /* with a newline in its name */
	f.kind = MQW_SHARE_FILE;
	assert_int_equal(mqw_share_frame_check(&f, MQW_LIT("ab"), n), 0);
	assert_int_equal(mqw_share_frame_check(&f, MQW_LIT("a/"), n), -EBADMSG);
	f.place.print.len = MQW_TAIL_PRINT_MAX + 1;
	assert_int_equal(mqw_share_frame_check(&f, MQW_LIT("ab"), n), -EBADMSG);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		TEST(test_works),
		TEST(test_fails),
		TEST(test_hangs),
		TEST(test_nonsense),
		TEST(test_dies),
		TEST(test_no_sense),
		TEST(test_no_program),
	};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (argc == 4)
		return run_reader(argv[1], argv[2]);
	self[n > 0 ? n : 0] = '\0';
	return cmocka_run_group_tests(tests, NULL, NULL);
}
