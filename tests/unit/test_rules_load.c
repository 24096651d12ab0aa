/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "rules/rule.h"
#include "watchdogd/config/faults.h"

/* Rules begin at line 7. */
#define HEAD                                                                                       \
	"version: 1\n"                                                                             \
	"instances:\n"                                                                             \
	"  - {name: out, type: postfix}\n"                                                         \
	"  - {name: in, type: exim}\n"                                                             \
	"alerts: {ops: {journal: true}}\n"                                                         \
	"rules:\n"

struct loaded {
	struct mqw_config *config;
	struct mqw_rules *rules;
};

static struct loaded load(const char *text)
{
	struct loaded l = {0};
	struct mqw_diag d = {0};

	assert_int_equal(mqw_config_parse(mqw_slice_of(text), "f", &l.config, &d), 0);
	assert_int_equal(mqw_rules_load(l.config, &l.rules, &d), 0);
	assert_string_equal(mqw_buffer_str(&d.text), "");
	mqw_diag_done(&d);
	return l;
}

static void done(struct loaded *l)
{
	mqw_rules_free(l->rules);
	mqw_config_free(l->config);
}

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

static const struct mqw_action *action(const struct loaded *l, size_t rule, size_t i)
{
	size_t n;
	const struct mqw_action *a = mqw_rule_actions(mqw_rules_get(l->rules, rule), &n);

	assert_true(i < n);
	return &a[i];
}

static void assert_budget(struct mqw_budget b, uint32_t at_most, int64_t per, int64_t cooldown)
{
	assert_int_equal(b.at_most, at_most);
	assert_int_equal(b.per, per);
	assert_int_equal(b.cooldown, cooldown);
}

/* Section 5 of the design, with the channels that this version has. */
static void the_example_of_the_design_is_read(void **state)
{
	(void)state;
	struct loaded l = load(
		"version: 1\n"
		"mode: observe                  # observe: say what would be done. act: do it\n"
		"instances:\n"
		"  - name: outbound\n"
		"    type: postfix\n"
		"    log: journal               # or a path or glob; default: the MTA's usual "
		"place\n"
		"    queue: /var/spool/postfix  # default: asked from the MTA\n"
		"    service: postfix@-.service # what `restart` restarts\n"
		"    lifetime: 5d               # default: asked from the MTA\n"
		"vault: {keep: deferred, size: 2G, age: 7d}      # none | deferred | all\n"
		"alerts:\n"
		"  ops:   {journal: true}\n"
		"  pager: {journal: true}\n"
		"rules:\n"
		"  - name: resend what vanished\n"
		"    when: {verdict: vanished, code: 4xx}\n"
		"    do: [recover, {alert: ops}]\n"
		"  - name: the SMTP service is stuck\n"
		"    when: {verdict: [vanished, false_ndr, overdue], count: 3, within: 10m, per: "
		"instance}\n"
		"    do:\n"
		"      - restart: {at_most: 2 per 1h, cooldown: 10m, healthy: {smtp: "
		"\"127.0.0.1:25\", within: 30s}}\n"
		"      - {alert: pager}\n");
	const struct mqw_rule *r;
	const struct mqw_action *a;
	size_t n;

	assert_int_equal(mqw_rules_count(l.rules), 2);
	r = mqw_rules_get(l.rules, 0);
	assert_string_equal(mqw_rule_name(r), "resend what vanished");
	assert_int_equal(r->line, 15);
	assert_int_equal(r->column, 5);
	assert_int_equal(r->verdicts, 1u << MQW_VERDICT_VANISHED);
	assert_int_equal(r->codes.count, 1);
	assert_string_equal(r->codes.items[0], "4xx");
	assert_int_equal(r->count, 0);
	assert_null(r->windows);
	mqw_rule_actions(r, &n);
	assert_int_equal(n, 2);
	a = action(&l, 0, 0);
	assert_int_equal(a->kind, MQW_ACTION_RECOVER);
	assert_int_equal(a->line, 17);
	assert_int_equal(a->column, 10);
	a = action(&l, 0, 1);
	assert_int_equal(a->kind, MQW_ACTION_ALERT);
	assert_string_equal(a->alert, "ops");

	r = mqw_rules_get(l.rules, 1);
	assert_int_equal(r->verdicts,
		1u << MQW_VERDICT_VANISHED | 1u << MQW_VERDICT_FALSE_NDR |
			1u << MQW_VERDICT_OVERDUE);
	assert_int_equal(r->count, 3);
	assert_int_equal(r->within, 10 * MQW_MINUTE);
	assert_int_equal(r->per, MQW_PER_INSTANCE);
	assert_non_null(r->windows);
	a = action(&l, 1, 0);
	assert_int_equal(a->kind, MQW_ACTION_RESTART);
	assert_budget(a->budget, 2, MQW_HOUR, 10 * MQW_MINUTE);
	assert_string_equal(a->healthy_smtp, "127.0.0.1:25");
	assert_int_equal(a->healthy_within, 30 * MQW_SECOND);
	assert_string_equal(action(&l, 1, 1)->alert, "pager");
	done(&l);
}

