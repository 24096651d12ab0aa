/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* setresuid, initgroups */
#include "watchdogd/daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watchdogd/config/config.h"

static int keep_one_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	const uint32_t bit = (uint32_t)1 << CAP_DAC_READ_SEARCH;

	data[0].effective = data[0].permitted = bit;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* systemd gives the capability as an ambient one, which a program that is run would have, too. */
static int clear_ambient(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0 && errno != EINVAL
		? -errno
		: 0;
}

int mqw_privileges_drop(const char *user)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return clear_ambient();
	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errno ? -errno : -ENOENT;
	if (pw->pw_uid == 0)
		return -EINVAL;
	if (initgroups(user, pw->pw_gid) < 0 || prctl(PR_SET_KEEPCAPS, 1L) < 0 ||
		setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
		setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return -errno;
	prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
	/* PID 1 may want its core dumps; /proc/self stays readable for the directory watch. */
	prctl(PR_SET_DUMPABLE, 1L);
	return keep_one_capability();
}

bool mqw_privileges_runs_programs(const struct mqw_config *c)
{
	for (size_t i = 0; i < c->alert_count; i++)
		if (c->alerts[i].channel == MQW_CHANNEL_COMMAND)
			return true;
	/* Samba's net, the reader of shares, a command in their place. */
	for (size_t i = 0; i < c->instance_count; i++)
		if (c->instances[i].host)
			return true;
	return false;
}

int mqw_privileges_confine(bool runs_programs, enum mqw_filter filter)
{
	unsigned int may = MQW_MAY_READ | MQW_MAY_WRITE | MQW_MAY_CONNECT;

	return mqw_syscalls_confine(runs_programs ? may | MQW_MAY_RUN : may, filter);
}
