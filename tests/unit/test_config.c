/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchdogd/config/config.h"

#define HEAD "version: 1\ninstances: [{name: a, type: postfix}]\n"

static void assert_faults(const char *text, const char *want)
{
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};
	int err = mqw_config_parse(mqw_slice_of(text), "f", &c, &d);

	assert_string_equal(mqw_buffer_str(&d.text), want);
	assert_int_equal(err, *want ? -EINVAL : 0);
	assert_true((c == NULL) == (*want != '\0'));
	mqw_config_free(c);
	mqw_diag_done(&d);
}

static struct mqw_config *parse(const char *text)
{
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};
	int err = mqw_config_parse(mqw_slice_of(text), "f", &c, &d);

	assert_string_equal(mqw_buffer_str(&d.text), "");
	assert_int_equal(err, 0);
	mqw_diag_done(&d);
	return c;
}

static void defaults_are_complete(void **state)
{
	(void)state;
	struct mqw_config *c = parse(HEAD);

	assert_string_equal(c->path, "f");
	assert_int_equal(c->mode, MQW_MODE_OBSERVE);
	assert_int_equal(c->instance_count, 1);
	assert_string_equal(c->instances[0].name, "a");
	assert_string_equal(c->instances[0].type, "postfix");
	assert_null(c->instances[0].logs);
	assert_null(c->instances[0].service);
	assert_int_equal(c->instances[0].lifetime, 0);
	assert_int_equal(c->instances[0].min_lifetime, 4 * MQW_HOUR);
	assert_int_equal(c->instances[0].slack, 2 * MQW_HOUR);
	assert_int_equal(c->instances[0].line, 2);
	assert_int_equal(c->instances[0].column, 13);
	assert_int_equal(c->vault.keep, MQW_KEEP_DEFERRED);
	assert_int_equal(c->vault.size, UINT64_C(2) << 30);
	assert_int_equal(c->vault.age, 7 * MQW_DAY);
	assert_string_equal(c->state_directory, MQW_STATE_DIRECTORY);
	assert_string_equal(c->control_socket, MQW_CONTROL_SOCKET);
	assert_string_equal(c->helper_socket, MQW_HELPER_SOCKET);
	assert_int_equal(c->alert_count, 0);
	assert_null(c->rules);
	mqw_config_free(c);
}

static void everything_can_be_said(void **state)
{
	(void)state;
	struct mqw_config *c = parse("version: 1\n"
				     "mode: act\n"
				     "instances:\n"
				     "  - name: out-1\n"
				     "    type: postfix\n"
				     "    log: journal\n"
				     "    queue: /var/spool/postfix\n"
				     "    config_dir: /etc/postfix\n"
				     "    service: postfix@-.service\n"
				     "    next_hops: [relay.example.com, '192.0.2.1']\n"
				     "    lifetime: 5d\n"
				     "    min_lifetime: 1h30m\n"
				     "    slack: 10m\n"
				     "    retry_max: 15m\n"
				     "  - name: in_2\n"
				     "    type: postfix\n"
				     "    log: /var/log/mail.log*\n"
				     "    restart_command: [/usr/sbin/postfix, reload]\n"
				     "vault: {keep: all, size: 512M, age: 12h}\n"
				     "alerts: {ops: {journal: yes}}\n"
				     "rules: []\n"
				     "timezone: Europe/Berlin\n"
				     "state_directory: /srv/state\n"
				     "control_socket: /run/c\n"
				     "helper_socket: /run/h\n");
	const struct mqw_instance_config *in = mqw_config_instance(c, MQW_LIT("in_2"));

	assert_int_equal(c->mode, MQW_MODE_ACT);
	assert_string_equal(c->instances[0].service, "postfix@-.service");
	assert_string_equal(c->instances[0].queue, "/var/spool/postfix");
	assert_string_equal(c->instances[0].config_dir, "/etc/postfix");
	assert_int_equal(c->instances[0].next_hop_count, 2);
	assert_string_equal(c->instances[0].next_hops[1], "192.0.2.1");
	assert_null(c->instances[0].next_hops[2]);
	assert_int_equal(c->instances[0].lifetime, 5 * MQW_DAY);
	assert_int_equal(c->instances[0].min_lifetime, 90 * MQW_MINUTE);
	assert_int_equal(c->instances[0].slack, 10 * MQW_MINUTE);
	assert_int_equal(c->instances[0].retry_max, 15 * MQW_MINUTE);
	assert_int_equal(c->instances[1].retry_max, 0);
	assert_ptr_equal(in, &c->instances[1]);
	assert_string_equal(in->logs[0], "/var/log/mail.log*");
	assert_int_equal(in->log_count, 1);
	assert_string_equal(in->restart_command[0], "/usr/sbin/postfix");
	assert_string_equal(c->timezone, "Europe/Berlin");
	assert_string_equal(in->restart_command[1], "reload");
	assert_null(in->restart_command[2]);
	assert_null(mqw_config_instance(c, MQW_LIT("in_")));
	assert_int_equal(c->vault.keep, MQW_KEEP_ALL);
	assert_int_equal(c->vault.size, 512 << 20);
	assert_int_equal(c->vault.age, 12 * MQW_HOUR);
	assert_int_equal(c->alert_count, 1);
	assert_string_equal(c->alerts[0].name, "ops");
	assert_true(c->alerts[0].journal);
	assert_non_null(c->rules);
	assert_string_equal(c->control_socket, "/run/c");
	mqw_config_free(c);
}

