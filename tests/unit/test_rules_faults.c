/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each fault of a rule is told, with its place, and all of them at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "rules_fixture.h"
#include "watchdogd/config/faults.h"

static void assert_faults(const char *text, const char *want)
{
	struct loaded l = {0};
	struct mqw_diag d = {0};

	assert_int_equal(mqw_config_parse(mqw_slice_of(text), "f", &l.config, &d), 0);
	assert_int_equal(mqw_rules_load(l.config, &l.rules, &d), -EINVAL);
	assert_string_equal(mqw_buffer_str(&d.text), want);
	assert_null(l.rules);
	mqw_diag_done(&d);
	done(&l);
}

static void faults_of_conditions_are_told(void **state)
{
	(void)state;
	assert_faults(HEAD "  - name: a\n"
			   "    when:\n"
			   "      verdict: [vanisched, lost]\n"
			   "      code: [4x, 450, 6xx]\n"
			   "      status: [4.7.x, '4', 1.2.3]\n"
			   "      instance: [out, ot]\n"
			   "      mta: [exim, postfx]\n"
			   "      confidence: sure\n"
			   "      attempts: 0\n"
			   "      hasty_retries: perhaps\n"
			   "      relais: x\n"
			   "      count: 1001\n"
			   "      within: 0s\n"
			   "      per: host\n"
			   "    do: flush\n",
		"f:9:17: verdict: unknown word \"vanisched\"; did you mean \"vanished\"? allowed: "
		"delivered, handed_off, pending, bounced, expired, discarded, removed, held, "
		"relocated, vanished, false_ndr, overdue, lost_downstream, unknown\n"
		"f:9:28: verdict: unknown word \"lost\"; allowed: "
		"delivered, "
		"handed_off, pending, bounced, expired, discarded, removed, held, relocated, "
		"vanished, false_ndr, overdue, lost_downstream, unknown\n"
		"f:10:14: code: \"4x\" is not a reply code such as 450, 45x or 4xx\n"
		"f:10:23: code: \"6xx\" is not a reply code such as 450, 45x or 4xx\n"
		"f:11:16: status: \"4.7.x\" is not an enhanced status code such as 4.7.1, 4.7.* or "
		"4.*\n"
		"f:11:23: status: \"4\" is not an enhanced status code such as 4.7.1, 4.7.* or "
		"4.*\n"
		"f:11:28: status: \"1.2.3\" is not an enhanced status code such as 4.7.1, 4.7.* or "
		"4.*\n"
		"f:12:23: instance: no instance has the name \"ot\"; did you mean \"out\"?\n"
		"f:13:19: mta: no instance has the type \"postfx\"; did you mean \"postfix\"?\n"
		"f:14:19: confidence: unknown word \"sure\"; allowed: unproven, probable, certain\n"
		"f:15:17: attempts: \"0\" is out of range; allowed is 1 to 100000\n"
		"f:16:22: hasty_retries: \"perhaps\" is not true or false\n"
		"f:17:7: unknown key \"relais\" in when; did you mean \"relay\"?\n"
		"f:18:14: count: \"1001\" is out of range; allowed is 1 to 1000\n"
		"f:19:15: within: \"0s\" is out of range; allowed is 1 s to 31 d\n"
		"f:20:12: per: unknown word \"host\"; allowed: instance, rule, relay, "
		"recipient_domain\n");
}

static void windows_need_both_halves(void **state)
{
	(void)state;
	assert_faults(HEAD "  - {name: a, when: {count: 3}, do: flush}\n"
			   "  - {name: b, when: {within: 3m}, do: flush}\n"
			   "  - {name: c, when: {per: rule}, do: flush}\n",
		"f:7:22: count needs within: the span of time in which so many happen\n"
		"f:8:22: within needs count: how many have to happen in that time\n"
		"f:9:22: per needs count and within: it says what is counted together\n");
}

