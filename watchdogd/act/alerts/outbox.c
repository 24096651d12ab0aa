/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/alerts/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/base/json_text.h"

#define GATHER (2 * MQW_SECOND)
#define PAUSE_MIN (30 * MQW_SECOND)
#define PAUSE_MAX (15 * MQW_MINUTE)
#define GIVE_UP MQW_DAY
#define KEEP (7 * MQW_DAY) /* as long as a mail may wait in a queue, longer than any window */
#define DUE_MAX 200 /* looked at in one tick */

/* From the sealing of the n-th alert of a cause to its next one. */
static const int64_t windows[] = {5 * MQW_MINUTE, MQW_HOUR, 6 * MQW_HOUR, MQW_DAY};

/* An alert that is being sent, or whose outcome the ledger could not take yet. */
struct job {
	struct job *next;
	int64_t id, sealed_at;
	uint32_t attempts;
	uint64_t findings;
	char *channel;
	bool answered;
	struct mqw_delivery delivery;
};

struct mqw_outbox {
	struct mqw_ledger *ledger;
	struct mqw_outbox_ops ops;
	char *host;
	const struct mqw_alert_config *channels;
	size_t channel_count;
	struct job *jobs;
};

struct mqw_outbox *mqw_outbox_create(
	struct mqw_ledger *ledger, const char *host, const struct mqw_outbox_ops *ops)
{
	struct mqw_outbox *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	*o = (struct mqw_outbox){
		.ledger = ledger, .ops = *ops, .host = mqw_slice_dup(mqw_slice_of(host))};
	return o->host ? o : mqw_outbox_free(o);
}

static void drop(struct mqw_outbox *o, struct job *j)
{
	struct job **p = &o->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	free(j->channel);
	free(j);
}

struct mqw_outbox *mqw_outbox_free(struct mqw_outbox *o)
{
	if (!o)
		return NULL;
	while (o->jobs)
		drop(o, o->jobs);
	free(o->host);
	free(o);
	return NULL;
}

void mqw_outbox_set_channels(
	struct mqw_outbox *o, const struct mqw_alert_config *channels, size_t count)
{
	o->channels = channels;
	o->channel_count = count;
}

static const struct mqw_alert_config *find_channel(const struct mqw_outbox *o, const char *name)
{
	for (size_t i = 0; i < o->channel_count; i++)
		if (!strcmp(o->channels[i].name, name))
			return &o->channels[i];
	return NULL;
}

bool mqw_outbox_takes(const struct mqw_outbox *o, const char *channel)
{
	const struct mqw_alert_config *c = find_channel(o, channel);

	return c && c->channel != MQW_CHANNEL_JOURNAL;
}

static int64_t window(uint32_t stage)
{
	size_t last = sizeof(windows) / sizeof(windows[0]) - 1;

	return windows[stage < last ? stage : last];
}

/* Stage and due time of the alert that a finding opens; last: the cause's newest one, or NULL. */
static void plan(struct mqw_outbox_record *r, const struct mqw_outbox_record *last, int64_t now)
{
	int64_t until = last ? last->sealed_at + window(last->stage) : now;

	r->due_at = now + GATHER;
	if (until <= now)
		return;
	r->stage = last->stage + 1;
	/* The clock may have been set back. */
	if (until > now + window(last->stage))
		until = now + window(last->stage);
	if (r->due_at < until)
		r->due_at = until;
}

static int open_alert(struct mqw_outbox *o, const struct mqw_outbox_finding *f,
	const struct mqw_outbox_record *last, int64_t now, int64_t *ret_id)
{
	char token[MQW_NOTICE_TOKEN_LEN + 1];
	struct mqw_outbox_record r = {.channel = f->channel,
		.rule = f->rule,
		.instance = f->instance,
		.token = token,
		.state = MQW_OUTBOX_GATHERING,
		.opened_at = now,
		.latest_at = now,
		.sealed_at = MQW_TIME_NONE,
		.ended_at = MQW_TIME_NONE};

	if (!mqw_notice_token(token))
		return -EAGAIN;
	if (f->apart) {
		r.stage = MQW_OUTBOX_APART;
		r.due_at = now;
	} else {
		plan(&r, last, now);
	}
	return mqw_ledger_outbox_add(o->ledger, &r, ret_id);
}

