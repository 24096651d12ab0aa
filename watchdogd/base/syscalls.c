/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* CLONE_NEWNS */
#include "watchdogd/base/syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
		CLONE_NEWCGROUP | CLONE_NEWTIME)

/*
 * Names that an architecture lacks are passed over: each call stands here in all its forms (stat,
 * fstat64, newfstatat, statx), as another libc takes another.
 */

static const char *const always[] = {
	/* memory */
	"brk", "madvise", "membarrier", "memfd_create", "mmap", "mmap2", "mprotect", "mremap",
	"msync", "munmap",
	/* time */
	"clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
	"clock_nanosleep", "clock_nanosleep_time64", "gettimeofday", "nanosleep", "time",
	/* threads, and processes of our own making */
	"arch_prctl", "cacheflush", "clone3", "exit", "exit_group", "fork", "futex", "futex_time64",
	"futex_waitv", "get_robust_list", "get_thread_area", "gettid", "pidfd_open",
	"pidfd_send_signal", "prctl", "restart_syscall", "rseq", "sched_getaffinity", "sched_yield",
	"seccomp", "set_robust_list", "set_thread_area", "set_tid_address", "set_tls",
	"riscv_flush_icache", "riscv_hwprobe", "uretprobe", "vfork", "wait4", "waitid", "waitpid",
	/* signals */
	"kill", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
	"rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo", "sigaction", "sigaltstack", "sigprocmask", "sigreturn", "signalfd",
	"signalfd4", "tgkill", "tkill",
	/* who and where we are */
	"getcpu", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
	"getgroups32", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom",
	"getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid",
	"getuid", "getuid32", "prlimit64", "sysinfo", "times", "ugetrlimit", "uname",
	/* descriptors */
	"_llseek", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "ioctl",
	"lseek", "pipe", "pipe2", "pread64", "preadv", "preadv2", "read", "readv", "write",
	"writev",
	/* the event loop */
	"_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2",
	"epoll_wait", "eventfd", "eventfd2", "poll", "ppoll", "ppoll_time64", "pselect6",
	"pselect6_time64", "select", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
	"timerfd_settime", "timerfd_settime64",
	/* an answer goes by a socket that is there already, as does a line for the log */
	"getpeername", "getsockname", "getsockopt", "recv", "recvfrom", "recvmmsg",
	"recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt",
	"shutdown", NULL};

static const char *const reading[] = {"access", "chdir", "faccessat", "faccessat2", "fadvise64",
	"fadvise64_64", "arm_fadvise64_64", "fchdir", "fgetxattr", "flistxattr", "fstat", "fstat64",
	"fstatat64", "fstatfs", "fstatfs64", "getcwd", "getdents", "getdents64", "getxattr",
	"inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "lgetxattr",
	"listxattr", "llistxattr", "lstat", "lstat64", "newfstatat", "open", "openat", "openat2",
	"readahead", "readlink", "readlinkat", "stat", "stat64", "statfs", "statfs64", "statx",
	NULL};

static const char *const writing[] = {"chmod", "copy_file_range", "creat", "fallocate", "fchmod",
	"fchmodat", "fchmodat2", "fdatasync", "flock", "fsync", "ftruncate", "ftruncate64", "link",
	"linkat", "mkdir", "mkdirat", "pwrite64", "pwritev", "pwritev2", "rename", "renameat",
	"renameat2", "rmdir", "sendfile", "sendfile64", "splice", "symlink", "symlinkat",
	"sync_file_range", "sync_file_range2", "syncfs", "truncate", "truncate64", "umask",
	"unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", NULL};

static const char *const connecting[] = {
	"accept", "accept4", "bind", "connect", "listen", "socketpair", NULL};

static const char *const owning[] = {
	"chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32", NULL};

/* Beyond all of the above: what shells, Perl, systemctl and an MTA's commands ask for. */
static const char *const running[] = {"alarm", "capget", "capset", "execve", "execveat",
	"fremovexattr", "fsetxattr", "getitimer", "get_mempolicy", "io_cancel", "io_destroy",
	"io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit",
	"ioprio_get", "kcmp", "lremovexattr", "lsetxattr", "mincore", "mknod", "mknodat", "mlock",
	"mlock2", "mlockall", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
	"mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "munlock",
	"munlockall", "name_to_handle_at", "pause", "personality", "pidfd_getfd", "process_madvise",
	"readdir", "remap_file_pages", "removexattr", "rt_sigqueueinfo", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getattr", "sched_getparam", "sched_getscheduler",
	"sched_rr_get_interval", "semctl", "semget", "semop", "semtimedop", "setfsgid",
	"setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32",
	"setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid", "setresgid32",
	"setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setuid",
	"setuid32", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "signal", "sync", "tee",
	"timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
	"vmsplice", NULL};

