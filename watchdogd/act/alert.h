/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says things to people: to the journal with structured fields, and to standard error where that
 * is not the journal already. The MESSAGE_IDs are part of the interface: journalctl and alerting
 * tools select by them.
 */
#ifndef MQW_ACT_ALERT_H
#define MQW_ACT_ALERT_H

#include "watchdogd/track/tracker.h"

enum mqw_alert_kind {
	MQW_ALERT_FINDING, /* a recipient is in trouble */
	MQW_ALERT_SETTLED, /* one that was in trouble is so no more */
	MQW_ALERT_RULE, /* a rule asked for this alert */
	MQW_ALERT_ACTION, /* something was done, or failed, or would be done */
	MQW_ALERT_SELF, /* about the watchdog itself: a log that cannot be read, and the like */
	MQW_ALERT_COUNT
};

/* What there is to say. Strings are borrowed; NULL where there is none. */
struct mqw_alert {
	enum mqw_alert_kind kind;
	int priority; /* of syslog, LOG_ERR and the like */
	const char *text; /* one sentence or two; made printable here */
	const char *instance, *mta;
	const struct mqw_message *message;
	const struct mqw_recipient *recipient;
	const struct mqw_judgement *judgement;
	const char *rule, *action, *queue_id, *cause;
};

/*
 * Sends it; where there is no journal, or it refuses, standard error has it. False when memory was out
 * for a part of it, or neither took it: then it is to be sent again.
 */
bool mqw_alert_send(const struct mqw_alert *a);

/* The same without a message: printf-like, about an instance (NULL: none). */
void mqw_alert_say(enum mqw_alert_kind kind, int priority, const char *instance, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* The MESSAGE_ID of a kind, 32 hex digits, for the manual and tests. */
const char *mqw_alert_message_id(enum mqw_alert_kind kind);

#endif
