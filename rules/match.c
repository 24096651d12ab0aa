/* SPDX-License-Identifier: GPL-2.0-or-later */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "rules/rule.h"

static struct mqw_slice text(const char *s)
{
	return mqw_slice_of(s);
}

/* A condition holds when it was not asked, or when what is known is like one of its patterns. */
static bool any_matches(const struct mqw_any_of *any, const char *known,
	bool (*match)(struct mqw_slice pattern, struct mqw_slice known))
{
	if (any->count == 0)
		return true;
	for (size_t i = 0; known && i < any->count; i++)
		if (match(text(any->items[i]), text(known)))
			return true;
	return false;
}

/* What greylisting a reply looks like; "any" is every kind. */
static bool match_greylisting(struct mqw_slice pattern, struct mqw_slice known)
{
	return mqw_slice_eq(pattern, MQW_LIT("any")) || mqw_glob_match(pattern, known, true);
}

/* "4xx" against "450": an x stands for any digit. */
static bool match_code(struct mqw_slice pattern, struct mqw_slice known)
{
	if (pattern.len != known.len)
		return false;
	for (size_t i = 0; i < known.len; i++)
		if (pattern.ptr[i] != 'x' && pattern.ptr[i] != known.ptr[i])
			return false;
	return true;
}

static bool match_status(struct mqw_slice pattern, struct mqw_slice known)
{
	return known.len && mqw_glob_match(pattern, known, false);
}

static bool code_matches(const struct mqw_any_of *any, unsigned int code)
{
	char digits[4] = "";

	if (code >= 100 && code <= 999)
		for (int i = 2; i >= 0; i--, code /= 10)
			digits[i] = (char)('0' + code % 10);
	return any_matches(any, digits, match_code);
}

/*
 * A trouble verdict without proof moves no rule that does not ask for it: a false alarm costs more
 * than a late one.
 */
static bool is_enough(
	const struct mqw_rule *rule, enum mqw_verdict verdict, enum mqw_confidence confidence)
{
	if (rule->confidence_asked)
		return confidence >= rule->confidence;
	return !mqw_verdict_is_trouble(verdict) || confidence >= MQW_CONFIDENCE_PROBABLE;
}

/* A finding that is only surer than before is new to those whom it was not sure enough. */
static bool confidence_is_enough(const struct mqw_rule *rule, const struct mqw_judgement *j)
{
	return is_enough(rule, j->verdict, j->confidence) &&
		!(j->again && is_enough(rule, j->verdict, j->before));
}

static bool rule_matches(const struct mqw_rule *rule, const struct mqw_finding *f)
{
	const struct mqw_recipient *r = f->recipient;

	return rule->verdicts >> f->judgement->verdict & 1 &&
		confidence_is_enough(rule, f->judgement) && r->attempts >= rule->attempts &&
		(!rule->hasty_asked || r->hasty == rule->hasty) &&
		code_matches(&rule->codes, r->code) &&
		any_matches(&rule->statuses, r->status, match_status) &&
		any_matches(&rule->instances, f->instance, mqw_slice_eq) &&
		any_matches(&rule->mtas, f->mta, mqw_slice_eq) &&
		any_matches(&rule->greylisting, f->judgement->greylisting, match_greylisting) &&
		any_matches(&rule->senders, f->message->sender, mqw_glob_match_address) &&
		any_matches(&rule->recipients, r->address, mqw_glob_match_address) &&
		any_matches(&rule->relays, r->relay, mqw_glob_match_relay);
}

/* Empty: for MQW_PER_RULE, and where the relay or domain is not known. */
static struct mqw_slice window_key(const struct mqw_rule *rule, const struct mqw_finding *f)
{
	struct mqw_slice address = text(f->recipient->address), domain = address;

	switch (rule->per) {
	case MQW_PER_RULE:
		break;
	case MQW_PER_INSTANCE:
		return text(f->instance);
	case MQW_PER_RELAY:
		return text(f->recipient->relay);
	case MQW_PER_RECIPIENT_DOMAIN:
		while (mqw_slice_take_until(&domain, '@', &address))
			;
		return domain;
	}
	return MQW_SLICE_NULL;
}

/* Losses at unknown places have nothing to do with each other: they make no cluster. */
static bool is_countable(const struct mqw_rule *rule, const struct mqw_finding *f)
{
	return (rule->per != MQW_PER_RELAY && rule->per != MQW_PER_RECIPIENT_DOMAIN) ||
		window_key(rule, f).len > 0;
}

/* Which recipient of which message this is; the same in each run, since windows are kept. */
static uint64_t identity(const struct mqw_finding *f)
{
	const char *parts[] = {
		f->instance, f->message->realm, f->message->queue_id, f->recipient->address};
	uint64_t id = XXH3_64bits(&f->message->first_seen, sizeof(f->message->first_seen));

	/* Ids are used again: it takes the beginning of its life to tell a message. */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		id = XXH3_64bits_withSeed(
			parts[i] ? parts[i] : "", parts[i] ? strlen(parts[i]) : 0, id);
	return id;
}

void mqw_rules_match(struct mqw_rules *r, const struct mqw_finding *f,
	void (*fire)(void *ctx, const struct mqw_rule *rule, const struct mqw_finding *f),
	void *ctx)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct mqw_rule *rule = &r->rules[i];

		if (!rule_matches(rule, f))
			continue;
		if (rule->windows &&
			(f->time == MQW_TIME_NONE || !is_countable(rule, f) ||
				!mqw_windows_add(
					rule->windows, window_key(rule, f), identity(f), f->time)))
			continue;
		fire(ctx, rule, f);
	}
}
