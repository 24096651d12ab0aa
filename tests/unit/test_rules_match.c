/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rules/rule.h"

struct state {
	struct mqw_config *config;
	struct mqw_rules *rules;
	struct mqw_message message;
	struct mqw_recipient recipient;
	struct mqw_judgement judgement;
	struct mqw_finding finding;
	char fired[200]; /* names of the rules that fired, each with a ";" */
};

/* What most tests look at: a message that vanished after a 451. */
static void setup(struct state *s, const char *rules)
{
	struct mqw_buffer text = {0};
	struct mqw_diag d = {0};

	*s = (struct state){0};
	mqw_buffer_printf(&text,
		"version: 1\ninstances: [{name: out, type: postfix}, {name: in, type: exim}]\n"
		"rules:\n%s",
		rules);
	assert_int_equal(mqw_config_parse(mqw_buffer_slice(&text), "f", &s->config, &d), 0);
	assert_int_equal(mqw_rules_load(s->config, &s->rules, &d), 0);
	assert_string_equal(mqw_buffer_str(&d.text), "");
	mqw_buffer_done(&text);
	mqw_diag_done(&d);
	s->message.realm = "mx";
	s->message.queue_id = "4F3aBcDeFgHz1k";
	s->message.sender = (char *)(uintptr_t) "a@example.com";
	s->recipient.address = (char *)(uintptr_t) "b@Example.NET";
	s->recipient.relay = (char *)(uintptr_t) "MX.example.net[192.0.2.1]:25";
	strcpy(s->recipient.status, "4.7.1");
	s->recipient.code = 451;
	s->recipient.attempts = 2;
	s->judgement.verdict = MQW_VERDICT_VANISHED;
	s->judgement.confidence = MQW_CONFIDENCE_CERTAIN;
	s->judgement.greylisting = "postgrey";
	s->finding = (struct mqw_finding){.instance = "out",
		.mta = "postfix",
		.message = &s->message,
		.recipient = &s->recipient,
		.judgement = &s->judgement,
		.time = 1000 * MQW_SECOND};
}

static void done(struct state *s)
{
	mqw_rules_free(s->rules);
	mqw_config_free(s->config);
}

static void on_fire(void *ctx, const struct mqw_rule *rule, const struct mqw_finding *f)
{
	struct state *s = ctx;

	assert_ptr_equal(f, &s->finding);
	strcat(s->fired, mqw_rule_name(rule));
	strcat(s->fired, ";");
}

static const char *match(struct state *s)
{
	s->fired[0] = '\0';
	mqw_rules_match(s->rules, &s->finding, on_fire, s);
	return s->fired;
}

/* Whether one rule with that condition holds for the finding of setup(). */
static bool holds(const char *condition)
{
	struct state s;
	char rule[300];
	bool fired;

	snprintf(rule, sizeof(rule), "  - {name: r, when: {%s}, do: flush}\n", condition);
	setup(&s, rule);
	fired = strcmp(match(&s), "r;") == 0;
	done(&s);
	return fired;
}

static void conditions_of_the_verdict(void **state)
{
	(void)state;
	assert_true(holds(""));
	assert_true(holds("verdict: vanished"));
	assert_true(holds("verdict: [overdue, vanished]"));
	assert_false(holds("verdict: overdue"));
	assert_true(holds("confidence: certain"));
	assert_true(holds("confidence: unproven"));
	assert_true(holds("attempts: 2"));
	assert_false(holds("attempts: 3"));
	assert_true(holds("hasty_retries: false"));
	assert_false(holds("hasty_retries: true"));
	assert_true(holds("greylisting: any"));
	assert_true(holds("greylisting: Post*"));
	assert_false(holds("greylisting: milter-greylist"));
}

static void conditions_of_the_reply(void **state)
{
	(void)state;
	assert_true(holds("code: 4xx"));
	assert_true(holds("code: 451"));
	assert_true(holds("code: [450, 45x]"));
	assert_true(holds("code: 4x1"));
	assert_false(holds("code: [450, 5xx]"));
	assert_true(holds("status: 4.7.1"));
	assert_true(holds("status: 4.7.*"));
	assert_true(holds("status: 4.*"));
	assert_false(holds("status: [4.2.*, 4.7.10]"));
}

static void conditions_of_addresses(void **state)
{
	(void)state;
	assert_true(holds("sender: a@example.com"));
	assert_true(holds("sender: '*@EXAMPLE.com'"));
	assert_false(holds("sender: A@example.com"));
	assert_false(holds("sender: <>"));
	assert_true(holds("recipient: 'b@*.net'"));
	assert_true(holds("recipient: '*example.net'"));
	assert_true(holds("recipient: ['x@*', '?@example.net']"));
	assert_false(holds("recipient: '??@example.net'"));
	assert_false(holds("recipient: 'b@example'"));
	assert_true(holds("relay: mx.example.net"));
	assert_true(holds("relay: '*.example.net'"));
	assert_true(holds("relay: 'mx.example.net[192.0.2.1]:25'"));
	assert_true(holds("relay: '*[192.0.2.*'"));
	assert_false(holds("relay: example.net"));
}

