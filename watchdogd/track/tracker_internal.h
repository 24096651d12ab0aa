/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the tracker, and by nothing else. */
#ifndef MQW_TRACK_TRACKER_INTERNAL_H
#define MQW_TRACK_TRACKER_INTERNAL_H

#include "watchdogd/track/memory.h"

/* transitions.c */

/*
 * The next state of a recipient after an attempt with this outcome and wire code. The table is the
 * whole truth about it; see there for the reasons of the odd cells.
 */
enum mqw_recipient_state mqw_recipient_step(
	enum mqw_recipient_state from, enum mqw_outcome outcome, int code);

/* message.c: messages and recipients as objects; no logic. */

/*
 * Pieces of memory that held a message or a recipient and wait for the next: mail comes and goes all the
 * time. Never more than were in use at one time. Zeroed, it is empty.
 */
struct mqw_pieces {
	void *messages, *recipients; /* each begins with the address of the next */
};
void mqw_pieces_done(struct mqw_pieces *p);

/* NULL when memory is out. */
struct mqw_message *mqw_message_create(
	struct mqw_pieces *p, struct mqw_slice realm, struct mqw_slice queue_id);
/* Frees it with its recipients; unlinking is the caller's. NULL in, NULL out. */
struct mqw_message *mqw_message_free(struct mqw_pieces *p, struct mqw_message *m);
/* A recipient that is known to be new; NULL when memory is out. */
struct mqw_recipient *mqw_message_add_recipient(
	struct mqw_pieces *p, struct mqw_message *m, struct mqw_slice address);
/* The recipient of that address, made when new (and below the cap); NULL: no memory or over cap. */
struct mqw_recipient *mqw_message_recipient(
	struct mqw_pieces *p, struct mqw_message *m, struct mqw_slice address, uint32_t cap);
struct mqw_recipient *mqw_message_find_recipient(
	const struct mqw_message *m, struct mqw_slice address);
/* Replaces an owned string by a copy of s, cut at cap bytes. False when memory is out. */
bool mqw_string_set(char **owned, struct mqw_slice s, size_t cap);
/*
 * The same of strings that nearly each message or recipient has: they have room in its own piece of
 * memory. No other function may replace one of them.
 */
bool mqw_message_set_sender(struct mqw_message *m, struct mqw_slice s, size_t cap);
bool mqw_message_set_message_id(struct mqw_message *m, struct mqw_slice s, size_t cap);
bool mqw_recipient_set_relay(struct mqw_recipient *r, struct mqw_slice s, size_t cap);
/* Whether the file has left the queue by a line that says so. */
bool mqw_message_closed(const struct mqw_message *m);
/* The message of a link that is not packed. */
static inline struct mqw_message *mqw_message_of(struct mqw_link *l)
{
	return (struct mqw_message *)l;
}

/*
 * heap.c: messages by due_at, the earliest first; of those due together the one that was put in first.
 * Most are put in one behind the other, as what is settled is kept for a minute each: these are a run, and
 * only the others are in the heap.
 */

struct mqw_heap {
	struct mqw_heap_entry {
		int64_t due;
		uint64_t sequence;
		struct mqw_link *link; /* NULL in the run: it was taken out */
	} * entries;
	size_t count, cap; /* of the heap */
	/* A ring; places count on for ever. The first and the last are none that were taken out. */
	struct mqw_heap_entry *run;
	uint32_t run_first, run_end, run_cap, run_count;
	uint64_t sequence;
};

void mqw_heap_done(struct mqw_heap *h);
/* Puts it in or moves it to l->due_at; INT64_MAX takes it out. 0 or -ENOMEM. */
int mqw_heap_set(struct mqw_heap *h, struct mqw_link *l);
void mqw_heap_remove(struct mqw_heap *h, struct mqw_link *l);
/* l is where another was; it has that one's values. */
void mqw_heap_replace(struct mqw_heap *h, struct mqw_link *l);
struct mqw_link *mqw_heap_first(const struct mqw_heap *h);

/* pool.c: texts that many messages share, each kept once and called by a number. */

struct mqw_pool_item {
	size_t len;
	uint32_t number, users;
	char text[];
};

struct mqw_pool {
	struct mqw_map numbers; /* text -> item */
	struct mqw_pool_item **items; /* by number; NULL unused */
	uint32_t *unused;
	uint32_t count, cap, unused_count;
};

void mqw_pool_init(struct mqw_pool *p, uint64_t seed);
void mqw_pool_done(struct mqw_pool *p);
/* Takes a text in, or counts one more user of it. False: no room, the user keeps it himself. */
bool mqw_pool_take(struct mqw_pool *p, struct mqw_slice text, uint32_t *ret);
/* Borrowed until the last user has dropped it. */
struct mqw_slice mqw_pool_text(const struct mqw_pool *p, uint32_t number);
void mqw_pool_drop(struct mqw_pool *p, uint32_t number);

/* gaps.c */

