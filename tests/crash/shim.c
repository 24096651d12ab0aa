/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands between the daemon and the system. The names of the C library are defined here, in the
 * program itself, so that the daemon's code and the libraries that it uses (SQLite, systemd) call
 * these: that is where a life ends, or where a call fails, and where time comes from.
 *
 * Time stands still while the daemon works. When it would wait for a timer, either what happens
 * next in its world happens, or the clocks go on to that timer: hours pass in milliseconds, and a
 * life goes the same way each time.
 */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/crash.h"

#define EXPORT __attribute__((visibility("default")))
#define TIMERS_MAX 16

struct shared *shared;
enum role role;
bool outside = true;

static const char *const names[CALL_COUNT] = {"write", "pwrite", "fsync", "rename", "open",
	"unlink", "truncate", "mkdir", "chmod", "send", "copy", "malloc"};

const char *call_name(int kind)
{
	return kind >= 0 && kind < CALL_COUNT ? names[kind] : "any";
}

static void die(void)
{
	syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	for (;;)
		syscall(SYS_pause);
}

static const struct plan *plan_now(void)
{
	return shared->plan_at < shared->plan_count ? &shared->plans[shared->plan_at] : NULL;
}

static void note_blow(enum call_kind kind, const struct plan *p)
{
	static const char *const how[] = {
		"", "killed before", "killed after", "killed amid", "failed"};

	size_t len = strlen(shared->struck);

	shared->kinds[role][kind]++;
	snprintf(shared->struck + len, sizeof(shared->struck) - len, "%s%s %s %s %llu",
		len ? ", " : "", role == ROLE_DAEMON ? "daemon" : "helper", how[p->blow],
		names[kind], (unsigned long long)shared->plan_calls);
}

static void struck(const struct plan *p)
{
	if (p->blow == BLOW_FAIL) {
		shared->failures++;
	} else {
		shared->plan_at++;
		shared->plan_calls = 0;
		if (role == ROLE_DAEMON)
			shared->kills++;
		else
			shared->helper_kills++;
		die();
	}
}

/* Counts a call, and says what is to be done to it. BLOW_FAIL: errno is set. */
static enum blow begin_call(enum call_kind kind)
{
	const struct plan *p;

	if (outside)
		return BLOW_NONE;
	shared->calls[role][kind]++;
	if (kind != CALL_MALLOC) {
		shared->calls[role][CALL_COUNT]++;
		if (role == ROLE_DAEMON && shared->trace_len < CALLS_MAX)
			shared->trace[shared->trace_len++] = (uint8_t)kind;
	}
	p = plan_now();
	if (!p || p->role != role ||
		(p->kind == CALL_COUNT ? kind == CALL_MALLOC : p->kind != (int)kind))
		return BLOW_NONE;
	shared->plan_calls++;
	if (shared->plan_calls < p->at)
		return BLOW_NONE;
	if (p->blow == BLOW_FAIL) {
		shared->failed_at = shared->mono;
		if (shared->plan_calls == p->at)
			note_blow(kind, p);
		struck(p);
		if (shared->plan_calls >= p->at + p->times - 1) {
			shared->plan_at++;
			shared->plan_calls = 0;
		}
		errno = p->error;
		return BLOW_FAIL;
	}
	note_blow(kind, p);
	if (p->blow == BLOW_KILL_BEFORE)
		struck(p);
	return p->blow;
}

static long end_call(enum blow blow, long r)
{
	int e = errno;

	if (blow == BLOW_KILL_AFTER || blow == BLOW_KILL_AMID)
		struck(plan_now());
	errno = e;
	return r;
}

/* For calls with nothing to be done in halves. */
#define CALL(kind, call)                                                                           \
	do {                                                                                       \
		enum blow blow_ = begin_call(kind);                                                \
		return blow_ == BLOW_FAIL ? -1 : (__typeof__(call))end_call(blow_, call);          \
	} while (0)

static size_t share_of(enum blow blow, size_t n)
{
	return blow == BLOW_KILL_AMID ? n / 2 : n;
}

static int64_t us_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * MQW_SECOND + (ts->tv_nsec + 999) / 1000;
}

