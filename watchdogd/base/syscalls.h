/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes from a process, for good, the system calls that it has no use for (seccomp, by libseccomp):
 * who gets hold of it through a log line or a frame finds little to do with it. Works on top of
 * what the unit has taken already, and where there is no systemd.
 */
#ifndef MQW_BASE_SYSCALLS_H
#define MQW_BASE_SYSCALLS_H

/* What a process goes on doing; memory, time, threads, signals and polling it always may. */
enum mqw_may {
	MQW_MAY_READ = 1, /* files and directories; inotify */
	MQW_MAY_WRITE = 2, /* make, write, lock, rename and remove files */
	MQW_MAY_CONNECT = 4, /* Unix and Internet sockets */
	MQW_MAY_CHOWN = 8, /* give files to others */
	MQW_MAY_RUN = 16, /* programs of others: all that such need, which is much */
};

enum mqw_filter {
	MQW_FILTER_OFF, /* for the case that a new libc breaks on it */
	MQW_FILTER_ON, /* what is not listed fails as on a kernel that lacks it, and is logged there */
	MQW_FILTER_STRICT, /* it ends the process, by SIGSYS: for tests */
	MQW_FILTER_COUNT
};

/* "off", "on" or "strict"; MQW_FILTER_COUNT for another word. */
enum mqw_filter mqw_filter_from_name(const char *name);

/*
 * Confines this process, all its threads and all its children; may: bits of enum mqw_may. Attacks
 * on other processes, the kernel and the file system's layout end the process in any mode, as does
 * execve(2) without MQW_MAY_RUN. Can be called again to take more away. 0, or a negative errno:
 * -ENOSYS when the kernel has no seccomp; then nothing or a part is taken.
 */
int mqw_syscalls_confine(unsigned int may, enum mqw_filter filter);

#endif
