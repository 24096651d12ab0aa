/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends a notice over one channel and waits for the answer: for a child process of the daemon and
 * for the command line, never inside the event loop. What it needs to know it reads itself:
 * passwords from their files, at each try, so that a new one is taken without a restart.
 */
#ifndef MQW_ACT_ALERTS_DELIVER_H
#define MQW_ACT_ALERTS_DELIVER_H

#include "watchdogd/act/alerts/notice.h"

struct mqw_delivery {
	bool accepted; /* by the far side, for at least one recipient */
	bool refused; /* of a mail: certainly not accepted, so that a second try makes no second mail */
	char text[400]; /* what it said, or what went wrong: one printable line */
};

/* A channel other than the journal. Takes about c->timeout at most, name look-ups apart. */
void mqw_deliver(const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *ret);

/* Sets the text, cut at a character's end. */
void mqw_delivery_say(struct mqw_delivery *d, struct mqw_slice text);

/*
 * Adds what would be sent, for a person: whom it goes to, then the mail, request or input as it
 * is. Reads no secret.
 */
void mqw_deliver_show(struct mqw_buffer *b, const struct mqw_alert_config *c, const json_t *notice);

/* secret.c: the first line of a file, or of systemd's credential of that name. False: d says why. */
bool mqw_secret_read(
	const char *file, const char *credential, struct mqw_buffer *ret, struct mqw_delivery *d);

/* One file each. */
void mqw_deliver_mail(
	const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *d);
void mqw_deliver_webhook(
	const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *d);
void mqw_deliver_command(
	const struct mqw_alert_config *c, const json_t *notice, struct mqw_delivery *d);

/*
 * Whether the relay or webhook is on this very host, by its loopback name or its own: a relay
 * that may be the patient.
 */
bool mqw_alert_is_own_host(const struct mqw_alert_config *c);

/*
 * The host name with its domain where one can be found out, for EHLO and the default sender. May
 * ask the DNS and wait for it.
 */
void mqw_deliver_full_host(char ret[MQW_NOTICE_HOST_MAX + 1]);

#endif
