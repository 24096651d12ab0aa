/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ID-H of a copy that was in other hands, made into one that root's Exim may read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "probes/exim/queue_internal.h"
#include "exim_fixture.h"

static const struct mqw_exim_user exim = {100, 102};

static int renew(const char *content, struct mqw_buffer *ret)
{
	mqw_buffer_clear(ret);
	return mqw_exim_renew_file(
		mqw_slice_of(content), BACK, 1800000000 * MQW_SECOND, &exim, ret);
}

static void test_renew(void **state)
{
	struct mqw_buffer b = {0};

	(void)state;
	assert_int_equal(renew(ENVELOPE, &b), 2);
	assert_string_equal(mqw_buffer_str(&b),
		BACK "-H\nexim 100 102\n<alice@exim.example.com>\n1800000000 0\n"
		     "--helo_name client.example.com\n"
		     /* What looks like an option inside of a value stays. */
		     "--aclm 0 9\nab\n-x\nXX\n\n--received_protocol esmtp\n"
		     "YN ok9@remote.test\nNN hard9@remote.test\n4\nsoft9@remote.test\n"
		     "ok9@remote.test\nhard9@remote.test\n"
		     "\"a b\"@Remote.test rfc822;x@y 10,3 e@z 3,-1#3\n" MAIL_HEADERS);
	assert_int_equal(renew("x", &b), -EBADMSG);
	mqw_buffer_done(&b);
}

/* Exim reads it as root: what the copy says is believed as far as mail needs it. */
static void test_renew_whitelist(void **state)
{
	static const struct {
		const char *login, *options, *want; /* want NULL: refused */
	} rows[] = {
		{"root 0 0", "", ""},
		{"x 1 1 0 0", "-local\n-ident alice\n", "-local\n--ident alice\n"},
		{"a 1 1", "-frozen 1795578645\n-manual_thaw\n-deliver_firsttime\n", ""},
		{"a 1 1", "-received_time_usec .89\n-received_time_complete 1795578645.8\n", ""},
		{"a 1 1", "-tls_ourcert AAAA\n--tls_peercert AAAA\n-tls_resumption A\n-new x\n",
			""},
		{"a 1 1", "-acl 3 2\n-N\n", ""},
		{"a 1 1", "-N\n", NULL},
		{"a 1 1", "-aclm cmd 7\n/bin/sh\n", "--aclm cmd 7\n/bin/sh\n"},
		{"a 1 1", "--(mysql)aclc q 4\n' OR\n", "--aclc q 4\n' OR\n"},
		{"a 1 1", "--(mysql)auth_id x\n", "--auth_id x\n"},
		/* Exim would take 5 bytes, and go on with -N. */
		{"a 1 1", "-aclm a 5 9\n01234\n-N\n\n", NULL},
		{"a 1 1", "-aclm  9\n012345678\n", NULL},
		{"a 1 1", "-host_address [127.0.0.1]:58598\n-interface_address [::1]:25\n",
			"--host_address [127.0.0.1]:58598\n--interface_address [::1]:25\n"},
		{"a 1 1", "-body_linecount 3\n-body_zerocount 1\n-max_received_linelength 38\n",
			"-body_linecount 3\n-body_zerocount 1\n-max_received_linelength 38\n"},
		{"a 1 1", "-body_linecount 3x\n", NULL},
		{"a 1 1", "-body_linecount 99999999999\n", NULL},
		{"a 1 1", "-body_linecount\n", NULL},
		{"a 1 1", "-dsn_ret 1\n--dsn_envid QQ314159\n",
			"-dsn_ret 1\n--dsn_envid QQ314159\n"},
		{"a 1 1", "-spool_file_wireformat\n-smtputf8\n",
			"-spool_file_wireformat\n-smtputf8\n"},
		{"a 1 1", "-localerror x\n", NULL},
	};
	struct mqw_buffer file = {0}, b = {0}, want = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mqw_buffer_clear(&file);
		mqw_buffer_clear(&want);
		mqw_buffer_printf(&file, ID "-H\n%s\n<>\n1795578645 0\n%sXX\n1\na@b\n\n",
			rows[i].login, rows[i].options);
		if (!rows[i].want) {
			assert_int_equal(renew(mqw_buffer_str(&file), &b), -EBADMSG);
			continue;
		}
		mqw_buffer_printf(&want,
			BACK "-H\nexim 100 102\n<>\n1800000000 0\n%sXX\n1\na@b\n\n", rows[i].want);
		assert_int_equal(renew(mqw_buffer_str(&file), &b), 1);
		assert_string_equal(mqw_buffer_str(&b), mqw_buffer_str(&want));
	}
	mqw_buffer_done(&file);
	mqw_buffer_done(&b);
	mqw_buffer_done(&want);
}

/* Exim reads a recipient's line from its end, and the tree by calling itself. */
static void test_renew_recipients(void **state)
{
	static const struct {
		const char *line;
		int want;
	} rows[] = {
		{"a@b", 2},
		{"a@b9", 2},
		{"a@[192.0.2.1]", 2},
		{"a@b  0,3  0,-1#3", 2},
		{"a@b e@f 3,1#1", 2},
		{"a@b e@f 3,2#1", -EBADMSG}, /* there is no third one */
		{"a@b e@f 3,-2#1", -EBADMSG},
		{"a@b e@f 9,-1#1", -EBADMSG},
		{"a@b e@f 3,-1#2", -EBADMSG},
		{"a@b  0,3  0,-1#33", -EBADMSG},
		{"a@b 7", -EBADMSG},
		{"a@b 0,0,7", -EBADMSG},
		{"77", -EBADMSG},
	};
	struct mqw_buffer file = {0}, b = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mqw_buffer_clear(&file);
		mqw_buffer_printf(
			&file, ID "-H\na 1 1\n<>\n1795578645 0\nXX\n2\nc@d\n%s\n\n", rows[i].line);
		assert_int_equal(renew(mqw_buffer_str(&file), &b), rows[i].want);
	}
	/* A tree that is a chain is made flat. */
	assert_int_equal(
		renew(ID "-H\na 1 1\n<>\n5 0\nYN c@b\nYN b@b\nNN a@b\n2\na@b\nd@b\n\n", &b), 1);
	assert_non_null(strstr(mqw_buffer_str(&b), "\nYY b@b\nNN a@b\nNN c@b\n2\n"));
	mqw_buffer_clear(&file);
	mqw_buffer_add_str(&file, ID "-H\na 1 1\n<>\n5 0\nXX\n1\n");
	for (int i = 0; i < 17000; i++)
		mqw_buffer_add_str(&file, "a");
	mqw_buffer_add_str(&file, "\n\n");
	assert_int_equal(renew(mqw_buffer_str(&file), &b), -EBADMSG);
	mqw_buffer_done(&file);
	mqw_buffer_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_renew_whitelist),
		cmocka_unit_test(test_renew_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
