/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file with a user name and a password for a Windows host, in the form that Samba's programs
 * take with -A:
 *	username = watchdog
 *	password = secret
 *	domain = EXAMPLE
 * Only files count that strangers can neither read nor change.
 */
#ifndef MQW_BASE_CREDENTIALS_H
#define MQW_BASE_CREDENTIALS_H

#include "watchdogd/base/buffer.h"

#define MQW_CREDENTIAL_MAX 256 /* bytes of one value, with its NUL */

struct mqw_credentials {
	char user[MQW_CREDENTIAL_MAX], password[MQW_CREDENTIAL_MAX], domain[MQW_CREDENTIAL_MAX];
};

/*
 * The file that is meant: an absolute path as it is, anything else is the name of a credential of
 * systemd (LoadCredential=), which lies where CREDENTIALS_DIRECTORY says. False when memory is out.
 */
bool mqw_credentials_path(const char *configured, struct mqw_buffer *ret);

/*
 * Reads the file at path. 0; -EPERM when others than its owner and group could read it or others
 * than its owner could write it, or when it belongs to neither root nor the caller; -EBADMSG when a
 * line is of another form, too long, or user or password is missing; or what open(2) says. ret_why
 * gets a sentence then, which holds nothing of what is in the file.
 */
int mqw_credentials_read(const char *path, struct mqw_credentials *ret, struct mqw_buffer *ret_why);

/* Overwrites what is in c. */
void mqw_credentials_done(struct mqw_credentials *c);

#endif
