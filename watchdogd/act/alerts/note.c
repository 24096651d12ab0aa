/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The note to a sender, an automatic reply by RFC 3834: it says that it is one, to which mail it
 * replies, and it has the null envelope sender, so that no robot answers it and its own failure
 * makes no report.
 */
#include "watchdogd/act/alerts/mail_parts.h"

#define MESSAGE_ID_MAX 900 /* a line has 998 bytes at most (RFC 5322 section 2.1.1) */

/* Whether a stranger's Message-ID may stand in a header of ours. */
static bool is_sound_id(struct mqw_slice id)
{
	for (size_t i = 0; i < id.len; i++)
		if (id.ptr[i] < 0x21 || id.ptr[i] > 0x7e || id.ptr[i] == '<' || id.ptr[i] == '>')
			return false;
	return id.len >= 1 && id.len <= MESSAGE_ID_MAX;
}

static void add_headers(struct mqw_buffer *b, const json_t *n, const char *mail_host)
{
	struct mqw_slice to = mqw_notice_text(n, "to"), token = mqw_notice_text(n, "id");
	struct mqw_slice host = mqw_notice_text(n, "host"), id = mqw_notice_text(n, "message_id");
	int64_t time = 0;

	mqw_time_parse(mqw_notice_text(n, "time"), 0, &time);
	mqw_mail_add_date(b, time > 0 ? time : 0);
	mqw_buffer_printf(b,
		"From: Mail service <postmaster@%s>\r\nTo: <%.*s>\r\n"
		"Subject: Your mail has been sent again: the failure report was wrong\r\n"
		"Message-ID: <mqw.%.*s@%.*s>\r\n",
		mail_host, (int)to.len, to.ptr, (int)token.len, token.ptr, (int)host.len, host.ptr);
	if (is_sound_id(id))
		mqw_buffer_printf(b, "In-Reply-To:\r\n <%.*s>\r\nReferences:\r\n <%.*s>\r\n",
			(int)id.len, id.ptr, (int)id.len, id.ptr);
	mqw_buffer_add_str(b,
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
}

void mqw_note_add_mail(struct mqw_buffer *b, const json_t *note, const char *mail_host)
{
	const json_t *recipients = json_object_get(note, "recipients");
	struct mqw_buffer text = {0};

	add_headers(b, note, mail_host);
	mqw_buffer_add_str(&text,
		"You got a report that your mail could not be delivered. That report was wrong:\n"
		"the other side had only asked for another try later.\n\n"
		"Your mail has now been sent again to\n\n");
	for (size_t i = 0; i < json_array_size(recipients); i++) {
		const json_t *one = json_array_get(recipients, i);

		mqw_buffer_add_str(&text, "    ");
		mqw_buffer_add_printable(
			&text, mqw_slice(json_string_value(one), json_string_length(one)));
		mqw_buffer_add_str(&text, "\n");
	}
	mqw_buffer_add_str(&text,
		"\nYou need not send it again. Should it fail for good, another report will say "
		"so.\n\nA program wrote this; it reads no answers.\n");
	mqw_mail_add_quoted(b, mqw_buffer_slice(&text));
	b->failed = b->failed || text.failed;
	mqw_buffer_done(&text);
}