static void what_is_missing_is_named(void **state)
{
	(void)state;
	assert_faults(
		"# nothing\n", "f:1:1: is empty; at least version and instances are needed\n");
	assert_faults("- a\n", "f:1:1: the configuration: must be a mapping, not a list\n");
	assert_faults("mode: act\n",
		"f:1:1: the configuration needs the key \"version\"\n"
		"f:1:1: the configuration needs the key \"instances\"\n");
	assert_faults("version: 1\ninstances: []\n",
		"f:2:12: instances: 0 of them; allowed are 1 to 64\n");
	assert_faults("version: 1\ninstances:\n  - log: journal\n  - postfix\n",
		"f:3:5: an instance needs the key \"name\"\n"
		"f:3:5: an instance needs the key \"type\"\n"
		"f:4:5: an instance: must be a mapping, not a single value\n");
	assert_faults(
		"version: 1\noperators: \"mail admins\"\nvault: {fsync: sometimes}\ninstances:\n"
		"  - {name: a, type: postfix, tell_sender: maybe}\n"
		"  - {name: b, type: exim, tell_sender: true, tell_sender_via: mx}\n"
		"  - {name: c, type: exim, tell_sender_via: \"smtp://127.0.0.1\"}\n",
		"f:2:12: operators: \"mail admins\" is not the name of a group\n"
		"f:3:16: fsync: unknown word \"sometimes\"; allowed: never, each\n"
		"f:5:43: tell_sender: \"maybe\" is not true or false\n"
		"f:6:63: tell_sender_via: \"mx\" is not a relay such as "
		"\"smtp://relay.example.com:25\" or \"smtps://relay.example.com\"\n"
		"f:7:27: tell_sender_via: nobody is told anything without tell_sender: true\n");
	assert_faults(HEAD "mode:\n", "f:3:6: mode: has no value; it must be a single value\n");
}

