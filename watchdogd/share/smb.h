/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One folder on one share, through libsmbclient: the only user of it. */
#ifndef MQW_SHARE_SMB_H
#define MQW_SHARE_SMB_H

#include "watchdogd/base/credentials.h"
#include "watchdogd/base/share_url.h"
#include "watchdogd/share/walk.h"

struct mqw_smb;

/*
 * url and credentials are borrowed for its life. min_protocol: Samba's name of the oldest dialect
 * that is spoken, NULL for Samba's own choice. Connects at the first call only. NULL when memory is
 * out.
 */
struct mqw_smb *mqw_smb_create(const struct mqw_share_url *url,
	const struct mqw_credentials *credentials, const char *min_protocol);
struct mqw_smb *mqw_smb_free(struct mqw_smb *s);

/* Fills list, open, read and close of *ret, and its ctx. */
void mqw_smb_ops(struct mqw_smb *s, struct mqw_share_ops *ret);

/*
 * Calls changed() whenever the server says that something has changed in the folder, and returns when
 * it does not, or not any more. The connection is of no use for anything else afterwards, nor
 * meanwhile: for a process and a struct of their own.
 */
void mqw_smb_watch(struct mqw_smb *s, void (*changed)(void *ctx), void *ctx);

#endif