static void conditions_of_the_instance(void **state)
{
	(void)state;
	assert_true(holds("instance: out"));
	assert_true(holds("instance: [in, out]"));
	assert_false(holds("instance: in"));
	assert_true(holds("mta: postfix"));
	assert_false(holds("mta: exim"));
}

static void all_conditions_have_to_hold(void **state)
{
	(void)state;
	assert_true(holds("verdict: vanished, code: 4xx, instance: out"));
	assert_false(holds("verdict: vanished, code: 5xx, instance: out"));
	assert_false(holds("verdict: vanished, code: 4xx, instance: in"));
}

static void what_is_not_known_matches_nothing(void **state)
{
	(void)state;
	struct state s;

	setup(&s,
		"  - {name: code, when: {code: 4xx}, do: flush}\n"
		"  - {name: status, when: {status: 4.*}, do: flush}\n"
		"  - {name: sender, when: {sender: '*'}, do: flush}\n"
		"  - {name: recipient, when: {recipient: '*'}, do: flush}\n"
		"  - {name: relay, when: {relay: '*'}, do: flush}\n"
		"  - {name: greylisting, when: {greylisting: any}, do: flush}\n"
		"  - {name: null, when: {sender: <>}, do: flush}\n");
	assert_string_equal(match(&s), "code;status;sender;recipient;relay;greylisting;");
	s.recipient = (struct mqw_recipient){.attempts = 0};
	s.message.sender = NULL;
	s.judgement.greylisting = NULL;
	assert_string_equal(match(&s), "");
	s.message.sender = (char *)(uintptr_t) "";
	assert_string_equal(match(&s), "sender;null;");
	s.recipient.code = 45;
	assert_string_equal(match(&s), "sender;null;");
	done(&s);
}

static void trouble_without_proof_moves_nobody_unasked(void **state)
{
	(void)state;
	struct state s;

	setup(&s,
		"  - {name: plain, when: {}, do: flush}\n"
		"  - {name: any, when: {confidence: unproven}, do: flush}\n"
		"  - {name: sure, when: {confidence: certain}, do: flush}\n"
		"  - {name: unknown, when: {verdict: unknown}, do: flush}\n");
	assert_string_equal(match(&s), "plain;any;sure;");
	s.judgement.confidence = MQW_CONFIDENCE_PROBABLE;
	assert_string_equal(match(&s), "plain;any;");
	s.judgement.confidence = MQW_CONFIDENCE_UNPROVEN;
	assert_string_equal(match(&s), "any;");
	s.judgement.verdict = MQW_VERDICT_UNKNOWN;
	assert_string_equal(match(&s), "unknown;");
	s.judgement.verdict = MQW_VERDICT_PENDING;
	assert_string_equal(match(&s), "");
	/* Told again since it is surer now: news for those only whom it was not sure enough. */
	s.judgement.verdict = MQW_VERDICT_VANISHED;
	s.judgement.again = true;
	s.judgement.before = MQW_CONFIDENCE_PROBABLE;
	s.judgement.confidence = MQW_CONFIDENCE_CERTAIN;
	assert_string_equal(match(&s), "sure;");
	done(&s);
}

static void find(struct state *s, const char *queue_id, const char *recipient, int64_t time,
	const char *want)
{
	s->message.queue_id = queue_id;
	s->recipient.address = (char *)(uintptr_t)recipient;
	s->finding.time = time;
	assert_string_equal(match(s), want);
}

static void counts_fill_a_window_and_start_anew(void **state)
{
	(void)state;
	struct state s;

	setup(&s,
		"  - {name: r, when: {count: 3, within: 10m}, do: flush}\n"
		"  - {name: each, when: {}, do: flush}\n");
	find(&s, "A", "x@a", 0, "each;");
	find(&s, "A", "x@a", MQW_MINUTE, "each;"); /* the same once more */
	find(&s, "A", "y@a", 2 * MQW_MINUTE, "each;");
	find(&s, "B", "x@a", 11 * MQW_MINUTE, "r;each;"); /* 10 min after the first's last */
	find(&s, "C", "x@a", 11 * MQW_MINUTE, "each;");
	find(&s, "D", "x@a", 11 * MQW_MINUTE, "each;");
	find(&s, "E", "x@a", 21 * MQW_MINUTE + 1, "each;");
	find(&s, "F", "x@a", MQW_TIME_NONE, "each;");
	find(&s, "F", "x@a", 21 * MQW_MINUTE + 1, "each;");
	find(&s, "G", "x@a", 21 * MQW_MINUTE + 1, "r;each;");
	done(&s);
}

static void what_does_not_match_does_not_count(void **state)
{
	(void)state;
	struct state s;

	setup(&s, "  - {name: r, when: {code: 451, count: 2, within: 10m}, do: flush}\n");
	find(&s, "A", "x@a", 0, "");
	s.recipient.code = 550;
	find(&s, "B", "x@a", 0, "");
	s.recipient.code = 451;
	find(&s, "C", "x@a", 0, "r;");
	done(&s);
}

