/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One normalised fact out of a log line or a queue directory. Probes make events, the tracker
 * takes them. An event lives on the stack; its slices point into the line that it came from and
 * are valid only until the sink returns.
 */
#ifndef MQW_TRACK_EVENT_H
#define MQW_TRACK_EVENT_H

#include "watchdogd/base/clock.h"

enum mqw_event_kind {
	/* A queue id was allocated. other_id: the id that it continues (requeue), if any. */
	MQW_EVENT_OPENED,
	MQW_EVENT_MESSAGE_ID, /* message_id: header seen */
	/* The queue manager took it up: sender, count = recipients ever in the file. Repeats. */
	MQW_EVENT_QUEUED,
	/* One line says all three: OPENED, MESSAGE_ID unless message_id is empty, QUEUED. */
	MQW_EVENT_ARRIVED,
	/* One try for one recipient: recipient, outcome, code, status, reply, relay, delay. */
	MQW_EVENT_ATTEMPT,
	/* Given up for age: what is still undone goes back to the sender. forced: by an operator. */
	MQW_EVENT_GAVE_UP,
	MQW_EVENT_NDR, /* other_id: the failure report about this message */
	MQW_EVENT_NOTIFIED, /* other_id: a delay or success notification; no failure */
	MQW_EVENT_REMOVED, /* the MTA took the file out: it counts all recipients as done */
	MQW_EVENT_ADMIN_REMOVED, /* an operator did */
	MQW_EVENT_HELD, /* on hold, until released */
	MQW_EVENT_RELEASED, /* off hold */
	/* other_id carries some of its recipients on; what was tried under this id stays here. */
	MQW_EVENT_SPLIT,
	MQW_EVENT_ADMIN_REQUEUED, /* will come back under another id */
	MQW_EVENT_DISCARDED, /* whole message dropped by policy */
	MQW_EVENT_REFUSED, /* never accepted: the client was told */
	MQW_EVENT_FILE_LOST, /* the MTA itself says that its file is gone or damaged; reply: how */
	/* An operator acted on count messages without naming them; reply: the line's own words. */
	MQW_EVENT_BULK,
	MQW_EVENT_GAP, /* from..to: the log may lack lines; reply: why */
	MQW_EVENT_QUEUE_PRESENT, /* file is in the queue; place, retry_at */
	MQW_EVENT_QUEUE_GONE, /* file is in none of the queue's directories, looked twice */
	MQW_EVENT_COUNT
};

enum mqw_outcome {
	MQW_OUTCOME_SENT,
	MQW_OUTCOME_HANDED_OFF, /* other_id: the id it went on as, at a next hop in this log */
	MQW_OUTCOME_DEFERRED,
	MQW_OUTCOME_BOUNCED,
	MQW_OUTCOME_DISCARDED,
	MQW_OUTCOME_PROBE, /* an address verification, not a mail */
	MQW_OUTCOME_SKIPPED, /* in the queue and not tried: its time had not come */
	MQW_OUTCOME_EXPIRED, /* given up after temporary failures, of which earlier lines tell */
	/* It waits for a delivery, or one has begun: nothing is known of its end yet. */
	MQW_OUTCOME_UNDER_WAY,
	MQW_OUTCOME_WITHDRAWN, /* an operator said that it counts as done */
	MQW_OUTCOME_COUNT
};

/* Where in the queue a file is; what each means for the message is the same for every MTA. */
enum mqw_place {
	MQW_PLACE_NONE,
	MQW_PLACE_ARRIVING, /* accepted, not yet taken up */
	MQW_PLACE_ACTIVE, /* being tried now */
	MQW_PLACE_WAITING, /* deferred until retry_at */
	MQW_PLACE_HELD,
	MQW_PLACE_DAMAGED,
	MQW_PLACE_QUEUED, /* in the queue: its place does not tell which of them it is */
	MQW_PLACE_COUNT
};

/* Where a fact was read. The name of a source is kept by whoever numbered it. */
struct mqw_evidence {
	uint32_t source;
	uint64_t line; /* from 1; 0: no line (a queue directory) */
};

struct mqw_event {
	enum mqw_event_kind kind;
	enum mqw_outcome outcome;
	enum mqw_place place;
	bool forced;
	/* Of REMOVED: the MTA writes its log itself, line by line, so that no earlier one is missing. */
	bool whole_log;
	bool doubtful; /* ATTEMPT: the answer may have been another recipient's */
	bool own; /* MESSAGE_ID: it is the watchdog's own mail, of which nothing is said */
	int code; /* three-digit reply as it was on the wire; 0 unknown */
	uint64_t count;
	int64_t time;
	int64_t delay; /* age of the message by the MTA's own account; MQW_TIME_NONE unknown */
	int64_t retry_at; /* MQW_TIME_NONE unknown */
	int64_t from,
		to; /* of a gap; from of REMOVED: when the MTA was started last, NONE unknown */
	struct mqw_evidence evidence;
	struct mqw_slice realm; /* whose ids these are: the host that logged */
	struct mqw_slice instance; /* name as shown: the log's own word for the MTA */
	struct mqw_slice queue_id;
	struct mqw_slice other_id;
	struct mqw_slice sender; /* ptr NULL: not said; len 0 with ptr: the null sender */
	struct mqw_slice recipient; /* as the MTA tried it */
	struct mqw_slice message_id; /* without angle brackets */
	struct mqw_slice relay;
	struct mqw_slice status; /* enhanced status code as logged, "4.7.1" */
	struct mqw_slice reply; /* free text: shown, never interpreted */
};

/*
 * Every "unknown" in place. Copied, not cleared: each line needs one, and compilers clear so much with an
 * instruction that takes longer to start than to finish.
 */
static const struct mqw_event mqw_unknown_event = {.delay = MQW_TIME_NONE,
	.retry_at = MQW_TIME_NONE,
	.from = MQW_TIME_NONE,
	.to = MQW_TIME_NONE};

/* A fresh event. */
static inline struct mqw_event mqw_event(enum mqw_event_kind kind, int64_t time)
{
	struct mqw_event e = mqw_unknown_event;

	e.kind = kind;
	e.time = time;
	return e;
}

/* Takes an event. 0, or a negative errno that ends the reading. */
struct mqw_sink {
	int (*emit)(void *ctx, const struct mqw_event *e);
	void *ctx;
};

/* "attempt" and the like, for traces and tests. */
const char *mqw_event_name(enum mqw_event_kind kind);
const char *mqw_outcome_name(enum mqw_outcome outcome);

#endif