#define MQW_GAPS_MAX 1024 /* with further ones, those nearest to each other are joined */

struct mqw_gaps {
	struct mqw_gap *list; /* in order of to; why is owned */
	size_t count;
	bool changed; /* since it was kept */
};

void mqw_gaps_done(struct mqw_gaps *g);
/* 0 or -ENOMEM. */
int mqw_gaps_add(struct mqw_gaps *g, int64_t from, int64_t to, struct mqw_slice why);
/* A gap that touches the span, or NULL. The span's ends belong to it. */
const struct mqw_gap *mqw_gaps_find(const struct mqw_gaps *g, int64_t from, int64_t to);
/* Those that ended before this time. */
void mqw_gaps_forget(struct mqw_gaps *g, int64_t before);

/* greylist.c: what a temporary reply looks like. */

struct mqw_greylist {
	const char *name; /* product or family */
	struct mqw_slice words; /* found anywhere in the reply, without regard to case */
	int64_t min_delay; /* of its default; 0 unknown */
};
#define MQW_GREYLIST_DELAY_MAX MQW_DAY /* nobody has a longer one, whatever a reply says */
/* The first entry that fits, or NULL. */
const struct mqw_greylist *mqw_greylist_find(struct mqw_slice reply);
/* The delay that a reply, for which g was found, demands: its own figure, else g's; 0 unknown. */
int64_t mqw_greylist_delay(const struct mqw_greylist *g, struct mqw_slice reply);

/* silence.c: deferrals counted by the hour, to tell a broken log source from lost mail. */

struct mqw_silence_hour {
	struct mqw_hour count;
	bool changed; /* since it was kept */
};

struct mqw_silence {
	struct mqw_silence_hour *hours; /* sorted by hour */
	size_t count, cap;
	bool changed; /* one of them, or more */
	bool forgotten; /* some went since it was kept */
};

void mqw_silence_done(struct mqw_silence *s);
/* A message was deferred; before: its former deferral, MQW_TIME_NONE none. */
void mqw_silence_deferred(struct mqw_silence *s, int64_t before, int64_t now);
/* It was heard of again in another way: the deferral at this time has a sequel. */
void mqw_silence_followed(struct mqw_silence *s, int64_t deferred_at);
/* Whether messages deferred around this time fell silent together, most of them, and many. */
bool mqw_silence_is_broken(const struct mqw_silence *s, int64_t deferred_at);
/* Takes an hour in as it was kept. 0 or -ENOMEM. */
int mqw_silence_restore(struct mqw_silence *s, const struct mqw_hour *hour);
/* Hours that ended before this time. */
void mqw_silence_forget(struct mqw_silence *s, int64_t before);

/* memory.c: once an hour of the log's time, what no verdict rests on any more goes. */
void mqw_memory_forget(struct mqw_tracker *t);

/* tracker.c and judge.c */

struct mqw_tracker {
	struct mqw_tracker_options options;
	struct mqw_tracker_ops ops;
	bool live, held;
	bool not_told; /* said by the verdict callback under way */
	int64_t released_at; /* end of being held; MQW_TIME_NONE: it never was */
	struct mqw_map messages; /* key -> link of the newest message of that id */
	struct mqw_message *recent; /* the one of them looked for last, not packed; NULL none */
	struct mqw_link *oldest, *newest;
	uint64_t number; /* of the last message */
	struct mqw_message **loose; /* those that are not packed */
	size_t loose_count, loose_cap, hand;
	struct mqw_pool pool;
	struct mqw_pieces pieces;
	struct mqw_message *dirty_first, *dirty_last;
	struct mqw_heap heap;
	struct mqw_gaps gaps;
	struct mqw_silence silence;
	struct mqw_map names; /* interned instance names */
	struct mqw_slice last_name; /* of them, the one asked for last */
	int64_t now; /* newest time seen; MQW_TIME_NONE before the first */
	int64_t forget_at; /* when memory is next looked through */
	struct mqw_tracker_counts counts;
	struct mqw_tracker_totals totals;
	struct mqw_recipient *tried; /* by the event at hand; NULL: none */
	struct mqw_buffer reason, remedy, key, packing, text;
};

/* packing.c */

/*
 * Writes m into b, its key first, since the table of messages borrows it. instance: one of the
 * tracker's names. kept: m is taken as kept, whatever it says.
 */
void mqw_pack(struct mqw_tracker *t, struct mqw_buffer *b, const struct mqw_message *m,
	const char *instance, bool kept);
/* Fills m, fresh, from what is behind the key. False when memory is out. */
bool mqw_unpack(struct mqw_tracker *t, const char *p, struct mqw_message *m);
/* When it was last heard of, out of what is behind the key. */
int64_t mqw_pack_last_seen(const char *p);
/* Gives back to the pool what the bytes behind the key hold of it. */
void mqw_pack_drop(struct mqw_tracker *t, const char *p);

/* packed.c */

