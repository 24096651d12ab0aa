/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Findings to alerts, with the time and the far side made up. */
#ifndef MQW_TESTS_UNIT_OUTBOX_FIXTURE_H
#define MQW_TESTS_UNIT_OUTBOX_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/ledger/ledger.h"

#define T INT64_C(1795572000000000)
#define S MQW_SECOND

static char dir[64], path[96];
static struct mqw_ledger *l;
static struct mqw_outbox *o;
static struct mqw_alert_config channels[] = {
	{.name = "ops", .channel = MQW_CHANNEL_EMAIL},
	{.name = "hook", .channel = MQW_CHANNEL_WEBHOOK},
	{.name = "quiet", .channel = MQW_CHANNEL_JOURNAL},
};

/* The far side. */
static struct {
	enum { UP, DOWN, MUTE, BROKEN } how;
	size_t tries, accepted; /* by all channels */
	json_t *got[64]; /* what was accepted */
	int64_t under_way; /* of a mute one */
} far_side;

static int64_t now;

static inline int on_send(
	void *ctx, int64_t id, const struct mqw_alert_config *c, const json_t *notice)
{
	struct mqw_delivery d = {.accepted = far_side.how == UP, .text = "so it said"};

	(void)ctx;
	(void)c;
	far_side.tries++;
	far_side.under_way = id;
	if (far_side.how == BROKEN)
		return -EAGAIN;
	if (far_side.how == MUTE)
		return 0;
	if (far_side.how == UP) {
		assert_true(far_side.accepted < 64);
		far_side.got[far_side.accepted++] = json_deep_copy(notice);
	}
	/* The answer always comes from the loop. */
	mqw_outbox_answered(o, id, &d, now);
	return 0;
}

/* As after a restart of the daemon: nothing is left but the ledger. */
static inline void restart(void)
{
	const struct mqw_outbox_ops ops = {.send = on_send};

	mqw_outbox_free(o);
	mqw_ledger_close(l);
	assert_int_equal(mqw_ledger_open(path, &l, NULL), 0);
	o = mqw_outbox_create(l, "mx1", &ops);
	assert_non_null(o);
	mqw_outbox_set_channels(o, channels, 3);
}

static inline int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mqw-outbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	memset(&far_side, 0, sizeof(far_side));
	now = T;
	restart();
	return 0;
}

static inline int teardown(void **state)
{
	char command[96];

	(void)state;
	for (size_t i = 0; i < far_side.accepted; i++)
		json_decref(far_side.got[i]);
	o = mqw_outbox_free(o);
	l = mqw_ledger_close(l);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static inline int put_as(const char *channel, const char *rule, int number)
{
	char key[64], content[64];
	const struct mqw_outbox_finding f = {.channel = channel,
		.rule = rule,
		.instance = "out",
		.key = key,
		.verdict = number % 100 ? "vanished" : "overdue",
		.content = content};

	snprintf(key, sizeof(key), "%s/%s/%d", channel, rule, number);
	snprintf(content, sizeof(content), "{\"queue_id\":\"%d\"}", number);
	return mqw_outbox_put(o, &f, now);
}

static inline void found(int number)
{
	assert_int_equal(put_as("ops", "r", number), 1);
}

/* Lets time pass, second by second as the daemon does. */
static inline void pass(int64_t span)
{
	for (int64_t end = now + span; now < end;) {
		now += S;
		mqw_outbox_tick(o, now);
	}
}

static inline uint64_t count_of(size_t i)
{
	return mqw_notice_number(far_side.got[i], "count");
}

#define assert_sent(n) assert_int_equal(far_side.accepted, n)

#endif
