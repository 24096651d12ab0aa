/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tracker keeps the state of each message and recipient and says what became of them. It is a
 * pure function of the events and ticks that it is given: the same input gives the same verdicts
 * in the same order, whatever the clock or the hash seed.
 *
 * One tracker serves one instance of the daemon, or one scan. Not thread-safe.
 */
#ifndef MQW_TRACK_TRACKER_H
#define MQW_TRACK_TRACKER_H

#include "watchdogd/base/map.h"
#include "watchdogd/track/event.h"
#include "watchdogd/track/verdict.h"

/* What a recipient's own lines said last. The rows of the table in transitions.c. */
enum mqw_recipient_state {
	MQW_RECIPIENT_WAITING, /* known, not tried yet */
	MQW_RECIPIENT_DEFERRED, /* last try: temporary failure */
	MQW_RECIPIENT_SENT,
	MQW_RECIPIENT_HANDED_OFF,
	MQW_RECIPIENT_BOUNCED, /* failed for good on a permanent answer */
	MQW_RECIPIENT_MISBOUNCED, /* failed for good on a temporary answer */
	MQW_RECIPIENT_DISCARDED,
	MQW_RECIPIENT_PROBED, /* address verification, no mail */
	MQW_RECIPIENT_GIVEN_UP, /* this one alone was given up after temporary failures */
	MQW_RECIPIENT_WITHDRAWN, /* an operator marked it as done */
	MQW_RECIPIENT_COUNT
};

struct mqw_recipient {
	struct mqw_recipient *next;
	char *address; /* in the same piece of memory; "" never, NULL only for the stand-in */
	char *relay; /* owned, as are the strings below; NULL unknown */
	char *reply; /* of the last attempt that failed, cut at 512 bytes; NULL none */
	char *successor; /* queue id it went on as; NULL none */
	bool successor_known; /* the successor was seen in this log */
	char status[12]; /* enhanced status code of the last attempt, "" unknown */
	uint16_t code; /* reply code of the last attempt, 0 unknown */
	uint8_t state; /* enum mqw_recipient_state */
	bool hasty; /* every retry so far came sooner than the receiver's greylisting delay */
	bool doubtful; /* the last answer may have been another recipient's */
	uint32_t attempts;
	uint8_t reported; /* enum mqw_verdict last given to the verdict callback */
	uint8_t sure; /* enum mqw_confidence of that, plus 1; 0 not known any more */
	uint8_t counted; /* enum mqw_verdict as which it is in the totals; NONE: it is not */
	int64_t first_attempt; /* MQW_TIME_NONE: none seen */
	int64_t last_attempt;
	struct mqw_evidence first_seen_at, last_seen_at;
};

/* What a message has also while it is packed (packed.c). The tracker's own. */
struct mqw_link {
	struct mqw_link *older, *newer; /* in order of opening */
	int64_t due_at; /* when silence next has to be judged */
	uint32_t heap_index; /* place in the due heap, UINT32_MAX when not in it */
	uint16_t key_len;
	bool packed;
};

/*
 * A pointer to one is good until the tracker forgets the message, and no longer than for some tens
 * of events or looks at others: then it may be packed. Keep its queue id and first_seen, not it.
 */
struct mqw_message {
	struct mqw_link link;
	uint64_t
		number; /* from 1, in order of first sight; no other message of the tracker has it */
	struct mqw_message *earlier; /* former message of the same id, still kept */
	char *key; /* realm NUL queue id: the map's key; in the same piece of memory */
	const char *realm, *queue_id; /* inside key */
	const char *instance; /* borrowed from the tracker's names */
	char *sender; /* NULL unknown, "" the null sender */
	char *message_id; /* NULL unknown */
	char *ndr_id; /* queue id of the failure report; NULL none */
	char *former_id; /* id that this one continues; NULL none */
	char *successor; /* id that continues this one; NULL none */
	struct mqw_recipient *recipients, *last_recipient;
	uint32_t recipient_count;
	uint32_t announced; /* recipients that the MTA said the file has */

	bool opening_seen; /* the log covers it from its beginning */
	bool age_known; /* opened_at is from its opening or the MTA's own account, not a guess */
	bool queued; /* accepted: the queue manager had it */
	bool taken_on; /* and it is in the totals: by its line, which may come after its file is seen */
	bool held, removed, admin_removed, admin_requeued, discarded, refused;
	bool probe; /* nothing is said of it: an address verification, or the watchdog's own */
	bool gave_up, gave_up_forced;
	bool file_lost; /* the MTA said so */
	bool queue_gone; /* we looked */
	uint8_t place; /* enum mqw_place, MQW_PLACE_NONE when never looked or gone */
	bool dirty; /* changed since mqw_tracker_take_dirty() gave it out */
	bool kept; /* that gave it out once, or it was restored: somebody keeps it */
	uint8_t reported; /* verdict last given for the stand-in of unnamed recipients, and */
	uint8_t sure; /* its confidence as above */
	bool untold; /* what was found of it could not be told: it is told once more */
	uint8_t counted; /* the stand-in's place in the totals as above */
	bool touched; /* looked at since it was last thought of packing it */
	bool has_later; /* another life of its id refers to it */
	uint32_t loose_index; /* among those that are not packed */
	uint32_t waiting; /* actions on it that wait for their time; counted by act/ */
	struct mqw_message *next_dirty, *previous_dirty;

