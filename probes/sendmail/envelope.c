/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes an envelope that may be put back out of a copy that was in other hands: its lifetime
 * begins anew, and nothing is left in it by which Sendmail would run a program or write to a file.
 */
#include <errno.h>

#include "probes/sendmail/log_internal.h"
#include "probes/sendmail/queue_internal.h"

/*
 * Lines that stay as they are. Left out: I, the data file's inode, and d, its directory; C, the
 * user as whom programs are run (without it Sendmail mails to no program, recipient.c), and what
 * is obsolete. A q line is a quarantine: such a message was not lost.
 */
#define KEPT "VPBMSZA!QrH$."
#define LEFT_OUT "ICdDEL"

/*
 * Whether this may be a recipient: no program, no file, no list of addresses in a file, whatever
 * brackets and quotes are round it.
 */
static bool is_plain(struct mqw_slice address)
{
	while (address.len && memchr("<\"\\ ", address.ptr[0], 4))
		address = mqw_slice_from(address, 1);
	return address.len && !memchr("|/:", address.ptr[0], 3);
}

static int take_recipient(const struct mqw_sendmail_qf_line *line, int *left)
{
	struct mqw_slice text = line->text, address;
	size_t colon = mqw_slice_chr(text, ':');

	for (size_t i = 0; i < colon; i++)
		if (text.ptr[i] < 'A' || text.ptr[i] > 'Z')
			return -EBADMSG;
	text = mqw_slice_from(text, colon + 1);
	if (!is_plain(text) || !mqw_sendmail_take_address(&text, &address) || text.len ||
		!is_plain(address))
		return -EBADMSG;
	++*left;
	return 0;
}

/* Flags, without the one that says that the sender was warned. */
static void add_flags(struct mqw_slice flags, struct mqw_buffer *ret)
{
	mqw_buffer_add(ret, MQW_LIT("F"));
	for (size_t i = 0; i < flags.len; i++)
		if (flags.ptr[i] != 'w')
			mqw_buffer_add(ret, mqw_slice(flags.ptr + i, 1));
	mqw_buffer_add(ret, MQW_LIT("\n"));
}

static int take_line(
	const struct mqw_sendmail_qf_line *line, int64_t now, int *left, struct mqw_buffer *ret)
{
	int r = 0;

	switch (line->type) {
	case 'T':
		mqw_buffer_printf(ret, "T%lld\n", (long long)(now / MQW_SECOND));
		return 0;
	case 'K':
		mqw_buffer_add(ret, MQW_LIT("K0\n"));
		return 0;
	case 'N':
		mqw_buffer_add(ret, MQW_LIT("N0\n"));
		return 0;
	case 'F':
		add_flags(line->text, ret);
		return 0;
	case 'R':
		r = take_recipient(line, left);
		break;
	default:
		if (line->type && strchr(LEFT_OUT, line->type))
			return 0;
		r = line->type && strchr(KEPT, line->type) ? 0 : -EBADMSG;
		break;
	}
	if (r == 0)
		mqw_buffer_add(ret, line->whole);
	return r;
}

int mqw_sendmail_renew_envelope(struct mqw_slice qf, int64_t now, struct mqw_buffer *ret)
{
	struct mqw_slice rest = qf;
	struct mqw_sendmail_qf_line line = {0};
	bool sender = false, ended = false;
	int r, left = 0;

	if (!mqw_slice_starts(qf, MQW_LIT("V")))
		return -EBADMSG;
	while ((r = mqw_sendmail_qf_next(&rest, &line)) > 0) {
		if (ended)
			return -EBADMSG;
		ended = line.type == '.';
		if (ended && line.whole.len != 2)
			return -EBADMSG;
		sender = sender || line.type == 'S';
		r = take_line(&line, now, &left, ret);
		if (r < 0)
			return r;
	}
	if (r < 0 || !ended || !sender)
		return -EBADMSG;
	return ret->failed ? -ENOMEM : left;
}

/*
 * Whether a header with these flags goes out with the mail: without any it does, with some for mailers
 * that ask for one of them. D, F and M (Date, From, Message-Id) every mailer that sends mail asks for
 * (cf/m4/proto.m4 of 8.17.1: F=mDFM...); P and x (Return-Path, Full-Name) stand for what sendmail.cf
 * would make up, with macros in it.
 */
static bool goes_out(struct mqw_slice flags)
{
	for (size_t i = 0; i < flags.len; i++)
		if (memchr("DFM", flags.ptr[i], 3))
			return true;
	return flags.len == 0;
}

int mqw_sendmail_mail(const struct mqw_slice *files, size_t count, struct mqw_buffer *ret)
{
	struct mqw_slice rest = count == 2 ? files[0] : MQW_SLICE_NULL, header, flags;
	struct mqw_sendmail_qf_line line = {0};
	int r;

	if (!mqw_slice_starts(rest, MQW_LIT("V")))
		return -EBADMSG;
	while ((r = mqw_sendmail_qf_next(&rest, &line)) > 0 && line.type != '.') {
		header = mqw_slice_from(line.whole, 1);
		flags = MQW_SLICE_NULL;
		if (line.type != 'H')
			continue;
		if (mqw_slice_skip(&header, MQW_LIT("?")) &&
			!mqw_slice_take_until(&header, '?', &flags))
			return -EBADMSG;
		if (goes_out(flags))
			mqw_buffer_add(ret, header);
	}
	if (r <= 0)
		return -EBADMSG;
	mqw_buffer_add(ret, MQW_LIT("\n"));
	mqw_buffer_add(ret, files[1]);
	return ret->failed ? -ENOMEM : 0;
}
