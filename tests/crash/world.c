/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plays the script: what a Postfix does to its queue and to its log, what logrotate does, and what
 * systemd does for the helper, which is the real one and runs in a child for each request. A step
 * is made as a whole: the world is not what dies here.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/crash.h"
#include "watchdogd/base/process.h"
#include "watchdogd/helper/serve.h"

/* After so long without a step of the script the calendar goes faster. */
#define LULL (MQW_SECOND / 2)
#define LULL_TICKS 2
#define PACE_MAX 1000
#define PACE_OWED 4 /* while something is put back: the daemon shall not be too late for it */
#define SETTLING (90 * MQW_SECOND)

struct script script;
char dir[64];
static int helper_fd = -1;

/* A path in the place of this life. */
__attribute__((format(printf, 2, 3))) static char *path_of(
	char ret[PATH_ROOM], const char *format, ...)
{
	int n = snprintf(ret, PATH_ROOM, "%s/", dir);
	va_list ap;

	va_start(ap, format);
	vsnprintf(ret + n, PATH_ROOM - (size_t)n, format, ap);
	va_end(ap);
	return ret;
}

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void check(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

/* The log. */

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

/* The queue. */

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

/* What came back. */

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

static bool pick_up(void)
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

static void deliver_again(struct again *a)
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

/* The helper. */

static int run_helper(void *connection)
{
	char config[PATH_ROOM];
	const struct mqw_helper h = {.policy = {.config_path = path_of(config, "watchdog.yaml"),
					     .vault_owner = getuid(),
					     .filter = MQW_FILTER_OFF},
		.allowed_user = getuid(),
		.receive_timeout = MQW_SECOND};

	role = ROLE_HELPER;
	outside = false;
	_exit(mqw_helper_serve(&h, *(int *)connection));
}

/*
 * The helper has the memory of its host, as after vfork(): a copy of it for each request would be
 * most of what a life costs. It has its own files, and its death is its own.
 */
static void serve(void)
{
	static char stack[256 * 1024] __attribute__((aligned(64)));
	enum role was = role;
	bool asked = false;
	int connection;
	pid_t pid;

	/* A daemon may have died between connecting and asking. */
	while (!asked && (connection = accept4(helper_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		asked = recv(connection, stack, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
		pid = clone(run_helper, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
			&connection);
		role = was;
		outside = true;
		close(connection);
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	shared->served++;
	shared->asked--;
	shared->serve_at = INT64_MAX;
}

static void open_helper(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[PATH_ROOM];

	if (helper_fd >= 0)
		close(helper_fd);
	helper_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, path_of(path, "helper.sock"), sizeof(address.sun_path) - 1);
	check(bind(helper_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
			listen(helper_fd, 64) == 0,
		path);
}

/* Root may give files away, others have their own. */
static const char *mail_owner(void)
{
	const struct passwd *pw = getuid() ? getpwuid(getuid()) : NULL;

	return pw ? pw->pw_name : "nobody";
}

/* The commands of Postfix, in place of base/process.c: nothing is run here. */

int mqw_process_run(struct mqw_process *p)
{
	bool was = outside, overrides = p->argv[1] && strcmp(p->argv[1], "-P") == 0;
	char queue[PATH_ROOM];

	outside = true;
	if (strcmp(p->argv[0], "postkick") == 0)
		world_wake_pickup(shared->served % 5 == 4 ? 25 * MQW_SECOND : MQW_SECOND / 20);
	else if (strcmp(p->argv[0], "postconf") == 0 && p->argv[2] &&
		strcmp(p->argv[2], "mail_owner") == 0)
		mqw_buffer_printf(&p->out, "%s\n2048\n", mail_owner());
	else if (strcmp(p->argv[0], "postconf") == 0 && !overrides)
		mqw_buffer_printf(&p->out, "5h\n5h\n4000s\n%s\n", path_of(queue, "queue"));
	outside = was;
	p->status = 0;
	return 0;
}

void mqw_process_done(struct mqw_process *p)
{
	bool was = outside;

	outside = true;
	mqw_buffer_done(&p->out);
	mqw_buffer_done(&p->err);
	outside = was;
}

struct mqw_slice mqw_process_complaint(const struct mqw_process *p)
{
	return mqw_buffer_slice(&p->err);
}

/* For a share on another host, of which there is none. */
int mqw_process_start(const char *const *argv, struct mqw_slice input, int out, pid_t *ret_pid)
{
	(void)argv;
	(void)input;
	(void)out;
	(void)ret_pid;
	return -ENOSYS;
}

/* Time. */

void world_wake_pickup(int64_t after)
{
	shared->pickup_at = min(shared->pickup_at, shared->real + after);
}

int64_t world_next(void)
{
	int64_t next = shared->pickup_at;

	if (shared->next < script.count)
		next = min(next, script.steps[shared->next].at);
	for (unsigned int i = 0; i < shared->again_count; i++)
		next = min(next, shared->again[i].at);
	if (shared->serve_at == INT64_MAX && shared->asked)
		shared->serve_at = shared->real + shared->helper_delay;
	return shared->ended ? INT64_MAX : min(next, shared->serve_at);
}

/* Whether something is lost that is not put back yet. */
static bool is_owed(void)
{
	uint16_t back[MESSAGES] = {0};

	for (unsigned int i = 0; i < shared->again_count; i++)
		back[shared->again[i].message] = shared->real > shared->again[i].made_at + SETTLING;
	for (unsigned int n = 0; n < MESSAGES; n++)
		if (script.messages[n].lost && shared->ended_at[n] && !back[n])
			return true;
	return false;
}

int64_t world_pace(void)
{
	int64_t gap, pace;

	/* What failed is tried again within a minute, and that shall be in time. */
	if (shared->failed_at && shared->mono - shared->failed_at < SETTLING)
		return 1;
	if (shared->next >= script.count || shared->real - shared->last_step < LULL ||
		shared->serve_at != INT64_MAX)
		return 1;
	gap = script.steps[shared->next].at - shared->real;
	pace = gap / (LULL_TICKS * MQW_SECOND);
	if (pace > PACE_OWED && is_owed())
		return PACE_OWED;
	return pace < 1 ? 1 : pace > PACE_MAX ? PACE_MAX : pace;
}

void world_advance(int64_t mono)
{
	int64_t pace = world_pace();

	shared->mono += mono;
	shared->real += mono * pace;
}

static bool play(const struct step *s)
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

bool world_step(void)
{
	bool noticed = shared->serve_at <= shared->real;

	for (unsigned int i = 0; i < shared->again_count; i++)
		if (shared->again[i].at <= shared->real) {
			deliver_again(&shared->again[i]);
			noticed = true;
		}
	if (shared->pickup_at <= shared->real)
		noticed = pick_up() || noticed;
	if (shared->serve_at <= shared->real)
		serve();
	if (shared->next < script.count && script.steps[shared->next].at <= shared->real) {
		noticed = play(&script.steps[shared->next++]) || noticed;
		shared->last_step = shared->real;
		if (shared->ended && role == ROLE_DAEMON)
			kill(getpid(), SIGTERM);
	}
	return noticed;
}

void world_wait(int64_t real)
{
	int64_t next;

	/* The helper is waited for: it asks nothing of itself. */
	while ((next = role == ROLE_HELPER ? shared->pickup_at : world_next()) <= real) {
		if (next > shared->real) {
			shared->mono += next - shared->real;
			shared->real = next;
		}
		if (role == ROLE_HELPER)
			pick_up();
		else
			world_step();
	}
	if (real > shared->real) {
		shared->mono += real - shared->real;
		shared->real = real;
	}
}

const char *world_proc(void)
{
	static char path[PATH_ROOM];

	return path_of(path, "proc");
}

/* The place. */

static void put_text(const char *name, const char *text)
{
	char path[PATH_ROOM];
	int fd = open(path_of(path, "%s", name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static void put_config(void)
{
	char text[2048];

	snprintf(text, sizeof(text),
		"version: 1\n"
		"mode: act\n"
		"state_directory: %s/state\n"
		"control_socket: %s/control.sock\n"
		"helper_socket: %s/helper.sock\n"
		"instances:\n"
		"  - {name: out, type: postfix, log: %s/log/mail.log, queue: %s/queue,"
		" lifetime: 5h, slack: 30m}\n"
		"vault: {keep: deferred}\n"
		"rules:\n"
		"  - name: back\n"
		"    when: {verdict: [vanished, false_ndr]}\n"
		"    do: [{recover: {at_most: 1000 per 1h}}, {alert: journal}]\n"
		"  - name: stuck\n"
		"    when: {verdict: overdue}\n"
		"    do: [{alert: journal}]\n",
		dir, dir, dir, dir, dir);
	put_text("watchdog.yaml", text);
}

void world_make(void)
{
	static const char *const folders[] = {"", "state", "log", "queue", "queue/maildrop",
		"queue/incoming", "queue/active", "queue/deferred", "queue/hold", "queue/corrupt",
		"queue/pid", "proc", "proc/10", "proc/11"};
	char path[PATH_ROOM];
	struct stat st;

	memset(shared, 0, offsetof(struct shared, life));
	shared->real = script.begin;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		check(mkdir(path_of(path, "%s", folders[i]), 0755) == 0, path);
	check(stat(dir, &st) == 0, dir);
	shared->device = st.st_dev;
	put_text("queue/pid/master.pid", "10\n");
	put_text("proc/10/stat", "10 (master) S 1 10 10 0 -1\n");
	put_text("proc/11/stat", "11 (qmgr) S 10 10 10 0 -1\n");
	put_text("log/mail.log", "");
	put_config();
	open_helper();
	memset(shared->calls, 0, sizeof(shared->calls));
	shared->trace_len = 0;
	shared->life++;
	shared->failed_at = 0;
	shared->plan_calls = 0;
	shared->plan_at = 0;
	shared->struck[0] = '\0';
	memset(shared->kinds, 0, sizeof(shared->kinds));
	shared->real = shared->last_step = script.begin;
	shared->mono = 1000 * MQW_SECOND;
	shared->pickup_at = shared->serve_at = INT64_MAX;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void world_remove(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
