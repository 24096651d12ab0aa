/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What windows count, kept over restarts and reloads: a restart must not make a rule forget. */
#include <errno.h>
#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "rules/rule.h"

#define DIGITS 16 /* of a number, in hexadecimal */
#define ENTRY_LEN (2 * DIGITS)

int mqw_rule_number_conditions(struct mqw_rule *rule)
{
	struct mqw_buffer words = {0};
	int r;

	mqw_rule_explain_conditions(rule, &words);
	rule->conditions = XXH3_64bits(mqw_buffer_str(&words), words.len);
	r = words.failed ? -ENOMEM : 0;
	mqw_buffer_done(&words);
	return r;
}

struct saving {
	const struct mqw_window_store *store;
	struct mqw_window_record record;
	struct mqw_buffer entries;
	bool any;
};

static int forget(struct saving *s, const char *rule)
{
	s->any = true;
	return s->store->forget(s->store->ctx, rule);
}

static int save_window(
	void *ctx, struct mqw_slice key, const struct mqw_window_entry *entries, size_t count)
{
	struct saving *s = ctx;

	s->any = true;
	mqw_buffer_clear(&s->entries);
	for (size_t i = 0; i < count; i++)
		mqw_buffer_printf(&s->entries, "%016llx%016llx",
			(unsigned long long)entries[i].time, (unsigned long long)entries[i].id);
	if (s->entries.failed)
		return -ENOMEM;
	s->record.key = key;
	s->record.entries = mqw_buffer_slice(&s->entries);
	return s->store->keep(s->store->ctx, &s->record);
}

static int save_rule(struct saving *s, const struct mqw_rule *rule, bool anew)
{
	int r = 0;

	s->record.rule = rule->name;
	s->record.conditions = rule->conditions;
	if (!anew && mqw_windows_lost(rule->windows)) {
		anew = true;
		r = forget(s, rule->name);
	}
	return r < 0 ? r : mqw_windows_each(rule->windows, !anew, save_window, s);
}

bool mqw_rules_unsaved(const struct mqw_rules *r)
{
	bool unsaved = !r->saved_once;

	for (size_t i = 0; !unsaved && i < r->count; i++)
		unsaved = r->rules[i].windows && mqw_windows_unkept(r->rules[i].windows);
	return unsaved;
}

int mqw_rules_save(const struct mqw_rules *r, const struct mqw_window_store *store)
{
	struct saving s = {.store = store};
	int error = r->saved_once ? 0 : forget(&s, NULL);

	for (size_t i = 0; error == 0 && i < r->count; i++)
		if (r->rules[i].windows)
			error = save_rule(&s, &r->rules[i], !r->saved_once);
	mqw_buffer_done(&s.entries);
	return error < 0 ? error : s.any;
}

void mqw_rules_saved(struct mqw_rules *r)
{
	r->saved_once = true;
	for (size_t i = 0; i < r->count; i++)
		if (r->rules[i].windows)
			mqw_windows_kept(r->rules[i].windows);
}

/* A number as save_window() writes it. */
static bool read_number(struct mqw_slice s, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < DIGITS; i++) {
		const char *digits = "0123456789abcdef";
		const char *at = memchr(digits, s.ptr[i], DIGITS);

		if (!at)
			return false;
		*ret = *ret << 4 | (uint64_t)(at - digits);
	}
	return true;
}

static struct mqw_rule *rule_of(const struct mqw_rules *r, const char *name, uint64_t conditions)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->rules[i].windows && r->rules[i].conditions == conditions &&
			strcmp(r->rules[i].name, name) == 0)
			return &r->rules[i];
	return NULL;
}

int mqw_rules_restore(struct mqw_rules *r, const struct mqw_window_record *w, int64_t now)
{
	struct mqw_rule *rule = rule_of(r, w->rule, w->conditions);
	uint64_t time, id;
	int taken = 0;

	if (w->entries.len % ENTRY_LEN)
		return -EBADMSG;
	for (size_t at = 0; rule && at < w->entries.len; at += ENTRY_LEN) {
		if (!read_number(mqw_slice_from(w->entries, at), &time) ||
			!read_number(mqw_slice_from(w->entries, at + DIGITS), &id))
			return -EBADMSG;
		/* One from a clock that was wrong would keep all others out. */
		if ((int64_t)time > now || (int64_t)time < now - rule->within)
			continue;
		mqw_windows_add(rule->windows, w->key, id, (int64_t)time);
		taken = 1;
	}
	return taken;
}

void mqw_rules_take_over(struct mqw_rules *r, struct mqw_rules *former)
{
	for (size_t i = 0; i < former->count; i++) {
		struct mqw_rule *from = &former->rules[i], *to;

		if (!from->windows)
			continue;
		to = rule_of(r, from->name, from->conditions);
		if (!to)
			continue;
		mqw_windows_free(to->windows);
		to->windows = from->windows;
		from->windows = NULL;
	}
}