	int64_t opened_at; /* when the message began to age, best knowledge */
	int64_t first_seen, last_seen;
	int64_t deferred_at; /* last temporary failure of any recipient, MQW_TIME_NONE none */
	int64_t gave_up_at, requeued_at, gone_at, closed_at; /* MQW_TIME_NONE not */
	int64_t retry_at; /* from the queue file; MQW_TIME_NONE unknown */
	char *lost_how; /* the MTA's words for file_lost, NULL none */
};

/* A verdict with its grounds. The texts are borrowed until the callback returns. */
struct mqw_judgement {
	enum mqw_verdict verdict;
	enum mqw_confidence confidence;
	bool again; /* given to the callback: the same verdict as before, but surer; and then */
	enum mqw_confidence before; /* how sure that was */
	const char *reason; /* one sentence, printable */
	const char *remedy; /* one sentence; NULL where there is nothing to do */
	const char *greylisting; /* product or family that the reply looks like; NULL unknown */
};

struct mqw_tracker_options {
	int64_t lifetime; /* the MTA's; 0 unknown */
	int64_t bounce_lifetime; /* for null-sender messages; 0: as lifetime */
	int64_t default_lifetime; /* the MTA's own default, used where lifetime is unknown */
	int64_t retry_max; /* longest pause between two tries */
	int64_t min_lifetime; /* a failure report younger than this is false in any case */
	int64_t slack; /* beyond due before silence is called overdue */
	int64_t reorder; /* lines may come this much out of order */
	int64_t keep_settled; /* settled messages are kept this long for late lines */
	bool queue_at_hand; /* QUEUE_PRESENT and QUEUE_GONE events are given */
	/*
	 * The MTA's usual log has a line for each recipient that is done and none for the message
	 * that leaves the queue, nor for one whose lifetime ends and whose sender wants no report.
	 */
	bool removal_unlogged;
	/*
	 * A scan that shows trouble alone: of recipients in none, whose verdict is no unknown either,
	 * the verdict is counted and not told.
	 */
	bool quiet;
	/*
	 * The log has nothing but what servers answered: not when a message came, nor that its
	 * lifetime ran out, nor a report.
	 */
	bool answers_alone;
	uint64_t max_messages; /* at the cap the oldest settled, then the oldest go; 0: no cap */
	uint32_t max_recipients; /* of one message; 0: no cap */
	uint32_t loose_messages; /* more than so many are packed */
	uint64_t seed; /* for the hash tables */
	/* MTA-specific advice; may be NULL. Writes one sentence. */
	void (*remedy)(const struct mqw_message *m, const struct mqw_recipient *r,
		enum mqw_verdict v, struct mqw_buffer *ret);
};

/* The defaults of DESIGN section 4 and of an MTA that has Postfix's retry times. */
struct mqw_tracker_options mqw_tracker_defaults(void);

/*
 * Told of each verdict: in a scan once for each recipient, when it is settled or at the end; live
 * whenever the verdict of a recipient becomes another one, or one of trouble becomes surer (then
 * previous is the verdict itself, and j->again is set). r is a stand-in with address NULL where
 * no line ever named the recipients. previous is MQW_VERDICT_NONE the first time.
 */
struct mqw_tracker_ops {
	void (*verdict)(void *ctx, const struct mqw_message *m, const struct mqw_recipient *r,
		const struct mqw_judgement *j, enum mqw_verdict previous);
	void (*gap)(void *ctx, const struct mqw_event *gap);
	/* The message and its recipients are about to be freed. May be NULL. */
	void (*forget)(void *ctx, const struct mqw_message *m);
	void *ctx;
};

/*
 * The product or family of greylisting that a reply looks like, NULL for none; *ret_delay is how long
 * it demands to wait, 0 unknown.
 */
const char *mqw_greylisting_of(struct mqw_slice reply, int64_t *ret_delay);

struct mqw_tracker_counts {
	uint64_t messages, recipients; /* accepted, all told */
	uint64_t open; /* messages kept now */
	uint64_t gaps;
	uint64_t dropped; /* messages no longer followed because of the cap */
	uint64_t ignored; /* tries for recipients beyond the cap of one message */
	uint64_t verdicts[MQW_VERDICT_COUNT];
};

