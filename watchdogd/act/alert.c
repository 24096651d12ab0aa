/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* vasprintf */
#include "watchdogd/act/alert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#define FIELDS_MAX 24

static const char *const message_ids[MQW_ALERT_COUNT] = {
	[MQW_ALERT_FINDING] = "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a01",
	[MQW_ALERT_SETTLED] = "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a02",
	[MQW_ALERT_RULE] = "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a03",
	[MQW_ALERT_ACTION] = "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a04",
	[MQW_ALERT_SELF] = "6d0c4a5e2f0b4b0f9b6a1c3e8d7f5a05",
};

struct fields {
	struct mqw_buffer text[FIELDS_MAX];
	size_t count;
	bool failed; /* one could not be added */
};

/* Adds NAME=value, printable, when there is a value. */
static void add(struct fields *f, const char *name, const char *value)
{
	struct mqw_buffer *b;

	if (!value || f->count == FIELDS_MAX)
		return;
	b = &f->text[f->count];
	mqw_buffer_printf(b, "%s=", name);
	mqw_buffer_add_printable(b, mqw_slice_of(value));
	if (b->failed) {
		mqw_buffer_done(b);
		f->failed = true;
	} else {
		f->count++;
	}
}

static void add_number(struct fields *f, const char *name, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	add(f, name, text);
}

static void add_message(struct fields *f, const struct mqw_alert *a)
{
	const struct mqw_message *m = a->message;
	const struct mqw_recipient *r = a->recipient;

	if (m) {
		add(f, "QUEUE_ID", m->queue_id);
		add(f, "SENDER", m->sender);
		add(f, "MAIL_MESSAGE_ID", m->message_id);
		add(f, "NDR_ID", m->ndr_id);
	} else {
		add(f, "QUEUE_ID", a->queue_id);
	}
	if (r) {
		add(f, "RECIPIENT", r->address);
		add(f, "RELAY", r->relay);
		add(f, "REPLY", r->reply);
		if (r->code)
			add_number(f, "REPLY_CODE", r->code);
	}
	if (a->judgement) {
		add(f, "VERDICT", mqw_verdict_name(a->judgement->verdict));
		add(f, "CONFIDENCE", mqw_confidence_name(a->judgement->confidence));
		add(f, "REMEDY", a->judgement->remedy);
	}
}

/* Whether standard error took it. */
static bool print(const struct mqw_alert *a, const struct fields *f)
{
	return f->count &&
		fprintf(stderr, "%s%s%s%s\n", a->instance ? "[" : "",
			a->instance ? a->instance : "", a->instance ? "] " : "",
			f->text[0].ptr + sizeof("MESSAGE=") - 1) > 0;
}

bool mqw_alert_send(const struct mqw_alert *a)
{
	struct fields f = {0};
	bool sent, printed = false;
	struct iovec iov[FIELDS_MAX];

	add(&f, "MESSAGE", a->text);
	add(&f, "MESSAGE_ID", message_ids[a->kind]);
	add_number(&f, "PRIORITY", a->priority);
	add(&f, "SYSLOG_IDENTIFIER", "mailq-watchdogd");
	add(&f, "INSTANCE", a->instance);
	add(&f, "MTA", a->mta);
	add(&f, "RULE", a->rule);
	add(&f, "ACTION", a->action);
	add(&f, "CAUSE", a->cause);
	add_message(&f, a);
	for (size_t i = 0; i < f.count; i++) {
		iov[i].iov_base = f.text[i].ptr;
		iov[i].iov_len = f.text[i].len;
	}
	/* It is 0, too, where there is no journal at all. */
	sent = sd_journal_sendv(iov, (int)f.count) >= 0;
	/* systemd sets it where standard error is the journal: there it would stand twice. */
	if (!sent || !getenv("JOURNAL_STREAM"))
		printed = print(a, &f);
	for (size_t i = 0; i < f.count; i++)
		mqw_buffer_done(&f.text[i]);
	return !f.failed && (sent || printed);
}

void mqw_alert_say(
	enum mqw_alert_kind kind, int priority, const char *instance, const char *format, ...)
{
	va_list ap;
	char *text = NULL;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	mqw_alert_send(&(struct mqw_alert){.kind = kind,
		.priority = priority,
		.text = n < 0 ? "out of memory" : text,
		.instance = instance});
	if (n >= 0)
		free(text);
}

const char *mqw_alert_message_id(enum mqw_alert_kind kind)
{
	return message_ids[kind];
}