/* Two findings that differ in instance, relay and domain: which rules put them into one window. */
static void windows_are_kept_per_key(void **state)
{
	(void)state;
	struct state s;
	char relay[] = "other[192.0.2.9]:25", same[] = "mx.EXAMPLE.net[192.0.2.1]:25";

	setup(&s,
		"  - {name: i, when: {count: 2, within: 1m, per: instance}, do: flush}\n"
		"  - {name: d, when: {count: 2, within: 1m, per: recipient_domain}, do: flush}\n"
		"  - {name: r, when: {count: 2, within: 1m, per: relay}, do: flush}\n"
		"  - {name: a, when: {count: 3, within: 1m, per: rule}, do: flush}\n"
		"  - {name: x, when: {count: 2, within: 1m}, do: flush}\n");
	find(&s, "A", "x@one.example", 0, "");
	s.finding.instance = "in";
	s.recipient.relay = relay;
	find(&s, "B", "x@ONE.example", 0, "d;"); /* the same domain only */
	s.recipient.relay = same;
	find(&s, "C", "\"q@r\"@two.example", 0, "i;r;a;x;");
	done(&s);
}

/* The same queue id on another instance or host is another message. */
static void messages_are_told_apart(void **state)
{
	(void)state;
	struct state s;

	setup(&s, "  - {name: r, when: {count: 3, within: 1m, per: rule}, do: flush}\n");
	find(&s, "A", "x@a", 0, "");
	s.finding.instance = "in";
	find(&s, "A", "x@a", 0, "");
	s.message.realm = "other";
	find(&s, "A", "x@a", 0, "r;");
	done(&s);
}

/* A queue id that is used again is another message: the beginning of its life tells. */
static void lives_of_one_id_are_told_apart(void **state)
{
	(void)state;
	struct state s;

	setup(&s, "  - {name: r, when: {count: 2, within: 1m, per: rule}, do: flush}\n");
	s.message.first_seen = 100;
	find(&s, "A", "x@a", 0, "");
	find(&s, "A", "x@a", 0, "");
	s.message.first_seen = 200;
	find(&s, "A", "x@a", 0, "r;");
	done(&s);
}

/* Losses at relays or domains that nobody knows are no cluster, however many. */
static void unknown_places_are_not_counted(void **state)
{
	(void)state;
	struct state s;

	setup(&s,
		"  - {name: r, when: {count: 2, within: 1m, per: relay}, do: restart}\n"
		"  - {name: d, when: {count: 2, within: 1m, per: recipient_domain}, do: "
		"restart}\n");
	s.recipient.relay = NULL;
	find(&s, "A", "x", 0, "");
	find(&s, "B", "y", 0, "");
	find(&s, "C", "z", 0, "");
	done(&s);
}

static void globs_know_two_signs(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool matches;
	} rows[] = {
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"**", "abc", true},
		{"a*c", "abc", true},
		{"a*c", "ac", true},
		{"a*c", "acb", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*ab", "aab", true},
		{"*aab", "aaaab", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"?", "", false},
		{"[ab]", "a", false},
		{"[ab]", "[ab]", true},
		{"a\\*", "a*", false},
		{"ABC", "abc", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(mqw_glob_match(mqw_slice_of(rows[i].pattern),
					 mqw_slice_of(rows[i].text), false),
			rows[i].matches);
	assert_true(mqw_glob_match(MQW_LIT("ABC"), MQW_LIT("abc"), true));
	assert_true(mqw_glob_match_relay(MQW_LIT("none"), MQW_LIT("none")));
	assert_false(mqw_glob_match_relay(MQW_LIT(""), MQW_LIT("[192.0.2.1]:25")));
}

/* Many stars against a text that nearly fits are quadratic at worst, never exponential. */
static void globs_cannot_be_made_slow(void **state)
{
	(void)state;
	char text[2001], pattern[42];

	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < 40; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + 40, "*b", 2);
	assert_false(mqw_glob_match(
		mqw_slice(pattern, sizeof(pattern)), mqw_slice(text, sizeof(text)), false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_of_the_verdict),
		cmocka_unit_test(conditions_of_the_reply),
		cmocka_unit_test(conditions_of_addresses),
		cmocka_unit_test(conditions_of_the_instance),
		cmocka_unit_test(all_conditions_have_to_hold),
		cmocka_unit_test(what_is_not_known_matches_nothing),
		cmocka_unit_test(trouble_without_proof_moves_nobody_unasked),
		cmocka_unit_test(counts_fill_a_window_and_start_anew),
		cmocka_unit_test(what_does_not_match_does_not_count),
		cmocka_unit_test(windows_are_kept_per_key),
		cmocka_unit_test(messages_are_told_apart),
		cmocka_unit_test(lives_of_one_id_are_told_apart),
		cmocka_unit_test(unknown_places_are_not_counted),
		cmocka_unit_test(globs_know_two_signs),
		cmocka_unit_test(globs_cannot_be_made_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
