/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

bool mqw_zone_is_known(struct mqw_slice name)
{
	char path[256];
	struct stat st;
	bool figures = false;

	for (size_t i = 0; i < name.len; i++) {
		/* A name in the database, and nothing that leads out of it. */
		if ((unsigned char)name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 0x7f)
			return false;
		figures = figures || (name.ptr[i] >= '0' && name.ptr[i] <= '9');
	}
	if (name.len == 0 || name.ptr[0] == '/' || name.ptr[0] == ':' ||
		mqw_slice_find(name, MQW_LIT("..")) < name.len ||
		snprintf(path, sizeof(path), "/usr/share/zoneinfo/%.*s", (int)name.len, name.ptr) >=
			(int)sizeof(path))
		return false;
	if (stat(path, &st) == 0)
		return S_ISREG(st.st_mode);
	return mqw_slice_eq(name, MQW_LIT("UTC")) || figures;
}

int mqw_zone_set(const char *name)
{
	if (!mqw_zone_is_known(mqw_slice_of(name)))
		return -EINVAL;
	if (setenv("TZ", name, 1) < 0)
		return -ENOMEM;
	tzset();
	return 0;
}