static struct timespec ts_of(int64_t us)
{
	return (struct timespec){us / MQW_SECOND, us % MQW_SECOND * 1000};
}

/* Times of files, by the world's calendar. */

static struct file_times *times_of(const struct stat *st)
{
	size_t at = (size_t)(st->st_ino * 0x9e3779b97f4a7c15 >> 32);

	if (!shared || !S_ISREG(st->st_mode) || st->st_dev != shared->device)
		return NULL;
	for (size_t i = 0; i < FILES_MAX; i++) {
		struct file_times *t = &shared->files[(at + i) % FILES_MAX];

		if (t->ino == 0)
			*t = (struct file_times){st->st_ino, shared->real, shared->real, false};
		if (t->ino == st->st_ino)
			return t;
	}
	return NULL;
}

enum change { CHANGE_MODE, CHANGE_CONTENT, CHANGE_TIMES };

static void touch(int at, const char *path, enum change change)
{
	struct file_times *t;
	struct stat st;
	int e = errno;

	if (shared &&
		syscall(SYS_newfstatat, at, path, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 &&
		(t = times_of(&st))) {
		t->changed = shared->real;
		if (change != CHANGE_MODE) {
			t->modified = shared->real;
			t->set = change == CHANGE_TIMES;
		}
	}
	errno = e;
}

static int look_at_file(int at, const char *path, struct stat *ret, int flags)
{
	int r = (int)syscall(SYS_newfstatat, at, path, ret, flags);
	const struct file_times *t = r == 0 ? times_of(ret) : NULL;

	if (t) {
		ret->st_ctim = ts_of(t->changed);
		if (!t->set)
			ret->st_mtim = ts_of(t->modified);
	}
	return r;
}

/*
 * The daemon looks at its log, by name and by descriptor, thousands of times for each line of it:
 * what it saw is kept for as long as nothing was written. [0] by name, [1] by descriptor.
 */
static struct {
	uint64_t writes;
	int fd;
	struct stat st;
} log_seen[2] = {{.writes = UINT64_MAX}, {.writes = UINT64_MAX}};

static int look_at(int at, const char *path, struct stat *ret, int flags)
{
	int which = !*path;
	bool may = !outside && role == ROLE_DAEMON &&
		(*path ? strcmp(path, world_log()) == 0 : log_seen[1].fd == at);
	int r;

	if (may && log_seen[which].writes == shared->log_writes) {
		*ret = log_seen[which].st;
		return 0;
	}
	r = look_at_file(at, path, ret, flags);
	if (r < 0 || outside || role != ROLE_DAEMON)
		return r;
	if (*path ? may
		  : log_seen[0].writes == shared->log_writes &&
				ret->st_ino == log_seen[0].st.st_ino) {
		log_seen[which].writes = shared->log_writes;
		log_seen[which].st = *ret;
		log_seen[which].fd = at;
	}
	return r;
}

EXPORT int close(int fd)
{
	if (fd == log_seen[1].fd)
		log_seen[1].writes = UINT64_MAX;
	return (int)syscall(SYS_close, fd);
}

/* With 64 bits struct stat64 is the same. */
#define STAT(name, type, arguments, at, path, flags)                                               \
	EXPORT int name arguments                                                                  \
	{                                                                                          \
		return look_at(at, path, (struct stat *)ret, flags);                               \
	}
STAT(stat, struct stat, (const char *path, struct stat *ret), AT_FDCWD, path, 0)
STAT(stat64, struct stat64, (const char *path, struct stat64 *ret), AT_FDCWD, path, 0)
STAT(lstat, struct stat, (const char *path, struct stat *ret), AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
STAT(lstat64, struct stat64, (const char *path, struct stat64 *ret), AT_FDCWD, path,
	AT_SYMLINK_NOFOLLOW)
STAT(fstat, struct stat, (int fd, struct stat *ret), fd, "", AT_EMPTY_PATH)
STAT(fstat64, struct stat64, (int fd, struct stat64 *ret), fd, "", AT_EMPTY_PATH)
STAT(fstatat, struct stat, (int at, const char *path, struct stat *ret, int flags), at, path, flags)
STAT(fstatat64, struct stat64, (int at, const char *path, struct stat64 *ret, int flags), at, path,
	flags)

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
	enum blow blow = fd == 2 ? BLOW_NONE : begin_call(CALL_WRITE);
	ssize_t r;

	if (blow == BLOW_FAIL)
		return -1;
	r = syscall(SYS_write, fd, data, share_of(blow, n));
	if (fd != 2)
		touch(fd, "", CHANGE_CONTENT);
	return end_call(blow, r);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
	enum blow blow = begin_call(CALL_PWRITE);

	return blow == BLOW_FAIL
		? -1
		: end_call(blow, syscall(SYS_pwrite64, fd, data, share_of(blow, n), at));
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}

EXPORT int fsync(int fd)
{
	CALL(CALL_FSYNC, (int)syscall(SYS_fsync, fd));
}

EXPORT int fdatasync(int fd)
{
	CALL(CALL_FSYNC, (int)syscall(SYS_fdatasync, fd));
}

EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
	enum blow blow = begin_call(CALL_RENAME);
	int r;

	if (blow == BLOW_FAIL)
		return -1;
	r = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
	if (r == 0)
		touch(to_dir, to, CHANGE_MODE);
	/* Perhaps into maildrop. */
	if (r == 0 && role == ROLE_HELPER && !outside)
		world_wake_pickup(PICKUP_EVERY);
	return (int)end_call(blow, r);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

EXPORT int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int open_at(int at, const char *path, int flags, mode_t mode)
{
	CALL(CALL_OPEN, (int)syscall(SYS_openat, at, path, flags, mode));
}

#define MODE_OF(flags)                                                                             \
	({                                                                                         \
		mode_t mode_ = 0;                                                                  \
		va_list ap_;                                                                       \
		va_start(ap_, flags);                                                              \
		if ((flags) & (O_CREAT | __O_TMPFILE))                                             \
			mode_ = va_arg(ap_, mode_t);                                               \
		va_end(ap_);                                                                       \
		mode_;                                                                             \
	})

EXPORT int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

EXPORT int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

EXPORT int openat64(int at, const char *path, int flags, ...)
{
	return open_at(at, path, flags, MODE_OF(flags));
}

EXPORT int openat(int at, const char *path, int flags, ...)
{
	return open_at(at, path, flags, MODE_OF(flags));
}

EXPORT int unlinkat(int at, const char *path, int flags)
{
	CALL(CALL_UNLINK, (int)syscall(SYS_unlinkat, at, path, flags));
}

EXPORT int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

EXPORT int ftruncate64(int fd, off_t size)
{
	CALL(CALL_TRUNCATE, (int)syscall(SYS_ftruncate, fd, size));
}

EXPORT int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

EXPORT int mkdirat(int at, const char *path, mode_t mode)
{
	CALL(CALL_MKDIR, (int)syscall(SYS_mkdirat, at, path, mode));
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

static int change_mode(
	int fd, enum change change, int (*call)(int fd, const void *a), const void *a)
{
	enum blow blow = begin_call(CALL_MODE);
	int r;

	if (blow == BLOW_FAIL)
		return -1;
	r = call(fd, a);
	touch(fd, "", change);
	return (int)end_call(blow, r);
}

static int call_fchmod(int fd, const void *mode)
{
	return (int)syscall(SYS_fchmod, fd, *(const mode_t *)mode);
}

static int call_fchown(int fd, const void *ids)
{
	return (int)syscall(SYS_fchown, fd, ((const uid_t *)ids)[0], ((const uid_t *)ids)[1]);
}

static int call_futimens(int fd, const void *times)
{
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

EXPORT int fchmod(int fd, mode_t mode)
{
	return change_mode(fd, CHANGE_MODE, call_fchmod, &mode);
}

EXPORT int fchown(int fd, uid_t uid, gid_t gid)
{
	const uid_t ids[2] = {uid, gid};

	return change_mode(fd, CHANGE_MODE, call_fchown, ids);
}

EXPORT int futimens(int fd, const struct timespec times[2])
{
	return change_mode(fd, CHANGE_TIMES, call_futimens, times);
}

EXPORT int utimensat(int at, const char *path, const struct timespec times[2], int flags)
{
	int r = (int)syscall(SYS_utimensat, at, path, times, flags);

	touch(at, path, CHANGE_TIMES);
	return r;
}

EXPORT ssize_t send(int fd, const void *data, size_t n, int flags)
{
	enum blow blow = begin_call(CALL_SEND);
	ssize_t r;

	if (blow == BLOW_FAIL)
		return -1;
	r = syscall(SYS_sendto, fd, data, n, flags, NULL, 0);
	/* The daemon sends nothing but requests to the helper. */
	if (r > 0 && role == ROLE_DAEMON)
		shared->asked++;
	return end_call(blow, r);
}

EXPORT ssize_t copy_file_range(
	int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned int flags)
{
	enum blow blow = begin_call(CALL_COPY);
	ssize_t r;

	if (blow == BLOW_FAIL)
		return -1;
	r = syscall(SYS_copy_file_range, from, from_at, to, to_at, share_of(blow, n), flags);
	touch(to, "", CHANGE_CONTENT);
	return end_call(blow, r);
}

/* A sanitizer has to have malloc to itself. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER
#endif
#ifndef HAS_SANITIZER
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

EXPORT void *malloc(size_t size)
{
	return !outside && begin_call(CALL_MALLOC) == BLOW_FAIL ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return !outside && begin_call(CALL_MALLOC) == BLOW_FAIL ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return !outside && size && begin_call(CALL_MALLOC) == BLOW_FAIL ? NULL
									: __libc_realloc(p, size);
}
#endif

/* The helper looks at the processes of its host: those of the world. */
EXPORT DIR *opendir(const char *path)
{
	static DIR *(*real)(const char *);
	bool was = outside;
	DIR *d;

	outside = true;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "opendir");
	d = real(!was && role == ROLE_HELPER && strcmp(path, "/proc") == 0 ? world_proc() : path);
	outside = was;
	return d;
}

/* Time. */

static struct {
	int fd;
	bool fired; /* said to be readable, and not read yet */
	int64_t due; /* on the machine's own clock; 0 not armed */
	struct epoll_event event;
} timers[TIMERS_MAX];

/* What only the kernel knows may have become ready since it was asked. */
static bool ask_kernel = true;
static int main_epoll = -1; /* of the daemon's own loop: the one with timers */
static bool forked;

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!shared)
		return (int)syscall(SYS_clock_gettime, clock, ret);
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ret = ts_of(shared->real);
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_BOOTTIME:
		*ret = ts_of(shared->mono);
		return 0;
	default:
		return (int)syscall(SYS_clock_gettime, clock, ret);
	}
}

