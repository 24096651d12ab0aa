/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The writer's side of a log's random life: lines, and all that is done to its files. */
#ifndef MQW_TESTS_UNIT_SCHEDULE_WRITER_FIXTURE_H
#define MQW_TESTS_UNIT_SCHEDULE_WRITER_FIXTURE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "schedule_reader_fixture.h"

static inline void stamp_file(int fd, int64_t time)
{
	const struct timespec ts = {
		.tv_sec = time / MQW_SECOND, .tv_nsec = (time % MQW_SECOND) * 1000};
	const struct timespec both[2] = {ts, ts};

	assert_int_equal(futimens(fd, both), 0);
}

static inline void reopen(void)
{
	note("the writer opens the log at line %zu\n", w.lines);
	if (w.fd >= 0)
		close(w.fd);
	w.fd = open(w.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_true(w.fd >= 0);
	stamp_file(w.fd, w.now);
	w.writer = w.count - 1;
}

static inline void put(const char *text, size_t len)
{
	assert_int_equal(write(w.fd, text, len), (ssize_t)len);
	stamp_file(w.fd, w.now);
}

static inline size_t make_line(char ret[static 256])
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

static inline void write_rest(void)
{
	put(w.half, strlen(w.half));
	w.half[0] = '\0';
}

static inline void write_lines(void)
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

static inline void move(struct file *f, const char *name)
{
	char from[160], to[160];

	note("%s becomes %s\n", f->name, name);
	full(f->name, from);
	full(name, to);
	assert_int_equal(rename(from, to), 0);
	snprintf(f->name, sizeof(f->name), "%s", name);
}

/* Makes room for a piece that is the newest one, and names it. */
static inline void shift(char ret[static 64])
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

static inline void drop_oldest(void)
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

static inline void rotate_by_rename(void)
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

static inline void read_whole(const char *name, struct mqw_buffer *ret)
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

static inline void write_whole(const char *name, struct mqw_slice content, int64_t time)
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

static inline void rotate_by_copy(void)
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
static inline void empty(void)
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

static inline void compress_one(void)
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
static inline void late_bytes(void)
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
static inline void old_size(void)
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
static inline void put_back(void)
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

static inline void clear_dir(void)
{
	char name[160];

	for (size_t i = 0; i < w.count; i++) {
		full(w.files[i].name, name);
		unlink(name);
	}
}

#endif