static void faults_of_rules_are_told(void **state)
{
	(void)state;
	assert_faults(HEAD "  - name: a\n"
			   "    if: {}\n"
			   "    do: flush\n"
			   "  - flush\n"
			   "  - {name: a, when: [], do: []}\n"
			   "  - {name: by hand, when: {}, do: }\n",
		"f:7:5: a rule needs the key \"when\"\n"
		"f:8:5: unknown key \"if\" in a rule; known are: name, when, do\n"
		"f:10:5: a rule: must be a mapping, not a single value\n"
		"f:11:12: name: \"a\" is taken by the rule at 7:5\n"
		"f:11:21: when: must be a mapping, not a list\n"
		"f:11:29: do: 0 actions; allowed are 1 to 16\n"
		"f:12:12: name: \"by hand\" is not free for a rule; choose another name\n"
		"f:12:35: an action must be a word, or one key with its options, in an entry of "
		"its "
		"own\n");
}

static void faults_of_actions_are_told(void **state)
{
	(void)state;
	assert_faults(HEAD "  - name: a\n"
			   "    when: {verdict: vanished}\n"
			   "    do:\n"
			   "      - resart\n"
			   "      - alert\n"
			   "      - {alert: opps}\n"
			   "      - {alert: [ops]}\n"
			   "      - {flush: {at_most: 0 per 1h}, requeue: {}}\n"
			   "      - flush: {at_most: 0 per 1h}\n"
			   "      - requeue: {at_most: 5, cooldown: soon, healthy: {}}\n"
			   "      - restart: {healthy: {smtp: localhost, within: 1h}}\n"
			   "      - restart: 2 per 1h\n"
			   "      - recover: {at_most: 2 per hour}\n"
			   "      - reover: {}\n"
			   "      - [flush]\n"
			   "  - {name: b, when: {}, do: [restart: {healthy: {}}, {alert: ops}, "
			   "{alert: journal}, {alert: ops}]}\n"
			   "  - {name: c, when: {}, do: [restart: {healthy: {smtp: '::1:25'}}]}\n",
		"f:10:9: do: unknown word \"resart\"; did you mean \"restart\"? allowed: recover, "
		"requeue, flush, restart, alert\n"
		"f:11:9: alert needs a channel, as {alert: journal}\n"
		"f:12:17: alert: \"opps\" is not among the alerts of this file, nor \"journal\"; "
		"did "
		"you mean \"ops\"?\n"
		"f:13:17: alert: must be a single value, not a list\n"
		"f:14:9: an action must be a word, or one key with its options, in an entry of its "
		"own\n"
		"f:15:26: at_most: \"0 per 1h\" is not a budget such as 2 per 1h, of at least 1\n"
		"f:16:28: at_most: \"5\" is not a budget such as 2 per 1h, of at least 1\n"
		"f:16:41: cooldown: \"soon\" is not a span of time such as 30s, 10m, 4h, 5d\n"
		"f:16:47: unknown key \"healthy\" in requeue; known are: at_most, cooldown\n"
		"f:17:35: smtp: \"localhost\" is not HOST:PORT such as 127.0.0.1:25\n"
		"f:17:54: within: \"1h\" is out of range; allowed is 1 s to 10 min\n"
		"f:18:9: restart stands twice in this rule; first at 17:9\n"
		"f:18:18: restart: must be a mapping, not a single value\n"
		"f:19:28: at_most: \"2 per hour\" is not a budget such as 2 per 1h, of at least 1\n"
		"f:20:9: unknown key \"reover\" in do; did you mean \"recover\"?\n"
		"f:21:9: an action must be a word, or one key with its options, in an entry of its "
		"own\n"
		"f:22:49: healthy needs the key \"smtp\"\n"
		"f:22:86: alert stands twice in this rule; first at 22:54\n"
		"f:23:56: smtp: \"::1:25\" is not HOST:PORT; an IPv6 address needs brackets, as "
		"[::1]:25\n");
}

