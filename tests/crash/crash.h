/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The crash test: the real daemon lives through a scripted life of 200 messages, again and again,
 * and dies or is denied a call at another place of it each time. Its files:
 *   script.c      makes the life from a seed, and says what is to be found of it
 *   world.c       plays it: what happens next, how fast the clocks go, and where all of it lies
 *   mta.c         the MTA's queue and log in it
 *   host.c        the root helper's host in it
 *   shim.c        stands between the daemon and the system: the place of death
 *   file_times.c  does so for the times of files
 *   clock.c       does so for the clocks, and for all that waits
 *   judge.c       compares what the daemon said and did with what was to be found
 *   main.c        chooses the places, runs them, counts
 *
 * The daemon, and the real helper, run in forked children of the test's process. What outlives
 * them lies in one shared mapping, and on the disk.
 */
#ifndef MQW_TESTS_CRASH_CRASH_H
#define MQW_TESTS_CRASH_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/track/verdict.h"

#define MESSAGES 200
#define RECIPIENTS 3
#define AGAIN_MAX (MESSAGES * 2) /* messages made out of what was put back */
#define CALLS_MAX 200000
#define BLOWS 4 /* in one life */
#define FILES_MAX 8192 /* a power of two, and more than a life has */
#define PATH_ROOM 256

/* script.c */

enum step_kind {
	STEP_LOG, /* a line */
	STEP_ARRIVE, /* the file appears, on its way to the first try */
	STEP_DONE, /* who is marked as done in the file */
	STEP_DEFER, /* to deferred/, to be tried again at .until */
	STEP_TRY, /* back to active/ */
	STEP_HOLD, /* to hold/ */
	STEP_DELETE, /* from wherever it is */
	STEP_ROTATE, /* the log, by renaming */
	STEP_TRUNCATE, /* the log, by copying and truncating */
	STEP_END, /* of the life: the daemon is asked to end */
};

struct step {
	int64_t at;
	enum step_kind kind;
	uint16_t message, who; /* who: bits of recipients */
	int64_t until;
	char *program, *text; /* of a line; owned by the script */
};

enum fate {
	FATE_FIRST, /* delivered at the first try */
	FATE_GREY, /* greylisted, then delivered */
	FATE_SLOW, /* several recipients, several tries */
	FATE_BOUNCED, /* 550 at once */
	FATE_LATE_BOUNCE, /* 450, then 550 */
	FATE_EXPIRED, /* never accepted for the whole lifetime */
	FATE_REMOVED, /* by an operator, in the log */
	FATE_HELD, /* by an operator, in the log */
	FATE_VANISHED, /* its file goes from deferred/ without a word */
	FATE_SWALLOWED, /* its file goes while the MTA works on it, without a word */
	FATE_FALSE_NDR, /* given up when young */
	FATE_MISBOUNCED, /* bounced on a 450 */
	FATE_OVERDUE, /* its next try never comes */
	FATE_LATE, /* comes late, after that was said */
	FATE_COUNT
};

struct message {
	char id[24];
	enum fate fate;
	int64_t start;
	unsigned int recipients;
	/* What is to be found, for each recipient. */
	enum mqw_verdict trouble[RECIPIENTS]; /* to be said once; NONE: none may be said */
	enum mqw_verdict last[RECIPIENTS]; /* in the end */
	uint16_t lost; /* to be put back, bits */
};

struct script {
	struct message messages[MESSAGES];
	struct step *steps;
	size_t count, cap;
	int64_t begin, end;
};

void script_make(struct script *s, uint64_t seed);
void script_free(struct script *s);
const char *fate_name(enum fate f);
/* The number of the message that has this queue id, or -1. */
int script_message_of(const char *id, size_t len);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound);

/* shim.c */

enum call_kind {
	CALL_WRITE,
	CALL_PWRITE,
	CALL_FSYNC,
	CALL_RENAME,
	CALL_OPEN,
	CALL_UNLINK,
	CALL_TRUNCATE,
	CALL_MKDIR,
	CALL_MODE, /* chmod, chown, utimens */
	CALL_SEND,
	CALL_COPY, /* copy_file_range */
	CALL_MALLOC,
	CALL_COUNT
};

enum role { ROLE_DAEMON, ROLE_HELPER, ROLE_COUNT };

