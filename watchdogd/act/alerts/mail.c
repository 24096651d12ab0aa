/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A notice as a mail. Nothing that a stranger wrote gets into a header: a header holds words of
 * our own, counts, and names of the configuration; and what is not plain ASCII of one line goes
 * as an encoded word (RFC 2047), so that no header can end early. The body is quoted-printable,
 * which every relay takes.
 */
#include <stdio.h>

#include "watchdogd/act/alerts/mail_parts.h"

#define LINE_MAX 76 /* of quoted-printable: RFC 2045 section 6.7 */
#define WORD_BYTES 39 /* 52 base64 digits: with "=?UTF-8?B?" and "?=" within 75 */

static void add_base64(struct mqw_buffer *b, struct mqw_slice s)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < s.len; i += 3) {
		unsigned v = (unsigned)(unsigned char)s.ptr[i] << 16;
		char out[4];

		if (i + 1 < s.len)
			v |= (unsigned)(unsigned char)s.ptr[i + 1] << 8;
		if (i + 2 < s.len)
			v |= (unsigned char)s.ptr[i + 2];
		out[0] = digits[v >> 18];
		out[1] = digits[v >> 12 & 63];
		out[2] = i + 1 < s.len ? digits[v >> 6 & 63] : '=';
		out[3] = i + 2 < s.len ? digits[v & 63] : '=';
		mqw_buffer_add(b, mqw_slice(out, 4));
	}
}

/* Printable ASCII that cannot be taken for an encoded word. */
static bool is_plain(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
			return false;
	return mqw_slice_find(s, MQW_LIT("=?")) == s.len;
}

/* An unstructured header (RFC 5322 section 2.2.1), folded before words. */
void mqw_mail_add_header(struct mqw_buffer *b, const char *name, struct mqw_slice value)
{
	size_t at = strlen(name) + 2, n;

	mqw_buffer_printf(b, "%s:", name);
	if (is_plain(value)) {
		while (value.len) {
			n = mqw_slice_chr(value, ' ');
			mqw_buffer_add_str(b, at + n > 76 ? "\r\n " : " ");
			at = at + n > 76 ? 1 + n : at + n + 1;
			mqw_buffer_add(b, mqw_slice_head(value, n));
			value = mqw_slice_from(value, n + 1);
		}
	} else {
		for (const char *before = " "; value.len; before = "\r\n ") {
			n = value.len < WORD_BYTES ? value.len : WORD_BYTES;
			/* No character is cut in two (RFC 2047 section 5). */
			while (n > 1 && n < value.len &&
				((unsigned char)value.ptr[n] & 0xc0) == 0x80)
				n--;
			mqw_buffer_printf(b, "%s=?UTF-8?B?", before);
			add_base64(b, mqw_slice_head(value, n));
			mqw_buffer_add_str(b, "?=");
			value = mqw_slice_from(value, n);
		}
	}
	mqw_buffer_add_str(b, "\r\n");
}

/* RFC 5322 section 3.3, in UTC, whatever the locale. */
void mqw_mail_add_date(struct mqw_buffer *b, int64_t time)
{
	static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64_t seconds = time / MQW_SECOND, day = seconds / 86400;
	int year, month, mday;

	mqw_civil_from_days(day, &year, &month, &mday);
	seconds -= day * 86400;
	mqw_buffer_printf(b, "Date: %s, %d %s %04d %02d:%02d:%02d +0000\r\n", days[day % 7], mday,
		months[month - 1], year, (int)(seconds / 3600), (int)(seconds / 60 % 60),
		(int)(seconds % 60));
}

static void add_headers(struct mqw_buffer *b, const json_t *n, const struct mqw_alert_config *c,
	const char *mail_host)
{
	struct mqw_buffer text = {0};
	struct mqw_slice host = mqw_notice_text(n, "host"), token = mqw_notice_text(n, "id");
	int64_t time = 0;

	mqw_time_parse(mqw_notice_text(n, "time"), 0, &time);
	mqw_mail_add_date(b, time > 0 ? time : 0);
	mqw_buffer_add_str(b, "From: mailq-watchdog <");
	if (c->from)
		mqw_buffer_add_str(b, c->from);
	else
		mqw_buffer_printf(b, "mailq-watchdog@%s", mail_host);
	mqw_buffer_add_str(b, ">\r\nTo: ");
	for (size_t i = 0; i < c->email_count; i++)
		mqw_buffer_printf(b, "%s<%s>", i ? ",\r\n\t" : "", c->email[i]);
	mqw_buffer_add_str(b, "\r\n");
	mqw_buffer_add_str(&text, "[mailq-watchdog] ");
	mqw_buffer_add(&text, host);
	mqw_buffer_add_str(&text, ": ");
	mqw_buffer_add_printable(&text, mqw_notice_text(n, "summary"));
	mqw_mail_add_header(b, "Subject", mqw_buffer_slice(&text));
	mqw_buffer_printf(b, "Message-ID: <mqw.%.*s@%.*s>\r\n", (int)token.len, token.ptr,
		(int)host.len, host.ptr);
	/* RFC 3834: no vacation notice or other robot answers this. */
	mqw_buffer_add_str(b, "Auto-Submitted: auto-generated\r\n");
	mqw_buffer_clear(&text);
	mqw_buffer_add_str(&text, json_is_true(json_object_get(n, "test")) ? "test" : "alert");
	mqw_buffer_printf(&text, "; count=%llu", (unsigned long long)mqw_notice_number(n, "count"));
	mqw_mail_add_header(b, "X-Mailq-Watchdog", mqw_buffer_slice(&text));
	mqw_buffer_add_str(b,
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
	mqw_buffer_done(&text);
}

/* RFC 2045 section 6.7. A blank before a line's end and a leading dot or "From " are encoded too. */
void mqw_mail_add_quoted(struct mqw_buffer *b, struct mqw_slice s)
{
	size_t column = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		bool last = i + 1 == s.len || s.ptr[i + 1] == '\n';
		bool literal = (c > 0x20 && c < 0x7f && c != '=') || (c == ' ' && !last);
		size_t width;

		if (c == '\n') {
			mqw_buffer_add_str(b, "\r\n");
			column = 0;
			continue;
		}
		if (column == 0 && (c == '.' || c == 'F'))
			literal = false;
		width = literal ? 1 : 3;
		if (column + width > LINE_MAX - 1) {
			mqw_buffer_add_str(b, "=\r\n");
			column = 0;
			if (c == '.' || c == 'F') {
				literal = false;
				width = 3;
			}
		}
		if (literal)
			mqw_buffer_add(b, mqw_slice(&s.ptr[i], 1));
		else
			mqw_buffer_printf(b, "=%02X", c);
		column += width;
	}
}

void mqw_notice_add_mail(struct mqw_buffer *b, const json_t *notice,
	const struct mqw_alert_config *c, const char *mail_host)
{
	struct mqw_buffer text = {0};

	if (mqw_slice_eq(mqw_notice_text(notice, "type"), MQW_LIT("note"))) {
		mqw_note_add_mail(b, notice, mail_host);
		return;
	}
	add_headers(b, notice, c, mail_host);
	mqw_notice_add_text(&text, notice);
	mqw_mail_add_quoted(b, mqw_buffer_slice(&text));
	b->failed = b->failed || text.failed;
	mqw_buffer_done(&text);
}