static int put(struct mqw_outbox *o, const struct mqw_outbox_finding *f, int64_t now)
{
	struct mqw_outbox_record last;
	uint64_t before = 0;
	int64_t id = 0;
	int r = f->apart
		? 0
		: mqw_ledger_outbox_newest(o->ledger, f->channel, f->rule, f->instance, &last);

	if (r < 0)
		return r;
	if (r == 1 && last.state == MQW_OUTBOX_GATHERING) {
		id = last.id;
		before = last.findings;
	} else {
		r = open_alert(o, f, r == 1 ? &last : NULL, now, &id);
		if (r < 0)
			return r;
	}
	return mqw_ledger_outbox_add_finding(o->ledger, id, f->key, now, f->verdict,
		before < MQW_NOTICE_FINDINGS ? f->content : NULL);
}

int mqw_outbox_put(struct mqw_outbox *o, const struct mqw_outbox_finding *f, int64_t now)
{
	int r = mqw_ledger_begin(o->ledger), e;

	if (r < 0)
		return r;
	r = put(o, f, now);
	if (r != 1) {
		/* Known already: an alert that was opened for it goes too. */
		mqw_ledger_rollback(o->ledger);
		return r;
	}
	e = mqw_ledger_commit(o->ledger);
	return e < 0 ? e : 1;
}

static int64_t pause_after(uint32_t attempts)
{
	int64_t pause = PAUSE_MIN;

	while (attempts-- > 1 && pause < PAUSE_MAX)
		pause *= 2;
	return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

/* Says an outcome that the ledger has taken: each success, the first failure, the last one. */
static void say(const struct job *j, enum mqw_outbox_state state)
{
	const char *text = j->delivery.text;
	unsigned long long n = j->findings;

	if (state == MQW_OUTBOX_SENT)
		mqw_alert_say(MQW_ALERT_ACTION, j->attempts ? LOG_NOTICE : LOG_INFO, NULL,
			"alert %lld with %llu finding(s) was sent to %s: %s", (long long)j->id, n,
			j->channel, text);
	else if (state == MQW_OUTBOX_GIVEN_UP)
		mqw_alert_say(MQW_ALERT_ACTION, LOG_ALERT, NULL,
			"alert %lld with %llu finding(s) could not be sent to %s for a day and is "
			"given up: %s",
			(long long)j->id, n, j->channel, text);
	else if (j->attempts == 0)
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, NULL,
			"alert %lld with %llu finding(s) could not be sent to %s and is tried "
			"again: %s",
			(long long)j->id, n, j->channel, text);
}

/*
 * Writes the outcome down. While the ledger cannot take it the job stays, so that what is accepted
 * is not sent again and what failed is not tried in a hurry.
 */
static void mark(struct mqw_outbox *o, struct job *j, int64_t now)
{
	enum mqw_outbox_state state = j->delivery.accepted ? MQW_OUTBOX_SENT
		: now - j->sealed_at >= GIVE_UP            ? MQW_OUTBOX_GIVEN_UP
							   : MQW_OUTBOX_WAITING;
	int r = state == MQW_OUTBOX_WAITING
		? mqw_ledger_outbox_postpone(
			  o->ledger, j->id, now + pause_after(j->attempts + 1), j->delivery.text)
		: mqw_ledger_outbox_end(o->ledger, j->id, state, now, j->delivery.text);

	if (r < 0 && r != -ENOENT)
		return;
	say(j, state);
	if (state != MQW_OUTBOX_WAITING)
		mqw_ledger_outbox_expire(o->ledger, now - KEEP);
	drop(o, j);
}

void mqw_outbox_answered(
	struct mqw_outbox *o, int64_t id, const struct mqw_delivery *d, int64_t now)
{
	struct job *j = o->jobs;

	while (j && j->id != id)
		j = j->next;
	if (!j || j->answered)
		return;
	j->answered = true;
	j->delivery = *d;
	mark(o, j, now);
}

static int add_finding(void *ctx, const char *content)
{
	json_t *finding = json_loads(content, JSON_ALLOW_NUL, NULL);

	return finding && json_array_append_new(ctx, finding) == 0 ? 0 : -ENOMEM;
}

static int add_verdict(void *ctx, const char *verdict, uint64_t count)
{
	return json_object_set_new(ctx, verdict, json_integer((json_int_t)count)) == 0 ? 0
										       : -ENOMEM;
}

static json_t *make_notice(struct mqw_outbox *o, const struct mqw_outbox_record *r)
{
	const struct mqw_notice n = {.token = r->token,
		.host = o->host,
		.channel = r->channel,
		.rule = r->rule,
		.instance = r->instance,
		.digest = r->stage > 0 && r->stage != MQW_OUTBOX_APART,
		.count = r->findings,
		.time = r->sealed_at,
		.from = r->opened_at,
		.to = r->latest_at};
	json_t *verdicts = json_object(), *findings = json_array();
	int e = mqw_ledger_outbox_each_verdict(o->ledger, r->id, add_verdict, verdicts);

	if (e == 0)
		e = mqw_ledger_outbox_each_finding(o->ledger, r->id, add_finding, findings);
	if (e == 0)
		return mqw_notice_json(&n, verdicts, findings);
	json_decref(verdicts);
	json_decref(findings);
	return NULL;
}