static int timer_of(int fd)
{
	for (int i = 0; i < TIMERS_MAX && timers[i].fd; i++)
		if (timers[i].fd == fd)
			return i;
	return -1;
}

/* The kernel's timer is there for its number alone: it is never armed. */
EXPORT int timerfd_create(int clock, int flags)
{
	int fd = (int)syscall(SYS_timerfd_create, clock, flags), i = timer_of(fd);

	if (i < 0)
		for (i = 0; i < TIMERS_MAX - 1 && timers[i].fd; i++)
			;
	memset(&timers[i], 0, sizeof(timers[i]));
	timers[i].fd = fd;
	return fd;
}

EXPORT int timerfd_settime(
	int fd, int flags, const struct itimerspec *spec, struct itimerspec *ret_old)
{
	int i = timer_of(fd);

	(void)ret_old;
	if (i < 0) {
		errno = EBADF;
		return -1;
	}
	timers[i].due = us_of(&spec->it_value);
	if (timers[i].due && !(flags & TFD_TIMER_ABSTIME))
		timers[i].due += shared->mono;
	timers[i].fired = false;
	return 0;
}

EXPORT ssize_t read(int fd, void *data, size_t n)
{
	const uint64_t once = 1;
	int i = fd > 0 && !outside ? timer_of(fd) : -1;

	if (i < 0)
		return syscall(SYS_read, fd, data, n);
	timers[i].fired = false;
	memcpy(data, &once, sizeof(once));
	return sizeof(once);
}

