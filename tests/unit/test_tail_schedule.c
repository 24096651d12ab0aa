/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random lives of a log: lines, rotations of all kinds, compression, truncation, late sizes, and a
 * reader that is killed and goes on from the position it kept last. Files are real, time is not.
 * The oracle knows each line: it has to come once and in order, or to have been written within a
 * gap that was told; and where nothing was lost there is no gap. A seed makes one life:
 * MQW_SEED=12345 runs that one, MQW_SCHEDULES=20000 that many.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#include "probes/source/tail_follower.h"

#define LINGER (3 * MQW_SECOND)
#define LINES_MAX 4000
#define GAPS_MAX 200
#define FILES_MAX 64
#define STEPS 60

/* No log is rotated by copies and by names in turn: it is configured. */
enum kind { KIND_RENAME, KIND_DELETE, KIND_EMPTY, KIND_COPY, KIND_COPY_EMPTY, KIND_COUNT };

/* What the reader's owner has of it: kept together with the position, and lost with it. */
struct seen {
	size_t last; /* line given last, from 1 */
	bool given[LINES_MAX];
	size_t gaps;
	struct {
		int64_t from, to;
	} gap[GAPS_MAX];
};

struct file {
	char name[64];
	size_t oldest, newest; /* lines; 0: none */
	bool packed;
};

static struct {
	char dir[64], path[128];
	uint64_t random;
	unsigned int seed;
	enum kind kind;
	bool dated, lossy, torn; /* torn: pieces of lines may come */
	unsigned int date, keep;
	int64_t now, born;
	size_t lines;
	int64_t written[LINES_MAX];
	struct file files[FILES_MAX]; /* oldest first; the last one is the live log */
	size_t count, writer; /* writer: which file is written to */
	int fd; /* of the writer */
	char half[256]; /* what is left to be written of a line */
	struct seen seen, kept;
	char *position;
	struct mqw_follower follower;
	bool open, loud;
} w;

/* Tells what happens, when one life is run alone. */
#define note(...)                                                                                  \
	do {                                                                                       \
		if (w.loud) {                                                                      \
			print_message("%lld ms: ", (long long)(w.now - w.born) / 1000);            \
			print_message(__VA_ARGS__);                                                \
		}                                                                                  \
	} while (0)

static unsigned int rnd(unsigned int below)
{
	w.random ^= w.random << 13;
	w.random ^= w.random >> 7;
	w.random ^= w.random << 17;
	return (unsigned int)(w.random >> 11) % below;
}

#define check(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			print_error("MQW_SEED=%u: ", w.seed);                                      \
			fail_msg(__VA_ARGS__);                                                     \
		}                                                                                  \
	} while (0)

static void full(const char *name, char ret[static 160])
{
	snprintf(ret, 160, "%s/%s", w.dir, name);
}

/* The reader's side. */

/* The number of a whole line; 0: it is none. */
static size_t number_of(struct mqw_slice line)
{
	char text[256];
	size_t n = 0, again = 0;

	snprintf(text, sizeof(text), "%.*s", (int)line.len, line.ptr);
	return line.len >= 4 && line.ptr[line.len - 1] == '#' &&
			sscanf(text, "%zu %*s %zu#", &n, &again) == 2 && n == again && n <= w.lines
		? n
		: 0;
}

static void on_line(void *ctx, const struct mqw_raw_line *l, struct mqw_evidence evidence)
{
	size_t n = number_of(l->text);

	(void)ctx, (void)evidence;
	if (n == 0) {
		check(w.torn, "no line of the log: \"%.*s\"", (int)l->text.len, l->text.ptr);
		return;
	}
	check(n > w.seen.last, "line %zu after line %zu", n, w.seen.last);
	if (n != w.seen.last + 1)
		note("line %zu comes after %zu\n", n, w.seen.last);
	w.seen.last = n;
	w.seen.given[n - 1] = true;
}

static void on_gap(void *ctx, int64_t from, int64_t to, const char *why)
{
	(void)ctx;
	note("gap from %lld to %lld ms: %s\n", (long long)(from - w.born) / 1000,
		(long long)(to - w.born) / 1000, why);
	check(w.lossy, "a gap where nothing was lost: %s", why);
	check(from == MQW_TIME_NONE || from <= to, "a gap that ends before it begins");
	check(w.seen.gaps < GAPS_MAX, "gaps without end");
	w.seen.gap[w.seen.gaps].from = from == MQW_TIME_NONE ? 0 : from;
	w.seen.gap[w.seen.gaps++].to = to;
}