static void no_rules_are_an_empty_set(void **state)
{
	(void)state;
	static const char *const texts[] = {"rules: []\n", "rules:\n", ""};
	char text[200];

	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "version: 1\ninstances: [{name: a, type: p}]\n%s",
			texts[i]);
		struct loaded l = load(text);

		assert_int_equal(mqw_rules_count(l.rules), 0);
		done(&l);
	}
	assert_null(mqw_rules_free(NULL));
}

static void every_action_has_a_budget(void **state)
{
	(void)state;
	struct loaded l = load(HEAD "  - name: a\n"
				    "    when: {verdict: vanished}\n"
				    "    do: [recover, requeue, flush, restart, {alert: journal}]\n"
				    "  - name: b\n"
				    "    when: {verdict: vanished}\n"
				    "    do:\n"
				    "      - recover: {at_most: 5 per 2d}\n"
				    "      - requeue: {cooldown: 1s}\n"
				    "      - flush: {at_most: 1   per   30m, cooldown: 0s}\n"
				    "      - restart:\n"
				    "  - {name: c, when: {}, do: flush}\n");

	assert_budget(action(&l, 0, 0)->budget, 100, MQW_HOUR, 0);
	assert_budget(action(&l, 0, 1)->budget, 100, MQW_HOUR, 0);
	assert_budget(action(&l, 0, 2)->budget, 6, MQW_HOUR, 5 * MQW_MINUTE);
	assert_budget(action(&l, 0, 3)->budget, 2, MQW_HOUR, 10 * MQW_MINUTE);
	assert_budget(action(&l, 0, 4)->budget, 60, MQW_HOUR, 0);
	assert_null(action(&l, 0, 3)->healthy_smtp);
	assert_budget(action(&l, 1, 0)->budget, 5, 2 * MQW_DAY, 0);
	assert_budget(action(&l, 1, 1)->budget, 100, MQW_HOUR, MQW_SECOND);
	assert_budget(action(&l, 1, 2)->budget, 1, 30 * MQW_MINUTE, 0);
	assert_budget(action(&l, 1, 3)->budget, 2, MQW_HOUR, 10 * MQW_MINUTE);
	assert_budget(action(&l, 2, 0)->budget, 6, MQW_HOUR, 5 * MQW_MINUTE);
	for (int k = 0; k < MQW_ACTION_COUNT; k++) {
		assert_true(mqw_budget_default((enum mqw_action_kind)k).at_most > 0);
		assert_true(mqw_budget_default((enum mqw_action_kind)k).per > 0);
	}
	assert_string_equal(mqw_action_name(MQW_ACTION_ALERT), "alert");
	assert_string_equal(mqw_action_name(MQW_ACTION_RECOVER), "recover");
	done(&l);
}