EXPORT int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	int i = timer_of(fd);

	if (i >= 0 && event) {
		timers[i].event = *event;
		main_epoll = epoll;
	}
	ask_kernel = true;
	return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

EXPORT pid_t fork(void)
{
	static pid_t (*real)(void);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fork");
	forked = forked || !outside;
	return real();
}

static int64_t first_timer(void)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < TIMERS_MAX && timers[i].fd; i++)
		if (timers[i].due && timers[i].due < due)
			due = timers[i].due;
	return due;
}

/* The timers that are due, as epoll_wait() gives them. */
static int fire_timers(struct epoll_event *events, int max)
{
	int n = 0;

	for (size_t i = 0; i < TIMERS_MAX && timers[i].fd && n < max; i++) {
		if (timers[i].due && timers[i].due <= shared->mono) {
			timers[i].due = 0;
			timers[i].fired = true;
		}
		if (timers[i].fired) {
			events[n] = timers[i].event;
			events[n++].events = EPOLLIN;
		}
	}
	return n;
}

static bool has_child(void)
{
	siginfo_t info;

	return forked &&
		syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG, NULL) == 0;
}

static int look(int epoll, struct epoll_event *events, int max)
{
	/* In true time where a child sends an alert. */
	int pause = has_child() ? 20 : 0, n;

	if (!ask_kernel && !pause)
		return 0;
	n = (int)syscall(SYS_epoll_wait, epoll, events, max, pause);
	ask_kernel = n != 0;
	return n;
}