static void on_say(void *ctx, const char *text)
{
	(void)ctx;
	note("said: %s\n", text);
}

static int64_t on_stamp(void *ctx, struct mqw_slice line)
{
	size_t n = number_of(line);

	(void)ctx;
	return n ? w.written[n - 1] : MQW_TIME_NONE;
}

static const struct mqw_source_ops ops = {
	.line = on_line, .gap = on_gap, .say = on_say, .stamp = on_stamp};

static void open_reader(void)
{
	struct mqw_slice text = mqw_slice_of(w.position);
	struct mqw_tail_position p;
	bool known = mqw_tail_position_take(&text, &p);

	note("the reader begins\n");
	assert_int_equal(mqw_follower_init(&w.follower, &ops, w.path, known ? &p : NULL, false), 0);
	w.open = true;
}

static void keep(void)
{
	struct mqw_buffer b = {0};

	mqw_follower_position(&w.follower, &b);
	free(w.position);
	w.position = b.ptr ? b.ptr : strdup("");
	note("kept at line %zu: %s", w.seen.last, w.position);
	w.kept = w.seen;
}

/* At any instant: what was not kept never was. Then it is away for a while. */
static void kill_reader(void)
{
	if (!w.open)
		return;
	if (rnd(2))
		keep();
	note("killed\n");
	mqw_follower_done(&w.follower);
	w.seen = w.kept;
	w.open = false;
}

static bool look(unsigned int budget)
{
	const struct mqw_follower_now now = {.clock = w.now, .monotonic = w.now, .linger = LINGER};

	return mqw_follower_step(&w.follower, &now, &budget);
}

static void turn(void)
{
	if (!w.open)
		open_reader();
	for (unsigned int i = rnd(3); i > 0; i--) {
		look(1 + rnd(60));
		w.now += 20000 + rnd(1500) * 1000;
	}
	if (rnd(3) == 0)
		while (look(1000))
			;
	if (rnd(4) == 0)
		keep();
}

/* The writer's side. */

static void stamp_file(int fd, int64_t time)
{
	const struct timespec ts = {
		.tv_sec = time / MQW_SECOND, .tv_nsec = (time % MQW_SECOND) * 1000};
	const struct timespec both[2] = {ts, ts};

	assert_int_equal(futimens(fd, both), 0);
}

