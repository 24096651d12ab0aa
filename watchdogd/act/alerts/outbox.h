/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From findings to alerts that are sent: gathers the findings of one cause (channel, rule,
 * instance), seals them into an alert, and has it sent until the far side accepts it. All of its
 * memory is the ledger's outbox, so that nothing is forgotten or sent twice over a restart; what
 * time it is comes in from outside.
 *
 * The first finding of a cause waits two seconds for its companions. Further ones go into digests:
 * at the earliest 5 min after the first alert, 1 h after the second, 6 h after the third, then once
 * a day. A cause that was quiet for that time begins anew.
 *
 * A try that failed is repeated after 30 s, then after twice as long each time, at most 15 min. An
 * alert that nobody accepts is given up 24 h after it was sealed, with a word in the journal.
 */
#ifndef MQW_ACT_ALERTS_OUTBOX_H
#define MQW_ACT_ALERTS_OUTBOX_H

#include "watchdogd/act/alerts/deliver.h"
#include "watchdogd/ledger/outbox.h"

struct mqw_outbox;

struct mqw_outbox_ops {
	/* Begins to send; mqw_outbox_answered() is called later. 0 or a negative errno. */
	int (*send)(void *ctx, int64_t id, const struct mqw_alert_config *c, const json_t *notice);
	void *ctx;
};

/* ledger is borrowed, host copied. NULL when memory is out. */
struct mqw_outbox *mqw_outbox_create(
	struct mqw_ledger *ledger, const char *host, const struct mqw_outbox_ops *ops);
struct mqw_outbox *mqw_outbox_free(struct mqw_outbox *o);

/* The channels from now on; borrowed until the next call. */
void mqw_outbox_set_channels(
	struct mqw_outbox *o, const struct mqw_alert_config *channels, size_t count);

/* Whether alerts of that name are sent anywhere but to the journal. */
bool mqw_outbox_takes(const struct mqw_outbox *o, const char *channel);

/* One finding; all borrowed for the call. */
struct mqw_outbox_finding {
	const char *channel, *rule, *instance;
	const char *key; /* unique: it is told once, whatever happens */
	const char *verdict; /* or another word for what it is, to be counted by */
	const char *content; /* a JSON object, as of mqw_verdict_json() */
	bool apart; /* it waits for no companions and in no digest: an alert of its own, at once */
};

/*
 * Adds a finding; not within a batch of the ledger. 1, 0 when it had been added before, or a
 * negative errno: it is not kept, try later.
 */
int mqw_outbox_put(struct mqw_outbox *o, const struct mqw_outbox_finding *f, int64_t now);

/* Seals and sends what is due; call about once a second. One alert a channel is under way. */
void mqw_outbox_tick(struct mqw_outbox *o, int64_t now);

/* What became of an alert that was begun. */
void mqw_outbox_answered(
	struct mqw_outbox *o, int64_t id, const struct mqw_delivery *d, int64_t now);

/*
 * Notes the token of a mail that is sent by hand, so that it is known as our own. 0 or what the
 * ledger says.
 */
int mqw_outbox_note_test(struct mqw_ledger *l, const char *channel, const char *token, int64_t now);

/*
 * Whether a Message-ID (without angle brackets) is of a mail that this host's outbox made and that
 * may still be on its way. It has 128 random bits that only the ledger and those who got the mail
 * know: a stranger can repeat one of these in mail of his own, for a week, and gains that nobody
 * misses that mail.
 */
bool mqw_outbox_is_own(struct mqw_ledger *l, struct mqw_slice message_id);

#endif
