/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Relays and webhooks have to prove who they are: with certificates made by openssl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sender_fixture.h"

/* A key and a certificate for a name, which vouches for itself. */
static void make_certificate(const char *name, char *ret_path, size_t size)
{
	char command[512];

	snprintf(ret_path, size, "%s/%s.pem", dir, name);
	snprintf(command, sizeof(command),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
		"-subj /CN=%s -addext subjectAltName=DNS:%s -keyout %s -out %s.crt 2>/dev/null && "
		"cat %s.crt >>%s",
		name, name, ret_path, ret_path, ret_path, ret_path);
	if (system(command) != 0)
		skip(); /* no openssl here */
}

static const char *at(const char *scheme, const char *host)
{
	static char address[2][96];
	static int turn;

	turn = !turn;
	snprintf(
		address[turn], sizeof(address[turn]), "%s://%s%s", scheme, host, strrchr(url, ':'));
	return address[turn];
}

/* To a sink with a certificate for localhost; *address is the one of c that matters. */
static void to_a_server_with_a_certificate(
	struct mqw_alert_config *c, const char **address, const char *scheme, const char *pem)
{
	char other[96];

	make_certificate("other.test", other, sizeof(other));
	*address = at(scheme, "localhost");
	deliver(c);
	assert_false(last.accepted);
	assert_holds(last.text,
		"(nothing was sent: the server did not prove that it is localhost; it needs a "
		"certificate for this name from a CA that this host trusts, or its CA in "
		"ca_file:)");
	c->ca_file = other;
	deliver(c);
	assert_false(last.accepted);
	assert_holds(last.text, "other.test.pem, the ca_file:)");
	c->ca_file = "/nonexistent/ca.pem";
	deliver(c);
	assert_false(last.accepted);
	assert_holds(last.text,
		"(nothing was sent: no certificates can be read from /nonexistent/ca.pem, the "
		"ca_file:)");
	c->ca_file = pem;
	*address = at(scheme, "127.0.0.1");
	deliver(c);
	assert_false(last.accepted);
	assert_holds(last.text, "did not prove that it is 127.0.0.1");
	assert_string_equal(kept(1), "");
	*address = at(scheme, "localhost");
	deliver(c);
	assert_true(last.accepted);
	assert_holds(kept(1), TOKEN);
}

static void a_relay_proves_who_it_is(void **state)
{
	struct mqw_alert_config c = mail(one, 1);
	char pem[96];

	(void)state;
	make_certificate("localhost", pem, sizeof(pem));
	start("smtp", "--tls", pem);
	c.tls = MQW_TLS_REQUIRED;
	to_a_server_with_a_certificate(&c, &c.via, "smtp", pem);
	/* As mail servers do it among each other: encrypted, whoever it is. */
	c = mail(one, 1);
	deliver(&c);
	assert_true(last.accepted);
}

static void a_relay_with_tls_from_the_first_byte_proves_it(void **state)
{
	struct mqw_alert_config c = mail(one, 1);
	char pem[96];

	(void)state;
	make_certificate("localhost", pem, sizeof(pem));
	start_sink("smtp", "--tls", pem, "--implicit");
	c.tls = MQW_TLS_REQUIRED;
	to_a_server_with_a_certificate(&c, &c.via, "smtps", pem);
}

static void a_webhook_proves_it(void **state)
{
	struct mqw_alert_config c = hook();
	char pem[96];

	(void)state;
	make_certificate("localhost", pem, sizeof(pem));
	start("http", "--tls", pem);
	to_a_server_with_a_certificate(&c, &c.webhook, "https", pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_relay_proves_who_it_is),
		TEST(a_relay_with_tls_from_the_first_byte_proves_it),
		TEST(a_webhook_proves_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
