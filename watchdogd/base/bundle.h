/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several files as one: how a message is kept and handed on whose queue file is a pair. A head,
 * "mqw-bundle LENGTH LENGTH ...\n" in decimal bytes, then the files one after the other.
 */
#ifndef MQW_BASE_BUNDLE_H
#define MQW_BASE_BUNDLE_H

#include "watchdogd/base/buffer.h"

#define MQW_BUNDLE_MAX 4 /* files */

/* Adds the head for count files, 1 to MQW_BUNDLE_MAX, of these lengths. */
void mqw_bundle_add_head(struct mqw_buffer *b, const uint64_t *lengths, size_t count);

/*
 * Takes a bundle apart: the files, borrowed from content, into ret. How many there are, 1 or more;
 * -EBADMSG when it is none, is cut short, or has something behind its last file.
 */
int mqw_bundle_split(struct mqw_slice content, struct mqw_slice ret[MQW_BUNDLE_MAX]);

#endif