static bool is_busy(const struct mqw_outbox *o, const struct mqw_outbox_record *r)
{
	for (const struct job *j = o->jobs; j; j = j->next)
		if (j->id == r->id || (!j->answered && !strcmp(j->channel, r->channel)))
			return true;
	return false;
}

static void send(struct mqw_outbox *o, const struct mqw_outbox_record *r, int64_t now)
{
	const struct mqw_alert_config *c = find_channel(o, r->channel);
	struct mqw_delivery failure = {0};
	json_t *notice = c ? make_notice(o, r) : NULL;
	struct job *j = calloc(1, sizeof(*j));
	int e = 0;

	if (j)
		*j = (struct job){.next = o->jobs,
			.id = r->id,
			.sealed_at = r->sealed_at,
			.attempts = r->attempts,
			.findings = r->findings,
			.channel = mqw_slice_dup(mqw_slice_of(r->channel))};
	if (!j || !j->channel || (c && !notice)) {
		free(j ? j->channel : NULL);
		free(j);
		json_decref(notice);
		return; /* no memory, or a ledger that cannot be read: the next tick tries again */
	}
	o->jobs = j;
	if (c && c->channel != MQW_CHANNEL_JOURNAL)
		e = o->ops.send(o->ops.ctx, r->id, c, notice);
	else
		mqw_delivery_say(&failure,
			MQW_LIT("the configuration has no channel of this name any more"));
	if (e < 0)
		mqw_delivery_say(&failure, mqw_slice_of(strerror(-e)));
	json_decref(notice);
	if (failure.text[0])
		mqw_outbox_answered(o, r->id, &failure, now);
}

struct due {
	struct mqw_outbox_record *records;
	size_t count;
	struct mqw_arena strings;
};

static int add_due(void *ctx, const struct mqw_outbox_record *r)
{
	struct due *d = ctx;
	struct mqw_outbox_record *copy = &d->records[d->count];

	*copy = *r;
	copy->channel = mqw_arena_strdup(&d->strings, mqw_slice_of(r->channel));
	copy->rule = mqw_arena_strdup(&d->strings, mqw_slice_of(r->rule));
	copy->instance = mqw_arena_strdup(&d->strings, mqw_slice_of(r->instance));
	copy->token = mqw_arena_strdup(&d->strings, mqw_slice_of(r->token));
	copy->detail = "";
	if (!copy->channel || !copy->rule || !copy->instance || !copy->token)
		return -ENOMEM;
	d->count++;
	return 0;
}

static void look_at_due(struct mqw_outbox *o, struct due *d, int64_t now)
{
	for (size_t i = 0; i < d->count; i++) {
		struct mqw_outbox_record *r = &d->records[i];

		if (r->state == MQW_OUTBOX_GATHERING) {
			if (mqw_ledger_outbox_seal(o->ledger, r->id, now) < 0)
				continue;
			r->state = MQW_OUTBOX_WAITING;
			r->sealed_at = now;
		}
		if (!is_busy(o, r))
			send(o, r, now);
	}
}

void mqw_outbox_tick(struct mqw_outbox *o, int64_t now)
{
	struct due d = {.records = calloc(DUE_MAX, sizeof(*d.records))};
	struct job *next;

	for (struct job *j = o->jobs; j; j = next) {
		next = j->next;
		if (j->answered)
			mark(o, j, now);
	}
	if (d.records &&
		mqw_ledger_outbox_each_due(
			o->ledger, now, windows[3] + GATHER, DUE_MAX, add_due, &d) == 0)
		look_at_due(o, &d, now);
	mqw_arena_done(&d.strings);
	free(d.records);
}

int mqw_outbox_note_test(struct mqw_ledger *l, const char *channel, const char *token, int64_t now)
{
	const struct mqw_outbox_record r = {.channel = channel,
		.rule = "",
		.instance = "",
		.token = token,
		.detail = "sent by hand",
		.state = MQW_OUTBOX_SENT,
		.opened_at = now,
		.latest_at = now,
		.sealed_at = now,
		.ended_at = now,
		.due_at = now};
	int64_t id;

	return mqw_ledger_outbox_add(l, &r, &id);
}

bool mqw_outbox_is_own(struct mqw_ledger *l, struct mqw_slice message_id)
{
	struct mqw_slice token;

	return mqw_notice_token_of(message_id, &token) && mqw_ledger_outbox_knows(l, token) == 1;
}