/* Nothing is ready: the world moves, or the clocks do. */
static int wait_in_world(int epoll, struct epoll_event *events, int max, int64_t timeout)
{
	int64_t until = timeout < 0 ? INT64_MAX : shared->mono + timeout;

	for (;;) {
		int64_t timer = first_timer(), happens = world_next(), pause;
		int n;

		if (until < timer)
			timer = until;
		pause = happens <= shared->real ? 0 : (happens - shared->real) / world_pace();
		if (happens != INT64_MAX && (timer == INT64_MAX || shared->mono + pause < timer)) {
			if (happens > shared->real) {
				world_advance(pause);
				shared->real = happens;
			}
			ask_kernel = world_step() || ask_kernel;
		} else {
			if (timer > shared->mono)
				world_advance(timer - shared->mono);
			n = fire_timers(events, max);
			if (n || shared->mono >= until)
				return n;
		}
		n = look(epoll, events, max);
		if (n != 0)
			return n;
	}
}

static int wait_for(int epoll, struct epoll_event *events, int max, int64_t timeout)
{
	int n;

	if (outside || (timeout == 0 && (ask_kernel || epoll != main_epoll)))
		return (int)syscall(SYS_epoll_wait, epoll, events, max, 0);
	outside = true;
	n = look(epoll, events, max);
	if (n == 0)
		n = fire_timers(events, max);
	if (n == 0 && timeout)
		n = wait_in_world(epoll, events, max, timeout);
	outside = false;
	return n;
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
	return wait_for(epoll, events, max, timeout < 0 ? -1 : (int64_t)timeout * 1000);
}

EXPORT int epoll_pwait2(int epoll, struct epoll_event *events, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	(void)mask;
	return wait_for(epoll, events, max, timeout ? us_of(timeout) : -1);
}

/* SQLite's locks: there is nobody else, and they are most of what a second costs. */
EXPORT int fcntl64(int fd, int command, ...)
{
	va_list ap;
	long argument;

	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	if (command == F_SETLK)
		return 0;
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

/* The helper waits for the MTA, SQLite for a lock. */
EXPORT int nanosleep(const struct timespec *wanted, struct timespec *ret_rest)
{
	bool was = outside;

	(void)ret_rest;
	outside = true;
	world_wait(shared->real + us_of(wanted));
	outside = was;
	return 0;
}

EXPORT int usleep(useconds_t us)
{
	const struct timespec wanted = ts_of(us);

	return nanosleep(&wanted, NULL);
}
