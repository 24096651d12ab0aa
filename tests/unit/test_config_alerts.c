/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "watchdogd/config/config.h"

#define HEAD "version: 1\ninstances: [{name: a, type: postfix}]\n"

static void assert_faults(const char *text, const char *want)
{
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};
	int err = mqw_config_parse(mqw_slice_of(text), "f", &c, &d);

	assert_string_equal(mqw_buffer_str(&d.text), want);
	assert_int_equal(err, -EINVAL);
	assert_null(c);
	mqw_diag_done(&d);
}

/* One fault, which speaks of that. */
static void assert_refused(const char *text, const char *of)
{
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};
	int err = mqw_config_parse(mqw_slice_of(text), "f", &c, &d);

	if (err != -EINVAL || d.count != 1 || !strstr(mqw_buffer_str(&d.text), of))
		fail_msg("%s: %d, %s", text, err, mqw_buffer_str(&d.text));
	mqw_config_free(c);
	mqw_diag_done(&d);
}

static void channels_are_read(void **state)
{
	struct mqw_diag d = {0};
	struct mqw_config *c = NULL;
	const struct mqw_alert_config *a;

	(void)state;
	assert_int_equal(
		mqw_config_parse(
			MQW_LIT(HEAD
				"alerts:\n"
				"  one: {email: a@example.com, via: 'smtp://relay.example.com'}\n"
				"  two:\n"
				"    email: [a@example.com, \"o'b+x=1@b.example\"]\n"
				"    via: smtps://[2001:db8::1]:465\n"
				"    from: watch@example.com\n"
				"    user: watch\n"
				"    password_file: /etc/secret\n"
				"    ca_file: /etc/ca.pem\n"
				"    timeout: 1m\n"
				"  page: {webhook: 'https://x.example/a?b=c', format: "
				"alertmanager, "
				"credential: t}\n"
				"  sms: {command: [/usr/bin/sms, --to, '1'], journal: true}\n"
				"  near: {email: a@example.com, via: 'smtp://127.0.0.1:2525', "
				"user: u, "
				"credential: c, tls: none}\n"
				"  inner: {email: a@example.com, via: 'smtp://r', ca_file: /c}\n"
				"  post: {webhook: 'https://h/', ca_file: /d}\n"),
			"f", &c, &d),
		0);
	assert_int_equal(c->alert_count, 7);
	a = mqw_config_alert(c, MQW_LIT("inner"));
	assert_int_equal(a->tls, MQW_TLS_REQUIRED);
	assert_string_equal(a->ca_file, "/c");
	a = mqw_config_alert(c, MQW_LIT("post"));
	assert_string_equal(a->ca_file, "/d");
	a = mqw_config_alert(c, MQW_LIT("one"));
	assert_int_equal(a->channel, MQW_CHANNEL_EMAIL);
	assert_int_equal(a->tls, MQW_TLS_IF_OFFERED);
	assert_int_equal(a->timeout, 30 * MQW_SECOND);
	assert_null(a->from);
	assert_false(mqw_alert_is_loopback(a));
	assert_true(mqw_slice_eq(mqw_alert_host(a), MQW_LIT("relay.example.com")));
	a = mqw_config_alert(c, MQW_LIT("two"));
	assert_int_equal(a->email_count, 2);
	assert_string_equal(a->email[1], "o'b+x=1@b.example");
	assert_null(a->email[2]);
	assert_int_equal(a->tls, MQW_TLS_REQUIRED);
	assert_int_equal(a->timeout, MQW_MINUTE);
	assert_true(mqw_slice_eq(mqw_alert_host(a), MQW_LIT("2001:db8::1")));
	a = mqw_config_alert(c, MQW_LIT("page"));
	assert_int_equal(a->channel, MQW_CHANNEL_WEBHOOK);
	assert_int_equal(a->format, MQW_WEBHOOK_ALERTMANAGER);
	assert_string_equal(a->credential, "t");
	assert_true(mqw_slice_eq(mqw_alert_host(a), MQW_LIT("x.example")));
	a = mqw_config_alert(c, MQW_LIT("sms"));
	assert_int_equal(a->channel, MQW_CHANNEL_COMMAND);
	assert_string_equal(a->command[2], "1");
	assert_int_equal(mqw_alert_host(a).len, 0);
	assert_true(mqw_alert_is_loopback(mqw_config_alert(c, MQW_LIT("near"))));
	assert_null(mqw_config_alert(c, MQW_LIT("journal")));
	mqw_config_free(c);
	mqw_diag_done(&d);
}

