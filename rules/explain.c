/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A rule in plain words, for `config check`: what was understood, where it can be doubted. */
#include "rules/rule.h"

static void add_any_of(struct mqw_buffer *b, const char *before, const struct mqw_any_of *any)
{
	if (any->count == 0)
		return;
	mqw_buffer_printf(b, "    and %s ", before);
	for (size_t i = 0; i < any->count; i++) {
		mqw_buffer_add_str(b, i ? " or " : "");
		mqw_buffer_add_printable(b, mqw_slice_of(any->items[i]));
	}
	mqw_buffer_add_str(b, "\n");
}

/* Exact, in the largest unit that leaves no rest: what was written, not how long it feels. */
static void add_span(struct mqw_buffer *b, int64_t span)
{
	static const struct {
		int64_t unit;
		const char *name;
	} units[] = {
		{MQW_DAY, "d"},
		{MQW_HOUR, "h"},
		{MQW_MINUTE, "min"},
		{MQW_SECOND, "s"},
		{1000, "ms"},
	};
	size_t i = 0;

	while (i < 4 && span % units[i].unit)
		i++;
	mqw_buffer_printf(b, "%lld %s", (long long)(span / units[i].unit), units[i].name);
}

static void add_verdicts(struct mqw_buffer *b, const struct mqw_rule *rule)
{
	bool any = false;

	mqw_buffer_add_str(b, "  when a recipient is ");
	for (int v = 1; v < MQW_VERDICT_COUNT; v++)
		if (rule->verdicts >> v & 1) {
			mqw_buffer_printf(b, "%s%s", any ? " or " : "",
				mqw_verdict_name((enum mqw_verdict)v));
			any = true;
		}
	mqw_buffer_add_str(b, "\n");
	if (rule->confidence_asked)
		mqw_buffer_printf(b, "    and that is %s%s\n",
			mqw_confidence_name(rule->confidence),
			rule->confidence == MQW_CONFIDENCE_CERTAIN ? "" : " at least");
}

static void add_conditions(struct mqw_buffer *b, const struct mqw_rule *rule)
{
	static const char *const per[] = {[MQW_PER_INSTANCE] = "of one instance",
		[MQW_PER_RULE] = "in all",
		[MQW_PER_RELAY] = "at one relay",
		[MQW_PER_RECIPIENT_DOMAIN] = "in one recipient domain"};

	add_any_of(b, "the last reply was", &rule->codes);
	add_any_of(b, "its status was", &rule->statuses);
	add_any_of(b, "the sender is like", &rule->senders);
	add_any_of(b, "the recipient is like", &rule->recipients);
	add_any_of(b, "the relay is like", &rule->relays);
	add_any_of(b, "the instance is", &rule->instances);
	add_any_of(b, "the MTA is", &rule->mtas);
	add_any_of(b, "the reply looks like greylisting of the kind", &rule->greylisting);
	if (rule->attempts)
		mqw_buffer_printf(b, "    and it was tried %u times or more\n", rule->attempts);
	if (rule->hasty_asked)
		mqw_buffer_printf(b, "    and %s\n",
			rule->hasty ? "every retry came too soon for greylisting"
				    : "not every retry came too soon for greylisting");
	if (rule->count) {
		mqw_buffer_printf(b, "    and there are %u such %s within ", rule->count,
			rule->count == 1 ? "recipient" : "recipients");
		add_span(b, rule->within);
		mqw_buffer_printf(b, ", %s\n", per[rule->per]);
	}
}

static void add_action(struct mqw_buffer *b, const struct mqw_action *a)
{
	static const char *const words[] = {
		[MQW_ACTION_RECOVER] = "mail the kept copy again, to the lost recipients only",
		[MQW_ACTION_REQUEUE] = "have the message tried now",
		[MQW_ACTION_FLUSH] = "have the whole queue tried now",
		[MQW_ACTION_RESTART] = "restart the service",
		[MQW_ACTION_ALERT] = "alert ",
	};

	mqw_buffer_printf(b, "  then %s", words[a->kind]);
	if (a->alert)
		mqw_buffer_add_printable(b, mqw_slice_of(a->alert));
	mqw_buffer_printf(b, " (at most %u in ", a->budget.at_most);
	add_span(b, a->budget.per);
	if (a->budget.cooldown) {
		mqw_buffer_add_str(b, ", at least ");
		add_span(b, a->budget.cooldown);
		mqw_buffer_add_str(b, " apart");
	}
	mqw_buffer_add_str(b, ")");
	if (a->healthy_smtp) {
		mqw_buffer_add_str(b, ", good when ");
		mqw_buffer_add_printable(b, mqw_slice_of(a->healthy_smtp));
		mqw_buffer_add_str(b, " greets within ");
		add_span(b, a->healthy_within);
	}
	mqw_buffer_add_str(b, "\n");
}

void mqw_rule_explain_conditions(const struct mqw_rule *rule, struct mqw_buffer *ret)
{
	add_verdicts(ret, rule);
	add_conditions(ret, rule);
}

void mqw_rule_explain(const struct mqw_rule *rule, struct mqw_buffer *ret)
{
	mqw_rule_explain_conditions(rule, ret);
	for (size_t i = 0; i < rule->action_count; i++)
		add_action(ret, &rule->actions[i]);
}
