/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies by which a greylisting receiver is known, with the delay that its product demands by
 * default. The words are those of each product's source or documentation; the first that fits
 * wins, so exact ones come before family words. Codes are no help: 421, 450 and 451 are all used.
 */
#include "watchdogd/track/tracker_internal.h"

static const struct mqw_greylist table[] = {
	{"postgrey", MQW_LIT("postgrey.schweikert.ch"), 5 * MQW_MINUTE},
	{"iRedAPD", MQW_LIT("intentional policy rejection, please try again later"),
		15 * MQW_MINUTE},
	{"milter-greylist", MQW_LIT("greylisting in action, please come back"), 30 * MQW_MINUTE},
	{"cluebringer", MQW_LIT("greylisting in effect, please come back later"), 0},
	{"greylistd", MQW_LIT("is not yet authorized to deliver mail from"), 10 * MQW_MINUTE},
	{"exim-greylist", MQW_LIT("greylisting in progress, please try again later"),
		10 * MQW_MINUTE},
	{"haraka", MQW_LIT("greylisted. please come back later"), 850 * MQW_SECOND},
	{"qpsmtpd", MQW_LIT("this mail is temporarily denied"), 50 * MQW_MINUTE},
	{"GreyListAgent", MQW_LIT("greylisted. try again later"), 5 * MQW_MINUTE},
	{"spamdyke", MQW_LIT("your address has been graylisted"), 0},
	{"spamd", MQW_LIT("451 temporary failure, please try again later"), 25 * MQW_MINUTE},
	{"filter-spfgreylist", MQW_LIT("greylisted, try again later"), 5 * MQW_MINUTE},
	{"postscreen", MQW_LIT("450 4.3.2 service currently unavailable"), 0},
	{"MailEnable", MQW_LIT("employs greylisting as a means of reducing spam"), 0},
	{"greylisting", MQW_LIT("greylist"), 0},
	{"greylisting", MQW_LIT("graylist"), 0},
};

/* "greylisted for 300 seconds", "for 5 minutes": the reply's own figure wins over the table's. */
static const struct mqw_greylist *by_figure(struct mqw_slice reply)
{
	static const struct mqw_greylist sqlgrey = {
		"SQLgrey", MQW_LIT("greylisted for "), 5 * MQW_MINUTE};
	size_t at = mqw_slice_find_nocase(reply, sqlgrey.words);
	struct mqw_slice s = mqw_slice_from(reply, at + sqlgrey.words.len);
	uint64_t n;

	return at < reply.len && mqw_slice_take_u64(&s, &n) &&
			mqw_slice_starts(s, MQW_LIT(" minutes"))
		? &sqlgrey
		: NULL;
}

/* What "greylist" and "graylist" have in common: where it is not, most words need no search. */
#define FAMILY MQW_LIT("ylist")

/* Whether words, which have the family's letters, are anywhere in a reply, whose first such are at `at`. */
static bool has_family_words(struct mqw_slice reply, size_t at, struct mqw_slice words)
{
	const size_t before = mqw_slice_find(words, FAMILY);

	while (at < reply.len) {
		struct mqw_slice rest = mqw_slice_from(reply, at + 1);

		if (at >= before && reply.len - at >= words.len - before &&
			mqw_slice_eq_nocase(mqw_slice(reply.ptr + at - before, words.len), words))
			return true;
		at += 1 + mqw_slice_find_nocase(rest, FAMILY);
	}
	return false;
}

const struct mqw_greylist *mqw_greylist_find(struct mqw_slice reply)
{
	const size_t at = mqw_slice_find_nocase(reply, FAMILY);
	const struct mqw_greylist *g = at < reply.len ? by_figure(reply) : NULL;

	for (size_t i = 0; !g && reply.len && i < sizeof(table) / sizeof(table[0]); i++) {
		struct mqw_slice words = table[i].words;

		if (mqw_slice_find(words, FAMILY) < words.len
				? has_family_words(reply, at, words)
				: mqw_slice_find_nocase(reply, words) < reply.len)
			g = &table[i];
	}
	return g;
}

/* A clock "00:08:00" or a number with its unit, at the front; 0 for neither. */
static int64_t figure_at(struct mqw_slice s)
{
	static const struct {
		struct mqw_slice word;
		int64_t unit;
	} units[] = {{MQW_LIT(" sec"), MQW_SECOND}, {MQW_LIT(" min"), MQW_MINUTE},
		{MQW_LIT(" hour"), MQW_HOUR}};
	uint64_t n[3];

	if (!mqw_slice_take_u64(&s, &n[0]) || n[0] > 86400)
		return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (mqw_slice_starts(s, units[i].word))
			return (int64_t)n[0] * units[i].unit;
	for (size_t i = 1; i < 3; i++)
		if (!mqw_slice_skip(&s, MQW_LIT(":")) || !mqw_slice_take_u64(&s, &n[i]) ||
			n[i] > 59)
			return 0;
	return (int64_t)(n[0] * 3600 + n[1] * 60 + n[2]) * MQW_SECOND;
}

int64_t mqw_greylist_delay(const struct mqw_greylist *g, struct mqw_slice reply)
{
	static const struct mqw_slice words[] = {MQW_LIT(" for "), MQW_LIT(" in ")};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct mqw_slice rest = reply;

		while (rest.len) {
			int64_t figure;

			rest = mqw_slice_from(rest, mqw_slice_find(rest, words[i]) + words[i].len);
			figure = figure_at(rest);
			if (figure > 0 && figure <= MQW_GREYLIST_DELAY_MAX)
				return figure;
		}
	}
	return g->min_delay;
}

const char *mqw_greylisting_of(struct mqw_slice reply, int64_t *ret_delay)
{
	const struct mqw_greylist *g = mqw_greylist_find(reply);

	*ret_delay = g ? mqw_greylist_delay(g, reply) : 0;
	return g ? g->name : NULL;
}