/* No program that we run has an honest use for these. */
static const char *const hostile[] = {"acct", "bpf", "delete_module", "finit_module", "fsconfig",
	"fsmount", "fsopen", "fspick", "init_module", "ioperm", "iopl", "kexec_file_load",
	"kexec_load", "mount", "mount_setattr", "move_mount", "open_by_handle_at", "open_tree",
	"perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace",
	"reboot", "setns", "swapoff", "swapon", "umount", "umount2", "unshare", NULL};

static const char *const executing[] = {"execve", "execveat", NULL};

static const struct {
	unsigned int may;
	const char *const *names;
} groups[] = {
	{0, always},
	{MQW_MAY_READ, reading},
	{MQW_MAY_WRITE, writing},
	{MQW_MAY_CONNECT, connecting},
	{MQW_MAY_CHOWN, owning},
	{MQW_MAY_RUN, running},
};

enum mqw_filter mqw_filter_from_name(const char *name)
{
	static const char *const names[MQW_FILTER_COUNT] = {"off", "on", "strict"};
	int i = 0;

	while (i < MQW_FILTER_COUNT && strcmp(names[i], name) != 0)
		i++;
	return (enum mqw_filter)i;
}

static int add(scmp_filter_ctx ctx, uint32_t action, const char *const *names)
{
	for (; *names; names++) {
		int number = seccomp_syscall_resolve_name(*names), r;

		if (number == __NR_SCMP_ERROR)
			continue; /* newer than this libseccomp: libc has another way */
		r = seccomp_rule_add(ctx, action, number, 0);
		/* Not on this architecture. */
		if (r < 0 && r != -EDOM && r != -EINVAL)
			return r;
	}
	return 0;
}

static int allow_sockets(scmp_filter_ctx ctx)
{
	/* NETLINK: how libc and MTAs list the interfaces. */
	static const uint64_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_EQ, families[i], 0));
	/* Where it goes by socketcall(2), no filter sees the family. */
	return r == -EINVAL || r == -EDOM
		? seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 0)
		: r;
}

/* Threads and processes, in the namespaces that we are in. */
static int allow_clone(scmp_filter_ctx ctx)
{
#if defined(__s390__) /* clone(2): there the flags come second */
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A1(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
#else
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
#endif
}

static int load(scmp_filter_ctx ctx, bool log)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* An old kernel has no log for it. */
	if (log)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	return r < 0 ? r : seccomp_load(ctx);
}

static int load_list(unsigned int may, enum mqw_filter filter)
{
	scmp_filter_ctx ctx = seccomp_init(
		filter == MQW_FILTER_STRICT ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS));
	int r = ctx ? 0 : -ENOSYS; /* an action that the kernel does not know, most likely */

	for (size_t i = 0; r == 0 && i < sizeof(groups) / sizeof(groups[0]); i++)
		if ((groups[i].may & may) == groups[i].may)
			r = add(ctx, SCMP_ACT_ALLOW, groups[i].names);
	if (r == 0)
		r = allow_clone(ctx);
	if (r == 0 && (may & MQW_MAY_CONNECT))
		r = allow_sockets(ctx);
	if (filter == MQW_FILTER_ON) {
		if (r == 0)
			r = add(ctx, SCMP_ACT_KILL_PROCESS, hostile);
		if (r == 0 && !(may & MQW_MAY_RUN))
			r = add(ctx, SCMP_ACT_KILL_PROCESS, executing);
	}
	if (r == 0)
		r = load(ctx, true);
	seccomp_release(ctx);
	return r;
}

/*
 * The flags of clone3(2) lie in memory, where no filter sees them: libc then takes clone(2). In a
 * filter of its own, since that happens all the time and is not worth a line in the log.
 */
static int refuse_clone3(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int number = seccomp_syscall_resolve_name("clone3"), r = ctx ? 0 : -ENOSYS;

	if (r == 0 && number != __NR_SCMP_ERROR)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), number, 0);
	if (r == 0)
		r = load(ctx, false);
	seccomp_release(ctx);
	return r;
}

int mqw_syscalls_confine(unsigned int may, enum mqw_filter filter)
{
	int r;

	if (filter == MQW_FILTER_OFF)
		return 0;
	r = load_list(may, filter);
	if (r == 0)
		r = refuse_clone3();
	/* What libseccomp says when the kernel refused without a reason that it passes on. */
	return r == -ECANCELED ? -ENOSYS : r;
}