/*
 * What became of all that a live tracker has followed: each recipient once, as its latest verdict,
 * whenever that was given. Meant to be kept together with the messages, so that both tell of the
 * same lines: what is delivered or rejected at the first try is in here with the line that says so,
 * since nothing else is kept of it; while it is under way for the first time it is not in here.
 * verdicts[MQW_VERDICT_NONE] stays 0.
 */
struct mqw_tracker_totals {
	uint64_t messages; /* that the MTA took on: with their first line from the queue manager */
	uint64_t verdicts[MQW_VERDICT_COUNT];
};

struct mqw_tracker;

/* NULL when memory is out. options and ops are copied. live: see mqw_tracker_ops.verdict. */
struct mqw_tracker *mqw_tracker_create(
	const struct mqw_tracker_options *options, const struct mqw_tracker_ops *ops, bool live);
struct mqw_tracker *mqw_tracker_free(struct mqw_tracker *t);

/* Other options from now on, but for the seed; for as long as no message is followed. */
void mqw_tracker_set_options(struct mqw_tracker *t, const struct mqw_tracker_options *options);

/* Takes one event. 0, or -ENOMEM. The signature fits struct mqw_sink. */
int mqw_tracker_event(void *tracker, const struct mqw_event *e);

/*
 * The log has reached this time, or (live) the clock has: judges what silence now means, and lets
 * go of settled messages. A time before the last one is ignored.
 */
void mqw_tracker_tick(struct mqw_tracker *t, int64_t now);

/*
 * From within the verdict callback: it could not be told now. The same comes again in a few seconds,
 * as if it had not been given.
 */
void mqw_tracker_not_told(struct mqw_tracker *t);

/*
 * Live: while held it reports nothing and lets go of nothing that is in trouble. So it is when a log
 * is read again after a stop, since what looks like trouble in its middle may be none at its end, and
 * a verdict that counts as reported before anybody was told would be lost with the process. The end
 * of it (false) reports what then holds.
 */
void mqw_tracker_hold(struct mqw_tracker *t, bool held);

/* End of a scan: judges everything that is open as of now (the end of the log, or the clock). */
void mqw_tracker_finish(struct mqw_tracker *t, int64_t now);

/* When the next tick has something to judge; INT64_MAX for never. */
int64_t mqw_tracker_next_due(const struct mqw_tracker *t);

const struct mqw_tracker_counts *mqw_tracker_counts(const struct mqw_tracker *t);

/* Borrowed; always up to date. */
const struct mqw_tracker_totals *mqw_tracker_totals(const struct mqw_tracker *t);
/* Takes up those that were kept; before the first event. */
void mqw_tracker_restore_totals(struct mqw_tracker *t, const struct mqw_tracker_totals *totals);

/* Whether the log may lack lines somewhere in this span. */
bool mqw_tracker_has_gap(const struct mqw_tracker *t, int64_t from, int64_t to);

/* The newest message with this queue id in this realm, or NULL. One look into a hash table. */
struct mqw_message *mqw_tracker_find(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id);

/* The recipient of that address, or NULL. */
const struct mqw_recipient *mqw_tracker_recipient(
	const struct mqw_message *m, struct mqw_slice address);

/* Every kept message, in order of opening: start with NULL, ends with NULL. */
struct mqw_message *mqw_tracker_next(struct mqw_tracker *t, const struct mqw_message *m);

/* What would be said of this recipient now. Texts are borrowed until the next call. */
struct mqw_judgement mqw_tracker_judge(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r);

/*
 * Takes the messages that changed since the last call out of the list of dirty ones, one a call;
 * NULL at the end. Only a live tracker keeps the list, and only of messages worth keeping: those
 * with a deferral, or in trouble. m->kept tells from then on that they were given out.
 */
struct mqw_message *mqw_tracker_take_dirty(struct mqw_tracker *t);
/* Puts one back into that list: it could not be kept. */
void mqw_tracker_mark_dirty(struct mqw_tracker *t, struct mqw_message *m);

/*
 * Puts back a message as it was when the ledger kept it: m with its number and recipients, owned
 * strings copied; links are made anew, its key is used. Give them in order of their numbers. No verdict is reported again for a
 * recipient whose reported field says so. 0, -ENOMEM, -EEXIST, or -EINVAL for values out of range.
 */
int mqw_tracker_restore(struct mqw_tracker *t, const struct mqw_message *m);

/* About so many are to be restored: before the first, so that their table need not grow to that. */
void mqw_tracker_expect(struct mqw_tracker *t, uint64_t count);

#endif