static void each_verdict_word_is_its_verdict(void **state)
{
	(void)state;
	char text[400];

	for (int v = 1; v < MQW_VERDICT_COUNT; v++) {
		snprintf(text, sizeof(text), HEAD "  - {name: a, when: {verdict: %s}, do: flush}\n",
			mqw_verdict_name((enum mqw_verdict)v));
		struct loaded l = load(text);

		assert_int_equal(mqw_rules_get(l.rules, 0)->verdicts, 1u << v);
		done(&l);
	}
	for (int c = 0; c < MQW_CONFIDENCE_COUNT; c++) {
		snprintf(text, sizeof(text),
			HEAD "  - {name: a, when: {confidence: %s}, do: flush}\n",
			mqw_confidence_name((enum mqw_confidence)c));
		struct loaded l = load(text);

		assert_true(mqw_rules_get(l.rules, 0)->confidence_asked);
		assert_int_equal(mqw_rules_get(l.rules, 0)->confidence, c);
		/* Without a verdict: all trouble, nothing else. */
		for (int v = 0; v < MQW_VERDICT_COUNT; v++)
			assert_int_equal(mqw_rules_get(l.rules, 0)->verdicts >> v & 1,
				mqw_verdict_is_trouble((enum mqw_verdict)v));
		done(&l);
	}
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

static void rules_are_said_in_plain_words(void **state)
{
	(void)state;
	struct loaded l = load(HEAD "  - name: a\n"
				    "    when: {verdict: vanished, code: 4xx}\n"
				    "    do: recover\n"
				    "  - name: b\n"
				    "    when:\n"
				    "      verdict: [vanished, overdue]\n"
				    "      code: [450, 451]\n"
				    "      status: 4.7.*\n"
				    "      sender: '*@example.com'\n"
				    "      recipient: \"\\u202e@x\"\n"
				    "      relay: mx.*\n"
				    "      instance: out\n"
				    "      mta: postfix\n"
				    "      confidence: probable\n"
				    "      greylisting: any\n"
				    "      attempts: 2\n"
				    "      hasty_retries: true\n"
				    "      count: 3\n"
				    "      within: 90m\n"
				    "      per: relay\n"
				    "    do:\n"
				    "      - restart: {healthy: {smtp: '[::1]:25'}}\n"
				    "      - {alert: ops}\n");
	struct mqw_buffer b = {0};

	mqw_rule_explain(mqw_rules_get(l.rules, 0), &b);
	assert_string_equal(mqw_buffer_str(&b),
		"  when a recipient is vanished\n"
		"    and the last reply was 4xx\n"
		"  then mail the kept copy again, to the lost recipients only "
		"(at most 100 in 1 h)\n");
	mqw_buffer_clear(&b);
	mqw_rule_explain(mqw_rules_get(l.rules, 1), &b);
	assert_string_equal(mqw_buffer_str(&b),
		"  when a recipient is vanished or overdue\n"
		"    and that is probable at least\n"
		"    and the last reply was 450 or 451\n"
		"    and its status was 4.7.*\n"
		"    and the sender is like *@example.com\n"
		"    and the recipient is like \\xe2\\x80\\xae@x\n"
		"    and the relay is like mx.*\n"
		"    and the instance is out\n"
		"    and the MTA is postfix\n"
		"    and the reply looks like greylisting of the kind any\n"
		"    and it was tried 2 times or more\n"
		"    and every retry came too soon for greylisting\n"
		"    and there are 3 such recipients within 90 min, at one relay\n"
		"  then restart the service (at most 2 in 1 h, at least 10 min apart), good when "
		"[::1]:25 greets within 30 s\n"
		"  then alert ops (at most 60 in 1 h)\n");
	mqw_buffer_done(&b);
	done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_design_is_read),
		cmocka_unit_test(no_rules_are_an_empty_set),
		cmocka_unit_test(every_action_has_a_budget),
		cmocka_unit_test(each_verdict_word_is_its_verdict),
		cmocka_unit_test(faults_of_conditions_are_told),
		cmocka_unit_test(windows_need_both_halves),
		cmocka_unit_test(faults_of_rules_are_told),
		cmocka_unit_test(faults_of_actions_are_told),
		cmocka_unit_test(recover_is_for_what_is_lost_only),
		cmocka_unit_test(a_file_gives_the_faults_of_all_layers),
		cmocka_unit_test(rules_are_said_in_plain_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