static void all_faults_come_at_once_in_order(void **state)
{
	(void)state;
	assert_faults("version: 2\n"
		      "mode: atc\n"
		      "instances:\n"
		      "  - name: a b\n"
		      "    type: postfix\n"
		      "    lifetme: 5d\n"
		      "    slack: 5 parsecs\n"
		      "    lifetime: 0s\n"
		      "    queue: spool\n"
		      "    service: postfix\n"
		      "    log: [x]\n"
		      "  - {name: c, type: postfix, restart_command: reload}\n"
		      "  - {name: c, type: postfix, log: mail.log}\n"
		      "vault: {keep: some, size: 2GB}\n"
		      "alert: {}\n"
		      "control_socket: c.sock\n",
		"f:1:10: version: \"2\" is out of range; allowed is 1\n"
		"f:2:7: mode: unknown word \"atc\"; did you mean \"act\"? allowed: observe, act\n"
		"f:4:11: name: \"a b\" is not a name of 1 to 63 letters, digits, - and _\n"
		"f:6:5: unknown key \"lifetme\" in an instance; did you mean \"lifetime\"?\n"
		"f:7:12: slack: \"5 parsecs\" is not a span of time such as 30s, 10m, 4h, 5d\n"
		"f:8:15: lifetime: \"0s\" is out of range; allowed is 1 s to 365 d\n"
		"f:9:12: queue: \"spool\" is not an absolute path, or smb://HOST/SHARE/FOLDER\n"
		"f:10:14: service: \"postfix\" is not a unit name that ends in .service\n"
		"f:11:11: log: \"x\" is not \"journal\", an absolute path or glob, or "
		"smb://HOST/SHARE/...\n"
		"f:12:47: restart_command: \"reload\" is not an absolute path to a program\n"
		"f:13:12: name: \"c\" is taken by the instance at 12:5\n"
		"f:13:35: log: \"mail.log\" is not \"journal\", an absolute path or glob, or "
		"smb://HOST/SHARE/...\n"
		"f:14:15: keep: unknown word \"some\"; did you mean \"none\"? allowed: none, "
		"deferred, all\n"
		"f:14:27: size: \"2GB\" is not a size such as 512M or 2G\n"
		"f:15:1: unknown key \"alert\" in the configuration; did you mean \"alerts\"?\n"
		"f:16:17: control_socket: \"c.sock\" is not an absolute path of at most 107 "
		"bytes\n");
}

static void unit_names_are_checked(void **state)
{
	(void)state;
	assert_faults("version: 1\ninstances: [{name: a, type: p, service: 'a b.service'}]\n",
		"f:2:41: service: \"a b.service\" is not a unit name that ends in .service\n");
	assert_faults(HEAD "timezone: Europe/Berlni\n",
		"f:3:11: timezone: \"Europe/Berlni\" is not a time zone of this host, as "
		"Europe/Berlin or UTC\n");
	assert_faults("version: 1\ninstances: [{name: a, type: p, service: .service}]\n",
		"f:2:41: service: \".service\" is not a unit name that ends in .service\n");
	assert_faults("version: 1\ninstances: [{name: a, type: p, service: ../x.service}]\n",
		"f:2:41: service: \"../x.service\" is not a unit name that ends in .service\n");
	assert_faults("version: 1\ninstances: [{name: a, type: p, service: x@.service}]\n",
		"f:2:41: service: \"x@.service\" is not a unit that can be restarted: a template "
		"needs its instance, as x@NAME.service\n");
}

