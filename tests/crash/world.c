/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world that the daemon lives in: what happens next in it and how fast its clocks go, and the
 * place where all of it lies.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/world.h"

/* After so long without a step of the script the calendar goes faster. */
#define LULL (MQW_SECOND / 2)
#define LULL_TICKS 2
#define PACE_MAX 1000
#define PACE_OWED 4 /* while something is put back: the daemon shall not be too late for it */
#define SETTLING (90 * MQW_SECOND)

struct script script;
char dir[64];

char *path_of(char ret[PATH_ROOM], const char *format, ...)
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

void check(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

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

bool world_step(void)
{
	bool noticed = shared->serve_at <= shared->real;

	for (unsigned int i = 0; i < shared->again_count; i++)
		if (shared->again[i].at <= shared->real) {
			mta_deliver_again(&shared->again[i]);
			noticed = true;
		}
	if (shared->pickup_at <= shared->real)
		noticed = mta_pick_up() || noticed;
	if (shared->serve_at <= shared->real)
		host_serve();
	if (shared->next < script.count && script.steps[shared->next].at <= shared->real) {
		noticed = mta_play(&script.steps[shared->next++]) || noticed;
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
			mta_pick_up();
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
	host_listen();
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