#define MQW_LOOSE_MIN 64 /* a pointer that was given out shall be good for a while */

/* The message of a link, unpacked when need be; NULL when memory is out: it stays packed then. */
struct mqw_message *mqw_packed_open(struct mqw_tracker *t, struct mqw_link *l);
void mqw_packed_some(struct mqw_tracker *t);
/* Packs a few that nobody has touched for long. Pointers to others stay good. */
static inline void mqw_packed_rest(struct mqw_tracker *t)
{
	if (t->loose_count > MQW_LOOSE_MIN && t->loose_count > t->options.loose_messages)
		mqw_packed_some(t);
}
/* A message enters and leaves the row of those that are not packed. 0 or -ENOMEM. */
int mqw_packed_begin(struct mqw_tracker *t, struct mqw_message *m);
void mqw_packed_end(struct mqw_tracker *t, struct mqw_message *m);
/*
 * Takes in a message whose id is new, packed from the start. instance: one of the tracker's names. 0
 * or -ENOMEM.
 */
int mqw_packed_add(struct mqw_tracker *t, const struct mqw_message *from, const char *instance);
/* When the message of a link was last heard of, whichever form it has. */
int64_t mqw_packed_last_seen(const struct mqw_link *l);
/* Frees either form; unlinking is the caller's. */
void mqw_packed_free(struct mqw_tracker *t, struct mqw_link *l);

/* identity.c */

/* The newest message of this id, or NULL. 0 or -ENOMEM. */
int mqw_identity_look(struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id,
	struct mqw_message **ret);
/* The same where it makes no difference whether it is there or cannot be had. */
struct mqw_message *mqw_identity_find(
	struct mqw_tracker *t, struct mqw_slice realm, struct mqw_slice queue_id);
/* The message that an event is about: found, or made anew where the id starts another life; *ret
 * NULL when there is none and this event makes none. 0 or -ENOMEM. */
int mqw_identity_resolve(
	struct mqw_tracker *t, const struct mqw_event *e, struct mqw_message **ret);
/* Makes a message and links it in. earlier: the newest of its id so far, or NULL. */
struct mqw_message *mqw_identity_add(struct mqw_tracker *t, struct mqw_slice realm,
	struct mqw_slice queue_id, struct mqw_slice instance, struct mqw_message *earlier);
/* Room for one more below the cap; whether something had to go for it. */
bool mqw_identity_make_room(struct mqw_tracker *t);
/* A name that lives as long as the tracker; "" when there is no room for it. */
const char *mqw_identity_name(struct mqw_tracker *t, struct mqw_slice name);
/* Puts it behind the newest, and counts it. */
void mqw_identity_link(struct mqw_tracker *t, struct mqw_link *l);
/* Takes it out of all tables and frees it. */
void mqw_identity_drop(struct mqw_tracker *t, struct mqw_message *m);

/* totals.c: live only, else they do nothing. */

/* Moves a recipient (its counted member) to where v belongs; whether it was elsewhere. */
bool mqw_totals_move(struct mqw_tracker *t, uint8_t *counted, enum mqw_verdict v);
/* A message was taken on. */
void mqw_totals_add_message(struct mqw_tracker *t, const struct mqw_message *m);
/* It is no mail, as it turns out: it has been counted if it was queued. Then m->probe is to be set. */
void mqw_totals_take_out(struct mqw_tracker *t, struct mqw_message *m);
/* Of a message of which nothing is kept, e was the latest event: counts what is over for it. */
void mqw_totals_settle(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e);
/* It is not followed any more, and nobody will know what became of what was open. */
void mqw_totals_give_up(struct mqw_tracker *t, struct mqw_message *m);

/* Judges each recipient (or the stand-in) and hands changed verdicts to the callback; whether any,
 * or a place in the totals. final: they are the last and are counted. */
bool mqw_tracker_review(struct mqw_tracker *t, struct mqw_message *m, bool final);
/* apply.c: what an event changes in its message. 0 or -ENOMEM. */
int mqw_tracker_apply(struct mqw_tracker *t, struct mqw_message *m, const struct mqw_event *e);
/* Says and counts its last verdicts, and lets go of it. */
void mqw_tracker_finish_message(struct mqw_tracker *t, struct mqw_message *m);
/* When this message next needs a look; INT64_MAX: at the end, or when its next line comes. */
int64_t mqw_tracker_next_look(const struct mqw_tracker *t, const struct mqw_message *m);
/* Sets when m next needs a look. 0 or -ENOMEM. */
int mqw_tracker_schedule(struct mqw_tracker *t, struct mqw_message *m);

/*
 * What is to be said of a recipient as of t->now; texts go to t->reason and t->remedy. Without
 * greylisting: each line of a message asks this of all its recipients, and reading their replies
 * again each time is most of the work where there are thousands.
 */
struct mqw_judgement mqw_judge(
	struct mqw_tracker *t, const struct mqw_message *m, const struct mqw_recipient *r);

#endif