/* A message that may still be delivered must not be mailed again. */
static void recover_is_for_what_is_lost_only(void **state)
{
	(void)state;
	struct loaded l = load(HEAD "  - name: a\n"
				    "    when: {verdict: [vanished, false_ndr]}\n"
				    "    do: recover\n");

	done(&l);
	assert_faults(HEAD
		"  - {name: a, when: {verdict: [vanished, overdue]}, do: recover}\n"
		"  - {name: b, when: {}, do: [flush, recover]}\n"
		"  - {name: c, when: {verdict: delivered}, do: [recover: {}]}\n"
		"  - {name: d, when: {verdict: [lost_downstream, vanished]}, do: recover}\n",
		"f:7:57: recover could mail twice here: the rule's verdict may only be vanished "
		"or false_ndr\n"
		"f:8:37: recover could mail twice here: the rule's verdict may only be vanished "
		"or false_ndr\n"
		"f:9:48: recover could mail twice here: the rule's verdict may only be vanished "
		"or false_ndr\n"
		"f:10:65: recover has no copy of what a next hop lost: the message there is found "
		"as vanished, which a rule can recover; lost_downstream has to go from the rule's "
		"verdict\n");
}

static void check_types(const struct mqw_config *c, struct mqw_faults *f)
{
	for (size_t i = 0; i < c->instance_count; i++)
		if (c->instances[i].type && strcmp(c->instances[i].type, "postfix") != 0)
			mqw_faults_add(
				f, c->instances[i].line, c->instances[i].column, "no such type");
}

/* Loads a file of that content; the faults, without the path in front of each. */
static int load_file(const char *text, struct loaded *l, struct mqw_buffer *ret_faults)
{
	char path[] = "/tmp/mqw-test-rules-XXXXXX";
	int fd = mkstemp(path), err;
	struct mqw_diag d = {0};
	struct mqw_slice rest, line;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	err = mqw_rules_load_file(path, check_types, &l->config, &l->rules, &d);
	unlink(path);
	rest = mqw_buffer_slice(&d.text);
	while (mqw_slice_take_until(&rest, '\n', &line)) {
		assert_true(mqw_slice_skip(&line, mqw_slice_of(path)));
		mqw_buffer_add(ret_faults, line);
		mqw_buffer_add_str(ret_faults, "\n");
	}
	mqw_diag_done(&d);
	return err;
}

static void a_file_gives_the_faults_of_all_layers(void **state)
{
	(void)state;
	struct loaded l = {0};
	struct mqw_buffer faults = {0};

	assert_int_equal(load_file("version: 1\n"
				   "rules:\n"
				   "  - {name: a, when: {verdict: lots}, do: flush}\n"
				   "mode: &x atc\n"
				   "instances: [{name: a, type: sendmail, lag: x}]\n",
				 &l, &faults),
		-EINVAL);
	assert_string_equal(mqw_buffer_str(&faults),
		":3:31: verdict: unknown word \"lots\"; allowed: delivered, handed_off, pending, "
		"bounced, expired, discarded, removed, held, relocated, vanished, false_ndr, "
		"overdue, lost_downstream, unknown\n"
		":4:7: anchors (&name) are not supported: write out what is meant\n"
		":4:7: mode: unknown word \"atc\"; did you mean \"act\"? allowed: observe, act\n"
		":5:13: no such type\n"
		":5:39: unknown key \"lag\" in an instance; did you mean \"log\"?\n");
	assert_null(l.config);
	assert_null(l.rules);
	mqw_buffer_clear(&faults);
	assert_int_equal(load_file("version: [\n", &l, &faults), -EINVAL);
	assert_null(l.config);
	mqw_buffer_clear(&faults);
	assert_int_equal(load_file("version: 1\ninstances: [{name: a, type: postfix}]\n"
				   "rules: [{name: r, when: {count: 2, within: 1m}, do: flush}]\n",
				 &l, &faults),
		0);
	assert_string_equal(mqw_buffer_str(&faults), "");
	assert_int_equal(mqw_rules_count(l.rules), 1);
	done(&l);
	mqw_buffer_done(&faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_of_conditions_are_told),
		cmocka_unit_test(windows_need_both_halves),
		cmocka_unit_test(faults_of_rules_are_told),
		cmocka_unit_test(faults_of_actions_are_told),
		cmocka_unit_test(recover_is_for_what_is_lost_only),
		cmocka_unit_test(a_file_gives_the_faults_of_all_layers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
