/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time stands still while the daemon works. When it would wait for a timer, either what happens
 * next in its world happens, or the clocks go on to that timer: hours pass in milliseconds, and a
 * life goes the same way each time.
 */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/shim.h"

#define TIMERS_MAX 16

static int64_t us_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * MQW_SECOND + (ts->tv_nsec + 999) / 1000;
}

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
