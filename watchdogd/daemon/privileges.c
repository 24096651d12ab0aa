/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* setresuid, initgroups */
#include "watchdogd/daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int keep_one_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	const uint32_t bit = (uint32_t)1 << CAP_DAC_READ_SEARCH;

	data[0].effective = data[0].permitted = bit;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int mqw_privileges_drop(const char *user)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
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