static void reopen(void)
{
	note("the writer opens the log at line %zu\n", w.lines);
	if (w.fd >= 0)
		close(w.fd);
	w.fd = open(w.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_true(w.fd >= 0);
	stamp_file(w.fd, w.now);
	w.writer = w.count - 1;
}

static void put(const char *text, size_t len)
{
	assert_int_equal(write(w.fd, text, len), (ssize_t)len);
	stamp_file(w.fd, w.now);
}

static size_t make_line(char ret[static 256])
{
	static const char pad[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	check(w.lines < LINES_MAX, "too long a life");
	w.written[w.lines++] = w.now;
	w.files[w.writer].newest = w.lines;
	if (!w.files[w.writer].oldest)
		w.files[w.writer].oldest = w.lines;
	return (size_t)snprintf(
		ret, 256, "%zu %.*s %zu#\n", w.lines, 10 + (int)rnd(50), pad, w.lines);
}

static void write_rest(void)
{
	put(w.half, strlen(w.half));
	w.half[0] = '\0';
}

static void write_lines(void)
{
	char line[256], many[25 * 256];
	size_t len = 0;

	if (w.half[0])
		write_rest();
	if (w.writer != w.count - 1 && rnd(2))
		reopen();
	for (unsigned int i = rnd(25); i > 0; i--) {
		len += make_line(many + len);
		w.now += 20000 * rnd(3);
	}
	if (len)
		put(many, len);
	if (rnd(6) == 0) {
		size_t cut;

		len = make_line(line);
		cut = 1 + rnd((unsigned int)len - 2);
		put(line, cut);
		snprintf(w.half, sizeof(w.half), "%s", line + cut);
	}
}

static void move(struct file *f, const char *name)
{
	char from[160], to[160];

	note("%s becomes %s\n", f->name, name);
	full(f->name, from);
	full(name, to);
	assert_int_equal(rename(from, to), 0);
	snprintf(f->name, sizeof(f->name), "%s", name);
}

/* Makes room for a piece that is the newest one, and names it. */
static void shift(char ret[static 64])
{
	char name[64];

	if (w.dated) {
		snprintf(ret, 64, "mail.log-2026%04u", 101 + w.date / 28 * 100 + w.date % 28);
		w.date++;
		return;
	}
	for (size_t i = 0; i + 1 < w.count; i++) {
		snprintf(name, sizeof(name), "mail.log.%zu%s", w.count - i,
			w.files[i].packed ? ".gz" : "");
		move(&w.files[i], name);
	}
	snprintf(ret, 64, "mail.log.1");
}

static void drop_oldest(void)
{
	char name[160];

	while (w.count - 1 > w.keep && w.writer > 0) {
		/* The reader cannot tell what else was in the file that it was in. */
		if (w.files[0].newest >= w.kept.last)
			w.lossy = true;
		note("%s is deleted, up to line %zu\n", w.files[0].name, w.files[0].newest);
		full(w.files[0].name, name);
		assert_int_equal(unlink(name), 0);
		w.now += MQW_SECOND;
		memmove(&w.files[0], &w.files[1], (w.count - 1) * sizeof(w.files[0]));
		w.count--;
		w.writer--;
	}
}

static void rotate_by_rename(void)
{
	char name[64];
	int fd;

	/* Whoever writes was told of the last rotation by now, and logs of nothing are not rotated. */
	if (w.writer != w.count - 1 || w.files[w.count - 1].newest == 0 || w.count == FILES_MAX)
		return;
	/* No two files are written to last at the same instant. */
	w.now += 20000;
	shift(name);
	move(&w.files[w.count - 1], name);
	w.files[w.count++] = (struct file){.name = "mail.log"};
	if (rnd(2)) {
		fd = open(w.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		stamp_file(fd, w.now);
		close(fd);
	} else if (rnd(2)) {
		turn(); /* for a moment there is no log */
	}
	if (!w.half[0] && rnd(2))
		reopen();
	drop_oldest();
}

static void read_whole(const char *name, struct mqw_buffer *ret)
{
	char path[160], block[4096];
	ssize_t n;
	int fd;

	full(name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	while ((n = read(fd, block, sizeof(block))) > 0)
		mqw_buffer_add(ret, mqw_slice(block, (size_t)n));
	close(fd);
}

static void write_whole(const char *name, struct mqw_slice content, int64_t time)
{
	char path[160];
	int fd;

	full(name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.ptr, content.len), (ssize_t)content.len);
	stamp_file(fd, time);
	close(fd);
}

static void rotate_by_copy(void)
{
	struct mqw_buffer content = {0};
	char name[64], line[256];
	size_t between, size;

	if (w.writer != w.count - 1 || w.files[w.count - 1].newest == 0 || w.count == FILES_MAX)
		return;
	w.lossy = true;
	w.torn = w.torn || w.half[0];
	shift(name);
	read_whole("mail.log", &content);
	write_whole(name, mqw_buffer_slice(&content), w.now);
	/* A copy of less than a fingerprint cannot be told from its log when that has grown beyond. */
	size = content.len;
	mqw_buffer_done(&content);
	w.files[w.count] = w.files[w.count - 1];
	snprintf(w.files[w.count - 1].name, sizeof(name), "%s", name);
	w.writer = w.count++;
	w.files[w.writer].newest = w.files[w.writer].oldest = 0;
	for (between = size < MQW_TAIL_PRINT_MAX || rnd(3) ? 0 : rnd(4); between > 0; between--) {
		if (w.half[0])
			write_rest();
		put(line, make_line(line));
		if (w.open && rnd(2))
			look(1 + rnd(100));
	}
	w.now += 20000 * (int64_t)rnd(5);
	assert_int_equal(ftruncate(w.fd, 0), 0);
	note("copied as %s and emptied at line %zu\n", name, w.lines);
	stamp_file(w.fd, w.now);
	w.files[w.writer].newest = w.files[w.writer].oldest = 0;
	w.now += 20000;
	drop_oldest();
}

/* Lines that come and go before anybody looked leave no trace at all. */
static void empty(void)
{
	size_t oldest = w.files[w.writer].oldest;

	if (w.writer != w.count - 1 || oldest == 0 || w.seen.last < oldest || w.kept.last < oldest)
		return;
	w.lossy = true;
	w.torn = w.torn || w.half[0];
	assert_int_equal(ftruncate(w.fd, 0), 0);
	note("emptied at line %zu\n", w.lines);
	w.files[w.writer].newest = w.files[w.writer].oldest = 0;
	w.now += 20000;
	stamp_file(w.fd, w.now);
}

static void compress_one(void)
{
	struct file *f;
	struct stat st;
	char from[160], to[168];
	struct mqw_buffer content = {0};
	gzFile gz;
	int fd;

	if (w.count < 2)
		return;
	f = &w.files[rnd((unsigned int)w.count - 1)];
	if (f->packed || f == &w.files[w.writer])
		return;
	full(f->name, from);
	assert_int_equal(stat(from, &st), 0);
	read_whole(f->name, &content);
	snprintf(to, sizeof(to), "%s.gz", from);
	fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	gz = gzdopen(dup(fd), "w1");
	assert_non_null(gz);
	assert_int_equal(gzwrite(gz, content.ptr, (unsigned int)content.len), (int)content.len);
	/* For a while it is there twice, and the compressed one is not complete. */
	if (rnd(4) == 0)
		turn();
	assert_int_equal(gzclose(gz), Z_OK);
	stamp_file(fd, (int64_t)st.st_mtim.tv_sec * MQW_SECOND + st.st_mtim.tv_nsec / 1000);
	close(fd);
	assert_int_equal(unlink(from), 0);
	note("%s is compressed\n", f->name);
	strcat(f->name, ".gz");
	f->packed = true;
	mqw_buffer_done(&content);
}

/* A network file system: the size is there before the bytes are, and the later ones come first. */
static void late_bytes(void)
{
	char line[2][256];
	size_t len[2];
	struct stat st;
	int fd;

	if (w.writer != w.count - 1 || w.half[0])
		return;
	fd = open(w.path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	note("late bytes, from line %zu on\n", w.lines + 1);
	for (int i = 0; i < 2; i++)
		len[i] = make_line(line[i]);
	assert_int_equal(ftruncate(fd, st.st_size + (off_t)(len[0] + len[1])), 0);
	stamp_file(fd, w.now);
	if (w.open)
		look(1 + rnd(100));
	w.now += MQW_SECOND;
	if (rnd(2))
		assert_true(pwrite(fd, line[1], len[1], st.st_size + (off_t)len[0]) > 0);
	if (rnd(4) == 0)
		kill_reader();
	if (w.open)
		look(1 + rnd(100));
	w.now += MQW_SECOND;
	assert_true(pwrite(fd, line[0], len[0], st.st_size) > 0);
	assert_true(pwrite(fd, line[1], len[1], st.st_size + (off_t)len[0]) > 0);
	stamp_file(fd, w.now);
	close(fd);
}

/* And the size that is told is an old one for a moment. */
static void old_size(void)
{
	struct mqw_buffer content = {0};
	size_t size;
	int fd;

	if (w.writer != w.count - 1)
		return;
	read_whole("mail.log", &content);
	size = content.len;
	if (size > 600) {
		note("an old size\n");
		fd = open(w.path, O_WRONLY | O_CLOEXEC);
		assert_true(fd >= 0 && ftruncate(fd, 300 + rnd(300)) == 0);
		if (rnd(3) == 0)
			kill_reader();
		if (!w.open)
			open_reader();
		look(1 + rnd(100));
		w.now += MQW_SECOND;
		look(1 + rnd(100));
		assert_int_equal(pwrite(fd, content.ptr, size, 0), (ssize_t)size);
		stamp_file(fd, w.now);
		close(fd);
	}
	mqw_buffer_done(&content);
}

/* Put back from a backup: the same under another inode. */
static void put_back(void)
{
	struct mqw_buffer content = {0};
	char copy[160];

	if (w.writer != w.count - 1 || w.files[w.writer].newest == 0 || w.half[0])
		return;
	note("put back from a copy at line %zu\n", w.lines);
	read_whole("mail.log", &content);
	write_whole("copy", mqw_buffer_slice(&content), w.now);
	full("copy", copy);
	assert_int_equal(rename(copy, w.path), 0);
	reopen();
	mqw_buffer_done(&content);
}

static void live_a_step(void)
{
	unsigned int dice = rnd(100);

	w.now += 20000 + (rnd(4) ? 0 : rnd(8)) * MQW_SECOND;
	if (dice < 30)
		write_lines();
	else if (dice < 55)
		turn();
	else if (dice < 63)
		kill_reader();
	else if (dice < 71)
		compress_one();
	else if (dice < 75)
		late_bytes();
	else if (dice < 78)
		old_size();
	else if (dice < 80 && w.kind <= KIND_DELETE)
		put_back();
	else if (dice < 83 && (w.kind == KIND_EMPTY || w.kind == KIND_COPY_EMPTY))
		empty();
	else if (w.kind >= KIND_COPY)
		rotate_by_copy();
	else
		rotate_by_rename();
}

static void check_all_came(void)
{
	for (size_t n = 0; n < w.lines; n++) {
		bool told = w.seen.given[n];

		for (size_t g = 0; !told && g < w.seen.gaps; g++)
			told = w.seen.gap[g].from <= w.written[n] &&
				w.written[n] <= w.seen.gap[g].to;
		if (!told)
			note("line %zu was written at %lld ms\n", n + 1,
				(long long)(w.written[n] - w.born) / 1000);
		check(told, "line %zu of %zu is missing without a gap", n + 1, w.lines);
	}
}

static void clear_dir(void)
{
	char name[160];

	for (size_t i = 0; i < w.count; i++) {
		full(w.files[i].name, name);
		unlink(name);
	}
}

/* True when nothing may have been lost. */
static bool live(unsigned int seed)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", w.dir);
	memset(&w, 0, sizeof(w));
	snprintf(w.dir, sizeof(w.dir), "%s", dir);
	snprintf(w.path, sizeof(w.path), "%s/mail.log", dir);
	w.seed = seed;
	w.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	w.kind = rnd(KIND_COUNT);
	w.dated = rnd(2);
	w.keep = w.kind == KIND_RENAME || rnd(2) ? FILES_MAX : 1 + rnd(3);
	w.now = w.born = mqw_clock_now();
	w.loud = getenv("MQW_SEED");
	w.position = strdup("");
	w.fd = -1;
	w.files[w.count++] = (struct file){.name = "mail.log"};
	reopen();
	open_reader();
	look(1);
	put(w.half, make_line(w.half));
	w.half[0] = '\0';
	look(1000);
	keep();
	for (int i = 0; i < STEPS; i++)
		live_a_step();
	/* In the end the log goes on, and somebody reads it for long enough. */
	if (w.half[0])
		write_rest();
	reopen();
	w.half[0] = '\0';
	put(w.half, make_line(w.half));
	w.half[0] = '\0';
	if (!w.open)
		open_reader();
	for (int i = 0; i < 100; i++) {
		while (look(1000))
			;
		w.now += MQW_SECOND;
	}
	check_all_came();
	check(w.seen.given[w.lines - 1], "the last line is missing");
	mqw_follower_done(&w.follower);
	close(w.fd);
	clear_dir();
	free(w.position);
	return !w.lossy;
}

static void test_schedules(void **state)
{
	const char *one = getenv("MQW_SEED"), *many = getenv("MQW_SCHEDULES");
	unsigned int count = many ? (unsigned int)atoi(many) : 1000, whole = 0;
	int64_t began = mqw_clock_now();

	(void)state;
	if (one) {
		live((unsigned int)atoi(one));
		return;
	}
	for (unsigned int seed = 0; seed < count; seed++)
		whole += live(seed);
	print_message("%u schedules, %u of them without loss, in %lld ms\n", count, whole,
		(long long)(mqw_clock_now() - began) / 1000);
	assert_true(whole > count / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules)};
	int r;

	/* Nothing of this has to reach a disk. */
	snprintf(w.dir, sizeof(w.dir), "%s/mqw-schedule-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(w.dir))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	if (r == 0)
		rmdir(w.dir);
	return r;
}
