/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invented mail, whole lives of it, written as the log of one MTA. What happens to a message is decided
 * in main.c, which knows therefore what a scan has to say of it; how an MTA logs that is in one file an
 * MTA. All is drawn from the seed: the same arguments give the same log, byte for byte.
 */
#ifndef GENERATE_LIFE_H
#define GENERATE_LIFE_H

#include "watchdogd/base/clock.h"

#define RECIPIENTS_MAX 20

enum kind {
	KIND_FINE, /* delivered at the first try */
	KIND_GREYLISTED, /* delivered after one or some deferrals */
	KIND_BOUNCED, /* 5xx, reported */
	KIND_EXPIRED, /* deferred until its lifetime was over, reported */
	KIND_REMOVED, /* deferred, then taken out by an operator */
	KIND_VANISHED, /* deferred, then nothing more */
	KIND_GIVEN_UP, /* deferred, and reported as failed when it was young: a false report */
	KIND_MISBOUNCED, /* 4xx taken for a failure, reported: a false report */
	KIND_WAITING, /* deferred, and tried in vain to the end of the log */
	KIND_COUNT
};

struct life {
	uint64_t number; /* all its texts follow from it */
	int64_t born, due;
	uint8_t kind, step, recipients, cursor, tries, last_try;
	bool is_report, told; /* told: something of it has to be reported */
	uint32_t undone, deferred, unlucky; /* a bit for each recipient */
	uint64_t subject; /* of a report: whose failure it is about */
};

enum answer { ANSWER_SENT, ANSWER_DEFERRED, ANSWER_BOUNCED, ANSWER_MISBOUNCED };

/* How an MTA logs. Each writes whole lines, stamped with the time of the step, out(). */
struct form {
	const char *name;
	int64_t lifetime, retry_max;
	int64_t (*pause)(unsigned int tries); /* before the next try, tries so far */
	void (*id)(const struct life *l, char ret[24]);
	void (*arrived)(const struct life *l);
	void (*tried)(const struct life *l); /* before each round of tries; may be empty */
	void (*answer)(const struct life *l, unsigned int recipient, enum answer a);
	void (*gave_up)(const struct life *l);
	void (*reported)(const struct life *l, const struct life *report);
	void (*completed)(const struct life *l);
	void (*removed)(const struct life *l); /* by an operator */
	void (*noise)(uint64_t number);
};

extern const struct form postfix_form, exim_form;

/* Writes one line, with the stamp of the time now in front, as the MTA's log has it. */
__attribute__((format(printf, 1, 2))) void out(const char *format, ...);

/* The time of the step at hand. */
int64_t now(void);

extern uint64_t seed;
/* A number that follows from the seed and two others, the same each time. */
uint64_t drawn(uint64_t a, uint64_t b);

/* Texts of a message; in buffers that the next call with the same one overwrites. */
const char *sender_of(const struct life *l);
const char *recipient_of(const struct life *l, unsigned int recipient);
const char *host_of(const struct life *l, unsigned int recipient); /* "mx3.dest42.example" */
const char *address_of(const struct life *l, unsigned int recipient); /* "192.0.2.17" */
/* What the receiver's server said to a recipient. */
const char *reply_of(const struct life *l, unsigned int recipient, enum answer a);

#endif
