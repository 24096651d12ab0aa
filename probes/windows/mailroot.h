/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders in which the SMTP service of IIS, and Exchange until 2003, keeps mail: mailroot, or
 * "Mailroot/vsi N" of a virtual server. A file there is a message without its envelope, which NTFS
 * keeps in streams beside it; it is named after nothing that a log has. Nothing may be moved to
 * Pickup from here: duplicates, and recipients lost, are what comes of it (KB306043).
 */
#ifndef MQW_PROBES_WINDOWS_MAILROOT_H
#define MQW_PROBES_WINDOWS_MAILROOT_H

#include "probes/probe.h"

extern const char *const mqw_mailroot_directories[];

/* "Queue/NTFS_0a1b.EML" waits, "Pickup/x.eml" arrives, "Badmail/x.BAD" was given up without a word. */
bool mqw_mailroot_name(struct mqw_slice relative_path, struct mqw_queue_name *ret);
/*
 * What a file's own header says of its sender and recipients. That is not the envelope, which is not
 * in it: recipients without a header are missing, and those of a list have its address.
 */
int mqw_mailroot_file(struct mqw_slice content, struct mqw_queue_file *ret);

bool mqw_mailroot_valid_id(struct mqw_slice id);

/* Always: that a message of the log is no file there says nothing of it. */
bool mqw_mailroot_in_other_queue(const struct mqw_message *m);

/* Never: these servers do not log to a journal. */
bool mqw_windows_is_genuine(
	const char *service, struct mqw_slice unit, struct mqw_slice uid, struct mqw_slice exe);

#endif