static void another_host_can_be_named(void **state)
{
	(void)state;
	struct mqw_config *c = parse(
		"version: 1\n"
		"instances:\n"
		"  - {name: a, type: p, log: 'smb://exch1/EXCH1.log/*.log', credentials: exch1,\n"
		"     restart_credentials: /etc/cred, service: SMTPSVC, smb_min_protocol: NT1}\n"
		"  - {name: b, type: p, log: /mnt/log, host: 192.0.2.1, credentials: /etc/b}\n"
		"  - {name: c, type: p, host: exch2, restart_command: [/usr/bin/ssh, exch2]}\n");

	assert_string_equal(c->instances[0].host, "exch1");
	assert_string_equal(c->instances[0].credentials, "exch1");
	assert_string_equal(c->instances[0].restart_credentials, "/etc/cred");
	assert_string_equal(c->instances[0].service, "SMTPSVC");
	assert_string_equal(c->instances[0].smb_min_protocol, "NT1");
	assert_string_equal(c->instances[1].host, "192.0.2.1");
	assert_string_equal(c->instances[1].restart_credentials, "/etc/b");
	assert_null(c->instances[1].smb_min_protocol);
	assert_string_equal(c->instances[2].restart_command[0], "/usr/bin/ssh");
	mqw_config_free(c);
	assert_faults(
		"version: 1\n"
		"instances:\n"
		"  - {name: a, type: p, log: 'smb://exch1/x/'}\n"
		"  - {name: b, type: p, log: 'smb://u:p@exch1/x/', credentials: /c}\n"
		"  - {name: c, type: p, log: /x, credentials: /c, smb_min_protocol: SMB2}\n"
		"  - {name: d, type: p, host: a b, credentials: ../c}\n"
		"  - {name: e, type: p, host: x, credentials: /c, service: a.service;b}\n"
		"  - {name: f, type: p, log: /x, queue: 'smb://exch1/mailroot/*'}\n"
		"  - {name: g, type: p, log: /x, queue: 'smb://exch1/mailroot/vsi 1'}\n"
		"  - {name: h, type: p, credentials: /c, log: ['smb://exch1/a/', 'smb://exch2/a/'],"
		" queue: 'smb://EXCH1/m/q'}\n"
		"  - {name: i, type: p, credentials: /c, log: 'smb://exch1/a/',"
		" queue: 'smb://exch2/m/q'}\n",
		"f:3:5: an instance on another host needs the key \"credentials\"\n"
		"f:4:29: log: \"smb://u:p@exch1/x/\" is not smb://HOST/SHARE/FOLDER/PATTERN "
		"without user name, password and port\n"
		"f:5:33: credentials: of no use without host: or a log: or queue: smb://...\n"
		"f:5:50: smb_min_protocol: of no use without host: or a log: or queue: smb://...\n"
		"f:6:30: host: \"a b\" is not the name or the IPv4 address of a host\n"
		"f:6:48: credentials: \"../c\" is not an absolute path, or the name of a "
		"credential of systemd\n"
		"f:7:59: service: \"a.service;b\" is not the name of a Windows service, as SMTPSVC "
		"or MSExchangeTransport\n"
		"f:8:40: queue: \"smb://exch1/mailroot/*\" is not smb://HOST/SHARE/FOLDER without "
		"a "
		"pattern\n"
		"f:9:5: an instance on another host needs the key \"credentials\"\n"
		"f:10:65: the instance has a share on the host exch1, and exch2 is another: make "
		"an instance for each server\n"
		"f:11:71: the instance has a share on the host exch1, and exch2 is another: make "
		"an instance for each server\n");
}

/* 63 bytes fit the helper's frame, 64 do not. */
static void names_fit_the_helper(void **state)
{
	(void)state;
	char text[200], name[65];
	struct mqw_diag d = {0};
	struct mqw_config *c = NULL;

	memset(name, 'n', 64);
	name[64] = '\0';
	snprintf(text, sizeof(text), "version: 1\ninstances: [{name: %.63s, type: p}]\n", name);
	mqw_config_free(parse(text));
	snprintf(text, sizeof(text), "version: 1\ninstances: [{name: %s, type: p}]\n", name);
	assert_int_equal(mqw_config_parse(mqw_slice_of(text), "f", &c, &d), -EINVAL);
	assert_int_equal(d.count, 1);
	mqw_diag_done(&d);
}

static void texts_are_one_line(void **state)
{
	(void)state;
	assert_faults("version: 1\ninstances:\n"
		      "  - {name: a, type: p, next_hops: [\"x\\ny\", '', b c],"
		      " restart_command: [/bin/x, \"a\\eb\"]}\n",
		"f:3:36: next_hops: \"x\\x0ay\" is not a text of one line without control "
		"characters\n"
		"f:3:44: next_hops: \"\" is not a text that is not empty\n"
		"f:3:48: next_hops: \"b c\" is not a host name or an address\n"
		"f:3:80: restart_command: \"a\\x1bb\" is not a text of one line without control "
		"characters\n");
}

