/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tracker, events in few words, and what it said, as text. */
#ifndef MQW_TESTS_UNIT_TRACKER_FIXTURE_H
#define MQW_TESTS_UNIT_TRACKER_FIXTURE_H

#include "watchdogd/track/tracker_internal.h"

#define T0 (INT64_C(1795572000) * MQW_SECOND) /* the beginning of an hour */
#define B "b@example.net"
#define C "c@example.net"

static struct mqw_tracker_options options;
static struct mqw_tracker *t;
static struct mqw_buffer said;
static struct mqw_slice realm; /* of all events */

static inline void on_verdict(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
	const struct mqw_judgement *j, enum mqw_verdict previous)
{
	(void)ctx;
	mqw_buffer_printf(&said, "%s %s %s %s", m->queue_id, r->address ? r->address : "-",
		mqw_verdict_name(j->verdict), mqw_confidence_name(j->confidence));
	if (previous)
		mqw_buffer_printf(&said, " was %s", mqw_verdict_name(previous));
	mqw_buffer_add_str(&said, "\n");
}

static inline void on_gap(void *ctx, const struct mqw_event *gap)
{
	(void)ctx;
	mqw_buffer_printf(
		&said, "gap of %lld s\n", (long long)((gap->to - gap->from) / MQW_SECOND));
}

static inline void on_forget(void *ctx, const struct mqw_message *m)
{
	(void)ctx;
	mqw_buffer_printf(&said, "%s forgotten\n", m->queue_id);
}

static inline void begin(bool live)
{
	const struct mqw_tracker_ops ops = {
		.verdict = on_verdict, .gap = on_gap, .forget = on_forget};

	mqw_tracker_free(t);
	mqw_buffer_clear(&said);
	t = mqw_tracker_create(&options, &ops, live);
	assert_non_null(t);
}

static inline int setup(void **state)
{
	(void)state;
	options = mqw_tracker_defaults();
	realm = MQW_LIT("host");
	begin(true);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	t = mqw_tracker_free(t);
	mqw_buffer_done(&said);
	return 0;
}

/* What was said since the last time. */
#define assert_said(want)                                                                          \
	do {                                                                                       \
		assert_string_equal(mqw_buffer_str(&said), want);                                  \
		mqw_buffer_clear(&said);                                                           \
	} while (0)

static inline struct mqw_event about(enum mqw_event_kind kind, const char *id, int64_t time)
{
	struct mqw_event e = mqw_event(kind, time);

	e.realm = realm;
	e.instance = MQW_LIT("postfix");
	e.queue_id = mqw_slice_of(id);
	e.evidence.line = 1;
	return e;
}

static inline void feed(struct mqw_event e)
{
	assert_int_equal(mqw_tracker_event(t, &e), 0);
}

static inline void happens(enum mqw_event_kind kind, const char *id, int64_t time)
{
	feed(about(kind, id, time));
}

static inline void happens_with(
	enum mqw_event_kind kind, const char *id, const char *other, int64_t time)
{
	struct mqw_event e = about(kind, id, time);

	e.other_id = mqw_slice_of(other);
	feed(e);
}

static inline void queued(const char *id, const char *sender, int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_QUEUED, id, time);

	e.sender = mqw_slice_of(sender);
	e.count = 1;
	feed(e);
}

static inline void named(const char *id, const char *message_id, int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_MESSAGE_ID, id, time);

	e.message_id = mqw_slice_of(message_id);
	feed(e);
}

/* Client, header and queue manager, all at once. */
static inline void accepted(const char *id, int64_t time)
{
	happens(MQW_EVENT_OPENED, id, time);
	named(id, "1@example.com", time);
	queued(id, "a@example.com", time);
}

static inline void tried(
	const char *id, const char *recipient, enum mqw_outcome outcome, int code, int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_ATTEMPT, id, time);

	e.recipient = mqw_slice_of(recipient);
	e.outcome = outcome;
	e.code = code;
	e.reply = MQW_LIT("as the server said");
	feed(e);
}

static inline void deferred(const char *id, int64_t time)
{
	tried(id, B, MQW_OUTCOME_DEFERRED, 450, time);
}

static inline void in_queue(const char *id, enum mqw_place place, int64_t retry_at, int64_t time)
{
	struct mqw_event e = about(MQW_EVENT_QUEUE_PRESENT, id, time);

	e.place = place;
	e.retry_at = retry_at;
	feed(e);
}

static inline void gap(int64_t from, int64_t to)
{
	struct mqw_event e = about(MQW_EVENT_GAP, "", to);

	e.from = from;
	e.to = to;
	e.reply = MQW_LIT("lines were dropped");
	feed(e);
}

static inline struct mqw_message *message(const char *id)
{
	return mqw_tracker_find(t, realm, mqw_slice_of(id));
}

static inline struct mqw_judgement judge(const char *id, const char *recipient)
{
	static const struct mqw_recipient stand_in = {
		.first_attempt = MQW_TIME_NONE, .last_attempt = MQW_TIME_NONE};
	const struct mqw_message *m = message(id);
	const struct mqw_recipient *r = NULL;

	assert_non_null(m);
	if (recipient) {
		r = mqw_tracker_recipient(m, mqw_slice_of(recipient));
		assert_non_null(r);
	}
	return mqw_tracker_judge(t, m, r ? r : &stand_in);
}

#define assert_judged(id, recipient, want, sure)                                                   \
	do {                                                                                       \
		struct mqw_judgement judged = judge(id, recipient);                                \
		assert_string_equal(                                                               \
			mqw_verdict_name(judged.verdict), mqw_verdict_name(MQW_VERDICT_##want));   \
		assert_string_equal(mqw_confidence_name(judged.confidence),                        \
			mqw_confidence_name(MQW_CONFIDENCE_##sure));                               \
	} while (0)

#define assert_reason(id, recipient, words)                                                        \
	do {                                                                                       \
		const char *said_why = judge(id, recipient).reason;                                \
		if (!strstr(said_why, words))                                                      \
			fail_msg("not \"%s\": %s", words, said_why);                               \
	} while (0)

#endif