static void faults_of_channels(void **state)
{
	(void)state;
	assert_faults(HEAD "alerts:\n"
			   "  ops: {email: a@example.com}\n"
			   "  none: {journal: false}\n"
			   "  bad: {jornal: true}\n"
			   "  journal: {journal: true}\n"
			   "  both: {email: a@example.com, via: 'smtp://r', webhook: 'http://h/'}\n"
			   "  odd: {command: ls, via: 'smtp://r', credential: c}\n"
			   "  late: {journal: true, timeout: 1m}\n",
		"f:4:9: email needs via: name a relay that is not the MTA that may be the "
		"patient, as via: \"smtp://relay.example.com:25\"\n"
		"f:5:9: the alert \"none\" has no channel: email, webhook, command, or journal: "
		"true\n"
		"f:6:9: unknown key \"jornal\" in an alert; did you mean \"journal\"?\n"
		"f:7:3: alerts: \"journal\" is always there; choose another name\n"
		"f:8:49: email and webhook exclude each other: give each a name of its own, and "
		"name both in the rule\n"
		"f:9:18: command: \"ls\" is not an absolute path to a program\n"
		"f:9:22: via is an option of email\n"
		"f:9:39: credential is an option of email and webhook\n"
		"f:10:25: timeout is an option of email, webhook and command\n");
}

static void hostile_addresses_are_refused(void **state)
{
	static const char *const emails[] = {"a", "a@", "@b", "a b@c", "a@b>", "a@b c", "<a@b>",
		"a@b,c@d", "\\\"a\\\"@b", "a@.b", "a@b.", "a@[192.0.2.1]", "\u00fc@b", "a@b@c",
		"a@b\\r\\nBcc: x@y"};
	static const char *const vias[] = {"relay:25", "smtp://", "smtp://u:p@h", "smtp://h/x",
		"smtp://h:0", "smtp://h:65536", "smtp://h:25 x", "http://h", "smtp://-h",
		"smtp://[::1"};
	static const char *const hooks[] = {"ftp://h/", "https://", "https://u:p@h/",
		"https://h/ x", "https://h/\u00fc", "//h/", "https:///x"};
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(emails) / sizeof(emails[0]); i++) {
		snprintf(text, sizeof(text), HEAD "alerts: {a: {email: \"%s\", via: 'smtp://r'}}\n",
			emails[i]);
		assert_refused(text, "email: ");
	}
	for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
		snprintf(
			text, sizeof(text), HEAD "alerts: {a: {email: a@b, via: '%s'}}\n", vias[i]);
		assert_refused(text, "via: ");
	}
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		snprintf(text, sizeof(text), HEAD "alerts: {a: {webhook: \"%s\"}}\n", hooks[i]);
		assert_refused(text, "webhook: ");
	}
}

static void secrets_are_not_told_to_just_anybody(void **state)
{
	(void)state;
	assert_faults(HEAD
		"alerts:\n"
		"  a: {email: a@b, via: 'smtp://r', user: u, credential: c, tls: if_offered}\n"
		"  b: {email: a@b, via: 'smtps://r', tls: none}\n"
		"  c: {email: a@b, via: 'smtp://r', user: u}\n"
		"  d: {email: a@b, via: 'smtp://r', password_file: /p}\n"
		"  e: {email: a@b, via: 'smtp://r', user: u, password_file: /p, credential: c}\n"
		"  f: {webhook: 'http://h/', bearer_file: /b}\n"
		"  g: {webhook: 'http://localhost/', bearer_file: /b, credential: ../x}\n",
		"f:4:60: tls: a password goes over the network only with tls: required, which "
		"checks whom it is told to\n"
		"f:5:37: tls: smtps:// is TLS from the first byte; use smtp:// without it\n"
		"f:6:36: user needs a password: password_file or credential\n"
		"f:7:36: a password needs a user\n"
		"f:8:45: password_file and credential exclude each other\n"
		"f:9:29: a bearer token goes over the network only with https://\n"
		"f:10:66: credential: \"../x\" is not the name of a systemd credential\n");
}

static void a_ca_file_is_for_what_is_checked(void **state)
{
	(void)state;
	assert_faults(HEAD "alerts:\n"
			   "  a: {email: a@b, via: 'smtp://r', ca_file: /c, tls: if_offered}\n"
			   "  b: {email: a@b, via: 'smtp://127.0.0.1', ca_file: /c, tls: none}\n"
			   "  c: {webhook: 'http://h/', ca_file: /c}\n"
			   "  d: {command: /bin/true, ca_file: /c}\n"
			   "  e: {webhook: 'https://h/', ca_file: c.pem}\n",
		"f:4:36: ca_file: the certificate is checked only with tls: required\n"
		"f:5:44: ca_file: the certificate is checked only with tls: required\n"
		"f:6:29: ca_file: http:// has no certificate to check; use https://\n"
		"f:7:27: ca_file is an option of email and webhook\n"
		"f:8:39: ca_file: \"c.pem\" is not an absolute path\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channels_are_read),
		cmocka_unit_test(faults_of_channels),
		cmocka_unit_test(hostile_addresses_are_refused),
		cmocka_unit_test(secrets_are_not_told_to_just_anybody),
		cmocka_unit_test(a_ca_file_is_for_what_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