/* More faults than are kept: the first of the file, and all of them counted. */
static void only_so_many_are_shown(void **state)
{
	(void)state;
	struct mqw_buffer text = {0}, want = {0};
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};

	mqw_buffer_add_str(&text, HEAD "vault:\n");
	for (int i = 0; i < 30; i++)
		mqw_buffer_printf(&text, "  wrong_%d: 1\n", i);
	assert_int_equal(mqw_config_parse(mqw_buffer_slice(&text), "f", &c, &d), -EINVAL);
	for (int i = 0; i < 20; i++)
		mqw_buffer_printf(&want,
			"f:%d:3: unknown key \"wrong_%d\" in the vault; known are: keep, size, "
			"age, fsync\n",
			4 + i, i);
	assert_string_equal(mqw_buffer_str(&d.text), mqw_buffer_str(&want));
	assert_int_equal(d.count, 30);
	mqw_diag_done(&d);
	mqw_buffer_done(&text);
	mqw_buffer_done(&want);
}

/* What the tree refuses and what the schema finds come in one list. */
static void faults_of_all_layers_come_together(void **state)
{
	(void)state;
	assert_faults("version: &v 1\n"
		      "mode: *v\n"
		      "instances: [{name: a, name: b, type: !!str p, lag: x}]\n",
		"f:1:10: anchors (&name) are not supported: write out what is meant\n"
		"f:2:7: aliases (*name) are not supported: write out what is meant\n"
		"f:3:23: key \"name\" stands twice in this mapping; first at 3:14\n"
		"f:3:38: tags (!name) are not supported: write out what is meant\n"
		"f:3:47: unknown key \"lag\" in an instance; did you mean \"log\"?\n");
}

/* Loads a file of that content and mode; the fault's text without the path, which varies. */
static void assert_load(const char *text, mode_t mode, int want_err, const char *want)
{
	char path[] = "/tmp/mqw-test-config-XXXXXX";
	int fd = mkstemp(path);
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};
	const char *said;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	assert_int_equal(mqw_config_load(path, &c, &d), want_err);
	said = mqw_buffer_str(&d.text);
	assert_string_equal(*said ? said + strlen(path) : said, want);
	unlink(path);
	mqw_config_free(c);
	mqw_diag_done(&d);
}

static void files_must_be_trustworthy(void **state)
{
	(void)state;
	struct mqw_config *c = NULL;
	struct mqw_diag d = {0};

	assert_load(HEAD, 0640, 0, "");
	assert_load(HEAD "x: 1\n", 0600, -EINVAL,
		":3:1: unknown key \"x\" in the configuration; known are: version, mode, "
		"instances, vault, alerts, rules, timezone, state_directory, "
		"control_socket, operators, helper_socket\n");
	assert_load(HEAD, 0660, -EPERM, ": is writable for its group (mode 0660); chmod go-w\n");
	assert_load(HEAD, 0602, -EPERM, ": is writable for everyone (mode 0602); chmod go-w\n");
	assert_int_equal(mqw_config_load("/nonexistent/x", &c, &d), -ENOENT);
	assert_string_equal(mqw_buffer_str(&d.text),
		"/nonexistent/x: cannot be read: No such file or directory\n");
	mqw_diag_done(&d);
	assert_int_equal(mqw_config_load("/dev/null", &c, &d), -EINVAL);
	assert_string_equal(mqw_buffer_str(&d.text), "/dev/null: is not a regular file\n");
	mqw_diag_done(&d);
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_complete),
		cmocka_unit_test(everything_can_be_said),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(all_faults_come_at_once_in_order),
		cmocka_unit_test(unit_names_are_checked),
		cmocka_unit_test(another_host_can_be_named),
		cmocka_unit_test(names_fit_the_helper),
		cmocka_unit_test(texts_are_one_line),
		cmocka_unit_test(only_so_many_are_shown),
		cmocka_unit_test(faults_of_all_layers_come_together),
		cmocka_unit_test(files_must_be_trustworthy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
