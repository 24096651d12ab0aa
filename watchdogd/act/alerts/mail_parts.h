/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of a mail, for the files of this folder that make one. Line ends are CRLF. */
#ifndef MQW_ACT_ALERTS_MAIL_PARTS_H
#define MQW_ACT_ALERTS_MAIL_PARTS_H

#include "watchdogd/act/alerts/notice.h"

/* Date, in UTC. */
void mqw_mail_add_date(struct mqw_buffer *b, int64_t time);
/* An unstructured header, folded; what is not plain ASCII as encoded words. */
void mqw_mail_add_header(struct mqw_buffer *b, const char *name, struct mqw_slice value);
/* A text with "\n" line ends as quoted-printable. */
void mqw_mail_add_quoted(struct mqw_buffer *b, struct mqw_slice s);

/*
 * note.c: the note to a sender whose mail was reported as failed by mistake and was sent again:
 *   {"type":"note","id","host","time","to","message_id" or null,"recipients":[...]}
 */
void mqw_note_add_mail(struct mqw_buffer *b, const json_t *note, const char *mail_host);

#endif
