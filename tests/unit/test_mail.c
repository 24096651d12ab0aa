/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mail out of each MTA's queue files: what is in it, byte for byte, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "probes/exim/exim.h"
#include "probes/postfix/postfix.h"
#include "probes/sendmail/sendmail.h"

#define BODY ".\n..two dots\nFrom here\n\xe9\xff 8 bit\n\nno end"

static struct mqw_buffer mail;

static int teardown(void **state)
{
	(void)state;
	mqw_buffer_done(&mail);
	return 0;
}

static void add(struct mqw_buffer *b, char type, struct mqw_slice data)
{
	mqw_buffer_add(b, mqw_slice(&type, 1));
	if (data.len < 128)
		mqw_buffer_printf(b, "%c", (int)data.len);
	else
		mqw_buffer_printf(b, "%c%c", (int)(data.len & 0x7f) | 0x80, (int)(data.len >> 7));
	mqw_buffer_add(b, data);
}

/* A line longer than a record, bytes of all kinds, a NUL, the null sender. */
static void postfix(void **state)
{
	struct mqw_buffer file = {0}, want = {0};
	struct mqw_slice files[1];
	char part[2048];

	(void)state;
	memset(part, 'x', sizeof(part));
	/* A length byte of 0 is nothing for printf: records here have none. */
	add(&file, 'C', MQW_LIT("1"));
	add(&file, 'T', MQW_LIT("1795578315 1"));
	mqw_buffer_add(&file, mqw_slice("S\0", 2));
	add(&file, 'R', MQW_LIT("b@example.net"));
	mqw_buffer_add(&file, mqw_slice("M\0", 2));
	add(&file, 'N', MQW_LIT("Subject: a"));
	add(&file, 'N', MQW_LIT("\tb"));
	mqw_buffer_add(&file, mqw_slice("N\0", 2));
	add(&file, 'N', MQW_LIT("."));
	add(&file, 'N', MQW_LIT("\xe9\0\xff"));
	for (int i = 0; i < 3; i++)
		add(&file, 'L', mqw_slice(part, sizeof(part)));
	add(&file, 'N', MQW_LIT("end"));
	add(&file, 'L', MQW_LIT("no end"));
	mqw_buffer_add(&file, mqw_slice("X\0", 2));
	mqw_buffer_add(&file, mqw_slice("E\0", 2));
	mqw_buffer_add(&want, MQW_LIT("Subject: a\n\tb\n\n.\n\xe9\0\xff\n"));
	for (int i = 0; i < 3; i++)
		mqw_buffer_add(&want, mqw_slice(part, sizeof(part)));
	mqw_buffer_add(&want, MQW_LIT("end\nno end"));
	files[0] = mqw_buffer_slice(&file);
	assert_int_equal(mqw_postfix_mail(files, 1, &mail), 0);
	assert_int_equal(mail.len, want.len);
	assert_memory_equal(mail.ptr, want.ptr, want.len);
	files[0].len -= 2;
	assert_int_equal(mqw_postfix_mail(files, 1, &mail), -EBADMSG);
	assert_int_equal(mqw_postfix_mail(files, 0, &mail), -EBADMSG);
	mqw_buffer_done(&file);
	mqw_buffer_done(&want);
}

#define ID "1xW41t-0006Lt-2s"
#define ENVELOPE(options)                                                                          \
	ID "-H\nDebian-exim 100 102\n<>\n1795578645 1\n" options "XX\n1\na@b.test\n\n"             \
	   "012F From: <a@b>\n017* Subject: removed\n"                                             \
	   "015  Subject: a\n\tbc\n"

static void exim(void **state)
{
	struct mqw_slice files[2] = {MQW_LIT(ENVELOPE("")), MQW_LIT(ID "-D\n" BODY)};

	(void)state;
	assert_int_equal(mqw_exim_mail(files, 2, &mail), 0);
	assert_string_equal(mail.ptr, "From: <a@b>\nSubject: a\n\tbc\n\n" BODY);
	/* Of another message, or without its first line. */
	files[1] = MQW_LIT("1xW41t-0006Lt-2t-D\nx\n");
	assert_int_equal(mqw_exim_mail(files, 2, &mail), -EBADMSG);
	files[1] = MQW_LIT("x\n");
	assert_int_equal(mqw_exim_mail(files, 2, &mail), -EBADMSG);
	assert_int_equal(mqw_exim_mail(files, 1, &mail), -EBADMSG);
}

/* Kept as it came by BDAT: line ends of the wire, dots not doubled. */
static void exim_wire_format(void **state)
{
	const struct mqw_slice files[2] = {MQW_LIT(ENVELOPE("-spool_file_wireformat\n")),
		MQW_LIT(ID "-D\n.\r\na\rb\r\n\r\nend")};

	(void)state;
	assert_int_equal(mqw_exim_mail(files, 2, &mail), 0);
	assert_string_equal(mail.ptr, "From: <a@b>\nSubject: a\n\tbc\n\n.\na\rb\n\nend");
}

static void sendmail(void **state)
{
	struct mqw_slice files[2] = {
		MQW_LIT("V8\nT1795578536\nS<>\nRPFD:<b@remote.test>\n"
			"H?P?Return-Path: <\x81g>\nH?x?Full-Name: \x81x\n"
			"H??Received: from x\n\tby y\nH?D?Date: now\n"
			"H?M?Message-Id: <1@b>\nHSubject: ? not a flag ?\n.\n"),
		MQW_LIT(BODY)};

	(void)state;
	assert_int_equal(mqw_sendmail_mail(files, 2, &mail), 0);
	assert_string_equal(mail.ptr,
		"Received: from x\n\tby y\nDate: now\nMessage-Id: <1@b>\n"
		"Subject: ? not a flag ?\n\n" BODY);
	files[0].len -= 2; /* still being written */
	assert_int_equal(mqw_sendmail_mail(files, 2, &mail), -EBADMSG);
	assert_int_equal(mqw_sendmail_mail(files, 1, &mail), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(postfix, teardown),
		cmocka_unit_test_teardown(exim, teardown),
		cmocka_unit_test_teardown(exim_wire_format, teardown),
		cmocka_unit_test_teardown(sendmail, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
