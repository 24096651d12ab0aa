/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone that stamps without one are in: one for the process, as mktime(3) has it. Set it before
 * there are threads.
 */
#ifndef MQW_BASE_ZONE_H
#define MQW_BASE_ZONE_H

#include "watchdogd/base/slice.h"

/*
 * Whether it is a zone of this host's database ("Europe/Berlin"), "UTC", or one in the form of
 * POSIX's TZ with its figures ("CET-1CEST"). glibc takes what it does not know for UTC without a
 * word; a typo must not shift a whole log.
 */
bool mqw_zone_is_known(struct mqw_slice name);

/* 0, -EINVAL for one that is not known, or -ENOMEM. */
int mqw_zone_set(const char *name);

#endif