/* What is done to a call. */
enum blow {
	BLOW_NONE,
	BLOW_KILL_BEFORE,
	BLOW_KILL_AFTER,
	BLOW_KILL_AMID, /* half of what is written is written */
	BLOW_FAIL, /* it fails with an errno */
};

struct plan {
	enum role role;
	enum blow blow;
	int kind; /* only calls of this kind are counted; CALL_COUNT: all but malloc */
	uint64_t at; /* the how-manieth call, from 1 */
	uint64_t times; /* of a failure: so many calls in a row */
	int error;
};

const char *call_name(int kind);

/* What was seen of a recipient. */
struct seen {
	uint16_t told; /* bits of verdicts that the journal was told of */
	uint8_t last; /* verdict that the tracker gave last, enum mqw_verdict */
	uint16_t alerts; /* of rules, in the journal */
};

/* A message made by the MTA out of what was put back. */
struct again {
	uint16_t message, recipients; /* which one, and whom the file had still to do */
	int64_t at, made_at; /* at: of its next step */
	uint8_t stage;
	char id[24];
};

/* Times of a file by the world's calendar: the kernel's are of another. */
struct file_times {
	uint64_t ino; /* 0: free */
	int64_t changed, modified;
	bool set; /* its modification time is as somebody set it */
};

enum place { IN_NOWHERE, IN_ACTIVE, IN_DEFERRED, IN_HOLD };

/* All that outlives a process of the life. */
struct shared {
	int64_t real, mono; /* the clocks, in microseconds */
	int64_t last_step;
	size_t next; /* step of the script */
	uint8_t place[MESSAGES]; /* enum place */
	uint16_t done[MESSAGES];
	int64_t ended_at[MESSAGES]; /* when its file went, 0 not yet */
	uint64_t log_writes;
	unsigned int rotations, again_count;
	struct again again[AGAIN_MAX];
	int64_t pickup_at, serve_at;
	unsigned int asked; /* requests to the helper that it has not taken */
	struct seen seen[MESSAGES][RECIPIENTS];
	struct file_times files[FILES_MAX];
	unsigned int unclear; /* alerts that a person has to look */
	unsigned int starts, kills, helper_kills, failures, served;
	bool ended; /* the daemon was asked to end */
	unsigned int life; /* its number */
	uint64_t device; /* on which all of it lies */
	/* Each blow comes once, in this order. */
	struct plan plans[BLOWS];
	size_t plan_count, plan_at;
	int64_t helper_delay, down;
	int64_t failed_at; /* by the machine's clock; 0 nothing has failed yet */
	uint64_t calls[ROLE_COUNT][CALL_COUNT + 1]; /* the last one: all but malloc */
	uint64_t plan_calls; /* counted for the plan at hand */
	uint64_t trace_len;
	uint8_t trace[CALLS_MAX]; /* kinds of the daemon's calls, in order */
	unsigned int kinds[ROLE_COUNT][CALL_COUNT]; /* of calls that were hit */
	char struck[BLOWS * 64]; /* what was hit, for reports */
};

extern struct shared *shared;
extern enum role role;
extern bool outside; /* the test itself is at work, not the daemon or the helper */

/* world.c, mta.c and host.c */

extern struct script script;
extern char dir[64];

/* Makes the folders and the configuration, empty. */
void world_make(void);
void world_remove(void);
/* When something happens next by itself; INT64_MAX never. */
int64_t world_next(void);
/* Lets everything happen that is due now. Whether the daemon can know of it without a look. */
bool world_step(void);
/* How much faster than the machine's own clock the calendar goes now. */
int64_t world_pace(void);
/* What is in maildrop is taken up after so long, or sooner. */
#define PICKUP_EVERY (60 * MQW_SECOND) /* by master(8), whatever happens */
void world_wake_pickup(int64_t after);
/* Moves both clocks on, by the machine's. */
void world_advance(int64_t mono);
/* The daemon is dead: time goes on. */
void world_wait(int64_t real);
/* The live log. */
const char *world_log(void);
/* Why the helper's children have the queue's folder of processes. */
const char *world_proc(void);

/* judge.c: what is wrong, one sentence a line; true when nothing is. */
bool judge(struct mqw_buffer *ret_wrong);

#endif
