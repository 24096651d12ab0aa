/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice by product and setting, measured against the delay that the receiver demands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probes/exchange/exchange.h"
#include "probes/iis_smtp/iis_smtp.h"

static struct mqw_buffer text;

static int teardown(void **state)
{
	(void)state;
	mqw_buffer_done(&text);
	return 0;
}

/* Of a message with this id, and a recipient whose last answer this was; NULL: there was none. */
static const char *advise(
	const struct mqw_probe_ops *ops, const char *id, const char *reply, enum mqw_verdict v)
{
	const struct mqw_message m = {.queue_id = id};
	struct mqw_recipient r = {.attempts = reply ? 1 : 0};
	char copy[256];

	mqw_buffer_clear(&text);
	if (reply)
		r.reply = strcpy(copy, reply);
	ops->remedy(&m, &r, v, &text);
	return mqw_buffer_str(&text);
}

static void assert_says(const char *words)
{
	if (!strstr(mqw_buffer_str(&text), words))
		fail_msg("not \"%s\": %s", words, mqw_buffer_str(&text));
}

static void test_2003(void **state)
{
	(void)state;
	advise(&mqw_probe_exchange, "M1@EXCH1", "450 see http://postgrey.schweikert.ch/",
		MQW_VERDICT_VANISHED);
	assert_says("net stop SMTPSVC");
	assert_says("try MSExchangeIS");
	assert_says("KB950757");
	assert_says("KB934709");
	assert_says("HKLM\\System\\CurrentControlSet\\Services\\SMTPSvc\\Queuing to 600 and");
	assert_says("span 30 min, not 3 min (postgrey demands 5 min)");
	assert_says("smarthost");
	/* Three times ten minutes do not cover every receiver: 50 minutes are 17 each, in whole ones. */
	advise(&mqw_probe_exchange, "M1@EXCH1", "450 This mail is temporarily denied",
		MQW_VERDICT_OVERDUE);
	assert_says("Queuing to 1020 and");
	assert_says("span 51 min, not 3 min (qpsmtpd demands 50 min)");
	advise(&mqw_probe_exchange, "M1@EXCH1", "450 greylisted for 2 hours",
		MQW_VERDICT_FALSE_NDR);
	assert_says("Tell the sender that the report is wrong");
	assert_says("Queuing to 2400 and");
	assert_says("(greylisting demands 2 h)");
	/* Of no known delay nothing is said. */
	advise(&mqw_probe_exchange, "M1@EXCH1", NULL, MQW_VERDICT_VANISHED);
	assert_says("span 30 min, not 3 min; or");
}

static void test_2007(void **state)
{
	(void)state;
	advise(&mqw_probe_exchange, "<m1@a.test>", "451 4.7.1 Greylisted for 300 seconds",
		MQW_VERDICT_VANISHED);
	assert_says("Restart-Service MSExchangeTransport");
	assert_says("QueueGlitchRetryCount (4)");
	assert_says("TransientFailureRetryInterval (5 min)");
	assert_says("MessageRetryInterval (15 min)");
	assert_says("MessageExpirationTimeout (2 d)");
	assert_says("demands 5 min; or send by a smarthost");
	assert_null(strstr(mqw_buffer_str(&text), "SMTPSVC"));
	advise(&mqw_probe_exchange, "<m1@a.test>", "451 later", MQW_VERDICT_FALSE_NDR);
	assert_says("Tell the sender that the report is wrong");
	assert_null(strstr(mqw_buffer_str(&text), "demands"));
}

static void test_iis(void **state)
{
	(void)state;
	advise(&mqw_probe_iis_smtp, "SMTPSVC1/a/b", "450 greylisted", MQW_VERDICT_VANISHED);
	assert_says("KB934709");
	assert_says("GlitchRetrySeconds");
	assert_null(strstr(mqw_buffer_str(&text), "KB950757"));
	assert_null(strstr(mqw_buffer_str(&text), "MSExchangeIS"));
}

static void test_files(void **state)
{
	struct mqw_message m = {.queue_id = "NTFS_01.EML", .place = MQW_PLACE_WAITING};
	const struct mqw_recipient r = {0};

	(void)state;
	mqw_buffer_clear(&text);
	mqw_probe_exchange.remedy(&m, &r, MQW_VERDICT_OVERDUE, &text);
	assert_says("it tries then what lies in Queue");
	m.queue_id = "x.eml";
	mqw_buffer_clear(&text);
	mqw_probe_iis_smtp.remedy(&m, &r, MQW_VERDICT_OVERDUE, &text);
	assert_says("Pickup");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_2003, teardown),
		cmocka_unit_test_teardown(test_2007, teardown),
		cmocka_unit_test_teardown(test_iis, teardown),
		cmocka_unit_test_teardown(test_files, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
