/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules as they are read, and said in plain words. Their faults are in test_rules_faults.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rules_fixture.h"

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
		cmocka_unit_test(rules_are_said_in_plain_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
