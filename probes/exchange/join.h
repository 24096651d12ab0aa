/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What joins message tracking, which knows messages, with the logs of what servers answered, which know
 * recipients: the deliveries that have begun and not ended, by recipient; and the answers that came
 * before their message was heard of. Both tables are of fixed size; the oldest give way.
 */
#ifndef MQW_PROBES_EXCHANGE_JOIN_H
#define MQW_PROBES_EXCHANGE_JOIN_H

#include "watchdogd/track/event.h"

#define MQW_JOIN_ROWS 1024 /* of deliveries; a power of two */
#define MQW_JOIN_WAYS 8
#define MQW_JOIN_ID_MAX 200 /* a longer id is not joined */
#define MQW_JOIN_RECIPIENT_MAX 100
#define MQW_JOIN_ANSWERS 256 /* a power of two */
#define MQW_JOIN_TEXT 768

/* One failed try is in two logs since Exchange 2007, some seconds apart. */
#define MQW_JOIN_SAME_TRY (10 * MQW_SECOND)

/* Clocks and buffers of the two logs differ by as much. */
#define MQW_JOIN_SKEW (2 * MQW_SECOND)

struct mqw_delivery {
	int64_t opened, seen; /* first and last line about it */
	int64_t closed; /* MQW_TIME_NONE: it is under way */
	int64_t begun; /* when SMTP last began to send it; MQW_TIME_NONE: not yet */
	int64_t answered; /* last answer; MQW_TIME_NONE none */
	uint64_t sender; /* hash; 0 unknown */
	int code; /* of that answer; 0 none is known */
	bool reported; /* closed by a report of failure */
	uint16_t id_len, recipient_len; /* 0: too long to be kept */
	char id[MQW_JOIN_ID_MAX];
	char recipient[MQW_JOIN_RECIPIENT_MAX]; /* as message tracking spells it */
};

/* An answer without a delivery. Slices are in text. */
struct mqw_answer {
	uint64_t recipient; /* hash; 0: not in use */
	int64_t time;
	enum mqw_outcome outcome;
	int code;
	bool doubtful;
	struct mqw_evidence evidence;
	struct mqw_slice relay, reply;
	char text[MQW_JOIN_TEXT];
};

struct mqw_join {
	uint64_t seed;
	/* Hashes of the deliveries' recipients; 0: not in use. */
	uint64_t recipients[MQW_JOIN_ROWS][MQW_JOIN_WAYS];
	int64_t ages[MQW_JOIN_ROWS][MQW_JOIN_WAYS]; /* the least gives way */
	struct mqw_delivery deliveries[MQW_JOIN_ROWS][MQW_JOIN_WAYS];
	struct mqw_answer answers[MQW_JOIN_ANSWERS];
	size_t answer_count;
};

void mqw_join_init(struct mqw_join *j, uint64_t seed);

/* The delivery of this message to this recipient while it is under way, or NULL. */
struct mqw_delivery *mqw_join_find(
	struct mqw_join *j, struct mqw_slice recipient, struct mqw_slice id);

/* The same, made where there is none yet; NULL when the id is too long. */
struct mqw_delivery *mqw_join_open(struct mqw_join *j, struct mqw_slice recipient,
	struct mqw_slice id, struct mqw_slice sender, int64_t time);

/* Its recipient as message tracking has it, where that was kept: the other log may differ in case. */
struct mqw_slice mqw_join_recipient(const struct mqw_delivery *d, struct mqw_slice other);

/* Takes note of an answer; whether the other log has told of the same try already. */
bool mqw_join_note_answer(struct mqw_delivery *d, int64_t time, int code);

/*
 * It is over; reported: with a report of failure. An answer that is read now may be to it all the
 * same: stamps have whole seconds.
 */
void mqw_join_close(struct mqw_join *j, struct mqw_slice recipient, struct mqw_slice id,
	int64_t time, bool reported);

/*
 * The delivery that an answer is to, perhaps one that is closed: of several to that recipient the one
 * that had just begun, or that of the sender; of several more the last one begun, and *ret_sure is
 * false. Of another sender it is none unless it had just begun. NULL: there is none.
 */
struct mqw_delivery *mqw_join_answered(struct mqw_join *j, struct mqw_slice recipient,
	struct mqw_slice sender, int64_t time, bool *ret_sure);

/*
 * The deliveries that an answer to MAIL is to, which names no recipient: all of the one message of that
 * sender that is under way; of several the one that had just begun. Start with 0 in *cursor; NULL at
 * the end, or when it may be any of several.
 */
struct mqw_delivery *mqw_join_refused(
	struct mqw_join *j, struct mqw_slice sender, int64_t time, size_t *cursor);

/* Keeps an answer whose delivery is not known yet. */
void mqw_join_wait(struct mqw_join *j, const struct mqw_event *answer);

/* Takes the answer out that came for this recipient while d was under way, or NULL; good until the
 * next call. */
const struct mqw_answer *mqw_join_take(
	struct mqw_join *j, struct mqw_slice recipient, const struct mqw_delivery *d);

#endif
