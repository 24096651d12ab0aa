/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a Postfix does to its queue and to its log, of the script's steps and with what came back; and
 * what logrotate does. A step is made as a whole: the world is not what dies here.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/world.h"

/* Open for as long as it is the same file; the helper has its host's memory, but not its files. */
static int open_log(void)
{
	static unsigned int rotations, life;
	static int fd = -1;
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
	char path[PATH_ROOM];

	path_of(path, "log/mail.log");
	if (role == ROLE_HELPER)
		return open(path, flags, 0640);
	if (fd < 0 || rotations != shared->rotations || life != shared->life) {
		close(fd);
		fd = open(path, flags, 0640);
		rotations = shared->rotations;
		life = shared->life;
	}
	return fd;
}

static void log_line(const char *program, const char *text)
{
	char line[1024];
	time_t seconds = (time_t)(shared->real / MQW_SECOND);
	struct tm tm;
	int fd = open_log(), n;

	gmtime_r(&seconds, &tm);
	n = snprintf(line, sizeof(line),
		"%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00 mx postfix/%s[77]: %s\n",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(shared->real % MQW_SECOND), program, text);
	/* Past the test's own write(): there are many of them. */
	check(syscall(SYS_write, fd, line, n) == n, "mail.log");
	shared->log_writes++;
	if (role == ROLE_HELPER)
		close(fd);
}

static void shift_logs(void)
{
	char from[PATH_ROOM], to[PATH_ROOM];

	for (unsigned int i = shared->rotations++; i > 0; i--)
		rename(path_of(from, "log/mail.log.%u", i), path_of(to, "log/mail.log.%u", i + 1));
}

const char *world_log(void)
{
	static char path[PATH_ROOM];
	static unsigned int life;

	if (life != shared->life)
		path_of(path, "log/mail.log");
	life = shared->life;
	return path;
}

static void rotate(bool truncate_it)
{
	char live[PATH_ROOM], old[PATH_ROOM], data[8192];
	int from, to;
	ssize_t n;

	shared->log_writes++;
	shift_logs();
	path_of(live, "log/mail.log");
	path_of(old, "log/mail.log.1");
	if (!truncate_it) {
		check(rename(live, old) == 0, live);
		close(open(live, O_WRONLY | O_CREAT, 0640));
		return;
	}
	from = open(live, O_RDWR);
	to = open(old, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	while ((n = read(from, data, sizeof(data))) > 0)
		check(write(to, data, (size_t)n) == n, old);
	check(ftruncate(from, 0) == 0, live);
	close(from);
	close(to);
}

static char *queue_path(char ret[PATH_ROOM], unsigned int n)
{
	static const char *const folders[] = {"", "active/", "deferred/", "hold/"};
	const char *id = script.messages[n].id;
	char name[40];

	if (shared->place[n] == IN_DEFERRED)
		snprintf(name, sizeof(name), "%c/%s", id[0], id);
	else
		snprintf(name, sizeof(name), "%s", id);
	return path_of(ret, "queue/%s%s", folders[shared->place[n]], name);
}

static size_t record(char *to, char type, const char *data)
{
	size_t n = strlen(data);

	to[0] = type;
	to[1] = (char)n;
	memcpy(to + 2, data, n);
	return n + 2;
}

/* As cleanup(8) writes it. The length does not depend on who is done. */
static size_t queue_file(char *to, unsigned int n)
{
	const struct message *m = &script.messages[n];
	char text[96];
	size_t at = 0, content, begun;

	snprintf(text, sizeof(text), "%15d %15d %15d %15d %15d %15d", 0, 0, 0, 0, 0, 0);
	at += record(to + at, 'C', text);
	snprintf(text, sizeof(text), "%lld 0", (long long)(m->start / MQW_SECOND));
	at += record(to + at, 'T', text);
	snprintf(text, sizeof(text), "create_time=%lld", (long long)(m->start / MQW_SECOND));
	at += record(to + at, 'A', text);
	at += record(to + at, 'S', "a@example.com");
	for (unsigned int r = 0; r < m->recipients; r++) {
		snprintf(text, sizeof(text), "r%u.m%u@example.net", r, n);
		at += record(to + at, shared->done[n] & 1u << r ? 'D' : 'R', text);
	}
	at += record(to + at, 'M', "");
	content = begun = at;
	snprintf(text, sizeof(text), "Message-ID: <%u@example.com>", n);
	at += record(to + at, 'N', text);
	at += record(to + at, 'N', "");
	at += record(to + at, 'N', "Good morning.");
	snprintf(text, sizeof(text), "%15zu %15zu %15u", at - content, begun, m->recipients);
	memcpy(to + 2, text, strlen(text));
	at += record(to + at, 'X', "");
	return at + record(to + at, 'E', "");
}

static void write_file(unsigned int n, int flags)
{
	char path[PATH_ROOM], data[1024];
	size_t len = queue_file(data, n);
	int fd = open(queue_path(path, n), O_WRONLY | flags, 0600);

	check(fd >= 0 && write(fd, data, len) == (ssize_t)len && fchmod(fd, 0700) == 0, path);
	close(fd);
}

static void move(unsigned int n, enum place place)
{
	char from[PATH_ROOM], to[PATH_ROOM];

	queue_path(from, n);
	shared->place[n] = (uint8_t)place;
	check(rename(from, queue_path(to, n)) == 0, from);
}

static void defer(unsigned int n, int64_t until)
{
	const struct timespec times[2] = {{until / MQW_SECOND, 0}, {until / MQW_SECOND, 0}};
	char path[PATH_ROOM], hash[PATH_ROOM], letter[2] = {script.messages[n].id[0], '\0'};

	check(utimensat(AT_FDCWD, queue_path(path, n), times, 0) == 0, path);
	mkdir(path_of(hash, "queue/deferred/%s", letter), 0700);
	move(n, IN_DEFERRED);
}

static void delete (unsigned int n)
{
	char path[PATH_ROOM];

	check(unlink(queue_path(path, n)) == 0, path);
	shared->place[n] = IN_NOWHERE;
	shared->ended_at[n] = shared->real;
}

/* Whom a file in maildrop has still to do. */
static uint16_t left_in(const char *path)
{
	unsigned char data[2048];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data));
	uint16_t who = 0;
	unsigned int r, m;

	close(fd);
	for (ssize_t at = 0; at + 1 < n && data[at] != 'M'; at += 2 + data[at + 1]) {
		char text[64];

		snprintf(text, sizeof(text), "%.*s", data[at + 1], (char *)data + at + 2);
		if (data[at] == 'R' && sscanf(text, "r%u.m%u@", &r, &m) == 2)
			who |= (uint16_t)(1u << r);
	}
	return who;
}

