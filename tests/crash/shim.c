/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands between the daemon and the system. The names of the C library are defined here, in
 * file_times.c and in clock.c, in the program itself, so that the daemon's code and the libraries
 * that it uses (SQLite, systemd) call these: that is where a life ends, or where a call fails, and
 * where time comes from.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/crash/shim.h"

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
