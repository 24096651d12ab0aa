/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMTP sessions as a log has them: the commands that a server sent and the replies that came, a line
 * each. Replies answer commands in their order (RFC 2920). The table is of fixed size: the session
 * that was silent for longest gives way.
 */
#ifndef MQW_PROBES_WINDOWS_SESSION_H
#define MQW_PROBES_WINDOWS_SESSION_H

#include "watchdogd/track/event.h"

#define MQW_SMTP_SESSIONS 64
#define MQW_SMTP_RECIPIENTS 128 /* of one transaction: Exchange makes another beyond 100 */
#define MQW_SMTP_COMMANDS 160 /* without their replies yet */
#define MQW_SMTP_TEXT 8192

struct mqw_smtp_session {
	int64_t last; /* time of its last line; MQW_TIME_NONE: not in use */
	bool single; /* set by whoever gives the lines: all are of one connection */
	/* Two sessions whose lines cannot be told apart: whose reply it is can only be guessed. */
	bool mixed;
	bool greets_again; /* the next greeting is no other connection's: TLS began, EHLO was refused */
	unsigned int connections; /* greeted and not taken leave of */
	bool lost; /* more than there is room for: nothing is said until it begins anew */
	bool data; /* 354 was answered: the next reply is about the mail itself */
	bool begun; /* a command was seen */
	int mail_code; /* with which MAIL was refused; 0 it was not */
	struct mqw_slice sender, size, message_id; /* in text; ptr NULL unknown */
	struct mqw_slice site, remote; /* of the line at hand: borrowed, set by whoever gives it */
	struct mqw_slice mail_reply; /* in text */
	struct {
		struct mqw_slice address; /* in text */
		unsigned char state;
	} recipients[MQW_SMTP_RECIPIENTS];
	unsigned int recipient_count;
	struct {
		unsigned char kind;
		unsigned char recipient;
	} commands[MQW_SMTP_COMMANDS]; /* oldest first */
	unsigned int command_count;
	size_t used; /* of text */
	char text[MQW_SMTP_TEXT];
};

struct mqw_smtp_table {
	uint64_t keys[MQW_SMTP_SESSIONS];
	struct mqw_smtp_session sessions[MQW_SMTP_SESSIONS];
};

/* What a reply says of one recipient. Slices are good until the callback returns. */
struct mqw_smtp_result {
	struct mqw_slice recipient; /* ptr NULL: of the whole transaction, none was named yet */
	struct mqw_slice sender, size, message_id; /* ptr NULL unknown */
	struct mqw_slice site, remote;
	struct mqw_slice reply;
	enum mqw_outcome outcome; /* SENT, DEFERRED or BOUNCED */
	int code; /* 0: the connection ended before an answer */
	bool doubtful; /* it may be another's */
};

/* 0, or a negative errno that ends the reading. */
typedef int mqw_smtp_told(void *ctx, const struct mqw_smtp_result *r);

void mqw_smtp_table_init(struct mqw_smtp_table *t);

/* The session that these two words stand for: of one connection, or of all to one host. */
struct mqw_smtp_session *mqw_smtp_session(
	struct mqw_smtp_table *t, struct mqw_slice a, struct mqw_slice b, int64_t time);

/* The message that the session is about to send, where the log names it. */
void mqw_smtp_message(struct mqw_smtp_session *s, struct mqw_slice message_id);

/* A command: "RCPT" and "TO:<a@b> SIZE=1"; "+" in the argument may stand for blanks. */
void mqw_smtp_command(
	struct mqw_smtp_session *s, struct mqw_slice verb, struct mqw_slice argument, int64_t time);

/*
 * A reply, code in front. whole: it is all of the reply, or its first line alone; else further lines
 * of it may come when it goes on by "-". What told() returns below 0 is returned.
 */
int mqw_smtp_reply(struct mqw_smtp_session *s, struct mqw_slice reply, bool whole, int64_t time,
	mqw_smtp_told *told, void *ctx);

/* The connection is over: what was taken and not answered is deferred. */
int mqw_smtp_end(struct mqw_smtp_session *s, mqw_smtp_told *told, void *ctx);

#endif