/* As pickup(8): a new id, and the log names the one that it continues. */
static void take_up(const char *id)
{
	char path[PATH_ROOM], text[160];
	int n = script_message_of(id, strlen(id));
	struct again *a = &shared->again[shared->again_count];

	if (n < 0 || shared->again_count == AGAIN_MAX)
		return;
	path_of(path, "queue/maildrop/%s", id);
	*a = (struct again){.message = (uint16_t)n,
		.recipients = left_in(path),
		.at = shared->real + MQW_SECOND / 2,
		.made_at = shared->real};
	snprintf(a->id, sizeof(a->id), "%05X%05X", 0x20000 + shared->again_count, 0xC0000 + n);
	shared->again_count++;
	unlink(path);
	snprintf(text, sizeof(text), "%s: uid=1000 from=<a@example.com> orig_id=%s", a->id, id);
	log_line("pickup", text);
	snprintf(text, sizeof(text), "%s: message-id=<%d@example.com>", a->id, n);
	log_line("cleanup", text);
	path_of(path, "queue/active/%s", a->id);
	close(open(path, O_WRONLY | O_CREAT, 0700));
	snprintf(text, sizeof(text), "%s: from=<a@example.com>, size=373, nrcpt=%d (queue active)",
		a->id, __builtin_popcount(a->recipients));
	log_line("qmgr", text);
}

bool mta_pick_up(void)
{
	unsigned int before = shared->again_count;
	char path[PATH_ROOM];
	DIR *d = opendir(path_of(path, "queue/maildrop"));
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			take_up(e->d_name);
	if (d)
		closedir(d);
	shared->pickup_at = INT64_MAX;
	return shared->again_count > before;
}

void mta_deliver_again(struct again *a)
{
	char path[PATH_ROOM], text[256];

	for (unsigned int r = 0; r < RECIPIENTS; r++) {
		if (!(a->recipients & 1u << r))
			continue;
		snprintf(text, sizeof(text),
			"%s: to=<r%u.m%u@example.net>, relay=mx.example.net[192.0.2.1]:25, "
			"delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: taken)",
			a->id, r, a->message);
		log_line("smtp", text);
	}
	unlink(path_of(path, "queue/active/%s", a->id));
	snprintf(text, sizeof(text), "%s: removed", a->id);
	log_line("qmgr", text);
	a->at = INT64_MAX;
}

bool mta_play(const struct step *s)
{
	switch (s->kind) {
	case STEP_LOG:
		log_line(s->program, s->text);
		break;
	case STEP_ARRIVE:
		shared->place[s->message] = IN_ACTIVE;
		write_file(s->message, O_CREAT | O_EXCL);
		break;
	case STEP_DONE:
		shared->done[s->message] |= s->who;
		write_file(s->message, 0);
		break;
	case STEP_DEFER:
		defer(s->message, s->until);
		break;
	case STEP_TRY:
		move(s->message, IN_ACTIVE);
		break;
	case STEP_HOLD:
		move(s->message, IN_HOLD);
		break;
	case STEP_DELETE:
		delete (s->message);
		break;
	case STEP_ROTATE:
	case STEP_TRUNCATE:
		rotate(s->kind == STEP_TRUNCATE);
		break;
	case STEP_END:
		shared->ended = true;
		break;
	}
	return s->kind != STEP_LOG && s->kind != STEP_ROTATE && s->kind != STEP_TRUNCATE;
}
