/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "smb://host/share/folder/pattern": files on another host, as the configuration names them. */
#ifndef MQW_BASE_SHARE_URL_H
#define MQW_BASE_SHARE_URL_H

#include "watchdogd/base/slice.h"

/* Slices point into the URL. */
struct mqw_share_url {
	struct mqw_slice host;
	struct mqw_slice folder; /* with smb:// and the "/" at its end */
	struct mqw_slice name; /* of one file, or a pattern; empty: all that are in the folder */
};

/* Whether a text is meant to be such a URL. */
bool mqw_share_url_is(struct mqw_slice text);

/* Takes it apart. NULL when it is good, else what is allowed; no user name or password is. */
const char *mqw_share_url_parse(struct mqw_slice text, struct mqw_share_url *ret);

/* Whether s can be the name or the address of a host. */
bool mqw_share_url_is_host(struct mqw_slice s);

#endif
